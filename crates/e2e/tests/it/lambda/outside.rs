//! Another implementation of the Runtime API, that of cargo-lambda: its emulator in front of the
//! function, its client in front of the emulator.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::{CONFIG, claims, deny, grant, owned};
use crate::harness::door::{self, Handshake, Verdict};
use crate::harness::gateway::Gateway;
use crate::harness::runtime_api::{Outcome, Process};
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::token;
use crate::harness::tool::tool;

/// Longest wait for a start.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Starts with a port that another process took meanwhile.
const STARTS_MAX: usize = 3;

/// The emulator; killed, by its own id, when dropped.
struct Emulator {
    program: PathBuf,
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Emulator {
    /// `None` when the caller of the tests left it out.
    fn start() -> Option<Self> {
        let program = tool("cargo-lambda", "CARGO_LAMBDA")?;
        let folder = TempDir::new().expect("a temporary folder can be made");
        // It wants to stand in a package, which it does not build.
        let manifest = "[package]\nname = \"authorizer\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").unwrap();
        for _ in 0..STARTS_MAX {
            // It takes no port 0: one that was free a moment ago.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
            let port = free.expect("loopback has a free port").port();
            if let Some(child) = watch(&program, folder.path(), port) {
                return Some(Self { program, child, port, folder });
            }
        }
        panic!("cargo lambda watch does not start");
    }

    /// Host, port and path of its Runtime API, as it tells them.
    fn api(&self) -> String {
        format!("http://127.0.0.1:{}/.rt", self.port)
    }

    fn invoke(&self, event: &Value) -> Output {
        let file = self.folder.path().join("event.json");
        std::fs::write(&file, event.to_string()).expect("the temporary folder is writable");
        let mut command = Command::new(&self.program);
        command.args(["lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port"]);
        command.arg(self.port.to_string()).arg("--data-file").arg(file);
        command.current_dir(self.folder.path()).output().expect("cargo lambda starts")
    }
}

/// Starts the emulator; `None` if it ends without listening.
fn watch(program: &Path, folder: &Path, port: u16) -> Option<Child> {
    let mut command = Command::new(program);
    command.args(["lambda", "watch", "--only-lambda-apis", "--invoke-address", "127.0.0.1"]);
    command.arg("--invoke-port").arg(port.to_string());
    command.current_dir(folder).env("CARGO", env!("CARGO")).env("CARGO_NET_OFFLINE", "true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("cargo lambda starts");
    let due = Instant::now() + START_DEADLINE;
    while Instant::now() < due {
        if child.try_wait().is_ok_and(|status| status.is_some()) {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        std::thread::yield_now();
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The function under the emulator, and what a login back end shares with it.
struct World {
    process: Process,
    emulator: Emulator,
    jwt: String,
    csrf: String,
}

impl World {
    fn start() -> Option<Self> {
        let emulator = Emulator::start()?;
        let (jwt_secret, csrf_secret) = (token::random_hex(), token::random_hex());
        let environment = owned(
            [
                ("WSGATE_AUTHORIZER_TOML", CONFIG),
                ("HARNESS_JWT", &jwt_secret),
                ("HARNESS_CSRF", &csrf_secret),
            ]
            .iter(),
        );
        let process = Process::spawn(&emulator.api(), &environment);
        let jwt = token::jwt(&claims(), &jwt_secret);
        Some(Self { process, emulator, jwt, csrf: token::csrf("s", &csrf_secret) })
    }

    /// What a page of `origin` sends.
    fn page(&self, origin: &str) -> Handshake {
        Handshake::default()
            .header("Origin", origin)
            .header("Cookie", &format!("JWT={}; CSRF-TOKEN={}", self.jwt, self.csrf))
            .query("csrf_token", &self.csrf)
    }

    #[track_caller]
    fn answer(&self, origin: &str) -> Value {
        let output = self.emulator.invoke(&self.page(origin).event());
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{out}{err}\n{}", self.process.log());
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("not JSON: {out}"))
    }
}

const PAGE: &str = "https://ui.example.com";
const FOREIGN: &str = "https://evil.example.com";

#[test]
fn the_function_serves_under_cargo_lambda() {
    let Some(world) = World::start() else { return };
    let allowed = world.answer(PAGE);
    assert_eq!(allowed, grant(allowed["context"].clone()));
    assert_eq!(allowed["context"]["tokenSource"], "cookie:JWT");
    assert_eq!(Outcome::Answer(world.answer(FOREIGN)), deny());
    let refused = world.emulator.invoke(&Handshake::bearer("x").event());
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("Unauthorized"), "{}", text(&refused.stderr));
    assert_eq!(world.answer(PAGE), allowed);
}

/// Gateway, emulator and function: three programs, as on AWS.
#[test]
fn a_gateway_asks_the_function_under_cargo_lambda() {
    let Some(world) = World::start() else { return };
    let url =
        format!("http://127.0.0.1:{}/2015-03-31/functions/_/invocations", world.emulator.port);
    let mut setup = door::setup(&format!("[functions.Auth]\nurl = \"{url}\"\n"), Vec::new());
    let template = door::TEMPLATE.replace("@builtin Auth", "@lambda Auth");
    setup.templates = vec![("case.yaml".to_owned(), template::expand(&template).text)];
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate does not start:\n{}", refused.stderr));
    let ada = Verdict::Allowed("ada".to_owned());
    for (handshake, verdict) in [
        (world.page(PAGE), ada.clone()),
        (world.page(FOREIGN), Verdict::Denied),
        (Handshake::bearer("x"), Verdict::Unauthorized),
        (Handshake::bearer(&world.jwt), ada),
    ] {
        assert_eq!(door::knock(&gateway, &handshake), verdict, "{}", world.process.log());
    }
    drop(world);
    assert_eq!(door::knock(&gateway, &Handshake::default()), Verdict::Failed);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
