//! `delegate`: the back end that knows the sessions is asked, told the credential and nothing
//! else, and left alone while it is down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::door::{self, Door, Handshake, Kind, Verdict};
use crate::harness::gateway::Gateway;
use crate::harness::http::Message;
use crate::harness::https::Authority;
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::token;
use crate::keys::EXPIRY;
use crate::session::{management_key, revoke};

const PAGE: &str = "https://ui.example.com";

/// Failures in a row after which the back end is left alone.
const FAILURES_MAX: usize = 5;

/// Longest wait for a rest to be over; rests become longer with every failure.
const REST_DEADLINE: Duration = Duration::from_secs(60);

/// A back end that answers as it is told, and an authorizer that asks it.
struct World {
    door: Door,
    backend: Server,
    answer: Arc<Mutex<Answer>>,
    csrf_secret: String,
    cookie: String,
}

impl World {
    fn start(kind: Kind) -> Self {
        Self::start_with(kind, "timeout = \"5s\"\n")
    }

    /// `more` stands in the table of the delegate.
    fn start_with(kind: Kind, more: &str) -> Self {
        let answer = Arc::new(Mutex::new(known()));
        let told = Arc::clone(&answer);
        let backend =
            Server::start(move |_| told.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let csrf_secret = token::random_hex();
        let url = format!("http://{}/session?of=chat", backend.address);
        let environment = [("HARNESS_CSRF".to_owned(), csrf_secret.clone())];
        let door = Door::start(kind, &config(&url, more), &environment);
        Self { door, backend, answer, csrf_secret, cookie: token::random_hex() }
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// What the page sends, with the CSRF value of the session that the back end knows.
    fn page(&self) -> Handshake {
        let csrf = token::csrf("s", &self.csrf_secret);
        Handshake::default()
            .header("Origin", PAGE)
            .header("Cookie", &format!("a=1; JWT={}; b=2; CSRF-TOKEN={csrf}; SID=x", self.cookie))
            .query("csrf_token", &csrf)
            .query("room", "blue")
    }

    fn asked(&self) -> usize {
        self.backend.unread().len()
    }

    /// Asserts that `handshake` ends so without a word to the back end.
    #[track_caller]
    fn refuses_alone(&self, handshake: &Handshake, verdict: Verdict) {
        let before = (self.asked(), self.backend.connections());
        assert_eq!(self.door.ask(handshake), verdict, "{handshake:?}");
        assert_eq!((self.asked(), self.backend.connections()), before, "{handshake:?}");
    }
}

fn config(url: &str, more: &str) -> String {
    format!(
        "[authorizer]\norigins = [\"{PAGE}\"]\n\
         sources = [\"cookie:JWT\", \"protocol\", \"header:Authorization\", \"query:access_token\"]\n\
         [authorizer.cache]\nttl = \"0s\"\n\
         [authorizer.csrf]\nsecret = \"env:HARNESS_CSRF\"\n\
         [authorizer.delegate]\nurl = \"{url}\"\ncookies = [\"JWT\", \"SID\"]\n{more}"
    )
}

fn claims() -> Value {
    json!({ "sub": "ada", "sid": "s", "exp": EXPIRY })
}

fn known() -> Answer {
    Answer::json(claims().to_string())
}

fn status(status: u16) -> Answer {
    let Answer::Reply { headers, body, .. } = known() else { unreachable!("it is a reply") };
    Answer::Reply { status, headers, body }
}

fn ada() -> Verdict {
    Verdict::Allowed("ada".to_owned())
}

/// Headers of `request` by name, but for those of the connection.
fn told(request: &Message) -> Vec<(String, &str)> {
    let mut told: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
        .filter(|(name, _)| !["host", "connection", "content-length"].contains(&name.as_str()))
        .collect();
    told.sort_unstable();
    told
}

#[test]
fn exactly_the_named_cookies_arrive_and_nothing_else() {
    for kind in Kind::ALL {
        let world = World::start(kind);
        let cookie = &world.cookie;
        let asked = world.page().header("X-Tenant", "acme").header("User-Agent", "browser/1");
        assert_eq!(world.door.ask(&asked), ada());
        let request = world.backend.next().unwrap();
        assert_eq!(request.start, "GET /session?of=chat HTTP/1.1");
        let agent = request.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("wsgate/"), "{agent}");
        let want = [
            ("accept", "application/json"),
            ("cookie", &format!("JWT={cookie}; SID=x")),
            ("user-agent", agent),
        ];
        assert_eq!(told(&request), want.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(request.header("host"), Some(&*world.backend.address.to_string()));
        assert_eq!(request.body, b"");
    }
}

#[test]
fn any_other_credential_arrives_as_bearer_without_cookies() {
    for kind in Kind::ALL {
        let world = World::start(kind);
        let token = token::jwt(&claims(), &token::random_hex());
        for asked in [
            Handshake::bearer(&token),
            Handshake::bearer(&token).header("Cookie", "a=1; theme=dark"),
            Handshake::default()
                .header("Sec-WebSocket-Protocol", &format!("chat, access_token, {token}")),
            Handshake::default().header("Sec-WebSocket-Protocol", &format!("bearer.{token}, chat")),
            Handshake::default().query("access_token", &token).query("room", "blue"),
        ] {
            assert_eq!(world.door.ask(&asked), ada(), "{asked:?}");
            let request = world.backend.next().unwrap();
            assert_eq!(request.start, "GET /session?of=chat HTTP/1.1");
            let names: Vec<_> = told(&request).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["accept", "authorization", "user-agent"]);
            assert_eq!(request.header("authorization"), Some(&*format!("Bearer {token}")));
        }
    }
}

#[test]
fn many_questions_share_a_connection() {
    for kind in Kind::ALL {
        let world = World::start(kind);
        for _ in 0..50 {
            assert_eq!(world.door.ask(&Handshake::bearer(&token::random_hex())), ada());
        }
        assert_eq!((world.asked(), world.backend.connections()), (50, 1));
    }
}

#[test]
fn origin_and_csrf_are_refused_before_any_question() {
    for kind in Kind::ALL {
        let world = World::start(kind);
        let jwt = format!("JWT={}", world.cookie);
        let csrf = token::csrf("s", &world.csrf_secret);
        let other = token::csrf("s", &world.csrf_secret);
        let cookies = format!("{jwt}; CSRF-TOKEN={csrf}");
        let from = |origin: &str, cookies: &str| {
            Handshake::default().header("Origin", origin).header("Cookie", cookies)
        };
        let foreign = "https://evil.example.com";
        let denied = [
            from(foreign, &cookies).query("csrf_token", &csrf),
            from("null", &cookies).query("csrf_token", &csrf),
            Handshake::default().header("Cookie", &cookies).query("csrf_token", &csrf),
            from(PAGE, &cookies),
            from(PAGE, &jwt).query("csrf_token", &csrf),
            from(PAGE, &cookies).query("csrf_token", &other),
            from(PAGE, &format!("{jwt}; CSRF-TOKEN=")).query("csrf_token", ""),
            // The victim's cookies go along with any token that the page names.
            from(foreign, "SID=victim").query("access_token", "x.y.z"),
            from(foreign, "CSRF-TOKEN=victim").query("access_token", "x.y.z"),
        ];
        for handshake in &denied {
            let verdict = world.door.ask(handshake);
            // Two carriers at odds are refused one step earlier.
            let is_refused = [Verdict::Denied, Verdict::Unauthorized].contains(&verdict);
            assert!(is_refused, "{kind:?} {verdict:?}: {handshake:?}");
        }
        for handshake in &denied[..7] {
            world.refuses_alone(handshake, Verdict::Denied);
        }
        for handshake in [
            Handshake::default(),
            from(PAGE, "a=1"),
            from(PAGE, &format!("{cookies}; JWT=planted")).query("csrf_token", &csrf),
            Handshake::bearer("a.b.c").query("access_token", "d.e.f"),
        ] {
            world.refuses_alone(&handshake, Verdict::Unauthorized);
        }
        assert_eq!(world.backend.connections(), 0);
        // The session is known once the back end named it.
        let csrf = token::csrf("another", &world.csrf_secret);
        let cookies = format!("{jwt}; CSRF-TOKEN={csrf}");
        let asked = from(PAGE, &cookies).query("csrf_token", &csrf);
        assert_eq!(world.door.ask(&asked), Verdict::Denied);
        assert_eq!(world.asked(), 1);
    }
}

#[test]
fn only_a_complete_answer_lets_in() {
    let with = |body: Value| Answer::json(body.to_string());
    let long = "x".repeat(8 * 1024);
    let typed = |kind: &str| Answer::Reply {
        status: 200,
        headers: vec![("Content-Type".to_owned(), kind.to_owned())],
        body: claims().to_string().into_bytes(),
    };
    let rows = [
        (status(401), Verdict::Unauthorized),
        (status(403), Verdict::Denied),
        (status(201), Verdict::Failed),
        (status(204), Verdict::Failed),
        (status(404), Verdict::Failed),
        (status(429), Verdict::Failed),
        (status(500), Verdict::Failed),
        (status(503), Verdict::Failed),
        (typed("text/html"), Verdict::Failed),
        (typed("application/jsonp"), Verdict::Failed),
        (typed("application/json; charset=utf-8"), ada()),
        (Answer::Reply { status: 200, headers: Vec::new(), body: b"{}".to_vec() }, Verdict::Failed),
        (with(json!({ "sub": "ada", "sid": "s", "exp": EXPIRY, "x": long })), Verdict::Failed),
        (Answer::Endless(1 << 40), Verdict::Failed),
        (with(json!({ "sub": "ada", "sid": "s" })), Verdict::Failed),
        (with(json!({ "sub": "ada", "exp": "4000000000" })), Verdict::Failed),
        (with(json!({ "sub": "ada", "exp": 4e9 })), Verdict::Failed),
        (with(json!({ "sub": "ada", "exp": -1 })), Verdict::Failed),
        (with(json!({ "sub": "ada", "exp": 1 })), Verdict::Unauthorized),
        (with(json!({ "sub": "", "exp": EXPIRY })), Verdict::Failed),
        (with(json!({ "sub": 7, "exp": EXPIRY })), Verdict::Failed),
        (with(json!({ "exp": EXPIRY })), Verdict::Failed),
        (with(json!([claims()])), Verdict::Failed),
        (Answer::json(r#"{"sub":"ada","sub":"eve","exp":4000000000}"#), Verdict::Failed),
        (Answer::json("{"), Verdict::Failed),
        (Answer::json(""), Verdict::Failed),
        (Answer::Die, Verdict::Failed),
        (Answer::DieMidway, Verdict::Failed),
    ];
    for kind in Kind::ALL {
        let world = World::start(kind);
        for (answer, verdict) in &rows {
            world.answer(answer.clone());
            let before = world.asked();
            let asked = Handshake::bearer(&token::random_hex());
            assert_eq!(world.door.ask(&asked), *verdict, "{kind:?}: {answer:?}");
            // A connection that died unused may be tried once more.
            assert!(before < world.asked(), "{kind:?} did not ask: {answer:?}");
            world.answer(known());
            let asked = Handshake::bearer(&token::random_hex());
            assert_eq!(world.door.ask(&asked), ada(), "{kind:?} after {answer:?}");
        }
    }
}

#[test]
fn a_redirect_is_not_followed() {
    for kind in Kind::ALL {
        let world = World::start(kind);
        let target = Server::start(|_| known());
        for code in [301, 302, 303, 307, 308] {
            let location = format!("http://{}/", target.address);
            world.answer(Answer::Reply {
                status: code,
                headers: vec![
                    ("Location".to_owned(), location),
                    ("Content-Type".to_owned(), "application/json".to_owned()),
                ],
                body: claims().to_string().into_bytes(),
            });
            let asked = Handshake::bearer(&token::random_hex());
            assert_eq!(world.door.ask(&asked), Verdict::Failed, "{code}");
            world.answer(known());
            assert_eq!(world.door.ask(&Handshake::bearer(&token::random_hex())), ada());
        }
        assert_eq!(target.connections(), 0, "the credential went nowhere else");
    }
}

/// A back end that hangs, then one whose proxy says so: both are left alone, and asked again later.
#[test]
fn a_back_end_that_is_down_is_left_alone_and_found_again() {
    for kind in Kind::ALL {
        let unavailable = Answer::Reply { status: 503, headers: Vec::new(), body: Vec::new() };
        for down in [Answer::Hang, unavailable] {
            let world = World::start_with(kind, "timeout = \"500ms\"\n");
            let handshake = Handshake::bearer(&token::random_hex());
            let ask = || world.door.ask(&handshake);
            world.answer(down);
            for _ in 0..FAILURES_MAX {
                assert_eq!(ask(), Verdict::Failed);
                assert!(world.backend.next().is_some(), "it is asked still");
            }
            let due = Instant::now() + REST_DEADLINE;
            loop {
                let before = world.backend.connections();
                assert_eq!(ask(), Verdict::Failed);
                if world.backend.connections() == before {
                    break;
                }
                // A rest was over already; the next is longer.
                assert!(Instant::now() < due, "{kind:?} never leaves it alone");
            }
            world.answer(known());
            let due = Instant::now() + REST_DEADLINE;
            loop {
                match ask() {
                    Verdict::Failed => assert!(Instant::now() < due, "it is not asked again"),
                    verdict => break assert_eq!(verdict, ada()),
                }
            }
        }
    }
}

#[test]
fn a_back_end_over_tls_must_be_who_it_says() {
    for kind in Kind::ALL {
        let authority = Authority::new();
        let environment = |trusted: &Authority| {
            [trusted.trusted(), ("HARNESS_CSRF".to_owned(), token::random_hex())]
        };
        let start = |backend: &Server, trusted: &Authority| {
            let url = format!("https://localhost:{}/session", backend.address.port());
            let config = config(&url, "timeout = \"5s\"\n");
            Door::start(kind, &config, &environment(trusted))
        };
        let asked = Handshake::bearer(&token::random_hex());
        let honest = authority.serve("localhost", |_| known());
        assert_eq!(start(&honest, &authority).ask(&asked), ada());
        let foreign = authority.serve("other.example.com", |_| known());
        assert_eq!(start(&foreign, &authority).ask(&asked), Verdict::Failed);
        assert_eq!(foreign.unread().len(), 0);
        let before = honest.unread().len();
        let stranger = Authority::new();
        assert_eq!(start(&honest, &stranger).ask(&asked), Verdict::Failed);
        assert_eq!(honest.unread().len(), before);
    }
}

#[test]
fn a_back_end_that_may_not_be_asked_is_refused_at_start() {
    for kind in Kind::ALL {
        for url in ["http://login.example.com/", "https://ada:secret@login.example.com/", "x", ""] {
            let environment = [("HARNESS_CSRF".to_owned(), token::random_hex())];
            let refused = Door::try_start(kind, &config(url, ""), &environment).unwrap_err();
            let words = "is not an address that can be asked";
            assert!(refused.0.contains(words), "{kind:?}: {}", refused.0);
        }
    }
}

#[test]
fn a_revocation_while_the_back_end_is_asked_has_it_asked_again() {
    let rows = [
        ("ada", Some(status(401)), Verdict::Unauthorized),
        ("ada", Some(status(403)), Verdict::Denied),
        ("ada?sid=s", Some(status(500)), Verdict::Failed),
        ("ada?sid=s", Some(known()), ada()),
        ("ada", Some(known()), ada()),
        // Those of others change nothing.
        ("ada?sid=t", None, ada()),
        ("grace", None, ada()),
    ];
    for is_cached in [false, true] {
        let (key, management) = management_key();
        let (backend, tell) = Server::start_told();
        let url = format!("http://{}/session", backend.address);
        let mut config = config(&url, &format!("timeout = \"10s\"\n{management}"));
        if is_cached {
            config = config.replace("ttl = \"0s\"", "ttl = \"300s\"");
        }
        let environment = vec![("HARNESS_CSRF".to_owned(), token::random_hex())];
        let started =
            Gateway::start(&door::setup(&config, environment), Arc::new(Secrets::default()));
        let gateway = started.unwrap_or_else(|refused| panic!("no start:\n{}", refused.stderr));
        for (whom, second, verdict) in &rows {
            let handshake = Handshake::bearer(&token::random_hex());
            std::thread::scope(|scope| {
                let client = scope.spawn(|| door::knock(&gateway, &handshake));
                assert!(backend.next().is_some(), "{whom}: it is not asked");
                revoke(&gateway, &key, whom);
                tell.send(known()).unwrap();
                if let Some(second) = second {
                    assert!(backend.next().is_some(), "{whom}: it is not asked again");
                    tell.send(second.clone()).unwrap();
                }
                assert_eq!(client.join().unwrap(), *verdict, "{whom}, cached: {is_cached}");
            });
            assert_eq!(backend.unread().len(), 0, "{whom}: it was asked once more");
            if second.is_some() && *verdict == ada() {
                // The second answer is kept as any other, where answers are kept.
                if !is_cached {
                    tell.send(known()).unwrap();
                }
                assert_eq!(door::knock(&gateway, &handshake), ada());
                let asked = backend.unread().len();
                assert_eq!(asked, usize::from(!is_cached));
                (0..asked).for_each(|_| drop(backend.next()));
            }
        }
    }
}
