//! Whole-process measurements, run by `cargo xtask bench`.
//!
//! What counts is work per CPU-second of the measured process, so that a load
//! generator on the same machine does not distort it; wall-clock rates are
//! printed beside it. Every row counts refusals and wrong answers, and a row
//! with any is void. The bare peers run in processes of their own, under the
//! same load, in the same run.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

mod load;
mod peer;
mod report;

#[path = "../../tests/it/harness/template.rs"]
mod template;
#[path = "../../tests/it/harness/token.rs"]
mod token;

use std::time::Duration;

use load::Traffic;
use peer::Process;
use report::Report;

/// How long each message row runs.
const ROW_TIME: Duration = Duration::from_secs(3);

/// Sockets of the message rows.
const SOCKETS: usize = 64;

/// Connects of the connect rows: within the ephemeral ports of one address.
const CONNECTS: usize = 10_000;

/// The message of all rows: 100 bytes of JSON.
const MESSAGE: &str = r#"{"action":"ping","text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;

fn main() {
    assert_eq!(MESSAGE.len(), 100, "the message is what the table says");
    if let Some(role) = std::env::args().skip_while(|word| word != "--role").nth(1) {
        return peer::serve(&role);
    }
    let mut report = Report::start();
    let bare = messages_bare(&mut report);
    messages_mock(&mut report, bare);
    messages_http(&mut report);
    connects(&mut report);
    idle_memory(&report);
    report.finish();
}

/// Bare framing: what a socket and our framing alone reach.
fn messages_bare(report: &mut Report) -> [f64; 2] {
    let bare = Process::peer("bare-echo");
    [1, 32].map(|depth| {
        let run = load::messages(bare.address, &Traffic::echo(MESSAGE, depth), &bare, ROW_TIME);
        report.row(&format!("bare framing, depth {depth}"), &run, None)
    })
}

/// Routing and MOCK, next to bare framing.
fn messages_mock(report: &mut Report, bare: [f64; 2]) {
    let gateway = Process::gateway(
        &template::expand(
            "@api $request.body.action\n@route ping Mock two-way\n  Mock:\n    Type: AWS::ApiGatewayV2::Integration\n    Properties:\n      ApiId: !Ref Api\n      IntegrationType: MOCK\n      TemplateSelectionExpression: \"200\"\n      RequestTemplates: { \"200\": '{\"statusCode\":200}' }\n  Answer:\n    Type: AWS::ApiGatewayV2::IntegrationResponse\n    Properties:\n      ApiId: !Ref Api\n      IntegrationId: !Ref Mock\n      IntegrationResponseKey: $default\n      TemplateSelectionExpression: \"200\"\n      ResponseTemplates: { \"200\": '{\"type\":\"pong\",\"at\":\"$context.requestTimeEpoch\"}' }\n",
        ),
        "",
        &[],
    );
    for (depth, bare) in [1, 32].into_iter().zip(bare) {
        let traffic = Traffic::answered(MESSAGE, depth, r#"{"type":"pong","at":""#, 13 + 2);
        let run = load::messages(gateway.address, &traffic, &gateway, ROW_TIME);
        report.row(&format!("MOCK, depth {depth}"), &run, Some(("bare framing", bare)));
    }
}

/// An HTTP integration, next to the same back end asked directly.
fn messages_http(report: &mut Report) {
    let backend = Process::peer("backend");
    let direct = load::requests(backend.address, MESSAGE, SOCKETS, ROW_TIME, &backend);
    report.row("back end directly, depth 1", &direct, None);
    let gateway = Process::gateway(
        &template::expand(&format!(
            "@integration Http {{\"IntegrationType\":\"HTTP_PROXY\",\"IntegrationMethod\":\"POST\",\"IntegrationUri\":\"http://{}/\"}}\n@route ping Http two-way\n",
            backend.address
        )),
        "",
        &[],
    );
    for depth in [1, 32] {
        let traffic = Traffic::echo(MESSAGE, depth);
        let run = load::messages(gateway.address, &traffic, &gateway, ROW_TIME);
        let name = format!("HTTP integration, depth {depth}");
        report.row_by_wall(&name, &run, ("back end directly", direct.per_second()));
    }
}

/// Handshakes with a distinct token each, next to handshakes without a verdict.
fn connects(report: &mut Report) {
    let (jwt, csrf) = (token::random_hex(), token::random_hex());
    let secrets = [("BENCH_JWT", jwt.as_str()), ("BENCH_CSRF", csrf.as_str())];
    let plain = load::handshakes(CONNECTS, |_| ("/dev".to_owned(), String::new()));
    let guarded = load::handshakes(CONNECTS, |n| {
        let session = format!("s{n}");
        let claims = serde_json::json!({ "sub": format!("user-{n}"), "sid": session, "exp": 4_000_000_000_u64 });
        let value = token::csrf(&session, &csrf);
        let headers = format!(
            "Origin: http://ui.wsgate.localhost\r\nCookie: JWT={}; CSRF-TOKEN={value}\r\n",
            token::jwt(&claims, &jwt)
        );
        (format!("/dev?csrf_token={value}"), headers)
    });
    let off = "[throttle]\nconnects = \"off\"\nrequests = \"off\"\n";
    let config = format!(
        "{off}[authorizer]\norigins = [\"http://ui.wsgate.localhost\"]\n[[authorizer.issuers]]\nissuer = \"any\"\naudience = \"any\"\nalgorithms = [\"HS256\"]\nkeys = [\"hmac:env:BENCH_JWT\"]\n[authorizer.csrf]\nmode = \"signed\"\nsecret = \"env:BENCH_CSRF\"\n"
    );
    let open = Process::gateway(&template::expand("@route $connect -\n"), off, &[]);
    let run = load::connects(open.address, &plain, &open);
    let plain = report.row("connects without a verdict", &run, None);
    drop(open);
    let source = "@builtin Auth\n@authorizer Guard Auth\n@route $connect - auth=Guard\n";
    let gateway = Process::gateway(&template::expand(source), &config, &secrets);
    let run = load::connects(gateway.address, &guarded, &gateway);
    report.row("connects with cookie, CSRF and HS256", &run, Some(("without a verdict", plain)));
}

/// Resident memory of idle connections, as a difference quotient.
fn idle_memory(report: &Report) {
    let off = "[throttle]\nconnects = \"off\"\n";
    let gateway = Process::gateway(&template::expand("@route $connect -\n"), off, &[]);
    let mut held = load::hold(gateway.address, 1000);
    let first = gateway.resident_kib();
    held.extend(load::hold(gateway.address, 4000));
    let second = gateway.resident_kib();
    report.memory(first, second, held.len());
}
