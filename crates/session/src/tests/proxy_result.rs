//! Results of proxy integrations, and what a handshake makes of them.

use super::world::{connect, disconnect, function, message, pairs};
use crate::error::Failure;
use crate::event::{ProxyResult, parse_proxy_result};
use crate::handshake::{BadRequest, Connected, Refusal, connected};
use crate::integration::{Answer, Reply, reply};

#[track_caller]
fn parse(payload: &str) -> ProxyResult {
    parse_proxy_result(payload.as_bytes()).unwrap_or_else(|_| panic!("malformed: {payload}"))
}

#[track_caller]
fn check_malformed(payload: &str) {
    assert_eq!(
        parse_proxy_result(payload.as_bytes()),
        Err(Failure::IntegrationMalformed),
        "{payload}"
    );
}

#[test]
fn the_status_is_an_integer_or_its_digits() {
    assert_eq!(parse(r#"{"statusCode":200}"#).status, 200);
    assert_eq!(parse(r#"{"statusCode":"503"}"#).status, 503);
    for status in [
        "\"invalid\"",
        "\"\"",
        "\"+200\"",
        "\" 200\"",
        "null",
        "true",
        "{}",
        "[200]",
        "200.0",
        "2e2",
        "-200",
        "99",
        "600",
        "65736",
        "99999999999999999999",
    ] {
        check_malformed(&format!(r#"{{"statusCode":{status}}}"#));
    }
}

#[test]
fn what_is_no_object_with_a_status_is_malformed() {
    for payload in ["", "null", "\"text\"", "[]", "[200]", "{}", "200", r#"{"body":"x"}"#, "{"] {
        check_malformed(payload);
    }
}

#[test]
fn the_body_is_text_or_missing() {
    assert_eq!(parse(r#"{"statusCode":200}"#).body, None);
    assert_eq!(parse(r#"{"statusCode":200,"body":null}"#).body, None);
    assert_eq!(parse(r#"{"statusCode":200,"body":""}"#).body, Some(Vec::new()));
    assert_eq!(parse(r#"{"statusCode":200,"body":"é"}"#).body, Some("é".into()));
    for body in ["{}", "[]", "7", "true"] {
        check_malformed(&format!(r#"{{"statusCode":200,"body":{body}}}"#));
    }
}

#[test]
fn a_base64_body_is_decoded() {
    let result = parse(r#"{"statusCode":200,"body":"aGk=","isBase64Encoded":true}"#);
    assert_eq!(result.body, Some(b"hi".to_vec()));
    let result = parse(r#"{"statusCode":200,"body":"aGk=","isBase64Encoded":false}"#);
    assert_eq!(result.body, Some(b"aGk=".to_vec()));
    check_malformed(r#"{"statusCode":200,"body":"no base64!","isBase64Encoded":true}"#);
}

#[test]
fn headers_are_scalars_and_the_last_value_is_last() {
    let result = parse(
        r#"{"statusCode":200,"headers":{"a":"1","n":7,"t":true,"z":null},"multiValueHeaders":{"A":["2","3"]}}"#,
    );
    let want = pairs(&[("a", "1"), ("n", "7"), ("t", "true"), ("z", ""), ("A", "2"), ("A", "3")]);
    assert_eq!(result.headers, want);
    assert_eq!(parse(r#"{"statusCode":200,"headers":null}"#).headers, []);
    for headers in [r#"{"a":{}}"#, r#"{"a":["1"]}"#, "[]", "\"a\""] {
        check_malformed(&format!(r#"{{"statusCode":200,"headers":{headers}}}"#));
    }
    for headers in [r#"{"a":"1"}"#, r#"{"a":[[]]}"#, "[]"] {
        check_malformed(&format!(r#"{{"statusCode":200,"multiValueHeaders":{headers}}}"#));
    }
}

#[test]
fn a_one_way_route_may_return_nothing_but_no_malformed_object() {
    let of = |payload: &str, replies| {
        let answer = Answer::Function(payload.as_bytes().to_vec());
        reply(&function(), &message(), Some("{}"), answer, replies)
    };
    assert!(of("null", false).is_ok());
    assert!(of("", false).is_ok());
    assert_eq!(of(r#"{"statusCode":"invalid"}"#, false), Err(Failure::IntegrationMalformed));
    assert_eq!(of("null", true), Err(Failure::IntegrationMalformed));
    let two_way = of(r#"{"statusCode":503,"body":"sent all the same"}"#, true).unwrap();
    assert_eq!(two_way.body, Some(b"sent all the same".to_vec()));
    assert!(
        reply(&function(), &disconnect(1000, ""), None, Answer::Function(vec![]), true).is_err()
    );
}

fn answered(status: u16, headers: &[(&str, &str)], body: Option<&str>) -> Connected {
    let body = body.map(|text| text.as_bytes().to_vec());
    connected(Reply { status, headers: pairs(headers), body, is_binary: false }, &connect())
}

#[track_caller]
fn check_protocol(headers: &[(&str, &str)], want: Option<&str>) {
    let Connected::Accepted { protocol, .. } = answered(200, headers, None) else {
        panic!("refused: {headers:?}");
    };
    assert_eq!(protocol.as_deref(), want, "{headers:?}");
}

#[test]
fn every_2xx_accepts_and_brings_the_last_subprotocol() {
    for status in [200, 201, 204, 299] {
        assert!(matches!(answered(status, &[], None), Connected::Accepted { .. }), "{status}");
    }
    check_protocol(&[("x-other", "1")], None);
    check_protocol(&[("sec-WEBSOCKET-protocol", "b")], Some("b"));
    check_protocol(&[("Sec-WebSocket-Protocol", "a"), ("sec-websocket-protocol", "b")], Some("b"));
    check_protocol(&[("Sec-WebSocket-Protocol", "")], None);
    check_protocol(&[("Sec-WebSocket-Protocol", "a\r\nSet-Cookie: b")], None);
}

#[test]
fn every_other_status_refuses_with_the_body_and_no_header_of_the_function() {
    for status in [302, 400, 403, 500] {
        let Connected::Refused(refusal) = answered(
            status,
            &[("Location", "x"), ("content-type", "text/plain")],
            Some("{\"a\":1}"),
        ) else {
            panic!("accepted: {status}");
        };
        assert_eq!(refusal.status, status);
        assert_eq!(refusal.body, b"{\"a\":1}");
        let want = [
            ("content-type", "application/json; charset=UTF-8".to_owned()),
            ("connection", "keep-alive".to_owned()),
            ("x-amz-apigw-id", connect().request_id.to_string()),
        ];
        assert_eq!(refusal.headers, want);
    }
    let Connected::Refused(refusal) = answered(403, &[], None) else { panic!("accepted") };
    assert_eq!(refusal.body, b"");
}

#[test]
fn an_informational_status_is_as_broken_as_none() {
    let Connected::Refused(refusal) = answered(101, &[], Some("x")) else { panic!("accepted") };
    assert_eq!(refusal, Refusal::failure(Failure::IntegrationMalformed, &connect()));
    assert_eq!(refusal.status, 500);
}

#[track_caller]
fn check_refusal(failure: Failure, status: u16, message: &str) {
    let operation = connect();
    let refusal = Refusal::failure(failure, &operation);
    assert_eq!(refusal.status, status, "{failure:?}");
    let want = format!(
        r#"{{"message": "{message}", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"{}"}}"#,
        operation.request_id
    );
    assert_eq!(String::from_utf8(refusal.body).unwrap(), want, "{failure:?}");
}

#[test]
fn refusals_have_the_services_statuses_and_words() {
    check_refusal(Failure::IdentitySourceMissing, 401, "Unauthorized");
    check_refusal(Failure::Unauthorized, 401, "Unauthorized");
    check_refusal(
        Failure::PolicyNoMatch,
        403,
        "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke action",
    );
    check_refusal(
        Failure::PolicyDeny,
        403,
        "User is not authorized to access this resource with an explicit deny in an identity-based policy",
    );
    check_refusal(Failure::AuthorizerError, 500, "Internal server error");
    check_refusal(Failure::AuthorizerMalformed, 500, "");
    check_refusal(Failure::IntegrationError, 502, "Internal server error");
    check_refusal(Failure::IntegrationMalformed, 500, "Internal server error");
    check_refusal(Failure::IntegrationTimeout, 504, "Endpoint request timed out");
    check_refusal(Failure::Throttled, 429, "Too Many Requests");
    check_refusal(Failure::UnsupportedMediaType, 415, "Unsupported Media Type");
}

#[test]
fn requests_that_are_no_handshake_are_told_so() {
    let refusal = BadRequest::Version.refusal();
    assert_eq!(refusal.status, 426);
    assert!(refusal.headers.contains(&("sec-websocket-version", "13".to_owned())));
    assert_eq!(BadRequest::Body.refusal().status, 400);
    assert_eq!(BadRequest::Malformed.refusal().status, 400);
    assert_eq!(BadRequest::UrlTooLong.refusal().status, 414);
    let page = BadRequest::AuthorizationTwice.refusal();
    assert_eq!((page.status, page.body.len()), (400, 122));
}
