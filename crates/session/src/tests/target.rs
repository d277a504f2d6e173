//! Requests to HTTP back ends: parameter mapping and forwarded headers.

use std::fmt::Write as _;
use std::sync::Arc;

use api_model::api::{HttpTarget, Integration, Target, VariableText};
use expect_test::{Expect, expect};

use super::world::{
    connect, connect_with, disconnect, http, http_proxy, message, operation, pairs, parameters,
};
use crate::connection::{Handshake, Kind, Operation};
use crate::error::Failure;
use crate::integration::{Call, HttpCall, call};

const URL: &str = "http://127.0.0.1:9000/put";

fn request(
    integration: &Integration,
    operation: &Operation,
    body: Option<&str>,
) -> Result<HttpCall, Failure> {
    match call(integration, operation, body, false)? {
        Call::Http(call) => Ok(call),
        other => panic!("no request: {other:?}"),
    }
}

fn mapped(list: &[(&str, &str)]) -> Integration {
    Integration { parameters: parameters(list), ..http_proxy(URL) }
}

#[track_caller]
fn check(integration: &Integration, operation: &Operation, body: Option<&str>, want: Expect) {
    let call = request(integration, operation, body).unwrap();
    let mut text = format!("{} {}\n", call.method, call.url);
    for (name, value) in &call.headers {
        writeln!(text, "{name}: {value}").unwrap();
    }
    writeln!(text, "\n{}", String::from_utf8(call.body).unwrap()).unwrap();
    want.assert_eq(&text);
}

#[track_caller]
fn check_url(url: &str, list: &[(&str, &str)], body: &str, want: &str) {
    let integration = Integration { parameters: parameters(list), ..http_proxy(url) };
    let call = request(&integration, &message(), Some(body)).unwrap();
    assert_eq!(call.url, want, "{body}");
}

fn values<'c>(call: &'c HttpCall, name: &str) -> Vec<&'c str> {
    let found = call.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).collect()
}

/// Values of header `name` when the client sent `value` under that name.
fn forwarded(integration: &Integration, name: &str, value: &str) -> Vec<String> {
    let call = request(integration, &connect_with(&[(name, value)]), None).unwrap();
    values(&call, name).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_connect_forwards_the_clients_headers_without_a_body() {
    check(
        &http_proxy(URL),
        &connect(),
        None,
        expect![[r#"
        POST http://127.0.0.1:9000/put
        cookie: sid=abc
        X-Mixed-Header: first
        x-mixed-header: last
        X-Amzn-Trace-Id: Root=1-6ab5bec5-000000000000000000000001
        X-Forwarded-For: 198.51.100.7
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5


    "#]],
    );
}

#[test]
fn a_message_brings_its_body_and_no_header_of_the_client() {
    check(
        &http_proxy(URL),
        &message(),
        Some("plain text"),
        expect![[r#"
        POST http://127.0.0.1:9000/put
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5
        Content-Type: application/json

        plain text
    "#]],
    );
}

#[test]
fn a_disconnect_has_neither() {
    check(
        &http_proxy(URL),
        &disconnect(1000, "bye"),
        None,
        expect![[r#"
        POST http://127.0.0.1:9000/put
        User-Agent: AmazonAPIGateway_a1b2c3d4e5
        x-amzn-apigateway-api-id: a1b2c3d4e5


    "#]],
    );
}

#[test]
fn hop_by_hop_headers_and_what_only_the_gateway_may_say_stay_here() {
    for name in [
        "connection",
        "Content-Length",
        "Expect",
        "Forwarded",
        "Host",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "X-Real-IP",
        "x-real-ip",
        "X-Forwarded-Host",
        "x-forwarded-user",
        "x-amzn-oidc-data",
        "X-Amzn-Principal",
        "x-wsgate-principal",
        "X-WSGATE-Anything",
    ] {
        assert_eq!(forwarded(&http_proxy(URL), name, "evil"), [""; 0], "{name}");
    }
    for name in ["Origin", "Cookie", "Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]
    {
        assert_eq!(forwarded(&http_proxy(URL), name, "kept"), ["kept"], "{name}");
    }
}

#[test]
fn headers_that_connection_names_stay_here() {
    let operation = connect_with(&[
        ("Connection", "Upgrade, X-Secret ,x-other"),
        ("connection", "X-Third"),
        ("x-secret", "1"),
        ("X-Other", "2"),
        ("X-Third", "3"),
        ("X-Kept", "4"),
    ]);
    let call = request(&http_proxy(URL), &operation, None).unwrap();
    for name in ["x-secret", "x-other", "x-third"] {
        assert_eq!(values(&call, name), [""; 0], "{name}");
    }
    assert_eq!(values(&call, "x-kept"), ["4"]);
}

#[test]
fn a_mapped_header_replaces_the_clients_own_with_or_without_a_value() {
    let integration = mapped(&[
        ("header.X-User", "context.authorizer.principalId"),
        ("header.X-Role", "context.authorizer.role"),
    ]);
    assert_eq!(forwarded(&integration, "x-user", "admin"), ["user-42"]);
    assert_eq!(forwarded(&integration, "X-ROLE", "admin"), [""; 0]);
}

#[test]
fn a_mapped_header_replaces_the_gateways_own_of_that_name() {
    let integration = mapped(&[
        ("header.user-agent", "'mine'"),
        ("header.X-Forwarded-For", "context.identity.sourceIp"),
    ]);
    let operation = connect_with(&[("User-Agent", "client"), ("X-Forwarded-For", "198.51.100.7")]);
    let call = request(&integration, &operation, None).unwrap();
    assert_eq!(values(&call, "user-agent"), ["mine"]);
    assert_eq!(values(&call, "x-forwarded-for"), ["198.51.100.7"]);
}

#[test]
fn the_api_id_is_always_the_gateways() {
    let integration = mapped(&[("header.X-Amzn-Apigateway-Api-Id", "'another'")]);
    let call = request(&integration, &message(), Some("{}")).unwrap();
    assert_eq!(values(&call, "x-amzn-apigateway-api-id"), ["a1b2c3d4e5"]);
}

#[test]
fn every_kind_of_source_is_mapped() {
    let list = [
        ("header.query", "route.request.querystring.tag"),
        ("header.header", "route.request.header.x-mixed-header"),
        ("header.queries", "route.request.multivaluequerystring.tag"),
        ("header.headers", "route.request.multivalueheader.X-Mixed-Header"),
        ("header.variable", "stageVariables.env"),
        ("header.context", "context.connectionId"),
        ("header.fixed", "'text with spaces'"),
        ("header.absent", "route.request.header.nope"),
        ("header.body", "route.request.body.a"),
    ];
    let call = request(&mapped(&list), &connect(), None).unwrap();
    assert_eq!(values(&call, "query"), ["second"]);
    assert_eq!(values(&call, "header"), ["last"]);
    assert_eq!(values(&call, "queries"), ["first", "second"]);
    assert_eq!(values(&call, "headers"), ["first", "last"]);
    assert_eq!(values(&call, "variable"), ["dev"]);
    assert_eq!(values(&call, "context"), ["gbgBRs9dGQAYKEh7VA=="]);
    assert_eq!(values(&call, "fixed"), ["text with spaces"]);
    assert_eq!(values(&call, "absent"), [""; 0]);
    assert_eq!(values(&call, "body"), [""; 0]);
}

#[test]
fn the_body_of_a_message_is_mapped_by_path() {
    let integration = mapped(&[
        ("header.one", "route.request.body.a.b"),
        ("header.list", "route.request.body.list"),
        ("header.number", "route.request.body.n"),
        ("header.query", "route.request.querystring.tag"),
    ]);
    let body = r#"{"a":{"b":"x"},"list":["p","q"],"n":7}"#;
    let call = request(&integration, &message(), Some(body)).unwrap();
    assert_eq!(values(&call, "one"), ["x"]);
    assert_eq!(values(&call, "list"), ["[p, q]"]);
    assert_eq!(values(&call, "number"), ["7"]);
    assert_eq!(values(&call, "query"), [""; 0]);
    let call = request(&integration, &message(), Some("no json")).unwrap();
    assert_eq!(values(&call, "one"), [""; 0]);
}

#[test]
fn a_control_character_in_a_header_value_fails_the_operation() {
    let integration = mapped(&[("header.a", "route.request.body.a")]);
    for value in ["x\\r\\nX-Role: admin", "x\\ny", "\\u0000", "\\t", "\\u007f", "\\u0085"] {
        let body = format!(r#"{{"a":"{value}"}}"#);
        let failed = request(&integration, &message(), Some(&body));
        assert_eq!(failed, Err(Failure::TemplateFailed), "{value}");
    }
    let integration = mapped(&[("header.a", "route.request.querystring.q")]);
    let handshake = Handshake { headers: Vec::new(), query: pairs(&[("q", "a\r\nb")]) };
    let handshake = Arc::new(handshake);
    let operation = operation(Kind::Connect { handshake, authorizer_latency: None });
    assert_eq!(request(&integration, &operation, None), Err(Failure::TemplateFailed));
}

#[test]
fn query_values_are_encoded() {
    let list = [("querystring.q", "route.request.body.q")];
    check_url(
        URL,
        &list,
        r#"{"q":"a b&c=d#e+f/é"}"#,
        &format!("{URL}?q=a%20b%26c%3Dd%23e%2Bf%2F%C3%A9"),
    );
    check_url(URL, &list, r#"{"q":"two\nlines"}"#, &format!("{URL}?q=two%0Alines"));
    check_url(URL, &list, "{}", URL);
    check_url("http://h/p?a=1", &list, r#"{"q":""}"#, "http://h/p?a=1&q=");
    let list = [("querystring.b", "stageVariables.env"), ("querystring.a", "'x'")];
    check_url(URL, &list, "{}", &format!("{URL}?b=dev&a=x"));
}

#[test]
fn path_values_are_one_segment() {
    let list = [("path.room", "route.request.body.room")];
    let url = "http://h:1/rooms/{room}/put";
    check_url(url, &list, r#"{"room":"blue"}"#, "http://h:1/rooms/blue/put");
    check_url(
        url,
        &list,
        r#"{"room":"a/b?c#d%2e\\"}"#,
        "http://h:1/rooms/a%2Fb%3Fc%23d%252e%5C/put",
    );
    check_url(url, &list, r#"{"room":"..."}"#, "http://h:1/rooms/.../put");
    check_url(url, &list, r#"{"room":"{room}"}"#, "http://h:1/rooms/%7Broom%7D/put");
}

#[track_caller]
fn check_path_refused(url: &str, list: &[(&str, &str)], body: &str) {
    let integration = Integration { parameters: parameters(list), ..http_proxy(url) };
    let failed = request(&integration, &message(), Some(body));
    assert_eq!(failed, Err(Failure::TemplateFailed), "{url} {body}");
}

#[test]
fn path_values_that_climb_are_refused() {
    let list = [("path.a", "route.request.body.a")];
    for value in ["", ".", ".."] {
        let body = format!(r#"{{"a":"{value}"}}"#);
        check_path_refused("http://h/rooms/{a}/put", &list, &body);
    }
    check_path_refused("http://h/rooms/.{a}", &list, r#"{"a":"."}"#);
}

#[test]
fn a_path_value_cannot_choose_the_host() {
    let list = [("path.h", "route.request.body.h")];
    check_url(
        "http://{h}/put/{h}",
        &list,
        r#"{"h":"evil.example"}"#,
        "http://{h}/put/evil.example",
    );
    check_url("http://{h}", &list, r#"{"h":"evil.example"}"#, "http://{h}");
}

#[test]
fn stage_variables_fill_the_url() {
    let url = "http://${stageVariables.env}.internal/${stageVariables.nope}x";
    check_url(url, &[], "{}", "http://dev.internal/x");
}

#[test]
fn the_method_and_a_mapped_content_type_are_the_templates() {
    let target = HttpTarget { method: "PUT".to_owned(), url: VariableText::parse(URL) };
    let integration = Integration {
        target: Target::Http(target),
        parameters: parameters(&[("header.content-type", "'text/plain'")]),
        ..http(URL)
    };
    let call = request(&integration, &message(), Some("hi")).unwrap();
    assert_eq!(call.method, "PUT");
    assert_eq!(values(&call, "content-type"), ["text/plain"]);
}
