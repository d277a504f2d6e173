//! The page, embedded, and what it is told about its surroundings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::app::App;

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

pub(crate) async fn index() -> Response {
    asset(HTML, include_str!("../page/index.html"))
}

pub(crate) async fn app_script() -> Response {
    asset(SCRIPT, include_str!("../page/app.js"))
}

pub(crate) async fn attempt_script() -> Response {
    asset(SCRIPT, include_str!("../page/attempt.js"))
}

pub(crate) async fn style() -> Response {
    asset(CSS, include_str!("../page/style.css"))
}

pub(crate) async fn icon() -> Response {
    asset(SVG, include_str!("../page/icon.svg"))
}

pub(crate) async fn sibling() -> Response {
    asset(HTML, include_str!("../page/sibling.html"))
}

pub(crate) async fn sibling_script() -> Response {
    asset(SCRIPT, include_str!("../page/sibling.js"))
}

/// Addresses, all of them public; they follow from the ports that were bound.
pub(crate) async fn config(State(app): State<Arc<App>>) -> Json<Value> {
    let gateway = &app.settings.gateway;
    let execute_api = app.api.lock().as_ref().map(|api| {
        let origin = gateway.execute_api_origin(&app.site, &api.api_id);
        format!("{origin}/{}", api.stage)
    });
    Json(json!({
        "wsUrl": format!("{}/{}", gateway.ws_origin(&app.site), gateway.mapping_key),
        "executeApiUrl": execute_api,
        "uiOrigin": app.site.ui_origin(),
        "otherOrigin": app.site.other_origin(),
    }))
}

/// What the page may load and reach: itself, the gateway, and the sibling in a frame.
pub(crate) fn index_policy(app: &App) -> String {
    let gateway = &app.settings.gateway;
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {ws} {execute_api}; frame-src {other}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        ws = gateway.ws_origin(&app.site),
        execute_api = gateway.execute_api_origin(&app.site, "*"),
        other = app.site.other_origin(),
    )
}

/// What the sibling may do. It may try the gateway: the gateway is what stops it.
pub(crate) fn sibling_policy(app: &App) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {ws}; base-uri 'none'; form-action 'none'; frame-ancestors {ui}",
        ws = app.settings.gateway.ws_origin(&app.site),
        ui = app.site.ui_origin(),
    )
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
