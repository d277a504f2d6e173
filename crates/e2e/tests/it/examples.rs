//! The example applications: each by its one command, from a copy of its folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::functions::{ask, ask_json, connect, eventually, interpreters, open, path_to};
use crate::harness::gateway::{Gateway, Setup, binary, isolate};
use crate::harness::secrets::Secrets;
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};
use crate::harness::{template, token};
use crate::stacks;

const NAMES: [&str; 5] =
    ["chat", "python-echo", "rust-bootstrap", "sam-websocket-api", "ssm-authorizer"];

/// Longest wait for a start: one of them is built first.
const START_DEADLINE: Duration = Duration::from_secs(240);

/// What grows in the folders when they are used.
const GROWN: [&str; 4] = [".venv", "code", "node_modules", "target"];

/// An example that runs; told to end, and waited for, when dropped.
struct Example {
    gateway: Gateway,
}

impl Example {
    /// Runs the command of `name` with these programs; `packages` are where it would install them.
    fn start(name: &str, programs: &[PathBuf], packages: Option<&str>) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        copy(&folder_of(name), folder.path());
        if let Some(place) = packages {
            let modules = tool("sdk", "SDK_MODULES")?;
            std::os::unix::fs::symlink(modules, folder.path().join(place)).unwrap();
        }
        let script = folder.path().join("run");
        let mut command = if script.exists() {
            Command::new(script)
        } else {
            let mut command = Command::new(binary());
            command.args(["serve", "template.yaml"]);
            command
        };
        isolate(&mut command, folder.path());
        command.args(["--ready-json", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.env("WSGATE", binary()).envs([path_to(programs)]);
        // Optimising would take longer than all of the rest.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        let target = binary().parent().and_then(Path::parent).unwrap().join("examples");
        command.env("CARGO_TARGET_DIR", target);
        if let Some(home) = cargo_home() {
            command.env("CARGO_HOME", home);
        }
        if let Some(moto) = std::env::var_os("MOTO_SERVER") {
            command.env("MOTO_SERVER", moto);
        }
        let secrets = Arc::new(Secrets::default());
        let gateway = Gateway::start_by(command, folder, START_DEADLINE, secrets);
        let gateway = gateway
            .unwrap_or_else(|refused| panic!("{name}: {:?}\n{}", refused.code, refused.stderr));
        Some(Self { gateway })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // A script has more than the gateway to end.
        let status = self.gateway.stop();
        if !std::thread::panicking() {
            assert_eq!(
                status.and_then(|status| status.code()),
                Some(0),
                "{}",
                self.gateway.stderr()
            );
        }
    }
}

fn folder_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// Where cargo keeps what it downloaded.
fn cargo_home() -> Option<PathBuf> {
    let told = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    told.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Copies a folder without what grew in it.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if GROWN.iter().any(|grown| name == *grown) {
            continue;
        }
        let to = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[track_caller]
fn receive(example: &Example, client: &mut Client) -> String {
    match client.receive() {
        Ok(Incoming::Text(text)) => text,
        other => panic!("{other:?}\n{}", example.gateway.stderr()),
    }
}

#[test]
fn chat_tells_everybody_what_one_says() {
    let Some(programs) = interpreters() else { return };
    let Some(example) = Example::start("chat", &programs, Some("src/node_modules")) else { return };
    let gateway = &example.gateway;
    let (mut ada, mut grace) = (open(gateway, "/prod?name=ada"), open(gateway, "/prod?name=grace"));
    let say = |text: &str| json!({ "action": "say", "text": text }).to_string();
    ada.send_text(&say("hello")).unwrap();
    for client in [&mut ada, &mut grace] {
        let told: Value = serde_json::from_str(&receive(&example, client)).unwrap();
        assert_eq!(told, json!({ "from": "ada", "text": "hello" }));
    }
    // Who left is told nothing, and nobody minds.
    ada.abort();
    grace.send_text(&say("still here?")).unwrap();
    let told: Value = serde_json::from_str(&receive(&example, &mut grace)).unwrap();
    assert_eq!(told, json!({ "from": "grace", "text": "still here?" }));
}

#[test]
fn python_echo_answers_and_pushes() {
    let Some(programs) = interpreters() else { return };
    let Some(example) = Example::start("python-echo", &programs, None) else { return };
    let gateway = &example.gateway;
    let mut client = open(gateway, "/dev");
    assert_eq!(ask(gateway, &mut client, "hello"), "hello");
    client.send_text(r#"{"action":"count","to":3}"#).unwrap();
    for number in ["1", "2", "3"] {
        assert_eq!(receive(&example, &mut client), number);
    }
}

#[test]
fn rust_bootstrap_shouts() {
    let cargo = PathBuf::from(env!("CARGO"));
    let Some(example) = Example::start("rust-bootstrap", &[cargo], None) else { return };
    let gateway = &example.gateway;
    let mut client = open(gateway, "/dev");
    let message = json!({ "action": "shout", "text": "grüße" });
    assert_eq!(ask(gateway, &mut client, &message.to_string()), "GRÜSSE");
    let failure = ask_json(gateway, &mut client, &json!({ "action": "shout" }));
    assert_eq!(failure["message"], "Internal server error");
    eventually(gateway, "a line on why", || gateway.stderr().contains("text is missing"));
}

#[test]
fn sam_websocket_api_answers_by_its_route_responses() {
    let Some(programs) = interpreters() else { return };
    let Some(example) = Example::start("sam-websocket-api", &programs, None) else { return };
    let gateway = &example.gateway;
    let (mut one, mut other) = (open(gateway, "/prod"), open(gateway, "/prod"));
    let add = |number: i32| json!({ "action": "add", "number": number });
    assert_eq!(ask_json(gateway, &mut one, &add(2)), json!({ "sum": 2 }));
    assert_eq!(ask_json(gateway, &mut one, &add(40)), json!({ "sum": 42 }));
    assert_eq!(ask_json(gateway, &mut other, &add(-1)), json!({ "sum": -1 }));
    let told = ask_json(gateway, &mut one, &json!({}));
    assert_eq!(told, json!({ "connections": 2, "sum": 42 }));
}

/// A token as the README makes it.
fn mint(secret: &str, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

#[test]
fn ssm_authorizer_reads_its_secret_and_decides() {
    let Some(programs) = interpreters() else { return };
    let example = Example::start("ssm-authorizer", &programs, Some("node_modules"));
    let Some(example) = example else { return };
    let gateway = &example.gateway;
    let secret = "development-only-jwt-secret-0123456789";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = |exp: u64| json!({ "sub": "ada", "name": "Ada \"L\"", "csrf": "abc", "exp": exp });
    let good = mint(secret, &claims(now + 600));
    let expired = mint(secret, &claims(now - 1));
    let forged = mint("another-secret-0123456789-0123456789-01", &claims(now + 600));
    let page = "http://localhost:8081";
    let enter = |origin: &str, cookies: &str| {
        let headers = [("Origin", origin), ("Cookie", cookies)];
        let (answer, client) = connect(gateway, "/dev", &headers);
        (answer.status(), client)
    };
    let cookies = |token: &str| format!("theme=dark; JWT={token}; CSRF-TOKEN=abc");
    let (status, client) = enter(page, &cookies(&good));
    assert_eq!(status, 101, "{}", gateway.stderr());
    let told = ask_json(gateway, &mut client.unwrap(), &json!({}));
    assert_eq!(told, json!({ "user": "ada", "name": "Ada \"L\"" }));
    for (origin, cookies, wanted) in [
        (page, cookies(&expired), 401),
        (page, cookies(&forged), 401),
        (page, "CSRF-TOKEN=abc".to_owned(), 401),
        (page, String::new(), 401),
        (page, format!("JWT={good}; {}", cookies(&good)), 401),
        (page, format!("JWT={good}; CSRF-TOKEN=other"), 403),
        (page, format!("JWT={good}"), 403),
        ("https://evil.example.com", cookies(&good), 403),
    ] {
        assert_eq!(enter(origin, &cookies).0, wanted, "{origin} {cookies}");
    }
    assert!(!gateway.stderr().contains(secret), "the secret is in the log");
}

#[test]
fn every_example_passes_the_linter_and_names_nobody() {
    stacks::lint(&NAMES.map(|name| folder_of(name).join("template.yaml")));
    for name in NAMES {
        for file in ["src", "."].map(|place| folder_of(name).join(place)) {
            let files = std::fs::read_dir(file).into_iter().flatten().flatten();
            for path in files.map(|file| file.path()) {
                let code = ["js", "mjs", "py", "rs", "yaml"];
                if path.extension().is_some_and(|ending| code.iter().any(|it| ending == *it)) {
                    let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
                    assert!(!text.contains("wsgate"), "{} knows of wsgate", path.display());
                }
            }
        }
    }
}

/// The tests lend the examples their own packages, so these must be the same.
#[test]
fn examples_use_the_versions_that_are_tested() {
    let read = |path: PathBuf| -> Value {
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let tested = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("npm/sdk/package.json"));
    for manifest in ["chat/src/package.json", "ssm-authorizer/package.json"] {
        let wanted = read(folder_of(manifest));
        for (name, version) in wanted["dependencies"].as_object().unwrap() {
            assert_eq!(version, &tested["dependencies"][name], "{manifest}: {name}");
        }
    }
}

/// The settings that the guide shows are settings.
#[test]
fn the_guides_configuration_is_taken() {
    let page = folder_of("../docs/guide/functions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let config: String = blocks.collect();
    assert!(config.contains("[functions.") && config.contains("[integrations.endpoints]"));
    let functions = ["ChatFunction", "JavaFunction", "OtherFunction"];
    let source: String = functions.map(|name| format!("@lambda {name}\n")).concat();
    let template = template::expand(&format!("{source}@route $default JavaFunction\n"));
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template.text)],
        config,
        environment: vec![("CHAT_SECRET".to_owned(), token::random_hex())],
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::default());
    gateway.unwrap_or_else(|refused| panic!("{}", refused.stderr));
}
