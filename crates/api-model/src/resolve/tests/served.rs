//! What is served of a sound stack.

use std::time::Duration;

use serde_json::json;

use super::world::{check, resolved, served_keys};
use crate::api::{
    Authorization, IdentitySource, Mapping, Passthrough, Rate, RequiredParameter, ResponseKey,
    Target,
};
use crate::parameter::Destination;
use crate::resolve::Compat;

#[test]
fn the_stage_has_its_routes_with_what_they_lead_to() {
    let (model, _, _) = resolved(&json!({}), Compat::Wsgate);
    let [stage] = model.stages.as_slice() else { panic!("one stage") };
    assert_eq!((stage.name.as_str(), stage.api.api_id.as_str()), ("dev", "Api"));
    assert_eq!(
        stage.api.execute_arn("dev/$connect"),
        "arn:aws:execute-api:us-east-1:111122223333:Api/dev/$connect"
    );
    let default = &stage.routes["$default"];
    assert!(default.two_way && matches!(default.authorization, Authorization::None));
    let integration = default.integration.as_ref().unwrap();
    let Target::Function(function) = &integration.target else { panic!("no function") };
    let (found, qualifier) = crate::resolve::find_function(&model.functions, function).unwrap();
    assert_eq!((found.logical_id.as_str(), qualifier), ("Handler", None));
    assert_eq!(integration.timeout, Duration::from_secs(29));
    let put = &stage.routes["put"];
    assert!(!put.two_way);
    let http = put.integration.as_ref().unwrap();
    let Target::Http(target) = &http.target else { panic!("no back end") };
    assert_eq!(target.method, "PUT");
    assert_eq!(target.url.constant(), Some("https://backend.example/{room}"));
    assert_eq!(http.templates.selection.as_ref().unwrap().constant(), Some("$default"));
    assert_eq!(http.parameters[0].destination, Destination::Path("room".to_owned()));
    assert!(matches!(&http.responses[0].key, ResponseKey::Pattern(regex) if regex.is_match("204")));
    assert!(matches!(stage.routes["ping"].integration.as_ref().unwrap().target, Target::Mock));
}

#[test]
fn the_authorizer_knows_its_function_and_identity() {
    let sources = [
        "route.request.header.Cookie",
        "route.request.querystring.token",
        "context.identity.sourceIp",
        "stageVariables.env",
    ];
    let (model, _, lines) =
        resolved(&json!({ "Guard": { "IdentitySource": sources } }), Compat::Aws);
    assert_eq!(lines, [""; 0]);
    let route = &model.stages[0].routes["$connect"];
    let Authorization::Custom(guard) = &route.authorization else { panic!("open") };
    assert_eq!(
        guard.identity_sources,
        [
            IdentitySource::Header("Cookie".to_owned()),
            IdentitySource::QueryString("token".to_owned()),
            IdentitySource::Context("identity.sourceIp".to_owned()),
            IdentitySource::StageVariable("env".to_owned()),
        ]
    );
    assert_eq!((guard.authorizer_id.as_str(), guard.result_ttl), ("Guard", None));
    assert_eq!(
        guard.function.arn.constant(),
        Some("arn:aws:lambda:us-east-1:111122223333:function:Auth")
    );
}

#[test]
fn identity_sources_may_be_none() {
    for changes in [
        json!({ "Guard": { "IdentitySource": null } }),
        json!({ "Guard": { "IdentitySource": [] } }),
    ] {
        check(changes.clone(), &[]);
        assert_eq!(served_keys(&changes, Compat::Wsgate).len(), 4);
    }
}

#[test]
fn patterns_match_the_whole_status() {
    let changes = json!({ "HttpResponse": { "IntegrationResponseKey": "/4|50\\d/" } });
    let (model, _, _) = resolved(&changes, Compat::Wsgate);
    let http = model.stages[0].routes["put"].integration.as_ref().unwrap();
    let ResponseKey::Pattern(regex) = &http.responses[0].key else { panic!("no pattern") };
    assert!(regex.is_match("4") && regex.is_match("503"));
    assert!(!regex.is_match("404") && !regex.is_match("1503"));
}

#[test]
fn a_domain_maps_to_the_stage() {
    let (model, _, _) = resolved(&json!({}), Compat::Wsgate);
    assert_eq!(model.domains[0].name, "ws.example.com");
    let want = Mapping { key: String::new(), api_id: "Api".to_owned(), stage: "dev".to_owned() };
    assert_eq!(model.domains[0].mappings, [want]);
    let changes = json!({
        "Domain": { "DomainName": "*.Example.COM" },
        "Mapping": { "DomainName": "*.example.com", "ApiMappingKey": "chat-$v.1+!*'()" },
    });
    let (model, _, lines) = resolved(&changes, Compat::Wsgate);
    assert_eq!(lines, [""; 0]);
    assert_eq!(model.domains[0].name, "*.example.com");
    assert_eq!(model.domains[0].mappings[0].key, "chat-$v.1+!*'()");
}

#[test]
fn throttles_take_the_accounts_default_where_only_half_is_given() {
    let changes = json!({ "Stage": {
        "DefaultRouteSettings": { "ThrottlingRateLimit": "1.5", "LoggingLevel": "INFO" },
        "RouteSettings": { "put": { "ThrottlingBurstLimit": 2 }, "ping": {} },
        "StageVariables": { "b": "2", "a": 1 },
    } });
    let (model, _, lines) = resolved(&changes, Compat::Wsgate);
    assert_eq!(lines, [""; 0]);
    let stage = &model.stages[0];
    assert_eq!(stage.throttle, Some(Rate { per_second: 1.5, burst: 5000 }));
    assert_eq!(stage.route_throttles["put"], Rate { per_second: 10_000.0, burst: 2 });
    assert_eq!(stage.route_throttles.len(), 1);
    let want = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
    assert_eq!(stage.variables, want);
}

#[test]
fn requirements_of_connect_are_kept() {
    let parameters = json!({
        "route.request.header.X-A": { "Required": true },
        "route.request.querystring.b": { "Required": "true" },
        "route.request.querystring.c": { "Required": false },
        "route.request.multivalueheader.d": {},
    });
    let changes = json!({ "Connect": { "RequestParameters": parameters } });
    let (model, _, lines) = resolved(&changes, Compat::Wsgate);
    assert_eq!(lines, [""; 0]);
    assert_eq!(
        model.stages[0].routes["$connect"].required,
        [
            RequiredParameter::Header("X-A".to_owned()),
            RequiredParameter::QueryString("b".to_owned()),
        ]
    );
}

#[test]
fn nulls_count_as_absent() {
    let changes = json!({ "Api": ["ApiGatewayV2::Api", {
        "Name": "chat", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "a",
        "DisableExecuteApiEndpoint": null, "Body": null,
    }] });
    check(changes, &[]);
}

#[test]
fn passthrough_and_timeout_are_read() {
    let changes = json!({ "Http": { "PassthroughBehavior": "NEVER", "TimeoutInMillis": "50" } });
    let (model, _, lines) = resolved(&changes, Compat::Wsgate);
    assert_eq!(lines, [""; 0]);
    let http = model.stages[0].routes["put"].integration.as_ref().unwrap();
    assert_eq!((http.passthrough, http.timeout), (Passthrough::Never, Duration::from_millis(50)));
}

#[test]
fn functions_know_their_role_permissions_and_qualifiers() {
    let statement = json!({ "Action": "execute-api:*", "Effect": "Allow", "Resource": "*" });
    let changes = json!({
        "Role": {
            "Policies": [{ "PolicyDocument": { "Statement": [statement] } }],
            "ManagedPolicyArns": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "arn:aws:iam::aws:policy/Unknown"],
        },
        "Auth": { "Role": "arn:aws:iam::111122223333:role/elsewhere" },
        "Live": ["Lambda::Alias", { "FunctionName": "Handler", "Name": "live" }],
        "Version": ["Lambda::Version", { "FunctionName": "Handler" }, [], "arn:aws:lambda:us-east-1:111122223333:function:Handler:7"],
    });
    let (model, _, lines) = resolved(&changes, Compat::Wsgate);
    assert_eq!(lines, ["warning WSG-121 Role.ManagedPolicyArns.1"], "who grants nothing is named");
    let [handler, auth] = model.functions.as_slice() else { panic!("two functions") };
    assert_eq!(handler.arn, "arn:aws:lambda:us-east-1:111122223333:function:Handler");
    assert_eq!(handler.policies.as_ref().unwrap().len(), 2);
    assert!(auth.policies.is_none());
    assert_eq!(handler.qualifiers, ["7", "live"]);
    assert!(crate::resolve::permits(
        handler,
        None,
        "arn:aws:execute-api:us-east-1:111122223333:Api/dev/put"
    ));
    assert!(!crate::resolve::permits(
        handler,
        None,
        "arn:aws:execute-api:us-east-1:111122223333:Other/dev/put"
    ));
    assert!(!crate::resolve::permits(
        handler,
        Some("live".to_owned()),
        "arn:aws:execute-api:us-east-1:111122223333:Api/dev/put"
    ));
}

#[test]
fn other_resource_types_are_counted() {
    let table = json!(["DynamoDB::Table", {}]);
    let (model, _, lines) = resolved(&json!({ "A": table, "B": table }), Compat::Wsgate);
    assert_eq!(lines, [""; 0]);
    assert_eq!(model.unserved, [("AWS::DynamoDB::Table".to_owned(), 2)]);
}
