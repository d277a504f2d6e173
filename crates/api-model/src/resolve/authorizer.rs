//! `AWS::ApiGatewayV2::Authorizer` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-apigatewayv2-authorizer.html

use std::sync::Arc;
use std::time::Duration;

use super::function::{find_function, lambda_uri, permits};
use super::{ApiParts, Apis, Compat, RouteParts, api_of};
use crate::api::{Authorization, Authorizer, Function, IdentitySource};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Resource, Stack, Value};
use crate::raw::{self, Located, Reader};

pub(super) fn resolve(
    stack: &Stack,
    resource: &Resource,
    apis: &mut Apis,
    functions: &[Arc<Function>],
    compat: Compat,
    out: &mut Diagnostics,
) {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::AUTHORIZER);
    let Some(parts) = api_of(&mut reader, apis) else { return };
    check_type(&mut reader);
    reader.required("Name");
    refuse(&mut reader, "EnableSimpleResponses");
    refuse(&mut reader, "JwtConfiguration");
    if reader
        .text("AuthorizerPayloadFormatVersion")
        .is_some_and(|version| !version.value.is_empty())
    {
        refuse(&mut reader, "AuthorizerPayloadFormatVersion");
    }
    reader.ignored("IdentityValidationExpression", "API Gateway stores it and never applies it");
    let result_ttl = result_ttl(&mut reader, compat);
    let identity_sources = identity_sources(&mut reader);
    let uri = reader.required("AuthorizerUri");
    let function = uri.and_then(|uri| lambda_uri(&mut reader, "AuthorizerUri", &uri, stack));
    let (Some(function), Some(identity_sources)) = (function, identity_sources) else {
        parts.broken.insert(resource.physical_id.clone());
        return;
    };
    let source_arn = parts.api.execute_arn(&format!("authorizers/{}", resource.physical_id));
    if reader.node("AuthorizerCredentialsArn").is_none()
        && let Some((found, qualifier)) = find_function(functions, &function)
        && !permits(found, qualifier, &source_arn)
    {
        let message = format!(
            "no `AWS::Lambda::Permission` lets API Gateway invoke `{}`; on AWS every connect fails with 500",
            found.logical_id
        );
        let hint = format!(
            "add an `AWS::Lambda::Permission` for `{}` with `Principal: apigateway.amazonaws.com` and a `SourceArn` that matches {source_arn}",
            found.logical_id
        );
        // Under `compat = "aws"` the gateway answers as AWS does: 500.
        reader
            .out
            .warning(codes::PERMISSION, resource.span, message)
            .at(&resource.logical_id, "Properties.AuthorizerUri")
            .hint(hint);
    }
    let authorizer = Authorizer {
        logical_id: resource.logical_id.clone(),
        authorizer_id: resource.physical_id.clone(),
        function,
        identity_sources,
        result_ttl,
    };
    parts.authorizers.insert(resource.physical_id.clone(), Arc::new(authorizer));
}

/// Warns when an API has an authorizer and asks none: a condition may have taken
/// its `$connect` away.
pub(super) fn warn_unused(resource: &Resource, apis: &Apis, out: &mut Diagnostics) {
    let is_its = |parts: &&ApiParts| parts.authorizers.contains_key(&resource.physical_id);
    let Some(parts) = apis.values().flatten().find(is_its) else { return };
    let asks = |parts: &RouteParts| matches!(parts.route.authorization, Authorization::Custom(_));
    if !parts.routes.iter().any(asks) {
        let message = "no route asks this authorizer, so everybody may connect".to_owned();
        out.warning(codes::AUTHORIZATION_PAIR, resource.span, message)
            .at(&resource.logical_id, "")
            .hint("name it in the route `$connect`, or remove it");
    }
}

fn check_type(reader: &mut Reader<'_>) {
    let Some(kind) = reader.required("AuthorizerType") else { return };
    if kind.value != "REQUEST" {
        let message = format!(
            "`AuthorizerType` is `{}`; WebSocket APIs have only REQUEST authorizers",
            kind.value
        );
        let hint = Some("write `REQUEST` and let a Lambda function decide".to_owned());
        reader.wrong(codes::AUTHORIZER_TYPE, kind.span, "AuthorizerType", message, hint);
    }
}

fn refuse(reader: &mut Reader<'_>, name: &str) {
    if let Some(node) = reader.node(name) {
        let message = format!("{name} cannot be set for WEBSOCKET protocol Apis");
        let hint = Some("remove it".to_owned());
        reader.wrong(codes::AUTHORIZER_PROPERTY, node.span, name, message, hint);
    }
}

/// AWS refuses the property; outside `compat = "aws"` it turns the verdict cache on.
fn result_ttl(reader: &mut Reader<'_>, compat: Compat) -> Option<Duration> {
    const NAME: &str = "AuthorizerResultTtlInSeconds";
    let ttl = reader.number(NAME)?;
    if compat == Compat::Aws {
        refuse(reader, NAME);
        return None;
    }
    if !(0.0..=3600.0).contains(&ttl.value) {
        let message = format!("`{NAME}` must be between 0 and 3600 seconds");
        reader.wrong(codes::PROPERTY_VALUE, ttl.span, NAME, message, None);
        return None;
    }
    reader
        .out
        .warning(
            codes::AUTHORIZER_PROPERTY,
            ttl.span,
            format!("{NAME} cannot be set for WEBSOCKET protocol Apis on AWS; here it sets the verdict cache"),
        )
        .at(&reader.resource.logical_id, format!("Properties.{NAME}"))
        .hint("remove it and write `[authorizers.NAME.cache] ttl` in wsgate.toml");
    (0.0 < ttl.value).then(|| Duration::from_secs_f64(ttl.value))
}

/// All identity sources; `None` if one cannot be read, since connects must bring them all.
fn identity_sources(reader: &mut Reader<'_>) -> Option<Vec<IdentitySource>> {
    const NAME: &str = "IdentitySource";
    let texts = reader.list(NAME);
    let listed = reader.node(NAME).map_or(0, |node| node.items().len().max(1));
    let empty = reader.node(NAME).is_some_and(|node| node.value == Value::List(Vec::new()));
    let sources: Vec<IdentitySource> =
        texts.iter().filter_map(|text| source(reader, text)).collect();
    (empty || sources.len() == listed).then_some(sources)
}

/// Reads one identity source in the WebSocket spelling.
fn source(reader: &mut Reader<'_>, text: &Located<String>) -> Option<IdentitySource> {
    let parsed = parse_source(&text.value);
    if parsed.is_none() {
        let wanted = match text.value.strip_prefix('$') {
            Some(http) => format!("write `route.{}` without the dollar sign", http.trim_start_matches("route.")),
            None => "write `route.request.header.Cookie`, `route.request.querystring.NAME`, `context.NAME` or `stageVariables.NAME`".to_owned(),
        };
        let message = format!(
            "`{}` is not an identity source of a WebSocket API; AWS refuses the authorizer",
            text.value
        );
        reader.wrong(codes::IDENTITY_SOURCE, text.span, "IdentitySource", message, Some(wanted));
    }
    parsed
}

fn parse_source(text: &str) -> Option<IdentitySource> {
    let valid = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| valid(name));
    if let Some(name) = named("route.request.header.") {
        return Some(IdentitySource::Header(name.to_owned()));
    }
    if let Some(name) = named("route.request.querystring.") {
        return Some(IdentitySource::QueryString(name.to_owned()));
    }
    if let Some(name) = named("context.") {
        return Some(IdentitySource::Context(name.to_owned()));
    }
    named("stageVariables.").map(|name| IdentitySource::StageVariable(name.to_owned()))
}
