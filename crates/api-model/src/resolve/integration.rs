//! `AWS::ApiGatewayV2::Integration` and `IntegrationResponse` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html

mod service;

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use vtl::Template;

use super::function::{lambda_uri, warn_unpermitted};
use super::{Apis, api_of, expression};
use crate::api::{
    Function, HttpTarget, Integration, IntegrationResponse, Passthrough, ResponseKey,
    ResponseSource, Target, Templates, VariableText,
};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::expression::Scope;
use crate::node::{Resource, Stack};
use crate::parameter::{Destination, ParameterMapping, ParameterSource};
use crate::raw::{self, Located, Reader};

pub(super) fn resolve(
    stack: &Stack,
    resource: &Resource,
    apis: &mut Apis,
    functions: &[Arc<Function>],
    out: &mut Diagnostics,
) {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::INTEGRATION);
    let Some(parts) = api_of(&mut reader, apis) else { return };
    reader.unsupported("ContentHandlingStrategy", "bodies would not be converted");
    reader.unsupported("IntegrationSubtype", "it belongs to HTTP APIs");
    reader.unsupported("ResponseParameters", "it belongs to HTTP APIs; use an IntegrationResponse");
    reader.unsupported("TlsConfig", "the back end's certificate would be checked for another name");
    reader.ignored("PayloadFormatVersion", "WebSocket events have one format");
    reader.one_of("ConnectionType", &["INTERNET", "VPC_LINK"]);
    let target = target(stack, &mut reader, functions, &parts.api.execute_arn("*"));
    let timeout = timeout(&mut reader);
    let parameters = parameters(&mut reader);
    let templates = templates(&mut reader, "RequestTemplates", Scope::Request);
    let passthrough = match reader
        .one_of("PassthroughBehavior", &["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"])
        .map(|text| text.value)
        .as_deref()
    {
        Some("NEVER") => Passthrough::Never,
        Some("WHEN_NO_TEMPLATES") => Passthrough::WhenNoTemplates,
        _ => Passthrough::WhenNoMatch,
    };
    let Some(target) = target else {
        parts.broken.insert(resource.physical_id.clone());
        return;
    };
    let integration = Integration {
        logical_id: resource.logical_id.clone(),
        span: resource.span,
        target,
        timeout,
        parameters,
        templates,
        passthrough,
        responses: Vec::new(),
    };
    parts.integrations.insert(resource.physical_id.clone(), integration);
}

const TIMEOUT_DEFAULT: Duration = Duration::from_millis(29_000);

fn timeout(reader: &mut Reader<'_>) -> Duration {
    let Some(millis) = reader.number("TimeoutInMillis") else { return TIMEOUT_DEFAULT };
    if !(50.0..=29_000.0).contains(&millis.value) {
        let message = format!("`TimeoutInMillis` is {}; AWS allows 50 to 29000", millis.value);
        reader.wrong(codes::PROPERTY_VALUE, millis.span, "TimeoutInMillis", message, None);
        return TIMEOUT_DEFAULT;
    }
    Duration::from_secs_f64(millis.value / 1000.0)
}

fn target(
    stack: &Stack,
    reader: &mut Reader<'_>,
    functions: &[Arc<Function>],
    source_arn: &str,
) -> Option<Target> {
    const TYPES: &[&str] = &["AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"];
    reader.required("IntegrationType")?;
    let kind = reader.one_of("IntegrationType", TYPES)?;
    let method = reader.text("IntegrationMethod");
    match kind.value.as_str() {
        "MOCK" => Some(Target::Mock),
        "AWS_PROXY" => {
            check_post(reader, method.as_ref());
            let uri = reader.required("IntegrationUri")?;
            let lambda = lambda_uri(reader, "IntegrationUri", &uri, stack)?;
            if reader.node("CredentialsArn").is_none() {
                warn_unpermitted(reader, functions, &lambda, source_arn);
            }
            Some(Target::Function(lambda))
        }
        "AWS" => service::target(stack, reader, functions, source_arn, method),
        _ => {
            let target = http_target(reader, method)?;
            Some(if kind.value == "HTTP" {
                Target::Http(target)
            } else {
                Target::HttpProxy(target)
            })
        }
    }
}

fn check_post(reader: &mut Reader<'_>, method: Option<&Located<String>>) {
    let Some(method) = method else { return };
    if method.value != "POST" {
        let message = format!(
            "`IntegrationMethod` is `{}`; Lambda is invoked with POST, on AWS every call fails",
            method.value
        );
        let hint = Some("write `POST`".to_owned());
        reader.wrong(codes::INTEGRATION_METHOD, method.span, "IntegrationMethod", message, hint);
    }
}

fn http_target(reader: &mut Reader<'_>, method: Option<Located<String>>) -> Option<HttpTarget> {
    let uri = reader.required("IntegrationUri")?;
    let method = back_end_method(reader, method);
    let known = uri.value.starts_with("http://")
        || uri.value.starts_with("https://")
        || uri.value.starts_with("${stageVariables.");
    if !known || uri.value.chars().any(|c| c.is_control() || c == ' ') {
        let message = format!("`IntegrationUri` is `{}`, not an absolute URL", uri.value);
        let hint = Some("write `https://HOST/PATH`".to_owned());
        reader.wrong(codes::PROPERTY_VALUE, uri.span, "IntegrationUri", message, hint);
        return None;
    }
    Some(HttpTarget { method, url: VariableText::parse(&uri.value) })
}

/// `IntegrationMethod` towards anything but a function; `ANY` has no method of
/// the client to repeat.
fn back_end_method(reader: &mut Reader<'_>, method: Option<Located<String>>) -> String {
    const METHODS: &[&str] = &["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    if reader.required("IntegrationMethod").is_some() {
        reader.one_of("IntegrationMethod", METHODS);
    }
    method
        .map(|method| method.value)
        .filter(|method| method != "ANY")
        .unwrap_or_else(|| "POST".to_owned())
}

fn parameters(reader: &mut Reader<'_>) -> Vec<ParameterMapping> {
    let mut mappings = Vec::new();
    for (key, value) in reader.texts("RequestParameters") {
        let property = format!("RequestParameters.{key}");
        let destination = Destination::parse(&key);
        if destination.is_none() {
            let message = format!("`{key}` is not a place in the integration request");
            let hint = "write `integration.request.header.NAME`, `.querystring.NAME` or `.path.NAME`; headers of the connection itself cannot be mapped";
            reader.wrong(codes::PARAMETER, value.span, &property, message, Some(hint.to_owned()));
        }
        match ParameterSource::parse(&value.value) {
            Ok(source) => {
                mappings.extend(
                    destination.map(|destination| ParameterMapping { destination, source }),
                );
            }
            Err(reason) => {
                let message = format!("`{}` cannot be mapped: {reason}", value.value);
                let hint = "write `route.request.header.NAME`, `context.NAME` or fixed text in apostrophes";
                reader.wrong(
                    codes::PARAMETER,
                    value.span,
                    &property,
                    message,
                    Some(hint.to_owned()),
                );
            }
        }
    }
    mappings
}

/// Compiles the templates of a resource and its `TemplateSelectionExpression`.
fn templates(reader: &mut Reader<'_>, name: &str, scope: Scope) -> Templates {
    let selection = reader
        .text("TemplateSelectionExpression")
        .and_then(|source| expression(reader, "TemplateSelectionExpression", &source, scope));
    let mut list = Vec::new();
    for (key, source) in reader.texts(name) {
        match Template::parse(&source.value) {
            Ok(template) => list.push((key, Arc::new(template))),
            Err(error) => {
                let message = format!("the template does not parse: {error}");
                let property = format!("{name}.{key}");
                let hint =
                    Some("see which VTL constructs are supported in the documentation".to_owned());
                reader.wrong(codes::TEMPLATE, source.span, &property, message, hint);
            }
        }
    }
    Templates { selection, list }
}

pub(super) fn resolve_response(resource: &Resource, apis: &mut Apis, out: &mut Diagnostics) {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::INTEGRATION_RESPONSE);
    let Some(parts) = api_of(&mut reader, apis) else { return };
    reader.unsupported("ContentHandlingStrategy", "bodies would not be converted");
    let key = response_key(&mut reader);
    let templates = templates(&mut reader, "ResponseTemplates", Scope::Response);
    let parameters = response_parameters(&mut reader);
    let Some(id) = reader.required("IntegrationId") else { return };
    if parts.broken.contains(&id.value) {
        return;
    }
    let Some(integration) = parts.integrations.get_mut(&id.value) else {
        let message = format!("`IntegrationId` is `{}`, which this API does not have", id.value);
        let hint = Some("write `!Ref` and the logical id of the integration".to_owned());
        reader.wrong(codes::REFERENCE, id.span, "IntegrationId", message, hint);
        return;
    };
    if let Some(key) = key {
        integration.responses.push(IntegrationResponse { key, templates, parameters });
    }
}

fn response_key(reader: &mut Reader<'_>) -> Option<ResponseKey> {
    let text = reader.required("IntegrationResponseKey")?;
    if text.value == "$default" {
        return Some(ResponseKey::Default);
    }
    let pattern = text.value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let hint = || {
        Some(
            r"write `$default` or a regular expression between slashes, such as `/4\d\d/`"
                .to_owned(),
        )
    };
    let Some(pattern) = pattern else {
        let message = format!("`{}` is neither `$default` nor a pattern", text.value);
        reader.wrong(codes::RESPONSE_KEY, text.span, "IntegrationResponseKey", message, hint());
        return None;
    };
    match Regex::new(&format!("^(?:{pattern})$")) {
        Ok(regex) => Some(ResponseKey::Pattern(regex)),
        Err(error) => {
            let message = format!("the pattern does not compile without backtracking: {error}");
            reader.wrong(codes::RESPONSE_KEY, text.span, "IntegrationResponseKey", message, hint());
            None
        }
    }
}

fn response_parameters(reader: &mut Reader<'_>) -> Vec<(String, ResponseSource)> {
    let mut list = Vec::new();
    for (key, value) in reader.texts("ResponseParameters") {
        let property = format!("ResponseParameters.{key}");
        let name = key
            .strip_prefix("method.response.header.")
            .or_else(|| key.strip_prefix("route.response.header."));
        match (name, response_source(&value.value)) {
            (Some(name), Some(source)) => list.push((name.to_owned(), source)),
            _ => {
                let message = format!("`{key}: {}` is not a response mapping", value.value);
                let hint = "write `method.response.header.NAME` and `integration.response.header.NAME`, `integration.response.body.PATH` or fixed text in apostrophes";
                reader.wrong(
                    codes::PARAMETER,
                    value.span,
                    &property,
                    message,
                    Some(hint.to_owned()),
                );
            }
        }
    }
    list
}

fn response_source(text: &str) -> Option<ResponseSource> {
    if let Some(inner) = text.strip_prefix('\'') {
        return inner.strip_suffix('\'').map(|text| ResponseSource::Static(text.to_owned()));
    }
    if let Some(name) = text.strip_prefix("integration.response.header.") {
        return Some(ResponseSource::Header(name.to_owned()));
    }
    let tail = text.strip_prefix("integration.response.body")?;
    jsonpath::Path::parse_tail(tail).ok().map(ResponseSource::Body)
}
