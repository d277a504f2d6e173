//! A running back end, a client, and a gateway that records what it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::extract::{Request as AxumRequest, State};
use axum::response::{IntoResponse, Response as AxumResponse};
use bytes::Bytes;
use demo::{Admin, ApiStage, Backend, GatewayAddress, Scheme, Secrets, Settings, Site};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// The token that the recording gateway's admin listener wants.
pub(crate) const ADMIN_TOKEN: &str = "the-admin-token";

/// One call that the gateway was asked to do.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) site: Site,
    pub(crate) secrets: Secrets,
    /// Status that the gateway answers to pushes and closures.
    pub(crate) answer: Arc<AtomicU16>,
    calls: Mutex<mpsc::Receiver<Call>>,
    client: Client<HttpConnector, Full<Bytes>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Recorder {
    calls: mpsc::Sender<Call>,
    answer: Arc<AtomicU16>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut tasks = JoinSet::new();
        let (sender, calls) = mpsc::channel(100);
        let answer = Arc::new(AtomicU16::new(200));
        let recorder = Recorder { calls: sender, answer: answer.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(record).with_state(recorder);
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });

        let admin = Admin { address: endpoint.clone(), token: ADMIN_TOKEN.to_owned() };
        let secrets = Secrets::fresh();
        let mut settings = Settings {
            parent_domain: demo::PARENT_DOMAIN.to_owned(),
            audience: demo::AUDIENCE.to_owned(),
            secrets: secrets.clone(),
            gateway: GatewayAddress {
                port: 8080,
                endpoint,
                region: "us-east-1".to_owned(),
                mapping_key: "prod".to_owned(),
                api: ApiStage::parse("a1b2c3d4e5", "prod"),
            },
            admin: Arc::new(move || Some(admin.clone())),
            tls: None,
        };
        change(&mut settings);
        let backend = Backend::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = backend.local_addr();
        let site = backend.site(demo::PARENT_DOMAIN, settings.scheme());
        tasks.spawn(backend.run(settings, std::future::pending()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { address, site, secrets, answer, calls: Mutex::new(calls), client, _tasks: tasks }
    }

    /// The next call that reaches the gateway.
    pub(crate) async fn call(&self) -> Call {
        self.calls.lock().await.recv().await.unwrap()
    }

    /// The header `Host` of a label below the parent domain.
    pub(crate) fn host(&self, label: &str) -> String {
        format!("{label}.{}:{}", self.site.parent_domain, self.site.port)
    }

    pub(crate) fn request(&self, method: Method, host: &str, path: &str) -> http::request::Builder {
        let uri = format!("http://{}{path}", self.address);
        Request::builder().method(method).uri(uri).header("host", host)
    }

    pub(crate) async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = request.body(Full::new(body.into())).unwrap();
        Answer::read(self.client.request(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, cookies: &str) -> Answer {
        let request = self.request(Method::GET, &self.host("ui"), path);
        self.send(request.header("cookie", cookies), "").await
    }

    /// A POST as the page makes it.
    pub(crate) async fn post(&self, path: &str, cookies: &str, body: &str) -> Answer {
        let request = self.request(Method::POST, &self.host("ui"), path);
        let request = request
            .header("origin", self.site.ui_origin())
            .header("content-type", "application/json")
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookies);
        self.send(request, body.to_owned()).await
    }

    /// A call as the gateway makes it.
    pub(crate) async fn hook(&self, path: &str, body: &Value) -> Answer {
        let key = self.secrets.gateway_key.expose();
        let request = self.request(Method::POST, &self.address.to_string(), path);
        self.send(request.header("x-gateway-key", key), body.to_string()).await
    }
}

async fn record(State(recorder): State<Recorder>, request: AxumRequest) -> AxumResponse {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.to_string();
    if let Some(attempt) = path.strip_prefix("/refusals?attempt=") {
        let bearer = head.headers.get("authorization").and_then(|v| v.to_str().ok());
        if bearer != Some(&format!("Bearer {ADMIN_TOKEN}")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let refusals = match attempt {
            "known-attempt" => serde_json::json!([
                { "requestId": "r", "time": "t", "host": "h", "attempt": "known-attempt",
                  "status": 403, "code": "csrf_missing", "rule": "csrf", "path": ["listener"] },
            ]),
            _ => serde_json::json!([]),
        };
        return axum::Json(refusals).into_response();
    }
    let call = Call { method: head.method, path, headers: head.headers, body };
    recorder.calls.send(call).await.unwrap();
    StatusCode::from_u16(recorder.answer.load(Ordering::Relaxed)).unwrap().into_response()
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn read(response: Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Self { status: head.status, headers: head.headers, text }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn cookies(&self) -> Vec<String> {
        let lines = self.headers.get_all("set-cookie").iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    /// What a browser would send back.
    pub(crate) fn cookie_header(&self) -> String {
        let pairs = self.cookies();
        let pairs = pairs.iter().map(|line| line.split(';').next().unwrap());
        pairs.collect::<Vec<_>>().join("; ")
    }
}

/// A scheme for tests that have no certificates.
pub(crate) const PLAIN: Scheme = Scheme::Plain;
