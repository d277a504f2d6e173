//! Starts: until the ready line, and until the first answer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::latency::Exchange;
use super::peer::{Process, named};
use super::{MESSAGE, expand, native, template_of};

/// How often each contender is started; they alternate.
const ROUNDS: usize = 15;

/// One start.
struct Start {
    ready: Duration,
    /// From the start to the first answer of a function.
    answer: Option<Duration>,
    is_right: bool,
}

/// A program to start; it is told the round.
struct Contender<'a> {
    name: &'static str,
    start: Box<dyn Fn(usize) -> Start + 'a>,
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, start: impl Fn(usize) -> Start + 'a) -> Self {
        Self { name, start: Box::new(start) }
    }
}

/// Prints how long starts take. Returns whether any row is void.
#[must_use]
pub(crate) fn rows() -> bool {
    let moto = named("MOTO_SERVER").map(|program| Process::moto(&program));
    let mut contenders = Vec::new();
    if let Some(node) = named("NODE") {
        contenders.push(Contender::new("`node -e 0`, to its end", move |_| interpreter(&node)));
    }
    contenders
        .push(Contender::new("no function", |_| gateway(&expand("@route $connect -\n"), None)));
    contenders.push(Contender::new("a native function", |_| {
        gateway(&template_of("provided.al2023"), Some(native::ANSWER))
    }));
    if named("NODE").is_some() {
        contenders.push(Contender::new("a Node.js function", |_| {
            gateway(&template_of("nodejs20.x"), Some(MESSAGE))
        }));
    }
    contenders.push(Contender::new("`examples/chat`", |_| chat(&[], "http://127.0.0.1:9")));
    if let Some(moto) = &moto {
        let endpoint = format!("http://{}", moto.address);
        contenders.push(Contender::new("`examples/chat`, its table made in moto", move |round| {
            // Each has a table of its own.
            chat(&["--provision", "--stack-name", &format!("chat{round}")], &endpoint)
        }));
    }

    let mut starts: Vec<Vec<Start>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for (contender, starts) in contenders.iter().zip(&mut starts) {
            starts.push((contender.start)(round));
        }
    }
    println!("\n## Start of the gateway\n");
    println!("| row | ready, median | p90 | first answer, median | p90 | wrong |");
    println!("|---|---|---|---|---|---|");
    let mut is_void = false;
    for (contender, starts) in contenders.iter().zip(&starts) {
        let wrong = starts.iter().filter(|start| !start.is_right).count();
        is_void |= 0 < wrong;
        let ready = spread(starts.iter().map(|start| start.ready).collect());
        let answer = spread(starts.iter().filter_map(|start| start.answer).collect());
        println!("| {} | {ready} | {answer} | {wrong} |", contender.name);
    }
    is_void
}

/// Median and ninth decile as cells.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    if times.is_empty() {
        return " | ".to_owned();
    }
    let millis = |at: usize| times[at].as_secs_f64() * 1000.0;
    format!("{:.1} ms | {:.1} ms", millis(times.len() / 2), millis(times.len() * 9 / 10))
}

fn interpreter(node: &Path) -> Start {
    let started = Instant::now();
    let mut command = Command::new(node);
    let status = command.args(["-e", "0"]).stdin(Stdio::null()).status().unwrap();
    Start { ready: started.elapsed(), answer: None, is_right: status.success() }
}

/// Starts a gateway and, where `answer` says what must come back, sends a message.
fn gateway(template: &str, answer: Option<&str>) -> Start {
    let started = Instant::now();
    let gateway = Process::gateway(template);
    let ready = gateway.ready_after;
    let Some(answer) = answer else { return Start { ready, answer: None, is_right: true } };
    let before = started.elapsed() - ready;
    let is_right = Exchange::websocket(gateway.address, MESSAGE, answer).exchange();
    Start { ready, answer: Some(started.elapsed() - before), is_right }
}

/// Starts the chat of the examples, whose database is at `endpoint`.
fn chat(options: &[&str], endpoint: &str) -> Start {
    let mut arguments = vec![chat_template().to_str().unwrap().to_owned()];
    arguments.extend(options.iter().map(|option| (*option).to_owned()));
    let environment = [("WSGATE_INTEGRATIONS__ENDPOINTS__DYNAMODB", endpoint.to_owned())];
    let gateway = Process::serve(&arguments, &environment, TempDir::new().unwrap());
    Start { ready: gateway.ready_after, answer: None, is_right: true }
}

fn chat_template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/chat/template.yaml")
}
