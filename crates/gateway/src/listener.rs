//! Listeners: one port for plain text and TLS, told apart by the first byte.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::ca;
use crate::front::{self, Door};
use crate::server::Gateway;
use crate::stream::{Head, Stream};

/// How a listener treats the first byte of a connection.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether plain text is served.
    pub plain: bool,
    /// TLS, if it is offered.
    pub tls: Option<Tls>,
    /// Whether the clients are functions on this machine, which find more than APIs here.
    pub for_functions: bool,
}

/// TLS settings that are made when the first client asks for them.
#[derive(Clone)]
pub struct Tls(Arc<Lazy>);

struct Lazy {
    config: OnceLock<Option<Arc<ServerConfig>>>,
    make: Box<dyn Fn() -> Result<Arc<ServerConfig>, ca::Error> + Send + Sync>,
}

impl Tls {
    /// Settings that `make` yields on first need; its failure is logged once,
    /// and TLS is refused from then on.
    pub fn lazy(
        make: impl Fn() -> Result<Arc<ServerConfig>, ca::Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Lazy { config: OnceLock::new(), make: Box::new(make) }))
    }

    fn config(&self) -> Option<Arc<ServerConfig>> {
        let config = self.0.config.get_or_init(|| match (self.0.make)() {
            Ok(config) => Some(config),
            Err(error) => {
                tracing::error!(%error, "TLS is not available");
                None
            }
        });
        config.clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Pause after an accept that failed, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the gateway drains.
pub(crate) async fn accept(gateway: Arc<Gateway>, listener: TcpListener, policy: Policy) {
    let mut drain = gateway.drain_watch();
    loop {
        // Biased: a drain goes before new clients.
        tokio::select! {
            biased;
            () = draining(&mut drain) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let (gateway, policy) = (Arc::clone(&gateway), policy.clone());
                    let owner = Arc::clone(&gateway);
                    owner.tasks.spawn(async move {
                        if let Err(error) = serve(gateway, stream, peer, &policy).await {
                            tracing::debug!(%peer, %error, "connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Resolves when the gateway drains, or is gone.
async fn draining(drain: &mut watch::Receiver<bool>) {
    drop(drain.wait_for(|draining| *draining).await);
}

/// First byte of a TLS record with a handshake message.
const TLS_HANDSHAKE: u8 = 22;

async fn serve(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    peer: SocketAddr,
    policy: &Policy,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = canonical(stream.local_addr()?);
    let peer = canonical(peer);
    let snapshot = gateway.snapshot.load_full();
    let limits = &snapshot.settings.limits;
    let Some(_pass) = gateway.arrivals.enter(peer.ip(), limits.handshakes_pending, ARRIVALS_MAX)
    else {
        return Ok(());
    };
    let deadline = Instant::now() + limits.head_time;
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut first = [0];
    if timeout_at(deadline, stream.peek(&mut first)).await.map_err(late)?? == 0 {
        return Ok(());
    }
    let head = Head::new(limits.head_bytes);
    let is_tls = first[0] == TLS_HANDSHAKE;
    let stream = match policy.tls.as_ref().filter(|_| is_tls).and_then(Tls::config) {
        Some(config) => {
            let accepted = timeout_at(deadline, Box::pin(ca::accept(stream, &config))).await;
            Stream::tls(accepted.map_err(late)??, Arc::clone(&head))
        }
        None if is_tls || !policy.plain => return Ok(()),
        None => Stream::plain(stream, Arc::clone(&head)),
    };
    let door = Arc::new(Door {
        gateway: Arc::clone(&gateway),
        peer,
        local,
        is_tls,
        for_functions: policy.for_functions,
        head,
    });
    let service = service_fn(move |request| front::serve(Arc::clone(&door), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadline.saturating_duration_since(Instant::now()))
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.headers)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    drop(snapshot);
    // Boxed: whoever accepts would copy all of it into the task.
    let mut connection = Box::pin(connection);
    let mut drain = gateway.drain_watch();
    // Biased: a drain ends keep-alive before the next request is read. So does
    // old age, which also ends a client that takes no answers.
    let ended = tokio::select! {
        biased;
        () = draining(&mut drain) => None,
        ended = &mut connection => Some(ended),
        () = tokio::time::sleep(HTTP_LIFE) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(HTTP_GRACE, connection).await.map_err(late)?
        }
    };
    ended.map_err(io::Error::other)
}

/// An IPv4 client of an IPv6 listener has its IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// HTTP connections of one address that are no WebSocket (yet).
const ARRIVALS_MAX: usize = 1024;
/// How long an HTTP connection lives before it must become a WebSocket or be made anew.
const HTTP_LIFE: Duration = Duration::from_secs(300);
/// How long the last request of an HTTP connection may take: authorizer and
/// `$connect` integration, 29 s each.
const HTTP_GRACE: Duration = Duration::from_secs(65);
