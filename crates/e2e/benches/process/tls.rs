//! TLS between the generator and the gateway.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::load;

/// A certificate for `localhost` that signs itself, and its key, in files.
pub(crate) struct Identity {
    folder: TempDir,
    certificate: rcgen::Certificate,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate: made.cert }
    }

    /// `[listen]` of the configuration.
    pub(crate) fn listen_section(&self) -> String {
        let path = |name: &str| -> PathBuf { self.folder.path().join(name) };
        format!("[listen]\ncertificate = {:?}\nkey = {:?}\n", path("cert.pem"), path("key.pem"))
    }

    /// Settings of a client that trusts this certificate alone.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // Every connection is a whole handshake.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

/// Opens `count` connections and keeps them.
pub(crate) fn hold(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
    count: usize,
) -> Vec<StreamOwned<ClientConnection, TcpStream>> {
    let handshake = load::handshake("/dev", "");
    let open = |_| {
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut socket = StreamOwned::new(client, load::connect(address));
        socket.write_all(&handshake).unwrap();
        assert!(load::is_accepted(&mut socket), "the handshake is accepted");
        socket
    };
    (0..count).map(open).collect()
}
