//! What the gateway calls: `$connect`, messages, `$disconnect`. The request templates of
//! `demo/aws/api.yaml` decide what arrives here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::app::{App, now, single};
use crate::rooms::{Announcement, Answer, Connection, Identity, Refusal};
use crate::settings::ApiStage;

/// The subprotocol that the page speaks; the other entry it offers carries the CSRF token.
const SUBPROTOCOL: &str = "wsgate.demo";

/// Length of a connection id, in bytes; the gateway's have 20.
const CONNECTION_ID_BYTES_MAX: usize = 64;

const GATEWAY_KEY: HeaderName = HeaderName::from_static("x-gateway-key");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connect {
    connection_id: String,
    api_id: String,
    stage: String,
    principal: String,
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Context {
    name: String,
    role: String,
    sid: String,
    issuer: String,
    expires_at: String,
    token_source: String,
    csrf: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    connection_id: String,
    api_id: String,
    stage: String,
    route_key: String,
    principal: String,
    message: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Disconnect {
    connection_id: String,
}

/// `POST /ws/connect`: the last word on a handshake that the authorizer let pass.
///
/// The answer names the subprotocol if the client offered it: without that a browser gives up.
pub(crate) async fn connect(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let connect: Connect = match read(&app, &headers, &body) {
        Ok(connect) => connect,
        Err(status) => return status.into_response(),
    };
    let Some(api) = address(&connect.connection_id, &connect.api_id, &connect.stage) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let context = connect.context;
    let is_out = app.sessions.lock().is_revoked(&context.sid);
    if connect.principal.is_empty() || is_out {
        return StatusCode::FORBIDDEN.into_response();
    }
    app.api.lock().get_or_insert_with(|| api.clone());
    let name = if context.name.is_empty() { connect.principal.clone() } else { context.name };
    let identity = Identity {
        principal: connect.principal,
        name,
        role: context.role,
        issuer: context.issuer,
        expires_at: context.expires_at,
        token_source: context.token_source,
        csrf: context.csrf,
    };
    let connection = Connection::new(identity, api, now());
    let connected = app.rooms.lock().connect(&connect.connection_id, connection);
    match connected {
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Ok(announcements) => {
            app.announce(announcements);
            if is_offered(&headers) {
                (StatusCode::OK, [(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)]).into_response()
            } else {
                StatusCode::OK.into_response()
            }
        }
    }
}

/// `POST /ws/message`: the answer's body goes to the client where the route has a route response.
pub(crate) async fn message(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let message: Message = match read(&app, &headers, &body) {
        Ok(message) => message,
        Err(status) => return status.into_response(),
    };
    let id = message.connection_id;
    let Some(api) = address(&id, &message.api_id, &message.stage) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if remember(&app, &id, message.principal, &api).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let text = |member: &str| message.message[member].as_str().unwrap_or_default();
    let answer = match message.route_key.as_str() {
        "join" => app.rooms.lock().join(&id, text("room")),
        "leave" => app.rooms.lock().leave(&id),
        "who" => {
            let reply = app.rooms.lock().who(&id);
            Ok(Answer { reply, announcements: Vec::new() })
        }
        "say" => return say(&app, id, api, text("text")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    match answer {
        Ok(answer) => {
            app.announce(answer.announcements);
            Json(answer.reply).into_response()
        }
        Err(refusal) => Json(trouble(refusal)).into_response(),
    }
}

/// `POST /ws/disconnect`: the connection is gone; the answer is ignored.
pub(crate) async fn disconnect(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let disconnect: Disconnect = match read(&app, &headers, &body) {
        Ok(disconnect) => disconnect,
        Err(status) => return status.into_response(),
    };
    let announcements = app.rooms.lock().disconnect(&disconnect.connection_id);
    app.announce(announcements);
    StatusCode::OK.into_response()
}

/// The route is one way: what is said goes to the whole room as a push, and so does a complaint,
/// to the speaker alone.
fn say(app: &App, id: String, api: ApiStage, text: &str) -> Response {
    let said = app.rooms.lock().say(&id, text);
    let announcement = said.unwrap_or_else(|refusal| Announcement {
        targets: vec![(id, api)],
        body: trouble(refusal),
    });
    app.announce(vec![announcement]);
    StatusCode::OK.into_response()
}

/// A connection that outlived a restart of the back end is known again by what its message says.
fn remember(app: &App, id: &str, principal: String, api: &ApiStage) -> Result<(), Refusal> {
    let mut rooms = app.rooms.lock();
    if rooms.is_known(id) {
        return Ok(());
    }
    let identity = Identity { name: principal.clone(), principal, ..Identity::default() };
    rooms.connect(id, Connection::new(identity, api.clone(), now())).map(|_| ())
}

/// The body, if the gateway sent it: the key is compared in constant time before anything is read.
fn read<T: DeserializeOwned>(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<T, StatusCode> {
    let key = single(headers, &GATEWAY_KEY).unwrap_or_default();
    let is_gateway = key.as_bytes().ct_eq(app.settings.secrets.gateway_key.expose());
    if !bool::from(is_gateway) || key.is_empty() {
        return Err(StatusCode::FORBIDDEN);
    }
    serde_json::from_slice(body).map_err(|_| StatusCode::BAD_REQUEST)
}

fn address(connection_id: &str, api_id: &str, stage: &str) -> Option<ApiStage> {
    let is_id = (1..=CONNECTION_ID_BYTES_MAX).contains(&connection_id.len());
    if is_id { ApiStage::parse(api_id, stage) } else { None }
}

fn is_offered(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut entries = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    entries.any(|entry| entry.trim() == SUBPROTOCOL)
}

fn trouble(refusal: Refusal) -> Value {
    json!({ "type": "error", "reason": refusal.to_string() })
}
