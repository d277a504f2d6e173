//! The first way through the house: from an upgrade request to a 101, or to
//! one refusal.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use api_model::Compat;
use api_model::api::{Authorization, RequiredParameter, Route, Stage};
use session::handshake::{Connected, Refusal, connected};
use session::integration::{self, Reply};
use session::{Connection, Failure, Handshake, Id, Kind, Operation, Session};

use crate::authorize::{Caller, Leave, Refused, authorize};
use crate::client::perform;
use crate::clock;
use crate::id;
use crate::journal::Entry;
use crate::registry::Slot;
use crate::revocation::Issued;
use crate::server::Gateway;
use crate::settings::DomainNameMode;
use crate::snapshot::Snapshot;

/// An upgrade request whose address leads to a stage.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) stage: Arc<Stage>,
    pub(crate) handshake: Handshake,
    /// `Host` as the client sent it.
    pub(crate) host: String,
    /// Whether a back end may call back to that name.
    pub(crate) is_own_name: bool,
    /// The client behind trusted proxies.
    pub(crate) source_ip: IpAddr,
    pub(crate) is_tls: bool,
    /// Port of the listener.
    pub(crate) port: u16,
}

/// A handshake that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Value of `Sec-WebSocket-Protocol`.
    pub(crate) protocol: Option<String>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) session: Session,
}

/// Runs the handshake.
pub(crate) async fn connect(
    gateway: &Arc<Gateway>,
    snapshot: &Arc<Snapshot>,
    request: Request,
) -> Result<Accepted, Refusal> {
    let attempt = request.handshake.query_values("attempt").next_back().map(str::to_owned);
    let mut pending = Pending::new(gateway, snapshot, request);
    let pass = gateway.handshakes.enter(
        pending.source_ip,
        snapshot.settings.limits.handshakes_pending,
        snapshot.settings.limits.handshakes_pending_per_address,
    );
    let outcome = match pass {
        Some(_pass) => pending.run(gateway, snapshot).await,
        None => Err(Failed::Refused(Failure::Throttled.into())),
    };
    outcome.map_err(|failed| {
        let operation = pending.operation(None);
        let (refusal, code, rule) = match failed {
            Failed::Refused(refused) => {
                (Refusal::failure(refused.failure, &operation), refused.code, refused.rule)
            }
            Failed::Integration(refusal) => {
                (refusal, "integration_refused", "the $connect integration answered with this status")
            }
        };
        tracing::info!(
            request_id = %pending.request_id, stage = %pending.stage.name, status = refusal.status, code,
            "connect refused"
        );
        gateway.journal.add(Entry {
            request_id: pending.request_id.to_string(),
            time: pending.connection.connected_at,
            host: pending.connection.host.clone(),
            attempt,
            status: refusal.status,
            code,
            rule: rule.to_owned(),
            path: std::mem::take(&mut pending.trail),
        });
        refusal
    })
}

/// Why a handshake ends without a connection.
enum Failed {
    Refused(Refused),
    /// The integration's own answer.
    Integration(Refusal),
}

impl<T: Into<Refused>> From<T> for Failed {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

/// One handshake under way.
struct Pending {
    stage: Arc<Stage>,
    connection: Arc<Connection>,
    handshake: Arc<Handshake>,
    request_id: Id,
    source_ip: IpAddr,
    is_tls: bool,
    /// How long the authorizer took, milliseconds.
    latency: Option<u64>,
    /// The way through the house so far.
    trail: Vec<String>,
}

impl Pending {
    fn new(gateway: &Gateway, snapshot: &Snapshot, request: Request) -> Self {
        let Request { stage, handshake, host, is_own_name, source_ip, is_tls, port } = request;
        let connection = Connection {
            id: gateway.ids.connection_id(),
            api_id: stage.api.api_id.clone(),
            stage: stage.name.clone(),
            domain_name: domain_name(snapshot, &stage, &host, is_own_name, port),
            host,
            connected_at: clock::epoch_ms(),
            source_ip: source_ip.to_string(),
            user_agent: handshake.header_values("user-agent").next_back().map(str::to_owned),
            authorizer: None,
        };
        let trail = vec![format!("router: api {} stage {}", stage.api.logical_id, stage.name)];
        Self {
            stage,
            connection: Arc::new(connection),
            handshake: Arc::new(handshake),
            request_id: id::request_id(),
            source_ip,
            is_tls,
            latency: None,
            trail,
        }
    }

    async fn run(
        &mut self,
        gateway: &Arc<Gateway>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Accepted, Failed> {
        let now = clock::uptime();
        let admitted =
            snapshot.admit_connect(now) && snapshot.admit_route(&self.stage, "$connect", now);
        if !admitted {
            self.trail.push("throttle: empty".to_owned());
            return Err(Failure::Throttled.into());
        }
        self.trail.push("throttle: admitted".to_owned());
        let stage = Arc::clone(&self.stage);
        let route = stage.routes.get("$connect");
        if let Some(route) = route {
            self.check_required(route)?;
        }
        let leave = match route.map(|route| &route.authorization) {
            Some(Authorization::Custom(config)) => {
                Some(self.authorize(gateway, snapshot, config).await?)
            }
            Some(Authorization::None) | None => {
                self.trail.push("authorization: none".to_owned());
                None
            }
        };
        let answer = self.prepare_protocols(snapshot, leave.as_ref());
        let protocol = match route {
            Some(route) => self.integrate(gateway, snapshot, route).await?,
            None => None,
        };
        self.register(gateway, snapshot, leave, protocol.or(answer))
    }

    fn check_required(&mut self, route: &Route) -> Result<(), Failed> {
        let is_missing = |parameter: &RequiredParameter| match parameter {
            RequiredParameter::Header(name) => self.handshake.header_values(name).next().is_none(),
            RequiredParameter::QueryString(name) => {
                self.handshake.query_values(name).next().is_none()
            }
        };
        if route.required.iter().any(is_missing) {
            self.trail.push("required parameters: one is missing".to_owned());
            return Err(Failure::RequiredParameterMissing.into());
        }
        Ok(())
    }

    async fn authorize(
        &mut self,
        gateway: &Gateway,
        snapshot: &Snapshot,
        config: &api_model::api::Authorizer,
    ) -> Result<Leave, Failed> {
        let began = Instant::now();
        let caller = Caller { source_ip: self.source_ip, is_tls: self.is_tls };
        let operation = self.operation(None);
        let mut leave =
            authorize(gateway, snapshot, config, &operation, caller, &mut self.trail).await?;
        if self.is_revoked(gateway, &leave) && matches!(leave.issued, Issued::Asked(_)) {
            // A verdict that began before a revocation is asked for again.
            gateway.forget(&self.connection.api_id, leave.authorized.principal_id.as_deref());
            leave =
                authorize(gateway, snapshot, config, &operation, caller, &mut self.trail).await?;
        }
        if self.is_revoked(gateway, &leave) {
            self.trail.push("revocation: revoked".to_owned());
            return Err(Failure::TokenRevoked.into());
        }
        // It shares the connection, which is not copied for a change when nobody else holds it.
        drop(operation);
        let latency = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Arc::make_mut(&mut self.connection).authorizer = Some(leave.authorized.clone());
        self.latency = Some(latency);
        Ok(leave)
    }

    fn is_revoked(&self, gateway: &Gateway, leave: &Leave) -> bool {
        leave.authorized.principal_id.as_deref().is_some_and(|principal_id| {
            gateway.revocations.is_revoked(
                &self.connection.api_id,
                principal_id,
                leave.session_id.as_deref(),
                leave.issued,
            )
        })
    }

    /// Takes the entries that carried secrets out of the handshake, and says
    /// what to answer if the integration says nothing.
    fn prepare_protocols(&mut self, snapshot: &Snapshot, leave: Option<&Leave>) -> Option<String> {
        let protocol = leave?.protocol.as_ref()?;
        if protocol.stripped == 0 || snapshot.settings.compat == Compat::Aws {
            return None;
        }
        Arc::make_mut(&mut self.handshake).set_protocols(&protocol.kept);
        protocol.answer.clone()
    }

    /// Asks the `$connect` integration; its subprotocol, if it gave one.
    async fn integrate(
        &mut self,
        gateway: &Gateway,
        snapshot: &Snapshot,
        route: &Route,
    ) -> Result<Option<String>, Failed> {
        let Some(integration) = &route.integration else {
            self.trail.push("integration: none".to_owned());
            return Ok(None);
        };
        let operation = self.operation(self.latency);
        let outcome = ask(gateway, snapshot, &operation, integration).await;
        let outcome = outcome.map(|reply| connected(reply, &operation));
        match outcome {
            Ok(Connected::Accepted { protocol, .. }) => {
                self.trail.push(format!("integration {}: accepted", integration.logical_id));
                Ok(protocol)
            }
            Ok(Connected::Refused(refusal)) => {
                let status = refusal.status;
                self.trail
                    .push(format!("integration {}: refused with {status}", integration.logical_id));
                Err(Failed::Integration(refusal))
            }
            Err(failure) => {
                self.trail.push(format!("integration {}: {failure}", integration.logical_id));
                Err(failure.into())
            }
        }
    }

    /// Makes the connection addressable. Revocations count up to here.
    fn register(
        &mut self,
        gateway: &Gateway,
        snapshot: &Snapshot,
        leave: Option<Leave>,
        protocol: Option<String>,
    ) -> Result<Accepted, Failed> {
        let session_id = leave.as_ref().and_then(|leave| leave.session_id.clone());
        let is_renewable = leave.as_ref().is_some_and(|leave| leave.is_renewable);
        let connection = Arc::clone(&self.connection);
        let slot = Slot::new(connection, self.source_ip, session_id, is_renewable);
        let slot = Arc::new(slot);
        let limits = &snapshot.settings.limits;
        let inserted = gateway.registry.insert(
            Arc::clone(&slot),
            limits.connections,
            limits.connections_per_address,
        );
        if inserted.is_err() {
            self.trail.push("connections: limit reached".to_owned());
            return Err(Failure::Throttled.into());
        }
        // Registered first and checked then: a revocation in between finds the slot.
        if leave.as_ref().is_some_and(|leave| self.is_revoked(gateway, leave)) {
            gateway.registry.remove(&slot);
            self.trail.push("revocation: revoked".to_owned());
            return Err(Failure::TokenRevoked.into());
        }
        let expires_at = leave.and_then(|leave| leave.deadline).map(clock::instant);
        let session = Session::open(Arc::clone(&self.connection), expires_at, Instant::now());
        Ok(Accepted { protocol, slot, session })
    }

    fn operation(&self, authorizer_latency: Option<u64>) -> Operation {
        Operation {
            stage: Arc::clone(&self.stage),
            connection: Arc::clone(&self.connection),
            route_key: "$connect".into(),
            request_id: self.request_id,
            time: self.connection.connected_at,
            kind: Kind::Connect { handshake: Arc::clone(&self.handshake), authorizer_latency },
        }
    }
}

/// Calls the integration of a lifecycle operation and maps its answer.
pub(crate) async fn ask(
    gateway: &Gateway,
    snapshot: &Snapshot,
    operation: &Operation,
    integration: &api_model::api::Integration,
) -> Result<Reply, Failure> {
    let call = integration::call(integration, operation, None, false)?;
    if let integration::Call::Mock(reply) = call {
        return Ok(reply);
    }
    let source_arn = session::event::method_arn(operation);
    let answer = perform(gateway, snapshot, call, &source_arn, integration.timeout).await?;
    integration::reply(integration, operation, None, answer, true)
}

/// What back ends call back to: the client's `Host`, unless it is a name that
/// anybody could have written there.
fn domain_name(
    snapshot: &Snapshot,
    stage: &Stage,
    host: &str,
    is_own_name: bool,
    port: u16,
) -> String {
    match snapshot.settings.domain_name {
        DomainNameMode::Host if is_own_name => host.to_owned(),
        DomainNameMode::Host | DomainNameMode::Local => {
            let api = &stage.api;
            format!("{}.execute-api.{}.localhost:{port}", api.api_id, api.region)
        }
    }
}
