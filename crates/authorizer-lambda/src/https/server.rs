//! A server for tests: records what it is asked and answers as it is told.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: http::Method,
    pub(crate) uri: http::Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The answer to the n-th request, from 0; without one the connection breaks.
type Script = dyn Fn(usize) -> Option<Response<Full<Bytes>>> + Send + Sync;

/// Listens on a free port of 127.0.0.1 (or where it is told) until dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(
        script: impl Fn(usize) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) -> Self {
        Self::start_on("127.0.0.1:0", None, script).await.unwrap()
    }

    /// `tls` ends TLS where given; fails where this machine lacks the address.
    pub(crate) async fn start_on(
        address: &str,
        tls: Option<ServerConfig>,
        script: impl Fn(usize) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let task = tokio::spawn(accept(listener, tls, Arc::new(script), asked.clone()));
        Ok(Self { address, asked, task })
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, script, asked) = (tls.clone(), script.clone(), asked.clone());
        connections.spawn(async move {
            match tls {
                None => serve(TokioIo::new(stream), script, asked).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(TokioIo::new(stream), script, asked).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl Read + Write + Unpin,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the request is cut short")?.to_bytes();
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(Asked { method: head.method, uri: head.uri, headers: head.headers, body });
            asked.len() - 1
        };
        script(number).ok_or("told to break")
    });
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

pub(crate) fn ok(body: &'static str) -> Option<Response<Full<Bytes>>> {
    answer(200, body)
}

pub(crate) fn answer(status: u16, body: &'static str) -> Option<Response<Full<Bytes>>> {
    Response::builder().status(status).body(Full::from(body)).ok()
}

/// A private certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with a certificate for `name`, changed by `change` before it is signed.
    pub(crate) fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}
