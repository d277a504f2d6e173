//! What functions on this machine cost, run by `cargo xtask bench functions`.
//!
//! Each row stands beside a baseline of the same run: the same handler in a bare request loop, or
//! another program that runs it. Every answer is compared; a row with a wrong one is void.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod host;
mod latency;
mod native;
mod peer;
mod start;

#[path = "../process/load.rs"]
#[expect(dead_code, reason = "the other bench has more kinds of load")]
mod load;
#[path = "../process/report.rs"]
#[expect(dead_code, reason = "the other bench has more kinds of tables")]
mod report;
#[path = "../../tests/it/harness/template.rs"]
mod template;

use std::time::Duration;

use latency::{Exchange, Row};
use load::Traffic;
use peer::{Process, named};
use report::Report;

/// As the gateway's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long each row of many sockets runs, each round.
const ROW_TIME: Duration = Duration::from_secs(4);

/// Sockets of the rows of many.
const SOCKETS: usize = 64;

/// The message of all rows: 100 bytes of JSON.
const MESSAGE: &str = concat!(
    r#"{"action":"echo","text":"01234567890123456789012345678901234"#,
    r#"56789012345678901234567890123456789012"}"#
);
const _: () = assert!(MESSAGE.len() == 100);

/// A part of the whole, with the name to ask for it by; tells whether any row is void.
type Section = (&'static str, fn() -> bool);

/// All there is, in the order in which it runs.
const SECTIONS: [Section; 4] =
    [("invoke", invoke), ("one", one_socket), ("start", start::rows), ("many", many_sockets)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role] = arguments.as_slice()
        && flag == "--role"
    {
        return native::serve(role);
    }
    let wanted: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    for word in &wanted {
        assert!(SECTIONS.iter().any(|(name, _)| name == word), "no such section: {word}");
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load.trim());
    let mut is_void = false;
    for (name, section) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|word| *word == name) {
            is_void |= section();
        }
    }
    assert!(!is_void, "a row with wrong answers is void");
}

/// A native handler that does nothing: in a bare loop, by the host alone, behind the gateway.
fn invoke() -> bool {
    let bare = Process::role("loop");
    let gateway = Process::gateway(&template_of("provided.al2023"));
    let host = host::Host::new();
    let mut bare = Exchange::http(bare.address, &event(), native::RESULT);
    let mut through = Exchange::websocket(gateway.address, MESSAGE, native::ANSWER);
    latency::table(
        "Warm invocation of a native function",
        vec![
            Row::new("the handler in a bare request loop", || bare.repeat()),
            Row::new("`LocalFunction::invoke`", || host.repeat()),
            Row::new("a message through the gateway", || through.repeat()),
        ],
    )
}

/// A Node.js handler that echoes, asked by one client, one message after the other.
fn one_socket() -> bool {
    let Some(node) = named("NODE") else {
        println!("\nwithout Node.js: no rows of one socket");
        return false;
    };
    let bare = Process::node_loop(&node);
    let gateway = Process::gateway(&template_of("nodejs20.x"));
    let mut bare = Exchange::http(bare.address, &event(), &echoed());
    let mut through = Exchange::websocket(gateway.address, MESSAGE, MESSAGE);
    latency::table(
        "A Node.js function, one connection",
        vec![
            Row::new("the handler in a bare request loop", || bare.repeat()),
            Row::new("a message through the gateway", || through.repeat()),
        ],
    )
}

/// The same handler, asked by many clients; the peer runs it, too.
fn many_sockets() -> bool {
    let (Some(node), Some(packages)) = (named("NODE"), named("SERVERLESS_OFFLINE")) else {
        println!("\nwithout Node.js or serverless-offline: no rows of many sockets");
        return false;
    };
    let peer = Process::serverless_offline(&node, &packages);
    let gateway = Process::gateway(&template_of("nodejs20.x"));
    let play =
        |process: &Process| load::messages(process, &Traffic::echo(MESSAGE, 1), SOCKETS, ROW_TIME);
    // What they start for so many at once is there before any clock runs.
    play(&peer);
    play(&gateway);
    let mut report = Report::default();
    report.table(
        "A Node.js function, 64 connections",
        vec![
            report::Row::new("serverless-offline", || play(&peer)),
            report::Row::new("the gateway", || play(&gateway)).per_cpu(0),
        ],
    );
    report.finish();
    false
}

/// A template whose function answers `$connect` and every message.
fn template_of(runtime: &str) -> String {
    expand(&format!(
        "@function Echo {{\"Runtime\":\"{runtime}\",\"Handler\":\"echo.handler\"}}\n@route $connect Echo\n@route $default Echo two-way\n"
    ))
}

/// Writes out the short forms of a template all of whose functions are here.
fn expand(source: &str) -> String {
    let template = template::expand(source);
    assert!(template.functions.is_empty(), "nobody plays functions here");
    template.text
}

/// What the gateway hands to a function for [`MESSAGE`], about.
fn event() -> String {
    serde_json::json!({
        "requestContext": {
            "routeKey": "$default", "messageId": "AbCdEfGhIjKlMnO=", "eventType": "MESSAGE",
            "extendedRequestId": "AbCdEfGhIjKlMnO=",
            "requestTime": "20/Nov/2026:12:00:00 +0000", "messageDirection": "IN", "stage": "dev",
            "connectedAt": 1_795_000_000_000_u64, "requestTimeEpoch": 1_795_000_000_001_u64,
            "identity": { "sourceIp": "127.0.0.1" }, "requestId": "AbCdEfGhIjKlMnO=",
            "domainName": "localhost", "connectionId": "AbCdEfGhIjKlMnO=", "apiId": "a1b2c3d4e5",
        },
        "body": MESSAGE, "isBase64Encoded": false,
    })
    .to_string()
}

/// The handler's result for [`event`].
fn echoed() -> String {
    format!(r#"{{"statusCode":200,"body":{}}}"#, serde_json::Value::from(MESSAGE))
}
