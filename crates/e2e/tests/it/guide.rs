//! The guide: what its pages show works as it stands there.
//!
//! A comment `<!-- test: NAME -->` stands before each code block of [`PAGES`], and says which test
//! takes it.

/// The Rust block of `backend.md`, compiled.
#[rustfmt::skip]
#[expect(unreachable_pub, reason = "the text is that of a page, for other crates")]
mod mint;
mod page;
mod shown;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::token;
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};

/// Pages whose code blocks are all tested here.
const PAGES: [&str; 4] = ["aws.md", "backend.md", "logout.md", "page.md"];

/// Longest example that a reader takes over without a second thought.
const LINES_MAX: usize = 15;

/// A code block of a page.
#[derive(Debug)]
struct Block {
    /// What the comment before it says; empty without one.
    marker: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn blocks(page: &str) -> Vec<Block> {
    let text = file(&format!("docs/guide/{page}"));
    let mut blocks = Vec::new();
    let mut marker = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .flat_map(|line| [line, "\n"])
                .collect();
            blocks.push(Block { marker: std::mem::take(&mut marker), text });
        } else {
            let named = line.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
            marker = named.unwrap_or_default().to_owned();
        }
    }
    blocks
}

/// The text of the one block of `page` that is marked so.
#[track_caller]
fn block(page: &str, marker: &str) -> String {
    let mut found = blocks(page);
    found.retain(|block| block.marker == marker);
    assert_eq!(found.len(), 1, "{page} has one block \"{marker}\"");
    found.remove(0).text
}

/// Scripts in a folder, and a program that runs the one called `run`.
#[track_caller]
fn run(program: &Path, files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let script = files.iter().map(|(name, _)| *name).find(|name| name.starts_with("run."));
    let mut command = Command::new(program);
    // What is asked is on this machine.
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.arg(script.expect("one is called run")).envs(variables.iter().copied());
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn node() -> Option<PathBuf> {
    tool("node", "NODE")
}

fn python() -> Option<PathBuf> {
    tool("python3", "PYTHON")
}

// --- the gateway

/// The keys of one test.
struct Keys {
    jwt: String,
    csrf: String,
}

impl Keys {
    fn new() -> Self {
        Self { jwt: token::random_hex(), csrf: token::random_hex() }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        [("JWT_KEY", &self.jwt), ("CSRF_KEY", &self.csrf)]
    }
}

/// What a login makes.
#[derive(Clone)]
struct Session {
    jwt: String,
    csrf: String,
}

/// A gateway on the page's own configuration; `{"action":"who"}` is answered with the principal.
#[track_caller]
fn gateway(keys: &Keys, config: &str, secrets: &Arc<Secrets>) -> Gateway {
    let template = template::expand(
        "@builtin Auth\n@authorizer Guard Auth\n@route $connect - auth=Guard\n@integration Who {\"IntegrationType\":\"MOCK\"}\n@route who Who two-way\n  Answer:\n    Type: AWS::ApiGatewayV2::IntegrationResponse\n    Properties:\n      ApiId: !Ref Api\n      IntegrationId: !Ref Who\n      IntegrationResponseKey: $default\n      ResponseTemplates: { $default: $context.authorizer.principalId }\n",
    );
    let mut environment: Vec<(String, String)> = Vec::new();
    let backend = [("BACKEND_SECRET", keys.csrf.as_str())];
    for (name, value) in keys.variables().into_iter().chain(backend) {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let setup = Setup {
        templates: vec![("guide.yaml".to_owned(), template.text)],
        config: config.to_owned(),
        environment,
        ..Setup::default()
    };
    Gateway::start(&setup, Arc::clone(secrets))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

/// A handshake from the page at `ui.example.com`: status, subprotocol, connection.
fn open(
    gateway: &Gateway,
    target: &str,
    cookies: &str,
    protocols: &str,
) -> (u16, Option<String>, Option<Client>) {
    let headers = [
        ("Origin", "https://ui.example.com"),
        ("Cookie", cookies),
        ("Sec-WebSocket-Protocol", protocols),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (answer, client) = Client::open(gateway.listen, target, &headers).unwrap();
    let protocol = answer.header("sec-websocket-protocol").map(str::to_owned);
    (answer.status(), protocol, client)
}

fn open_session(gateway: &Gateway, session: &Session) -> (u16, Option<String>, Option<Client>) {
    let cookies = format!("JWT={}; CSRF-TOKEN={}", session.jwt, session.csrf);
    open(gateway, "/dev", &cookies, &format!("chat, csrf.{}", session.csrf))
}

#[track_caller]
fn who(client: &mut Client) -> String {
    client.send_text(r#"{"action":"who"}"#).unwrap();
    match client.receive().unwrap() {
        Incoming::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

// --- backend.md

/// What two logins of Ada made opens, each with its own CSRF value only.
#[track_caller]
fn check_minted(keys: &Keys, minted: &[Session; 2]) {
    let secrets = Arc::new(Secrets::default());
    for session in minted {
        secrets.register("a token", &session.jwt);
        secrets.register("a CSRF value", &session.csrf);
    }
    let mut gateway = gateway(keys, &block("backend.md", "config"), &secrets);
    for session in minted {
        let (status, protocol, client) = open_session(&gateway, session);
        assert_eq!((status, protocol.as_deref()), (101, Some("chat")), "{}", gateway.stderr());
        assert_eq!(who(&mut client.unwrap()), "ada");
    }
    let [first, second] = minted;
    let swapped = Session { csrf: second.csrf.clone(), ..first.clone() };
    assert_eq!(open_session(&gateway, &swapped).0, 403);
    let last = if first.jwt.ends_with("AA") { "BB" } else { "AA" };
    let forged =
        Session { jwt: format!("{}{last}", &first.jwt[..first.jwt.len() - 2]), ..first.clone() };
    assert_eq!(open_session(&gateway, &forged).0, 401);
    let answer = gateway.ask_admin("/refusals");
    let refusals: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(refusals[1]["code"], "csrf_signature", "{refusals}");
    assert_eq!(gateway.stop().and_then(|status| status.code()), Some(0));
    assert_eq!(secrets.leaks(), Vec::<String>::new());
}

#[track_caller]
fn check_length(block: &str) {
    let lines = block.lines().count();
    assert!(lines <= LINES_MAX, "{lines} lines:\n{block}");
}

fn session(value: &Value) -> Session {
    let text = |value: &Value| value.as_str().expect("both are texts").to_owned();
    match value {
        Value::Array(pair) => Session { jwt: text(&pair[0]), csrf: text(&pair[1]) },
        object => Session { jwt: text(&object["jwt"]), csrf: text(&object["csrf"]) },
    }
}

fn two_sessions(said: &str) -> [Session; 2] {
    let values: [Value; 2] = serde_json::from_str(said).expect("two sessions as JSON");
    values.each_ref().map(session)
}

#[test]
fn what_node_mints_opens_a_socket() {
    let Some(node) = node() else { return };
    let (keys, mint) = (Keys::new(), block("backend.md", "mint node"));
    check_length(&mint);
    let caller = r#"
        import { mint } from "./mint.mjs";
        const { JWT_KEY, CSRF_KEY } = process.env;
        console.log(JSON.stringify([1, 2].map(() => mint("ada", JWT_KEY, CSRF_KEY))));
    "#;
    let said = run(&node, &[("mint.mjs", &mint), ("run.mjs", caller)], &keys.variables());
    check_minted(&keys, &two_sessions(&said));
}

#[test]
fn what_python_mints_opens_a_socket() {
    let Some(python) = python() else { return };
    let (keys, mint) = (Keys::new(), block("backend.md", "mint python"));
    check_length(&mint);
    let caller = "import json, os\nfrom mint import mint\nkeys = os.environ['JWT_KEY'], os.environ['CSRF_KEY']\nprint(json.dumps([mint('ada', *keys) for _ in range(2)]))\n";
    let said = run(&python, &[("mint.py", &mint), ("run.py", caller)], &keys.variables());
    check_minted(&keys, &two_sessions(&said));
}

#[test]
fn what_rust_mints_opens_a_socket() {
    let shown = block("backend.md", "mint rust");
    check_length(&shown);
    assert_eq!(shown, include_str!("guide/mint.rs"), "the page shows what is compiled");
    let keys = Keys::new();
    let minted = [(); 2].map(|()| {
        let (jwt, csrf) = mint::mint("ada", &keys.jwt, &keys.csrf);
        Session { jwt, csrf }
    });
    check_minted(&keys, &minted);
}

/// Name, value and attributes of each `Set-Cookie` line.
fn cookies(page: &str, marker: &str) -> Vec<(String, String, Vec<String>)> {
    let text = block(page, marker);
    let lines = text.lines().map(|line| line.strip_prefix("Set-Cookie: ").expect("a cookie"));
    lines
        .map(|line| {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).unwrap();
            (name.to_owned(), value.to_owned(), parts.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn logout_clears_the_cookies_that_login_set() {
    let (set, cleared) =
        (cookies("backend.md", "cookies set"), cookies("logout.md", "cookies clear"));
    assert_eq!(set.len(), 2);
    for ((name, _, attributes), (other, value, cleared)) in set.iter().zip(&cleared) {
        assert_eq!((name, value.as_str()), (other, ""));
        let (mut left, mut right) = (attributes.clone(), cleared.clone());
        left.retain(|one| !one.starts_with("Max-Age="));
        right.retain(|one| one != "Max-Age=0");
        assert_eq!(left, right);
        assert_eq!((left.len() + 1, right.len() + 1), (attributes.len(), cleared.len()));
        for needed in ["Domain=example.com", "Path=/", "Secure", "SameSite=Lax"] {
            assert!(attributes.iter().any(|one| one == needed), "{name} without {needed}");
        }
        // The token's own life.
        assert!(attributes.iter().any(|one| one == "Max-Age=900"), "{name}");
        assert_eq!(attributes.iter().any(|one| one == "HttpOnly"), name == "JWT");
    }
}

#[test]
fn cookies_may_have_the_prefix_that_allows_a_domain() {
    let shown = file("docs/guide/backend.md");
    let (sources, cookie) =
        ("sources = [\"cookie:__Secure-JWT\"]", "cookie = \"__Secure-CSRF-TOKEN\"");
    assert!(shown.contains(sources) && shown.contains(cookie));
    let config = block("backend.md", "config")
        .replace("[authorizer]\n", &format!("[authorizer]\n{sources}\n"))
        .replace("[authorizer.csrf]\n", &format!("[authorizer.csrf]\n{cookie}\n"));
    let keys = Keys::new();
    let gateway = gateway(&keys, &config, &Arc::new(Secrets::default()));
    let (jwt, csrf) =
        (token::jwt(&page::claims("ada", "s1"), &keys.jwt), token::csrf("s1", &keys.csrf));
    let cookies = format!("__Secure-JWT={jwt}; __Secure-CSRF-TOKEN={csrf}");
    let offered = format!("chat, csrf.{csrf}");
    assert_eq!(open(&gateway, "/dev", &cookies, &offered).0, 101);
    assert_eq!(open(&gateway, "/dev", &cookies.replace("__Secure-", ""), &offered).0, 401);
}

// --- logout.md

#[test]
fn a_logout_closes_the_session_and_no_other() {
    let Some(python) = python() else { return };
    let (keys, secrets) = (Keys::new(), Arc::new(Secrets::default()));
    let config = block("backend.md", "config") + &block("logout.md", "logout config");
    let gateway = gateway(&keys, &config, &secrets);
    let principal = "ada lovelace/1@example.com";
    let [first, second] = ["s/1 =", "s2"].map(|sid| Session {
        jwt: token::jwt(&page::claims(principal, sid), &keys.jwt),
        csrf: token::csrf(sid, &keys.csrf),
    });
    let mut leaving = open_session(&gateway, &first).2.expect("the first session opens");
    let mut staying = open_session(&gateway, &second).2.expect("the second session opens");

    let caller = "import os\nfrom logout import end_session\nprint(end_session(os.environ['ENDPOINT'], os.environ['PRINCIPAL'], 's/1 =', 'us-east-1', 'AKIDBACKEND', os.environ['SECRET']))\n";
    let endpoint = format!("http://{}/dev", gateway.listen);
    let variables =
        [("ENDPOINT", endpoint.as_str()), ("PRINCIPAL", principal), ("SECRET", &keys.csrf)];
    let snippet = block("logout.md", "logout python");
    let said = run(&python, &[("logout.py", &snippet), ("run.py", caller)], &variables);
    assert_eq!(said.trim(), "204");

    assert!(matches!(leaving.receive().unwrap(), Incoming::Close(Some(1000), _)));
    assert_eq!(who(&mut staying), principal);
    assert_eq!(open_session(&gateway, &first).0, 401);
    assert_eq!(open_session(&gateway, &second).0, 101);
}
