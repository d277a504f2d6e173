//! HTTPS servers, and the authority that vouches for them.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;

use super::http::Message;
use super::server::{Answer, Server};

/// A private authority, and the file that `SSL_CERT_FILE` may name.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is no wrong name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // What signs and what is signed must not have one name, or it would seem self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("the system has randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("authority.pem"), issuer.pem())
            .expect("the temporary folder is writable");
        Self { issuer, folder }
    }

    /// Its certificate in PEM.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The variable that makes a program trust this authority alone.
    pub(crate) fn trusted(&self) -> (String, String) {
        ("SSL_CERT_FILE".to_owned(), self.file().display().to_string())
    }

    /// Starts a server with a certificate for `name`.
    pub(crate) fn serve(
        &self,
        name: &str,
        play: impl Fn(&Message) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let key = KeyPair::generate().expect("the system has randomness");
        let params = CertificateParams::new([name.to_owned()]).expect("the name is one");
        let leaf = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is PKCS #8");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key)
            })
            .expect("key and certificate belong together");
        let config = Arc::new(config);
        let cover = move |wire: super::http::Wire| {
            let config = Arc::clone(&config);
            wire.cover(|socket| {
                let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
                Ok(Box::new(StreamOwned::new(connection, socket)))
            })
        };
        Server::start_over(cover, play)
    }
}
