//! `AWS::ApiGatewayV2::Route` and `RouteResponse` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html

use std::collections::HashMap;
use std::sync::Arc;

use super::{ApiParts, Apis, ResponseParts, RouteParts, api_of};
use crate::api::{Authorization, RequiredParameter, Route};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Entry, Node, Resource, Value};
use crate::raw::{self, Located, Reader};

/// Whether a route is where it was meant to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is, or its API is not served.
    Known,
    /// It could not be read, so nobody knows what it would have guarded.
    Lost,
}

pub(super) fn resolve(resource: &Resource, apis: &mut Apis, out: &mut Diagnostics) -> Outcome {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::ROUTE);
    let api_id = reader.node("ApiId").and_then(Node::as_text);
    let is_unserved = api_id.is_some_and(|id| matches!(apis.get(&*id), Some(None)));
    let Some(parts) = api_of(&mut reader, apis) else {
        return if is_unserved { Outcome::Known } else { Outcome::Lost };
    };
    let route = read(&mut reader, parts);
    let Some(route) = route else {
        parts.broken.insert(resource.physical_id.clone());
        return Outcome::Lost;
    };
    parts.routes.push(route);
    Outcome::Known
}

/// `None` if any part of it that decides who may do what is wrong.
fn read(reader: &mut Reader<'_>, parts: &ApiParts) -> Option<RouteParts> {
    let key_required = reader.boolean("ApiKeyRequired").map(|flag| flag.value);
    if key_required == Some(true) {
        reader.unsupported("ApiKeyRequired", "connects would need no API key");
    }
    reader.unsupported("ModelSelectionExpression", "messages would not be validated");
    reader.unsupported("AuthorizationScopes", "they belong to JWT authorizers of HTTP APIs");
    reader.ignored("RequestModels", "without `ModelSelectionExpression` nothing is validated");
    let key = reader.required("RouteKey")?;
    check_key(reader, &key);
    let is_connect = key.value == "$connect";
    let authorization = authorization(reader, parts, is_connect);
    let required = required_parameters(reader, is_connect);
    let expression = two_way_expression(reader);
    let integration_id = target(reader, parts, &key.value);
    let integration = integration_id.as_ref().and_then(|id| parts.integrations.get(id));
    let resource = reader.resource;
    let is_partly_read = key_required.is_none() && reader.node("ApiKeyRequired").is_some()
        || integration.is_none() && reader.node("Target").is_some();
    let (authorization, required) = (authorization?, required?);
    if is_partly_read {
        return None;
    }
    if parts.routes.iter().any(|other| other.route.key == key.value) {
        let message = format!("two routes have the key `{}`", key.value);
        let hint = Some("keep one of them".to_owned());
        reader.wrong(codes::DUPLICATE, key.span, "RouteKey", message, hint);
        return None;
    }
    let route = Route {
        key: key.value,
        logical_id: resource.logical_id.clone(),
        authorization,
        integration: integration.cloned().map(Arc::new),
        two_way: expression && parts.route_responses.contains_key(&resource.physical_id),
        required,
    };
    Some(RouteParts {
        route: Arc::new(route),
        physical_id: resource.physical_id.clone(),
        span: resource.span,
        expression,
    })
}

fn check_key(reader: &mut Reader<'_>, key: &Located<String>) {
    const PREDEFINED: [&str; 3] = ["$connect", "$default", "$disconnect"];
    if key.value.starts_with('$') && !PREDEFINED.contains(&key.value.as_str()) {
        let message =
            format!("`{}` starts with `$` but is none of the predefined routes", key.value);
        let hint =
            Some("write `$connect`, `$disconnect`, `$default` or a key without `$`".to_owned());
        reader.wrong(codes::PROPERTY_VALUE, key.span, "RouteKey", message, hint);
    }
}

/// `None` if the authorization is wrong: such a route must not exist at all.
fn authorization(
    reader: &mut Reader<'_>,
    parts: &ApiParts,
    is_connect: bool,
) -> Option<Authorization> {
    const NAME: &str = "AuthorizationType";
    let authorizer_id = reader.text("AuthorizerId");
    if let Some(node) = reader.node(NAME)
        && node.value == Value::Unresolved
    {
        return None;
    }
    let kind = match reader.text(NAME) {
        Some(kind) => kind,
        None if reader.node(NAME).is_some() => return None,
        None => Located { value: "NONE".to_owned(), span: reader.resource.span },
    };
    if kind.value != "NONE" && !is_connect {
        let message = format!(
            "`{NAME}` is `{}` on a message route; only `$connect` can be authorized",
            kind.value
        );
        let hint = Some("move it to the `$connect` route".to_owned());
        reader.wrong(codes::AUTHORIZATION_ROUTE, kind.span, NAME, message, hint);
        return None;
    }
    match kind.value.as_str() {
        "NONE" => {
            if let Some(id) = authorizer_id {
                let message = "`AuthorizerId` without `AuthorizationType: CUSTOM` guards nothing";
                let hint = Some("add `AuthorizationType: CUSTOM`".to_owned());
                reader.wrong(
                    codes::AUTHORIZATION_PAIR,
                    id.span,
                    "AuthorizerId",
                    message.to_owned(),
                    hint,
                );
                return None;
            }
            if reader.node("AuthorizerId").is_some() {
                return None;
            }
            Some(Authorization::None)
        }
        "CUSTOM" => {
            let Some(id) = authorizer_id else {
                if reader.node("AuthorizerId").is_none() {
                    let message = "`AuthorizationType` is `CUSTOM`, but `AuthorizerId` is missing";
                    let hint = Some("add `AuthorizerId: !Ref` and the authorizer".to_owned());
                    reader.wrong(
                        codes::AUTHORIZATION_PAIR,
                        kind.span,
                        NAME,
                        message.to_owned(),
                        hint,
                    );
                }
                return None;
            };
            let Some(authorizer) = parts.authorizers.get(&id.value) else {
                if parts.broken.contains(&id.value) {
                    return None;
                }
                let message =
                    format!("`AuthorizerId` is `{}`, which this API does not have", id.value);
                let hint = Some("write `!Ref` and the logical id of the authorizer".to_owned());
                reader.wrong(codes::REFERENCE, id.span, "AuthorizerId", message, hint);
                return None;
            };
            Some(Authorization::Custom(Arc::clone(authorizer)))
        }
        "AWS_IAM" => {
            let message = "`AWS_IAM` on `$connect` is not supported: nobody would be authorized";
            let hint = Some("use a REQUEST authorizer".to_owned());
            reader.wrong(codes::UNSUPPORTED, kind.span, NAME, message.to_owned(), hint);
            None
        }
        other => {
            let message = format!("`{NAME}` is `{other}`, which WebSocket APIs do not have");
            let hint = Some("write `NONE` or `CUSTOM`".to_owned());
            reader.wrong(codes::PROPERTY_VALUE, kind.span, NAME, message, hint);
            None
        }
    }
}

fn target(reader: &mut Reader<'_>, parts: &ApiParts, key: &str) -> Option<String> {
    let Some(target) = reader.text("Target") else {
        if reader.node("Target").is_none() && key != "$connect" && key != "$disconnect" {
            reader
                .out
                .warning(
                    codes::ROUTE_TARGET,
                    reader.resource.span,
                    format!(
                        "route `{key}` has no `Target`; its messages get `Internal server error`"
                    ),
                )
                .at(&reader.resource.logical_id, "Properties.Target")
                .hint("add `Target: !Sub integrations/${Integration}`");
        }
        return None;
    };
    let id = target.value.strip_prefix("integrations/").unwrap_or_default();
    if parts.integrations.contains_key(id) {
        return Some(id.to_owned());
    }
    if parts.broken.contains(id) {
        return None;
    }
    let message = format!("`Target` is `{}`, which names no integration of this API", target.value);
    let hint = Some("write `!Sub integrations/${Integration}`".to_owned());
    reader.wrong(codes::REFERENCE, target.span, "Target", message, hint);
    None
}

/// `RequestParameters` declare what may be mapped; only `Required: true` acts.
/// `None` if it is not clear what is required.
fn required_parameters(
    reader: &mut Reader<'_>,
    is_connect: bool,
) -> Option<Vec<RequiredParameter>> {
    const NAME: &str = "RequestParameters";
    if reader.node(NAME).is_none() {
        return Some(Vec::new());
    }
    let map = reader.map(NAME)?;
    let mut required = Vec::new();
    let mut is_clear = true;
    for entry in map.entries() {
        match is_required(reader, entry) {
            Some(false) => continue,
            Some(true) => {}
            None => {
                is_clear = false;
                continue;
            }
        }
        let header = entry.key.strip_prefix("route.request.header.");
        let query = entry.key.strip_prefix("route.request.querystring.");
        match (header, query) {
            (Some(name), _) if is_connect => {
                required.push(RequiredParameter::Header(name.to_owned()));
            }
            (_, Some(name)) if is_connect => {
                required.push(RequiredParameter::QueryString(name.to_owned()));
            }
            _ => {
                let message = format!("`{}` cannot be required on this route", entry.key);
                let hint = "only `route.request.header.NAME` and `route.request.querystring.NAME` of `$connect` can";
                let property = format!("{NAME}.{}", entry.key);
                let hint = Some(hint.to_owned());
                reader.wrong(codes::PARAMETER, entry.key_span, &property, message, hint);
            }
        }
    }
    is_clear.then_some(required)
}

/// `Required` of one entry; `None` if it cannot be read.
fn is_required(reader: &mut Reader<'_>, entry: &Entry) -> Option<bool> {
    let property = format!("RequestParameters.{}", entry.key);
    if !matches!(entry.value.value, Value::Map(_)) {
        reader.wrong_kind(&entry.value, &property, "a mapping with `Required`");
        return None;
    }
    for member in entry.value.entries() {
        if member.key != "Required" {
            let path = format!("{property}.{}", member.key);
            let message = format!("`{property}` has no member `{}`", member.key);
            let hint = Some("write `Required`".to_owned());
            reader.wrong(codes::PROPERTY_UNKNOWN, member.key_span, &path, message, hint);
        }
    }
    let Some(node) = entry.value.find("Required") else { return Some(false) };
    match node.as_text().as_deref() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => {
            reader.wrong_kind(node, &format!("{property}.Required"), "true or false");
            None
        }
    }
}

fn two_way_expression(reader: &mut Reader<'_>) -> bool {
    const NAME: &str = "RouteResponseSelectionExpression";
    let Some(text) = reader.text(NAME) else { return false };
    if text.value != "$default" && text.value != "\\$default" {
        let message = format!("`{NAME}` is `{}`; AWS allows only `$default`", text.value);
        reader.wrong(
            codes::PROPERTY_VALUE,
            text.span,
            NAME,
            message,
            Some("write `$default`".to_owned()),
        );
    }
    true
}

pub(super) fn resolve_response(resource: &Resource, apis: &mut Apis, out: &mut Diagnostics) {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::ROUTE_RESPONSE);
    let Some(parts) = api_of(&mut reader, apis) else { return };
    reader.ignored("ModelSelectionExpression", "models of route responses have no effect");
    reader.ignored("ResponseModels", "models of route responses have no effect");
    reader.ignored("ResponseParameters", "a text message has no headers");
    if let Some(key) = reader.required("RouteResponseKey")
        && key.value != "$default"
        && key.value != "\\$default"
    {
        let message = format!("`RouteResponseKey` is `{}`; AWS allows only `$default`", key.value);
        let hint = Some("write `$default`".to_owned());
        reader.wrong(codes::ROUTE_RESPONSE_KEY, key.span, "RouteResponseKey", message, hint);
    }
    if let Some(route) = reader.required("RouteId") {
        let response = ResponseParts { logical_id: resource.logical_id.clone(), span: route.span };
        if parts.route_responses.insert(route.value, response).is_some() {
            let message = "the route has two route responses".to_owned();
            let hint = Some("keep one of them".to_owned());
            reader.wrong(codes::DUPLICATE, route.span, "RouteId", message, hint);
        }
    }
}

/// Both settings make a route two-way; half of them is almost always a mistake.
pub(super) fn check_pairs(apis: &Apis, out: &mut Diagnostics) {
    for parts in apis.values().flatten() {
        let by_id: HashMap<&str, &RouteParts> =
            parts.routes.iter().map(|route| (route.physical_id.as_str(), route)).collect();
        for (route_id, response) in &parts.route_responses {
            match by_id.get(route_id.as_str()) {
                None if parts.broken.contains(route_id) => {}
                None => {
                    out.error(
                        codes::REFERENCE,
                        response.span,
                        format!(
                            "`RouteId` is `{route_id}`, which names no served route of this API"
                        ),
                    )
                    .at(&response.logical_id, "Properties.RouteId")
                    .hint("write `!Ref` and the logical id of the route");
                }
                Some(route) if !route.expression => {
                    warn_half(
                        out,
                        route,
                        "it has a RouteResponse but no `RouteResponseSelectionExpression`",
                    );
                }
                Some(_) => {}
            }
        }
        for route in &parts.routes {
            if route.expression && !parts.route_responses.contains_key(&route.physical_id) {
                warn_half(
                    out,
                    route,
                    "it has `RouteResponseSelectionExpression` but no RouteResponse",
                );
            }
        }
    }
}

fn warn_half(out: &mut Diagnostics, route: &RouteParts, what: &str) {
    let message = format!("route `{}` sends no replies: {what}", route.route.key);
    out.warning(codes::TWO_WAY, route.span, message)
        .at(&route.route.logical_id, "Properties.RouteResponseSelectionExpression")
        .hint("set `RouteResponseSelectionExpression: $default` and add an `AWS::ApiGatewayV2::RouteResponse` with key `$default`");
}
