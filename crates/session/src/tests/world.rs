//! Stages, connections and operations to test with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api_model::api::{
    Api, Authorization, HttpTarget, Integration, IntegrationResponse, LambdaUri, Passthrough,
    ResponseKey, Route, Stage, Target, Templates, VariableText,
};
use api_model::expression::{Expression, Scope};
use api_model::parameter::{Destination, ParameterMapping, ParameterSource};
use vtl::Template;

use crate::connection::{Authorized, Connection, Handshake, Id, Kind, Operation};

/// `25/Sep/2026:00:02:15 +0000`, in milliseconds.
pub(super) const NOW: u64 = 1_790_294_535_120;

pub(super) const ARN: &str = "arn:aws:lambda:us-east-1:111122223333:function:chat";

pub(super) fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn integration(target: Target) -> Integration {
    Integration {
        logical_id: "Integration".to_owned(),
        span: api_model::Span::default(),
        target,
        timeout: Duration::from_secs(29),
        parameters: Vec::new(),
        templates: Templates::default(),
        passthrough: Passthrough::WhenNoMatch,
        responses: Vec::new(),
    }
}

pub(super) fn function() -> Integration {
    integration(Target::Function(LambdaUri { arn: VariableText::parse(ARN) }))
}

fn http_target(url: &str) -> HttpTarget {
    HttpTarget { method: "POST".to_owned(), url: VariableText::parse(url) }
}

pub(super) fn http(url: &str) -> Integration {
    integration(Target::Http(http_target(url)))
}

pub(super) fn http_proxy(url: &str) -> Integration {
    integration(Target::HttpProxy(http_target(url)))
}

/// A `MOCK` whose request template and `$default` response template are these.
pub(super) fn mock(request: &str, response: &str) -> Integration {
    Integration {
        templates: templates(None, &[("$default", request)]),
        responses: vec![response_of("$default", &[("$default", response)])],
        ..integration(Target::Mock)
    }
}

pub(super) fn templates(selection: Option<&str>, list: &[(&str, &str)]) -> Templates {
    Templates {
        selection: selection.map(|text| Expression::parse(text, Scope::Response).unwrap()),
        list: list
            .iter()
            .map(|(key, text)| ((*key).to_owned(), Arc::new(Template::parse(text).unwrap())))
            .collect(),
    }
}

/// An integration response; its key is `$default` or the pattern of a status.
pub(super) fn response_of(key: &str, list: &[(&str, &str)]) -> IntegrationResponse {
    let key = match key {
        "$default" => ResponseKey::Default,
        pattern => ResponseKey::Pattern(regex::Regex::new(&format!("^(?:{pattern})$")).unwrap()),
    };
    IntegrationResponse { key, templates: templates(None, list), parameters: Vec::new() }
}

/// `RequestParameters`, in the spelling of templates.
pub(super) fn parameters(list: &[(&str, &str)]) -> Vec<ParameterMapping> {
    list.iter()
        .map(|(destination, source)| ParameterMapping {
            destination: Destination::parse(&format!("integration.request.{destination}")).unwrap(),
            source: ParameterSource::parse(source).unwrap(),
        })
        .collect()
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Way {
    One,
    Two,
}

pub(super) fn route(key: &str, way: Way, integration: Option<Integration>) -> Route {
    Route {
        key: key.to_owned(),
        logical_id: "Route".to_owned(),
        authorization: Authorization::None,
        integration: integration.map(Arc::new),
        two_way: way == Way::Two,
        required: Vec::new(),
    }
}

pub(super) fn stage(selection: &str, routes: Vec<Route>) -> Stage {
    let routes: HashMap<_, _> =
        routes.into_iter().map(|route| (route.key.clone(), Arc::new(route))).collect();
    Stage {
        api: Arc::new(Api {
            api_id: "a1b2c3d4e5".to_owned(),
            logical_id: "Chat".to_owned(),
            name: "chat".to_owned(),
            stack: "chat".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "111122223333".to_owned(),
            partition: "aws".to_owned(),
            route_selection: Expression::parse(selection, Scope::Request).unwrap(),
            disable_execute_api_endpoint: false,
        }),
        name: "dev".to_owned(),
        variables: pairs(&[("env", "dev"), ("empty", "")]),
        routes,
        throttle: None,
        route_throttles: HashMap::new(),
    }
}

pub(super) fn connection() -> Connection {
    Connection {
        id: "gbgBRs9dGQAYKEh7VA==".to_owned(),
        api_id: "a1b2c3d4e5".to_owned(),
        stage: "dev".to_owned(),
        domain_name: "ws.example.com".to_owned(),
        host: "ws.example.com:8443".to_owned(),
        connected_at: 1_790_294_533_000,
        source_ip: "198.51.100.7".to_owned(),
        user_agent: Some("demo-client/1.0".to_owned()),
        authorizer: Some(Authorized {
            principal_id: Some("user-42".to_owned()),
            context: pairs(&[("tenant", "acme"), ("level", "3")]),
        }),
    }
}

/// A browser's upgrade request after the gateway read it.
pub(super) fn handshake() -> Handshake {
    Handshake {
        headers: pairs(&[
            ("Host", "ws.example.com:8443"),
            ("Connection", "Upgrade, X-Hop"),
            ("Upgrade", "websocket"),
            ("X-Hop", "1"),
            ("cookie", "sid=abc"),
            ("X-Mixed-Header", "first"),
            ("x-mixed-header", "last"),
            ("Content-Length", "0"),
            ("User-Agent", "demo-client/1.0"),
            ("X-Amzn-Trace-Id", "Root=1-6ab5bec5-000000000000000000000001"),
            ("X-Forwarded-For", "198.51.100.7"),
        ]),
        query: pairs(&[("tag", "first"), ("room", "blue"), ("tag", "second"), ("none", "")]),
    }
}

pub(super) fn operation(kind: Kind) -> Operation {
    let route_key = match kind {
        Kind::Connect { .. } => "$connect",
        Kind::Disconnect { .. } => "$disconnect",
        Kind::Message { .. } => "send",
    };
    Operation {
        stage: Arc::new(stage("$request.body.action", Vec::new())),
        connection: Arc::new(connection()),
        route_key: route_key.into(),
        request_id: Id::request(*b"request-one"),
        time: NOW,
        kind,
    }
}

pub(super) fn connect() -> Operation {
    operation(Kind::Connect { handshake: Arc::new(handshake()), authorizer_latency: Some(33) })
}

pub(super) fn connect_with(headers: &[(&str, &str)]) -> Operation {
    let handshake = Handshake { headers: pairs(headers), query: handshake().query };
    operation(Kind::Connect { handshake: Arc::new(handshake), authorizer_latency: None })
}

pub(super) fn message() -> Operation {
    operation(Kind::Message { message_id: Id::message(*b"message-id-13") })
}

pub(super) fn disconnect(code: u16, reason: &str) -> Operation {
    operation(Kind::Disconnect { code, reason: reason.to_owned() })
}

/// The operation without authorizer, user agent and stage variables.
pub(super) fn bare(mut operation: Operation) -> Operation {
    let connection = Arc::make_mut(&mut operation.connection);
    connection.authorizer = None;
    connection.user_agent = None;
    Arc::make_mut(&mut operation.stage).variables.clear();
    operation
}
