//! The real `bootstrap`, and the [Runtime API] as Lambda serves it.
//!
//! [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use super::gateway::{built, isolate};
use super::http::{DEADLINE, Message};
use super::secrets::count_minted_in;
use super::server::{Answer, Server};

/// The ARN by which the function is invoked.
const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:authorizer";
const ROOT: &str = "/2018-06-01/runtime";

/// A function that got through its start; killed, by its own id, when dropped.
pub(crate) struct Lambda {
    process: Process,
    api: Server,
    events: SyncSender<Invocation>,
    invocations: usize,
}

struct Invocation {
    id: String,
    event: String,
}

/// How one invocation ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// `/response`.
    Answer(Value),
    /// `/error`: the body, and the header that repeats its `errorType`.
    Error { body: Value, header: Option<String> },
}

/// How a start ended that was not one.
#[derive(Debug)]
pub(crate) struct InitError {
    /// What was posted to `init/error`.
    pub(crate) body: Value,
    /// The header that repeats its `errorType`.
    pub(crate) header: Option<String>,
    /// Exit status.
    pub(crate) code: Option<i32>,
    /// Everything it wrote.
    pub(crate) log: String,
    /// What else it asked for.
    pub(crate) others: Vec<String>,
}

impl Lambda {
    /// Starts the function and waits until it asks for its first event.
    pub(crate) fn start(environment: &[(String, String)]) -> Result<Self, Box<InitError>> {
        Self::start_told(environment, |address| address.to_string())
    }

    /// The same, with the address of the Runtime API as `tell` writes it.
    pub(crate) fn start_told(
        environment: &[(String, String)],
        tell: impl Fn(SocketAddr) -> String,
    ) -> Result<Self, Box<InitError>> {
        let (events, queue) = sync_channel(1);
        let queue = Mutex::new(queue);
        let api = Server::start(move |request| play(&queue, request));
        let mut process = Process::spawn(&tell(api.address), environment);
        let first = api.next().unwrap_or_else(|| panic!("nothing came:\n{}", process.log()));
        if first.target() == format!("{ROOT}/init/error") {
            let code = process.wait();
            let log = process.log();
            assert_eq!(count_minted_in(&log), 0, "the function wrote secrets of this test");
            let others = api.unread().iter().map(|other| other.start.clone()).collect();
            let header = error_type(&first);
            let body = parse(&first.body);
            return Err(Box::new(InitError { body, header, code, log, others }));
        }
        assert_eq!(first.start, format!("GET {ROOT}/invocation/next HTTP/1.1"));
        Ok(Self { process, api, events, invocations: 0 })
    }

    /// Hands it `event` and waits for the outcome.
    pub(crate) fn invoke(&mut self, event: &str) -> Outcome {
        self.invocations += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", self.invocations);
        let invocation = Invocation { id: id.clone(), event: event.to_owned() };
        self.events.send(invocation).expect("the server waits for events");
        loop {
            let request = self.api.next();
            let request = request.unwrap_or_else(|| panic!("no outcome:\n{}", self.log()));
            let path = request.target().to_owned();
            match path.strip_prefix(&format!("{ROOT}/invocation/{id}/")) {
                Some("response") => return Outcome::Answer(parse(&request.body)),
                Some("error") => {
                    let header = error_type(&request);
                    return Outcome::Error { body: parse(&request.body), header };
                }
                Some(other) => panic!("there is no {other}"),
                None => assert!(path.ends_with("/invocation/next"), "asked for {path}"),
            }
        }
    }

    /// What it wrote so far; what it says about an event is there before the outcome.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

fn play(queue: &Mutex<Receiver<Invocation>>, request: &Message) -> Answer {
    if request.target() != format!("{ROOT}/invocation/next") {
        let is_known = request.method() == "POST" && request.target().starts_with(ROOT);
        let status = if is_known { 202 } else { 404 };
        return Answer::Reply {
            status,
            headers: Vec::new(),
            body: b"{\"status\":\"OK\"}".to_vec(),
        };
    }
    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let Ok(Invocation { id, event }) = next else { return Answer::Die };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = (now + DEADLINE).as_millis().to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Aws-Request-Id", &id),
        ("Lambda-Runtime-Deadline-Ms", &deadline),
        ("Lambda-Runtime-Invoked-Function-Arn", ARN),
        ("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Answer::Reply { status: 200, headers, body: event.into_bytes() }
}

fn error_type(request: &Message) -> Option<String> {
    request.header("lambda-runtime-function-error-type").map(str::to_owned)
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(body)))
}

/// The running program; killed, by its own id, when dropped.
pub(crate) struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts `bootstrap` with `environment` and what Lambda sets; `api` is host, port and path of
    /// the Runtime API.
    pub(crate) fn spawn(api: &str, environment: &[(String, String)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let log = File::create(folder.path().join("log")).expect("the folder is writable");
        let errors = log.try_clone().expect("a file can be shared");
        let mut command = Command::new(binary());
        isolate(&mut command, folder.path());
        let child = command
            .env_remove("SSL_CERT_FILE")
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "authorizer")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/authorizer")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2018/11/16/[$LATEST]0")
            .env("AWS_REGION", "us-east-1")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("bootstrap starts");
        Self { child, folder }
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("log")).expect("the log is a file");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Exit status of a process that is about to end.
    fn wait(&mut self) -> Option<i32> {
        let due = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < due, "it does not end:\n{}", self.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let leaked = count_minted_in(&self.log());
            assert_eq!(leaked, 0, "the function wrote tokens or secrets of this test");
        }
    }
}

/// The program under test: `$BOOTSTRAP_BIN`, or built here.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("BOOTSTRAP_BIN", "wsgate-authorizer-lambda", "bootstrap"))
}
