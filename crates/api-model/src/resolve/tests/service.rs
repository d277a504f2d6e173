//! `AWS` integrations: operations of services, and functions behind templates.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::world::{UNKNOWN, check, resolved, uri};
use crate::api::{AwsRequest, AwsTarget, Target};
use crate::resolve::Compat;

const ROLE: &str = "arn:aws:iam::111122223333:role/gateway";

/// The sound stack with an `AWS` integration that has these properties too.
fn with(properties: &Json) -> Json {
    let mut integration = json!({
        "ApiId": "Api", "IntegrationType": "AWS", "IntegrationMethod": "POST",
        "CredentialsArn": ROLE,
    });
    for (name, value) in properties.as_object().unwrap() {
        integration[name] = value.clone();
    }
    json!({ "Mock": ["ApiGatewayV2::Integration", integration] })
}

fn with_uri(uri: &str) -> Json {
    with(&json!({ "IntegrationUri": uri }))
}

fn target(changes: &Json) -> Option<Target> {
    let (model, _, _) = resolved(changes, Compat::Wsgate);
    let route = model.stages.first()?.routes.get("ping")?;
    Some(route.integration.as_ref()?.target.clone())
}

#[track_caller]
fn service(changes: &Json) -> AwsTarget {
    match target(changes) {
        Some(Target::Aws(target)) => target,
        other => panic!("no service: {other:?}"),
    }
}

#[test]
fn an_operation_of_a_service_is_read() {
    let changes = with_uri("arn:aws:apigateway:us-east-1:dynamodb:action/PutItem");
    check(changes.clone(), &[]);
    let found = service(&changes);
    assert_eq!((found.service.as_str(), found.subdomain), ("dynamodb", None));
    assert_eq!((found.region.as_str(), found.method.as_str()), ("us-east-1", "POST"));
    assert_eq!(found.role.as_deref(), Some(ROLE));
    let AwsRequest::Action(action) = &found.request else { panic!("a path") };
    assert_eq!(action.constant(), Some("PutItem"));
}

#[test]
fn forms_of_the_uri() {
    for (rest, service_name, subdomain, request) in [
        ("us-east-1:sqs:path/111122223333/Jobs", "sqs", None, "path /111122223333/Jobs"),
        ("eu-west-1:sqs:path/111122223333/Jobs", "sqs", None, "path /111122223333/Jobs"),
        ("us-east-1:sns:path//", "sns", None, "path /"),
        ("us-east-1:sns:path/", "sns", None, "path /"),
        ("us-east-1:s3:path/b/{key}?acl", "s3", None, "path /b/{key}?acl"),
        ("us-east-1:my.bucket.s3:path/{key}", "s3", Some("my.bucket"), "path /{key}"),
        ("us-east-1:s3:action/GetObject&Bucket=b", "s3", None, "action GetObject&Bucket=b"),
        (
            "us-east-1:streams.dynamodb:action/GetRecords",
            "dynamodb",
            Some("streams"),
            "action GetRecords",
        ),
        ("us-east-1:states:action/StartSyncExecution", "states", None, "action StartSyncExecution"),
        ("us-east-1:states:action/${stageVariables.action}", "states", None, "action ${}"),
        ("us-east-1:sqs:path/${stageVariables.queue}", "sqs", None, "path /${}"),
        ("us-east-1:iot:path/a:b/arn:aws:c", "iot", None, "path /a:b/arn:aws:c"),
    ] {
        let changes = with_uri(&format!("arn:aws:apigateway:{rest}"));
        check(changes.clone(), &[]);
        let found = service(&changes);
        let variable =
            [("action".to_owned(), "${}".to_owned()), ("queue".to_owned(), "${}".to_owned())];
        let text = match &found.request {
            AwsRequest::Action(action) => format!("action {}", action.resolve(&variable)),
            AwsRequest::Path(path) => format!("path {}", path.resolve(&variable)),
        };
        let want = (service_name, subdomain, request);
        assert_eq!((found.service.as_str(), found.subdomain.as_deref(), text.as_str()), want);
    }
}

#[test]
fn what_is_no_operation_is_an_error() {
    for uri in [
        "https://dynamodb.us-east-1.amazonaws.com/",
        "arn:aws:dynamodb:us-east-1:111122223333:table/t",
        "arn:aws:apigateway:us-east-1:dynamodb:action/",
        "arn:aws:apigateway:us-east-1:dynamodb:action/Put-Item",
        "arn:aws:apigateway:us-east-1:dynamodb:PutItem",
        "arn:aws:apigateway:us-east-1:dynamodb:call/PutItem",
        "arn:aws:apigateway:us-east-1:dynamodb",
        "arn:aws:apigateway:us-east-1::action/PutItem",
        "arn:aws:apigateway::dynamodb:action/PutItem",
        "arn:aws:apigateway:us-east-1:.dynamodb:action/PutItem",
        "arn:aws:apigateway:us-east-1:dynamo/db:action/PutItem",
        "arn:aws:apigateway:us-east-1:evil.example@dynamodb:action/PutItem",
        "arn:aws:apigateway:us-east-1:${stageVariables.service}:action/PutItem",
        "arn:aws:apigateway:us-east-1:sqs:${stageVariables.path}",
        "arn:aws:apigateway:us-east-1:sqs:path/a b",
        "arn:aws:apigateway:us-east-1:sqs:path/a\nb",
        "arn::apigateway:us-east-1:sqs:path/a",
        "arn:aws:execute-api:us-east-1:sqs:path/a",
    ] {
        check(with_uri(uri), &["error WSG-052 Mock.IntegrationUri"]);
        assert!(target(&with_uri(uri)).is_none(), "{uri}");
    }
}

#[test]
fn a_method_and_a_uri_must_be_there() {
    let uri = "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem";
    let changes = with(&json!({ "IntegrationUri": uri, "IntegrationMethod": null }));
    check(changes, &["error WSG-050 Mock"]);
    check(with(&json!({})), &["error WSG-050 Mock"]);
    let changes = with(&json!({ "IntegrationUri": uri, "IntegrationMethod": "post" }));
    check(changes, &["error WSG-052 Mock.IntegrationMethod"]);
    for (given, method) in [("ANY", "POST"), ("GET", "GET")] {
        let changes = with(&json!({ "IntegrationUri": uri, "IntegrationMethod": given }));
        check(changes.clone(), &[]);
        assert_eq!(service(&changes).method, method);
    }
}

/// A `PutItem` with these credentials.
fn signed_by(credentials: Json) -> Json {
    with(&json!({
        "IntegrationUri": "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem",
        "CredentialsArn": credentials,
    }))
}

#[test]
fn without_credentials_nobody_signs_which_is_a_warning() {
    check(signed_by(Json::Null), &["warning WSG-107 Mock"]);
    assert_eq!(service(&signed_by(Json::Null)).role, None);
}

#[test]
fn credentials_are_those_of_a_role() {
    for caller in ["arn:aws:iam::*:user/*", "arn:aws:iam::111122223333:user/a"] {
        check(signed_by(json!(caller)), &["error WSG-054 Mock.CredentialsArn"]);
    }
    for wrong in [
        "gateway",
        "",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::x:role/a",
        "arn:aws:sts::1:role/a",
    ] {
        check(signed_by(json!(wrong)), &["error WSG-052 Mock.CredentialsArn"]);
        assert!(target(&signed_by(json!(wrong))).is_none(), "{wrong}");
    }
    check(signed_by(json!("arn:aws:iam::1:role/service-role/a")), &[]);
    check(signed_by(json!("arn:aws:iam::1:${stageVariables.role}")), &[]);
    check(signed_by(json!({})), &["error WSG-051 Mock.CredentialsArn"]);
    check(signed_by(json!(UNKNOWN)), &[]);
    assert!(target(&signed_by(json!(UNKNOWN))).is_none());
}

#[test]
fn the_invocation_uri_of_a_function_makes_a_function_of_it() {
    let changes = with_uri(&uri("Handler"));
    check(changes.clone(), &[]);
    let Some(Target::Invoke(function)) = target(&changes) else { panic!("no function") };
    let (model, _, _) = resolved(&changes, Compat::Wsgate);
    let (found, _) = crate::resolve::find_function(&model.functions, &function).unwrap();
    assert_eq!(found.logical_id, "Handler");
}

#[test]
fn a_function_behind_templates_needs_what_any_function_needs() {
    let unpermitted = |credentials: Json| {
        let mut changes =
            with(&json!({ "IntegrationUri": uri("Handler"), "CredentialsArn": credentials }));
        changes["HandlerPermission"] = Json::Null;
        changes["Proxy"] = json!({ "CredentialsArn": ROLE });
        changes
    };
    check(unpermitted(Json::Null), &["warning WSG-107 Mock"]);
    check(unpermitted(json!(ROLE)), &[]);
    let changes = with(&json!({ "IntegrationUri": uri("Handler"), "IntegrationMethod": "GET" }));
    check(changes, &["error WSG-110 Mock.IntegrationMethod"]);
    let changes = with(&json!({ "IntegrationUri": uri("Handler"), "IntegrationMethod": null }));
    check(changes, &[]);
    let other = "arn:aws:apigateway:us-east-1:lambda:action/InvokeFunction";
    check(with_uri(other), &["error WSG-106 Mock.IntegrationUri"]);
}

proptest! {
    #[test]
    fn no_uri_panics_or_makes_an_address_of_anything_but_labels(
        uri in "(arn:aws:apigateway:)?[a-z1:./{}$@%?#\\\\ -]{0,24}(:(action|path)/)?[a-zA{}$.&=/]{0,12}"
    ) {
        if let Some(Target::Aws(found)) = target(&with_uri(&uri)) {
            let subdomain = found.subdomain.unwrap_or_default();
            for part in [found.service, found.region, subdomain.replace('.', "")] {
                prop_assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{part}");
            }
        }
    }
}
