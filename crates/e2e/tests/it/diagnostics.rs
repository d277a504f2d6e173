//! What a template may not say: refused at start with its place, or served with a warning.

use std::sync::Arc;

use crate::harness::gateway::{Gateway, Refused, Setup};
use crate::harness::secrets::Secrets;
use crate::harness::template;

fn load(source: &str, config: &str) -> Result<Gateway, Refused> {
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(source).text)],
        config: config.to_owned(),
        ..Setup::default()
    };
    Gateway::start(&setup, Arc::new(Secrets::default()))
}

/// The template is rejected, and `parts` stand in what is said.
#[track_caller]
fn refuses(source: &str, parts: &[&str]) {
    let Err(refused) = load(source, "") else { panic!("wsgate serves\n{source}") };
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    for part in ["error[WSG-", "case.yaml:"].iter().chain(parts) {
        assert!(refused.stderr.contains(part), "no {part} in:\n{}", refused.stderr);
    }
}

/// The template is served, and `parts` stand in the warnings.
#[track_caller]
fn warns(source: &str, parts: &[&str]) {
    let gateway = load(source, "")
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    let said = gateway.stderr();
    for part in parts {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
}

/// An integration and a route, so that there is something to serve.
const SOUND: &str = "@integration Mock {\"IntegrationType\":\"MOCK\"}\n@route $default Mock\n";

fn sound_and(more: &str) -> String {
    format!("{SOUND}{more}")
}

/// A guarded `$connect` whose authorizer has `properties` besides the needed ones.
fn guarded(properties: &str) -> String {
    sound_and(&format!(
        "@builtin Auth\n@route $connect Mock {{\"AuthorizationType\":\"CUSTOM\",\"AuthorizerId\":{{\"Ref\":\"Guard\"}}}}\n  Guard:\n    Type: AWS::ApiGatewayV2::Authorizer\n    Properties:\n      ApiId: !Ref Api\n      Name: guard\n      AuthorizerUri: !Sub arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{Auth.Arn}}/invocations\n{properties}"
    ))
}

const REQUEST: &str = "      AuthorizerType: REQUEST\n";

/// A custom domain with a mapping of `key`.
fn domain(key: &str) -> String {
    sound_and(&format!(
        "  Domain:\n    Type: AWS::ApiGatewayV2::DomainName\n    Properties:\n      DomainName: ws.example.com\n      DomainNameConfigurations:\n        - {{ EndpointType: REGIONAL, CertificateArn: \"arn:aws:acm:us-east-1:000000000000:certificate/1\" }}\n  Mapping:\n    Type: AWS::ApiGatewayV2::ApiMapping\n    Properties: {{ ApiId: !Ref Api, DomainName: !Ref Domain, Stage: !Ref Stage, ApiMappingKey: \"{key}\" }}\n"
    ))
}

#[test]
fn a_stage_name_has_128_letters_digits_hyphens_and_underscores() {
    let long = "s".repeat(129);
    for name in ["a.b", "a/b", "a b", "$default", "_aws", "ping", "sping", long.as_str()] {
        refuses(&sound_and(&format!("@stage \"{name}\"\n")), &["StageName"]);
    }
    warns(&sound_and(&format!("@stage {}\n", "s".repeat(128))), &[]);
}

#[test]
fn a_mapping_key_is_one_level_of_its_characters_and_not_reserved() {
    let long = "k".repeat(301);
    for key in ["a b", "a?b", "a/b", "é", "ping", "sping", "_aws", long.as_str()] {
        refuses(&domain(key), &["ApiMappingKey"]);
    }
    warns(&domain("a$-_.+!*'()Z9"), &[]);
}

#[test]
fn a_custom_route_key_does_not_start_with_a_dollar_sign() {
    refuses(&sound_and("@route $other Mock\n"), &["RouteKey", "$other"]);
}

#[test]
fn a_route_selection_expression_is_needed_and_reads_the_body_only() {
    let api = |expression: &str| {
        format!(
            "{SOUND}  Api:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: {{ Name: x, ProtocolType: WEBSOCKET{expression} }}\n"
        )
    };
    refuses(&api(""), &["RouteSelectionExpression"]);
    for wrong in ["$request.header.x", "$context.stage", "${request.body.a", "$request.body.[", ""]
    {
        let property = format!(", RouteSelectionExpression: \"{wrong}\"");
        refuses(&api(&property), &["RouteSelectionExpression"]);
    }
    warns(&api(", RouteSelectionExpression: \"$request.body.action\""), &[]);
}

#[test]
fn a_websocket_authorizer_is_a_request_authorizer() {
    for kind in ["JWT", "TOKEN", "COGNITO_USER_POOLS", "request", "NONE"] {
        refuses(
            &guarded(&format!("      AuthorizerType: {kind}\n")),
            &["AuthorizerType", "REQUEST"],
        );
    }
    refuses(&guarded(""), &["AuthorizerType"]);
}

#[test]
fn an_unknown_authorization_lets_nobody_in() {
    for kind in ["JWT", "COGNITO", "custom", "none"] {
        let route = format!("@route $connect Mock {{\"AuthorizationType\":\"{kind}\"}}\n");
        refuses(&sound_and(&route), &["AuthorizationType"]);
    }
    refuses(
        &sound_and("@route $connect Mock {\"AuthorizationType\":\"CUSTOM\"}\n"),
        &["AuthorizerId"],
    );
    let lost =
        "@route $connect Mock {\"AuthorizationType\":\"CUSTOM\",\"AuthorizerId\":\"a1b2c3\"}\n";
    refuses(&sound_and(lost), &["AuthorizerId"]);
}

#[test]
fn authorization_is_for_connect_only() {
    let message = guarded(REQUEST)
        + "  Message:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Api, RouteKey: m, AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard }\n";
    refuses(&message, &["Message", "$connect"]);
}

#[test]
fn identity_sources_follow_one_syntax() {
    for wrong in [
        "invalid",
        "$request.header.Cookie",
        "route.request.header.",
        "route.request.body.a",
        "route.request.header.a b",
        "method.request.header.Cookie",
    ] {
        let source = format!("{REQUEST}      IdentitySource: [\"{wrong}\"]\n");
        refuses(&guarded(&source), &["IdentitySource", wrong]);
    }
}

#[test]
fn properties_of_http_authorizers_are_refused() {
    for property in [
        "AuthorizerPayloadFormatVersion: \"2.0\"",
        "EnableSimpleResponses: true",
        "JwtConfiguration: { Issuer: \"https://login.example.com\", Audience: [chat] }",
    ] {
        let name = property.split(':').next().unwrap();
        refuses(&guarded(&format!("{REQUEST}      {property}\n")), &[name]);
    }
}

/// What a guarded API says at start, whose built-in authorizer has an issuer, which it needs, and
/// the configuration `more`.
#[track_caller]
fn said_with(properties: &str, more: &str) -> String {
    let issuer = "[[authorizer.issuers]]\nissuer = \"any\"\nprincipal_prefix = \"any:\"\naudience = \"any\"\nalgorithms = [\"HS256\"]\nkeys = [\"hmac:file:key\"]\n[authorizer.csrf]\nmode = \"off\"\n";
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(&guarded(properties)).text)],
        files: vec![("key".to_owned(), "k".repeat(32))],
        config: format!("{issuer}{more}"),
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    gateway.stderr()
}

#[test]
fn a_result_lifetime_is_served_and_warned_of() {
    let ttl = format!("{REQUEST}      AuthorizerResultTtlInSeconds: 300\n");
    let said = said_with(&ttl, "");
    assert!(said.contains("AuthorizerResultTtlInSeconds"), "{said}");
}

#[test]
fn a_cache_of_one_function_is_no_cache_and_warned_of() {
    let warning = "`authorizer.cache` has no effect for one function";
    let said = said_with(REQUEST, "[functions.Auth.authorizer.cache]\nttl = \"0s\"\n");
    assert!(said.contains(warning), "{said}");
    let said = said_with(REQUEST, "[authorizer.cache]\nttl = \"0s\"\n");
    assert!(!said.contains(warning), "{said}");
}

#[test]
fn under_compat_aws_a_permission_is_for_the_authorizer_itself() {
    let source = "@integration Mock {\"IntegrationType\":\"MOCK\"}\n@authorizer Guard Auth\n@route $connect Mock auth=Guard\n  Auth:\n    Type: AWS::Lambda::Function\n    Properties: { Runtime: provided.al2023, Handler: bootstrap, Role: \"arn:aws:iam::000000000000:role/case\", Code: { S3Bucket: code, S3Key: code.zip } }\n  Permission:\n    Type: AWS::Lambda::Permission\n    Properties:\n      Action: lambda:InvokeFunction\n      FunctionName: !Ref Auth\n      Principal: apigateway.amazonaws.com\n      SourceArn: !Sub \"arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/SOURCE\"\n";
    let config = "compat = \"aws\"\n[functions.Auth]\nurl = \"http://127.0.0.1:1\"\n";
    let warning = "no `AWS::Lambda::Permission` lets API Gateway invoke `Auth`";
    let stderr = |source_arn: &str| {
        let gateway = load(&source.replace("SOURCE", source_arn), config);
        gateway
            .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
            .stderr()
    };
    assert!(stderr("*/$connect").contains(warning), "a permission for the route is none for it");
    assert!(!stderr("authorizers/*").contains(warning));
}

#[test]
fn a_parameter_mapping_has_one_syntax() {
    let http = |value: &str| {
        sound_and(&format!(
            "@integration Http {{\"IntegrationType\":\"HTTP_PROXY\",\"IntegrationMethod\":\"POST\",\"IntegrationUri\":\"http://127.0.0.1:1/\",\"RequestParameters\":{{\"integration.request.header.x\":\"{value}\"}}}}\n@route x Http\n"
        ))
    };
    for wrong in ["route.request.cookie.a", "'open", "plain", "$context.stage", ""] {
        refuses(&http(wrong), &["integration.request.header.x"]);
    }
    warns(&http("context.connectionId"), &[]);
}

#[test]
fn a_mapping_template_has_300_kib_and_known_constructs_only() {
    let mock = |template: &str| {
        let properties = serde_json::json!({
            "IntegrationType": "MOCK", "RequestTemplates": { "$default": template },
        });
        format!("@integration Mock {properties}\n@route $default Mock\n")
    };
    refuses(&mock(&"x".repeat(300 * 1024 + 1)), &["RequestTemplates"]);
    warns(&mock(&"x".repeat(300 * 1024)), &[]);
    for wrong in ["#include('a')", "#parse('a')", "#evaluate('a')", "#if(true)", "#macro(a)#end"] {
        refuses(&mock(&format!("{{}}\n{wrong}")), &["line 2, column 1"]);
    }
}

#[test]
fn a_property_that_changes_behaviour_is_refused_and_one_that_does_not_is_said() {
    let integration = |property: &str| {
        format!(
            "@integration Mock {{\"IntegrationType\":\"MOCK\",{property}}}\n@route $default Mock\n"
        )
    };
    refuses(
        &integration("\"ContentHandlingStrategy\":\"CONVERT_TO_BINARY\""),
        &["ContentHandlingStrategy"],
    );
    refuses(&integration("\"NoSuchThing\":1"), &["NoSuchThing"]);
    warns(&integration("\"PayloadFormatVersion\":\"1.0\""), &[]);
}

#[test]
fn a_stage_may_deploy_itself() {
    let auto = format!(
        "{SOUND}  Stage:\n    Type: AWS::ApiGatewayV2::Stage\n    Properties: {{ ApiId: !Ref Api, StageName: dev, AutoDeploy: true }}\n"
    );
    let gateway =
        load(&auto, "").unwrap_or_else(|refused| panic!("not served:\n{}", refused.stderr));
    assert!(!gateway.stderr().contains("DeploymentId"), "{}", gateway.stderr());
}
