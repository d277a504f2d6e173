//! `remote = "aws"`: the deployed function, called in the name of the configuration.

use serde_json::json;

use super::{UNTHROTTLED, ask, assert_failure, open, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::server::{Answer, Server};
use crate::harness::template;

fn setup(config: &str) -> Setup {
    let source = "@lambda Far\n@route $default Far two-way\n";
    Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(source).text)],
        config: format!("{UNTHROTTLED}{config}\n[functions.Far]\nremote = \"aws\"\n"),
        ..Setup::default()
    }
}

#[test]
fn the_deployed_function_is_invoked_by_its_name_and_signed() {
    let service = Server::start(|asked| {
        let event: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
        match event["body"].as_str() {
            Some("raise") => Answer::Reply {
                status: 200,
                headers: vec![("X-Amz-Function-Error".to_owned(), "Unhandled".to_owned())],
                body: br#"{"errorMessage":"no","errorType":"Error"}"#.to_vec(),
            },
            Some("refuse") => {
                Answer::Reply { status: 404, headers: Vec::new(), body: b"{}".to_vec() }
            }
            _ => Answer::json(json!({ "statusCode": 200, "body": "from afar" }).to_string()),
        }
    });
    let config = format!("[integrations.endpoints]\nlambda = \"http://{}\"", service.address);
    let gateway = start(&setup(&config));
    let mut client = open(&gateway, "/dev");
    assert_eq!(ask(&gateway, &mut client, "x"), "from afar");
    let asked = service.next().unwrap();
    assert!(asked.target().starts_with("/2015-03-31/functions/case-Far-"), "{}", asked.target());
    assert!(asked.target().ends_with("/invocations"), "{}", asked.target());
    let signed = asked.header("authorization").unwrap_or_default();
    assert!(signed.contains("/us-east-1/lambda/aws4_request"), "{signed}");
    for failing in ["raise", "refuse"] {
        let answer = ask(&gateway, &mut client, failing);
        assert_failure(&gateway, &answer);
    }
    assert_eq!(ask(&gateway, &mut client, "x"), "from afar");
}

#[test]
fn without_leave_to_call_aws_it_is_refused_at_the_start() {
    let Err(refused) = Gateway::start(&setup(""), std::sync::Arc::default()) else {
        panic!("it started");
    };
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("WSG-910"), "{}", refused.stderr);
    assert!(refused.stderr.contains("functions.Far.remote"), "{}", refused.stderr);
}
