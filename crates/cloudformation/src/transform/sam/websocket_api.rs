//! [`AWS::Serverless::WebSocketApi`].
//!
//! SAM makes no route responses: a route answers its client only if the
//! template adds an `AWS::ApiGatewayV2::RouteResponse` for it.
//!
//! [`AWS::Serverless::WebSocketApi`]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-websocketapi.html

use api_model::{Entry, Node, Span, Value};

use super::{Expansion, Source};
use crate::codes;
use crate::document::excerpt;
use crate::function;
use crate::nearest::nearest;
use crate::template::kind;
use crate::transform::build::{call, entry, list, map, reference, text};

mod auth;
mod domain;

use auth::Auth;

/// What a property must be; a function may stand for any of them.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    Map,
    Text,
}

const PROPERTIES: [(&str, Kind); 18] = [
    ("AccessLogSettings", Kind::Map),
    ("ApiKeySelectionExpression", Kind::Text),
    ("Auth", Kind::Map),
    ("DefaultRouteSettings", Kind::Map),
    ("Description", Kind::Text),
    ("DisableExecuteApiEndpoint", Kind::Bool),
    ("DisableSchemaValidation", Kind::Bool),
    ("Domain", Kind::Map),
    ("FailOnWarnings", Kind::Bool),
    ("IpAddressType", Kind::Text),
    ("Name", Kind::Text),
    ("PropagateTags", Kind::Bool),
    ("RouteSelectionExpression", Kind::Text),
    ("RouteSettings", Kind::Map),
    ("Routes", Kind::Map),
    ("StageName", Kind::Text),
    ("StageVariables", Kind::Map),
    ("Tags", Kind::Map),
];

const ROUTE_PROPERTIES: [&str; 8] = [
    "ApiKeyRequired",
    "FunctionArn",
    "IntegrationTimeout",
    "ModelSelectionExpression",
    "OperationName",
    "RequestModels",
    "RequestParameters",
    "RouteResponseSelectionExpression",
];

/// What a resource of SAM says about itself on AWS.
const CREATED_BY: &str = "websocketapi:createdBy";

/// The stage of an API that names none.
const DEFAULT_STAGE: &str = "default";

const CONNECT: &str = "$connect";

/// Adds the API, its routes, integrations, permissions, authorizer and stage.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) {
    out.check_properties(source, &PROPERTIES.map(|(name, _)| name));
    check_kinds(source, out);
    report_condition(source, out);
    let routes = read_routes(source, out);
    let auth = auth::read(source, &routes, out);
    let stage = Stage::read(source, out);
    add_api(source, out);
    for route in &routes {
        if out.is_full() {
            return;
        }
        add_route(source, route, &auth, &stage, out);
    }
    domain::add(source, &stage, out);
    add_stage(source, &stage, &routes, out);
    auth::add(source, &auth, out);
}

/// A property of the right kind.
fn property<'a>(source: &'a Source<'_>, name: &str) -> Option<&'a Entry> {
    let entry = source.properties.entries().iter().find(|entry| entry.key == name)?;
    let kind = PROPERTIES.iter().find(|(known, _)| *known == name)?.1;
    is_of(&entry.value, kind).then_some(entry)
}

fn is_of(node: &Node, wanted: Kind) -> bool {
    let is_kind = match &node.value {
        Value::Unresolved => return true,
        Value::Bool(_) => wanted == Kind::Bool,
        Value::String(_) => wanted == Kind::Text,
        Value::Map(_) => wanted == Kind::Map,
        Value::Null | Value::Number(_) | Value::List(_) => false,
    };
    is_kind || function::call(node).is_some()
}

fn check_kinds(source: &Source<'_>, out: &mut Expansion<'_>) {
    for (name, wanted) in PROPERTIES {
        let Some(node) = source.property(name) else {
            if name == "Routes" || name == "RouteSelectionExpression" {
                let message = format!("a WebSocket API needs `{name}`");
                out.refuse(source, name, source.span, message);
            }
            continue;
        };
        if !is_of(node, wanted) {
            let what = match wanted {
                Kind::Bool => "`true` or `false`",
                Kind::Map => "a mapping",
                Kind::Text => "a string",
            };
            let message = format!("`{name}` must be {what}, and this is {}", kind(node));
            out.refuse(source, name, node.span, message);
        }
    }
    if let Some(node) = source.property("IpAddressType")
        && let Value::String(name) = &node.value
        && !matches!(name.as_str(), "ipv4" | "dualstack")
    {
        let message = "`IpAddressType` must be `ipv4` or `dualstack`";
        out.refuse(source, "IpAddressType", node.span, message);
    }
}

/// SAM drops the condition of a WebSocket API.
fn report_condition(source: &Source<'_>, out: &mut Expansion<'_>) {
    if let Some(condition) = source.attributes.iter().find(|entry| entry.key == "Condition") {
        let message = "SAM hands the condition of a WebSocket API to nothing that it makes of it, so the API is created in any case";
        out.ignore(source, "", condition.key_span, message)
            .at(source.logical_id, "Condition")
            .hint("write the API in plain CloudFormation to make it conditional");
    }
}

/// One route as it is written.
struct Route<'a> {
    key: &'a str,
    /// The part of the key in logical ids.
    id: String,
    span: Span,
    properties: &'a [Entry],
}

impl Route<'_> {
    fn find(&self, name: &str) -> Option<&Entry> {
        self.properties.iter().find(|entry| entry.key == name)
    }

    fn logical_id(&self, source: &Source<'_>, suffix: &str) -> String {
        format!("{}{}{suffix}", source.logical_id, self.id)
    }
}

/// The routes that have a logical id, each of its own.
fn read_routes<'a>(source: &'a Source<'_>, out: &mut Expansion<'_>) -> Vec<Route<'a>> {
    let mut routes: Vec<Route<'a>> = Vec::new();
    let Some(section) = property(source, "Routes") else {
        return routes;
    };
    if section.value.entries().is_empty() {
        let message = "a WebSocket API must have at least one route";
        out.refuse(source, "Routes", section.key_span, message);
    }
    for entry in section.value.entries() {
        let Some(id) = route_id(&entry.key) else {
            let message = format!(
                "route key `{}` must be letters and digits, or one of $connect, $disconnect and $default",
                excerpt(&entry.key)
            );
            out.refuse(source, "Routes", entry.key_span, message)
                .hint("write routes of other keys in plain CloudFormation");
            continue;
        };
        check_route(source, entry, out);
        let (key, span, properties) = (entry.key.as_str(), entry.key_span, entry.value.entries());
        let route = Route { key, id, span, properties };
        match routes.iter_mut().find(|other| other.id == route.id) {
            None => routes.push(route),
            Some(other) => {
                let message = format!(
                    "SAM makes `{}` of `{}` and of `{}`, so only the last of them exists",
                    excerpt(&route.logical_id(source, "Route")),
                    excerpt(other.key),
                    excerpt(route.key)
                );
                out.ignore(source, &format!("Routes.{}", other.key), other.span, message)
                    .hint("give them keys that differ in more than case");
                *other = route;
            }
        }
    }
    routes
}

/// SAM spells `sendMessage` as `Sendmessage` in logical ids.
fn route_id(key: &str) -> Option<String> {
    let name = match key {
        CONNECT | "$disconnect" | "$default" => &key[1..],
        _ => key,
    };
    let is_valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let mut id = name.to_ascii_lowercase();
    id.get_mut(..1)?.make_ascii_uppercase();
    is_valid.then_some(id)
}

fn check_route(source: &Source<'_>, entry: &Entry, out: &mut Expansion<'_>) {
    let path = format!("Routes.{}", entry.key);
    if !matches!(entry.value.value, Value::Map(_)) {
        let message = format!("a route must be a mapping, and this is {}", kind(&entry.value));
        out.refuse(source, &path, entry.value.span, message).hint("write `{FunctionArn: ...}`");
        return;
    }
    check_members(source, &path, &entry.value, &ROUTE_PROPERTIES, out);
    if entry.value.find("FunctionArn").is_none() {
        let message = "a route must name its function";
        out.refuse(source, &path, entry.key_span, message).hint("add `FunctionArn`");
    }
    if let Some(parameters) = entry.value.find("RequestParameters")
        && entry.key != CONNECT
        && !is_empty(parameters)
    {
        let message = "only `$connect` takes `RequestParameters`";
        let path = format!("{path}.RequestParameters");
        out.refuse(source, &path, parameters.span, message).hint("remove them");
    }
}

/// What Python counts as nothing.
fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Unresolved => false,
    }
}

/// Reports members that SAM does not know and would leave out in silence:
/// one that was meant to guard something must not vanish.
fn check_members(
    source: &Source<'_>,
    path: &str,
    node: &Node,
    known: &[&str],
    out: &mut Expansion<'_>,
) {
    for member in node.entries() {
        if known.contains(&member.key.as_str()) {
            continue;
        }
        let name = excerpt(&member.key);
        let message = format!("`{path}` has no property `{name}`, and SAM leaves it out");
        let hint = nearest(&member.key, known.iter().copied()).map_or_else(
            || "remove it, or write the resource in plain CloudFormation".to_owned(),
            |near| format!("write `{near}`"),
        );
        out.diagnostics
            .error(codes::SAM_PROPERTY, member.key_span, message)
            .at(source.logical_id, format!("Properties.{path}.{}", member.key))
            .hint(hint);
    }
}

/// The properties of `names` that are given.
fn passed(source: &Source<'_>, names: &[&str]) -> Vec<Entry> {
    names.iter().filter_map(|name| property(source, name).cloned()).collect()
}

/// `Tags`, with SAM's own.
fn tags(source: &Source<'_>) -> Entry {
    let own = entry(CREATED_BY, text("SAM", source.span));
    match property(source, "Tags") {
        Some(Entry { key, key_span, value: Node { value: Value::Map(given), span } }) => {
            let kept = given.iter().filter(|tag| tag.key != CREATED_BY).cloned();
            Entry { key: key.clone(), key_span: *key_span, value: map(kept.chain([own]), *span) }
        }
        _ => entry("Tags", map([own], source.span)),
    }
}

/// `Tags` of what belongs to the API.
fn propagated_tags(source: &Source<'_>) -> Entry {
    match source.property("PropagateTags").map(|node| &node.value) {
        Some(Value::Bool(true)) => tags(source),
        _ => entry("Tags", map([entry(CREATED_BY, text("SAM", source.span))], source.span)),
    }
}

fn add_api(source: &Source<'_>, out: &mut Expansion<'_>) {
    const PASSED: [&str; 6] = [
        "ApiKeySelectionExpression",
        "Description",
        "DisableExecuteApiEndpoint",
        "DisableSchemaValidation",
        "IpAddressType",
        "RouteSelectionExpression",
    ];
    let name = property(source, "Name").cloned();
    let mut properties =
        vec![name.unwrap_or_else(|| entry("Name", text(source.logical_id, source.span)))];
    properties.push(entry("ProtocolType", text("WEBSOCKET", source.span)));
    properties.extend(passed(source, &PASSED));
    properties.push(tags(source));
    let attributes = source.attributes.iter().filter(|entry| entry.key == "DependsOn");
    let attributes = attributes.cloned().collect();
    out.add(source, source.logical_id, "AWS::ApiGatewayV2::Api", properties, attributes);
}

/// The address under which API Gateway invokes the function `arn`, which the
/// text calls `name`.
fn invocation(name: &str, arn: &Node) -> Node {
    let pattern = format!(
        "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{name}}}/invocations"
    );
    let variables = map([entry(name, arn.clone())], arn.span);
    call("Fn::Sub", list([text(pattern, arn.span), variables], arn.span))
}

/// The permission for API Gateway to invoke the function `arn`.
fn permission(arn: &Node, source_arn: Node) -> Vec<Entry> {
    let span = arn.span;
    vec![
        entry("Action", text("lambda:InvokeFunction", span)),
        entry("FunctionName", arn.clone()),
        entry("Principal", text("apigateway.amazonaws.com", span)),
        entry("SourceArn", source_arn),
    ]
}

fn add_route(
    source: &Source<'_>,
    route: &Route<'_>,
    auth: &Auth<'_>,
    stage: &Stage,
    out: &mut Expansion<'_>,
) {
    const PASSED: [&str; 5] = [
        "ApiKeyRequired",
        "ModelSelectionExpression",
        "OperationName",
        "RequestModels",
        "RouteResponseSelectionExpression",
    ];
    let span = route.span;
    let api = || entry("ApiId", reference(source.logical_id, span));
    let integration_id = route.logical_id(source, "Integration");
    let mut properties = vec![api(), entry("RouteKey", text(route.key, span))];
    if route.key == CONNECT {
        properties.extend(auth.of_route(source));
        let parameters = route.find("RequestParameters");
        properties.extend(parameters.filter(|entry| !is_empty(&entry.value)).cloned());
    }
    properties.extend(PASSED.iter().filter_map(|name| route.find(name).cloned()));
    let parts = list([text("integrations", span), reference(&integration_id, span)], span);
    let target = call("Fn::Join", list([text("/", span), parts], span));
    properties.push(entry("Target", target));
    let route_id = route.logical_id(source, "Route");
    out.add(source, &route_id, "AWS::ApiGatewayV2::Route", properties, Vec::new());

    let missing = Node::new(Value::Unresolved, span); // Reported.
    let arn = route.find("FunctionArn").map_or(&missing, |entry| &entry.value);
    let mut properties = vec![api(), entry("IntegrationType", text("AWS_PROXY", span))];
    properties.push(entry("IntegrationUri", invocation("FunctionArn", arn)));
    properties.extend(
        route
            .find("IntegrationTimeout")
            .map(|timeout| Entry { key: "TimeoutInMillis".to_owned(), ..timeout.clone() }),
    );
    out.add(source, &integration_id, "AWS::ApiGatewayV2::Integration", properties, Vec::new());

    let permission_id = route.logical_id(source, "Permission");
    let properties = permission(arn, stage.source_arn(source, route));
    out.add(source, &permission_id, "AWS::Lambda::Permission", properties, Vec::new());
}

/// The one stage of the API.
struct Stage {
    name: Node,
    logical_id: String,
}

impl Stage {
    fn read(source: &Source<'_>, out: &mut Expansion<'_>) -> Self {
        let name = match property(source, "StageName") {
            Some(given) => given.value.clone(),
            None => text(DEFAULT_STAGE, source.span),
        };
        let api = source.logical_id;
        let mut logical_id = match &name.value {
            Value::String(name) if name == DEFAULT_STAGE => format!("{api}DefaultStage"),
            Value::String(name) => format!("{api}{name}Stage"),
            _ => format!("{api}Stage"),
        };
        if let Value::String(text) = &name.value {
            let message = if text == "$default" {
                "a WebSocket API cannot have a stage `$default`".to_owned()
            } else if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                format!(
                    "SAM makes the logical id `{}` of this stage name, and logical ids are letters and digits",
                    excerpt(&logical_id)
                )
            } else {
                String::new()
            };
            if !message.is_empty() {
                out.refuse(source, "StageName", name.span, message)
                    .hint("use letters and digits, or give the name by a parameter");
                logical_id = format!("{api}Stage");
            }
        }
        out.refer(source, "Stage", &logical_id);
        Self { name, logical_id }
    }

    /// Who may invoke the function of a route.
    fn source_arn(&self, source: &Source<'_>, route: &Route<'_>) -> Node {
        const OWN: &str = "__StageName__";
        let api = format!(
            "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{{}.ApiId}}",
            source.logical_id
        );
        let span = self.name.span;
        let argument = match &self.name.value {
            Value::String(stage) => text(format!("{api}/{stage}/{}", route.key), span),
            _ => {
                let pattern = text(format!("{api}/${{{OWN}}}/{}", route.key), span);
                list([pattern, map([entry(OWN, self.name.clone())], span)], span)
            }
        };
        call("Fn::Sub", argument)
    }
}

fn add_stage(source: &Source<'_>, stage: &Stage, routes: &[Route<'_>], out: &mut Expansion<'_>) {
    const PASSED: [&str; 4] =
        ["AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "StageVariables"];
    let span = source.span;
    let mut properties = vec![
        entry("ApiId", reference(source.logical_id, span)),
        entry("StageName", stage.name.clone()),
        entry("AutoDeploy", Node::new(Value::Bool(true), span)),
    ];
    properties.extend(passed(source, &PASSED));
    properties.push(propagated_tags(source));
    let mut attributes = Vec::new();
    if source.property("RouteSettings").is_some_and(|node| !is_empty(node)) {
        let ids = routes.iter().map(|route| text(route.logical_id(source, "Route"), span));
        attributes.push(entry("DependsOn", list(ids, span)));
    }
    out.add(source, &stage.logical_id, "AWS::ApiGatewayV2::Stage", properties, attributes);
}
