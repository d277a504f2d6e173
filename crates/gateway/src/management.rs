//! `@connections` and `@principals` ([callback API]).
//!
//! Order of checks: size, address, signature, id, permission, liveness
//! (signature before id is unconfirmed on AWS).
//!
//! [callback API]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api_model::Compat;
use api_model::api::{Function, Stage};
use api_model::policy::{Access, Policy, Verdict};
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use http_body_util::Full;
use session::CloseCause;

use crate::authorize::tag;
use crate::clock;
use crate::id;
use crate::local;
use crate::registry::Pushed;
use crate::router::decode_segment;
use crate::server::Gateway;
use crate::settings::{ManagementAuth, ManagementKey};
use crate::sigv4;
use crate::snapshot::Snapshot;
use crate::ssm;

/// Largest payload of a POST ([quotas]): 128 KB.
///
/// [quotas]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
pub(crate) const PAYLOAD_BYTES_MAX: usize = 128 * 1024;

/// A management call whose address leads to a stage.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) stage: &'a Stage,
    /// What follows the stage: `@connections/ID`.
    pub(crate) rest: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The client behind trusted proxies.
    pub(crate) source_ip: IpAddr,
    pub(crate) is_tls: bool,
}

/// Whether a path below a stage is a management path, in either spelling of `@`.
pub(crate) fn is_management(rest: &str) -> bool {
    rest.split('/').any(|segment| {
        let segment = decode_segment(segment);
        segment == "@connections" || segment == "@principals"
    })
}

/// The answer to a payload over the limit: an outer layer's, without AWS's headers.
pub(crate) fn too_large() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}

/// Whether a request carries no signature where one is needed.
pub(crate) fn is_anonymous(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    uri: &Uri,
    peer: SocketAddr,
    local: SocketAddr,
) -> bool {
    let is_signed = headers.contains_key(http::header::AUTHORIZATION)
        || uri.query().is_some_and(|query| query.contains("X-Amz-Signature="));
    !is_signed && !needs_no_signature(snapshot, peer, local)
}

fn needs_no_signature(snapshot: &Snapshot, peer: SocketAddr, local: SocketAddr) -> bool {
    let is_local = peer.ip().is_loopback() && local.ip().is_loopback();
    snapshot.settings.management.auth == ManagementAuth::Off && is_local
}

/// The answer to a call without signature.
pub(crate) fn missing_token() -> Response<Full<Bytes>> {
    let refusal = sigv4::Refusal::MissingAuthenticationToken;
    signature_refused(&refusal)
}

fn signature_refused(refusal: &sigv4::Refusal) -> Response<Full<Bytes>> {
    let message = serde_json::to_string(&refusal.message()).expect("text serialises");
    error(403, refusal.error_type(), format!(r#"{{"message":{message}}}"#))
}

/// The answer when a bucket, or the number of calls at once, is exhausted.
pub(crate) fn throttled() -> Response<Full<Bytes>> {
    error(429, "LimitExceededException", String::new())
}

/// What a path names.
enum Target {
    Connection(String),
    Principal(String),
}

/// Handles a call.
pub(crate) fn handle(
    gateway: &Arc<Gateway>,
    snapshot: &Snapshot,
    call: &Call<'_>,
) -> Response<Full<Bytes>> {
    let Some(target) = target(snapshot, call) else { return no_method(call) };
    let caller = match authenticate(snapshot, call) {
        Ok(caller) => caller,
        Err(response) => return *response,
    };
    if !snapshot.admit_request(clock::uptime()) {
        return throttled();
    }
    match target {
        Target::Connection(id) => {
            if !gateway.ids.is_valid(&id) {
                let id = serde_json::to_string(&format!("Invalid connectionId: {id}"))
                    .expect("text serialises");
                return error(400, "BadRequestException", format!(r#"{{"message":{id}}}"#));
            }
            let resource =
                format!("{}/{}/@connections/{{connectionId}}", call.stage.name, call.method);
            match permit(&caller, call, MANAGE_CONNECTIONS, &resource) {
                Ok(()) => connection(gateway, snapshot, call, &id),
                Err(response) => *response,
            }
        }
        Target::Principal(principal_id) => {
            let resource =
                format!("{}/{}/@principals/{{principalId}}", call.stage.name, call.method);
            match permit(&caller, call, "wsgate:ClosePrincipal", &resource) {
                Ok(()) => principal(gateway, call, &principal_id),
                Err(response) => *response,
            }
        }
    }
}

fn target(snapshot: &Snapshot, call: &Call<'_>) -> Option<Target> {
    let (kind, id) = call.rest.split_once('/')?;
    if id.is_empty() || id.contains('/') {
        return None;
    }
    let id = decode_segment(id);
    match decode_segment(kind).as_str() {
        "@connections" => {
            let known = matches!(*call.method, Method::POST | Method::GET | Method::DELETE);
            known.then_some(Target::Connection(id))
        }
        "@principals" => {
            let known =
                *call.method == Method::DELETE && snapshot.settings.compat == Compat::Wsgate;
            known.then_some(Target::Principal(id))
        }
        _ => None,
    }
}

/// Who makes a call.
enum Caller<'s> {
    /// Somebody on this machine, where calls need no signature.
    Anybody,
    /// Who holds a configured key.
    Key(&'s ManagementKey),
    /// A function on this machine; where several share a key, any of them.
    Functions(Vec<&'s Function>),
}

/// Who signed the call, if it must be signed.
fn authenticate<'s>(
    snapshot: &'s Snapshot,
    call: &Call<'_>,
) -> Result<Caller<'s>, Box<Response<Full<Bytes>>>> {
    let management = &snapshot.settings.management;
    if needs_no_signature(snapshot, call.peer, call.local) {
        return match local::check(call.headers) {
            Ok(()) => Ok(Caller::Anybody),
            Err(_) => Err(Box::new(forbidden())),
        };
    }
    let received = sigv4::Received {
        method: call.method.as_str(),
        raw_path: call.uri.path(),
        raw_query: call.uri.query().unwrap_or_default(),
        headers: call.headers,
        body: call.body,
        now: i64::try_from(clock::epoch_seconds()).unwrap_or(i64::MAX),
    };
    let scope = sigv4::Scope { region: &call.stage.api.region, service: "execute-api" };
    let is_local = is_from_here(call.peer, call.local, call.headers);
    let mut caller = None;
    let find = |id: &str| {
        let configured = management.keys.iter().find(|key| key.key.id == id);
        let (who, key) = match configured {
            Some(key) => (Caller::Key(key), &key.key),
            None => {
                let (functions, key) = snapshot.signers(id).filter(|_| is_local)?;
                (Caller::Functions(functions), key)
            }
        };
        caller = Some(who);
        Some(key)
    };
    match sigv4::verify(&received, scope, find) {
        Ok(_) => Ok(caller.expect("a signature is verified with a key that was found")),
        Err(refusal) => Err(Box::new(signature_refused(&refusal))),
    }
}

/// Whether a request comes from this machine itself: beyond it the keys of functions are worth
/// nothing, and what a proxy here hands on may come from anywhere.
fn is_from_here(peer: SocketAddr, local: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().is_loopback() && local.ip().is_loopback() && !local::is_proxied(headers)
}

/// Whether the caller's policies allow the call. A key without a policy may make every call; a
/// function whose role is not in the templates may manage the connections of its stack's APIs.
/// What several functions may be behind must be allowed to each.
fn permit(
    caller: &Caller<'_>,
    call: &Call<'_>,
    action: &str,
    resource: &str,
) -> Result<(), Box<Response<Full<Bytes>>>> {
    let api = &call.stage.api;
    match caller {
        Caller::Anybody => Ok(()),
        Caller::Key(key) => {
            let Some(policy) = &key.policy else { return Ok(()) };
            let user = format!("arn:{}:iam::{}:user/{}", api.partition, api.account_id, key.key.id);
            evaluate(std::slice::from_ref(policy), &user, call, action, resource)
        }
        Caller::Functions(functions) => functions.iter().try_for_each(|function| {
            let policies = match &function.policies {
                Some(policies) => policies.as_slice(),
                None if action == MANAGE_CONNECTIONS && function.stack == api.stack => {
                    return Ok(());
                }
                None => &[],
            };
            evaluate(policies, &ssm::user_of(function), call, action, resource)
        }),
    }
}

fn evaluate(
    policies: &[Policy],
    user: &str,
    call: &Call<'_>,
    action: &str,
    resource: &str,
) -> Result<(), Box<Response<Full<Bytes>>>> {
    let api = &call.stage.api;
    let arn = api.execute_arn(resource);
    let access = Access {
        action,
        resource: &arn,
        source_ip: call.source_ip,
        now: i64::try_from(clock::epoch_seconds()).unwrap_or(i64::MAX),
        secure_transport: call.is_tls,
    };
    let because = match Policy::evaluate(policies, &access) {
        Verdict::Allow => return Ok(()),
        Verdict::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
        Verdict::ImplicitDeny => {
            format!("because no identity-based policy allows the {action} action")
        }
    };
    let tail = &api.account_id[api.account_id.len().saturating_sub(4)..];
    let masked = arn.replace(&format!(":{}:", api.account_id), &format!(":********{tail}:"));
    let message = format!(
        "User: {user} is not authorized to perform: {action} on resource: {masked} {because}"
    );
    let message = serde_json::to_string(&message).expect("text serialises");
    Err(Box::new(error(403, "AccessDeniedException", format!(r#"{{"Message":{message}}}"#))))
}

const MANAGE_CONNECTIONS: &str = "execute-api:ManageConnections";

fn connection(
    gateway: &Gateway,
    snapshot: &Snapshot,
    call: &Call<'_>,
    id: &str,
) -> Response<Full<Bytes>> {
    // An id is known to every stage of its own API, and to no other API.
    let slot = gateway
        .registry
        .find(id)
        .filter(|slot| slot.connection.api_id == call.stage.api.api_id && !slot.is_closing());
    let Some(slot) = slot else { return handled(410, Some("GoneException"), String::new()) };
    match *call.method {
        Method::GET => handled(200, None, describe(&slot.connection, slot.last_active())),
        Method::DELETE => {
            slot.close(CloseCause::Deleted);
            handled(204, None, String::new())
        }
        _ => {
            let text = String::from_utf8_lossy(call.body);
            let mut frame = Vec::with_capacity(text.len() + 10);
            websocket::write::text(&mut frame, &text);
            match slot.push(&frame, snapshot.settings.limits.queue_bytes) {
                Pushed::Taken => {
                    slot.touch(clock::epoch_ms());
                    handled(200, None, String::new())
                }
                Pushed::Gone => handled(410, Some("GoneException"), String::new()),
                Pushed::Full => handled(429, Some("LimitExceededException"), String::new()),
            }
        }
    }
}

/// Closes every connection of a principal, or of one session of it (`?sid=`),
/// and refuses what was issued before.
fn principal(gateway: &Gateway, call: &Call<'_>, principal_id: &str) -> Response<Full<Bytes>> {
    let api_id = &call.stage.api.api_id;
    let query = call.uri.query().unwrap_or_default();
    let session_id = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name == "sid").then(|| session::text::form_decode(value))
    });
    let session_id = session_id.as_deref();
    gateway.revocations.revoke(api_id, principal_id, session_id, clock::epoch_seconds());
    gateway.cache.forget(&tag(api_id, principal_id));
    let slots = gateway.registry.select(|slot| {
        let principal = slot.connection.authorizer.as_ref().and_then(|a| a.principal_id.as_deref());
        slot.connection.api_id == *api_id
            && principal == Some(principal_id)
            && session_id.is_none_or(|wanted| slot.session_id.as_deref() == Some(wanted))
    });
    let closed = slots.iter().filter(|slot| slot.close(CloseCause::Deleted)).count();
    tracing::info!(api_id, closed, "principal revoked");
    handled(204, None, String::new())
}

/// The description in the service's byte layout.
fn describe(connection: &session::Connection, last_active: u64) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("text serialises");
    let mut identity = format!("    \"sourceIp\" : {}", text(&connection.source_ip));
    if let Some(agent) = &connection.user_agent {
        identity = format!("{identity},\n    \"userAgent\" : {}", text(agent));
    }
    format!(
        "{{\n  \"identity\" : {{\n{identity}\n  }},\n  \"connectedAt\" : \"{}\",\n  \"lastActiveAt\" : \"{}\"\n}}",
        iso_time(connection.connected_at),
        iso_time(last_active)
    )
}

fn iso_time(epoch_ms: u64) -> String {
    let millis = i64::try_from(epoch_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// An answer of the connection handler: with a trace id.
fn handled(status: u16, error_type: Option<&'static str>, body: String) -> Response<Full<Bytes>> {
    let mut response = answer(status, error_type, body);
    let trace = id::trace_id(clock::epoch_ms()).parse().expect("a trace id is a header value");
    response.headers_mut().insert("x-amzn-trace-id", trace);
    response
}

/// An answer from before the connection handler: without a trace id.
fn error(status: u16, error_type: &'static str, body: String) -> Response<Full<Bytes>> {
    answer(status, Some(error_type), body)
}

/// 403 for an address or caller that leads nowhere.
pub(crate) fn forbidden() -> Response<Full<Bytes>> {
    error(403, "ForbiddenException", r#"{"message":"Forbidden"}"#.to_owned())
}

/// A path that is no management call (status unconfirmed on AWS).
fn no_method(call: &Call<'_>) -> Response<Full<Bytes>> {
    let path = call.uri.path().trim_start_matches('/');
    let message = format!("No method found matching route {path} for http method {}.", call.method);
    let message = serde_json::to_string(&message).expect("text serialises");
    error(404, "NotFoundException", format!(r#"{{"message":{message}}}"#))
}

fn answer(status: u16, error_type: Option<&'static str>, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-requestid", id::uuid())
        .header("x-amz-apigw-id", id::request_id().as_str());
    if let Some(error_type) = error_type {
        response = response.header("x-amzn-errortype", error_type);
    }
    response.body(Full::from(body)).expect("status and headers are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_hands_on_does_not_come_from_here() {
        let from_here = |peer: &str, local: &str, header: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(header),
                http::HeaderValue::from_static("198.51.100.7"),
            )]);
            is_from_here(peer.parse().unwrap(), local.parse().unwrap(), &headers)
        };
        assert!(from_here("127.0.0.1:5", "127.0.0.1:8080", "host"));
        assert!(from_here("[::1]:5", "[::1]:8080", "host"));
        assert!(!from_here("192.0.2.1:5", "127.0.0.1:8080", "host"));
        assert!(!from_here("127.0.0.1:5", "192.0.2.1:8080", "host"));
        for header in ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via"] {
            assert!(!from_here("127.0.0.1:5", "127.0.0.1:8080", header), "{header}");
        }
    }
}
