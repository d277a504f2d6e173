//! What a function may do with the credentials that it gets, and what it is called by.

use std::sync::Arc;

use serde_json::json;

use super::{UNTHROTTLED, application, ask, ask_json, assert_failure, open, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::template;

const CALLER: &str = include_str!("code/caller.py");

/// A role that allows GET of connections and nothing else.
const READER: &str = r#"  Reader:
    Type: AWS::IAM::Role
    Properties:
      RoleName: reader
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: read
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: execute-api:ManageConnections
                Resource: !Sub arn:aws:execute-api:us-east-1:000000000000:${Api}/*/GET/@connections/*
"#;

#[test]
fn a_role_that_allows_less_is_refused_in_its_name() {
    let source = format!(
        "{READER}@function Caller {{\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\",\"FunctionName\":\"caller\",\"Role\":{{\"Fn::GetAtt\":[\"Reader\",\"Arn\"]}}}}\n\
         @route $default Caller two-way\n"
    );
    let Some(setup) = application(&source, &[("src/app.py", CALLER)]) else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let seen = ask_json(&gateway, &mut client, &json!({ "method": "GET" }));
    assert_eq!(seen["status"], 200, "{seen}");
    let refused = ask_json(&gateway, &mut client, &json!({ "method": "POST", "say": "x" }));
    assert_eq!(refused["status"], 403, "{refused}");
    let text = refused["text"].as_str().unwrap();
    let told = "User: arn:aws:sts::000000000000:assumed-role/reader/caller is not authorized to perform: execute-api:ManageConnections";
    assert!(text.contains(told), "{text}");
}

/// Two stacks, each with an API and a function of its own; neither role is in the templates.
fn two_stacks() -> Option<Setup> {
    let source = "@function Caller {\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\"}\n\
                  @route $default Caller two-way\n";
    let mut setup = application(source, &[("src/app.py", CALLER)])?;
    let other = template::expand(source).text.replace("a1b2c3d4e5", "f1g2h3i4j5");
    setup.templates.push(("other.yaml".to_owned(), other));
    Some(setup)
}

#[test]
fn a_function_of_an_unknown_role_manages_the_connections_of_its_own_stack_only() {
    let Some(setup) = two_stacks() else { return };
    let gateway = start(&setup);
    let apis = gateway.ready["apis"].as_array().unwrap();
    let ids: Vec<&str> = apis.iter().map(|api| api["apiId"].as_str().unwrap()).collect();
    let [own, other] = ids.as_slice() else { panic!("{ids:?}") };
    let mut client = open(&gateway, &format!("/_aws/execute-api/{own}/dev"));
    let own_call = ask_json(&gateway, &mut client, &json!({ "method": "GET" }));
    assert_eq!(own_call["status"], 200, "{own_call}");
    let mut stranger = open(&gateway, &format!("/_aws/execute-api/{other}/dev"));
    let of_other = ask_json(&gateway, &mut stranger, &json!({ "method": "GET" }));
    let asked = json!({
        "method": "DELETE",
        "base": format!("http://THERE/_aws/execute-api/{other}/dev"),
        "connection": of_other["connection"],
    });
    let refused = ask_json(&gateway, &mut client, &asked);
    assert_eq!(refused["status"], 403, "{refused}");
    let still = ask_json(&gateway, &mut stranger, &json!({ "method": "GET" }));
    assert_eq!(still["status"], 200, "the other connection is open: {still}");
}

#[test]
fn versions_and_aliases_run_and_unknown_ones_do_not() {
    let uri = |arn: &str| {
        format!("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations")
    };
    let integration = |name: &str, arn: &str| {
        format!(
            "@integration {name} {}\n@route {name} {name} two-way\n",
            json!({
                "IntegrationType": "AWS_PROXY",
                "IntegrationMethod": "POST",
                "IntegrationUri": { "Fn::Sub": uri(arn) },
            })
        )
    };
    let source = format!(
        "  Version:\n    Type: AWS::Lambda::Version\n    Properties: {{FunctionName: !Ref Echo}}\n\
         \x20 Live:\n    Type: AWS::Lambda::Alias\n    Properties: {{FunctionName: !Ref Echo, Name: live, FunctionVersion: !GetAtt Version.Version}}\n\
         @function Echo {{\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\"}}\n{}{}{}",
        integration("version", "${Version}"),
        integration("alias", "${Live}"),
        integration("unknown", "${Echo.Arn}:nope"),
    );
    let code = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ran'}\n";
    let Some(setup) = application(&source, &[("src/app.py", code)]) else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    for route in ["version", "alias"] {
        let answer = ask(&gateway, &mut client, &json!({ "action": route }).to_string());
        assert_eq!(answer, "ran", "{route}");
    }
    let answer = ask(&gateway, &mut client, r#"{"action":"unknown"}"#);
    assert_failure(&gateway, &answer);
}

/// One function guards the door and answers messages; its only instance for messages is busy.
#[test]
fn messages_do_not_starve_the_authorizer() {
    const CODE: &str = r#"
import os, time

gateway = os.getppid()

def handler(event, context):
    if event.get("type") == "REQUEST":
        statement = {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": event["methodArn"]}
        return {"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    if event["body"] == "hang":
        # As long as there is a gateway, which the test kills.
        while os.getppid() == gateway:
            time.sleep(0.05)
    return {"statusCode": 200, "body": "answered"}
"#;
    let source = "@function Both {\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\",\"Timeout\":900,\"ReservedConcurrentExecutions\":1}\n\
                  @authorizer Guard Both route.request.querystring.k\n\
                  @route $connect - auth=Guard\n\
                  @route $default Both two-way\n";
    let Some(setup) = application(source, &[("src/app.py", CODE)]) else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev?k=1");
    assert_eq!(ask(&gateway, &mut client, "x"), "answered");
    client.send_text("hang").unwrap();
    let _second = open(&gateway, "/dev?k=2");
}

/// A function may call the service in the name of whoever started the gateway, if that is
/// written down.
#[test]
fn inherited_credentials_are_those_of_the_gateway_and_sign_here_too() {
    let source = "@function Caller {\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\"}\n\
                  @route $default Caller two-way\n";
    let code = format!(
        "{CALLER}\ninner = handler\ndef handler(event, context):\n    answer = inner(event, context)\n    \
         told = json.loads(answer['body'])\n    told['key'] = os.environ['AWS_ACCESS_KEY_ID']\n    \
         answer['body'] = json.dumps(told)\n    return answer\n"
    );
    let Some(mut setup) = application(source, &[("src/app.py", &code)]) else { return };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.environment.extend([
        own("AWS_ACCESS_KEY_ID", "AKIAWHOSTARTED"),
        own("AWS_SECRET_ACCESS_KEY", "an inherited secret of the test"),
    ]);
    setup.config = format!("{UNTHROTTLED}[functions.Caller]\ncredentials = \"inherit\"\n");
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let seen = ask_json(&gateway, &mut client, &json!({ "method": "GET" }));
    assert_eq!((&seen["status"], &seen["key"]), (&json!(200), &json!("AKIAWHOSTARTED")), "{seen}");
}

/// Two functions share the credentials of whoever started the gateway: what one of them may not
/// do, nobody may do with them.
#[test]
fn shared_credentials_may_do_what_each_function_may() {
    let source = format!(
        "{READER}@function Caller {{\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\"}}\n\
         @function Other {{\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\",\"Role\":{{\"Fn::GetAtt\":[\"Reader\",\"Arn\"]}}}}\n\
         @route $default Caller two-way\n@route other Other two-way\n"
    );
    let Some(mut setup) = application(&source, &[("src/app.py", CALLER)]) else { return };
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    setup.environment.extend([
        own("AWS_ACCESS_KEY_ID", "AKIAWHOSTARTED"),
        own("AWS_SECRET_ACCESS_KEY", "an inherited secret of the test"),
    ]);
    let inherit = |name: &str| format!("[functions.{name}]\ncredentials = \"inherit\"\n");
    setup.config = format!("{UNTHROTTLED}{}{}", inherit("Caller"), inherit("Other"));
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let seen = ask_json(&gateway, &mut client, &json!({ "method": "GET" }));
    assert_eq!(seen["status"], 200, "{seen}");
    let refused = ask_json(&gateway, &mut client, &json!({ "method": "POST", "say": "x" }));
    assert_eq!(refused["status"], 403, "{refused}");
}

#[test]
fn credentials_that_are_not_there_cannot_be_inherited() {
    let source = "@function Caller {\"Runtime\":\"python3.12\",\"Handler\":\"app.handler\"}\n\
                  @route $default Caller two-way\n";
    let Some(mut setup) = application(source, &[("src/app.py", CALLER)]) else { return };
    setup.config = format!("{UNTHROTTLED}[functions.Caller]\ncredentials = \"inherit\"\n");
    let Err(refused) = Gateway::start(&setup, Arc::default()) else { panic!("it started") };
    assert!(refused.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", refused.stderr);
}

/// A function that is started by a command, and one without a program for its runtime.
#[test]
fn a_command_stands_in_for_a_runtime() {
    const LOOP: &str = r#"
import json, os, urllib.request

api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as event:
        request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
        body = json.load(event)["body"]
    answer = json.dumps({"statusCode": 200, "body": body.upper()}).encode()
    urllib.request.urlopen(api + request_id + "/response", data=answer).close()
"#;
    let source = "@function Shout {\"Runtime\":\"java21\",\"Handler\":\"x\",\"Code\":{\"S3Bucket\":\"b\",\"S3Key\":\"k\"}}\n\
                  @route $default Shout two-way\n";
    let Some(mut setup) = application(source, &[("loop.py", LOOP)]) else { return };
    setup.config =
        format!("{UNTHROTTLED}[functions.Shout]\ncommand = [\"python3\", \"loop.py\"]\n");
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    assert_eq!(ask(&gateway, &mut client, "hello"), "HELLO");
}
