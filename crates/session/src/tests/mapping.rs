//! `$input`, `$util`, `$context` and `$stageVariables` in templates.

use std::sync::Arc;

use expect_test::{Expect, expect};
use vtl::Template;

use super::world::{bare, connect, disconnect, message};
use crate::connection::Operation;
use crate::error::Failure;
use crate::mapping::{Input, context_value, render};

const BODY: &str =
    r#"{"action":"put","data":"va'l","n":[1,2],"o":{"k":"v"},"t":true,"f":1.5,"z":null,"e":""}"#;

fn rendered(template: &str, operation: &Operation, body: &str) -> Result<String, Failure> {
    render(&Template::parse(template).unwrap(), operation, &Input::new(body))
}

#[track_caller]
fn check_on(operation: &Operation, body: &str, template: &str, want: &str) {
    let found = rendered(template, operation, body);
    assert_eq!(found.as_deref(), Ok(want), "{template}");
}

#[track_caller]
fn check(template: &str, want: &str) {
    check_on(&message(), BODY, template, want);
}

#[track_caller]
fn check_fails(template: &str, body: &str) {
    assert_eq!(rendered(template, &message(), body), Err(Failure::TemplateFailed), "{template}");
}

#[track_caller]
fn check_text(template: &str, want: Expect) {
    want.assert_eq(&rendered(template, &message(), BODY).unwrap());
}

#[test]
fn templates_reckon_with_times() {
    check("#set($ttl = $context.requestTimeEpoch / 1000 + 3600)$ttl", "1790298135");
    check("#set($age = $context.requestTimeEpoch - $context.connectedAt)$age", "2120");
    check("$context.connectedAt ${context.requestTimeEpoch}", "1790294533000 1790294535120");
}

#[test]
fn the_worked_example_of_the_reference() {
    check_text(
        r#"#set($n = $input.path('$.n'))
{
  "id": "$context.requestId",
  "who": "$context.authorizer.principalId",
  "data": $input.json('$.data'),
  "sum": [#foreach($i in $n)$i#if($foreach.hasNext),#end#end]
}"#,
        expect![[r#"
            {
              "id": "cmVxdWVzdC1vbmU=",
              "who": "user-42",
              "data": "va'l",
              "sum": [1,2]
            }"#]],
    );
}

#[test]
fn input_json_is_the_json_text() {
    check("$input.json('$.action')", "\"put\"");
    check("$input.json('$.n')", "[1,2]");
    check("$input.json('$.o')", r#"{"k":"v"}"#);
    check("$input.json('$.o.k')", "\"v\"");
    check("$input.json('$.t') $input.json('$.f') $input.json('$.z')", "true 1.5 null");
    check("$input.json('$')", BODY);
    check("$input.json('$.data')", "\"va'l\"");
}

#[test]
fn input_path_is_the_value() {
    check("$input.path('$.action')", "put");
    check("$input.path('$.n')", "[1, 2]");
    check("$input.path('$.n')[1]", "2");
    check("$input.path('$.o').k", "v");
    check("$input.path('$').o.k", "v");
    check("$input.path('$.n').size()", "2");
    check("#if($input.path('$.t'))yes#end", "yes");
}

#[test]
fn input_body_is_the_payload_as_it_came() {
    check("$input.body", BODY);
    check_on(&message(), "plain $text #if", "<$input.body>", "<plain $text #if>");
    check_on(&message(), "", "<$input.body>", "<>");
}

#[test]
fn misses_are_empty() {
    check("<$input.path('$.nope')>", "<>");
    check("<$input.path('$.nope.deeper').x>", "<>");
    check("<$input.json('$.nope')>", "<\"\">");
    check("<$context.nope>", "<>");
    check("<$context.authorizer.nope>", "<>");
    check("<$context.authorizer.nope.deeper>", "<>");
    check("<$context.identity.nope>", "<>");
    check("<$stageVariables.nope>", "<>");
    check("<${stageVariables['nope']}>", "<>");
    check("<$util.nope('x')>", "<>");
    check("<$util.escapeJavaScript($context.nope)>", "<>");
    check("<$input.nope>", "<>");
    check("#set($x = $input.path('$.nope'))<$x>", "<>");
    check("<$nothing>", "<$nothing>");
    check_on(&bare(message()), BODY, "<$context.authorizer.principalId>", "<>");
}

#[test]
fn an_empty_body_is_an_empty_object() {
    for body in ["", " \r\n"] {
        check_on(&message(), body, "$input.json('$')", "{}");
        check_on(&message(), body, "<$input.path('$.a')>", "<>");
        check_on(&message(), body, "$input.json('$.a')", "\"\"");
    }
}

#[test]
fn what_cannot_be_computed_fails() {
    check_fails("$input.json('$')", "not json");
    check_fails("$input.path('$.a')", "not json");
    check_fails("$input.json('$.[')", BODY);
    check_fails("$input.json()", BODY);
    check_fails("$util.parseJson('{')", BODY);
    check_fails("$util.base64Decode('***')", BODY);
}

#[test]
fn util_encodes_and_decodes() {
    check("$util.parseJson('{\"a\":{\"b\":[1]}}').a.b[0]", "1");
    check("$util.urlEncode('a b&c=d/é~*')", "a+b%26c%3Dd%2F%C3%A9%7E*");
    check("$util.urlDecode('a+b%26c%3Dd%2F%C3%A9%zz')", "a b&c=d/é%zz");
    check("$util.base64Encode('é')", "w6k=");
    check("$util.base64Decode('w6k=')", "é");
    check("$util.escapeJavaScript($input.path('$.data'))", "va\\'l");
    check("$util.escapeJavaScript(1.5)", "1.5");
}

/// The idiom of AWS's own samples, on a principal that tries to break out.
#[test]
fn escape_javascript_keeps_a_value_inside_its_quotes() {
    const TEMPLATE: &str = r#"{"who":"$util.escapeJavaScript($context.authorizer.principalId).replaceAll("\\'","'")"}"#;
    for principal in [
        r#"x","role":"admin"#,
        "o'brien",
        r"\",
        r#"\""#,
        "line\nbreak\r\t\u{8}\u{c}\u{0}\u{1f}",
        "</script>",
        "\u{2028}é😀",
        "$context.stage #if",
    ] {
        let mut operation = message();
        let connection = Arc::make_mut(&mut operation.connection);
        connection.authorizer.as_mut().unwrap().principal_id = Some(principal.to_owned());
        let text = rendered(TEMPLATE, &operation, BODY).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(json, serde_json::json!({ "who": principal }), "{text}");
    }
}

#[test]
fn params_show_the_handshake_on_a_connect_only() {
    let template = "$input.params('tag') $input.params('X-MIXED-header') $input.params().querystring.room $input.params().header.get('cookie') $input.params('querystring').tag <$input.params('nope')> <$input.params().path.x>";
    check_on(&connect(), "", template, "second last blue sid=abc second <> <>");
    check("<$input.params('tag')> <$input.params().querystring.room>", "<> <>");
}

#[track_caller]
fn check_context(operation: &Operation, names: &[(&str, Option<&str>)]) {
    for (name, want) in names {
        assert_eq!(context_value(operation, name).as_deref(), *want, "{name}");
        let text = rendered(&format!("$context.{name}"), operation, BODY).unwrap();
        assert_eq!(text, want.unwrap_or_default(), "{name}");
    }
}

#[test]
fn context_has_what_the_reference_lists() {
    let id = message().request_id;
    check_context(
        &message(),
        &[
            ("apiId", Some("a1b2c3d4e5")),
            ("authorizer.level", Some("3")),
            ("authorizer.principalId", Some("user-42")),
            ("authorizer.tenant", Some("acme")),
            ("connectedAt", Some("1790294533000")),
            ("connectionId", Some("gbgBRs9dGQAYKEh7VA==")),
            ("disconnectStatusCode", None),
            ("domainName", Some("ws.example.com")),
            ("eventType", Some("MESSAGE")),
            ("extendedRequestId", Some(id.as_str())),
            ("identity.sourceIp", Some("198.51.100.7")),
            ("identity.userAgent", Some("demo-client/1.0")),
            ("messageDirection", Some("IN")),
            ("messageId", Some("bWVzc2FnZS1pZC0xMw==")),
            ("requestId", Some(id.as_str())),
            ("requestTime", Some("25/Sep/2026:00:02:15 +0000")),
            ("requestTimeEpoch", Some("1790294535120")),
            ("routeKey", Some("send")),
            ("stage", Some("dev")),
            ("httpMethod", None),
        ],
    );
    check_context(&connect(), &[("eventType", Some("CONNECT")), ("messageId", None)]);
    check_context(
        &disconnect(1005, "gone"),
        &[
            ("eventType", Some("DISCONNECT")),
            ("disconnectStatusCode", Some("1005")),
            ("disconnectReason", Some("gone")),
        ],
    );
    check_context(&bare(message()), &[("identity.userAgent", None), ("authorizer.tenant", None)]);
}

#[test]
fn context_and_stage_variables_are_maps_too() {
    check("$context.authorizer['tenant'] $context.authorizer.get('level')", "acme 3");
    check("$stageVariables.env ${stageVariables['env']} $stageVariables.get('env')", "dev dev dev");
    check("${context.stage}/$context['stage']", "dev/dev");
}
