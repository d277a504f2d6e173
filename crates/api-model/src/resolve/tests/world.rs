//! A sound stack, changes to it, and checks of what comes of them.

use std::cell::RefCell;

use serde_json::{Map, Value as Json, json};

use crate::Model;
use crate::api::Authorization;
use crate::diagnostic::{Diagnostics, Severity};
use crate::node::{Entry, Node, Resource, Stack, Value};
use crate::resolve::{Compat, resolve};
use crate::source::{Position, Span};

/// Stands for a value that cannot be known.
pub(super) const UNKNOWN: &str = "<unknown>";

const FUNCTION: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:111122223333:function";

pub(super) fn uri(function: &str) -> String {
    format!("{FUNCTION}:{function}/invocations")
}

/// A guarded API with routes of each kind, a stage and a domain. Each resource is
/// a type, its properties, perhaps `DependsOn` and a physical id; without one it is
/// the logical id.
fn base() -> Json {
    json!({
        "Api": ["ApiGatewayV2::Api", {
            "Name": "chat", "ProtocolType": "WEBSOCKET",
            "RouteSelectionExpression": "$request.body.action",
        }],
        "Role": ["IAM::Role", {}],
        "Handler": ["Lambda::Function", { "Role": "arn:aws:iam::111122223333:role/Role" }],
        "HandlerPermission": ["Lambda::Permission", {
            "FunctionName": "Handler", "Principal": "apigateway.amazonaws.com",
            "SourceArn": "arn:aws:execute-api:us-east-1:111122223333:Api/*",
        }],
        "Auth": ["Lambda::Function", { "Role": "arn:aws:iam::111122223333:role/Role" }],
        "AuthPermission": ["Lambda::Permission", {
            "FunctionName": "Auth", "Principal": "apigateway.amazonaws.com",
        }],
        "Guard": ["ApiGatewayV2::Authorizer", {
            "ApiId": "Api", "Name": "guard", "AuthorizerType": "REQUEST",
            "AuthorizerUri": uri("Auth"), "IdentitySource": ["route.request.header.Cookie"],
        }],
        "Proxy": ["ApiGatewayV2::Integration", {
            "ApiId": "Api", "IntegrationType": "AWS_PROXY", "IntegrationMethod": "POST",
            "IntegrationUri": uri("Handler"),
        }],
        "Http": ["ApiGatewayV2::Integration", {
            "ApiId": "Api", "IntegrationType": "HTTP", "IntegrationMethod": "PUT",
            "IntegrationUri": "https://backend.example/{room}",
            "TemplateSelectionExpression": "\\$default",
            "RequestTemplates": { "$default": "$input.body" },
            "RequestParameters": { "integration.request.path.room": "route.request.body.room" },
        }],
        "HttpResponse": ["ApiGatewayV2::IntegrationResponse", {
            "ApiId": "Api", "IntegrationId": "Http", "IntegrationResponseKey": "/2\\d\\d/",
            "ResponseTemplates": { "$default": "$input.json('$')" },
        }],
        "Mock": ["ApiGatewayV2::Integration", { "ApiId": "Api", "IntegrationType": "MOCK" }],
        "Connect": ["ApiGatewayV2::Route", {
            "ApiId": "Api", "RouteKey": "$connect", "AuthorizationType": "CUSTOM",
            "AuthorizerId": "Guard", "Target": "integrations/Proxy",
        }],
        "Default": ["ApiGatewayV2::Route", {
            "ApiId": "Api", "RouteKey": "$default", "Target": "integrations/Proxy",
            "RouteResponseSelectionExpression": "$default",
        }],
        "DefaultResponse": ["ApiGatewayV2::RouteResponse", {
            "ApiId": "Api", "RouteId": "Default", "RouteResponseKey": "$default",
        }],
        "Put": ["ApiGatewayV2::Route", {
            "ApiId": "Api", "RouteKey": "put", "Target": "integrations/Http",
        }],
        "Ping": ["ApiGatewayV2::Route", {
            "ApiId": "Api", "RouteKey": "ping", "Target": "integrations/Mock",
        }],
        "Deployment": ["ApiGatewayV2::Deployment", { "ApiId": "Api" },
            ["Connect", "Default", "Put", "Ping"]],
        "Stage": ["ApiGatewayV2::Stage", {
            "ApiId": "Api", "StageName": "dev", "DeploymentId": "Deployment",
        }],
        "Domain": ["ApiGatewayV2::DomainName", { "DomainName": "ws.example.com" }],
        "Mapping": ["ApiGatewayV2::ApiMapping", {
            "ApiId": "Api", "Stage": "dev", "DomainName": "ws.example.com",
        }],
    })
}

/// The sound stack with changes. A change names a resource: an object sets
/// properties (`null` removes one, `DependsOn` is the attribute), a list adds the
/// resource, `null` removes it.
fn changed(changes: &Json) -> Map<String, Json> {
    let Json::Object(mut resources) = base() else { unreachable!("the base is an object") };
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Json::Null => {
                resources.shift_remove(name).unwrap();
            }
            Json::Object(properties) => set(&mut resources[name], properties),
            added => {
                resources.insert(name.clone(), added.clone());
            }
        }
    }
    resources
}

fn set(resource: &mut Json, properties: &Map<String, Json>) {
    for (name, value) in properties {
        if name == "DependsOn" {
            resource[2] = value.clone();
        } else if value.is_null() {
            resource[1].as_object_mut().unwrap().shift_remove(name).unwrap();
        } else {
            resource[1][name] = value.clone();
        }
    }
}

/// Gives every value a place of its own: the line is its index here, keys and
/// values differ in their column.
#[derive(Default)]
struct Places(RefCell<Vec<String>>);

impl Places {
    fn add(&self, path: &str, column: u32) -> Span {
        let mut paths = self.0.borrow_mut();
        paths.push(path.to_owned());
        let line = u32::try_from(paths.len()).unwrap();
        let start = Position { line, column };
        Span { file: 0, start, end: start }
    }

    fn show(&self, span: Span) -> String {
        let path = &self.0.borrow()[span.start.line as usize - 1];
        format!("{path}{}", if span.start.column == 2 { ":" } else { "" })
    }

    fn node(&self, json: &Json, path: &str) -> Node {
        let span = self.add(path, 1);
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) if text == UNKNOWN => Value::Unresolved,
            Json::String(text) => Value::String(text.clone()),
            Json::Array(items) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.node(item, &format!("{path}.{i}")))
                    .collect(),
            ),
            Json::Object(members) => Value::Map(
                members.iter().map(|(key, value)| self.entry(key, value, path)).collect(),
            ),
        };
        Node::new(value, span)
    }

    fn entry(&self, key: &str, value: &Json, path: &str) -> Entry {
        let path = format!("{path}.{key}");
        Entry { key: key.to_owned(), key_span: self.add(&path, 2), value: self.node(value, &path) }
    }

    fn resource(&self, logical_id: &str, json: &Json) -> Resource {
        let depends_on = json.get(2).and_then(Json::as_array);
        let depends_on = depends_on.into_iter().flatten().map(|name| name.as_str().unwrap());
        Resource {
            logical_id: logical_id.to_owned(),
            span: self.add(logical_id, 1),
            resource_type: format!("AWS::{}", json[0].as_str().unwrap()),
            physical_id: json.get(3).and_then(Json::as_str).unwrap_or(logical_id).to_owned(),
            properties: self.node(&json[1], logical_id),
            metadata: Node::new(Value::Null, Span::default()),
            depends_on: depends_on.map(|name| (name.to_owned(), Span::default())).collect(),
        }
    }
}

/// The model of the changed stack, and its findings as lines: severity, code and place.
pub(super) fn resolved(changes: &Json, compat: Compat) -> (Model, Diagnostics, Vec<String>) {
    let places = Places::default();
    let resources =
        changed(changes).iter().map(|(name, json)| places.resource(name, json)).collect();
    let stack = Stack {
        name: "chat".to_owned(),
        region: "us-east-1".to_owned(),
        account_id: "111122223333".to_owned(),
        partition: "aws".to_owned(),
        file: 0,
        resources,
        outputs: Vec::new(),
    };
    let (model, findings) = resolve(&[stack], compat);
    let lines = findings.list.iter().map(|finding| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        assert!(finding.logical_id.is_some(), "{finding:?} belongs to no resource");
        format!("{severity} {} {}", finding.code, places.show(finding.span))
    });
    let lines = lines.collect();
    (model, findings, lines)
}

/// Checks the findings of the changed stack: all of them, in order.
#[track_caller]
pub(super) fn check(changes: Json, want: &[&str]) {
    check_in(Compat::Wsgate, changes, want);
}

#[track_caller]
pub(super) fn check_in(compat: Compat, changes: Json, want: &[&str]) {
    let (_, _, lines) = resolved(&changes, compat);
    assert_eq!(lines, want, "{changes}");
}

/// Route keys of the only stage, sorted; nothing if it is not served.
pub(super) fn served_keys(changes: &Json, compat: Compat) -> Vec<String> {
    let (model, _, _) = resolved(changes, compat);
    let mut keys: Vec<String> =
        model.stages.iter().flat_map(|stage| stage.routes.keys().cloned()).collect();
    keys.sort();
    keys
}

/// Every resource and property of the sound stack.
pub(super) fn properties() -> Vec<(String, String)> {
    let Json::Object(resources) = base() else { unreachable!("the base is an object") };
    let of = |(name, resource): (String, Json)| {
        let properties = resource[1].as_object().unwrap().clone();
        properties.into_iter().map(move |(property, _)| (name.clone(), property))
    };
    resources.into_iter().flat_map(of).collect()
}

/// Whether nobody can connect unless the authorizer lets them: either nothing is
/// served, or `$connect` asks it.
pub(super) fn is_closed(changes: &Json, compat: Compat) -> bool {
    let (model, findings, _) = resolved(changes, compat);
    let asks = |key: &str, stage: &crate::api::Stage| {
        let route = stage.routes.get(key);
        route.is_some_and(|route| matches!(route.authorization, Authorization::Custom(_)))
    };
    findings.has_errors() || model.stages.iter().all(|stage| asks("$connect", stage))
}
