//! Nothing fails open: whatever is wrong with an authorization, nobody connects
//! past it.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::world::{UNKNOWN, check, check_in, is_closed, properties, resolved, served_keys, uri};
use crate::resolve::Compat;

#[track_caller]
fn check_closed(changes: Json, want: &[&str]) {
    check(changes.clone(), want);
    for compat in [Compat::Wsgate, Compat::Aws] {
        assert!(is_closed(&changes, compat), "{changes} is open under {compat:?}");
    }
}

/// A change whose reason was reported before: nothing is found, nothing is served.
#[track_caller]
fn check_unknown_serves_nothing(changes: Json) {
    check_closed(changes.clone(), &[]);
    let (model, _, _) = resolved(&changes, Compat::Wsgate);
    assert!(model.stages.is_empty(), "{changes} is served");
}

#[test]
fn the_sound_stack_is_guarded() {
    check_closed(json!({}), &[]);
    assert_eq!(served_keys(&json!({}), Compat::Aws), ["$connect", "$default", "ping", "put"]);
}

#[test]
fn a_misspelt_property_is_an_error() {
    check_closed(
        json!({ "Connect": { "AuthorizationType": null, "AuthorisationType": "CUSTOM" } }),
        &["error WSG-053 Connect.AuthorisationType:", "error WSG-102 Connect.AuthorizerId"],
    );
    check_closed(
        json!({ "Connect": {
            "AuthorizationType": null, "AuthorizerId": null,
            "authorizationType": "CUSTOM", "authorizerId": "Guard",
        } }),
        &[
            "error WSG-053 Connect.authorizationType:",
            "error WSG-053 Connect.authorizerId:",
            "warning WSG-102 Guard",
        ],
    );
    check_closed(
        json!({ "Connect": { "AuthorizerId": null, "AuthorizerID": "Guard" } }),
        &["error WSG-053 Connect.AuthorizerID:", "error WSG-102 Connect.AuthorizationType"],
    );
    check_closed(
        json!({ "Guard": { "IdentitySource": null, "IdentitySources": ["route.request.header.A"] } }),
        &["error WSG-053 Guard.IdentitySources:"],
    );
}

#[test]
fn a_value_that_is_no_authorization_is_an_error() {
    for (value, code) in [
        (json!("custom"), "WSG-052"),
        (json!("Custom"), "WSG-052"),
        (json!(" CUSTOM"), "WSG-052"),
        (json!("JWT"), "WSG-052"),
        (json!(""), "WSG-052"),
        (json!(true), "WSG-052"),
        (json!("AWS_IAM"), "WSG-054"),
        (json!(["CUSTOM"]), "WSG-051"),
        (json!({}), "WSG-051"),
    ] {
        let want = format!("error {code} Connect.AuthorizationType");
        check_closed(json!({ "Connect": { "AuthorizationType": value } }), &[&want]);
    }
}

#[test]
fn half_an_authorization_is_an_error() {
    check_closed(
        json!({ "Connect": { "AuthorizationType": null } }),
        &["error WSG-102 Connect.AuthorizerId"],
    );
    check_closed(
        json!({ "Connect": { "AuthorizationType": "NONE" } }),
        &["error WSG-102 Connect.AuthorizerId"],
    );
    check_closed(
        json!({ "Connect": { "AuthorizerId": null } }),
        &["error WSG-102 Connect.AuthorizationType"],
    );
    check_closed(
        json!({ "Connect": { "AuthorizationType": "NONE", "AuthorizerId": ["Guard"] } }),
        &["error WSG-051 Connect.AuthorizerId"],
    );
}

#[test]
fn an_authorizer_that_does_not_exist_is_an_error() {
    check_closed(
        json!({ "Connect": { "AuthorizerId": "Nope" } }),
        &["error WSG-056 Connect.AuthorizerId"],
    );
    check_closed(json!({ "Guard": null }), &["error WSG-056 Connect.AuthorizerId"]);
    check_closed(
        json!({ "Connect": { "AuthorizerId": ["Guard"] } }),
        &["error WSG-051 Connect.AuthorizerId"],
    );
}

#[test]
fn the_authorizer_of_another_api_guards_nothing() {
    let other = json!(["ApiGatewayV2::Api", {
        "Name": "other", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "a",
    }]);
    check_closed(
        json!({ "Other": other, "Guard": { "ApiId": "Other" } }),
        &["error WSG-056 Connect.AuthorizerId"],
    );
}

#[test]
fn a_broken_authorizer_is_reported_once_and_guards_all_the_same() {
    check_closed(
        json!({ "Guard": { "AuthorizerType": "JWT" } }),
        &["error WSG-103 Guard.AuthorizerType"],
    );
    check_closed(json!({ "Guard": { "AuthorizerUri": null } }), &["error WSG-050 Guard"]);
    check_closed(
        json!({ "Guard": { "AuthorizerUri": "Auth" } }),
        &["error WSG-106 Guard.AuthorizerUri"],
    );
    check_closed(
        json!({ "Guard": { "ApiId": null } }),
        &["error WSG-050 Guard", "error WSG-056 Connect.AuthorizerId"],
    );
    check_closed(
        json!({ "Guard": { "EnableSimpleResponses": true } }),
        &["error WSG-105 Guard.EnableSimpleResponses"],
    );
    check_closed(
        json!({ "Guard": { "IdentitySource": ["$request.header.Cookie"] } }),
        &["error WSG-104 Guard.IdentitySource.0"],
    );
    check_closed(
        json!({ "Guard": { "IdentitySource": "route.request.header.Cookie" } }),
        &["error WSG-051 Guard.IdentitySource"],
    );
}

#[test]
fn what_cannot_be_known_serves_nothing_and_is_not_reported_again() {
    for (resource, property) in [
        ("Connect", "ApiId"),
        ("Connect", "RouteKey"),
        ("Connect", "AuthorizationType"),
        ("Connect", "AuthorizerId"),
        ("Connect", "Target"),
        ("Connect", "ApiKeyRequired"),
        ("Connect", "RequestParameters"),
        ("Guard", "AuthorizerUri"),
        ("Guard", "IdentitySource"),
        ("Proxy", "IntegrationUri"),
        ("Proxy", "IntegrationType"),
        ("Default", "RouteKey"),
    ] {
        check_unknown_serves_nothing(json!({ resource: { property: UNKNOWN } }));
    }
    check_unknown_serves_nothing(
        json!({ "Connect": { "AuthorizationType": null, "AuthorizerId": UNKNOWN } }),
    );
    check_unknown_serves_nothing(
        json!({ "Connect": { "AuthorizationType": UNKNOWN, "AuthorizerId": null } }),
    );
    check_unknown_serves_nothing(
        json!({ "Guard": { "IdentitySource": ["route.request.header.Cookie", UNKNOWN] } }),
    );
    let parameter = json!({ "route.request.header.A": { "Required": UNKNOWN } });
    check_unknown_serves_nothing(json!({ "Connect": { "RequestParameters": parameter } }));
}

#[test]
fn other_unknown_values_are_not_reported_again_either() {
    for (resource, property) in [
        ("Api", "Name"),
        ("Api", "RouteSelectionExpression"),
        ("Api", "DisableExecuteApiEndpoint"),
        ("Guard", "Name"),
        ("Guard", "AuthorizerType"),
        ("Guard", "AuthorizerCredentialsArn"),
        ("Handler", "Role"),
        ("Handler", "Environment"),
        ("Http", "IntegrationMethod"),
        ("Http", "IntegrationUri"),
        ("Http", "PassthroughBehavior"),
        ("Http", "RequestParameters"),
        ("Http", "RequestTemplates"),
        ("Http", "TemplateSelectionExpression"),
        ("Http", "TimeoutInMillis"),
        ("HttpResponse", "IntegrationId"),
        ("HttpResponse", "IntegrationResponseKey"),
        ("HttpResponse", "ResponseParameters"),
        ("DefaultResponse", "RouteResponseKey"),
        ("Stage", "ApiId"),
        ("Stage", "StageName"),
        ("Stage", "DeploymentId"),
        ("Stage", "StageVariables"),
        ("Stage", "RouteSettings"),
        ("Stage", "DefaultRouteSettings"),
        ("Domain", "DomainName"),
        ("Mapping", "ApiId"),
        ("Mapping", "Stage"),
        ("Mapping", "DomainName"),
        ("Mapping", "ApiMappingKey"),
    ] {
        check_closed(json!({ resource: { property: UNKNOWN } }), &[]);
    }
    let document = json!({ "Statement": [{ "Action": "execute-api:*", "Effect": "Allow", "Resource": UNKNOWN }] });
    check_closed(json!({ "Role": { "Policies": [{ "PolicyDocument": document }] } }), &[]);
}

#[test]
fn an_unknown_mapping_key_is_not_the_root_and_an_unknown_switch_is_closed() {
    let (model, _, _) =
        resolved(&json!({ "Mapping": { "ApiMappingKey": UNKNOWN } }), Compat::Wsgate);
    assert_eq!(model.domains[0].mappings, []);
    let changes = json!({ "Api": { "DisableExecuteApiEndpoint": UNKNOWN } });
    let (model, _, _) = resolved(&changes, Compat::Wsgate);
    assert!(model.stages[0].api.disable_execute_api_endpoint);
}

#[test]
fn a_permission_that_cannot_be_read_permits_nothing() {
    for property in ["SourceArn", "Principal", "FunctionName"] {
        let changes = json!({ "AuthPermission": { property: UNKNOWN } });
        check(changes.clone(), &["warning WSG-107 Guard"]);
        check_in(Compat::Aws, changes, &["warning WSG-107 Guard"]);
    }
}

#[test]
fn a_requirement_that_cannot_be_read_is_an_error() {
    let with = |value: Json| json!({ "Connect": { "RequestParameters": value } });
    check_closed(
        with(json!({ "route.request.header.A": { "Requierd": true } })),
        &["error WSG-053 Connect.RequestParameters.route.request.header.A.Requierd:"],
    );
    check_closed(
        with(json!({ "route.request.header.A": true })),
        &["error WSG-051 Connect.RequestParameters.route.request.header.A"],
    );
    check_closed(
        with(json!({ "route.request.header.A": { "Required": "yes" } })),
        &["error WSG-051 Connect.RequestParameters.route.request.header.A.Required"],
    );
    check_closed(
        with(json!({ "route.request.cookie.A": { "Required": true } })),
        &["error WSG-119 Connect.RequestParameters.route.request.cookie.A:"],
    );
}

#[test]
fn a_key_that_only_looks_like_connect_is_an_error() {
    check_closed(
        json!({ "Connect": { "RouteKey": "$Connect" } }),
        &["error WSG-052 Connect.RouteKey", "error WSG-101 Connect.AuthorizationType"],
    );
    check_closed(
        json!({ "Connect": { "RouteKey": " $connect" } }),
        &["error WSG-101 Connect.AuthorizationType"],
    );
}

#[test]
fn of_two_connect_routes_none_is_served() {
    let open = json!(["ApiGatewayV2::Route", { "ApiId": "Api", "RouteKey": "$connect" }]);
    let changes = json!({
        "Open": open, "Deployment": { "DependsOn": ["Connect", "Default", "Put", "Ping", "Open"] },
    });
    check_closed(changes.clone(), &["error WSG-057 Open.RouteKey"]);
    assert_eq!(served_keys(&changes, Compat::Wsgate), [""; 0]);
}

#[test]
fn under_aws_a_deployment_cannot_leave_out_the_guarded_connect() {
    let changes = json!({ "Deployment": { "DependsOn": ["Default", "Put", "Ping"] } });
    check_in(Compat::Aws, changes.clone(), &["error WSG-114 Deployment"]);
    assert!(is_closed(&changes, Compat::Aws));
    assert_eq!(served_keys(&changes, Compat::Aws), [""; 0]);
    check_closed(changes, &["warning WSG-114 Deployment"]);
}

#[test]
fn no_function_but_the_named_one_is_asked() {
    let changes = json!({ "Guard": { "AuthorizerUri": uri("Nope") } });
    check_closed(changes.clone(), &[]);
    let (model, _, _) = resolved(&changes, Compat::Wsgate);
    let route = &model.stages[0].routes["$connect"];
    let crate::api::Authorization::Custom(guard) = &route.authorization else { panic!("open") };
    assert!(crate::resolve::find_function(&model.functions, &guard.function).is_none());
}

fn any_value() -> impl Strategy<Value = Json> {
    let text = prop_oneof![
        Just(UNKNOWN.to_owned()),
        "(Api|Guard|Connect|Proxy|Mock|NONE|CUSTOM|REQUEST|HTTP|WEBSOCKET|[$](connect|default))",
        "(integrations/(Mock|Nope)|route[.]request[.]header[.]A|[$]request[.]body[.]a)",
        "\\PC{0,12}",
    ];
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text.prop_map(Json::from),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::vec(("(Required|[a-z]{0,3})", inner), 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_change_of_one_property_opens_the_api(
        property in prop::sample::select(properties()),
        value in any_value(),
    ) {
        let (resource, property) = property;
        let changes = json!({ resource: { property: value } });
        for compat in [Compat::Wsgate, Compat::Aws] {
            prop_assert!(is_closed(&changes, compat), "{} is open under {:?}", changes, compat);
        }
    }
}

#[test]
fn an_api_whose_authorizer_is_asked_by_nobody_is_told_of() {
    check(
        json!({ "Connect": null, "Deployment": { "DependsOn": ["Default", "Put", "Ping"] } }),
        &["warning WSG-102 Guard"],
    );
    let open = json!({ "Connect": { "AuthorizationType": "NONE", "AuthorizerId": null } });
    check(open, &["warning WSG-102 Guard"]);
}
