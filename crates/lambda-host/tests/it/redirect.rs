//! Names that functions reach on this machine although they resolve elsewhere.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lambda_host::{Code, LocalFunction, Redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::files::{Around, File, folder, invoke};
use crate::harness::spec;

const NAME: &str = "abc123.execute-api.us-east-1.amazonaws.com";
const BY_PREFIX: &str = "xyz789.execute-api.eu-west-1.amazonaws.com";

/// A server that answers each request, plain or TLS, with its `Host` and SNI.
struct Server {
    address: SocketAddr,
    certificate: String,
}

impl Server {
    async fn start() -> Self {
        let names = [NAME, BY_PREFIX].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], PrivateKeyDer::from(key))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone()));
            }
        });
        Self { address, certificate: certified.cert.pem() }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let mut first = [0];
    if stream.peek(&mut first).await.unwrap() == 0 {
        return;
    }
    if first[0] != 0x16 {
        return answer(stream, None).await;
    }
    if let Ok(stream) = acceptor.accept(stream).await {
        let sni = stream.get_ref().1.server_name().map(str::to_owned);
        answer(stream, sni).await;
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, sni: Option<String>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let host = head.lines().find_map(|line| line.strip_prefix("host: "));
    let body = json!({ "host": host, "sni": sni }).to_string();
    let length = body.len();
    let response =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // A client that only wants to connect may be gone.
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.shutdown().await;
}

struct Redirected {
    function: LocalFunction,
    _folders: [TempDir; 2],
}

fn function(server: &Server, runtime: &str, handler: &str, files: &[File<'_>]) -> Redirected {
    let folders = [folder(files), folder(&[("ca.pem", &server.certificate)])];
    let [code, rest] = folders.each_ref().map(TempDir::path);
    let ca = rest.join("ca.pem").to_str().unwrap().to_owned();
    let names = ["NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];
    let around = Around {
        variables: names.map(|name| (name.to_owned(), ca.clone())).to_vec(),
        redirect: Some(Redirect {
            names: vec![NAME.to_owned(), "xyz789.execute-api.*".to_owned()],
            address: server.address,
        }),
    };
    let mut spec = spec("redirected");
    spec.runtime = runtime.to_owned();
    spec.handler = handler.to_owned();
    spec.command = None;
    spec.memory_mb = 512;
    spec.code = Code::Folder(code.to_owned());
    let workspace: &Path = &rest.join("workspace");
    let function = LocalFunction::new(spec, workspace, Arc::new(around)).unwrap();
    Redirected { function, _folders: folders }
}

fn reached(name: &str, sni: bool) -> Value {
    json!({ "host": name, "sni": if sni { json!(name) } else { Value::Null } })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_of_node_reaches_the_names_and_keeps_them() {
    let server = Server::start().await;
    let source = r#"
        const http = require("http");
        const https = require("https");
        const tls = require("tls");
        const net = require("net");
        const { Worker } = require("worker_threads");

        const read = (stream) => new Promise((resolve, reject) => {
          let text = "";
          stream.setEncoding("utf8").on("data", (chunk) => text += chunk).on("error", reject)
            .on("end", () => resolve(JSON.parse(text.slice(text.indexOf("{")))));
        });
        const get = (module, url, options = {}) => new Promise((resolve, reject) =>
          module.get(url, options, (response) => resolve(read(response))).on("error", reject));
        const raw = (socket, host) => {
          socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
          return read(socket);
        };
        const worker = (url) => new Promise((resolve, reject) => {
          const code = `
            const { parentPort } = require("worker_threads");
            fetch(${JSON.stringify(url)}).then((r) => r.json()).then((v) => parentPort.postMessage(v));`;
          new Worker(code, { eval: true }).on("message", resolve).on("error", reject);
        });

        exports.handler = async ({ way, host }) => {
          switch (way) {
            case "http": return get(http, `http://${host}/prod`);
            case "https": return get(https, `https://${host}/prod`);
            case "agent": return get(https, `https://${host}/prod`, { agent: new https.Agent({ keepAlive: true }) });
            case "fetch http": return (await fetch(`http://${host}/prod`)).json();
            case "fetch https": return (await fetch(`https://${host}/prod`)).json();
            case "net": return raw(net.connect(80, host), host);
            case "net options": return raw(net.createConnection({ port: 80, host }), host);
            case "socket": return raw(new net.Socket().connect(80, host), host);
            case "tls": return raw(tls.connect({ port: 443, host, servername: host }), host);
            case "worker": return worker(`https://${host}/prod`);
            case "elsewhere": return get(http, `http://${host}/`).catch((error) => error.code);
          }
        };"#;
    let redirected = function(&server, "nodejs20.x", "index.handler", &[("index.js", source)]);
    let ask = |way: &'static str, host: &str| {
        let event = json!({ "way": way, "host": host });
        let function = &redirected.function;
        async move { invoke(function, event).await.unwrap() }
    };
    for (way, sni) in [
        ("http", false),
        ("https", true),
        ("agent", true),
        ("fetch http", false),
        ("fetch https", true),
        ("net", false),
        ("net options", false),
        ("socket", false),
        ("tls", true),
        ("worker", true),
    ] {
        assert_eq!(ask(way, NAME).await, reached(NAME, sni), "{way}");
    }
    assert_eq!(ask("https", BY_PREFIX).await, reached(BY_PREFIX, true));
    for other in ["abc123.execute-api.invalid", "other.invalid"] {
        assert_eq!(ask("elsewhere", other).await, "ENOTFOUND");
    }
    let direct = server.address.to_string();
    assert_eq!(ask("http", &direct).await, reached(&direct, false), "addresses stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_of_python_reaches_the_names_and_keeps_them() {
    let server = Server::start().await;
    let source = r#"
import asyncio, http.client, json, socket, ssl, urllib.error, urllib.request

def load(text):
    return json.loads(text[text.index("{"):])

def raw(sock, host):
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return load(sock.makefile().read())

def connected(host):
    sock = socket.socket()
    sock.connect((host, 80))
    return raw(sock, host)

async def stream(host):
    reader, writer = await asyncio.open_connection(host, 443, ssl=ssl.create_default_context())
    writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return load(text)

def urllib_get(url):
    with urllib.request.urlopen(url) as response:
        return json.load(response)

def handler(event, context):
    way, host = event["way"], event["host"]
    if way == "http":
        return urllib_get(f"http://{host}/prod")
    if way == "https":
        return urllib_get(f"https://{host}/prod")
    if way == "client":
        connection = http.client.HTTPSConnection(host)
        connection.request("GET", "/")
        return json.load(connection.getresponse())
    if way == "socket":
        return connected(host)
    if way == "tls":
        context = ssl.create_default_context()
        return raw(context.wrap_socket(socket.create_connection((host, 443)), server_hostname=host), host)
    if way == "asyncio":
        return asyncio.run(stream(host))
    try:
        return urllib_get(f"http://{host}/")
    except urllib.error.URLError as error:
        return type(error.reason).__name__
"#;
    let redirected = function(&server, "python3.12", "app.handler", &[("app.py", source)]);
    let ask = |way: &'static str, host: &str| {
        let event = json!({ "way": way, "host": host });
        let function = &redirected.function;
        async move { invoke(function, event).await.unwrap() }
    };
    for (way, sni) in [
        ("http", false),
        ("https", true),
        ("client", true),
        ("socket", false),
        ("tls", true),
        ("asyncio", true),
    ] {
        assert_eq!(ask(way, NAME).await, reached(NAME, sni), "{way}");
    }
    assert_eq!(ask("https", BY_PREFIX).await, reached(BY_PREFIX, true));
    for other in ["abc123.execute-api.invalid", "other.invalid"] {
        assert_eq!(ask("elsewhere", other).await, "gaierror");
    }
    let direct = server.address.to_string();
    assert_eq!(ask("elsewhere", &direct).await, reached(&direct, false), "addresses stay");
}
