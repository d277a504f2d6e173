//! The front door: what a request is, and who answers it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use session::Handshake;
use session::handshake::{BadRequest, Refusal};
use session::text::form_decode;
use tokio::sync::oneshot;
use websocket::handshake::{accept_key, is_key};

use crate::connect::{self, Accepted};
use crate::journal::Entry;
use crate::management::{self, Call};
use crate::router::Host;
use crate::server::Gateway;
use crate::snapshot::Snapshot;
use crate::stream::{Head, Stream};
use crate::{clock, id, sigv4, socket, ssm};

/// One client's HTTP connection.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) is_tls: bool,
    /// Whether the listener is that of functions on this machine.
    pub(crate) for_functions: bool,
    /// The first request's head as it came.
    pub(crate) head: Arc<Head>,
}

/// Answers one request.
pub(crate) async fn serve(
    door: Arc<Door>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let recorded = door.head.take();
    let response = answer(&door, request, recorded).await;
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        // The next request of this connection may be an upgrade.
        door.head.restart();
    }
    Ok(response)
}

async fn answer(
    door: &Arc<Door>,
    request: Request<Incoming>,
    recorded: Option<Vec<u8>>,
) -> Response<Full<Bytes>> {
    let snapshot = door.gateway.snapshot.load_full();
    if request.headers().get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
        return refuse(BadRequest::AuthorizationTwice.refusal());
    }
    let url = request.uri().path_and_query().map_or("/", |url| url.as_str());
    if snapshot.settings.limits.url_bytes < url.len() {
        return refuse(BadRequest::UrlTooLong.refusal());
    }
    if request.version() == Version::HTTP_10 && !is_upgrade(request.headers()) {
        // HTTP/1.0 has no Host; such a request can name no API.
        return management::forbidden();
    }
    let path = request.uri().path().to_owned();
    if door.for_functions && ssm::is_endpoint(&path) {
        return parameters(door, &snapshot, request).await;
    }
    let host = one_host(&request);
    let address = host.as_ref().and_then(|host| snapshot.router.find(host, &path, door.local));
    let (Some(host), Some(address)) = (host.clone(), address) else {
        return unknown(door, &request, host);
    };
    if management::is_management(address.rest) {
        return manage(door, &snapshot, &address.stage, address.rest, request).await;
    }
    if !is_upgrade(request.headers()) || !address.rest.is_empty() {
        return unknown(door, &request, Some(host));
    }
    if recorded.is_none() {
        return refuse(BadRequest::HeadTooLong.refusal());
    }
    if let Err(bad) = check_upgrade(&request) {
        return refuse(bad.refusal());
    }
    let source_ip =
        source_ip(door.peer.ip(), request.headers(), &snapshot.settings.listen.trusted_proxies);
    let asked = connect::Request {
        stage: address.stage,
        handshake: handshake(&request, recorded, source_ip),
        host: host.text,
        is_own_name: address.is_own_name,
        source_ip,
        is_tls: door.is_tls,
        port: door.local.port(),
    };
    upgrade(door, snapshot, asked, request).await
}

/// The only `Host`; none, two, a malformed one, or another than the request
/// target's ([RFC 9112 §3.2.2]) name nothing.
///
/// [RFC 9112 §3.2.2]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
fn one_host(request: &Request<Incoming>) -> Option<Host> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    let is_same = request.uri().authority().is_none_or(|target| target.as_str() == host);
    if hosts.next().is_some() || !is_same {
        return None;
    }
    Host::parse(host)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    tokens(headers, &header::UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"))
}

fn tokens<'h>(
    headers: &'h HeaderMap,
    name: &'h header::HeaderName,
) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The rules of [RFC 6455 §4.2.1], and no body.
///
/// [RFC 6455 §4.2.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
fn check_upgrade(request: &Request<Incoming>) -> Result<(), BadRequest> {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).iter().any(|value| value.as_bytes() != b"0");
    if has_body {
        return Err(BadRequest::Body);
    }
    let connects =
        tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !connects {
        return Err(BadRequest::Malformed);
    }
    if only(headers, "sec-websocket-version") != Some("13") {
        return Err(BadRequest::Version);
    }
    match only(headers, "sec-websocket-key") {
        Some(key) if is_key(key) => Ok(()),
        _ => Err(BadRequest::Malformed),
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Runs the handshake in a task of its own: a client that goes away while the
/// back end is asked must not leave it with a CONNECT and no DISCONNECT.
async fn upgrade(
    door: &Door,
    snapshot: Arc<Snapshot>,
    asked: connect::Request,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let gateway = Arc::clone(&door.gateway);
    if gateway.is_draining() {
        return refuse(Refusal {
            status: 503,
            headers: vec![("content-type", "application/json".to_owned())],
            body: br#"{"message":"Service Unavailable"}"#.to_vec(),
        });
    }
    let Some(accept) = only(request.headers(), "sec-websocket-key").map(accept_key) else {
        return refuse(BadRequest::Malformed.refusal());
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let (sender, receiver) = oneshot::channel();
    let owner = Arc::clone(&gateway);
    gateway.tasks.spawn(async move {
        // Boxed: what the handshake needs is freed when the connection is open.
        let outcome = Box::pin(connect::connect(&owner, &snapshot, asked)).await;
        drop(snapshot);
        let Accepted { protocol, slot, session } = match outcome {
            Ok(accepted) => accepted,
            Err(refusal) => return drop(sender.send(refuse(refusal))),
        };
        let waits = sender.send(switching(&accept, protocol)).is_ok();
        let transport = match waits {
            true => upgraded.await.ok().and_then(|io| io.downcast::<TokioIo<Stream>>().ok()),
            false => None,
        };
        match transport {
            Some(parts) => {
                let stream = parts.io.into_inner();
                socket::run(owner, stream, parts.read_buf.into(), slot, session).await;
            }
            None => socket::abandon(owner, slot, session).await,
        }
    });
    receiver.await.unwrap_or_else(|_| refuse(BadRequest::Malformed.refusal()))
}

/// The 101: exactly `date`, `connection`, `upgrade`, `sec-websocket-accept`, and
/// the subprotocol if there is one.
fn switching(accept: &[u8; 28], protocol: Option<String>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    let accept = header::HeaderValue::from_bytes(accept).expect("base64 is a header value");
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol.and_then(|protocol| protocol.parse().ok()) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// What authorizers and back ends may see of the request: the gateway's own
/// forwarding headers in place of the client's.
fn handshake(
    request: &Request<Incoming>,
    recorded: Option<Vec<u8>>,
    source_ip: IpAddr,
) -> Handshake {
    let lines = recorded.and_then(|bytes| recorded_headers(&bytes, request.headers().len()));
    let mut headers = lines.unwrap_or_else(|| {
        let text =
            |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let lines = request.headers().iter();
        lines.map(|(name, value)| (usual_casing(name.as_str()), text(value))).collect()
    });
    headers.retain(|(name, _)| !is_forwarding(name));
    headers.push(("X-Amzn-Trace-Id".to_owned(), id::trace_id(clock::epoch_ms())));
    headers.push(("X-Forwarded-For".to_owned(), source_ip.to_string()));
    // As on AWS, where clients only ever come by TLS on port 443.
    headers.push(("X-Forwarded-Port".to_owned(), "443".to_owned()));
    headers.push(("X-Forwarded-Proto".to_owned(), "https".to_owned()));
    let query = request.uri().query().unwrap_or_default();
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (form_decode(name), form_decode(value))
        })
        .collect();
    Handshake { headers, query }
}

/// Header lines as the client wrote them; `None` if the record is not of this
/// very request.
fn recorded_headers(bytes: &[u8], count: usize) -> Option<Vec<(String, String)>> {
    let mut lines = vec![httparse::EMPTY_HEADER; count];
    let mut parsed = httparse::Request::new(&mut lines);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) if parsed.headers.len() == count => {
            let line = |line: &httparse::Header<'_>| {
                (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned())
            };
            Some(parsed.headers.iter().map(line).collect())
        }
        _ => None,
    }
}

/// `sec-websocket-key` as browsers write it: `Sec-WebSocket-Key`.
fn usual_casing(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "websocket" => "WebSocket".to_owned(),
        word => {
            let mut chars = word.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            first.into_iter().chain(chars).collect()
        }
    });
    words.collect::<Vec<String>>().join("-")
}

fn is_forwarding(name: &str) -> bool {
    let starts_with = |prefix: &str| {
        let start = name.as_bytes().get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    ["forwarded", "x-real-ip"].iter().any(|own| name.eq_ignore_ascii_case(own))
        || ["x-forwarded-", "x-amzn-", "x-wsgate-"].into_iter().any(starts_with)
}

/// The client's address: the peer, or behind trusted proxies the rightmost
/// entry of `X-Forwarded-For` that is none of them.
fn source_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut nearest = peer;
    for entry in lines.iter().flat_map(|line| line.split(',')).rev() {
        let Ok(address) = entry.trim().parse::<IpAddr>() else { return nearest };
        let address = address.to_canonical();
        nearest = address;
        if !is_trusted(&address) {
            return address;
        }
    }
    nearest
}

async fn manage(
    door: &Door,
    snapshot: &Snapshot,
    stage: &api_model::api::Stage,
    rest: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let announced = only(&head.headers, "content-length").and_then(|text| text.parse().ok());
    if announced.is_some_and(|bytes: usize| management::PAYLOAD_BYTES_MAX < bytes) {
        return management::too_large();
    }
    let source_ip =
        source_ip(door.peer.ip(), &head.headers, &snapshot.settings.listen.trusted_proxies);
    // A stranger's body is not worth a buffer.
    if management::is_anonymous(snapshot, &head.headers, &head.uri, door.peer, door.local) {
        return management::missing_token();
    }
    let limits = &snapshot.settings.limits;
    let address_max = limits.handshakes_pending_per_address;
    let pass = door.gateway.uploads.enter(source_ip, limits.handshakes_pending, address_max);
    let Some(_pass) = pass else { return management::throttled() };
    let collected = Limited::new(body, management::PAYLOAD_BYTES_MAX).collect();
    let body = match tokio::time::timeout(limits.head_time, collected).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return management::too_large(),
        Ok(Err(_)) | Err(_) => return refuse(BadRequest::Malformed.refusal()),
    };
    let call = Call {
        stage,
        rest,
        method: &head.method,
        uri: &head.uri,
        headers: &head.headers,
        body: &body,
        peer: door.peer,
        local: door.local,
        source_ip,
        is_tls: door.is_tls,
    };
    management::handle(&door.gateway, snapshot, &call)
}

/// The SSM endpoint, for functions only.
async fn parameters(
    door: &Door,
    snapshot: &Snapshot,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let limits = &snapshot.settings.limits;
    let collected = Limited::new(body, ssm::QUESTION_BYTES_MAX).collect();
    let body = match tokio::time::timeout(limits.head_time, collected).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return management::too_large(),
        Ok(Err(_)) | Err(_) => return refuse(BadRequest::Malformed.refusal()),
    };
    let received = sigv4::Received {
        method: head.method.as_str(),
        raw_path: head.uri.path(),
        raw_query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: &body,
        now: i64::try_from(clock::epoch_seconds()).unwrap_or(i64::MAX),
    };
    let origin = ssm::Origin { source_ip: door.peer.ip(), is_tls: door.is_tls };
    snapshot.answer_ssm(&received, origin)
}

/// An address that leads to no API and stage.
fn unknown(door: &Door, request: &Request<Incoming>, host: Option<Host>) -> Response<Full<Bytes>> {
    let request_id = id::request_id();
    let query = request.uri().query().unwrap_or_default();
    let attempt = query.split('&').find_map(|pair| pair.strip_prefix("attempt=")).map(form_decode);
    door.gateway.journal.add(Entry {
        request_id: request_id.to_string(),
        time: clock::epoch_ms(),
        host: host.map(|host| host.text).unwrap_or_default(),
        attempt,
        status: 403,
        code: "address_unknown",
        rule: "host and path lead to no API and stage, or the request is no WebSocket upgrade"
            .to_owned(),
        path: vec!["router: unknown address".to_owned()],
    });
    refuse(Refusal::forbidden(&id::uuid(), request_id))
}

/// Turns a refusal into a response.
pub(crate) fn refuse(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(refusal.status);
    for (name, value) in refusal.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::from(refusal.body))
        .unwrap_or_else(|_| Response::new(Full::from("Internal server error")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_where_a_client_is() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let stranger: IpAddr = "203.0.113.9".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.1.1.1, 198.51.100.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        assert_eq!(source_ip(peer, &headers, &trusted).to_string(), "198.51.100.7");
        assert_eq!(source_ip(stranger, &headers, &trusted), stranger);
        assert_eq!(source_ip(peer, &headers, &[]), peer);
        headers.append("x-forwarded-for", "garbage".parse().unwrap());
        assert_eq!(source_ip(peer, &headers, &trusted), peer);
    }

    #[test]
    fn recorded_heads_keep_the_clients_casing() {
        let head = b"GET /dev HTTP/1.1\r\nHost: h\r\nX-Mixed-Header: a\r\ncookie: b\r\n\r\n";
        let lines = recorded_headers(head, 3).unwrap();
        assert_eq!(lines[1].0, "X-Mixed-Header");
        assert_eq!(lines[2], ("cookie".to_owned(), "b".to_owned()));
        assert_eq!(recorded_headers(head, 2), None);
        assert_eq!(recorded_headers(&head[..20], 3), None);
    }

    #[test]
    fn folded_names_get_the_browsers_casing() {
        assert_eq!(usual_casing("sec-websocket-key"), "Sec-WebSocket-Key");
        assert_eq!(usual_casing("cookie"), "Cookie");
    }
}
