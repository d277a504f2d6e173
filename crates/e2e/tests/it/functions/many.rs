//! Thousands of clients that leave in one moment.

use std::collections::HashSet;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::{application, ask, eventually, open, start};
use crate::harness::gateway::Gateway;
use crate::harness::ws::{Client, Frame};

/// Clients, where this process may have so many sockets.
const CLIENTS: usize = 5000;
/// Files and sockets that are not clients'.
const OTHERS: usize = 300;
/// Clients of a gateway that ends: all must be served within the wait for its end.
const ENDED: usize = 1000;
/// Processes of the function; a small machine has memory for these.
const INSTANCES: usize = 6;

/// Keeps a line for each connection that ends, and counts them when asked.
const TALLY: &str = "
const { appendFileSync, readFileSync } = require('node:fs');

exports.handler = async ({ requestContext: { connectionId, eventType } }) => {
  if (eventType === 'DISCONNECT') {
    appendFileSync(process.env.TALLY, `${connectionId}\\n`);
    return { statusCode: 200 };
  }
  const lines = readFileSync(process.env.TALLY, 'utf8').split('\\n').length - 1;
  return { statusCode: 200, body: String(lines) };
};
";

/// How many clients this process can hold.
fn clients() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<usize>().ok());
    soft.map_or(CLIENTS, |soft| CLIENTS.min(soft.saturating_sub(OTHERS)))
}

/// Ids of the processes that `gateway` started and that still run.
fn children(gateway: &Gateway) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(gateway.id())).collect()
}

fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A function that counts in `tally`, and a gateway in front of it.
fn counting(tally: &Path, config: &str) -> Option<Gateway> {
    let properties = json!({
        "Runtime": "nodejs22.x",
        "Handler": "app.handler",
        "Environment": { "Variables": { "TALLY": tally } },
    });
    let source = format!(
        "@function Worker {properties}\n@route $disconnect Worker\n@route $default Worker two-way\n"
    );
    let mut setup = application(&source, &[("src/app.js", TALLY)])?;
    setup.config += &format!("{config}[functions.Worker]\ninstances_max = {INSTANCES}\n");
    std::fs::write(tally, "").unwrap();
    Some(start(&setup))
}

/// Asserts that `count` connections were counted, and each once.
#[track_caller]
fn assert_counted(tally: &Path, count: usize) {
    let lines = std::fs::read_to_string(tally).unwrap();
    let different: HashSet<&str> = lines.lines().collect();
    assert_eq!((lines.lines().count(), different.len()), (count, count), "each once");
}

/// Asserts that none of `workers` runs any more.
#[track_caller]
fn assert_gone(workers: &[u32]) {
    for worker in workers {
        let left = Path::new("/proc").join(worker.to_string()).exists();
        assert!(!left, "{worker} is left");
    }
}

#[test]
fn clients_that_leave_at_once_lose_no_disconnect_and_no_process() {
    let folder = TempDir::new().unwrap();
    let tally = folder.path().join("tally");
    let Some(mut gateway) = counting(&tally, "") else { return };
    let mut witness = open(&gateway, "/dev");
    let mut crowd: Vec<Client> = (0..clients()).map(|_| open(&gateway, "/dev")).collect();
    let count = crowd.len();
    assert_eq!(ask(&gateway, &mut witness, "how many?"), "0");

    // Every second one without a word.
    for client in crowd.iter_mut().step_by(2) {
        client.send(&Frame::close(Some(1000), "")).unwrap();
    }
    drop(crowd);
    let mut seen = 0;
    // Each step is a wait of its own: it goes on as long as some are counted.
    while seen < count {
        let before = seen;
        eventually(&gateway, &format!("more than {seen} of {count}"), || {
            seen = ask(&gateway, &mut witness, "how many?").parse().unwrap();
            before < seen
        });
    }
    assert_counted(&tally, count);
    let workers = children(&gateway);
    if Path::new("/proc/self").exists() {
        assert!((1..=INSTANCES).contains(&workers.len()), "{workers:?}");
    }
    drop(witness);
    assert_eq!(gateway.stop().and_then(|status| status.code()), Some(0), "{}", gateway.stderr());
    assert_gone(&workers);
    assert_counted(&tally, count + 1);
}

#[test]
fn a_gateway_that_ends_lets_every_disconnect_run() {
    let folder = TempDir::new().unwrap();
    let tally = folder.path().join("tally");
    let drain = "[drain]\nspread = \"0s\"\ngrace = \"60s\"\n";
    let Some(mut gateway) = counting(&tally, drain) else { return };
    let mut crowd: Vec<Client> = (0..ENDED).map(|_| open(&gateway, "/dev")).collect();
    assert_eq!(ask(&gateway, &mut crowd[0], "how many?"), "0");
    let workers = children(&gateway);
    gateway.terminate();
    drop(crowd);
    assert_eq!(gateway.ended().and_then(|status| status.code()), Some(0), "{}", gateway.stderr());
    assert_counted(&tally, ENDED);
    assert_gone(&workers);
}
