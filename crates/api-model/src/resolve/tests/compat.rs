//! Where AWS's behaviour and wsgate's own differ.

use serde_json::json;

use super::world::{check, check_in, resolved, served_keys};
use crate::api::Authorization;
use crate::resolve::Compat;

#[test]
fn routes_that_the_deployment_does_not_wait_for_are_absent_under_aws() {
    let changes = json!({ "Deployment": { "DependsOn": ["Connect", "Default"] } });
    let want = ["warning WSG-114 Deployment"];
    check(changes.clone(), &want);
    check_in(Compat::Aws, changes.clone(), &want);
    assert_eq!(served_keys(&changes, Compat::Wsgate), ["$connect", "$default", "ping", "put"]);
    assert_eq!(served_keys(&changes, Compat::Aws), ["$connect", "$default"]);
}

#[test]
fn who_waits_for_a_route_response_waits_for_its_route() {
    let changes = json!({ "Deployment": { "DependsOn": ["Connect", "DefaultResponse"] } });
    assert_eq!(served_keys(&changes, Compat::Aws), ["$connect", "$default"]);
}

#[test]
fn an_automatic_deployment_waits_for_everything() {
    for changes in [
        json!({ "Stage": { "AutoDeploy": true, "DeploymentId": null }, "Deployment": null }),
        json!({ "Stage": { "AutoDeploy": "true" }, "Deployment": { "DependsOn": [] } }),
    ] {
        check_in(Compat::Aws, changes.clone(), &[]);
        assert_eq!(served_keys(&changes, Compat::Aws), ["$connect", "$default", "ping", "put"]);
    }
}

#[test]
fn a_stage_without_deployment_is_an_error_under_aws_only() {
    let changes = json!({ "Stage": { "DeploymentId": null } });
    check(changes.clone(), &["warning WSG-115 Stage"]);
    check_in(Compat::Aws, changes, &["error WSG-115 Stage"]);
}

#[test]
fn a_missing_permission_of_an_authorizer_is_a_warning() {
    for changes in [
        json!({ "AuthPermission": null }),
        json!({ "AuthPermission": { "Principal": "lambda.amazonaws.com" } }),
        json!({ "AuthPermission": { "SourceArn": "arn:aws:execute-api:us-east-1:111122223333:Other/*" } }),
        json!({ "AuthPermission": { "FunctionName": "Auth:live" } }),
    ] {
        check(changes.clone(), &["warning WSG-107 Guard"]);
        check_in(Compat::Aws, changes, &["warning WSG-107 Guard"]);
    }
    for source in ["Api/*", "Api/authorizers/Guard", "*/authorizers/*"] {
        let arn = format!("arn:aws:execute-api:us-east-1:111122223333:{source}");
        check_in(Compat::Aws, json!({ "AuthPermission": { "SourceArn": arn } }), &[]);
    }
    check_in(Compat::Aws, json!({ "AuthPermission": { "Principal": "*" } }), &[]);
    let role = "arn:aws:iam::111122223333:role/invoker";
    let changes = json!({ "AuthPermission": null, "Guard": { "AuthorizerCredentialsArn": role } });
    check_in(Compat::Aws, changes, &[]);
}

#[test]
fn a_missing_permission_of_an_integration_is_a_warning() {
    for compat in [Compat::Wsgate, Compat::Aws] {
        check_in(compat, json!({ "HandlerPermission": null }), &["warning WSG-107 Proxy"]);
    }
}

#[test]
fn a_result_ttl_turns_the_cache_on_and_is_an_error_under_aws() {
    let with = |ttl: serde_json::Value| json!({ "Guard": { "AuthorizerResultTtlInSeconds": ttl } });
    let ttl = |value: serde_json::Value| {
        let (model, _, _) = resolved(&with(value), Compat::Wsgate);
        match &model.stages[0].routes["$connect"].authorization {
            Authorization::Custom(guard) => guard.result_ttl.map(|ttl| ttl.as_secs()),
            Authorization::None => panic!("open"),
        }
    };
    for value in [json!(300), json!("300"), json!(0)] {
        check(with(value.clone()), &["warning WSG-105 Guard.AuthorizerResultTtlInSeconds"]);
        let want = ["error WSG-105 Guard.AuthorizerResultTtlInSeconds"];
        check_in(Compat::Aws, with(value), &want);
    }
    assert_eq!((ttl(json!(300)), ttl(json!(0))), (Some(300), None));
    for value in [json!(-1), json!(3601)] {
        check(with(value), &["error WSG-052 Guard.AuthorizerResultTtlInSeconds"]);
    }
}
