//! The demo's stacks under `wsgate serve`, its back end by itself, and tokens of `wsgate token`.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::gateway::{Gateway, Refused, Setup, binary, exchange, isolate};
use crate::harness::secrets::Secrets;
use crate::harness::ws::{Client, Incoming};

/// What the files of `demo/` hold in the open; nothing may print it anyway.
const DEVELOPMENT_SECRETS: [&str; 4] = [
    "development-only-jwt-key-0123456789abcdef",
    "development-only-csrf-secret-0123456789abcdef",
    "development-only-gateway-key-0123456789",
    "development-only-management-secret-0123",
];

/// Gateway ports that are tried: each was free a moment ago, and may no longer be.
const PORTS_TRIED: usize = 5;

/// `wsgate demo --backend-only`; killed, by its own id, when dropped.
struct Backend {
    child: Child,
    /// Where it expects the gateway.
    gateway: SocketAddr,
    address: SocketAddr,
    /// Origin of its page.
    page: String,
    _home: TempDir,
}

impl Backend {
    fn start() -> Self {
        let home = TempDir::new().unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = probe.local_addr().unwrap();
        let mut command = Command::new(binary());
        isolate(&mut command, home.path());
        let mut child = command
            .args(["demo", "--backend-only", "--listen", &gateway.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wsgate starts");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.ok()?;
            let (backend, page) =
                line.strip_prefix("back end on http://")?.split_once(", page on ")?;
            Some((backend.parse().ok()?, page.to_owned()))
        });
        let (address, page) = said.expect("the back end says where it is");
        // A pipe that nobody reads would stop it one day.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, gateway, address, page, _home: home }
    }

    /// A back end, and a gateway on the demo's own two stacks, with its own configuration.
    fn with_gateway(secrets: &Arc<Secrets>) -> (Self, Gateway) {
        let mut said = String::new();
        for _ in 0..PORTS_TRIED {
            let backend = Self::start();
            match backend.serve(secrets) {
                Ok(gateway) => return (backend, gateway),
                Err(refused) => said = refused.stderr,
            }
        }
        panic!("wsgate did not start:\n{said}");
    }

    fn serve(&self, secrets: &Arc<Secrets>) -> Result<Gateway, Refused> {
        let config =
            file("demo/wsgate.toml").replace("http://ui.wsgate.localhost:8081", &self.page);
        let setup = Setup {
            templates: ["authorizer.yaml", "api.yaml"]
                .map(|name| (name.to_owned(), file(&format!("demo/aws/{name}"))))
                .into(),
            config,
            arguments: vec![
                "--listen".to_owned(),
                self.gateway.to_string(),
                "--parameter".to_owned(),
                format!("BackendUrl=http://{}", self.address),
            ],
            ..Setup::default()
        };
        Gateway::start(&setup, Arc::clone(secrets))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs `wsgate` in the repository's root; what it said on stdout.
#[track_caller]
fn wsgate(arguments: &[&str]) -> String {
    let home = TempDir::new().unwrap();
    let mut command = Command::new(binary());
    isolate(&mut command, home.path());
    let output = command.args(arguments).current_dir(root()).output().expect("wsgate starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "wsgate {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A token and what belongs to it, made for the demo's authorizer.
#[track_caller]
fn mint(secrets: &Secrets, arguments: &[&str]) -> Value {
    let mut all = vec!["token", "mint", "--json"];
    all.extend(["--template", "demo/aws/authorizer.yaml", "--config", "demo/wsgate.toml"]);
    all.extend(arguments);
    let minted: Value = serde_json::from_str(&wsgate(&all)).expect("the answer is JSON");
    for member in ["jwt", "csrf"] {
        secrets.register(member, minted[member].as_str().unwrap());
    }
    minted
}

fn connect(gateway: &Gateway, backend: &Backend, minted: &Value) -> Result<Client, u16> {
    let csrf = minted["csrf"].as_str().unwrap();
    let headers = [
        ("Host", format!("ws.wsgate.localhost:{}", gateway.listen.port())),
        ("Cookie", minted["cookie"].as_str().unwrap().to_owned()),
        ("Origin", backend.page.clone()),
        ("Sec-WebSocket-Protocol", format!("wsgate.demo, csrf.{csrf}")),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let (answer, client) = Client::open(gateway.listen, "/prod", &headers).unwrap();
    match client {
        Some(client) => {
            assert_eq!(answer.header("sec-websocket-protocol"), Some("wsgate.demo"));
            Ok(client)
        }
        None => Err(answer.status()),
    }
}

#[track_caller]
fn ask(client: &mut Client, message: &Value) -> Value {
    client.send_text(&message.to_string()).unwrap();
    match client.receive().unwrap() {
        Incoming::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("no text: {other:?}"),
    }
}

#[test]
fn a_minted_token_opens_a_socket_and_every_claim_arrives_intact() {
    let secrets = Arc::new(Secrets::default());
    for secret in DEVELOPMENT_SECRETS {
        secrets.register("a development secret", secret);
    }
    let (backend, mut gateway) = Backend::with_gateway(&secrets);
    let principal = "x\",\"role\":\"admin";
    let name = "it's \\ \"quoted\" </script> \u{2028} ☕ $context.stage";
    let claim = format!("name={name}");
    let minted =
        mint(&secrets, &["--subject", principal, "--claim", &claim, "--claim", "role=guest"]);
    let mut client = connect(&gateway, &backend, &minted).expect("the token opens a socket");
    let you = ask(&mut client, &json!({ "action": "who" }))["you"].clone();
    assert_eq!(you["principal"], principal);
    assert_eq!(you["name"], name);
    assert_eq!(you["role"], "guest");
    assert_eq!(you["csrf"], "signed");
    assert_eq!(ask(&mut client, &json!({ "action": "ping" }))["type"], "pong");
    assert_eq!(ask(&mut client, &json!({ "action": "nope" }))["reason"], "unknown action");

    // Another user's token without the CSRF value that belongs to it, and an expired one.
    let mut other = mint(&secrets, &["--subject", "grace"]);
    other["csrf"] = minted["csrf"].clone();
    assert_eq!(connect(&gateway, &backend, &other).err(), Some(403));
    let expired = mint(&secrets, &["--subject", "grace", "--expires-in", "-60"]);
    assert_eq!(connect(&gateway, &backend, &expired).err(), Some(401));
    drop(client);
    gateway.ask_admin("/refusals");
    assert_eq!(gateway.stop().and_then(|status| status.code()), Some(0));
    assert_eq!(secrets.leaks(), Vec::<String>::new());
}

#[test]
fn the_back_end_refuses_whoever_is_not_the_gateway() {
    let backend = Backend::start();
    let body = json!({
        "connectionId": "AAAAAAAAAAAAAAAAAA==", "apiId": "a1b2c3d4e5", "stage": "prod",
        "domainName": "ws.wsgate.localhost", "principal": "ada", "context": {},
    })
    .to_string();
    for path in ["/ws/connect", "/ws/message", "/ws/disconnect"] {
        for key in [None, Some(""), Some("development-only-gateway-key-0123456788")] {
            let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            headers.extend(key.map(|key| ("x-gateway-key".to_owned(), key.to_owned())));
            let answer =
                exchange(backend.address, "POST", path, &headers, body.as_bytes()).unwrap();
            assert_eq!(answer.status(), 403, "{path} {key:?}: {}", answer.text());
        }
    }
}

#[test]
fn inspect_shows_claims_and_never_the_signature() {
    let secrets = Secrets::default();
    let minted = mint(&secrets, &["--subject", "ada", "--claim", "role=editor"]);
    let token = minted["jwt"].as_str().unwrap();
    let shown = wsgate(&["token", "inspect", token]);
    for part in ["HS256", "ada", "editor", "https://ui.wsgate.localhost"] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    secrets.capture("stdout of inspect", &shown);
    assert_eq!(secrets.leaks(), Vec::<String>::new());
}
