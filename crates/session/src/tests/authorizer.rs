//! Identity sources, and results of authorizers.

use api_model::api::IdentitySource;
use api_model::policy::{Access, Policy, Verdict};

use super::world::{connect, connect_with, message};
use crate::error::Failure;
use crate::event::{AUTHORIZER_RESULT_BYTES_MAX, AuthorizerResult, method_arn};
use crate::identity::{identity_values, is_volatile};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"}]}"#;

fn parse(members: &str) -> Result<AuthorizerResult, Failure> {
    crate::event::parse_authorizer_result(
        format!(r#"{{"policyDocument":{POLICY}{members}}}"#).as_bytes(),
    )
}

#[track_caller]
fn check_malformed(payload: &str) {
    let result = crate::event::parse_authorizer_result(payload.as_bytes());
    assert_eq!(result.err(), Some(Failure::AuthorizerMalformed), "{payload}");
}

/// Members beside a good policy that make the result malformed.
#[track_caller]
fn check_spoils(members: &str) {
    assert_eq!(parse(members).err(), Some(Failure::AuthorizerMalformed), "{members}");
}

#[track_caller]
fn check_principal(value: &str, want: Option<&str>) {
    let result = parse(&format!(r#","principalId":{value}"#)).unwrap();
    assert_eq!(result.authorized.principal_id.as_deref(), want, "{value}");
}

#[track_caller]
fn check_context(context: &str, want: &[(&str, &str)]) {
    let result = parse(&format!(r#","context":{context}"#)).unwrap();
    let found: Vec<(&str, &str)> =
        result.authorized.context.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, want, "{context}");
}

#[test]
fn a_principal_may_be_missing_empty_null_or_a_number() {
    assert_eq!(parse("").unwrap().authorized.principal_id, None);
    check_principal("null", None);
    check_principal(r#""""#, Some(""));
    check_principal(r#""user-42""#, Some("user-42"));
    check_principal(r#""é\u00e9\"""#, Some("éé\""));
    check_principal("42", Some("42"));
    check_principal("-1.50e3", Some("-1.50e3"));
    check_principal("123456789012345678901234567890", Some("123456789012345678901234567890"));
}

#[test]
fn a_principal_of_another_kind_is_malformed() {
    for value in ["{}", "[]", r#"{"sub":"x"}"#, r#"["x"]"#, "true", r#""\ud800""#] {
        check_spoils(&format!(r#","principalId":{value}"#));
    }
}

#[test]
fn context_values_become_strings_in_their_own_spelling() {
    check_context(
        r#"{"a":"x","b":1,"c":1.0,"d":1e2,"e":-0,"f":true,"g":false,"h":12345678901234567890}"#,
        &[
            ("a", "x"),
            ("b", "1"),
            ("c", "1.0"),
            ("d", "1e2"),
            ("e", "-0"),
            ("f", "true"),
            ("g", "false"),
            ("h", "12345678901234567890"),
        ],
    );
}

#[test]
fn null_context_values_are_dropped() {
    check_context(r#"{"a":null,"b":"","c":"null"}"#, &[("b", ""), ("c", "null")]);
    check_context("{}", &[]);
    check_context("null", &[]);
}

#[test]
fn a_context_that_is_not_flat_is_malformed() {
    for context in [
        r#"{"a":{"b":1}}"#,
        r#"{"a":{}}"#,
        r#"{"a":[]}"#,
        r#"{"a":[1]}"#,
        r#"{"a":"x","b":{"c":null}}"#,
        "[]",
        r#"[["a","b"]]"#,
        r#""text""#,
        "7",
        "true",
    ] {
        check_spoils(&format!(r#","context":{context}"#));
    }
}

#[test]
fn what_is_no_object_with_a_policy_is_malformed() {
    for payload in [
        "",
        "null",
        "true",
        "\"Allow\"",
        "[]",
        "{}",
        "[\"user\", null, {}]",
        r#"{"principalId":"x"}"#,
        r#"{"principalId":"x","policyDocument":null}"#,
        r#"{"principalId":"x","policyDocument":"{}"}"#,
        r#"{"principalId":"x","policyDocument":[]}"#,
        r#"{"principalId":"x","policyDocument":{}}"#,
        r#"{"policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"allow","Resource":"*"}]}}"#,
        r#"{"policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}}"#,
        r#"{"policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*","Principal":"*"}]}}"#,
        r#"{"PolicyDocument":{"Version":"2012-10-17","Statement":[]}}"#,
        r#"{"policyDocument":{"Version":"2012-10-17","Statement":[]}} trailing"#,
        "\u{feff}{}",
        "not json",
    ] {
        check_malformed(payload);
    }
    check_malformed(&format!("[null, {POLICY}, null]"));
}

#[test]
fn a_simple_response_is_malformed_with_a_policy_too() {
    check_malformed(r#"{"isAuthorized":true}"#);
    check_malformed(r#"{"isAuthorized":true,"context":{}}"#);
    check_spoils(r#","isAuthorized":false"#);
    check_spoils(r#","isAuthorized":true"#);
}

#[test]
fn a_member_that_stands_twice_is_malformed() {
    check_spoils(r#","principalId":"a","principalId":"b""#);
    check_spoils(&format!(r#","policyDocument":{POLICY}"#));
    check_malformed(
        r#"{"policyDocument":{"Statement":{"Action":"*","Effect":"Deny","Effect":"Allow","Resource":"*"}}}"#,
    );
    check_malformed(
        r#"{"policyDocument":{"Statement":[],"Statement":{"Action":"*","Effect":"Allow","Resource":"*"}}}"#,
    );
}

#[test]
fn members_that_nobody_reads_do_no_harm() {
    assert!(parse(r#","usageIdentifierKey":"k","extra":{"deep":[1]}"#).is_ok());
}

#[test]
fn a_result_has_at_most_8_kb() {
    let filled = |bytes: usize| {
        let frame = format!(r#"{{"policyDocument":{POLICY},"principalId":""}}"#).len();
        let payload = format!(
            r#"{{"policyDocument":{POLICY},"principalId":"{}"}}"#,
            "x".repeat(bytes - frame)
        );
        assert_eq!(payload.len(), bytes);
        crate::event::parse_authorizer_result(payload.as_bytes())
    };
    assert!(filled(AUTHORIZER_RESULT_BYTES_MAX).is_ok());
    assert!(filled(AUTHORIZER_RESULT_BYTES_MAX + 1).is_err());
}

#[track_caller]
fn check_policy(statements: &str, want: Verdict) {
    let payload =
        format!(r#"{{"policyDocument":{{"Version":"2012-10-17","Statement":{statements}}}}}"#);
    let result = crate::event::parse_authorizer_result(payload.as_bytes()).unwrap();
    let resource = method_arn(&connect());
    let access = Access {
        action: "execute-api:Invoke",
        resource: &resource,
        source_ip: [198, 51, 100, 7].into(),
        now: 1_790_294_535,
        secure_transport: true,
    };
    assert_eq!(Policy::evaluate([&result.policy], &access), want, "{statements}");
}

#[test]
fn the_policy_is_evaluated_on_the_connect_of_this_stage() {
    const ARN: &str = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5";
    assert_eq!(method_arn(&connect()), format!("{ARN}/dev/$connect"));
    let statement = |effect: &str, resource: &str| {
        format!(r#"{{"Action":"execute-api:Invoke","Effect":"{effect}","Resource":"{resource}"}}"#)
    };
    check_policy(&statement("Allow", &format!("{ARN}/dev/$connect")), Verdict::Allow);
    check_policy(&statement("Allow", &format!("{ARN}/*")), Verdict::Allow);
    check_policy(&statement("Allow", &format!("{ARN}/dev/*/*")), Verdict::ImplicitDeny);
    check_policy(&statement("Allow", &format!("{ARN}/prod/$connect")), Verdict::ImplicitDeny);
    check_policy("[]", Verdict::ImplicitDeny);
    let both = [statement("Allow", "*"), statement("Deny", "*")].join(",");
    check_policy(&format!("[{both}]"), Verdict::ExplicitDeny);
}

fn header(name: &str) -> IdentitySource {
    IdentitySource::Header(name.to_owned())
}

fn context(name: &str) -> IdentitySource {
    IdentitySource::Context(name.to_owned())
}

#[track_caller]
fn check_source(source: IdentitySource, want: Option<&str>) {
    let found = identity_values(std::slice::from_ref(&source), &connect());
    assert_eq!(found, want.map(|text| vec![text.to_owned()]), "{source:?}");
}

#[test]
fn identity_sources_are_found_in_headers_query_variables_and_context() {
    check_source(header("COOKIE"), Some("sid=abc"));
    check_source(header("x-mixed-header"), Some("last"));
    check_source(IdentitySource::QueryString("tag".to_owned()), Some("second"));
    check_source(IdentitySource::StageVariable("env".to_owned()), Some("dev"));
    check_source(context("connectionId"), Some("gbgBRs9dGQAYKEh7VA=="));
    check_source(context("connectedAt"), Some("1790294533000"));
    check_source(context("requestTimeEpoch"), Some("1790294535120"));
    check_source(context("routeKey"), Some("$connect"));
    check_source(context("stage"), Some("dev"));
    check_source(context("apiId"), Some("a1b2c3d4e5"));
    check_source(context("identity.sourceIp"), Some("198.51.100.7"));
}

#[test]
fn an_identity_source_that_is_absent_or_empty_is_missing() {
    check_source(header("Authorization"), None);
    check_source(IdentitySource::QueryString("none".to_owned()), None);
    check_source(IdentitySource::QueryString("Tag".to_owned()), None);
    check_source(IdentitySource::StageVariable("empty".to_owned()), None);
    check_source(IdentitySource::StageVariable("nope".to_owned()), None);
    for name in ["eventType", "messageDirection", "messageId", "nope", "identity", "identity.nope"]
    {
        check_source(context(name), None);
    }
}

#[test]
fn one_missing_source_of_several_is_enough() {
    let operation = connect_with(&[("Cookie", "a"), ("X-Auth", "")]);
    assert!(identity_values(&[header("Cookie")], &operation).is_some());
    assert_eq!(identity_values(&[header("Cookie"), header("X-Auth")], &operation), None);
    assert_eq!(identity_values(&[header("Nope"), header("Cookie")], &operation), None);
    assert_eq!(identity_values(&[], &operation), Some(Vec::new()));
}

#[test]
fn only_a_connect_has_an_identity() {
    assert_eq!(identity_values(&[context("stage")], &message()), None);
}

#[test]
fn what_differs_on_every_connect_is_volatile() {
    for name in ["connectionId", "connectedAt", "requestId", "extendedRequestId", "requestTime"] {
        assert!(is_volatile(&context(name)), "{name}");
    }
    for source in [header("connectionId"), context("stage"), context("identity.sourceIp")] {
        assert!(!is_volatile(&source), "{source:?}");
    }
}
