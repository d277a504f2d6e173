//! A service on this machine, for tests: answers each request by a function.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::AwsClient;
use crate::settings::Integrations;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    /// `X-Amz-Target`.
    pub(crate) fn operation(&self) -> &str {
        self.headers.get("x-amz-target").map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Status and body.
pub(crate) type Told = (u16, String);

/// A running server, which ends with its value.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (list, answer) = (Arc::clone(&asked), Arc::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (list, answer) = (Arc::clone(&list), Arc::clone(&answer));
                connections.spawn(async move { serve(stream, &list, &*answer).await });
            }
        });
        Self { url, asked, _tasks: tasks }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// A client whose calls of these services come here.
    pub(crate) fn client(&self, services: &[&str]) -> AwsClient {
        client(services.iter().map(|service| (*service, self.url.as_str())))
    }
}

/// A client with endpoints and without credentials.
pub(crate) fn client<'a>(endpoints: impl Iterator<Item = (&'a str, &'a str)>) -> AwsClient {
    let endpoints = endpoints.map(|(service, url)| (service.to_owned(), url.to_owned())).collect();
    let integrations = Integrations { is_ambient: false, endpoints };
    let client = crate::client::client(&|_| None).unwrap();
    AwsClient::new(&integrations, client, &|_| None)
}

async fn serve(
    mut stream: TcpStream,
    list: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> Told + Send + Sync),
) {
    let mut bytes = Vec::new();
    loop {
        let Some((asked, used)) = parse(&bytes) else {
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        bytes.drain(..used);
        list.lock().push(asked.clone());
        let (status, body) = answer(&asked);
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The first whole request, and its length.
fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut lines);
    let httparse::Status::Complete(head) = request.parse(bytes).unwrap() else { return None };
    let mut headers = HeaderMap::new();
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(line.value).unwrap());
    }
    let length = headers.get("content-length").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
    let body = bytes.get(head..head + length)?;
    let asked = Asked {
        method: request.method.unwrap().to_owned(),
        target: request.path.unwrap().to_owned(),
        headers,
        body: Bytes::copy_from_slice(body),
    };
    Some((asked, head + length))
}
