//! The demo as its users start it: whole, or back end and gateway apart.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::gateway::{Gateway, Setup, binary, exchange};
use crate::harness::http::DEADLINE;
use crate::harness::secrets::Secrets;

/// Longest wait for a line; a debug build on a busy machine needs a moment.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Gateway ports that are tried: each was free a moment ago, and may no longer be.
const PORTS_TRIED: u32 = 5;

/// What `demo/wsgate.toml` and `demo/aws/api.yaml` hold in the open: nothing may print it anyway.
const DEVELOPMENT_SECRETS: [&str; 4] = [
    "development-only-jwt-key-0123456789abcdef",
    "development-only-csrf-secret-0123456789abcdef",
    "development-only-gateway-key-0123456789",
    "development-only-management-secret-0123",
];

/// A running `wsgate demo`; killed, by its own id, when dropped.
pub(crate) struct Demo {
    child: Child,
    lines: Receiver<String>,
    text: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// The address of the page, without a final slash.
    pub(crate) page: String,
    pub(crate) secrets: Arc<Secrets>,
    home: TempDir,
}

impl Demo {
    /// Starts the whole demo on free ports.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["demo", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let mut demo = Self::spawn(&all);
        let line = demo.wait_for_line("open http");
        demo.page = line.trim_start_matches("open ").to_owned();
        demo
    }

    fn spawn(arguments: &[&str]) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let mut command = Command::new(binary());
        isolate(&mut command, home.path());
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wsgate starts");
        let text = Arc::new(Mutex::new(String::new()));
        let (send, lines) = channel();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let readers = vec![
            spawn_reader(stdout, send.clone(), Arc::clone(&text)),
            spawn_reader(stderr, send, Arc::clone(&text)),
        ];
        let secrets = Arc::new(Secrets::default());
        Self { child, lines, text, readers, page: String::new(), secrets, home }
    }

    fn wait_for_line(&self, part: &str) -> String {
        let due = Instant::now() + START_DEADLINE;
        while let Some(rest) = due.checked_duration_since(Instant::now()) {
            match self.lines.recv_timeout(rest) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        panic!("wsgate demo did not say `{part}`:\n{}", self.said());
    }

    fn said(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The certificate of the local authority that it made.
    pub(crate) fn authority(&self) -> PathBuf {
        self.home.path().join("wsgate/browser-ca.pem")
    }

    /// The folder in which gateways leave the address of their admin listener.
    pub(crate) fn runtime_folder(&self) -> &Path {
        self.home.path()
    }

    /// Asks the admin listener for everything that was refused, for the search of secrets.
    pub(crate) fn capture_refusals(&self) {
        let file = self.home.path().join(format!("wsgate/admin-{}.json", self.child.id()));
        let content = std::fs::read(file).expect("a demo leaves its admin address");
        let admin: Value = serde_json::from_slice(&content).expect("the admin file is JSON");
        let address: SocketAddr = admin["address"]
            .as_str()
            .and_then(|url| url.strip_prefix("http://")?.parse().ok())
            .expect("the admin file has an address");
        let token = admin["token"].as_str().expect("the admin file has a token");
        let token = self.secrets.register("admin token", token);
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        let answer = exchange(address, "GET", "/refusals", &headers, &[])
            .expect("the admin listener answers");
        assert_eq!(answer.status(), 200);
        assert!(answer.text().contains("csrf_missing"), "{}", answer.text());
        self.secrets.capture("admin /refusals", &answer.text());
    }

    /// Ends it as Ctrl-C does, and keeps what it said for the search of secrets.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status();
        assert!(told.is_ok_and(|status| status.success()), "kill -INT works");
        let due = Instant::now() + DEADLINE;
        loop {
            // The end of its output is the end of the process.
            let rest = due.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(rest) {
                Ok(_) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("wsgate demo does not end:\n{}", self.said())
                }
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(0), "{}", self.said());
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.secrets.capture("the demo's output", &self.said());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Back end and gateway as two programs, with the files of `demo/`.
pub(crate) struct Apart {
    pub(crate) demo: Demo,
    pub(crate) gateway: Gateway,
    config: String,
}

impl Apart {
    /// Starts both on free ports; the gateway watches its files.
    pub(crate) fn start() -> Self {
        let mut refused = String::new();
        for _ in 0..PORTS_TRIED {
            let listen = free_address().to_string();
            let mut demo = Demo::spawn(&["demo", "--backend-only", "--listen", &listen]);
            let line = demo.wait_for_line("back end on ");
            let (backend, page) = line
                .strip_prefix("back end on ")
                .and_then(|rest| rest.split_once(", page on "))
                .expect("the back end says where it is");
            let (backend, page) = (backend.to_owned(), page.to_owned());
            for secret in DEVELOPMENT_SECRETS {
                demo.secrets.register("a development secret", secret);
            }
            let config = file("demo/wsgate.toml").replace("http://ui.wsgate.localhost:8081", &page);
            let setup = Setup {
                templates: vec![
                    ("authorizer.yaml".to_owned(), file("demo/aws/authorizer.yaml")),
                    ("api.yaml".to_owned(), file("demo/aws/api.yaml")),
                ],
                config: config.clone(),
                arguments: ["--listen", &listen, "--watch", "--parameter"]
                    .map(str::to_owned)
                    .into_iter()
                    .chain([format!("BackendUrl={backend}")])
                    .collect(),
                environment: vec![(
                    "XDG_RUNTIME_DIR".to_owned(),
                    demo.runtime_folder().display().to_string(),
                )],
                ..Setup::default()
            };
            demo.page = page;
            match Gateway::start(&setup, Arc::clone(&demo.secrets)) {
                Ok(gateway) => return Self { demo, gateway, config },
                Err(error) => refused = error.stderr,
            }
        }
        panic!("wsgate did not start:\n{refused}");
    }

    /// Puts a changed `wsgate.toml` in force.
    pub(crate) fn with_config(&self, edit: impl FnOnce(&str) -> String) {
        let edited = edit(&self.config);
        assert_ne!(edited, self.config, "the edit changes something");
        self.replace("wsgate.toml", &edited);
    }

    /// Puts the demo's own configuration in force again.
    pub(crate) fn with_own_config(&self) {
        self.replace("wsgate.toml", &self.config);
    }

    /// Replaces a file of the gateway and waits until it serves by it.
    #[track_caller]
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let told = |what: &str| self.gateway.stderr().lines().filter(|line| *line == what).count();
        let before = told("reloaded");
        self.gateway.rewrite(name, text);
        let due = Instant::now() + START_DEADLINE;
        while told("reloaded") == before {
            let said = self.gateway.stderr();
            assert!(!said.contains("reload refused"), "{said}");
            assert!(Instant::now() < due, "the gateway does not reload:\n{said}");
            // Each look is a round trip of its own.
            self.gateway.request("GET", "/", &[], &[]).expect("the old one serves on");
        }
    }

    /// Ends both; no secret may be in what they said.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        assert_eq!(self.gateway.stop().and_then(|status| status.code()), Some(0));
        self.demo.stop();
        assert_eq!(self.demo.secrets.leaks(), Vec::<String>::new());
    }
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs `wsgate` with files of the repository to its end; what it wrote to stdout.
#[track_caller]
pub(crate) fn wsgate(arguments: &[&str]) -> String {
    let home = TempDir::new().expect("a temporary folder can be made");
    let mut command = Command::new(binary());
    isolate(&mut command, home.path());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = command.args(arguments).current_dir(root).output().expect("wsgate starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "wsgate {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An address that nobody listens on. Only the gateway's must be known in advance: the back end
/// must tell the page of it.
fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    probe.local_addr().expect("a listener has an address")
}

/// Keeps a run away from the user's own folders and settings.
fn isolate(command: &mut Command, home: &Path) {
    command.env("NO_COLOR", "1").current_dir(home);
    for name in ["HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(name, home);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("WSGATE_") || text.starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
}

fn spawn_reader(
    pipe: impl Read + Send + 'static,
    lines: Sender<String>,
    text: Arc<Mutex<String>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
            drop(text);
            let _ = lines.send(line);
        }
    })
}
