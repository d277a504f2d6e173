//! Templates, passthrough, `MOCK` and integration responses.

use api_model::api::{Integration, Passthrough, ResponseSource, Target};
use jsonpath::Path;

use super::world::{
    connect, disconnect, http, http_proxy, integration, message, pairs, response_of, templates,
};
use crate::error::Failure;
use crate::integration::{Answer, Call, Reply, call, reply};

/// The body that the back end of a non-proxy integration gets.
fn sent(integration: &Integration, body: &str) -> Result<String, Failure> {
    match call(integration, &message(), Some(body), false)? {
        Call::Http(call) => Ok(String::from_utf8(call.body).unwrap()),
        other => panic!("no request: {other:?}"),
    }
}

#[track_caller]
fn check_template(selection: Option<&str>, keys: &[&str], body: &str, want: Result<&str, Failure>) {
    let list: Vec<(&str, &str)> = keys.iter().map(|key| (*key, *key)).collect();
    let integration = Integration { templates: templates(selection, &list), ..http("http://h/") };
    let want = want.map(|key| key.replace("\\$", "$"));
    assert_eq!(sent(&integration, body), want, "{selection:?} of {keys:?}");
}

#[test]
fn the_selected_template_is_taken_and_default_otherwise() {
    let body = r#"{"kind":"a"}"#;
    check_template(Some("$request.body.kind"), &["b", "a", r"x"], body, Ok("a"));
    check_template(Some("a"), &["b", "a"], body, Ok("a"));
    check_template(Some("x"), &["a"], body, Ok(body));
    check_template(Some("$request.body.kind"), &["a"], "no json", Ok("no json"));
    check_template(None, &["application/json"], body, Ok("application/json"));
    check_template(None, &["text/plain"], body, Ok(body));
    let list = [("$default", "d"), ("application/json", "j"), ("a", "a")];
    let of = |selection: Option<&str>| {
        let integration =
            Integration { templates: templates(selection, &list), ..http("http://h/") };
        sent(&integration, body).unwrap()
    };
    assert_eq!(of(None), "d");
    assert_eq!(of(Some(r"\$default")), "d");
    assert_eq!(of(Some("x")), "d");
    assert_eq!(of(Some("$request.body.kind")), "a");
    assert_eq!(of(Some("application/json")), "j");
}

#[test]
fn without_a_template_the_passthrough_table_decides() {
    let refused = Err(Failure::UnsupportedMediaType);
    let passed = Ok("body".to_owned());
    for (passthrough, without, unmatched) in [
        (Passthrough::WhenNoMatch, &passed, &passed),
        (Passthrough::WhenNoTemplates, &passed, &refused),
        (Passthrough::Never, &refused, &refused),
    ] {
        let none = Integration { passthrough, ..http("http://h/") };
        assert_eq!(&sent(&none, "body"), without, "{passthrough:?}");
        let other = Integration { templates: templates(Some("x"), &[("y", "z")]), ..none };
        assert_eq!(&sent(&other, "body"), unmatched, "{passthrough:?}");
    }
}

#[test]
fn proxies_know_neither_templates_nor_passthrough() {
    let integration = Integration {
        templates: templates(None, &[("$default", "template")]),
        passthrough: Passthrough::Never,
        ..http_proxy("http://h/")
    };
    assert_eq!(sent(&integration, "body").unwrap(), "body");
}

fn mocked(integration: &Integration, body: &str) -> Result<Reply, Failure> {
    match call(integration, &message(), Some(body), false)? {
        Call::Mock(reply) => Ok(reply),
        other => panic!("not answered at once: {other:?}"),
    }
}

fn mock(request: &[(&str, &str)]) -> Integration {
    Integration {
        templates: templates(None, request),
        responses: vec![
            response_of("$default", &[("$default", "default")]),
            response_of("4\\d\\d", &[("$default", "four")]),
            response_of("404", &[("$default", "never: the first match counts")]),
            response_of("50", &[("$default", "never: the whole status is matched")]),
        ],
        ..integration(Target::Mock)
    }
}

#[track_caller]
fn check_mock(request: &str, want: Result<(u16, &str), Failure>) {
    let found = mocked(&mock(&[("$default", request)]), r#"{"code":404}"#);
    let found = found.map(|r| (r.status, String::from_utf8(r.body.unwrap()).unwrap()));
    assert_eq!(found, want.map(|(status, body)| (status, body.to_owned())), "{request}");
}

#[test]
fn a_mocks_template_gives_the_status_that_selects_the_response() {
    check_mock(r#"{"statusCode":200}"#, Ok((200, "default")));
    check_mock(r#"{ "statusCode" : 404, "other": [1] }"#, Ok((404, "four")));
    check_mock(r#"{"statusCode":$input.path('$.code')}"#, Ok((404, "four")));
    check_mock(r#"{"statusCode":500}"#, Ok((500, "default")));
}

#[test]
fn a_mocks_template_must_give_an_object_with_an_integer_status() {
    for request in [
        "",
        "no json",
        "200",
        "[200]",
        "null",
        "{}",
        r#"{"statusCode":"200"}"#,
        r#"{"statusCode":200.0}"#,
        r#"{"statusCode":null}"#,
        r#"{"statusCode":65736}"#,
        r#"{"statusCode":-200}"#,
        r#"{"statusCode":200} x"#,
    ] {
        check_mock(request, Err(Failure::IntegrationMalformed));
    }
    check_mock("$util.parseJson('no')", Err(Failure::TemplateFailed));
}

#[test]
fn a_mock_without_a_template_is_200_unless_nothing_may_pass() {
    assert_eq!(mocked(&mock(&[]), "{}").unwrap().status, 200);
    let refused = Err(Failure::UnsupportedMediaType);
    let of = |passthrough, list: &[(&str, &str)]| {
        let integration =
            Integration { passthrough, templates: templates(Some("x"), list), ..mock(&[]) };
        mocked(&integration, "{}").map(|reply| reply.status)
    };
    let unmatched = [("y", "z")];
    assert_eq!(of(Passthrough::WhenNoMatch, &unmatched), Ok(200));
    assert_eq!(of(Passthrough::WhenNoTemplates, &[]), Ok(200));
    assert_eq!(of(Passthrough::WhenNoTemplates, &unmatched), refused.map(|()| 0));
    assert_eq!(of(Passthrough::Never, &unmatched), refused.map(|()| 0));
    assert_eq!(of(Passthrough::Never, &[]), refused.map(|()| 0));
}

#[test]
fn a_mock_decides_a_connect_by_its_status() {
    let refusing = mock(&[("$default", r#"{"statusCode":403}"#)]);
    let Ok(Call::Mock(reply)) = call(&refusing, &connect(), None, false) else {
        panic!("not answered at once");
    };
    assert_eq!((reply.status, reply.body), (403, Some(b"four".to_vec())));
}

/// The reply to an answer of a back end with `status`.
fn respond(integration: &Integration, status: u16, body: &str) -> Result<Reply, Failure> {
    let answer = Answer::Http {
        status,
        headers: pairs(&[("X-Kind", "a"), ("x-kind", "b"), ("Sec-WebSocket-Protocol", "p")]),
        body: body.as_bytes().to_vec(),
    };
    reply(integration, &message(), Some(r#"{"from":"request"}"#), answer, true)
}

#[track_caller]
fn check_response(integration: &Integration, status: u16, body: &str, want: &str) {
    let reply = respond(integration, status, body).unwrap();
    assert_eq!(String::from_utf8(reply.body.unwrap()).unwrap(), want, "{status} {body}");
}

#[test]
fn the_status_selects_the_response_and_its_template_sees_the_answer() {
    let template = "$input.body|$input.json('$.a')|$context.requestId|$input.path('$.nope')";
    let integration = Integration {
        responses: vec![
            response_of("4\\d{2}", &[("$default", "bad")]),
            response_of("$default", &[("application/json", template)]),
        ],
        ..http("http://h/")
    };
    let id = message().request_id;
    check_response(&integration, 200, r#"{"a":"x"}"#, &format!(r#"{{"a":"x"}}|"x"|{id}|"#));
    check_response(&integration, 404, "not json", "bad");
    let without = Integration { responses: vec![response_of("2..", &[])], ..http("http://h/") };
    check_response(&without, 204, "as it is", "as it is");
    assert_eq!(respond(&without, 500, ""), Err(Failure::IntegrationMalformed));
}

#[test]
fn a_response_template_is_selected_by_request_status_and_headers() {
    let list = [("request200", "by both"), ("b", "by header"), ("a,b", "by all")];
    for (selection, want) in [
        ("${request.body.from}${integration.response.statuscode}", "by both"),
        ("$integration.response.header.x-kind", "by header"),
        ("$integration.response.multivalueheader.X-Kind", "by all"),
    ] {
        let mut response = response_of("$default", &[]);
        response.templates = templates(Some(selection), &list);
        let integration = Integration { responses: vec![response], ..http("http://h/") };
        check_response(&integration, 200, "{}", want);
    }
}

#[test]
fn without_responses_a_connect_goes_by_the_status_and_a_reply_fails() {
    let integration = http("http://h/");
    assert_eq!(respond(&integration, 200, "x"), Err(Failure::IntegrationMalformed));
    let answer = || Answer::Http { status: 403, headers: Vec::new(), body: b"no".to_vec() };
    let refused = reply(&integration, &connect(), None, answer(), true).unwrap();
    assert_eq!((refused.status, refused.body), (403, Some(b"no".to_vec())));
    assert!(reply(&integration, &message(), Some("{}"), answer(), false).is_ok());
}

#[test]
fn proxies_pass_the_answer_as_it_is() {
    let integration = Integration {
        responses: vec![response_of("$default", &[("$default", "template")])],
        ..http_proxy("http://h/")
    };
    check_response(&integration, 500, "as it is", "as it is");
}

#[test]
fn response_parameters_and_the_subprotocol_are_kept_and_other_headers_dropped() {
    let mut response = response_of("$default", &[]);
    response.parameters = vec![
        ("Sec-WebSocket-Protocol".to_owned(), ResponseSource::Header("X-KIND".to_owned())),
        ("fixed".to_owned(), ResponseSource::Static("text".to_owned())),
        ("body".to_owned(), ResponseSource::Body(Path::parse_tail(".a").unwrap())),
        ("absent".to_owned(), ResponseSource::Body(Path::parse_tail(".b").unwrap())),
    ];
    let integration = Integration { responses: vec![response], ..http("http://h/") };
    let reply = respond(&integration, 200, r#"{"a":[1,"x"]}"#).unwrap();
    let want = pairs(&[
        ("Sec-WebSocket-Protocol", "p"),
        ("Sec-WebSocket-Protocol", "b"),
        ("fixed", "text"),
        ("body", "[1, x]"),
    ]);
    assert_eq!(reply.headers, want);
}

#[test]
fn a_failing_response_template_fails_the_operation() {
    let integration = Integration {
        responses: vec![response_of("$default", &[("$default", "$input.json('$.a')")])],
        ..http("http://h/")
    };
    assert_eq!(respond(&integration, 200, "not json"), Err(Failure::TemplateFailed));
}

#[test]
fn a_disconnect_may_have_a_template() {
    let list = [("$default", "$context.disconnectStatusCode $context.disconnectReason")];
    let integration = Integration { templates: templates(None, &list), ..http("http://h/") };
    let Ok(Call::Http(call)) = call(&integration, &disconnect(1001, "bye"), None, false) else {
        panic!("no request");
    };
    assert_eq!(call.body, b"1001 bye");
}
