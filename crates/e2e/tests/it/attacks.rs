//! The attacks that others fell for, each as a row of one table, tried on the real gateway, on the
//! real function, and on both in front of a back end that knows the sessions.
//!
//! An attack counts as repelled if the client gets the right status, the operator the right code,
//! nothing behind the authorizer hears of it, and nothing secret is written down.

mod cache;
mod forge;
mod review;
mod start;
mod table;

use std::net::TcpListener;

use serde_json::{Map, Value, json};

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::Message;
use crate::harness::runtime_api::{Lambda, Outcome};
use crate::harness::server::{Answer, Server};
use crate::harness::template;
use crate::harness::ws::Client;

use forge::World;
use table::{Attack, Want};

const ARN: &str = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/dev/$connect";

/// What a document needs to be less strict about origins.
const LENIENT: &str = "origin_absent = \"allow\"\norigin_wildcards = true\n\
    origins = [\"https://*.apps.example\", \"https://*.amazonaws.com\"]\n";

#[test]
fn tokens_on_the_wire() {
    let (world, trap) = (World::new(), Trap::set());
    let rows = table::tokens(&world, &trap.address());
    on_the_wire(&world, &world.document(), &rows, None);
    trap.expect_nobody();
    // Whatever a token names, the one address that is asked is the configured one.
    assert!(world.jwks.unread().iter().all(|request| request.start == "GET /keys HTTP/1.1"));
}

#[test]
fn tokens_as_events() {
    let (world, trap) = (World::new(), Trap::set());
    let rows = table::tokens(&world, &trap.address());
    as_events(&world, &world.document(), &rows, None);
    trap.expect_nobody();
    assert!(world.jwks.unread().iter().all(|request| request.start == "GET /keys HTTP/1.1"));
}

#[test]
fn carriers_on_the_wire() {
    let world = World::new();
    on_the_wire(&world, &world.document(), &table::carriers(&world), None);
}

#[test]
fn carriers_as_events() {
    let world = World::new();
    as_events(&world, &world.document(), &table::carriers(&world), None);
}

#[test]
fn carriers_under_delegate() {
    under_delegate("", table::carriers);
}

#[test]
fn csrf_on_the_wire() {
    let world = World::new();
    on_the_wire(&world, &world.document(), &table::csrf(&world), None);
}

#[test]
fn csrf_as_events() {
    let world = World::new();
    as_events(&world, &world.document(), &table::csrf(&world), None);
}

#[test]
fn csrf_under_delegate() {
    under_delegate("", table::csrf);
}

#[test]
fn origins_on_the_wire() {
    let world = World::new();
    on_the_wire(&world, &world.document(), &table::origins(&world), None);
    on_the_wire(&world, &lenient(&world.document()), &table::lenient(&world), None);
}

#[test]
fn origins_as_events() {
    let world = World::new();
    as_events(&world, &world.document(), &table::origins(&world), None);
    as_events(&world, &lenient(&world.document()), &table::lenient(&world), None);
}

#[test]
fn origins_under_delegate() {
    under_delegate("", table::origins);
    under_delegate(LENIENT, table::lenient);
}

/// Whoever sees lengths must not learn what stands beside his own text (CRIME, BREACH).
#[test]
fn compression_is_not_negotiated() {
    let world = World::new();
    let wire = Wire::start(&world, &world.document());
    let honest = table::page(&world);
    let mut headers = honest.headers.clone();
    let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    headers.push(("Sec-WebSocket-Extensions".to_owned(), offer.to_owned()));
    let target = target(&honest.query, "offer");
    let (answer, _client) = Client::open(wire.gateway.listen, &target, &headers).unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.header("Sec-WebSocket-Extensions"), None);
    wire.handler.next().expect("the back end is told of a connection");
    wire.finish(&world);
}

/// The document with [`LENIENT`] in place of its own list.
fn lenient(document: &str) -> String {
    let lines = document.lines().map(|line| match line.starts_with("origins = ") {
        true => LENIENT.trim_end(),
        false => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn under_delegate(more: &str, rows: fn(&World) -> Vec<Attack>) {
    let world = World::new();
    let double = delegate();
    let url = format!("http://{}/session", double.address);
    let mut document = world.delegate_document(&url, "");
    if !more.is_empty() {
        document = lenient(&document);
    }
    // Every grant asks anew, so that questions can be counted.
    document += "[authorizer.cache]\nttl = \"0s\"\n";
    let rows = rows(&world);
    on_the_wire(&world, &document, &rows, Some(&double));
    as_events(&world, &document, &rows, Some(&double));
}

/// A back end that knows every session: it takes the claims out of whatever token it is sent, and
/// does not check the signature.
fn delegate() -> Server {
    Server::start(|request| match claims_of(request) {
        Some(claims) => Answer::json(claims),
        None => Answer::Reply { status: 401, headers: Vec::new(), body: Vec::new() },
    })
}

fn claims_of(request: &Message) -> Option<Vec<u8>> {
    let cookie = request.header("cookie").and_then(|cookie| cookie.strip_prefix("JWT="));
    let bearer = || request.header("authorization")?.strip_prefix("Bearer ");
    forge::decode(cookie.or_else(bearer)?.split('.').nth(1)?)
}

/// How often a delegate is asked on the way to `want`. What depends on the session can only be
/// refused with its answer.
fn questions(want: Want) -> usize {
    match want {
        Want::Granted(_) | Want::Refused(_, "csrf_signature" | "csrf_session_missing") => 1,
        Want::Malformed(..) | Want::Refused(..) => 0,
    }
}

/// An address that tokens name and nobody may ask.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be made not to wait");
        Self(listener)
    }

    fn address(&self) -> String {
        self.0.local_addr().expect("a bound socket has an address").to_string()
    }

    #[track_caller]
    fn expect_nobody(&self) {
        assert!(self.0.accept().is_err(), "somebody asked at an address that a token named");
    }
}

/// A running gateway whose back end says yes to everybody who gets through.
struct Wire {
    gateway: Gateway,
    handler: Server,
}

impl Wire {
    fn start(world: &World, document: &str) -> Self {
        let handler = Server::start(|_| Answer::json(r#"{"statusCode":200}"#));
        let template = template::expand(
            "@lambda Handler\n@builtin Auth\n@authorizer Guard Auth\n@route $connect Handler auth=Guard\n",
        );
        let url = format!("[functions.Handler]\nurl = \"http://{}\"\n", handler.address);
        let setup = Setup {
            templates: vec![("case.yaml".to_owned(), template.text)],
            config: format!("{document}\n{url}"),
            environment: world.environment(),
            ..Setup::default()
        };
        let gateway = Gateway::start(&setup, world.secrets.clone())
            .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
        Self { gateway, handler }
    }

    /// Status for the client; then what the operator reads, or for whom the back end takes it.
    fn attempt(&self, attack: &Attack, name: &str) -> (u16, String) {
        let target = target(&attack.query, name);
        let opened = Client::open(self.gateway.listen, &target, &attack.headers);
        let (answer, _client) = opened.unwrap_or_else(|error| panic!("{}: {error}", attack.name));
        if answer.status() == 101 {
            let event = self.handler.next().expect("the back end is told of a connection");
            let event: Value = serde_json::from_slice(&event.body).expect("an event is JSON");
            return (101, text(&event["requestContext"]["authorizer"]["principalId"]));
        }
        self.gateway.secrets.capture("answer", &answer.text());
        let refusals = self.gateway.ask_admin(&format!("/refusals?attempt={name}"));
        let refusals: Value = serde_json::from_slice(&refusals.body).expect("refusals are JSON");
        let codes: Vec<_> =
            refusals.as_array().into_iter().flatten().map(|row| text(&row["code"])).collect();
        (answer.status(), codes.join(" "))
    }

    /// Ends the gateway and looks at what it wrote.
    fn finish(mut self, world: &World) {
        assert!(!self.gateway.stderr().contains("panicked"), "{}", self.gateway.stderr());
        assert!(self.gateway.stop().is_some_and(|status| status.success()), "it ends well");
        assert_eq!(world.secrets.leaks(), Vec::<String>::new());
        assert!(self.handler.unread().is_empty(), "the back end heard of a refused attempt");
    }
}

/// Tries `rows` on the gateway. With a delegate, all principals are the same Ada's.
#[track_caller]
fn on_the_wire(world: &World, document: &str, rows: &[Attack], delegate: Option<&Server>) {
    let wire = Wire::start(world, document);
    let mut wrong = Vec::new();
    for (n, attack) in rows.iter().enumerate() {
        let asked = delegate.map_or(0, |double| double.unread().len());
        let got = wire.attempt(attack, &format!("try-{n}"));
        let want = match attack.want {
            Want::Granted(_) if delegate.is_some() => (101, "app:ada".to_owned()),
            Want::Granted(principal) => (101, principal.to_owned()),
            Want::Malformed(..) => (400, String::new()),
            Want::Refused(status, code) => (status, code.to_owned()),
        };
        if got != want {
            wrong.push(format!("{}: {got:?} instead of {want:?}", attack.name));
        }
        check_questions(attack, delegate, asked, &mut wrong);
    }
    assert!(wrong.is_empty(), "on the wire:\n{}", wrong.join("\n"));
    wire.finish(world);
}

/// Sends `rows` to the function as API Gateway would.
#[track_caller]
fn as_events(world: &World, document: &str, rows: &[Attack], delegate: Option<&Server>) {
    let mut environment = world.environment();
    environment.push(("WSGATE_AUTHORIZER_TOML".to_owned(), document.to_owned()));
    let mut lambda = Lambda::start(&environment)
        .unwrap_or_else(|refused| panic!("bootstrap did not start:\n{}", refused.log));
    let mut wrong = Vec::new();
    for attack in rows {
        let asked = delegate.map_or(0, |double| double.unread().len());
        let outcome = lambda.invoke(&event(attack).to_string());
        world.secrets.capture("answer", &format!("{outcome:?}"));
        let want = match attack.want {
            Want::Granted(_) if delegate.is_some() => "Allow app:ada".to_owned(),
            Want::Granted(principal) => format!("Allow {principal}"),
            Want::Malformed(401, _) | Want::Refused(401, _) => "Unauthorized".to_owned(),
            Want::Malformed(..) | Want::Refused(..) => "Deny anonymous".to_owned(),
        };
        let got = verdict(&outcome);
        if got != want {
            wrong.push(format!("{}: {got} instead of {want}", attack.name));
        }
        check_questions(attack, delegate, asked, &mut wrong);
    }
    let log = lambda.log();
    for (attack, code) in rows.iter().zip(codes(&log, rows.len())) {
        let want = match attack.want {
            Want::Granted(_) => None,
            Want::Malformed(_, code) | Want::Refused(_, code) => Some(code),
        };
        if code.as_deref() != want {
            wrong.push(format!("{}: logged {code:?} instead of {want:?}", attack.name));
        }
    }
    assert!(wrong.is_empty(), "as events:\n{}", wrong.join("\n"));
    assert!(!log.contains("panicked"), "{log}");
    world.secrets.capture("log of bootstrap", &log);
    assert_eq!(world.secrets.leaks(), Vec::<String>::new());
}

fn check_questions(
    attack: &Attack,
    delegate: Option<&Server>,
    before: usize,
    wrong: &mut Vec<String>,
) {
    let Some(double) = delegate else { return };
    let (asked, want) = (double.unread().len() - before, questions(attack.want));
    if asked != want {
        wrong.push(format!("{}: the delegate was asked {asked} times", attack.name));
    }
}

/// `/dev` with `attempt` and the query of an attack.
fn target(query: &[(String, String)], attempt: &str) -> String {
    let mut target = format!("/dev?attempt={attempt}");
    for (name, value) in query {
        target += &format!("&{}={}", percent(name), percent(value));
    }
    target
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one =
        |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The event of API Gateway: multi-value maps with all, single-value maps with the last.
fn event(attack: &Attack) -> Value {
    let mut headers = vec![
        ("Host".to_owned(), "ws.example.com".to_owned()),
        ("Sec-WebSocket-Version".to_owned(), "13".to_owned()),
        ("X-Forwarded-For".to_owned(), "203.0.113.7".to_owned()),
    ];
    headers.extend(attack.headers.iter().cloned());
    json!({
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": last(&headers),
        "multiValueHeaders": all(&headers),
        "queryStringParameters": last(&attack.query),
        "multiValueQueryStringParameters": all(&attack.query),
        "stageVariables": {},
        "requestContext": {
            "routeKey": "$connect", "eventType": "CONNECT", "messageDirection": "IN",
            "stage": "dev", "apiId": "a1b2c3d4e5", "domainName": "ws.example.com",
            "connectionId": "L0SM9cOFvHcCIhw=", "requestId": "L0SM9GtoSPYFSrA=",
            "extendedRequestId": "L0SM9GtoSPYFSrA=", "connectedAt": 1795185289500_u64,
            "requestTime": "20/Nov/2026:14:34:49 +0000", "requestTimeEpoch": 1795185289501_u64,
            "identity": { "sourceIp": "203.0.113.7", "userAgent": "test" },
        },
    })
}

fn last(lines: &[(String, String)]) -> Map<String, Value> {
    lines.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

fn all(lines: &[(String, String)]) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in lines {
        let values = map.entry(name.clone()).or_insert_with(|| json!([]));
        values.as_array_mut().expect("a list was put there").push(value.as_str().into());
    }
    map
}

/// What API Gateway makes of the function's answer.
fn verdict(outcome: &Outcome) -> String {
    let answer = match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Error { body, .. } => return text(&body["errorMessage"]),
    };
    let statements = answer["policyDocument"]["Statement"].as_array();
    let Some([one]) = statements.map(Vec::as_slice) else { return answer.to_string() };
    if one["Resource"] != ARN || one["Action"] != "execute-api:Invoke" {
        return format!("a policy for something else: {one}");
    }
    format!("{} {}", text(&one["Effect"]), text(&answer["principalId"]))
}

/// The code that was logged for each of `count` invocations, whose ids end in their number.
fn codes(log: &str, count: usize) -> Vec<Option<String>> {
    let mut codes = vec![None; count];
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let number = line["request_id"].as_str().and_then(|id| id.rsplit('-').next());
        let number = number.and_then(|number| usize::from_str_radix(number, 16).ok());
        let code = number.and_then(|number| codes.get_mut(number.checked_sub(1)?));
        if let (Some(code), Some(said)) = (code, line["code"].as_str()) {
            *code = Some(said.to_owned());
        }
    }
    codes
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
