//! AWS's own runtime clients as witnesses: under them, the same handler gives the same results.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{application, ask, open, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::tool::tool;
use crate::harness::ws::Incoming;

const JAVASCRIPT: &str = include_str!("code/witness.js");
const PYTHON: &str = include_str!("code/witness.py");

/// What a handler is told to do.
const ACTS: [&str; 9] =
    ["context", "unicode", "nothing", "text", "number", "big", "error", "string", "cycle"];

/// One handler twice: `ours` by the shim, `theirs` by `command`.
fn twice(runtime: &str, file: &str, code: &str, command: &Value) -> Option<Setup> {
    let source = format!(
        r#"@function Ours {{"FunctionName":"Ours","Runtime":"{runtime}","Handler":"app.handler"}}
@function Theirs {{"FunctionName":"Theirs","Runtime":"{runtime}","Handler":"app.handler"}}
@route ours Ours two-way
@route theirs Theirs two-way
"#
    );
    let mut setup = application(&source, &[(file, code)])?;
    setup.config += &format!("[functions.Theirs]\ncommand = {command}\n");
    Some(setup)
}

/// The answer, without what differs from one message or function to the next.
fn act(gateway: &Gateway, whose: &str, act: &str) -> String {
    let mut client = open(gateway, "/dev");
    let answer = ask(gateway, &mut client, &json!({ "action": whose, "act": act }).to_string());
    let mut value: Value = serde_json::from_str(&answer).unwrap_or_else(|_| json!(answer));
    if value["message"].is_string() {
        value["connectionId"] = json!("");
        value["requestId"] = json!("");
    }
    value.to_string().replace("Theirs", "Ours")
}

#[track_caller]
fn check(setup: Option<Setup>) {
    let Some(setup) = setup else { return };
    let gateway = start(&setup);
    for name in ACTS {
        let (ours, theirs) = (act(&gateway, "ours", name), act(&gateway, "theirs", name));
        assert_eq!(ours, theirs, "{name}\n{}", gateway.stderr());
    }
    assert!(act(&gateway, "theirs", "unicode").contains("grüße"));
    assert!(act(&gateway, "theirs", "context").contains("/aws/lambda/"));
    assert!(act(&gateway, "theirs", "error").contains("Internal server error"));
    // What a handler finds in its environment: theirs may set more, and lose nothing.
    let names = |whose: &str| -> Vec<String> {
        serde_json::from_str(&act(&gateway, whose, "environment")).unwrap()
    };
    let theirs = names("theirs");
    for name in names("ours") {
        assert!(theirs.contains(&name), "{name} is not in {theirs:?}");
    }
}

#[test]
fn the_runtime_client_for_javascript_gives_the_same_results() {
    let Some(ric) = tool("aws-lambda-ric", "AWS_LAMBDA_RIC") else { return };
    let Some(node) = tool("node", "NODE") else { return };
    let command = json!([node, ric, "app.handler"]);
    check(twice("nodejs22.x", "src/app.js", JAVASCRIPT, &command));
}

#[test]
fn the_runtime_client_for_python_gives_the_same_results() {
    let Some(ric) = tool("awslambdaric", "AWSLAMBDARIC_PYTHON") else { return };
    let command = json!([ric, "-m", "awslambdaric", "app.handler"]);
    check(twice("python3.12", "src/app.py", PYTHON, &command));
}

/// One instance answers four messages that wait for each other, by the shim and by `command`.
#[track_caller]
fn check_together(runtime: &str, file: &str, code: &str, command: Option<Value>) {
    let folder = TempDir::new().unwrap();
    let properties = json!({
        "Runtime": runtime,
        "Handler": "app.handler",
        "Environment": { "Variables": { "TOGETHER": folder.path() } },
    });
    let source = format!("@function Worker {properties}\n@route $default Worker two-way\n");
    let Some(mut setup) = application(&source, &[(file, code)]) else { return };
    setup.config += "[functions.Worker]\ninstances_max = 1\ninvocations_per_instance = 4\n";
    if let Some(command) = command {
        setup.config += &format!("command = {command}\n");
    }
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    for _ in 0..4 {
        client.send_text("x").unwrap();
    }
    for _ in 0..4 {
        let got = client.receive().unwrap();
        assert_eq!(got, Incoming::Text("together".to_owned()), "{}", gateway.stderr());
    }
}

#[test]
fn one_process_of_javascript_takes_several_invocations() {
    let code = include_str!("code/together.js");
    check_together("nodejs22.x", "src/app.js", code, None);
    let Some(ric) = tool("aws-lambda-ric", "AWS_LAMBDA_RIC") else { return };
    let Some(node) = tool("node", "NODE") else { return };
    let command = json!([node, ric, "app.handler"]);
    check_together("nodejs22.x", "src/app.js", code, Some(command));
}

#[test]
fn one_process_of_python_takes_several_invocations() {
    let code = include_str!("code/together.py");
    check_together("python3.12", "src/app.py", code, None);
    let Some(ric) = tool("awslambdaric", "AWSLAMBDARIC_PYTHON") else { return };
    let command = json!([ric, "-m", "awslambdaric", "app.handler"]);
    check_together("python3.12", "src/app.py", code, Some(command));
}
