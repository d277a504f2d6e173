//! Authorization of `$connect`: identity sources, the authorizer or its cached
//! verdict, the policy ([Lambda authorizers]).
//!
//! Whatever goes wrong here refuses.
//!
//! [Lambda authorizers]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api_model::Compat;
use api_model::api::Authorizer;
use api_model::policy::{Access, Policy, Verdict as PolicyVerdict};
use authorizer::{Denial, Evidence, Grant, Protocol};
use authorizer_lambda::{Handler, Refusal};
use lambda_host::InvokeError;
use session::event::{AuthorizerResult, authorizer_event, method_arn, parse_authorizer_result};
use session::identity::{identity_values, is_volatile};
use session::{Authorized, Failure, Handshake, Operation};
use tokio::time::Instant;

use crate::cache::{Fingerprint, How, Key, Outcome};
use crate::clock;
use crate::revocation::Issued;
use crate::server::Gateway;
use crate::settings::CacheKey;
use crate::snapshot::{Callable, Snapshot};

/// Longest time an authorizer may take (unconfirmed on AWS).
const AUTHORIZER_TIME: Duration = Duration::from_secs(29);

/// Leave to connect.
#[derive(Clone, Debug)]
pub(crate) struct Leave {
    /// Principal and context for all later events.
    pub(crate) authorized: Authorized,
    /// How old the verdict is, for revocations.
    pub(crate) issued: Issued,
    /// Whether a fresh token may move the session's end: the built-in authorizer let it in.
    pub(crate) is_renewable: bool,
    /// `sid` of the token.
    pub(crate) session_id: Option<String>,
    /// When the session ends, seconds since 1970.
    pub(crate) deadline: Option<u64>,
    /// What to do with the subprotocols.
    pub(crate) protocol: Option<Protocol>,
}

/// A refusal with its reason for operators.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    pub(crate) code: &'static str,
    pub(crate) rule: &'static str,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, code: failure.code(), rule: rule(failure) }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        let failure = match denial.status() {
            401 => Failure::Unauthorized,
            _ => Failure::PolicyDeny,
        };
        Self { failure, code: denial.code(), rule: denial.rule() }
    }
}

/// The reason in words, for whoever operates the gateway.
pub(crate) fn rule(failure: Failure) -> &'static str {
    match failure {
        Failure::AuthorizerError => "the authorizer failed, timed out or could not be invoked",
        Failure::AuthorizerMalformed => {
            "the authorizer's result is not a policy with a flat context of at most 8 KB"
        }
        Failure::IdentitySourceMissing => {
            "an identity source is missing or empty, so the authorizer was not asked"
        }
        Failure::IntegrationError => "the integration's function raised an error",
        Failure::IntegrationMalformed => {
            "the integration's result is malformed, or no integration response matches it"
        }
        Failure::IntegrationUnreachable => "the integration could not be reached or invoked",
        Failure::IntegrationTimeout => "the integration did not answer in time",
        Failure::NoRoute => "no route matches and there is no $default route",
        Failure::PolicyDeny => "the authorizer's policy denies explicitly",
        Failure::PolicyNoMatch => {
            "no statement of the authorizer's policy allows execute-api:Invoke on the methodArn"
        }
        Failure::RequiredParameterMissing => "a parameter that $connect requires is missing",
        Failure::TemplateFailed => "a mapping template failed",
        Failure::Throttled => "a throttle, or the limit of pending handshakes, was reached",
        Failure::TokenRevoked => "the principal or session was revoked after the token was issued",
        Failure::Unauthorized => "the authorizer raised Unauthorized",
        Failure::UnsupportedMediaType => {
            "no request template matches and the body may not pass as it is"
        }
    }
}

/// What is stored and shared between callers.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The built-in authorizer's grant.
    Granted(Arc<Grant>),
    /// A function's result; its policy is evaluated at every use.
    Result(Arc<AuthorizerResult>),
    /// A refusal.
    Refused(Refused),
}

/// The request as the rules of policies see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) source_ip: IpAddr,
    pub(crate) is_tls: bool,
}

/// Decides whether the handshake of `operation` may go on.
pub(crate) async fn authorize(
    gateway: &Gateway,
    snapshot: &Snapshot,
    config: &Authorizer,
    operation: &Operation,
    caller: Caller,
    trail: &mut Vec<String>,
) -> Result<Leave, Refused> {
    let Some(identity) = identity_values(&config.identity_sources, operation) else {
        trail.push("identity sources: one is missing".to_owned());
        return Err(Failure::IdentitySourceMissing.into());
    };
    trail.push(format!("identity sources: {} present", identity.len()));
    let arn = config.function.arn.resolve(&operation.stage.variables);
    let source_arn =
        operation.stage.api.execute_arn(&format!("authorizers/{}", config.authorizer_id));
    let Some((function, callable)) = snapshot.function(&arn, &source_arn) else {
        trail.push("authorizer: function cannot be invoked".to_owned());
        return Err(Failure::AuthorizerError.into());
    };
    let asked = match callable {
        Callable::Authorizer(handler) => {
            ask_builtin(gateway, snapshot, config, handler, operation).await
        }
        Callable::Host(host) => {
            let ask = || ask_function(gateway, &**host, operation, &function.logical_id);
            ask_cached(gateway, snapshot, config, operation, &identity, ask).await
        }
        Callable::Local(local) => {
            let host = &*local.authorizers;
            let ask = || ask_function(gateway, host, operation, &function.logical_id);
            ask_cached(gateway, snapshot, config, operation, &identity, ask).await
        }
        Callable::Absent | Callable::Broken | Callable::Echo => {
            Asked::refused(Failure::AuthorizerError)
        }
    };
    let leave = leave(snapshot, config, operation, caller, &asked);
    let how = match (&leave, asked.how) {
        (Ok(_), how) => format!("authorizer: allowed ({how:?})"),
        (Err(refused), how) => format!("authorizer: {} ({how:?})", refused.code),
    };
    trail.push(how);
    let mut leave = leave?;
    leave.protocol = asked.protocol;
    Ok(leave)
}

/// A verdict and how it was come by.
struct Asked {
    verdict: Verdict,
    how: How,
    asked_at: Instant,
    /// Of this very request; a stored verdict has none of its own.
    protocol: Option<Protocol>,
}

impl Asked {
    /// A verdict that nobody keeps; what is revoked after `asked_at` is not yet in it.
    fn fresh(verdict: Verdict, asked_at: Instant) -> Self {
        Self { verdict, how: How::Asked, asked_at, protocol: None }
    }

    /// One without a question.
    fn refused(refused: impl Into<Refused>) -> Self {
        Self::fresh(Verdict::Refused(refused.into()), Instant::now())
    }
}

/// The in-process decision: same `Handler` as the Lambda, without the JSON.
async fn ask_builtin(
    gateway: &Gateway,
    snapshot: &Snapshot,
    config: &Authorizer,
    handler: &Handler,
    operation: &Operation,
) -> Asked {
    let handshake = operation.kind.handshake().expect("authorizers run on connect only");
    let headers: Vec<(&str, &[u8])> =
        handshake.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let query: Vec<(&str, &str)> =
        handshake.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let arn = method_arn(operation);
    let request = authorizer::Request { headers: &headers, query: &query, method_arn: &arn };
    let evidence = match handler.authorizer().read(&request) {
        Ok(evidence) => evidence,
        Err(denial) => return Asked::refused(denial),
    };
    let protocol = Some(evidence.protocol());
    let ttl = snapshot.settings.cache.ttl;
    let generation = handler.keys().generation;
    let decide = async |evidence: Evidence<'_>| {
        // Whoever asks elsewhere counts as a function does.
        let asks_elsewhere = handler.authorizer().config().delegate().is_some();
        let permit = asks_elsewhere.then(|| gateway.authorizers.try_acquire()).transpose();
        let Ok(_permit) = permit else {
            return Outcome::Uncached(Verdict::Refused(Failure::Throttled.into()));
        };
        let work = handler.decide(evidence, clock::epoch_seconds());
        match tokio::time::timeout(AUTHORIZER_TIME, work).await {
            Ok(decision) => {
                outcome(decision, ttl, handler.keep_until(), &operation.connection.api_id)
            }
            Err(_) => Outcome::Uncached(Verdict::Refused(Failure::AuthorizerError.into())),
        }
    };
    if snapshot.settings.compat == Compat::Aws || ttl.is_zero() {
        let asked_at = Instant::now();
        let verdict = match decide(evidence).await {
            Outcome::Denial { value, .. }
            | Outcome::Grant { value, .. }
            | Outcome::Uncached(value) => value,
        };
        return Asked { protocol, ..Asked::fresh(verdict, asked_at) };
    }
    let mut fingerprint = Some(
        Fingerprint::new("authorizer")
            .part(handler.authorizer().config_fingerprint())
            .number(generation)
            .part(&operation.connection.api_id)
            .part(&operation.stage.name)
            .part(&config.logical_id),
    );
    evidence.fingerprint(&mut |part| {
        fingerprint = fingerprint.take().map(|fingerprint| fingerprint.part(part));
    });
    let key = fingerprint.take().expect("put back after each part").finish();
    match gateway.cache.get_or_ask(key, decide(evidence)).await {
        Ok(answer) => {
            Asked { verdict: answer.value, how: answer.how, asked_at: answer.asked_at, protocol }
        }
        Err(_) => Asked::refused(Failure::Throttled),
    }
}

/// What a decision means for the cache.
fn outcome(
    decision: Result<Grant, Refusal>,
    ttl: Duration,
    keep_until: u64,
    api_id: &str,
) -> Outcome<Verdict> {
    match decision {
        Ok(grant) => {
            for denial in &grant.report_only_hits {
                tracing::warn!(code = denial.code(), "rule broken, passed because it only reports");
            }
            // By the clock after the decision, which may have taken its time.
            let left = grant.deadline.min(keep_until).saturating_sub(clock::epoch_seconds());
            let left = Duration::from_secs(left);
            let is_reported = !grant.report_only_hits.is_empty();
            let tag = tag(api_id, &grant.principal_id);
            let bytes = grant_bytes(&grant);
            let value = Verdict::Granted(Arc::new(grant));
            if is_reported {
                return Outcome::Uncached(value);
            }
            Outcome::Grant { value, bytes, ttl: ttl.min(left), tag }
        }
        Err(Refusal::Denied(denial)) => {
            Outcome::Denial { value: Verdict::Refused(denial.into()), bytes: 64, ttl }
        }
        Err(refusal @ (Refusal::ClockWrong | Refusal::Delegate(_) | Refusal::KeysStale)) => {
            tracing::error!(reason = %refusal, "the built-in authorizer gives no verdict");
            Outcome::Uncached(Verdict::Refused(Failure::AuthorizerError.into()))
        }
    }
}

fn grant_bytes(grant: &Grant) -> usize {
    let context: usize =
        grant.context.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
    size_of::<Grant>() + grant.principal_id.len() + context
}

/// Under which name revocation finds cached verdicts.
pub(crate) fn tag(api_id: &str, principal_id: &str) -> Arc<str> {
    format!("{api_id}/{principal_id}").into()
}

/// Asks a function, or takes its cached verdict where caching is configured.
async fn ask_cached<F>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    config: &Authorizer,
    operation: &Operation,
    identity: &[String],
    ask: impl FnOnce() -> F,
) -> Asked
where
    F: Future<Output = Verdict>,
{
    let settings = snapshot.settings.authorizers.get(&config.logical_id);
    let ttl = settings.and_then(|settings| settings.cache_ttl).or(config.result_ttl);
    let is_off =
        snapshot.settings.compat == Compat::Aws || config.identity_sources.iter().any(is_volatile);
    let Some(ttl) = ttl.filter(|ttl| !ttl.is_zero() && !is_off) else {
        let asked_at = Instant::now();
        return Asked::fresh(ask().await, asked_at);
    };
    let by = settings.map(|settings| settings.cache_key).unwrap_or_default();
    let key = function_key(config, operation, identity, by, snapshot.serial);
    let api_id = &operation.connection.api_id;
    let ask = async {
        match ask().await {
            Verdict::Result(result) => {
                let principal = result.authorized.principal_id.as_deref().unwrap_or_default();
                let tag = tag(api_id, principal);
                let bytes = session::event::AUTHORIZER_RESULT_BYTES_MAX;
                Outcome::Grant { value: Verdict::Result(result), bytes, ttl, tag }
            }
            verdict @ Verdict::Refused(Refused { failure: Failure::Unauthorized, .. }) => {
                Outcome::Denial { value: verdict, bytes: 64, ttl }
            }
            verdict => Outcome::Uncached(verdict),
        }
    };
    match gateway.cache.get_or_ask(key, ask).await {
        Ok(answer) => Asked {
            verdict: answer.value,
            how: answer.how,
            asked_at: answer.asked_at,
            protocol: None,
        },
        Err(_) => Asked::refused(Failure::Throttled),
    }
}

/// The whole event without what differs on every connect, or the identity
/// sources alone.
fn function_key(
    config: &Authorizer,
    operation: &Operation,
    identity: &[String],
    by: CacheKey,
    serial: u64,
) -> Key {
    const VOLATILE: [&str; 2] = ["sec-websocket-key", "x-amzn-trace-id"];
    let connection = &operation.connection;
    let mut key = Fingerprint::new("function")
        .part(&connection.api_id)
        .part(&operation.stage.name)
        .part(&config.logical_id);
    if by == CacheKey::IdentitySources {
        return identity.iter().fold(key.number(serial), Fingerprint::part).finish();
    }
    let empty = Handshake::default();
    let handshake = operation.kind.handshake().unwrap_or(&empty);
    key = key.number(serial).part(&connection.domain_name).part(&connection.source_ip);
    key = key.number(handshake.headers.len() as u64).number(handshake.query.len() as u64);
    for (name, value) in &handshake.headers {
        if !VOLATILE.iter().any(|volatile| name.eq_ignore_ascii_case(volatile)) {
            key = key.part(name).part(value);
        }
    }
    key = key.part("query");
    for (name, value) in &handshake.query {
        key = key.part(name).part(value);
    }
    key = key.part("variables");
    for (name, value) in &operation.stage.variables {
        key = key.part(name).part(value);
    }
    key.finish()
}

async fn ask_function(
    gateway: &Gateway,
    host: &dyn lambda_host::Function,
    operation: &Operation,
    name: &str,
) -> Verdict {
    let Ok(_permit) = gateway.authorizers.try_acquire() else {
        return Verdict::Refused(Failure::Throttled.into());
    };
    let event = authorizer_event(operation);
    match host.invoke(event.into(), AUTHORIZER_TIME).await {
        Ok(result) => match parse_authorizer_result(&result) {
            Ok(result) => Verdict::Result(Arc::new(result)),
            Err(failure) => Verdict::Refused(failure.into()),
        },
        Err(InvokeError::Function { message, .. }) if message == "Unauthorized" => {
            Verdict::Refused(Failure::Unauthorized.into())
        }
        Err(error) => {
            tracing::warn!(function = %name, error = %error, "authorizer failed");
            Verdict::Refused(Failure::AuthorizerError.into())
        }
    }
}

/// What a verdict allows this very connect.
fn leave(
    snapshot: &Snapshot,
    config: &Authorizer,
    operation: &Operation,
    caller: Caller,
    asked: &Asked,
) -> Result<Leave, Refused> {
    match &asked.verdict {
        Verdict::Refused(refused) => Err(*refused),
        Verdict::Granted(grant) => {
            // A machine that slept has verdicts that are older than they look.
            if grant.deadline <= clock::epoch_seconds() {
                return Err(Denial::TokenExpired.into());
            }
            let ends = snapshot.settings.compat == Compat::Wsgate;
            Ok(Leave {
                authorized: Authorized {
                    principal_id: Some(grant.principal_id.clone()),
                    context: grant.context.clone(),
                },
                issued: Issued::of(grant, asked.asked_at),
                is_renewable: true,
                session_id: grant.session.clone(),
                deadline: ends.then_some(grant.deadline),
                protocol: None,
            })
        }
        Verdict::Result(result) => {
            let arn = method_arn(operation);
            check_policy(&result.policy, "execute-api:Invoke", &arn, caller)?;
            let deadline = session_end(snapshot, config, &result.authorized)?;
            Ok(Leave {
                authorized: result.authorized.clone(),
                issued: Issued::Asked(asked.asked_at),
                is_renewable: false,
                session_id: None,
                deadline,
                protocol: None,
            })
        }
    }
}

fn check_policy(policy: &Policy, action: &str, arn: &str, caller: Caller) -> Result<(), Refused> {
    let access = Access {
        action,
        resource: arn,
        source_ip: caller.source_ip,
        now: i64::try_from(clock::epoch_seconds()).unwrap_or(i64::MAX),
        secure_transport: caller.is_tls,
    };
    match Policy::evaluate([policy], &access) {
        PolicyVerdict::Allow => Ok(()),
        PolicyVerdict::ExplicitDeny => Err(Failure::PolicyDeny.into()),
        PolicyVerdict::ImplicitDeny => Err(Failure::PolicyNoMatch.into()),
    }
}

/// Longest session that a context key may announce: ten years.
const SESSION_END_MAX: u64 = 10 * 366 * 24 * 3600;

/// `[authorizers.NAME] session_end`: a context key with epoch seconds. A value
/// that is missing or out of range makes the handshake an error.
fn session_end(
    snapshot: &Snapshot,
    config: &Authorizer,
    authorized: &Authorized,
) -> Result<Option<u64>, Refused> {
    let settings = snapshot.settings.authorizers.get(&config.logical_id);
    let key = settings.and_then(|settings| settings.session_end.as_deref());
    let Some(key) = key.filter(|_| snapshot.settings.compat == Compat::Wsgate) else {
        return Ok(None);
    };
    let value = authorized.context.iter().find(|(name, _)| name == key);
    let seconds = value.and_then(|(_, text)| text.parse::<u64>().ok());
    let now = clock::epoch_seconds();
    match seconds.filter(|seconds| *seconds <= now + SESSION_END_MAX) {
        Some(seconds) if seconds <= now => Err(Failure::Unauthorized.into()),
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Failure::AuthorizerMalformed.into()),
    }
}
