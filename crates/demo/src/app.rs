//! The back end's one router: who may ask for what, through which door.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, LOCATION, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::gateway::Gateway;
use crate::rooms::{Announcement, Rooms};
use crate::session::Sessions;
use crate::settings::{ApiStage, Scheme, Settings, Site};
use crate::{account, hook, page};

/// Longest body, in bytes: a message of 128 KiB whose every byte became an escape of six, and the
/// members that the request template adds.
const BODY_BYTES_MAX: usize = 6 * 128 * 1024 + 16 * 1024;

/// How long a request may take, its body and the calls it causes included.
const REQUEST_TIME: Duration = Duration::from_secs(15);

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// Everything the handlers share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) site: Site,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) rooms: Mutex<Rooms>,
    /// The API that the gateway serves: configured, or learned from the first connection.
    pub(crate) api: Mutex<Option<ApiStage>>,
    announcements: mpsc::Sender<Announcement>,
}

impl App {
    pub(crate) fn new(
        settings: Settings,
        site: Site,
        announcements: mpsc::Sender<Announcement>,
    ) -> Arc<Self> {
        let gateway = Arc::new(Gateway::new(settings.gateway.clone(), &settings.secrets));
        let api = Mutex::new(settings.gateway.api.clone());
        Arc::new(Self {
            settings,
            site,
            gateway,
            sessions: Mutex::default(),
            rooms: Mutex::default(),
            api,
            announcements,
        })
    }

    /// Hands announcements to the task that sends them; what does not fit in its queue is lost.
    pub(crate) fn announce(&self, announcements: Vec<Announcement>) {
        for announcement in announcements {
            if self.announcements.try_send(announcement).is_err() {
                tracing::warn!("a push was dropped: too many are waiting");
            }
        }
    }
}

/// Epoch seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How a request came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// The router for one kind of transport.
pub(crate) fn router(app: &Arc<App>, transport: Transport) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/app.js", get(page::app_script))
        .route("/attempt.js", get(page::attempt_script))
        .route("/style.css", get(page::style))
        .route("/icon.svg", get(page::icon))
        .route("/config", get(page::config))
        .route("/sibling", get(page::sibling))
        .route("/sibling.js", get(page::sibling_script))
        .route("/session", get(account::session))
        .route("/login", post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/expired", post(account::expire))
        .route("/attempts/{attempt}", get(account::attempt))
        .route("/ws/connect", post(hook::connect))
        .route("/ws/message", post(hook::message))
        .route("/ws/disconnect", post(hook::disconnect))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state((app.clone(), transport), guard))
        .with_state(app.clone())
}

/// Which of the back end's faces a request means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Door {
    /// The page's own host.
    Ui,
    /// The sibling: it shows one page and does nothing for anyone.
    Other,
    /// The gateway's calls, on any host: a key proves them.
    Hook,
}

/// Everything that holds for every request, in this order: the door exists, the transport fits,
/// a change was asked for by the page itself, the answer comes in time and is marked.
async fn guard(
    State((app, transport)): State<(Arc<App>, Transport)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let Some(door) = door(&app.site, request.headers(), path) else {
        return (StatusCode::MISDIRECTED_REQUEST, "unknown host\n").into_response();
    };
    if door != Door::Hook && transport == Transport::Plain && app.site.scheme == Scheme::Tls {
        return to_tls(&app.site, door, &request);
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let allowed = match door {
        Door::Ui => is_read || is_own_change(&app.site, request.headers()),
        Door::Other => is_read,
        Door::Hook => true,
    };
    if !allowed {
        return (StatusCode::FORBIDDEN, "not asked for by the page itself\n").into_response();
    }
    let answer = timeout(REQUEST_TIME, next.run(request)).await;
    let mut response = answer.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response());
    mark(response.headers_mut(), &app, door);
    response
}

fn door(site: &Site, headers: &HeaderMap, path: &str) -> Option<Door> {
    if path.starts_with("/ws/") {
        return Some(Door::Hook);
    }
    let host = single(headers, &HOST)?.to_ascii_lowercase();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let label = name.strip_suffix(&site.parent_domain)?.strip_suffix('.')?;
    let is_sibling = path == "/sibling" || path == "/sibling.js";
    let is_shared = matches!(path, "/attempt.js" | "/style.css" | "/icon.svg" | "/config");
    match label {
        "ui" if !is_sibling => Some(Door::Ui),
        "other" if is_sibling || is_shared => Some(Door::Other),
        _ => None,
    }
}

/// Whether a POST comes from the page: its origin, nothing else, and a content type that no form
/// and no simple cross-origin request can have.
fn is_own_change(site: &Site, headers: &HeaderMap) -> bool {
    let is_own_origin = single(headers, &ORIGIN) == Some(site.ui_origin().as_str());
    let is_json = single(headers, &CONTENT_TYPE).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    });
    let is_same_site = match headers.get_all(SEC_FETCH_SITE).iter().next() {
        None => true,
        Some(_) => single(headers, &SEC_FETCH_SITE) == Some("same-origin"),
    };
    is_own_origin && is_json && is_same_site
}

/// The header's value, if it is there exactly once and printable.
pub(crate) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn to_tls(site: &Site, door: Door, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::FORBIDDEN, "this page is served over TLS\n").into_response();
    }
    let origin = if door == Door::Other { site.other_origin() } else { site.ui_origin() };
    let to = format!("{origin}{}", request.uri().path());
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response()
}

fn mark(headers: &mut HeaderMap, app: &App, door: Door) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if door == Door::Hook {
        return;
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    let policy = match door {
        Door::Other => page::sibling_policy(app),
        Door::Ui | Door::Hook => page::index_policy(app),
    };
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
}
