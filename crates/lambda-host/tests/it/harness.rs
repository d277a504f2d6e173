//! Functions whose runtime is `runtime.py`, and what they log.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lambda_host::{
    Code, Function, Instances, InvokeError, LocalFunction, SharedSurroundings, Spec, Surroundings,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Longest wait for anything that must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A function with a folder of its own.
pub(crate) struct Fixture {
    pub(crate) function: Arc<LocalFunction>,
    pub(crate) folder: TempDir,
}

impl Deref for Fixture {
    type Target = Arc<LocalFunction>;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

#[derive(Debug)]
struct Nothing;

impl Surroundings for Nothing {
    fn environment(&self, _spec: &Spec) -> Vec<(String, String)> {
        Vec::new()
    }
}

pub(crate) fn surroundings() -> SharedSurroundings {
    Arc::new(Nothing)
}

/// A spec of `runtime.py` that serves one invocation after the other.
pub(crate) fn spec(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
        region: "us-east-1".to_owned(),
        runtime: "python3.11".to_owned(),
        handler: "index.handler".to_owned(),
        code: Code::Inline(include_str!("runtime.py").to_owned()),
        layers: Vec::new(),
        environment: Vec::new(),
        timeout: DEADLINE,
        memory_mb: 128,
        instances_max: 1,
        invocations_per_instance: 1,
        command: Some(vec!["python3".to_owned(), "index.py".to_owned()]),
    }
}

/// The function of a spec that `change` may change; `name` is its own among the tests.
pub(crate) fn function(name: &str, change: impl FnOnce(&mut Spec)) -> Fixture {
    listen_to_logs();
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(name);
    let starts = folder.path().join("starts").to_str().unwrap().to_owned();
    spec.environment.push(("STARTS".to_owned(), starts));
    change(&mut spec);
    let workspace = folder.path().join("workspace");
    let function = LocalFunction::new(spec, &workspace, surroundings()).unwrap();
    Fixture { function: Arc::new(function), folder }
}

/// Sets the variable that `runtime.py` takes for its ill behaviour.
pub(crate) fn mode(mode: &str) -> impl FnOnce(&mut Spec) {
    move |spec| spec.environment.push(("MODE".to_owned(), mode.to_owned()))
}

impl Fixture {
    /// How often the process was started.
    pub(crate) fn starts(&self) -> usize {
        self.notes().len()
    }

    /// What processes have written to the file that counts their starts.
    pub(crate) fn notes(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default()
    }
}

pub(crate) async fn call(function: &LocalFunction, event: Value) -> Result<Value, InvokeError> {
    let result = function.invoke(Bytes::from(event.to_string()), DEADLINE).await?;
    Ok(serde_json::from_slice(&result).unwrap())
}

/// What `do` gives.
pub(crate) async fn ask(function: &LocalFunction, what: &str) -> Value {
    call(function, json!({ "do": what })).await.unwrap()
}

pub(crate) fn message(error: InvokeError) -> String {
    match error {
        InvokeError::Function { message, .. } => message,
        other => panic!("not the function's error: {other:?}"),
    }
}

/// Invocations that end only when the test lets them.
pub(crate) struct Holder {
    listener: TcpListener,
}

impl Holder {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn event(&self, name: &str) -> Value {
        let port = self.listener.local_addr().unwrap().port();
        json!({ "do": "hold", "port": port, "name": name })
    }

    /// Waits until an invocation is being held; returns its name, and what holds it.
    pub(crate) async fn held(&self) -> (String, TcpStream) {
        let held = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut name = String::new();
            stream.read_line(&mut name).await.unwrap();
            (name.trim().to_owned(), stream.into_inner())
        };
        tokio::time::timeout(DEADLINE, held).await.expect("an invocation begins")
    }
}

/// Repeats `look` until it is true.
#[track_caller]
pub(crate) fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let due = Instant::now() + DEADLINE;
    while !look() {
        assert!(Instant::now() < due, "{what} did not come");
        std::thread::yield_now();
    }
}

/// Whether process `pid` runs: a zombie does not.
pub(crate) fn is_running(pid: &Value) -> bool {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat")));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}

pub(crate) fn running(function: &LocalFunction) -> usize {
    let Instances { running, .. } = function.instances();
    running
}

/// A log record of target `function`, by field; the text is `message`.
pub(crate) type Record = BTreeMap<String, String>;

static RECORDS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

/// What function `name` has logged so far.
pub(crate) fn records(name: &str) -> Vec<Record> {
    let records = RECORDS.lock().unwrap();
    records
        .iter()
        .filter(|record| record.get("function").is_some_and(|f| f == name))
        .cloned()
        .collect()
}

/// The first record whose text is or begins with `text`.
pub(crate) fn record(name: &str, text: &str) -> Record {
    let mut found = None;
    eventually(text, || {
        found = records(name).into_iter().find(|record| record["message"].starts_with(text));
        found.is_some()
    });
    found.unwrap()
}

struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != "function" {
            return;
        }
        let mut fields = Fields(Record::new());
        event.record(&mut fields);
        fields.0.insert("level".to_owned(), event.metadata().level().to_string());
        RECORDS.lock().unwrap().push(fields.0);
    }
}

struct Fields(Record);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

fn listen_to_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Recorder))
            .unwrap();
    });
}
