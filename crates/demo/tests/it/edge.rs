use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use demo::{Backend, Secrets};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::world::{PLAIN, World};

#[tokio::test]
async fn changes_are_made_by_the_page_alone() {
    let world = World::start().await;
    let origin = world.site.ui_origin();
    let other = world.site.other_origin();
    let json = "application/json";
    let good = [("origin", origin.as_str()), ("content-type", json)];
    let rows: [(&[(&str, &str)], StatusCode); 8] = [
        (&good, StatusCode::OK),
        (&[good[1]], StatusCode::FORBIDDEN),
        (&[("origin", &other), good[1]], StatusCode::FORBIDDEN),
        (&[("origin", "null"), good[1]], StatusCode::FORBIDDEN),
        (&[good[0], ("origin", &other), good[1]], StatusCode::FORBIDDEN),
        (&[good[0]], StatusCode::FORBIDDEN),
        (&[good[0], ("content-type", "text/plain")], StatusCode::FORBIDDEN),
        (&[good[0], good[1], ("sec-fetch-site", "same-site")], StatusCode::FORBIDDEN),
    ];
    for (headers, want) in rows {
        let mut request = world.request(Method::POST, &world.host("ui"), "/login");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = world.send(request, r#"{"user":"ada"}"#).await;
        assert_eq!(answer.status, want, "{headers:?}");
        assert_eq!(answer.cookies().len(), if want == StatusCode::OK { 2 } else { 0 });
    }
}

#[tokio::test]
async fn only_its_own_hosts_are_served_each_with_its_own_pages() {
    let world = World::start().await;
    for (label, path, want) in [
        ("ui", "/", StatusCode::OK),
        ("UI", "/", StatusCode::OK),
        ("ui", "/app.js", StatusCode::OK),
        ("ui", "/nothing", StatusCode::NOT_FOUND),
        ("ui", "/sibling", StatusCode::MISDIRECTED_REQUEST),
        ("other", "/sibling", StatusCode::OK),
        ("other", "/attempt.js", StatusCode::OK),
        ("other", "/config", StatusCode::OK),
        ("other", "/", StatusCode::MISDIRECTED_REQUEST),
        ("other", "/session", StatusCode::MISDIRECTED_REQUEST),
        ("evil", "/", StatusCode::MISDIRECTED_REQUEST),
        ("x.ui", "/", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = world.request(Method::GET, &world.host(label), path);
        assert_eq!(world.send(request, "").await.status, want, "{label} {path}");
    }
    for host in ["localhost", "127.0.0.1:8081", "uiwsgate.localhost", "rebound.example", ""] {
        let request = world.request(Method::GET, host, "/session");
        let answer = world.send(request, "").await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
}

#[tokio::test]
async fn the_page_runs_no_script_but_its_own_and_reaches_the_gateway_alone() {
    let world = World::start().await;
    let page = world.get("/", "").await;
    assert!(!page.text.contains("<script>") && !page.text.contains(" onclick"));
    let policy = page.header("content-security-policy");
    let port = world.site.port;
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' ws://ws.wsgate.localhost:8080 \
             ws://*.execute-api.us-east-1.localhost:8080; \
             frame-src http://other.wsgate.localhost:{port}; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        )
    );
    let request = world.request(Method::GET, &world.host("other"), "/sibling");
    let sibling = world.send(request, "").await;
    let frame = format!("frame-ancestors http://ui.wsgate.localhost:{port}");
    assert!(sibling.header("content-security-policy").ends_with(&frame));
    assert_eq!(sibling.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn addresses_follow_the_ports_and_the_api_is_learned_from_the_first_connection() {
    let world = World::start_with(|settings| settings.gateway.api = None).await;
    let before = world.get("/config", "").await.json();
    assert_eq!(before["wsUrl"], "ws://ws.wsgate.localhost:8080/prod");
    assert_eq!(before["uiOrigin"], world.site.ui_origin());
    assert!(before["executeApiUrl"].is_null());
    let connect = serde_json::json!({
        "connectionId": "c", "apiId": "q1q2q3q4q5", "stage": "prod", "principal": "ada",
        "context": {},
    });
    world.hook("/ws/connect", &connect).await;
    let after = world.get("/config", "").await.json();
    assert_eq!(after["executeApiUrl"], "ws://q1q2q3q4q5.execute-api.us-east-1.localhost:8080/prod");
}

#[tokio::test]
async fn a_busy_port_means_the_next_free_one_and_only_loopback_is_served() {
    let first = Backend::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let taken = first.local_addr();
    assert!(Backend::bind(taken).await.is_err());
    let second = Backend::bind_next_free(taken).await.unwrap();
    assert!(taken.port() < second.local_addr().port());
    assert!(Backend::bind("0.0.0.0:0".parse().unwrap()).await.is_err());
    assert_eq!(first.site("a.localhost", PLAIN).port, taken.port());
}

#[tokio::test]
async fn a_port_that_somebody_else_has_on_the_other_loopback_address_is_busy() {
    // A machine without `::1` has nobody who could listen there.
    let Ok(stranger) = TcpListener::bind("[::1]:0").await else { return };
    let taken = SocketAddr::from(([127, 0, 0, 1], stranger.local_addr().unwrap().port()));
    assert!(Backend::bind(taken).await.is_err());
    let backend = Backend::bind_next_free(taken).await.unwrap();
    assert!(taken.port() < backend.local_addr().port());
    let twin = SocketAddr::from((Ipv6Addr::LOCALHOST, backend.local_addr().port()));
    assert!(TcpStream::connect(twin).await.is_ok());
}

#[tokio::test]
async fn with_certificates_the_page_is_served_over_tls_and_the_gateway_still_calls_plainly() {
    let names = vec!["ui.wsgate.localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let world = World::start_with(|settings| settings.tls = Some(Arc::new(server))).await;

    let plain = world.get("/", "").await;
    assert_eq!(plain.status, StatusCode::TEMPORARY_REDIRECT);
    let port = world.site.port;
    assert_eq!(plain.header("location"), format!("https://ui.wsgate.localhost:{port}/"));
    assert_eq!(world.post("/login", "", r#"{"user":"ada"}"#).await.status, StatusCode::FORBIDDEN);
    let gone = serde_json::json!({ "connectionId": "c" });
    assert_eq!(world.hook("/ws/disconnect", &gone).await.status, StatusCode::OK);

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("ui.wsgate.localhost").unwrap();
    let stream = TcpStream::connect(world.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("/config")
        .header("host", world.host("ui"))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let config: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(config["wsUrl"], "wss://ws.wsgate.localhost:8080/prod");
    driver.abort();
}

#[test]
fn the_public_constants_are_those_of_the_configuration_and_the_template() {
    let config = include_str!("../../../../demo/wsgate.toml");
    let [_, (_, template)] = demo::TEMPLATES;
    let secrets = Secrets::development();
    let text = |secret: &authorizer::Secret| String::from_utf8(secret.expose().to_vec()).unwrap();
    for (name, secret) in secrets.ssm_parameters() {
        let quoted = format!("\"{name}\"");
        let line = config.lines().find(|line| line.starts_with(&quoted)).unwrap();
        assert!(line.ends_with(&format!("= \"{}\"", text(secret))), "{line}");
    }
    assert!(config.contains(&format!("id     = \"{}\"", secrets.management_id)));
    assert!(config.contains(&format!("secret = \"{}\"", text(&secrets.management_secret))));
    assert!(template.contains(&format!("Default: {}\n", text(&secrets.gateway_key))));
    assert!(template.contains(&format!("Default: http://127.0.0.1:{}\n", demo::BACKEND_PORT)));
    let origin = format!("\"http://ui.{}:{}\"", demo::PARENT_DOMAIN, demo::BACKEND_PORT);
    assert!(config.contains(&origin));
}
