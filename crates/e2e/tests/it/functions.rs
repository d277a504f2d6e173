//! Functions on this machine: the code of a template, as it stands, behind real sockets.

mod alone;
mod assembly;
mod bad;
mod many;
mod places;
mod push;
mod reload;
mod remote;
mod rights;
mod shapes;
mod trust;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::{Message, Wire};
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};

/// A test asks again and again until something has happened.
pub(crate) const UNTHROTTLED: &str = "[throttle]\nconnects = \"off\"\nrequests = \"off\"\n";

/// Longest wait for anything that a function does: on a busy machine a start takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a function fails with, as its client sees it.
const FAILURE: &str = "Internal server error";

/// Node.js, and a Python with boto3; `None` when the caller of the tests left one out.
pub(crate) fn interpreters() -> Option<Vec<PathBuf>> {
    let python = tool("moto", "MOTO_SERVER")?.with_file_name("python3");
    Some(vec![python, tool("node", "NODE")?])
}

/// A `PATH` on which exactly these programs are found first.
pub(crate) fn path_to(programs: &[PathBuf]) -> (String, String) {
    let own = programs.iter().filter_map(|program| Some(program.parent()?.to_path_buf()));
    let system = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
    let path = std::env::join_paths(own.chain(system)).expect("folders without colons");
    ("PATH".to_owned(), path.into_string().expect("folders in UTF-8"))
}

/// AWS's SDKs for JavaScript in `folder`, as `npm install` puts them there.
pub(crate) fn sdk(folder: &str) -> Option<(String, PathBuf)> {
    Some((format!("{folder}/node_modules"), tool("sdk", "SDK_MODULES")?))
}

/// An application: short forms of a template ([`template::expand`]), and files beside it.
fn application(source: &str, files: &[(&str, &str)]) -> Option<Setup> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Some(Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(source).text)],
        files: files.iter().map(own).collect(),
        config: UNTHROTTLED.to_owned(),
        environment: vec![path_to(&interpreters()?)],
        ..Setup::default()
    })
}

#[track_caller]
pub(crate) fn start(setup: &Setup) -> Gateway {
    Gateway::start(setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

/// Sends an upgrade with `headers`; with a client when it is let in.
#[track_caller]
pub(crate) fn connect(
    gateway: &Gateway,
    target: &str,
    headers: &[(&str, &str)],
) -> (Message, Option<Client>) {
    let wire = Wire::connect(gateway.listen).unwrap();
    wire.wait_up_to(PATIENCE).unwrap();
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers: Vec<_> = headers.iter().map(own).collect();
    let opened = Client::open_over(wire, gateway.listen, target, &headers);
    opened.unwrap_or_else(|error| panic!("{error}\n{}", gateway.stderr()))
}

#[track_caller]
pub(crate) fn open(gateway: &Gateway, target: &str) -> Client {
    let (answer, client) = connect(gateway, target, &[]);
    client.unwrap_or_else(|| panic!("{} {}\n{}", answer.start, answer.text(), gateway.stderr()))
}

/// Sends `text` and reads the one answer.
#[track_caller]
pub(crate) fn ask(gateway: &Gateway, client: &mut Client, text: &str) -> String {
    client.send_text(text).unwrap();
    match client.receive() {
        Ok(Incoming::Text(text)) => text,
        other => panic!("no answer to {text}: {other:?}\n{}", gateway.stderr()),
    }
}

/// [`ask`], for answers in JSON.
#[track_caller]
pub(crate) fn ask_json(gateway: &Gateway, client: &mut Client, message: &Value) -> Value {
    let answer = ask(gateway, client, &message.to_string());
    serde_json::from_str(&answer)
        .unwrap_or_else(|_| panic!("{message}: {answer}\n{}", gateway.stderr()))
}

/// Asserts that `answer` is the frame that tells a client of a failure, and nothing more.
#[track_caller]
fn assert_failure(gateway: &Gateway, answer: &str) {
    let frame: Value = serde_json::from_str(answer).unwrap_or(Value::Null);
    assert_eq!(frame["message"], FAILURE, "{answer}\n{}", gateway.stderr());
    assert_eq!(frame.as_object().map(serde_json::Map::len), Some(3), "{answer}");
}

/// Repeats `look` until it is true; each look is a round trip of its own.
#[track_caller]
pub(crate) fn eventually(gateway: &Gateway, what: &str, mut look: impl FnMut() -> bool) {
    let due = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < due, "{what} did not come\n{}", gateway.stderr());
        std::thread::yield_now();
    }
}
