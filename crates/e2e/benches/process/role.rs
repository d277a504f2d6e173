//! The bare peers: what this program does in a process of its own.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use websocket::{Connection, Event, Limits, handshake, write};

/// How long the slow back end thinks.
const THINKING: Duration = Duration::from_millis(5);

/// Plays `role` until killed: `backend` answers every request with its own body,
/// `slow-backend` after [`THINKING`]; `bare` accepts every handshake and echoes.
pub(crate) fn serve(role: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let thinking = match role {
        "backend" => Some(Duration::ZERO),
        "slow-backend" => Some(THINKING),
        "bare" => None,
        other => panic!("no such role: {other}"),
    };
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = socket.listen(4096).unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let stream = TokioIo::new(stream);
            tokio::spawn(async move {
                // The generator goes away when it is done.
                let http = http1::Builder::new();
                let _ = match thinking {
                    Some(time) => {
                        let answer = service_fn(move |request| answer(request, time));
                        http.serve_connection(stream, answer).await
                    }
                    None => http.serve_connection(stream, service_fn(accept)).with_upgrades().await,
                };
            });
        }
    });
}

async fn answer(
    request: Request<Incoming>,
    thinking: Duration,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if !thinking.is_zero() {
        tokio::time::sleep(thinking).await;
    }
    Ok(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

/// A 101 without any check but for the key.
async fn accept(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let key = request.headers().get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let Some(accept) = key.map(handshake::accept_key) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            let parts = upgraded.downcast::<TokioIo<TcpStream>>().unwrap();
            echo(parts.io.into_inner()).await;
        }
    });
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_bytes(&accept).unwrap());
    Ok(response)
}

/// Our framing and nothing else.
async fn echo(mut stream: TcpStream) {
    const READ_BYTES: usize = 16 * 1024;
    let limits = Limits::default();
    let mut connection = Connection::server();
    let (mut input, mut output) = (Vec::new(), Vec::new());
    if stream.readable().await.is_err() {
        return;
    }
    input.resize(READ_BYTES, 0);
    while let Ok(count @ 1..) = stream.read(&mut input).await {
        let mut incoming = connection.receive(&mut input[..count], &limits);
        while let Some(event) = incoming.next() {
            match event {
                Ok(Event::Text(text)) => write::text(&mut output, text),
                Ok(_) => {}
                Err(_) => return,
            }
        }
        drop(incoming);
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}
