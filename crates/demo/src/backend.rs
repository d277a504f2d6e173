//! The listener of the back end, and the tasks behind it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::app::{App, Transport, router};
use crate::rooms::Announcement;
use crate::settings::{Scheme, Settings, Site};

/// Connections at once, those of the gateway's pool included; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 1024;

/// How many ports are tried from the one that was asked for.
const PORTS_TRIED: u16 = 50;

/// How long the first byte and the TLS handshake may take, each.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a connection may idle and its next request's head may take, together: longer than
/// pools of clients keep theirs, so that they are the ones who close.
const HEAD_TIME: Duration = Duration::from_secs(120);

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Announcements that may wait to be sent.
const ANNOUNCEMENTS_WAITING: usize = 1024;

/// How long open requests may take once the end is asked for.
const END_TIME: Duration = Duration::from_secs(2);

/// Pause after a failed accept, which usually means that descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The demo's back end, listening but not answering yet.
///
/// ```text
/// bind ──▶ local_addr, site: what the gateway must know ──▶ run: what the gateway told
/// ```
#[derive(Debug)]
pub struct Backend {
    listener: TcpListener,
    twin: Option<TcpListener>,
    address: SocketAddr,
}

impl Backend {
    /// Listens on this address, which must be a loopback address; port 0 picks one.
    ///
    /// With `127.0.0.1` goes the same port of `::1`, where there is one: browsers take either for
    /// `*.localhost`, `::1` first, so whoever else listened there would get the page's visitors
    /// and their cookies. It must be free too.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the demo's back end listens on loopback addresses only",
            ));
        }
        let mut tries = if address.port() == 0 { PORTS_TRIED } else { 1 };
        loop {
            let listener = TcpListener::bind(address).await?;
            let bound = listener.local_addr()?;
            tries -= 1;
            match bind_twin(bound).await {
                Ok(twin) => return Ok(Self { listener, twin, address: bound }),
                Err(_) if 0 < tries => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// As [`Backend::bind`], but a busy port means the next free one of the fifty that follow.
    pub async fn bind_next_free(address: SocketAddr) -> io::Result<Self> {
        let mut next = address;
        for _ in 1..PORTS_TRIED {
            match Self::bind(next).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other,
            }
            let Some(port) = next.port().checked_add(1) else { break };
            next.set_port(port);
        }
        Self::bind(next).await
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the page will be: the authorizer must allow its [`Site::ui_origin`].
    pub fn site(&self, parent_domain: &str, scheme: Scheme) -> Site {
        Site { parent_domain: parent_domain.to_owned(), scheme, port: self.address.port() }
    }

    /// Serves until `shutdown` resolves, then lets open requests end for two seconds.
    ///
    /// Connections that arrive between `bind` and `run` wait and are served.
    pub async fn run(self, settings: Settings, shutdown: impl Future<Output = ()>) {
        let site = self.site(&settings.parent_domain, settings.scheme());
        let tls = settings.tls.clone();
        let (announcements, queue) = mpsc::channel(ANNOUNCEMENTS_WAITING);
        let app = App::new(settings, site, announcements);
        let face = Face {
            plain: router(&app, Transport::Plain),
            tls: tls.map(|config| (config, router(&app, Transport::Tls))),
        };
        let (end, ending) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut announcer = JoinSet::new();
        announcer.spawn(announce(app, queue));
        let mut shutdown = pin!(shutdown);
        // Biased: the end goes before ended connections, and those before new ones.
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = self.accept(), if connections.len() < CONNECTIONS_MAX => {
                    match accepted {
                        Ok((stream, _)) => {
                            connections.spawn(serve(stream, face.clone(), ending.clone()));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the back end cannot accept a connection");
                            sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
            }
        }
        drop((self.listener, self.twin));
        let _ = end.send(true);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(END_TIME, all_ended).await;
        connections.shutdown().await;
        announcer.shutdown().await;
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Some(twin) = &self.twin else { return self.listener.accept().await };
        // Biased: the gateway calls by the first address, and it is the one who must not wait.
        tokio::select! {
            biased;
            accepted = self.listener.accept() => accepted,
            accepted = twin.accept() => accepted,
        }
    }
}

/// The same port of `::1`; none where there is no such address, an error where it is taken.
async fn bind_twin(address: SocketAddr) -> io::Result<Option<TcpListener>> {
    if address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Ok(None);
    }
    match TcpListener::bind((Ipv6Addr::LOCALHOST, address.port())).await {
        Ok(twin) => Ok(Some(twin)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => Ok(None),
    }
}

/// The routers, by how a connection comes in.
#[derive(Clone)]
struct Face {
    plain: Router,
    tls: Option<(Arc<ServerConfig>, Router)>,
}

/// One connection. Its first byte tells TLS from plain HTTP, since the gateway calls in plain HTTP
/// on the very port where browsers use TLS.
async fn serve(stream: TcpStream, face: Face, ending: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let mut first = [0];
    let Ok(Ok(1)) = timeout(HANDSHAKE_TIME, stream.peek(&mut first)).await else { return };
    match face.tls {
        Some((config, router)) if first[0] == TLS_HANDSHAKE => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, handshake).await else { return };
            drive(stream, router, ending).await;
        }
        _ => drive(stream, face.plain, ending).await,
    }
}

/// First byte of a TLS connection ([RFC 8446 §5.1], `handshake`).
///
/// [RFC 8446 §5.1]: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
const TLS_HANDSHAKE: u8 = 22;

async fn drive<S>(stream: S, router: Router, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // Biased: once the end is asked for, no further request is read.
    tokio::select! {
        biased;
        () = ended(&mut ending) => {}
        _ = &mut connection => return,
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Sends announcements one after the other, so that a room hears everything in one order.
async fn announce(app: Arc<App>, mut queue: mpsc::Receiver<Announcement>) {
    while let Some(announcement) = queue.recv().await {
        for id in app.gateway.announce(announcement).await {
            // Its $disconnect never came.
            let farewells = app.rooms.lock().disconnect(&id);
            app.announce(farewells);
        }
    }
}
