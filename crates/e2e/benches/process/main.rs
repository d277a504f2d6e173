//! Whole-process measurements, run by `cargo xtask bench [SECTION]`.
//!
//! What counts is work per CPU-second of the measured process, so that a load
//! generator on the same machine does not distort it; wall-clock rates are
//! printed beside it. Every row counts refusals and wrong answers, and a row
//! with any is void. The bare peers run in processes of their own, under the
//! same load, in the same run, and rows alternate: what is printed is the
//! median of [`ROUNDS`](report::ROUNDS).

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod connect;
mod load;
mod machine;
mod peer;
mod report;
mod role;
mod tls;

#[path = "../../tests/it/harness/template.rs"]
mod template;
#[path = "../../tests/it/harness/token.rs"]
mod token;

use std::time::Duration;

use load::Traffic;
use peer::Process;
use report::{Report, Row};

/// As the gateway's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How long each message row runs, each round.
const ROW_TIME: Duration = Duration::from_secs(2);

/// Sockets of the message rows.
const SOCKETS: usize = 64;

/// The message of all rows: 100 bytes of JSON.
const MESSAGE: &str = concat!(
    r#"{"action":"ping","text":"01234567890123456789012345678901234"#,
    r#"56789012345678901234567890123456789012"}"#
);
const _: () = assert!(MESSAGE.len() == 100);

/// What every gateway is given: nothing here is about throttles.
const NO_THROTTLE: &str = "[throttle]\nconnects = \"off\"\nrequests = \"off\"\n";

/// The generator holds idle connections longer than it answers pings.
const NO_PINGS: &str = "[limits]\nping_interval = \"600s\"\n";

/// Accepts every connect.
const OPEN: &str = "@route $connect -\n";

/// The popular keep-alive configuration.
const PING: &str = r#"@api $request.body.action
@route ping Mock two-way
  Mock:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: MOCK
      TemplateSelectionExpression: "200"
      RequestTemplates: { "200": '{"statusCode":200}' }
  Answer:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Mock
      IntegrationResponseKey: $default
      TemplateSelectionExpression: "200"
      ResponseTemplates: { "200": '{"type":"pong","at":"$context.requestTimeEpoch"}' }
"#;

/// A part of the whole, with the name to ask for it by.
type Section = (&'static str, fn(&mut Report));

/// All there is, in the order in which it runs.
const SECTIONS: [Section; 5] = [
    ("connect", connect::rows),
    ("echo", echo),
    ("http", http),
    ("growth", growth),
    ("memory", memory),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, role] = arguments.as_slice()
        && flag == "--role"
    {
        return role::serve(role);
    }
    if machine::restarted_with_descriptors() {
        return;
    }
    let wanted: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    for word in &wanted {
        assert!(SECTIONS.iter().any(|(name, _)| name == word), "no such section: {word}");
    }
    machine::describe();
    let mut report = Report::default();
    for (name, section) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|word| *word == name) {
            section(&mut report);
        }
    }
    report.finish();
}

/// Messages through routing and `MOCK`, next to bare framing.
fn echo(report: &mut Report) {
    machine::use_one_core();
    let bare = Process::peer("bare");
    let gateway = Process::gateway(&template::expand(PING), NO_THROTTLE, &[]);
    let (bare, gateway) = (&bare, &gateway);
    let rows = [1, 32].into_iter().enumerate().flat_map(|(at, depth)| {
        let play = move |process: &Process, traffic: &Traffic| {
            load::messages(process, traffic, SOCKETS, ROW_TIME)
        };
        [
            Row::new(format!("bare framing, depth {depth}"), move || {
                play(bare, &Traffic::echo(MESSAGE, depth))
            }),
            Row::new(format!("MOCK, depth {depth}"), move || {
                play(gateway, &Traffic::pong(MESSAGE, depth))
            })
            .per_cpu(2 * at),
        ]
    });
    report.table("Messages through MOCK", rows.collect());
}

/// Messages through an HTTP integration, next to the same back end asked directly:
/// one that answers at once, so that processors are what is short, and one that
/// takes its time.
fn http(report: &mut Report) {
    machine::use_all_cores();
    let pairs = [("backend", "back end"), ("slow-backend", "slow back end")].map(|(role, name)| {
        let backend = Process::peer(role);
        let source = format!(
            "@integration Http {{\"IntegrationType\":\"HTTP_PROXY\",\"IntegrationMethod\":\"POST\",\"IntegrationUri\":\"http://{}/\"}}\n@route ping Http two-way\n@api $request.body.action\n",
            backend.address
        );
        let gateway = Process::gateway(&template::expand(&source), NO_THROTTLE, &[]);
        (name, backend, gateway)
    });
    let mut rows = Vec::new();
    for (name, backend, gateway) in &pairs {
        // At depth 32 fewer sockets, so that as many requests are in flight directly.
        for (sockets, depth) in [(SOCKETS, 1), (8, 32)] {
            let before = rows.len();
            rows.push(Row::new(
                format!("{name} directly, {} in flight", sockets * depth),
                move || load::requests(backend, MESSAGE, sockets * depth, ROW_TIME),
            ));
            let through = format!("through the gateway, {sockets} sockets, depth {depth}");
            rows.push(
                Row::new(through, move || {
                    load::messages(gateway, &Traffic::echo(MESSAGE, depth), sockets, ROW_TIME)
                })
                .per_second(before),
            );
        }
    }
    report.table("Messages through an HTTP integration", rows);
}

/// What a message costs when few and when many connections send, next to what
/// that changes for bare framing.
fn growth(report: &mut Report) {
    machine::use_one_core();
    let gateway = Process::gateway(&template::expand(PING), NO_THROTTLE, &[]);
    let bare = Process::peer("bare");
    let row = |name: &str, process, traffic: Traffic, count: usize| {
        Row::new(format!("{name}, {count} connections"), move || {
            load::messages(process, &traffic, count, ROW_TIME)
        })
    };
    let rows = vec![
        row("bare framing", &bare, Traffic::echo(MESSAGE, 1), 1000),
        row("bare framing", &bare, Traffic::echo(MESSAGE, 1), 15_000).per_cpu(0),
        row("MOCK", &gateway, Traffic::pong(MESSAGE, 1), 1000),
        row("MOCK", &gateway, Traffic::pong(MESSAGE, 1), 15_000).per_cpu(2),
    ];
    report.table("Growth", rows);
}

/// Resident memory of idle connections, as difference quotients.
fn memory(_: &mut Report) {
    machine::use_all_cores();
    let config = format!("{NO_THROTTLE}{NO_PINGS}");
    let gateway = Process::gateway(&template::expand(OPEN), &config, &[]);
    let counts = [1000, 5000, 15_000];
    let mut held = Vec::new();
    let plain = counts.map(|count| {
        held.extend(load::hold(gateway.address, count - held.len()));
        gateway.settled_kib()
    });
    Report::memory("plain text", counts, plain);
    // Before the next gateway starts.
    drop((gateway, held));

    let identity = tls::Identity::new();
    let config = format!("{config}{}", identity.listen_section());
    let gateway = Process::gateway(&template::expand(OPEN), &config, &[]);
    let client = identity.client();
    let mut held = Vec::new();
    let tls = counts.map(|count| {
        held.extend(tls::hold(&client, gateway.address, count - held.len()));
        gateway.settled_kib()
    });
    Report::memory("TLS", counts, tls);
}
