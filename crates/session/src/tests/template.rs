//! A template with every kind of `AWS` integration, from its text to the client.

use std::sync::Arc;

use api_model::Compat;
use api_model::api::{Integration, Stage};

use super::world::{connect, disconnect, message, pairs};
use crate::connection::Operation;
use crate::integration::{Answer, AwsCall, Call, call, reply};

fn stage() -> Arc<Stage> {
    let mut sources = api_model::Sources::default();
    sources.add("chat.yaml", include_str!("template.yaml"));
    let (stacks, findings) = cloudformation::load(&sources, &cloudformation::Options::default());
    assert!(findings.list.is_empty(), "{findings:?}");
    let (model, findings) = api_model::resolve(&stacks, Compat::Aws);
    assert!(findings.list.is_empty(), "{findings:?}");
    Arc::clone(&model.stages[0])
}

/// The integration of a route, which must be two-way or not.
fn of(key: &str, is_two_way: bool) -> Arc<Integration> {
    let stage = stage();
    let route = &stage.routes[key];
    assert_eq!(route.two_way, is_two_way, "{key}");
    Arc::clone(route.integration.as_ref().unwrap())
}

#[track_caller]
fn check(key: &str, operation: &Operation, body: Option<&str>, want: [&str; 4]) {
    let found = match call(&of(key, key == "order"), operation, body, false) {
        Ok(Call::Aws(call)) => *call,
        other => panic!("no request: {other:?}"),
    };
    let AwsCall { service, method, path, headers, body, role, .. } = found;
    assert_eq!(role.as_deref(), Some("arn:aws:iam::000000000000:role/gateway"));
    assert_eq!(method, "POST");
    let target = headers.iter().find(|(name, _)| name == "X-Amz-Target");
    let target = target.map_or("", |(_, value)| value);
    let body = String::from_utf8(body).unwrap();
    assert_eq!([service.as_str(), path.as_str(), target, body.trim()], want, "{key}");
}

#[test]
fn connections_are_kept_in_the_table() {
    let table = |text: &str| text.replace("TABLE", "chat-Table-YJKNMHJLP5CV");
    check(
        "$connect",
        &connect(),
        None,
        [
            "dynamodb",
            "/",
            "DynamoDB_20120810.PutItem",
            &table(
                r#"{"TableName":"TABLE","Item":{"id":{"S":"gbgBRs9dGQAYKEh7VA=="},"user":{"S":""},"ttl":{"N":"1790301735"}}}"#,
            ),
        ],
    );
    check(
        "$disconnect",
        &disconnect(1000, ""),
        None,
        [
            "dynamodb",
            "/",
            "DynamoDB_20120810.DeleteItem",
            &table(r#"{"TableName":"TABLE","Key":{"id":{"S":"gbgBRs9dGQAYKEh7VA=="}}}"#),
        ],
    );
}

#[test]
fn messages_go_into_the_queue() {
    check(
        "send",
        &message(),
        Some(r#"{"action":"send","room":"blue","text":"a&b"}"#),
        [
            "sqs",
            "/000000000000/messages.fifo",
            "",
            "Action=SendMessage&MessageGroupId=blue&MessageBody=%22a%26b%22",
        ],
    );
}

#[test]
fn orders_are_executions() {
    check(
        "order",
        &message(),
        Some(r#"{"action":"order","n":1}"#),
        [
            "states",
            "/",
            "AWSStepFunctions.StartSyncExecution",
            r#"{"stateMachineArn":"arn:aws:states:us-east-1:000000000000:stateMachine:order","input":"{\"action\":\"order\",\"n\":1}"}"#,
        ],
    );
    let heard = |status, body: &str| {
        let headers = pairs(&[("Content-Type", "application/x-amz-json-1.0")]);
        let answer = Answer::Http { status, headers, body: body.as_bytes().to_vec() };
        let reply = reply(&of("order", true), &message(), Some("{}"), answer, true).unwrap();
        String::from_utf8(reply.body.unwrap()).unwrap()
    };
    assert_eq!(heard(200, r#"{"output":"{\"answer\":\"done\"}"}"#), "done");
    assert_eq!(heard(400, r#"{"message":"no such machine"}"#), "not ordered: no such machine");
}

#[test]
fn totals_are_a_functions() {
    let total = of("total", true);
    let body = Some(r#"{"action":"total","room":"blue"}"#);
    let Ok(Call::Invoke { arn, payload, is_event: false }) = call(&total, &message(), body, false)
    else {
        panic!("no invocation");
    };
    assert_eq!(arn, "arn:aws:lambda:us-east-1:000000000000:function:total");
    assert_eq!(payload, br#"{"room":"blue"}"#);
    let heard = |answer| {
        let reply = reply(&total, &message(), body, answer, true).unwrap();
        String::from_utf8(reply.body.unwrap()).unwrap()
    };
    assert_eq!(heard(Answer::Function(br#"{"total":3}"#.to_vec())), "total 3");
    let raised = br#"{"errorMessage":"NoRoom: blue","errorType":"Error"}"#;
    assert_eq!(heard(Answer::FunctionError(raised.to_vec())), "no such room");
}
