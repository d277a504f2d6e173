//! What mapping templates and parameter mappings see: `$input`, `$util`,
//! `$context` and `$stageVariables` ([reference]).
//!
//! [reference]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Write as _;
use std::sync::Arc;

use jsonpath::Path;
use serde_json::Value as Json;
use vtl::{CallError, Host, Limits, Map, Miss, Reference, Template, Value};

use crate::connection::{Kind, Operation};
use crate::error::Failure;
use crate::event::request_time;
use crate::text;

/// The payload that `$input` stands for: the message in a request template, the
/// integration's answer in a response template.
#[derive(Debug, Default)]
pub struct Input<'a> {
    body: Cow<'a, str>,
    json: OnceCell<Option<Json>>,
}

impl<'a> Input<'a> {
    /// A payload; it is parsed when something asks for its JSON.
    pub fn new(body: impl Into<Cow<'a, str>>) -> Self {
        Self { body: body.into(), json: OnceCell::new() }
    }

    /// The payload as text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The payload as JSON, if it is.
    pub fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_str(&self.body).ok()).as_ref()
    }
}

/// Renders a template for an operation.
pub fn render(
    template: &Template,
    operation: &Operation,
    input: &Input<'_>,
) -> Result<String, Failure> {
    if let Some(text) = template.constant() {
        return Ok(text.to_owned());
    }
    template
        .render(&Scope { operation, input }, &Limits::default())
        .map_err(|_| Failure::TemplateFailed)
}

/// The text of `$context.NAME`; `None` where the operation has no such value.
pub fn context_value<'o>(operation: &'o Operation, name: &str) -> Option<Cow<'o, str>> {
    let connection = &*operation.connection;
    if let Some(key) = name.strip_prefix("authorizer.") {
        let authorized = connection.authorizer.as_ref()?;
        if key == "principalId" {
            return authorized.principal_id.as_deref().map(Cow::Borrowed);
        }
        let found = authorized.context.iter().find(|(name, _)| name == key);
        return found.map(|(_, value)| Cow::Borrowed(value.as_str()));
    }
    match (name, &operation.kind) {
        ("apiId", _) => Some(Cow::Borrowed(&connection.api_id)),
        ("connectedAt", _) => Some(connection.connected_at.to_string().into()),
        ("connectionId", _) => Some(Cow::Borrowed(&connection.id)),
        ("domainName", _) => Some(Cow::Borrowed(&connection.domain_name)),
        ("eventType", kind) => Some(kind.event_type().into()),
        ("extendedRequestId" | "requestId", _) => Some(operation.request_id.as_str().into()),
        ("identity.sourceIp", _) => Some(Cow::Borrowed(&connection.source_ip)),
        ("identity.userAgent", _) => connection.user_agent.as_deref().map(Cow::Borrowed),
        ("messageDirection", _) => Some("IN".into()),
        ("messageId", Kind::Message { message_id }) => Some(message_id.as_str().into()),
        ("requestTime", _) => Some(request_time(operation.time).into()),
        ("requestTimeEpoch", _) => Some(operation.time.to_string().into()),
        ("routeKey", _) => Some(Cow::Borrowed(&*operation.route_key)),
        ("stage", _) => Some(Cow::Borrowed(&operation.stage.name)),
        ("disconnectStatusCode", Kind::Disconnect { code, .. }) => Some(code.to_string().into()),
        ("disconnectReason", Kind::Disconnect { reason, .. }) => Some(reason.as_str().into()),
        _ => None,
    }
}

const INPUT: Host = Host(0);
const UTIL: Host = Host(1);
const CONTEXT: Host = Host(2);
const STAGE_VARIABLES: Host = Host(3);
const AUTHORIZER: Host = Host(4);
const IDENTITY: Host = Host(5);

struct Scope<'a> {
    operation: &'a Operation,
    input: &'a Input<'a>,
}

impl vtl::Scope for Scope<'_> {
    fn find(&self, name: &str) -> Option<Value> {
        let host = match name {
            "input" => INPUT,
            "util" => UTIL,
            "context" => CONTEXT,
            "stageVariables" => STAGE_VARIABLES,
            _ => return None,
        };
        Some(Value::Host(host))
    }

    fn property(&self, host: Host, name: &str) -> Option<Value> {
        match (host, name) {
            (INPUT, "body") => Some(self.input.body().into()),
            (CONTEXT, "authorizer") => Some(Value::Host(AUTHORIZER)),
            (CONTEXT, "identity") => Some(Value::Host(IDENTITY)),
            // Numbers, so that templates can reckon with them.
            (CONTEXT, "connectedAt") => Some(number(self.operation.connection.connected_at)),
            (CONTEXT, "requestTimeEpoch") => Some(number(self.operation.time)),
            (CONTEXT, _) => text_value(context_value(self.operation, name)),
            (AUTHORIZER, _) => {
                text_value(context_value(self.operation, &format!("authorizer.{name}")))
            }
            (IDENTITY, _) => text_value(context_value(self.operation, &format!("identity.{name}"))),
            (STAGE_VARIABLES, _) => self.stage_variable(name).map(Value::from),
            _ => None,
        }
    }

    fn call(&self, host: Host, method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        match host {
            INPUT => self.call_input(method, args),
            UTIL => call_util(method, args),
            // Maps answer `get` as Java's do.
            CONTEXT | AUTHORIZER | IDENTITY | STAGE_VARIABLES if method == "get" => {
                Ok(first_text(args).and_then(|name| self.property(host, &name)))
            }
            _ => Ok(None),
        }
    }

    fn write(&self, root: &str, path: &[Box<str>], out: &mut String) -> bool {
        let value = match (root, path) {
            ("context", [name]) if &**name == "requestTimeEpoch" => {
                write!(out, "{}", self.operation.time).expect("writing to a string");
                return true;
            }
            ("context", [name]) => context_value(self.operation, name),
            ("stageVariables", [name]) => self.stage_variable(name).map(Cow::Borrowed),
            ("input", [name]) if &**name == "body" => Some(Cow::Borrowed(self.input.body())),
            _ => return false,
        };
        match value {
            Some(text) => {
                out.push_str(&text);
                true
            }
            None => false,
        }
    }

    fn miss(&self, reference: &Reference<'_>) -> Miss {
        match reference.root() {
            "context" | "input" | "stageVariables" | "util" => Miss::Empty,
            // What the template took from those is as empty as they are.
            _ if reference.is_assigned() => Miss::Empty,
            _ => Miss::Source,
        }
    }
}

impl<'a> Scope<'a> {
    fn stage_variable(&self, name: &str) -> Option<&'a str> {
        let found = self.operation.stage.variables.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn call_input(&self, method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
        match method {
            "body" if args.is_empty() => Ok(Some(self.input.body().into())),
            "path" => {
                let found = self.find_path(args)?;
                Ok(Some(found.map_or_else(|| "".into(), |json| Value::from(&json))))
            }
            "json" => {
                let found = self.find_path(args)?;
                let text = found.map_or_else(|| "\"\"".to_owned(), |json| json.to_string());
                Ok(Some(text.into()))
            }
            "params" => Ok(self.params(args)),
            _ => Ok(None),
        }
    }

    /// The value at the JSONPath of the first argument; `None` is a miss.
    fn find_path(&self, args: &[Value]) -> Result<Option<Json>, CallError> {
        let path = first_text(args).ok_or_else(|| CallError::new("a JSONPath is missing"))?;
        let path = Path::parse(&path).map_err(|error| CallError::new(error.to_string()))?;
        // Operations without a payload see an empty object, as on REST APIs.
        let empty = Json::Object(serde_json::Map::new());
        let json = match self.input.json() {
            Some(json) => json,
            None if self.input.body().trim_ascii().is_empty() => &empty,
            None => return Err(CallError::new("the body is not JSON")),
        };
        match path.find(json) {
            jsonpath::Found::TooMuch => Err(CallError::new("the JSONPath visits too much")),
            found => Ok(found.into_value()),
        }
    }

    /// `$input.params()`, `params('path|querystring|header')` or `params('NAME')`.
    fn params(&self, args: &[Value]) -> Option<Value> {
        let handshake = self.operation.kind.handshake();
        let pairs = |list: Option<&[(String, String)]>| -> Value {
            let entries = list.unwrap_or_default().iter();
            let map: Map = entries
                .map(|(name, value)| (Arc::from(name.as_str()), value.as_str().into()))
                .collect();
            Value::Map(map)
        };
        let query = || pairs(handshake.map(|handshake| handshake.query.as_slice()));
        let header = || pairs(handshake.map(|handshake| handshake.headers.as_slice()));
        let Some(name) = first_text(args) else {
            let all: Map = [
                (Arc::from("path"), pairs(None)),
                (Arc::from("querystring"), query()),
                (Arc::from("header"), header()),
            ]
            .into_iter()
            .collect();
            return Some(Value::Map(all));
        };
        match &*name {
            "path" => Some(pairs(None)),
            "querystring" => Some(query()),
            "header" => Some(header()),
            name => {
                let handshake = handshake?;
                let found = handshake.query_values(name).next_back();
                found.or_else(|| handshake.header_values(name).next_back()).map(Value::from)
            }
        }
    }
}

fn call_util(method: &str, args: &[Value]) -> Result<Option<Value>, CallError> {
    let Some(input) = first_text(args) else { return Ok(None) };
    let value = match method {
        "escapeJavaScript" => text::escape_javascript(&input).into(),
        "parseJson" => {
            let json: Json = serde_json::from_str(&input)
                .map_err(|_| CallError::new("parseJson: the text is not JSON"))?;
            Value::from(&json)
        }
        "urlEncode" => text::form_encode(&input).into(),
        "urlDecode" => text::form_decode(&input).into(),
        "base64Encode" => text::base64_encode(input.as_bytes()).into(),
        "base64Decode" => text::base64_decode(&input)
            .map(Value::from)
            .ok_or_else(|| CallError::new("base64Decode: the text is not base64"))?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// The first argument as Java's `toString` would give it.
fn first_text(args: &[Value]) -> Option<String> {
    let first = args.first().filter(|value| !value.is_null())?;
    first.text(Limits::default().output_bytes).ok().map(Cow::into_owned)
}

fn number(value: u64) -> Value {
    Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn text_value(text: Option<Cow<'_, str>>) -> Option<Value> {
    text.map(|text| Value::from(text.as_ref()))
}
