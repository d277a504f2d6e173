//! Every code, from the one mistake that it is for.

use serde_json::{Value as Json, json};

use super::world::{check, uri};

fn route(key: &str, rest: Json) -> Json {
    let mut properties = json!({ "ApiId": "Api", "RouteKey": key, "Target": "integrations/Mock" });
    for (name, value) in rest.as_object().unwrap() {
        properties[name] = value.clone();
    }
    json!(["ApiGatewayV2::Route", properties])
}

/// Adds a route that the deployment waits for.
fn with_route(key: &str, rest: Json) -> Json {
    json!({
        "Deployment": { "DependsOn": ["Connect", "Default", "Put", "Ping", "New"] },
        "New": route(key, rest),
    })
}

#[test]
fn missing_properties() {
    for (resource, property, also) in [
        ("Api", "ProtocolType", &[][..]),
        ("Api", "Name", &[]),
        ("Api", "RouteSelectionExpression", &[]),
        ("Guard", "Name", &[]),
        ("Guard", "AuthorizerType", &[]),
        ("Guard", "AuthorizerUri", &[]),
        ("Handler", "Role", &[]),
        ("AuthPermission", "Principal", &["warning WSG-107 Guard"]),
        ("Proxy", "IntegrationType", &[]),
        ("Proxy", "IntegrationUri", &[]),
        ("Http", "IntegrationMethod", &[]),
        ("Http", "IntegrationUri", &[]),
        ("HttpResponse", "IntegrationId", &[]),
        ("HttpResponse", "IntegrationResponseKey", &[]),
        ("Put", "RouteKey", &[]),
        ("Put", "ApiId", &[]),
        ("DefaultResponse", "RouteResponseKey", &[]),
        ("DefaultResponse", "RouteId", &["warning WSG-112 Default"]),
        ("Stage", "ApiId", &["error WSG-120 Mapping.Stage"]),
        ("Domain", "DomainName", &["error WSG-120 Mapping.DomainName"]),
        ("Mapping", "ApiId", &[]),
        ("Mapping", "Stage", &[]),
        ("Mapping", "DomainName", &[]),
    ] {
        let missing = format!("error WSG-050 {resource}");
        let mut want = vec![missing.as_str()];
        want.extend(also);
        check(json!({ resource: { property: null } }), &want);
    }
}

#[test]
fn values_of_the_wrong_kind() {
    for (resource, property) in [
        ("Api", "Name"),
        ("Api", "DisableExecuteApiEndpoint"),
        ("Connect", "RequestParameters"),
        ("Handler", "Environment"),
        ("Http", "RequestTemplates"),
        ("Http", "RequestParameters"),
        ("Http", "TemplateSelectionExpression"),
        ("Http", "TimeoutInMillis"),
        ("HttpResponse", "ResponseParameters"),
        ("Stage", "AutoDeploy"),
        ("Stage", "StageVariables"),
        ("Stage", "RouteSettings"),
    ] {
        let want = format!("error WSG-051 {resource}.{property}");
        check(json!({ resource: { property: ["x", 1] } }), &[&want]);
    }
    for value in [json!("route.request.header.a"), json!({}), json!(1)] {
        let changes = json!({ "Guard": { "IdentitySource": value } });
        check(changes, &["error WSG-051 Guard.IdentitySource"]);
    }
    check(
        json!({ "Stage": { "DefaultRouteSettings": { "ThrottlingRateLimit": "fast" } } }),
        &["error WSG-051 Stage.DefaultRouteSettings.ThrottlingRateLimit"],
    );
    check(
        json!({ "Http": { "RequestTemplates": { "a": ["x"] } } }),
        &["error WSG-051 Http.RequestTemplates.a"],
    );
}

#[test]
fn values_that_aws_does_not_allow() {
    for (resource, property, value) in [
        ("Api", "ProtocolType", json!("TCP")),
        ("Api", "Name", json!("")),
        ("Proxy", "ConnectionType", json!("CABLE")),
        ("Proxy", "TimeoutInMillis", json!(49)),
        ("Proxy", "TimeoutInMillis", json!(29_001)),
        ("Http", "PassthroughBehavior", json!("SOMETIMES")),
        ("Http", "IntegrationMethod", json!("put")),
        ("Http", "IntegrationUri", json!("/relative")),
        ("Http", "IntegrationUri", json!("ftp://host/")),
        ("Http", "IntegrationUri", json!("http://host/a b")),
        ("Default", "RouteResponseSelectionExpression", json!("$request.body.a")),
        ("Put", "RouteKey", json!("$put")),
        ("Stage", "StageName", json!("a/b")),
        ("Stage", "StageName", json!("_aws")),
        ("Stage", "StageName", json!("ping")),
        ("Stage", "StageName", json!("x".repeat(129))),
        ("Domain", "DomainName", json!("-a.example")),
        ("Domain", "DomainName", json!("a..example")),
        ("Mapping", "ApiMappingKey", json!("a/b")),
        ("Mapping", "ApiMappingKey", json!("sping")),
    ] {
        let want = format!("error WSG-052 {resource}.{property}");
        let mut changes = json!({ resource: { property: value } });
        match (resource, property) {
            ("Stage", _) => changes["Mapping"] = json!({ "Stage": changes["Stage"]["StageName"] }),
            ("Domain", _) => {
                changes["Mapping"] = json!({ "DomainName": changes["Domain"]["DomainName"] });
            }
            _ => {}
        }
        check(changes, &[&want]);
    }
}

#[test]
fn properties_that_the_type_does_not_have() {
    for (resource, near) in [
        ("Api", "RouteSelectionExpresion"),
        ("Connect", "RouteKeys"),
        ("Proxy", "IntegrationURI"),
        ("HttpResponse", "ResponseTemplate"),
        ("DefaultResponse", "RouteResponseKeys"),
        ("Guard", "AuthorizerCredentials"),
        ("Deployment", "Stage"),
        ("Stage", "Variables"),
        ("Domain", "Domain"),
        ("Mapping", "MappingKey"),
    ] {
        let want = format!("error WSG-053 {resource}.{near}:");
        check(json!({ resource: { near: "x" } }), &[&want]);
    }
    check(
        json!({ "Stage": { "DefaultRouteSettings": { "ThrottlingRate": 1 } } }),
        &["error WSG-053 Stage.DefaultRouteSettings.ThrottlingRate:"],
    );
}

#[test]
fn what_would_change_behaviour_and_is_not_supported() {
    for (resource, property, value) in [
        ("Api", "Body", json!({})),
        ("Api", "BodyS3Location", json!({})),
        ("Connect", "ApiKeyRequired", json!(true)),
        ("Default", "ModelSelectionExpression", json!("$default")),
        ("Connect", "AuthorizationScopes", json!(["a"])),
        ("Connect", "AuthorizationType", json!("AWS_IAM")),
        ("Proxy", "ContentHandlingStrategy", json!("CONVERT_TO_BINARY")),
        ("Proxy", "IntegrationSubtype", json!("SQS-SendMessage")),
        ("Proxy", "TlsConfig", json!({})),
        ("Http", "ResponseParameters", json!({})),
        ("HttpResponse", "ContentHandlingStrategy", json!("CONVERT_TO_TEXT")),
        ("Stage", "ClientCertificateId", json!("c")),
        ("Domain", "MutualTlsAuthentication", json!({})),
    ] {
        let want = format!("error WSG-054 {resource}.{property}");
        check(json!({ resource: { property: value } }), &[&want]);
    }
    check(json!({ "Connect": { "ApiKeyRequired": false } }), &[]);
}

#[test]
fn what_is_ignored() {
    for (resource, property, value) in [
        ("Api", "ApiKeySelectionExpression", json!("$request.header.x-api-key")),
        ("Default", "RequestModels", json!({ "$default": "Model" })),
        ("DefaultResponse", "ResponseModels", json!({})),
        ("DefaultResponse", "ModelSelectionExpression", json!("a")),
        ("DefaultResponse", "ResponseParameters", json!({})),
        ("Guard", "IdentityValidationExpression", json!(".*")),
        ("Proxy", "PayloadFormatVersion", json!("1.0")),
        ("Stage", "AccessLogSettings", json!({})),
    ] {
        let want = format!("warning WSG-055 {resource}.{property}");
        check(json!({ resource: { property: value } }), &[&want]);
    }
}

#[test]
fn an_http_api_is_ignored_with_all_that_belongs_to_it() {
    let of = |kind: &str, mut properties: Json| {
        properties["ApiId"] = json!("Web");
        json!([format!("ApiGatewayV2::{kind}"), properties])
    };
    check(
        json!({
            "Web": ["ApiGatewayV2::Api", { "Name": "web", "ProtocolType": "HTTP" }],
            "WebRoute": of("Route", json!({ "RouteKey": "GET /", "AuthorizationType": "JWT" })),
            "WebStage": of("Stage", json!({ "StageName": "$default" })),
            "WebIntegration": of("Integration", json!({ "IntegrationType": "HTTP_PROXY" })),
            "WebAuthorizer": of("Authorizer", json!({ "AuthorizerType": "JWT" })),
        }),
        &["warning WSG-055 Web.ProtocolType"],
    );
}

#[test]
fn references_to_nothing() {
    for (resource, property, value, also) in [
        ("Put", "Target", "integrations/Nope", &[][..]),
        ("Put", "Target", "Http", &[]),
        ("Put", "ApiId", "Nope", &[]),
        ("HttpResponse", "IntegrationId", "Nope", &[]),
        ("DefaultResponse", "RouteId", "Nope", &["warning WSG-112 Default"]),
        ("Stage", "DeploymentId", "Nope", &[]),
        ("Mapping", "ApiId", "Nope", &[]),
        ("Connect", "AuthorizerId", "Nope", &[]),
    ] {
        let reference = format!("error WSG-056 {resource}.{property}");
        let mut want = vec![reference.as_str()];
        want.extend(also);
        check(json!({ resource: { property: value } }), &want);
    }
    check(
        json!({ "HandlerPermission": { "FunctionName": "Nope" } }),
        &["warning WSG-056 HandlerPermission.FunctionName", "warning WSG-107 Proxy"],
    );
    check(
        json!({ "Stage": { "RouteSettings": { "nope": { "ThrottlingBurstLimit": 1 } } } }),
        &["error WSG-056 Stage.RouteSettings.nope:"],
    );
}

#[test]
fn two_of_one_name() {
    check(with_route("put", json!({})), &["error WSG-057 New.RouteKey"]);
    let api = json!(["ApiGatewayV2::Api", {
        "Name": "b", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "a",
    }, [], "same"]);
    check(json!({ "A": api, "B": api }), &["error WSG-057 B"]);
    let response = json!(["ApiGatewayV2::RouteResponse", {
        "ApiId": "Api", "RouteId": "Default", "RouteResponseKey": "$default",
    }]);
    check(json!({ "Again": response }), &["error WSG-057 Again.RouteId"]);
    let stage = json!(["ApiGatewayV2::Stage", {
        "ApiId": "Api", "StageName": "dev", "AutoDeploy": true,
    }]);
    check(json!({ "Again": stage }), &["error WSG-057 Again"]);
    let domain = json!(["ApiGatewayV2::DomainName", { "DomainName": "WS.example.com" }]);
    check(json!({ "Again": domain }), &["error WSG-057 Again.DomainName"]);
    let mapping = json!(["ApiGatewayV2::ApiMapping", {
        "ApiId": "Api", "Stage": "dev", "DomainName": "ws.example.com", "ApiMappingKey": "",
    }]);
    check(json!({ "Again": mapping }), &["error WSG-057 Again.ApiMappingKey"]);
}

#[test]
fn authorization_beside_connect() {
    for kind in ["CUSTOM", "AWS_IAM", "JWT"] {
        let rest = json!({ "AuthorizationType": kind, "AuthorizerId": "Guard" });
        check(with_route("x", rest), &["error WSG-101 New.AuthorizationType"]);
    }
    check(with_route("x", json!({ "AuthorizationType": "NONE" })), &[]);
}

#[test]
fn lambda_uris() {
    for wrong in [
        "arn:aws:lambda:us-east-1:111122223333:function:Handler".to_owned(),
        uri("Handler").replace("us-east-1:lambda", "eu-west-1:lambda"),
        uri("Handler").replace("/invocations", ""),
        uri("Handler").replace("2015-03-31", "2014-11-13"),
        "https://host/".to_owned(),
    ] {
        let changes = json!({ "Proxy": { "IntegrationUri": wrong } });
        check(changes, &["error WSG-106 Proxy.IntegrationUri"]);
    }
    let variable = uri("Handler").replace("Handler", "${stageVariables.fn}");
    check(json!({ "Proxy": { "IntegrationUri": variable } }), &[]);
}

#[test]
fn methods_of_lambda_integrations() {
    check(
        json!({ "Proxy": { "IntegrationMethod": "GET" } }),
        &["error WSG-110 Proxy.IntegrationMethod"],
    );
    check(json!({ "Proxy": { "IntegrationMethod": null } }), &[]);
}

#[test]
fn message_routes_without_target() {
    check(json!({ "Ping": { "Target": null } }), &["warning WSG-111 Ping"]);
    check(json!({ "Connect": { "Target": null } }), &[]);
}

#[test]
fn half_a_two_way_route() {
    check(json!({ "DefaultResponse": null }), &["warning WSG-112 Default"]);
    check(
        json!({ "Default": { "RouteResponseSelectionExpression": null } }),
        &["warning WSG-112 Default"],
    );
}

#[test]
fn keys_of_route_responses() {
    check(
        json!({ "DefaultResponse": { "RouteResponseKey": "200" } }),
        &["error WSG-113 DefaultResponse.RouteResponseKey"],
    );
    check(json!({ "DefaultResponse": { "RouteResponseKey": "\\$default" } }), &[]);
}

#[test]
fn expressions() {
    for (resource, property, value) in [
        ("Api", "RouteSelectionExpression", "$request.header.x"),
        ("Api", "RouteSelectionExpression", "${request.body.a"),
        ("Http", "TemplateSelectionExpression", "$integration.response.statuscode"),
        ("Http", "TemplateSelectionExpression", "$context.stage"),
        ("HttpResponse", "TemplateSelectionExpression", "$default"),
    ] {
        let want = format!("error WSG-116 {resource}.{property}");
        check(json!({ resource: { property: value } }), &[&want]);
    }
    let of_response = "${integration.response.statuscode}";
    check(json!({ "HttpResponse": { "TemplateSelectionExpression": of_response } }), &[]);
}

#[test]
fn templates() {
    let broken = json!({ "$default": "fine", "b": "#if($a)", "c": "#foreach" });
    check(
        json!({ "Http": { "RequestTemplates": broken } }),
        &["error WSG-117 Http.RequestTemplates.b", "error WSG-117 Http.RequestTemplates.c"],
    );
    check(
        json!({ "HttpResponse": { "ResponseTemplates": { "$default": "#end" } } }),
        &["error WSG-117 HttpResponse.ResponseTemplates.$default"],
    );
}

#[test]
fn keys_of_integration_responses() {
    for key in ["200", "/200", "200/", "/(/", "/(?=a)/", "default", "/"] {
        let changes = json!({ "HttpResponse": { "IntegrationResponseKey": key } });
        check(changes, &["error WSG-118 HttpResponse.IntegrationResponseKey"]);
    }
    check(json!({ "HttpResponse": { "IntegrationResponseKey": "$default" } }), &[]);
}

#[test]
fn parameter_mappings() {
    for (name, value) in [
        ("header.a", "context.stage"),
        ("integration.request.cookie.a", "context.stage"),
        ("integration.request.header.Content-Length", "context.stage"),
        ("integration.request.header.a b", "context.stage"),
        ("integration.request.header.a", "method.request.header.a"),
        ("integration.request.header.a", "$context.stage"),
        ("integration.request.header.a", "'open"),
        ("integration.request.header.a", "route.request.body["),
        ("integration.request.header.a", "'line\nbreak'"),
    ] {
        let want = format!("error WSG-119 Http.RequestParameters.{name}");
        check(json!({ "Http": { "RequestParameters": { name: value } } }), &[&want]);
    }
    for (name, value) in [
        ("method.response.body", "'x'"),
        ("method.response.header.a", "context.stage"),
        ("method.response.header.a", "'open"),
    ] {
        let want = format!("error WSG-119 HttpResponse.ResponseParameters.{name}");
        check(json!({ "HttpResponse": { "ResponseParameters": { name: value } } }), &[&want]);
    }
}

#[test]
fn mappings_that_lead_nowhere() {
    check(json!({ "Mapping": { "Stage": "prod" } }), &["error WSG-120 Mapping.Stage"]);
    check(
        json!({ "Mapping": { "DomainName": "other.example" } }),
        &["error WSG-120 Mapping.DomainName"],
    );
    check(json!({ "Domain": null }), &["error WSG-120 Mapping.DomainName"]);
    check(json!({ "Stage": null }), &["error WSG-120 Mapping.Stage"]);
}

#[test]
fn the_stage_of_another_api_is_not_this_ones() {
    let api = json!(["ApiGatewayV2::Api", {
        "Name": "b", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "a",
    }]);
    check(
        json!({ "Other": api, "Mapping": { "ApiId": "Other" } }),
        &["error WSG-120 Mapping.Stage"],
    );
}

#[test]
fn policies_of_roles() {
    let document =
        json!({ "Statement": [{ "Action": "execute-api:*", "Effect": "allow", "Resource": "*" }] });
    check(
        json!({ "Role": { "Policies": [{ "PolicyName": "p", "PolicyDocument": document }] } }),
        &["warning WSG-121 Role.Policies.0.PolicyDocument"],
    );
    let other = json!({ "Statement": [{ "Action": "s3:*", "Effect": "?" }] });
    check(json!({ "Role": { "Policies": [{ "PolicyDocument": other }] } }), &[]);
}

#[test]
fn several_mistakes_are_all_reported() {
    check(
        json!({
            "Proxy": { "TimeoutInMillis": 1, "IntegrationMethod": "GET" },
            "Guard": { "AuthorizerType": "TOKEN", "IdentitySource": ["a", "context.stage", "b"] },
            "Put": { "Target": "integrations/Nope" },
        }),
        &[
            "error WSG-110 Proxy.IntegrationMethod",
            "error WSG-052 Proxy.TimeoutInMillis",
            "error WSG-103 Guard.AuthorizerType",
            "error WSG-104 Guard.IdentitySource.0",
            "error WSG-104 Guard.IdentitySource.2",
            "error WSG-056 Put.Target",
        ],
    );
}
