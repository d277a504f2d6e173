//! What a function sees: its own environment, and nothing of the gateway or of other functions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{application, ask_json, open, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::{Message, Wire, request_bytes};
use crate::harness::token;

/// Tells what it sees, and asks the address that a message names.
const SPY: &str = r#"
import http.client, json, os, socket

OPEN = "/proc/self/fd"

def handler(event, context):
    message = json.loads(event["body"])
    if "poll" in message:
        return reply(poll(message["poll"]))
    return reply({
        "environment": dict(os.environ),
        "open": {name: link(f"{OPEN}/{name}") for name in (os.listdir(OPEN) if os.path.isdir(OPEN) else [])},
        "folder": os.getcwd(),
        "files": sorted(os.listdir(os.environ["HOME"])),
        "group": os.getpgid(0),
        "parent": os.getpgid(os.getppid()),
    })

def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""

def poll(address):
    try:
        api = http.client.HTTPConnection(address, timeout=5)
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        return {"status": api.getresponse().status}
    except (OSError, http.client.HTTPException) as error:
        return {"error": type(error).__name__}

def reply(value):
    return {"statusCode": 200, "body": json.dumps(value)}
"#;

/// Variables that a function has on Lambda, or by which it finds this gateway; Python and macOS
/// add one each.
const KNOWN: [&str; 33] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HOME",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "NODE_EXTRA_CA_CERTS",
    "OWN",
    "PATH",
    "PYTHONPATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "__CF_USER_TEXT_ENCODING",
];

fn setup(secret: &str) -> Option<Setup> {
    let source = r#"@function One {"Runtime":"python3.12","Handler":"app.handler","Environment":{"Variables":{"OWN":"one"}}}
@function Other {"Runtime":"python3.12","Handler":"app.handler","Environment":{"Variables":{"OWN":"other"}}}
@route one One two-way
@route other Other two-way
"#;
    let mut setup = application(source, &[("src/app.py", SPY)])?;
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.environment.extend([
        own("HARNESS_SECRET", secret),
        own("AWS_ACCESS_KEY_ID", "AKIAGATEWAY"),
        own("AWS_SECRET_ACCESS_KEY", secret),
        own("AWS_SESSION_TOKEN", secret),
        own("NODE_OPTIONS", "--no-warnings"),
        own("PYTHONPATH", "/nowhere"),
        own("LD_PRELOAD", ""),
        own("HTTPS_PROXY", "http://127.0.0.1:9"),
    ]);
    let key = format!(
        "[[management.keys]]\nid = \"AKIATEST\"\nsecret = \"{secret}\"\n\
         [parameters]\n\"/not/its/own\" = \"{secret}\"\n"
    );
    setup.config += &key;
    Some(setup)
}

/// What a process has open.
fn files_of(process: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

fn see(gateway: &Gateway, whose: &str) -> Value {
    let mut client = open(gateway, "/dev");
    ask_json(gateway, &mut client, &json!({ "action": whose }))
}

#[test]
fn a_function_sees_its_own_environment_and_nothing_else() {
    let secret = token::random_hex();
    let Some(setup) = setup(&secret) else { return };
    let gateway = start(&setup);
    let (one, other) = (see(&gateway, "one"), see(&gateway, "other"));
    for seen in [&one, &other] {
        assert!(!seen.to_string().contains(&secret), "a secret of the gateway is in sight");
        let names: BTreeSet<&str> =
            seen["environment"].as_object().unwrap().keys().map(String::as_str).collect();
        let known = BTreeSet::from(KNOWN);
        let unknown: Vec<_> = names.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        // Beside its output: one connection to its Runtime API.
        let open = seen["open"].as_object().unwrap();
        let open = open.iter().filter(|(number, _)| !["1", "2"].contains(&number.as_str()));
        let open: BTreeSet<&str> = open.filter_map(|(_, link)| link.as_str()).collect();
        assert!(open.iter().filter(|link| link.starts_with("socket:")).count() <= 1, "{open:?}");
        let gateways = files_of(&gateway.id().to_string());
        // What the runner of this test left open is in every process.
        let runners = files_of("self");
        for link in open.iter().filter(|link| !runners.contains(**link)) {
            assert!(!gateways.contains(*link), "{link} is the gateway's: {open:?}");
        }
        assert_ne!(seen["group"], seen["parent"], "a process group of its own");
    }
    assert_eq!(
        (&one["environment"]["OWN"], &other["environment"]["OWN"]),
        (&json!("one"), &json!("other"))
    );
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "HOME",
        "TMPDIR",
    ] {
        assert_ne!(one["environment"][name], other["environment"][name], "{name} is its own");
    }
}

#[test]
fn nobody_else_polls_the_runtime_api_of_a_function() {
    let secret = token::random_hex();
    let Some(setup) = setup(&secret) else { return };
    let gateway = start(&setup);
    let address = see(&gateway, "one")["environment"]["AWS_LAMBDA_RUNTIME_API"].clone();
    let mut client = open(&gateway, "/dev");
    let told = ask_json(&gateway, &mut client, &json!({ "action": "other", "poll": address }));
    assert_ne!(told["status"], 200, "{told}");
    assert_ne!(told["error"], "TimeoutError", "it is refused, not kept waiting");
    // This test is a stranger as well.
    let address = address.as_str().unwrap().split('/').next().unwrap().parse().unwrap();
    let answer = Wire::connect(address).and_then(|mut wire| {
        let host = [("Host".to_owned(), address.to_string())];
        wire.write(&request_bytes("GET", "/2018-06-01/runtime/invocation/next", &host, &[]))?;
        wire.read_response()
    });
    let status = answer.ok().flatten().as_ref().map_or(0, Message::status);
    assert_ne!(status, 200);
    // The function itself goes on.
    assert_eq!(see(&gateway, "one")["environment"]["OWN"], "one");
}
