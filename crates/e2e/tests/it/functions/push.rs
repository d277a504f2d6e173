//! Handlers that push, get and delete by AWS's SDKs, at each address that their code may name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{application, ask_json, interpreters, open, path_to, sdk, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};

/// Where a handler finds the API: from the event, from its template's environment, or nowhere, so
/// that the endpoint variable counts.
const PLACES: [&str; 3] = ["event", "template", "variable"];

const V2: &str = include_str!("code/push_v2.js");
const V3: &str = include_str!("code/push_v3.mjs");
const BOTO3: &str = include_str!("code/push_boto3.py");

fn setup(runtime: &str, file: &str, code: &str) -> Option<Setup> {
    let source = format!(
        r#"@function Worker {{"Runtime":"{runtime}","Handler":"app.handler","Timeout":30,"Environment":{{"Variables":{{"CALLBACK":{{"Fn::Sub":"https://${{Api}}.execute-api.${{AWS::Region}}.amazonaws.com/dev"}}}}}}}}
@route $default Worker two-way
"#
    );
    application(&source, &[(&format!("src/{file}"), code)])
}

fn node(file: &str, code: &str) -> Option<Setup> {
    let links = vec![sdk("src")?];
    Some(Setup { links, ..setup("nodejs22.x", file, code)? })
}

/// Reads two messages, whatever their order.
#[track_caller]
fn read_two(gateway: &Gateway, client: &mut Client) -> BTreeSet<String> {
    (0..2)
        .map(|_| match client.receive() {
            Ok(Incoming::Text(text)) => text,
            other => panic!("{other:?}\n{}", gateway.stderr()),
        })
        .collect()
}

/// Every call works at `places`, and a connection that is gone is told as such.
#[track_caller]
fn check(setup: Option<Setup>, places: &[&str]) {
    let Some(setup) = setup else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let own = ask_json(&gateway, &mut client, &json!({}))["connectionId"].clone();
    for place in places {
        let call = |verb: &str, id: &Value| json!({ "place": place, "verb": verb, "id": id });
        let mut post = call("post", &own);
        post["text"] = json!("grüße");
        client.send_text(&post.to_string()).unwrap();
        let two = read_two(&gateway, &mut client);
        assert!(two.contains("grüße"), "{place}: {two:?}\n{}", gateway.stderr());
        assert!(two.iter().any(|text| text.contains("\"ok\"")), "{place}: {two:?}");

        let told = ask_json(&gateway, &mut client, &call("get", &own));
        assert_eq!(told, json!({ "ok": true, "since": true, "from": "127.0.0.1" }), "{place}");

        let mut other = open(&gateway, "/dev");
        let id = ask_json(&gateway, &mut other, &json!({}))["connectionId"].clone();
        let told = ask_json(&gateway, &mut client, &call("delete", &id));
        assert_eq!(told["ok"], true, "{place}: {told}");
        assert!(matches!(other.receive().unwrap(), Incoming::Close(..)), "{place}");

        let told = ask_json(&gateway, &mut client, &call("get", &id));
        let gone = json!({ "ok": false, "gone": true, "name": "GoneException", "status": 410 });
        assert_eq!(told, gone, "{place}");
        let mut post = call("post", &id);
        post["text"] = json!("too late");
        assert_eq!(ask_json(&gateway, &mut client, &post), gone, "{place}");
    }
}

#[test]
fn javascript_with_the_sdk_of_today() {
    check(node("app.mjs", V3), &PLACES);
}

#[test]
fn javascript_with_the_sdk_of_yesterday() {
    check(node("app.js", V2), &PLACES);
}

#[test]
fn python_with_boto3() {
    check(setup("python3.12", "app.py", BOTO3), &PLACES);
}

/// Names below `.localhost`, which few resolvers know.
const LOCAL: &str = "[events]\ndomain_name = \"local\"\n";

#[test]
fn a_local_domain_name_in_the_event_is_an_address_too() {
    for setup in [node("app.mjs", V3), setup("python3.12", "app.py", BOTO3)] {
        let Some(mut setup) = setup else { return };
        setup.config += LOCAL;
        check(Some(setup), &["event"]);
    }
}

/// Runs [`BOTO3`] under AWS's own runtime client, where nothing of ours is in the process.
fn native() -> Option<Setup> {
    let ric = tool("awslambdaric", "AWSLAMBDARIC_PYTHON")?;
    let mut setup = setup("provided.al2023", "app.py", BOTO3)?;
    let command = json!([ric, "-m", "awslambdaric", "app.handler"]);
    setup.config += &format!("[functions.Worker]\ncommand = {command}\n");
    let boto3 = interpreters()?.first()?.parent()?.join("../lib");
    for package in ["boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"]
    {
        setup.links.push((format!("src/{package}"), find_package(&boto3, package)));
    }
    setup.environment = vec![path_to(&[ric])];
    Some(setup)
}

/// A package of a virtual environment.
fn find_package(lib: &std::path::Path, name: &str) -> PathBuf {
    let versions = std::fs::read_dir(lib).expect("an environment has libraries").flatten();
    let mut places = versions.map(|version| version.path().join("site-packages").join(name));
    let found = places.find(|place| place.exists());
    let found = found.unwrap_or_else(|| panic!("{name} is in {}", lib.display()));
    found.canonicalize().expect("it is there")
}

#[test]
fn native_code_uses_the_endpoint_variable_and_the_events_address() {
    check(native(), &["event", "variable"]);
}

#[test]
fn native_code_may_use_a_local_domain_name() {
    let Some(mut setup) = native() else { return };
    setup.config += LOCAL;
    // This machine's resolver may not know such names; others do (RFC 6761, section 6.3).
    let resolver = "import socket\nask = socket.getaddrinfo\ndef getaddrinfo(host, *rest, **named):\n    \
                    local = isinstance(host, str) and host.endswith('.localhost')\n    \
                    return ask('127.0.0.1' if local else host, *rest, **named)\n\
                    socket.getaddrinfo = getaddrinfo\n";
    let code = setup.files.iter_mut().find(|(name, _)| name == "src/app.py").unwrap();
    code.1 = format!("{resolver}{}", code.1);
    check(Some(setup), &["event", "variable"]);
}
