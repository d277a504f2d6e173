//! What strangers send: a clear error or close for them, nothing for anyone else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, exchange};
use crate::harness::http::{Wire, request_bytes};
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::template;
use crate::harness::ws::{Client, Frame, Incoming, KEY, head_bytes, upgrade_headers};

/// How much one stranger may make the gateway grow, in KiB of resident memory.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

/// A gateway that echoes, with a well-behaved client on it.
struct World {
    gateway: Gateway,
    function: Server,
    witness: Client,
}

impl World {
    fn start() -> Self {
        Self::with("")
    }

    /// The function `Handler` echoes; a message `hang`, `die` or `flood` makes it do so.
    fn with(config: &str) -> Self {
        let function = Server::start(|request| {
            let event: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            match event["body"].as_str() {
                Some("die") => Answer::DieMidway,
                Some("flood") => Answer::Endless(10_000_000_000),
                Some("hang") => Answer::Hang,
                _ => {
                    let body = json!({ "statusCode": 200, "body": event["body"] });
                    Answer::json(body.to_string())
                }
            }
        });
        let template = template::expand(
            "@lambda Handler\n@route $connect Handler\n@route $default Handler two-way\n",
        );
        let setup = Setup {
            templates: vec![("case.yaml".to_owned(), template.text)],
            config: format!(
                "{config}\n[functions.Handler]\nurl = \"http://{}\"\n",
                function.address
            ),
            ..Setup::default()
        };
        let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
            .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
        let witness = open(&gateway);
        Self { gateway, function, witness }
    }

    /// Sends `bytes` on a connection of its own and reads to its end.
    fn shout(&self, bytes: &[u8]) -> String {
        let mut wire = Wire::connect(self.gateway.listen).unwrap();
        // The answer may come, and the connection end, before all is written.
        let _ = wire.write(bytes);
        String::from_utf8_lossy(&wire.read_to_end().unwrap()).into_owned()
    }

    /// Sends an upgrade that differs from a good one by `headers`, and `after` in the same write.
    fn upgrade(&self, method: &str, headers: &[(&str, &str)], after: &[u8]) -> String {
        let mut bytes = self.upgrade_bytes(method, headers);
        bytes.extend_from_slice(after);
        let mut wire = Wire::connect(self.gateway.listen).unwrap();
        wire.write(&bytes).unwrap();
        let answer = wire.read_response().unwrap();
        answer.map_or(String::new(), |answer| format!("{} {:?}", answer.start, answer.headers))
    }

    fn upgrade_bytes(&self, method: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let headers = owned(headers);
        let all = upgrade_headers(self.gateway.listen, &headers);
        let mut head = format!("{method} /dev HTTP/1.1\r\n");
        for (name, value) in all {
            head += &format!("{name}: {value}\r\n");
        }
        format!("{head}\r\n").into_bytes()
    }

    /// Everybody else is served as before.
    #[track_caller]
    fn assert_others_are_served(&mut self) {
        echo(&mut self.witness, "still here");
        echo(&mut open(&self.gateway), "and newcomers too");
        let noise = self.gateway.stderr();
        assert!(!noise.contains("panicked"), "the gateway panicked:\n{noise}");
    }

    /// Resident memory in KiB, where the system tells.
    fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    #[track_caller]
    fn assert_grew_little_since(&self, before: Option<u64>) {
        if let (Some(before), Some(now)) = (before, self.resident_kib()) {
            let growth = now.saturating_sub(before);
            assert!(growth < GROWTH_KIB_MAX, "resident memory grew by {growth} KiB");
        }
    }
}

fn open(gateway: &Gateway) -> Client {
    let (answer, client) = Client::open(gateway.listen, "/dev", &[]).unwrap();
    client.unwrap_or_else(|| panic!("refused: {} {}", answer.start, answer.text()))
}

#[track_caller]
fn echo(client: &mut Client, text: &str) {
    client.send_text(text).unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Text(text.to_owned()));
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The answer is a refusal of the client's making, or the connection just ended.
#[track_caller]
fn assert_refused(answer: &str) {
    let refusal = ["HTTP/1.1 4", "HTTP/1.0 4"].iter().any(|start| answer.starts_with(start));
    let fine = answer.is_empty() || refusal;
    assert!(fine, "not a refusal: {answer}");
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}

#[test]
fn garbage_is_refused() {
    let mut world = World::with("[limits]\nhead_time = \"2s\"\n");
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let lines = b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n".as_slice();
    let tls_less = [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x00].as_slice();
    let null = b"GET /dev HTTP/1.1\r\nHost: \0\r\n\r\n".as_slice();
    let folded = b"GET /dev HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n".as_slice();
    for bytes in [noise.as_slice(), lines, null, folded] {
        let answer = world.shout(&[bytes, b"\r\n\r\n"].concat());
        assert_refused(&answer);
    }
    // A TLS record: an alert is as good as an end.
    let answer = world.shout(tls_less);
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    world.assert_others_are_served();
}

#[test]
fn half_a_head_is_given_up() {
    let mut world = World::with("[limits]\nhead_time = \"1s\"\n");
    let answer = world.shout(b"GET /dev HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    assert_refused(&answer);
    world.assert_others_are_served();
}

#[test]
fn many_half_heads_keep_nobody_out() {
    let mut world = World::start();
    let mut waiting = Vec::new();
    for _ in 0..48 {
        let mut wire = Wire::connect(world.gateway.listen).unwrap();
        wire.write(b"GET /dev HTTP/1.1\r\nX-Slow: ").unwrap();
        waiting.push(wire);
    }
    world.assert_others_are_served();
}

#[test]
fn too_large_a_head_is_refused() {
    let mut world = World::start();
    let before = world.resident_kib();
    let long = "x".repeat(100 * 1024);
    let answer = world.shout(&world.upgrade_bytes("GET", &[("X-Long", &long)]));
    assert_refused(&answer);
    let many: String = (0..4000).map(|n| format!("X-{n}: some value or other\r\n")).collect();
    let answer = world.shout(format!("GET /dev HTTP/1.1\r\n{many}\r\n").as_bytes());
    assert_refused(&answer);
    let endless = "y".repeat(1024 * 1024);
    assert_refused(&world.shout(endless.as_bytes()));
    world.assert_grew_little_since(before);
    world.assert_others_are_served();
}

#[test]
fn only_a_get_of_http_1_1_upgrades() {
    let mut world = World::start();
    for method in ["POST", "PUT", "OPTIONS", "CONNECT", "get"] {
        assert_refused(&world.upgrade(method, &[], b""));
    }
    let old = String::from_utf8(world.upgrade_bytes("GET", &[])).unwrap();
    assert_refused(&world.shout(old.replace("HTTP/1.1", "HTTP/1.0").as_bytes()));
    assert!(!world.shout(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("HTTP/1.1 101"));
    world.assert_others_are_served();
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    let mut world = World::start();
    for version in ["8", "0", "14", "13, 8", "x"] {
        let answer = world.upgrade("GET", &[("Sec-WebSocket-Version", version)], b"");
        assert_status(&answer, 426);
        let told = answer.to_ascii_lowercase();
        assert!(told.contains(r#"("sec-websocket-version", "13")"#), "{answer}");
    }
    world.assert_others_are_served();
}

#[test]
fn a_malformed_upgrade_is_refused() {
    let mut world = World::start();
    for headers in [
        [("Sec-WebSocket-Key", "dG9vIHNob3J0")].as_slice(),
        &[("Sec-WebSocket-Key", "not base64 at all!!!!!!!")],
        &[("Sec-WebSocket-Key", "q0x2Jm1oY2hhbGxlbmdlMTIzNDU2Nzg5MA==")],
        &[("Upgrade", "h2c")],
        &[("Connection", "keep-alive")],
        &[("Connection", "close")],
    ] {
        assert_refused(&world.upgrade("GET", headers, b""));
    }
    world.assert_others_are_served();
}

#[test]
fn an_upgrade_has_no_body() {
    let mut world = World::start();
    let chunked = [("Transfer-Encoding", "chunked")];
    assert_status(&world.upgrade("GET", &chunked, b"5\r\nhello\r\n0\r\n\r\n"), 400);
    assert_status(&world.upgrade("GET", &[("Content-Length", "5")], b"hello"), 400);
    let both = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
    assert_status(&world.upgrade("GET", &both, b"0\r\n\r\n"), 400);
    // An empty body is none.
    assert_status(&world.upgrade("GET", &[("Content-Length", "0")], b""), 101);
    world.assert_others_are_served();
}

#[test]
fn frames_sent_before_the_101_are_refused_or_served_but_not_lost() {
    let mut world = World::start();
    let early = Frame::new(1, "early").encode();
    let mut wire = Wire::connect(world.gateway.listen).unwrap();
    wire.write(&[world.upgrade_bytes("GET", &[]), early].concat()).unwrap();
    let answer = wire.read_response().unwrap().unwrap();
    if answer.status() == 101 {
        let mut client = Client::over(wire);
        assert_eq!(client.receive().unwrap(), Incoming::Text("early".to_owned()));
    } else {
        assert_eq!(answer.status(), 400);
    }
    world.assert_others_are_served();
}

#[test]
fn a_header_that_must_be_single_is_refused_twice() {
    let mut world = World::start();
    let host = world.gateway.listen.to_string();
    for twice in [
        [("Host", host.as_str()), ("Host", "evil.example")].as_slice(),
        &[("Host", "evil.example"), ("Host", host.as_str())],
        &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
        &[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")],
        &[("Authorization", "a"), ("Authorization", "a")],
    ] {
        assert_refused(&world.upgrade("GET", twice, b""));
    }
    world.assert_others_are_served();
}

#[test]
fn a_frame_of_ten_gigabytes_closes_before_its_payload() {
    let mut world = World::start();
    let before = world.resident_kib();
    for length in [10_000_000_000, u64::MAX >> 1] {
        let mut client = open(&world.gateway);
        client.send_raw(&head_bytes(true, 0, 1, true, length)).unwrap();
        let closed = client.receive().unwrap();
        assert!(matches!(closed, Incoming::Close(Some(1009), _)), "{closed:?}");
    }
    // The highest bit of a length must be zero (RFC 6455 §5.2).
    let mut client = open(&world.gateway);
    client.send_raw(&head_bytes(true, 0, 1, true, u64::MAX)).unwrap();
    let closed = client.receive().unwrap();
    assert!(matches!(closed, Incoming::Close(Some(1002 | 1009), _)), "{closed:?}");
    world.assert_grew_little_since(before);
    world.assert_others_are_served();
}

#[test]
fn violations_of_framing_close_1002() {
    let mut world = World::start();
    let frame = |opcode: u8, change: &dyn Fn(&mut Frame)| {
        let mut frame = Frame::new(opcode, "x");
        change(&mut frame);
        frame.encode()
    };
    for (what, bytes) in [
        ("reserved bit 1", frame(1, &|f| f.rsv = 4)),
        ("reserved bit 2", frame(1, &|f| f.rsv = 2)),
        ("reserved bit 3", frame(9, &|f| f.rsv = 1)),
        ("unmasked", frame(1, &|f| f.masked = false)),
        ("reserved opcode 3", frame(3, &|_| {})),
        ("reserved opcode 11", frame(11, &|_| {})),
        ("continuation of nothing", frame(0, &|_| {})),
        ("fragmented ping", frame(9, &|f| f.fin = false)),
        ("large ping", frame(9, &|f| f.payload = vec![0; 126])),
        ("close of one byte", frame(8, &|_| {})),
        ("text within text", [frame(1, &|f| f.fin = false), frame(1, &|_| {})].concat()),
    ] {
        let mut client = open(&world.gateway);
        client.send_raw(&bytes).unwrap();
        let closed = client.receive().unwrap();
        assert!(matches!(closed, Incoming::Close(Some(1002), _)), "{what}: {closed:?}");
    }
    world.assert_others_are_served();
}

#[test]
fn invalid_utf8_across_fragments_closes_1007() {
    let mut world = World::start();
    for (first, second) in [(b"\xe2\x82".as_slice(), b"x".as_slice()), (b"ok", b"\xff")] {
        let mut client = open(&world.gateway);
        let mut start = Frame::new(1, first);
        start.fin = false;
        client.send(&start).unwrap();
        client.send(&Frame::new(0, second)).unwrap();
        let closed = client.receive().unwrap();
        assert!(matches!(closed, Incoming::Close(Some(1007), _)), "{closed:?}");
    }
    // A character cut in two is none the worse for it.
    let mut client = open(&world.gateway);
    let mut start = Frame::new(1, b"\xe2\x82".as_slice());
    start.fin = false;
    client.send(&start).unwrap();
    client.send(&Frame::new(0, b"\xac".as_slice())).unwrap();
    assert_eq!(client.receive().unwrap(), Incoming::Text("€".to_owned()));
    world.assert_others_are_served();
}

#[test]
fn a_million_empty_fragments_come_to_an_end() {
    let mut world = World::start();
    let before = world.resident_kib();
    let mut client = open(&world.gateway);
    let mut start = Frame::new(1, "");
    start.fin = false;
    client.send(&start).unwrap();
    let mut next = Frame::new(0, "");
    next.fin = false;
    let thousand = next.encode().repeat(1000);
    let refused = (0..1000).any(|_| client.send_raw(&thousand).is_err());
    if !refused {
        let closed = client.receive().unwrap();
        assert!(matches!(closed, Incoming::Close(..) | Incoming::End), "{closed:?}");
    }
    world.assert_grew_little_since(before);
    world.assert_others_are_served();
}

#[test]
fn a_flood_of_pings_is_bounded() {
    let mut world = World::start();
    let before = world.resident_kib();
    let mut client = open(&world.gateway);
    // Nobody reads the pongs: writing fails, blocks to its deadline, or goes through.
    let thousand = Frame::new(9, vec![b'p'; 125]).encode().repeat(1000);
    for _ in 0..20 {
        match client.send_raw(&thousand) {
            Ok(()) => {}
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => break,
            Err(error) => panic!("{error}"),
        }
    }
    world.assert_grew_little_since(before);
    world.assert_others_are_served();
}

#[test]
fn a_client_that_leaves_during_connect_leaves_nothing() {
    let mut world = World::start();
    let bytes = world.upgrade_bytes("GET", &[]);
    for _ in 0..50 {
        let mut wire = Wire::connect(world.gateway.listen).unwrap();
        wire.write(&bytes).unwrap();
        wire.abort();
    }
    world.assert_others_are_served();
}

#[test]
fn a_function_that_hangs_dies_or_floods_harms_its_caller_only() {
    let mut world = World::start();
    let before = world.resident_kib();
    let mut clients: Vec<Client> = ["hang", "die", "flood"]
        .iter()
        .map(|text| {
            let mut client = open(&world.gateway);
            client.send_text(text).unwrap();
            client
        })
        .collect();
    for client in &mut clients[1..] {
        let Incoming::Text(error) = client.receive().unwrap() else { panic!("no error frame") };
        assert!(error.starts_with(r#"{"message": "Internal server error", "#), "{error}");
    }
    world.assert_grew_little_since(before);
    world.assert_others_are_served();
}

/// The one test that waits for a clock: the limit is no setting.
#[test]
fn an_authorizer_that_hangs_is_given_up_after_29_seconds() {
    let function = Server::start(|_| Answer::Hang);
    let template = template::expand(
        "@lambda Auth\n@authorizer Guard Auth\n@route $connect - auth=Guard\n@route $default -\n",
    );
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template.text)],
        config: format!("[functions.Auth]\nurl = \"http://{}\"\n", function.address),
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    let wire = Wire::connect(gateway.listen).unwrap();
    wire.wait_up_to(Duration::from_secs(60)).unwrap();
    let asked = Instant::now();
    let (answer, client) = Client::open_over(wire, gateway.listen, "/dev", &[]).unwrap();
    assert!(client.is_none());
    assert_eq!(answer.status(), 500, "{}", answer.text());
    assert!(answer.text().starts_with(r#"{"message": "Internal server error", "#));
    assert!(Duration::from_secs(28) < asked.elapsed());
}

#[test]
fn a_rebound_host_reaches_no_api() {
    let mut world = World::start();
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "*"] {
        let host = if host.is_empty() { " " } else { host };
        let answer = world.upgrade("GET", &[("Host", host)], b"");
        assert_refused(&answer);
    }
    world.assert_others_are_served();
}

/// Headers by which a browser or a proxy gives a foreign request away.
const FOREIGN: [(&str, &str); 7] = [
    ("Host", "evil.example"),
    ("Origin", "https://evil.example"),
    ("Origin", "null"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", "same-site"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("Via", "1.1 proxy"),
];

#[test]
fn foreign_pages_and_proxies_reach_no_unsigned_callback() {
    let mut world = World::with("[management]\nauth = \"off\"\n");
    let event: Value = serde_json::from_slice(&world.function.next().unwrap().body).unwrap();
    let id = event["requestContext"]["connectionId"].as_str().unwrap().to_owned();
    let target = format!("/dev/@connections/{id}");
    for foreign in FOREIGN {
        let answer = world.gateway.request("POST", &target, &owned(&[foreign]), b"hi").unwrap();
        assert_eq!(answer.status(), 403, "{foreign:?}");
    }
    let answer = world.gateway.request("POST", &target, &[], b"from here").unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(world.witness.receive().unwrap(), Incoming::Text("from here".to_owned()));
    world.assert_others_are_served();
}

#[test]
fn the_admin_listener_is_for_its_owner() {
    let mut world = World::start();
    for foreign in FOREIGN {
        for method in ["GET", "POST"] {
            let answer =
                exchange(world.gateway.admin, method, "/refusals", &owned(&[foreign]), b"")
                    .unwrap();
            assert!(matches!(answer.status(), 401 | 403), "{foreign:?}: {}", answer.start);
        }
    }
    for token in ["", "Bearer ", "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let headers = owned(&[("Authorization", token)]);
        let answer = exchange(world.gateway.admin, "GET", "/refusals", &headers, b"").unwrap();
        assert_eq!(answer.status(), 401, "{token}");
    }
    for open in ["/health", "/ready"] {
        let answer = exchange(world.gateway.admin, "GET", open, &[], b"").unwrap();
        assert_eq!(answer.status(), 200, "{open}");
    }
    assert_eq!(world.gateway.ask_admin("/refusals").status(), 200);
    // Nothing of it is on the public port.
    for path in ["/health", "/ready", "/refusals"] {
        let answer = world.gateway.request("GET", path, &[], b"").unwrap();
        assert_eq!(answer.status(), 403, "{path}");
    }
    world.assert_others_are_served();
}

#[test]
fn a_stranger_does_not_choose_his_address() {
    let mut world = World::start();
    world.function.next().unwrap();
    let headers = owned(&[
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
    ]);
    let (_, client) = Client::open(world.gateway.listen, "/dev", &headers).unwrap();
    assert!(client.is_some());
    let event: Value = serde_json::from_slice(&world.function.next().unwrap().body).unwrap();
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.1");
    assert_eq!(event["headers"]["X-Forwarded-For"], "127.0.0.1");
    assert!(!event.to_string().contains("203.0.113.9"), "{event}");
    world.assert_others_are_served();
}

#[test]
fn a_callback_cannot_be_smuggled() {
    let mut world = World::start();
    let host = world.gateway.listen.to_string();
    let both = owned(&[("Host", &host), ("Transfer-Encoding", "chunked")]);
    let bytes = request_bytes("POST", "/dev/@connections/x", &both, b"0\r\n\r\nGET / HTTP/1.1\r\n");
    let answer = world.shout(&bytes);
    assert_refused(&answer);
    assert_eq!(answer.matches("HTTP/1.1 ").count().min(2), 1, "one request, one answer: {answer}");
    world.assert_others_are_served();
}
