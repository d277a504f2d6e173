//! Integration responses: which one an answer selects, and what it makes of it
//! ([data transformations]).
//!
//! [data transformations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html

use std::cell::LazyCell;

use api_model::api::{Integration, IntegrationResponse, ResponseKey, ResponseSource, Target};
use api_model::expression::{Subject, selection_text};
use jsonpath::Found;
use serde_json::Value as Json;

use super::request::last;
use super::{Reply, choose};
use crate::connection::{Kind, Operation};
use crate::error::Failure;
use crate::event::error_message;
use crate::mapping::{Input, render};

/// Maps through the integration response that the answer's status selects.
pub(super) fn respond_status(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    raw: Reply,
    replies: bool,
) -> Result<Reply, Failure> {
    let status = raw.status;
    let subject = || Some(status.to_string());
    respond(integration, operation, request_body, raw, subject, replies)
}

/// What became of an invocation.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Outcome {
    Raised,
    Result,
}

/// Maps through the integration response that the function's error selects, or
/// `$default` ([data transformations]). There is no status that a response could
/// set, so an error refuses a connect whatever is selected.
///
/// [data transformations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
pub(super) fn respond_function(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    payload: Vec<u8>,
    outcome: Outcome,
    replies: bool,
) -> Result<Reply, Failure> {
    let message = error_message(&payload);
    let failed = outcome == Outcome::Raised || message.is_some();
    if failed && integration.responses.is_empty() {
        return Err(Failure::IntegrationError);
    }
    let status = if failed { Failure::IntegrationError.status() } else { 200 };
    let raw = Reply { status, body: Some(payload), ..Reply::default() };
    let subject = || message.or_else(|| failed.then(String::new));
    match respond(integration, operation, request_body, raw, subject, replies) {
        Err(Failure::IntegrationMalformed) if failed => Err(Failure::IntegrationError),
        other => other,
    }
}

/// Chooses the integration response by a subject and maps through it.
fn respond(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    raw: Reply,
    subject: impl FnOnce() -> Option<String>,
    replies: bool,
) -> Result<Reply, Failure> {
    if integration.responses.is_empty() {
        let is_mock = matches!(integration.target, Target::Mock);
        let is_connect = matches!(operation.kind, Kind::Connect { .. });
        // Without any response the back end's status decides a connect; a
        // message whose reply is wanted has none that could be sent.
        return if is_mock || is_connect || !replies {
            Ok(raw)
        } else {
            Err(Failure::IntegrationMalformed)
        };
    }
    let response =
        select_response(&integration.responses, subject).ok_or(Failure::IntegrationMalformed)?;
    let text = String::from_utf8_lossy(raw.body.as_deref().unwrap_or_default()).into_owned();
    let input = Input::new(text);
    let request = Input::new(request_body);
    let subject =
        || Subject { body: request.json(), status: Some(raw.status), headers: &raw.headers };
    let body = match choose(&response.templates, subject) {
        Some(template) => Some(render(template, operation, &input)?.into_bytes()),
        None => raw.body.clone(),
    };
    let mut headers: Vec<(String, String)> = raw
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .cloned()
        .collect();
    for (name, source) in &response.parameters {
        if let Some(value) = response_value(source, &raw, &input) {
            headers.push((name.clone(), value));
        }
    }
    Ok(Reply { status: raw.status, headers, body, is_binary: false })
}

/// The first matching pattern in order, then `$default`; without a subject no pattern matches.
fn select_response(
    responses: &[IntegrationResponse],
    subject: impl FnOnce() -> Option<String>,
) -> Option<&IntegrationResponse> {
    let subject = LazyCell::new(subject);
    let pattern = responses.iter().find(|response| match &response.key {
        ResponseKey::Pattern(regex) => subject.as_ref().is_some_and(|text| regex.is_match(text)),
        ResponseKey::Default => false,
    });
    pattern
        .or_else(|| responses.iter().find(|response| matches!(response.key, ResponseKey::Default)))
}

fn response_value(source: &ResponseSource, raw: &Reply, input: &Input<'_>) -> Option<String> {
    match source {
        ResponseSource::Static(text) => Some(text.clone()),
        ResponseSource::Header(name) => last(&raw.headers, name).map(str::to_owned),
        ResponseSource::Body(path) => found_text(&path.find(input.json()?)),
    }
}

pub(super) fn found_text(found: &Found<'_>) -> Option<String> {
    match found {
        Found::Missing | Found::TooMuch => None,
        Found::One(value) => Some(selection_text(value)),
        Found::Many(values) => Some(selection_text(&Json::Array(
            values.iter().map(|value| (**value).clone()).collect(),
        ))),
    }
}
