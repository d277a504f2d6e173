//! What the page asks for: login, logout, and why a handshake was refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use authorizer::mint::MintError;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::app::{App, now};
use crate::session::{Session, User};
use crate::settings::ApiStage;
use crate::token;

/// The cookie that holds the token; no script can read it.
const TOKEN_COOKIE: &str = "JWT";

/// The cookie that holds the CSRF token; the page reads it and repeats it.
const CSRF_COOKIE: &str = "CSRF-TOKEN";

/// Life of the cookie with an expired token, in seconds: the attempt needs it once.
const EXPIRED_COOKIE_LIFE: u64 = 60;

/// Length of an attempt's name, in characters.
const ATTEMPT_CHARS_MAX: usize = 64;

#[derive(Deserialize)]
pub(crate) struct Login {
    user: String,
}

/// `GET /session`: who is logged in, by the cookie that came along.
pub(crate) async fn session(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match current(&app, &headers) {
        Some(session) => describe(&session).into_response(),
        None => Json(json!({ "user": null })).into_response(),
    }
}

/// `POST /login`: starts a session and sets its two cookies.
pub(crate) async fn log_in(State(app): State<Arc<App>>, Json(login): Json<Login>) -> Response {
    let Some(user) = User::find(&login.user) else {
        return error(StatusCode::NOT_FOUND, "no such user");
    };
    let (session, csrf) = match start_session(&app, user) {
        Ok(started) => started,
        Err(failure) => return no_token(failure),
    };
    let cookies = AppendHeaders([
        (SET_COOKIE, token_cookie(&app, &session.token, token::TOKEN_LIFE)),
        (SET_COOKIE, csrf_cookie(&app, &csrf, token::TOKEN_LIFE)),
    ]);
    (cookies, describe(&session)).into_response()
}

/// `POST /logout`: ends every session of the user, here and at the gateway, and clears the cookies.
///
/// The sessions end here first, so that a handshake that the gateway lets pass meanwhile is refused.
pub(crate) async fn log_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(session) = current(&app, &headers) else {
        return (cleared(&app), error(StatusCode::UNAUTHORIZED, "nobody is logged in"))
            .into_response();
    };
    let user = session.user;
    app.sessions.lock().revoke(user, now());
    let mut failed = None;
    for api in apis_of(&app, user.id) {
        if let Err(error) = app.gateway.close_principal(&api, user.id).await {
            tracing::warn!(%error, "the gateway did not close the user's connections");
            failed = Some(error);
        }
    }
    // The gateway took its own time of day; a login from now on must be younger than that.
    app.sessions.lock().leave(user, now());
    match failed {
        None => (cleared(&app), Json(json!({ "user": null }))).into_response(),
        Some(failure) => {
            let text = format!("logged out, but connections may still be open: {failure}");
            (cleared(&app), error(StatusCode::BAD_GATEWAY, &text)).into_response()
        }
    }
}

/// `POST /expired`: replaces the token's cookie by one whose token expired a moment ago. The next
/// login brings a good one.
pub(crate) async fn expire(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(session) = current(&app, &headers) else {
        return error(StatusCode::UNAUTHORIZED, "nobody is logged in");
    };
    let token = match token::expired(&app.settings, &app.site, &session, now()) {
        Ok(token) => token,
        Err(failure) => return no_token(failure),
    };
    let cookie = token_cookie(&app, &token, EXPIRED_COOKIE_LIFE);
    ([(SET_COOKIE, cookie)], describe(&session)).into_response()
}

/// `GET /attempts/{attempt}`: why the gateway refused the handshake that carried `?attempt=`.
///
/// The name is random and known to the tab that made it up; the answer holds a code and a rule.
pub(crate) async fn attempt(State(app): State<Arc<App>>, Path(attempt): Path<String>) -> Response {
    let is_name = (8..=ATTEMPT_CHARS_MAX).contains(&attempt.len())
        && attempt.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_name {
        return error(StatusCode::BAD_REQUEST, "not the name of an attempt");
    }
    let Some(admin) = (app.settings.admin)() else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the gateway's admin listener is unknown");
    };
    match app.gateway.refusal(&admin, &attempt).await {
        Ok(None) => Json(json!({ "found": false })).into_response(),
        Ok(Some(refused)) => Json(json!({
            "found": true,
            "status": refused.status,
            "code": refused.code,
            "rule": refused.rule,
        }))
        .into_response(),
        Err(failure) => error(StatusCode::BAD_GATEWAY, &failure.to_string()),
    }
}

/// A new session and its CSRF token.
fn start_session(app: &App, user: User) -> Result<(Session, String), MintError> {
    let now = now();
    let mut sessions = app.sessions.lock();
    let issued_at = sessions.issue_time(user, now);
    let session = token::log_in(&app.settings, &app.site, user, issued_at)?;
    let csrf = token::csrf(&app.settings, &session)?;
    sessions.open(session.clone(), now);
    Ok((session, csrf))
}

fn current(app: &App, headers: &HeaderMap) -> Option<Session> {
    let token = cookie(headers, TOKEN_COOKIE)?;
    app.sessions.lock().find(token, now()).cloned()
}

/// The cookie's value, if it came exactly once: a sibling can plant a second one.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut values =
        pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
    let (_, value) = values.next()?;
    if values.next().is_some() { None } else { Some(value) }
}

/// The APIs to tell of a logout: the known one, and all through which the user came.
fn apis_of(app: &App, principal: &str) -> Vec<ApiStage> {
    let mut names: BTreeSet<(String, String)> = app.rooms.lock().apis_of(principal);
    if let Some(api) = app.api.lock().clone() {
        names.insert((api.api_id, api.stage));
    }
    names.into_iter().map(|(api_id, stage)| ApiStage { api_id, stage }).collect()
}

fn describe(session: &Session) -> Json<serde_json::Value> {
    Json(json!({
        "user": session.user.id,
        "name": session.user.name,
        "role": session.user.role,
        "expiresAt": session.expires_at,
    }))
}

fn cleared(app: &App) -> AppendHeaders<[(http::HeaderName, String); 2]> {
    AppendHeaders([(SET_COOKIE, token_cookie(app, "", 0)), (SET_COOKIE, csrf_cookie(app, "", 0))])
}

fn token_cookie(app: &App, value: &str, life: u64) -> String {
    let domain = &app.site.parent_domain;
    format!(
        "{TOKEN_COOKIE}={value}; Domain={domain}; Path=/; Max-Age={life}; Secure; HttpOnly; SameSite=Lax"
    )
}

fn csrf_cookie(app: &App, value: &str, life: u64) -> String {
    let domain = &app.site.parent_domain;
    format!("{CSRF_COOKIE}={value}; Domain={domain}; Path=/; Max-Age={life}; Secure; SameSite=Lax")
}

/// The secrets are unfit, which is the fault of who configured them.
fn no_token(failure: MintError) -> Response {
    tracing::error!(%failure, "no token can be made");
    error(StatusCode::INTERNAL_SERVER_ERROR, "no token can be made")
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}
