//! TLS settings, and the handshake with the right refusal.

use std::io;
use std::sync::Arc;

use rustls::server::{Acceptor, ResolvesServerCert};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// TLS 1.2 and 1.3, ALPN `http/1.1` only, no client certificates.
pub fn server_config(certificates: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider supports both versions")
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Accepts one TLS connection.
///
/// A name without a certificate is answered with the alert `unrecognized_name`
/// ([RFC 6066 §3]), which rustls does not send by itself. The caller bounds
/// the time.
///
/// [RFC 6066 §3]: https://www.rfc-editor.org/rfc/rfc6066#section-3
pub async fn accept<S>(stream: S, config: &Arc<ServerConfig>) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let named = start.client_hello().server_name().is_some();
    if named && config.cert_resolver.resolve(start.client_hello()).is_none() {
        let mut stream = start.io;
        stream.write_all(&UNRECOGNIZED_NAME).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no certificate for this name"));
    }
    start.into_stream(Arc::clone(config)).await
}

/// A record with a fatal alert. Before the server's first message it is sent in the clear.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
