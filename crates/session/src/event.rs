//! The JSON that functions get and give, in AWS's spelling and key order.

use api_model::expression::selection_text;
use api_model::policy::Policy;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::connection::{Authorized, Handshake, Kind, Operation};
use crate::error::Failure;
use crate::unique::Unique;

/// The event of an integration: CONNECT, MESSAGE or DISCONNECT
/// ([proxy integration]).
///
/// [proxy integration]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
pub fn proxy_event(operation: &Operation, body: Option<&str>, is_base64: bool) -> Vec<u8> {
    let handshake = operation.kind.handshake();
    let headers = match &operation.kind {
        Kind::Connect { handshake, .. } => Some(connect_headers(handshake)),
        Kind::Disconnect { .. } => Some(vec![
            ("Host", operation.connection.host.as_str()),
            ("x-api-key", ""),
            ("X-Forwarded-For", ""),
            ("x-restapi", ""),
        ]),
        Kind::Message { .. } => None,
    };
    let query =
        handshake.map(|handshake| sorted_query(handshake)).filter(|query| !query.is_empty());
    let variables = &operation.stage.variables;
    let event = ProxyEvent {
        headers: headers.as_deref().map(LastValues),
        multi_value_headers: headers.as_deref().map(AllValues),
        query_string_parameters: query.as_deref().map(LastValues),
        multi_value_query_string_parameters: query.as_deref().map(AllValues),
        stage_variables: (!variables.is_empty()).then_some(Variables(variables)),
        request_context: request_context(operation),
        body,
        is_base64_encoded: is_base64,
    };
    serde_json::to_vec(&event).expect("text and numbers serialise")
}

/// The event of a `REQUEST` authorizer ([Lambda authorizers]).
///
/// [Lambda authorizers]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
pub fn authorizer_event(operation: &Operation) -> Vec<u8> {
    let handshake = operation.kind.handshake().expect("authorizers run on connect only");
    let headers = authorizer_headers(handshake);
    let query = sorted_query(handshake);
    let event = AuthorizerEvent {
        kind: "REQUEST",
        method_arn: method_arn(operation),
        headers: LastValues(&headers),
        multi_value_headers: AllValues(&headers),
        query_string_parameters: LastValues(&query),
        multi_value_query_string_parameters: AllValues(&query),
        stage_variables: Variables(&operation.stage.variables),
        request_context: RequestContext { authorizer: None, ..request_context(operation) },
    };
    serde_json::to_vec(&event).expect("text and numbers serialise")
}

/// `methodArn` of a connect: what authorizer policies are evaluated on.
pub fn method_arn(operation: &Operation) -> String {
    operation.stage.api.execute_arn(&format!("{}/{}", operation.stage.name, operation.route_key))
}

/// `requestTime`: `25/Sep/2026:00:02:13 +0000`.
pub fn request_time(epoch_ms: u64) -> String {
    let millis = i64::try_from(epoch_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// What a proxy integration's function answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyResult {
    /// HTTP status.
    pub status: u16,
    /// Headers; of several values the last comes last.
    pub headers: Vec<(String, String)>,
    /// Body, decoded if it was base64.
    pub body: Option<Vec<u8>>,
    /// Whether it was base64.
    pub is_base64: bool,
}

/// Reads a proxy result; anything but an object with an integer `statusCode`
/// and a string body is malformed.
pub fn parse_proxy_result(payload: &[u8]) -> Result<ProxyResult, Failure> {
    let result: Json =
        serde_json::from_slice(payload).map_err(|_| Failure::IntegrationMalformed)?;
    let object = result.as_object().ok_or(Failure::IntegrationMalformed)?;
    let status = match object.get("statusCode") {
        Some(Json::Number(number)) => number.as_u64(),
        // `parse` alone would take a sign.
        Some(Json::String(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        _ => None,
    };
    let status = status
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (100..=599).contains(status))
        .ok_or(Failure::IntegrationMalformed)?;
    let mut headers = Vec::new();
    for (name, value) in members(object.get("headers"))? {
        headers.push((name.clone(), scalar_text(value).ok_or(Failure::IntegrationMalformed)?));
    }
    for (name, values) in members(object.get("multiValueHeaders"))? {
        for value in values.as_array().ok_or(Failure::IntegrationMalformed)? {
            headers.push((name.clone(), scalar_text(value).ok_or(Failure::IntegrationMalformed)?));
        }
    }
    let encoded = matches!(object.get("isBase64Encoded"), Some(Json::Bool(true)));
    let body = match object.get("body") {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) if encoded => Some(
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
                .map_err(|_| Failure::IntegrationMalformed)?,
        ),
        Some(Json::String(text)) => Some(text.clone().into_bytes()),
        Some(_) => return Err(Failure::IntegrationMalformed),
    };
    Ok(ProxyResult { status, headers, body, is_base64: encoded })
}

fn members(value: Option<&Json>) -> Result<impl Iterator<Item = (&String, &Json)>, Failure> {
    match value {
        None | Some(Json::Null) => Ok(None.into_iter().flatten()),
        Some(Json::Object(map)) => Ok(Some(map.iter()).into_iter().flatten()),
        Some(_) => Err(Failure::IntegrationMalformed),
    }
}

fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null => Some(String::new()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// `errorMessage` in what a function gave or raised, as text ([errors]).
///
/// [errors]: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
pub fn error_message(payload: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Raised {
        #[serde(rename = "errorMessage")]
        message: Option<Json>,
    }
    if !payload.trim_ascii_start().starts_with(b"{") {
        return None; // A list would pass for the struct.
    }
    let raised: Raised = serde_json::from_slice(payload).ok()?;
    raised.message.map(|message| selection_text(&message))
}

/// What an authorizer answered, before its policy was evaluated.
#[derive(Clone, Debug)]
pub struct AuthorizerResult {
    /// Principal and context.
    pub authorized: Authorized,
    /// Compiled policy.
    pub policy: Policy,
}

/// Largest result of an authorizer ([quotas]): 8 KB.
///
/// [quotas]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
pub const AUTHORIZER_RESULT_BYTES_MAX: usize = 8 * 1024;

/// Reads an authorizer's result; whatever it is not sure of is malformed.
pub fn parse_authorizer_result(payload: &[u8]) -> Result<AuthorizerResult, Failure> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw<'a> {
        #[serde(borrow)]
        principal_id: Option<&'a RawValue>,
        policy_document: Option<Unique>,
        #[serde(borrow)]
        context: Option<&'a RawValue>,
        /// Of simple responses, which are for HTTP APIs: with a policy beside it
        /// nobody can say which of the two is meant.
        #[serde(default)]
        is_authorized: Option<serde::de::IgnoredAny>,
    }
    const MALFORMED: Failure = Failure::AuthorizerMalformed;
    if AUTHORIZER_RESULT_BYTES_MAX < payload.len() {
        return Err(MALFORMED);
    }
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    let raw: Raw<'_> =
        serde_json::from_slice(payload).ok().filter(|_| is_object).ok_or(MALFORMED)?;
    if raw.is_authorized.is_some() {
        return Err(MALFORMED);
    }
    let principal_id = match raw.principal_id {
        None => None,
        Some(raw) => raw_scalar(raw, Scalars::TextOrNumber).ok_or(MALFORMED)?,
    };
    let mut context = Vec::new();
    if let Some(raw) = raw.context.filter(|raw| raw.get() != "null") {
        let Members(values) = serde_json::from_str(raw.get()).map_err(|_| MALFORMED)?;
        for (name, value) in values {
            if let Some(text) = raw_scalar(value, Scalars::All).ok_or(MALFORMED)? {
                context.push((name, text));
            }
        }
    }
    let Unique(document) = raw.policy_document.ok_or(MALFORMED)?;
    let policy = Policy::parse(&document).map_err(|_| MALFORMED)?;
    Ok(AuthorizerResult { authorized: Authorized { principal_id, context }, policy })
}

/// The members of an object in their order; of equal names the last counts.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.retain(|(other, _)| *other != name);
                    members.push((name, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Scalars {
    All,
    TextOrNumber,
}

/// The text of a JSON scalar in its own spelling: `Some(None)` for null, `None`
/// for what is not allowed.
fn raw_scalar(raw: &RawValue, allowed: Scalars) -> Option<Option<String>> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok().map(Some),
        b'n' => Some(None),
        b't' | b'f' if allowed == Scalars::All => Some(Some(text.to_owned())),
        b'-' | b'0'..=b'9' => Some(Some(text.to_owned())),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyEvent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<LastValues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<AllValues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string_parameters: Option<LastValues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_query_string_parameters: Option<AllValues<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage_variables: Option<Variables<'a>>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    method_arn: String,
    headers: LastValues<'a>,
    multi_value_headers: AllValues<'a>,
    query_string_parameters: LastValues<'a>,
    multi_value_query_string_parameters: AllValues<'a>,
    stage_variables: Variables<'a>,
    request_context: RequestContext<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    route_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<AuthorizerContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    event_type: &'a str,
    extended_request_id: &'a str,
    request_time: String,
    message_direction: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disconnect_reason: Option<&'a str>,
    stage: &'a str,
    connected_at: u64,
    request_time_epoch: u64,
    identity: Identity<'a>,
    request_id: &'a str,
    domain_name: &'a str,
    connection_id: &'a str,
    api_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    source_ip: &'a str,
}

struct AuthorizerContext<'a> {
    authorized: &'a Authorized,
    latency: Option<u64>,
}

impl Serialize for AuthorizerContext<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.authorized.context {
            if !matches!(name.as_str(), "principalId" | "integrationLatency") {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(principal_id) = &self.authorized.principal_id {
            map.serialize_entry("principalId", principal_id)?;
        }
        if let Some(latency) = self.latency {
            map.serialize_entry("integrationLatency", &latency)?;
        }
        map.end()
    }
}

fn request_context(operation: &Operation) -> RequestContext<'_> {
    let connection = &operation.connection;
    let (latency, message_id, close) = match &operation.kind {
        Kind::Connect { authorizer_latency, .. } => (*authorizer_latency, None, None),
        Kind::Message { message_id } => (None, Some(message_id.as_str()), None),
        Kind::Disconnect { code, reason } => (None, None, Some((*code, reason.as_str()))),
    };
    RequestContext {
        route_key: &operation.route_key,
        disconnect_status_code: close.map(|(code, _)| code),
        authorizer: connection
            .authorizer
            .as_ref()
            .map(|authorized| AuthorizerContext { authorized, latency }),
        message_id,
        event_type: operation.kind.event_type(),
        extended_request_id: operation.request_id.as_str(),
        request_time: request_time(operation.time),
        message_direction: "IN",
        disconnect_reason: close.map(|(_, reason)| reason),
        stage: &operation.stage.name,
        connected_at: connection.connected_at,
        request_time_epoch: operation.time,
        identity: Identity {
            user_agent: connection.user_agent.as_deref(),
            source_ip: &connection.source_ip,
        },
        request_id: operation.request_id.as_str(),
        domain_name: &connection.domain_name,
        connection_id: &connection.id,
        api_id: &connection.api_id,
    }
}

/// Headers that an integration sees: without the hop-by-hop ones, sorted
/// without regard to case.
fn connect_headers(handshake: &Handshake) -> Vec<(&str, &str)> {
    const REMOVED: [&str; 3] = ["connection", "upgrade", "content-length"];
    let headers: Vec<(&str, &str)> = handshake
        .headers
        .iter()
        .filter(|(name, _)| !REMOVED.iter().any(|removed| name.eq_ignore_ascii_case(removed)))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    sort_headers(headers)
}

/// Headers that an authorizer sees: those of the upgrade too.
fn authorizer_headers(handshake: &Handshake) -> Vec<(&str, &str)> {
    const FIXED: [&str; 2] = ["connection", "content-length"];
    let mut headers: Vec<(&str, &str)> = handshake
        .headers
        .iter()
        .filter(|(name, _)| !FIXED.iter().any(|fixed| name.eq_ignore_ascii_case(fixed)))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    headers.push(("Connection", "upgrade"));
    headers.push(("content-length", "0"));
    sort_headers(headers)
}

/// Sorts without regard to case; lines of one header take the first one's casing.
fn sort_headers<'a>(mut headers: Vec<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    headers.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
    for index in 1..headers.len() {
        if headers[index].0.eq_ignore_ascii_case(headers[index - 1].0) {
            headers[index].0 = headers[index - 1].0;
        }
    }
    headers
}

fn sorted_query(handshake: &Handshake) -> Vec<(&str, &str)> {
    let mut query: Vec<(&str, &str)> =
        handshake.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    query.sort_by_key(|(name, _)| *name);
    query
}

/// A map with the last value of each name. Equal names stand side by side.
struct LastValues<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for LastValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(groups(self.0).map(|group| (group[0].0, group[group.len() - 1].1)))
    }
}

/// A map with all values of each name.
struct AllValues<'a>(&'a [(&'a str, &'a str)]);

impl Serialize for AllValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(groups(self.0).map(|group| {
            (group[0].0, group.iter().map(|(_, value)| *value).collect::<Vec<&str>>())
        }))
    }
}

fn groups<'a>(sorted: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a [(&'a str, &'a str)]> {
    sorted.chunk_by(|(a, _), (b, _)| a == b)
}

struct Variables<'a>(&'a [(String, String)]);

impl Serialize for Variables<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
