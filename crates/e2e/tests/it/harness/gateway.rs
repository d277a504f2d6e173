//! The real `wsgate` binary under test.

use std::env::consts::EXE_SUFFIX;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{DEADLINE, Message, Wire, request_bytes};
use super::secrets::{Secrets, count_minted_in};

/// Longest wait for a start; a debug build on a busy machine needs a moment.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What a gateway is started with.
#[derive(Default)]
pub(crate) struct Setup {
    /// File name and text of each template, in order.
    pub(crate) templates: Vec<(String, String)>,
    /// Path and text of what else lies in the folder.
    pub(crate) files: Vec<(String, String)>,
    /// Path in the folder, and what lies elsewhere and is found there.
    pub(crate) links: Vec<(String, PathBuf)>,
    /// Text of `wsgate.toml`.
    pub(crate) config: String,
    /// Further arguments of `serve`.
    pub(crate) arguments: Vec<String>,
    /// Further environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// A running gateway; killed, by its own id, when dropped.
pub(crate) struct Gateway {
    child: Child,
    /// First address it listens on.
    pub(crate) listen: SocketAddr,
    /// Address of the admin listener.
    pub(crate) admin: SocketAddr,
    admin_token: String,
    /// The ready line.
    pub(crate) ready: Value,
    lines: Mutex<Receiver<String>>,
    stdout: Output,
    stderr: Output,
    pub(crate) secrets: Arc<Secrets>,
    folder: TempDir,
}

/// How a gateway ended that did not get ready.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts `wsgate serve` and waits for its ready line.
    pub(crate) fn start(setup: &Setup, secrets: Arc<Secrets>) -> Result<Self, Refused> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let command = command(setup, folder.path());
        Self::start_by(command, folder, START_DEADLINE, secrets)
    }

    /// Starts a gateway by a `command` that says `--ready-json`, in `folder`.
    pub(crate) fn start_by(
        mut command: Command,
        folder: TempDir,
        deadline: Duration,
        secrets: Arc<Secrets>,
    ) -> Result<Self, Refused> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wsgate starts");
        let (lines, stdout) = capture_lines(child.stdout.take().expect("stdout is a pipe"));
        let stderr = capture(child.stderr.take().expect("stderr is a pipe"));
        let Ok(first) = lines.recv_timeout(deadline) else {
            return Err(refused(child, &lines, stderr));
        };
        let ready: Value = serde_json::from_str(&first)
            .unwrap_or_else(|error| panic!("ready line is not JSON ({error}): {first}"));
        // An address that stands for all of the machine's is reached on loopback.
        let mut listen = address(&ready["listen"][0]);
        if listen.ip().is_unspecified() {
            listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let (place, token) = ready["admin"]
            .as_str()
            .and_then(|url| url.strip_prefix("http://")?.split_once("/#token="))
            .unwrap_or_else(|| panic!("ready line without admin address: {first}"));
        assert!(is_token(token), "the admin token is 43 characters of base64url");
        let admin = place.parse().expect("the admin address is an address");
        // The ready line itself is where the token is handed over.
        let admin_token = secrets.register("admin token", token);
        Ok(Self {
            child,
            listen,
            admin,
            admin_token,
            ready,
            lines: Mutex::new(lines),
            stdout,
            stderr,
            secrets,
            folder,
        })
    }

    /// Sends one request to the public port on a connection of its own.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> std::io::Result<Message> {
        exchange(self.listen, method, target, headers, body)
    }

    /// A file in the folder that is its home, data folder and working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks the admin listener, with its token.
    pub(crate) fn ask_admin(&self, target: &str) -> Message {
        let headers = [("Authorization".to_owned(), format!("Bearer {}", self.admin_token))];
        let answer = exchange(self.admin, "GET", target, &headers, &[])
            .unwrap_or_else(|error| panic!("admin listener: {error}"));
        self.secrets.capture(&format!("admin {target}"), &answer.text());
        answer
    }

    /// Replaces a template, or `wsgate.toml`, as an editor does: all at once.
    pub(crate) fn rewrite(&self, name: &str, text: &str) {
        let draft = self.folder.path().join(format!("{name}.draft"));
        std::fs::write(&draft, text).expect("the temporary folder is writable");
        std::fs::rename(draft, self.folder.path().join(name)).expect("a file can be renamed");
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.read()
    }

    /// Asks it to end as an operator does, and waits; `None` when it does not.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        self.terminate();
        self.ended()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "kill -TERM works");
    }

    /// Waits for the end that it was told to come to; `None` when it does not.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
        let status = wait(&mut self.child, lines, DEADLINE)?;
        self.stdout.join();
        self.stderr.join();
        let after_ready = self.stdout.read().lines().skip(1).collect::<Vec<_>>().join("\n");
        self.secrets.capture("stdout", &after_ready);
        self.secrets.capture("stderr", &self.stderr.read());
        Some(status)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stdout.join();
        self.stderr.join();
        if !std::thread::panicking() {
            // The ready line hands over the admin token, which is not minted here.
            let leaked = count_minted_in(&(self.stdout.read() + &self.stderr.read()));
            assert_eq!(leaked, 0, "the gateway wrote tokens or secrets of this test");
        }
    }
}

impl Output {
    fn read(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> std::io::Result<Message> {
    let mut wire = Wire::connect(address)?;
    let mut all = headers.to_vec();
    if !all.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        all.insert(0, ("Host".to_owned(), address.to_string()));
    }
    // A refusal may arrive, and the connection end, before the body is through.
    let sent = wire.write(&request_bytes(method, target, &all, body));
    match wire.read_response() {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(sent.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(error),
    }
}

/// Runs `wsgate` with `arguments` to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> std::process::Output {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let mut command = Command::new(binary());
    isolate(&mut command, folder.path());
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command.output().expect("wsgate starts")
}

/// The binary under test: `$WSGATE_BIN`, or built here.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("WSGATE_BIN", "wsgate", "wsgate"))
}

/// The program `name` of `package`: the one that `variable` names, or built by cargo.
pub(crate) fn built(variable: &str, package: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().expect("a test knows its own file");
    let profile = own.parent().and_then(Path::parent).expect("TARGET/PROFILE/deps/it");
    let target = profile.parent().expect("TARGET/PROFILE");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", package, "--bin", name, "--target-dir"]);
    build.arg(target);
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(status.is_ok_and(|status| status.success()), "cargo build -p {package} works");
    profile.join(format!("{name}{EXE_SUFFIX}"))
}

fn command(setup: &Setup, folder: &Path) -> Command {
    let mut command = Command::new(binary());
    isolate(&mut command, folder);
    command.arg("serve");
    for (name, text) in &setup.templates {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the temporary folder is writable");
        command.arg(path);
    }
    for (name, text) in &setup.files {
        std::fs::write(place(folder, name), text).expect("the temporary folder is writable");
    }
    for (name, target) in &setup.links {
        std::os::unix::fs::symlink(target, place(folder, name)).expect("a link can be made");
    }
    let config = folder.join("wsgate.toml");
    std::fs::write(&config, &setup.config).expect("the temporary folder is writable");
    command.arg("--config").arg(config).arg("--ready-json");
    for (flag, value) in [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")] {
        if !setup.arguments.iter().any(|argument| argument == flag) {
            command.args([flag, value]);
        }
    }
    command
        .args(&setup.arguments)
        .envs(setup.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// A path in `folder`, whose own folders exist.
fn place(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).expect("the temporary folder is writable");
    }
    path
}

/// Keeps a run away from the user's own folders and settings.
pub(crate) fn isolate(command: &mut Command, folder: &Path) {
    // A gateway that is killed cannot clear away what it made for its functions.
    command.env("NO_COLOR", "1").env("TMPDIR", folder).current_dir(folder);
    for name in ["HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env(name, folder);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("WSGATE_") || text.starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
}

fn refused(mut child: Child, lines: &Receiver<String>, mut stderr: Output) -> Refused {
    // Its stdout is at an end, or it hangs: both are over soon.
    let code = wait(&mut child, lines, Duration::from_secs(1)).and_then(|status| status.code());
    let _ = child.kill();
    let _ = child.wait();
    stderr.join();
    Refused { code, stderr: stderr.read() }
}

/// Waits for the end of stdout, which is the end of the process.
fn wait(child: &mut Child, lines: &Receiver<String>, limit: Duration) -> Option<ExitStatus> {
    let due = Instant::now() + limit;
    loop {
        let rest = due.checked_duration_since(Instant::now())?;
        match lines.recv_timeout(rest) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return child.wait().ok(),
            Err(RecvTimeoutError::Timeout) => return None,
        }
    }
}

fn capture_lines(pipe: impl Read + Send + 'static) -> (Receiver<String>, Output) {
    let text = Arc::new(Mutex::new(String::new()));
    let (send, first) = channel();
    let kept = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&line);
            kept.push('\n');
            let _ = send.send(line);
        }
    });
    (first, Output { text, reader: Some(reader) })
}

fn capture(mut pipe: impl Read + Send + 'static) -> Output {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    let reader = std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    });
    Output { text, reader: Some(reader) }
}

fn address(value: &Value) -> SocketAddr {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("not an address: {value}"))
}

fn is_token(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
