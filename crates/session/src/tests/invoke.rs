//! Functions behind templates: `AWS` with the invocation URI of a function.

use api_model::api::{Integration, LambdaUri, Passthrough, Target, VariableText};

use super::world::{
    ARN, connect, disconnect, integration, message, parameters, response_of, templates,
};
use crate::connection::Operation;
use crate::error::Failure;
use crate::handshake::{Connected, connected};
use crate::integration::{Answer, Call, Reply, call, reply};

fn invoke(template: &str) -> Integration {
    Integration {
        templates: templates(None, &[("$default", template)]),
        ..integration(Target::Invoke(LambdaUri { arn: VariableText::parse(ARN) }))
    }
}

/// Payload, and whether it is an event.
fn invoked(
    integration: &Integration,
    operation: &Operation,
    body: Option<&str>,
) -> Result<(String, bool), Failure> {
    match call(integration, operation, body, false)? {
        Call::Invoke { arn, payload, is_event } => {
            assert_eq!(arn, ARN);
            Ok((String::from_utf8(payload).unwrap(), is_event))
        }
        other => panic!("no invocation: {other:?}"),
    }
}

#[test]
fn the_template_makes_the_payload() {
    let integration = invoke(r#"{"id":"$context.connectionId","text":$input.json('$.text')}"#);
    let found = invoked(&integration, &message(), Some(r#"{"text":"hi"}"#)).unwrap();
    assert_eq!(found, (r#"{"id":"gbgBRs9dGQAYKEh7VA==","text":"hi"}"#.to_owned(), false));
    let integration = invoke(r#"{"id":"$context.connectionId","room":"$input.params('room')"}"#);
    let found = invoked(&integration, &connect(), None).unwrap().0;
    assert_eq!(found, r#"{"id":"gbgBRs9dGQAYKEh7VA==","room":"blue"}"#);
}

#[test]
fn without_a_template_the_message_is_the_payload() {
    let integration = Integration { templates: templates(None, &[]), ..invoke("") };
    let of = |body| invoked(&integration, &message(), Some(body)).map(|(payload, _)| payload);
    assert_eq!(of(r#"{"a":1}"#).unwrap(), r#"{"a":1}"#);
    assert_eq!(of("[1]").unwrap(), "[1]");
    assert_eq!(invoked(&integration, &disconnect(1000, ""), None).unwrap().0, "{}");
    let never = Integration { passthrough: Passthrough::Never, ..integration.clone() };
    assert_eq!(invoked(&never, &message(), Some("{}")), Err(Failure::UnsupportedMediaType));
}

#[test]
fn a_payload_that_is_not_json_is_never_sent() {
    for body in ["hello", "{", r#"{"a":1} x"#] {
        let integration = Integration { templates: templates(None, &[]), ..invoke("") };
        let found = invoked(&integration, &message(), Some(body));
        assert_eq!(found, Err(Failure::IntegrationUnreachable), "{body}");
        assert_eq!(invoked(&invoke(body), &message(), Some("{}")), found, "{body}");
    }
}

#[test]
fn the_invocation_type_is_mapped() {
    let of = |kind: &str| {
        let list = parameters(&[("header.x-amz-invocation-type", kind)]);
        let integration = Integration { parameters: list, ..invoke("{}") };
        invoked(&integration, &message(), Some(r#"{"kind":"Event"}"#)).map(|(_, event)| event)
    };
    assert_eq!(of("'Event'"), Ok(true));
    assert_eq!(of("route.request.body.kind"), Ok(true));
    assert_eq!(of("'RequestResponse'"), Ok(false));
    assert_eq!(of("route.request.body.none"), Ok(false));
    assert_eq!(of("'DryRun'"), Err(Failure::IntegrationUnreachable));
    assert_eq!(of("'event'"), Err(Failure::IntegrationUnreachable));
}

/// Three responses: two for errors and `$default`.
fn responding() -> Integration {
    Integration {
        responses: vec![
            response_of("$default", &[("$default", "ok $input.json('$.n')")]),
            response_of(
                r"(\n|.)*Oops(\n|.)*",
                &[("$default", "oops: $input.path('$.errorMessage')")],
            ),
            response_of(r".*", &[("$default", "other $input.path('$.errorType')")]),
        ],
        ..invoke("{}")
    }
}

fn answered(
    integration: &Integration,
    operation: &Operation,
    answer: Answer,
) -> Result<Reply, Failure> {
    let request = operation.kind.handshake().is_none().then_some("{}");
    reply(integration, operation, request, answer, true)
}

fn raised(text: &str) -> Answer {
    Answer::FunctionError(text.as_bytes().to_vec())
}

fn returned(text: &str) -> Answer {
    Answer::Function(text.as_bytes().to_vec())
}

#[test]
fn the_error_message_selects_the_response() {
    let of = |answer| {
        let reply = answered(&responding(), &message(), answer).unwrap();
        String::from_utf8(reply.body.unwrap()).unwrap()
    };
    let oops = r#"{"errorMessage":"Big\nOops!","errorType":"Error","stackTrace":["at a"]}"#;
    assert_eq!(of(raised(oops)), "oops: Big\nOops!");
    assert_eq!(of(raised(r#"{"errorMessage":"no","errorType":"TypeError"}"#)), "other TypeError");
    assert_eq!(of(returned(r#"{"errorMessage":"Oops"}"#)), "oops: Oops");
    assert_eq!(of(raised(r#"{"errorType":"Error"}"#)), "other Error");
}

#[test]
fn a_result_without_error_message_takes_the_default_alone() {
    let of = |text| {
        let reply = answered(&responding(), &message(), returned(text))?;
        Ok::<_, Failure>(String::from_utf8(reply.body.unwrap()).unwrap())
    };
    assert_eq!(of(r#"{"n":1}"#), Ok("ok 1".to_owned()));
    assert_eq!(of(r#"{"n":1,"errorMessage":null}"#), Ok("ok 1".to_owned()));
    assert_eq!(of(""), Ok("ok \"\"".to_owned()));
    let mut without = responding();
    without.responses.remove(0);
    let failed = answered(&without, &message(), returned("{}"));
    assert_eq!(failed, Err(Failure::IntegrationMalformed));
}

#[test]
fn a_result_passes_as_it_is_without_a_template() {
    let plain = Integration { responses: vec![response_of("$default", &[])], ..invoke("{}") };
    for text in [r#"{"statusCode":403,"body":"b"}"#, "\"text\"", "null", "[1]"] {
        let reply = answered(&plain, &message(), returned(text)).unwrap();
        assert_eq!((reply.status, reply.body.as_deref()), (200, Some(text.as_bytes())), "{text}");
    }
}

#[test]
fn an_error_that_no_response_is_for_is_an_error() {
    let error = r#"{"errorMessage":"no"}"#;
    for responses in [Vec::new(), vec![response_of("yes", &[])]] {
        let integration = Integration { responses, ..invoke("{}") };
        for operation in [connect(), message()] {
            let failed = answered(&integration, &operation, raised(error));
            assert_eq!(failed, Err(Failure::IntegrationError));
        }
        let one_way = reply(&integration, &message(), Some("{}"), raised(error), false);
        assert_eq!(one_way, Err(Failure::IntegrationError));
    }
}

#[test]
fn an_error_refuses_a_connect_whatever_is_selected() {
    let status = |answer| {
        let reply = answered(&responding(), &connect(), answer).unwrap();
        match connected(reply, &connect()) {
            Connected::Accepted { .. } => 101,
            Connected::Refused(refusal) => refusal.status,
        }
    };
    assert_eq!(status(returned(r#"{"n":1}"#)), 101);
    assert_eq!(status(raised(r#"{"errorMessage":"Oops"}"#)), 502);
    assert_eq!(status(raised(r#"{"errorMessage":"no"}"#)), 502);
    assert_eq!(status(raised("{}")), 502);
    assert_eq!(status(returned(r#"{"errorMessage":"no"}"#)), 502);
}

#[test]
fn an_event_accepts_a_connect_and_has_nothing_to_say() {
    let plain = Integration { responses: vec![response_of("$default", &[])], ..invoke("{}") };
    let reply = answered(&plain, &connect(), returned("")).unwrap();
    assert_eq!((reply.status, reply.body), (200, Some(Vec::new())));
}

#[test]
fn a_proxys_error_is_an_error_whatever_its_words() {
    let error = raised(r#"{"statusCode":200,"errorMessage":"no"}"#);
    let failed = answered(&super::world::function(), &connect(), error);
    assert_eq!(failed, Err(Failure::IntegrationError));
}
