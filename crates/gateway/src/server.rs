//! The gateway as a whole: what is shared, what listens, how it ends.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use lambda_host::Client;
use parking_lot::Mutex;
use session::CloseCause;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::admin::{self, AdminToken};
use crate::admission::Admission;
use crate::authorize::{Verdict, tag};
use crate::cache::VerdictCache;
use crate::client;
use crate::clock;
use crate::id::{self, IdMint, KEY_BYTES};
use crate::journal::Journal;
use crate::listener::{self, Policy};
use crate::queue::{self, Polls};
use crate::registry::{Registry, Slot};
use crate::revocation::Revocations;
use crate::settings::Settings;
use crate::snapshot::Snapshot;

/// Everything that connections share.
#[derive(Debug)]
pub struct Gateway {
    /// What is served now.
    pub snapshot: ArcSwap<Snapshot>,
    /// The last refusals and failures.
    pub journal: Journal,
    pub(crate) registry: Registry,
    pub(crate) cache: VerdictCache<Verdict>,
    pub(crate) revocations: Revocations,
    pub(crate) handshakes: Admission,
    /// HTTP connections that are no WebSocket (yet).
    pub(crate) arrivals: Admission,
    /// Management calls whose body is being read.
    pub(crate) uploads: Admission,
    /// Integration calls, in all.
    pub(crate) integrations: Semaphore,
    /// `$disconnect` calls, which must not starve the others.
    pub(crate) disconnects: Semaphore,
    /// Events that functions work on while nobody waits.
    pub(crate) events: Arc<Semaphore>,
    pub(crate) authorizers: Semaphore,
    pub(crate) ids: IdMint,
    pub(crate) client: Client,
    pub(crate) tasks: TaskTracker,
    /// Keep the keys of the snapshot's built-in authorizers fresh.
    refreshers: Mutex<JoinSet<()>>,
    /// The queues of the snapshot that are read.
    polls: Mutex<Polls>,
    drain: watch::Sender<bool>,
}

/// Integration calls at once: each may hold a connection to a back end, and a
/// process has some 20,000 descriptors in common set-ups.
const INTEGRATIONS_MAX: usize = 4096;
/// `$disconnect` calls at once; thousands of clients may leave in one moment.
const DISCONNECTS_MAX: usize = 256;
/// Events at once whose result nobody waits for: each holds a payload of up to 128 KiB.
const EVENTS_MAX: usize = 256;

impl Gateway {
    /// A gateway that serves `snapshot`; must be called within a runtime. `id_key` makes connection ids
    /// recognisable across restarts.
    pub fn new(snapshot: Snapshot, client: Client, id_key: &[u8; KEY_BYTES]) -> Arc<Self> {
        let settings = &snapshot.settings;
        let gateway = Arc::new(Self {
            journal: Journal::default(),
            registry: Registry::default(),
            cache: VerdictCache::new(settings.cache.bytes_max),
            revocations: Revocations::new(settings.revocation_keep),
            handshakes: Admission::default(),
            arrivals: Admission::default(),
            uploads: Admission::default(),
            integrations: Semaphore::new(INTEGRATIONS_MAX),
            disconnects: Semaphore::new(DISCONNECTS_MAX),
            events: Arc::new(Semaphore::new(EVENTS_MAX)),
            authorizers: Semaphore::new(settings.limits.authorizer_concurrency),
            ids: IdMint::new(id_key, u16::from_be_bytes(id::random())),
            client,
            tasks: TaskTracker::new(),
            refreshers: Mutex::default(),
            polls: Mutex::default(),
            drain: watch::Sender::new(false),
            snapshot: ArcSwap::from_pointee(snapshot),
        });
        gateway.keep_keys_fresh();
        gateway.read_queues();
        gateway
    }

    /// Reads the queues of what is served now, and no others.
    fn read_queues(self: &Arc<Self>) {
        let snapshot = self.snapshot.load();
        let integrations = snapshot.aws.integrations();
        let started = self.polls.lock().replace(&snapshot.queue_sources, integrations);
        for (source, stop) in started {
            let gateway = Arc::clone(self);
            let aws = Arc::clone(&snapshot.aws);
            self.tasks.spawn(async move {
                let invoke = |event| {
                    let snapshot = gateway.snapshot.load_full();
                    let arn = &source.function_arn;
                    async move { client::handle(&snapshot, arn, event).await }
                };
                queue::poll(&source, &aws, &stop, invoke).await;
            });
        }
    }

    /// Refreshes the keys of what is served now, and of nothing else.
    fn keep_keys_fresh(&self) {
        let mut refreshers = JoinSet::new();
        for (_, handler) in self.snapshot.load().authorizers() {
            let handler = Arc::clone(handler);
            refreshers.spawn(async move { handler.keep_fresh(clock::epoch_seconds).await });
        }
        *self.refreshers.lock() = refreshers;
    }

    /// Serves another snapshot: open connections see it at their next message,
    /// those of stages that are gone are closed, and no verdict of the old
    /// configuration is reused.
    ///
    /// Returns the settings that changed and take effect only at the next start.
    pub fn reload(self: &Arc<Self>, snapshot: Snapshot) -> Vec<&'static str> {
        let kept = needs_restart(&self.snapshot.load().settings, &snapshot.settings);
        self.snapshot.store(Arc::new(snapshot));
        self.keep_keys_fresh();
        self.read_queues();
        self.cache.clear();
        let snapshot = self.snapshot.load();
        let is_gone = |slot: &Slot| {
            let connection = &slot.connection;
            snapshot.router.stage(&connection.api_id, &connection.stage).is_none()
        };
        for slot in self.registry.select(is_gone) {
            slot.close(CloseCause::Drain);
        }
        kept
    }

    /// Whether TLS may present a certificate for `name`.
    pub fn serves_name(&self, name: &str) -> bool {
        self.snapshot.load().router.serves_name(name)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.registry.len()
    }

    /// Drops the cached verdicts of a principal.
    pub(crate) fn forget(&self, api_id: &str, principal_id: Option<&str>) {
        self.cache.forget(&tag(api_id, principal_id.unwrap_or_default()));
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    pub(crate) fn drain_watch(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }
}

/// What only a start can change, as far as it differs.
fn needs_restart(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let listen = &old.listen;
    let concurrency = |settings: &Settings| settings.limits.authorizer_concurrency;
    let differences = [
        ("listen.addresses", listen.addresses != new.listen.addresses),
        ("listen.certificate", listen.certificate != new.listen.certificate),
        ("listen.insecure", listen.insecure != new.listen.insecure),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("authorizer.cache.bytes_max", old.cache.bytes_max != new.cache.bytes_max),
        ("revocation.keep", old.revocation_keep != new.revocation_keep),
        ("limits.authorizer_concurrency", concurrency(old) != concurrency(new)),
        ("telemetry.level", old.telemetry.level != new.telemetry.level),
        ("telemetry.format", old.telemetry.json != new.telemetry.json),
    ];
    differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Listeners that are bound but do not accept yet.
#[derive(Debug)]
pub struct Server {
    gateway: Arc<Gateway>,
    public: Vec<(TcpListener, Policy)>,
    admin: TcpListener,
    token: AdminToken,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub error: io::Error,
}

/// Connections that may wait for an accept.
const BACKLOG: u32 = 4096;

/// Binds an address.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let socket = || -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|error| BindError { address, error })
}

impl Server {
    /// Joins a gateway with its listeners.
    pub fn new(
        gateway: Arc<Gateway>,
        public: Vec<(TcpListener, Policy)>,
        admin: TcpListener,
        token: AdminToken,
    ) -> Self {
        Self { gateway, public, admin, token }
    }

    /// Serves until `stop` resolves, then drains: stops accepting, closes all
    /// connections over a while, and waits for the last one. `now` resolves when
    /// a second signal wants an immediate end.
    pub async fn run(self, stop: impl Future<Output = ()>, now: impl Future<Output = ()>) {
        let Self { gateway, public, admin, token } = self;
        let mut acceptors = JoinSet::new();
        for (listener, policy) in public {
            acceptors.spawn(listener::accept(Arc::clone(&gateway), listener, policy));
        }
        let admin = tokio::spawn(admin::accept(Arc::clone(&gateway), admin, token));
        stop.await;
        let drain = gateway.snapshot.load().settings.drain;
        gateway.drain.send_replace(true);
        gateway.polls.lock().close();
        while acceptors.join_next().await.is_some() {}
        // Biased: who asks twice wants no more waiting.
        tokio::select! {
            biased;
            () = now => tracing::warn!("stopped at once"),
            () = drained(&gateway, drain.spread, drain.grace) => {}
        }
        admin.abort();
    }
}

/// Closes all connections spread over a while, then waits for the last one.
async fn drained(gateway: &Gateway, spread: Duration, grace: Duration) {
    let slots = gateway.registry.select(|_| true);
    tracing::info!(connections = slots.len(), "draining");
    let deadline = Instant::now() + grace.max(spread);
    gateway.tasks.close();
    let closing = async {
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX).max(1);
        let pause = spread / count;
        for slot in &slots {
            Slot::close(slot, CloseCause::Drain);
            if PAUSE_MIN <= pause {
                tokio::time::sleep(pause).await;
            } else {
                tokio::task::yield_now().await;
            }
        }
        gateway.tasks.wait().await;
    };
    if tokio::time::timeout_at(deadline, closing).await.is_err() {
        tracing::warn!(connections = gateway.registry.len(), "grace is over");
    }
}

/// Shorter pauses between two closes are not worth a timer.
const PAUSE_MIN: Duration = Duration::from_millis(1);
