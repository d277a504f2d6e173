//! Requests to AWS services, in the shapes of templates that have them.

use std::fmt::Write as _;

use api_model::api::{AwsRequest, AwsTarget, Integration, Passthrough, Target, VariableText};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::world::{
    connect, connect_with, disconnect, integration, message, pairs, parameters, response_of,
    templates,
};
use crate::connection::Operation;
use crate::error::Failure;
use crate::handshake::{Connected, connected};
use crate::integration::{Answer, AwsCall, Call, Reply, call, reply};

const ROLE: &str = "arn:aws:iam::111122223333:role/gateway";

/// An integration with `[subdomain.]service` and `action/…` or `path/…`.
fn service(address: &str, request: &str) -> Integration {
    let (subdomain, service) = match address.rsplit_once('.') {
        Some((subdomain, service)) => (Some(subdomain.to_owned()), service),
        None => (None, address),
    };
    let request = match request.strip_prefix("action/") {
        Some(action) => AwsRequest::Action(VariableText::parse(action)),
        None => AwsRequest::Path(VariableText::parse(request.strip_prefix("path").unwrap())),
    };
    integration(Target::Aws(AwsTarget {
        service: service.to_owned(),
        subdomain,
        region: "us-east-1".to_owned(),
        method: "POST".to_owned(),
        request,
        role: Some(ROLE.to_owned()),
    }))
}

fn asked(
    integration: &Integration,
    operation: &Operation,
    body: Option<&str>,
) -> Result<AwsCall, Failure> {
    match call(integration, operation, body, false)? {
        Call::Aws(call) => Ok(*call),
        other => panic!("no request: {other:?}"),
    }
}

#[track_caller]
fn check(integration: &Integration, operation: &Operation, body: Option<&str>, want: Expect) {
    let call = asked(integration, operation, body).unwrap();
    let subdomain = call.subdomain.map_or_else(String::new, |name| name + ".");
    let mut text =
        format!("{}{} {} as {}\n", subdomain, call.service, call.region, call.role.unwrap());
    writeln!(text, "{} {}?{}", call.method, call.path, call.query).unwrap();
    for (name, value) in &call.headers {
        writeln!(text, "{name}: {value}").unwrap();
    }
    writeln!(text, "\n{}", String::from_utf8(call.body).unwrap()).unwrap();
    want.assert_eq(&text);
}

fn values<'c>(call: &'c AwsCall, name: &str) -> Vec<&'c str> {
    let found = call.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// `PutItem` of a connection that ends an hour after it came.
fn put_item() -> Integration {
    let template = r#"#set($ttl = $context.connectedAt / 1000 + 3600)
{"TableName":"Connections","Item":{"id":{"S":"$context.connectionId"},"user":{"S":"$context.authorizer.principalId"},"room":{"S":"$input.params('room')"},"ttl":{"N":"$ttl"}}}"#;
    Integration {
        templates: templates(Some(r"\$default"), &[("$default", template)]),
        passthrough: Passthrough::Never,
        ..service("dynamodb", "action/PutItem")
    }
}

#[test]
fn a_connect_is_put_into_a_table() {
    check(
        &put_item(),
        &connect(),
        None,
        expect![[r#"
        dynamodb us-east-1 as arn:aws:iam::111122223333:role/gateway
        POST /?
        X-Amz-Target: DynamoDB_20120810.PutItem
        Content-Type: application/x-amz-json-1.0
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Accept: application/json

        {"TableName":"Connections","Item":{"id":{"S":"gbgBRs9dGQAYKEh7VA=="},"user":{"S":"user-42"},"room":{"S":"blue"},"ttl":{"N":"1790298133"}}}
    "#]],
    );
}

#[test]
fn a_disconnect_is_deleted_from_the_table() {
    let template = r#"{"TableName":"Connections","Key":{"id":{"S":"$context.connectionId"}}}"#;
    let integration = Integration {
        templates: templates(None, &[("application/json", template)]),
        parameters: parameters(&[("header.Content-Type", "'application/x-amz-json-1.1'")]),
        ..service("dynamodb", "action/DeleteItem")
    };
    check(
        &integration,
        &disconnect(1001, "bye"),
        None,
        expect![[r#"
        dynamodb us-east-1 as arn:aws:iam::111122223333:role/gateway
        POST /?
        Content-Type: application/x-amz-json-1.1
        X-Amz-Target: DynamoDB_20120810.DeleteItem
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Accept: application/json

        {"TableName":"Connections","Key":{"id":{"S":"gbgBRs9dGQAYKEh7VA=="}}}
    "#]],
    );
}

#[test]
fn a_message_is_sent_to_a_queue_by_its_path() {
    let integration = Integration {
        templates: templates(
            None,
            &[(
                "$default",
                "Action=SendMessage&MessageBody=$util.urlEncode($input.body)&MessageAttribute.1.Name=id&MessageAttribute.1.Value.StringValue=$context.connectionId",
            )],
        ),
        parameters: parameters(&[("header.Content-Type", "'application/x-www-form-urlencoded'")]),
        ..service("sqs", "path/111122223333/Jobs")
    };
    check(
        &integration,
        &message(),
        Some(r#"{"action":"send","a":"b&c=d"}"#),
        expect![[r#"
        sqs us-east-1 as arn:aws:iam::111122223333:role/gateway
        POST /111122223333/Jobs?
        Content-Type: application/x-www-form-urlencoded
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Accept: application/json

        Action=SendMessage&MessageBody=%7B%22action%22%3A%22send%22%2C%22a%22%3A%22b%26c%3Dd%22%7D&MessageAttribute.1.Name=id&MessageAttribute.1.Value.StringValue=gbgBRs9dGQAYKEh7VA==
    "#]],
    );
}

#[test]
fn a_message_starts_an_execution() {
    let template = r#"{"stateMachineArn":"arn:aws:states:us-east-1:111122223333:stateMachine:Flow","input":"$util.escapeJavaScript($input.json('$'))"}"#;
    let integration = Integration {
        templates: templates(None, &[("$default", template)]),
        ..service("states", "action/StartExecution")
    };
    check(
        &integration,
        &message(),
        Some(r#"{"action":"send","n":1}"#),
        expect![[r#"
        states us-east-1 as arn:aws:iam::111122223333:role/gateway
        POST /?
        X-Amz-Target: AWSStepFunctions.StartExecution
        Content-Type: application/x-amz-json-1.0
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Accept: application/json

        {"stateMachineArn":"arn:aws:states:us-east-1:111122223333:stateMachine:Flow","input":"{\"action\":\"send\",\"n\":1}"}
    "#]],
    );
}

#[test]
fn a_topic_is_told_by_parameters_alone() {
    let list = [
        ("querystring.TopicArn", "'arn:aws:sns:us-east-1:111122223333:Chat'"),
        ("querystring.Message", "route.request.body.text"),
    ];
    let integration = Integration {
        parameters: parameters(&list),
        templates: templates(None, &[("$default", "")]),
        ..service("sns", "action/Publish")
    };
    check(
        &integration,
        &message(),
        Some(r#"{"text":"a b&Action=DeleteTopic"}"#),
        expect![[r#"
        sns us-east-1 as arn:aws:iam::111122223333:role/gateway
        POST /?Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A111122223333%3AChat&Message=a%20b%26Action%3DDeleteTopic
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Accept: application/json


    "#]],
    );
}

#[test]
fn every_json_service_of_the_table_has_its_target_and_type() {
    for (address, target, kind) in [
        ("dynamodb", "DynamoDB_20120810.Do", "application/x-amz-json-1.0"),
        ("streams.dynamodb", "DynamoDBStreams_20120810.Do", "application/x-amz-json-1.0"),
        ("states", "AWSStepFunctions.Do", "application/x-amz-json-1.0"),
        ("events", "AWSEvents.Do", "application/x-amz-json-1.1"),
        ("kinesis", "Kinesis_20131202.Do", "application/x-amz-json-1.1"),
        ("firehose", "Firehose_20150804.Do", "application/x-amz-json-1.1"),
        ("logs", "Logs_20140328.Do", "application/x-amz-json-1.1"),
    ] {
        let call = asked(&service(address, "action/Do"), &message(), Some("{}")).unwrap();
        assert_eq!(values(&call, "x-amz-target"), [target], "{address}");
        assert_eq!(values(&call, "content-type"), [kind], "{address}");
        assert_eq!((call.path.as_str(), call.query.as_str()), ("/", ""), "{address}");
    }
}

#[test]
fn a_mapped_header_stands_in_place_of_the_tables() {
    let list = [
        ("header.content-type", "'application/json'"),
        ("header.x-amz-target", "'AWSEvents.PutEvents'"),
        ("header.accept", "'text/xml'"),
        ("header.User-Agent", "'mine'"),
    ];
    let integration =
        Integration { parameters: parameters(&list), ..service("events", "action/Do") };
    let call = asked(&integration, &message(), Some("{}")).unwrap();
    for (name, value) in [
        ("Content-Type", "application/json"),
        ("X-Amz-Target", "AWSEvents.PutEvents"),
        ("Accept", "text/xml"),
        ("User-Agent", "mine"),
    ] {
        assert_eq!(values(&call, name), [value], "{name}");
    }
}

#[test]
fn a_service_that_is_not_known_is_asked_with_the_action_alone() {
    let call = asked(&service("nobody", "action/Do"), &message(), Some("{}")).unwrap();
    assert_eq!((call.path.as_str(), call.query.as_str()), ("/", "Action=Do"));
    assert_eq!(values(&call, "x-amz-target"), [""; 0]);
    assert_eq!(values(&call, "content-type"), ["application/json"]);
    let call = asked(&service("other.dynamodb", "action/Do"), &message(), Some("{}")).unwrap();
    assert_eq!(call.query, "Action=Do");
}

/// The form that `sqs:action/SendMessage` sends when the template gives `body`.
fn form(body: &str) -> AwsCall {
    let integration = Integration {
        parameters: parameters(&[(
            "header.Content-Type",
            "'application/X-WWW-form-urlencoded; charset=UTF-8'",
        )]),
        templates: templates(None, &[("$default", "$input.body")]),
        ..service("sqs", "action/SendMessage")
    };
    asked(&integration, &message(), Some(body)).unwrap()
}

#[test]
fn an_action_goes_into_the_form_where_there_is_one() {
    for (body, want) in [
        ("MessageBody=a", "Action=SendMessage&Version=2012-11-05&MessageBody=a"),
        ("Version=2011-10-01&a=b", "Action=SendMessage&Version=2011-10-01&a=b"),
        ("Action=SendMessage&a=b", "Action=SendMessage&Version=2012-11-05&a=b"),
    ] {
        let call = form(body);
        assert_eq!(
            (call.query.as_str(), String::from_utf8(call.body).unwrap()),
            ("", want.to_owned())
        );
    }
    assert_eq!(form("").query, "Action=SendMessage&Version=2012-11-05");
}

#[test]
fn no_message_can_ask_for_another_action() {
    for body in [
        "a=b&Action=DeleteQueue",
        "Action=DeleteQueue&a=b",
        "a=b&%41ction=DeleteQueue",
        "a=b&Action",
        "a=b&&Action=DeleteQueue&",
    ] {
        let call = form(body);
        assert_eq!(call.body, b"Action=SendMessage&Version=2012-11-05&a=b", "{body}");
    }
    let integration = Integration {
        parameters: parameters(&[("querystring.Action", "route.request.body.a")]),
        ..service("sqs", "action/SendMessage")
    };
    let call = asked(&integration, &message(), Some(r#"{"a":"DeleteQueue"}"#)).unwrap();
    assert_eq!(call.query, "Action=SendMessage&Version=2012-11-05");
}

#[test]
fn actions_have_parameters_paths_have_queries_and_both_have_variables() {
    let list = [("path.key", "route.request.body.key"), ("querystring.more", "'x y'")];
    let body = Some(r#"{"key":"a/b?c"}"#);
    let of = |request: &str| {
        let integration = Integration { parameters: parameters(&list), ..service("s3", request) };
        let call = asked(&integration, &message(), body).unwrap();
        format!("{}?{}", call.path, call.query)
    };
    assert_eq!(
        of("action/GetObject&Bucket=b&Key={key}"),
        "/?Action=GetObject&Bucket=b&Key=a%2Fb%3Fc&more=x%20y"
    );
    assert_eq!(of("path/b/{key}"), "/b/a%2Fb%3Fc?more=x%20y");
    assert_eq!(of("path/b/{key}?acl"), "/b/a%2Fb%3Fc?acl&more=x%20y");
    assert_eq!(of("path/${stageVariables.env}/{none}"), "/dev/{none}?more=x%20y");
    assert_eq!(of("action/${stageVariables.env}"), "/?Action=dev&more=x%20y");
    assert_eq!(of("path/"), "/?more=x%20y");
}

#[test]
fn a_value_that_is_no_name_or_segment_fails_the_operation() {
    let call =
        asked(&service("dynamodb", "action/${stageVariables.empty}"), &message(), Some("{}"));
    assert_eq!(call, Err(Failure::TemplateFailed));
    for key in ["..", ".", ""] {
        let integration = Integration {
            parameters: parameters(&[("path.key", "route.request.body.key")]),
            ..service("s3", "path/b/{key}")
        };
        let body = format!(r#"{{"key":"{key}"}}"#);
        let call = asked(&integration, &message(), Some(&body));
        assert_eq!(call, Err(Failure::TemplateFailed), "{key}");
    }
}

#[test]
fn nothing_of_the_clients_handshake_goes_along_but_what_is_mapped() {
    let operation = connect_with(&[
        ("Cookie", "sid=abc"),
        ("Authorization", "Bearer t"),
        ("X-Amz-Target", "DynamoDB_20120810.DeleteTable"),
        ("X-Trace", "1"),
    ]);
    let integration = Integration {
        parameters: parameters(&[("header.X-Trace", "route.request.header.x-trace")]),
        ..put_item()
    };
    let call = asked(&integration, &operation, None).unwrap();
    for name in ["cookie", "authorization"] {
        assert_eq!(values(&call, name), [""; 0], "{name}");
    }
    assert_eq!(values(&call, "x-amz-target"), ["DynamoDB_20120810.PutItem"]);
    assert_eq!(values(&call, "x-trace"), ["1"]);
}

#[test]
fn no_mapping_says_what_the_signature_says() {
    for name in
        ["Authorization", "host", "X-Amz-Date", "x-amz-security-token", "X-Amz-Content-SHA256"]
    {
        let place = format!("header.{name}");
        let integration =
            Integration { parameters: parameters(&[(&place, "'evil'")]), ..put_item() };
        let call = asked(&integration, &connect(), None).unwrap();
        assert_eq!(values(&call, name), [""; 0], "{name}");
    }
}

#[test]
fn a_call_shows_no_values() {
    let list = [("header.X-Secret", "'hidden'"), ("querystring.q", "'hidden'")];
    let integration = Integration { parameters: parameters(&list), ..service("s3", "path/b") };
    let call = call(&integration, &message(), Some("hidden"), false).unwrap();
    let text = format!("{call:?}");
    assert!(text.contains("X-Secret") && !text.contains("hidden"), "{text}");
}

/// What the client of `operation` gets when the service answers.
fn answered(
    integration: &Integration,
    operation: &Operation,
    status: u16,
    body: &str,
) -> Result<Reply, Failure> {
    let headers =
        pairs(&[("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", "r")]);
    let answer = Answer::Http { status, headers, body: body.as_bytes().to_vec() };
    let request = operation.kind.handshake().is_none().then_some("{}");
    reply(integration, operation, request, answer, true)
}

#[test]
fn the_status_of_the_service_selects_the_response() {
    let integration = Integration {
        responses: vec![
            response_of("$default", &[("application/json", r#"{"success":true}"#)]),
            response_of(
                "4\\d{2}",
                &[(
                    "application/json",
                    r#"{"error":"Bad request","message":$input.json('$.Message'),"id":"$context.requestId"}"#,
                )],
            ),
        ],
        ..put_item()
    };
    let of = |status, body| {
        let reply = answered(&integration, &message(), status, body).unwrap();
        assert_eq!(reply.headers, [], "{status}");
        String::from_utf8(reply.body.unwrap()).unwrap()
    };
    assert_eq!(of(200, "{}"), r#"{"success":true}"#);
    let id = message().request_id;
    assert_eq!(
        of(400, r#"{"Message":"NUMBER_VALUE cannot be converted to String"}"#),
        format!(
            r#"{{"error":"Bad request","message":"NUMBER_VALUE cannot be converted to String","id":"{id}"}}"#
        )
    );
    assert_eq!(of(500, "no json"), r#"{"success":true}"#);
}

#[test]
fn the_output_of_a_synchronous_execution_is_the_reply() {
    let integration = Integration {
        responses: vec![response_of(
            "$default",
            &[(
                "$default",
                "#set($o = $util.parseJson($input.json('$.output')))$util.parseJson($o).total",
            )],
        )],
        ..service("states", "action/StartSyncExecution")
    };
    let reply = answered(
        &integration,
        &message(),
        200,
        r#"{"status":"SUCCEEDED","output":"{\"total\":3}"}"#,
    );
    assert_eq!(reply.unwrap().body, Some(b"3".to_vec()));
}

#[test]
fn a_connect_goes_by_the_status_of_the_service() {
    let with = Integration {
        responses: vec![response_of("$default", &[("$default", "mapped")])],
        ..put_item()
    };
    for (integration, body) in [(put_item(), "{}"), (with, "mapped")] {
        let reply = answered(&integration, &connect(), 200, "{}").unwrap();
        assert!(matches!(connected(reply, &connect()), Connected::Accepted { .. }));
        let reply = answered(&integration, &connect(), 400, "{}").unwrap();
        let Connected::Refused(refusal) = connected(reply, &connect()) else { panic!("accepted") };
        assert_eq!((refusal.status, refusal.body.as_slice()), (400, body.as_bytes()));
    }
}

#[test]
fn a_reply_without_any_response_fails_and_a_one_way_route_needs_none() {
    let failed = answered(&put_item(), &message(), 200, "{}");
    assert_eq!(failed, Err(Failure::IntegrationMalformed));
    let answer = Answer::Http { status: 400, headers: Vec::new(), body: Vec::new() };
    assert!(reply(&put_item(), &message(), Some("{}"), answer, false).is_ok());
}

proptest! {
    #[test]
    fn no_form_of_a_client_has_another_action(body in "([a-cA%=&;+]|Action|%41ction|=x){0,12}") {
        let call = form(&body);
        let text = if call.body.is_empty() { call.query } else { String::from_utf8(call.body).unwrap() };
        let actions = text
            .split('&')
            .filter(|pair| crate::text::form_decode(pair.split('=').next().unwrap()) == "Action");
        prop_assert_eq!(actions.collect::<Vec<_>>(), ["Action=SendMessage"]);
    }
}
