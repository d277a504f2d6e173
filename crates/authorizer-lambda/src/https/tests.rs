use http::header::{CACHE_CONTROL, LOCATION};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Authority, Server, answer, ok};
use super::*;

/// More than any answer here, and long enough for a busy machine.
const BYTES_MAX: usize = 1024;
const LONG: Duration = Duration::from_secs(30);

fn public() -> Client {
    client(None).unwrap()
}

async fn fetch(client: &Client, url: &str) -> Result<Fetched, FetchError> {
    get(client, url, BYTES_MAX, LONG).await
}

/// What a client that trusts `roots` gets of a TLS server on 127.0.0.1, and how many requests the
/// server sees.
async fn over_tls(roots: Option<&str>, tls: rustls::ServerConfig) -> (Option<FetchError>, usize) {
    let server = Server::start_on("127.0.0.1:0", Some(tls), |_| ok("{}")).await.unwrap();
    let client = client(roots.map(str::as_bytes)).unwrap();
    let result = fetch(&client, &format!("https://{}/", server.address)).await;
    (result.err(), server.asked().len())
}

#[tokio::test]
async fn a_server_of_a_trusted_authority_is_asked() {
    let authority = Authority::new();
    let server = authority.issue("127.0.0.1", |_| ());
    assert_eq!(over_tls(Some(&authority.pem()), server).await, (None, 1));
}

#[tokio::test]
async fn the_bundle_may_hold_more_than_authorities_in_use() {
    let authority = Authority::new();
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let bundle = format!("# ours\n{}{odd}{}", Authority::new().pem(), authority.pem());
    let server = authority.issue("127.0.0.1", |_| ());
    assert_eq!(over_tls(Some(&bundle), server).await, (None, 1));
}

#[tokio::test]
async fn a_server_of_another_authority_gets_no_request() {
    let authority = Authority::new();
    let untrusted = (Some(FetchError::CertificateUntrusted), 0);
    let server = || authority.issue("127.0.0.1", |_| ());
    assert_eq!(over_tls(None, server()).await, untrusted);
    assert_eq!(over_tls(Some(&Authority::new().pem()), server()).await, untrusted);
}

#[tokio::test]
async fn a_server_with_the_certificate_of_another_host_gets_no_request() {
    let authority = Authority::new();
    for name in ["login.example.com", "localhost", "127.0.0.2", "*.0.0.1"] {
        let server = authority.issue(name, |_| ());
        let foreign = (Some(FetchError::CertificateForeign), 0);
        assert_eq!(over_tls(Some(&authority.pem()), server).await, foreign, "{name}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_valid_now_gets_no_request() {
    let authority = Authority::new();
    let expired = authority.issue("127.0.0.1", |c| c.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let early = authority.issue("127.0.0.1", |c| c.not_before = rcgen::date_time_ymd(3001, 1, 1));
    for server in [expired, early] {
        let refused = (Some(FetchError::CertificateExpired), 0);
        assert_eq!(over_tls(Some(&authority.pem()), server).await, refused);
    }
}

#[tokio::test]
async fn https_to_a_server_without_tls_fails() {
    let server = Server::start(|_| ok("{}")).await;
    let result = fetch(&public(), &format!("https://{}/", server.address)).await;
    assert_eq!(result.unwrap_err(), FetchError::Tls);
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_bundle_without_a_usable_certificate_is_an_error() {
    let section = |label: &str, text: &str| {
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let refused = |pem: &str| client(Some(pem.as_bytes())).unwrap_err();
    assert_eq!(refused(""), RootsError::Empty);
    assert_eq!(refused("no PEM at all"), RootsError::Empty);
    assert_eq!(refused(&section("PRIVATE KEY", "AAAA")), RootsError::Empty);
    assert_eq!(refused(&section("CERTIFICATE", "AAAA")), RootsError::Unusable);
    assert_eq!(refused(&section("CERTIFICATE", "!")), RootsError::Malformed);
    let pem = Authority::new().pem();
    assert_eq!(refused(&format!("{pem}{}", &pem[..pem.len() / 2])), RootsError::Malformed);
}

#[tokio::test]
async fn a_200_brings_body_and_freshness() {
    let server = Server::start(|_| {
        Response::builder().header(CACHE_CONTROL, "max-age=60").body(Full::from("{}")).ok()
    })
    .await;
    let fetched = fetch(&public(), &format!("http://{}/a/b?c=d", server.address)).await.unwrap();
    assert_eq!(&fetched.body[..], b"{}");
    assert_eq!(fetched.max_age, Some(Duration::from_secs(60)));
    let [asked] = &server.asked()[..] else { panic!("one request") };
    assert_eq!(asked.method, http::Method::GET);
    assert_eq!(asked.uri, "/a/b?c=d");
    assert_eq!(asked.headers[HOST], server.address.to_string());
    assert!(asked.headers[USER_AGENT].to_str().unwrap().starts_with("wsgate/"));
}

#[tokio::test]
async fn a_redirect_is_an_error_and_its_target_is_not_asked() {
    let target = Server::start(|_| ok("{}")).await;
    let location = format!("http://{}/", target.address);
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = Server::start(move |_| {
            let head = Response::builder().status(status).header(LOCATION, &location);
            head.body(Full::from("{}")).ok()
        })
        .await;
        let result = fetch(&public(), &format!("http://{}/", server.address)).await;
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(result.unwrap_err(), FetchError::Redirect(status));
    }
    assert_eq!(target.asked().len(), 0);
}

#[tokio::test]
async fn any_status_but_200_is_an_error_that_names_it() {
    for status in [201, 204, 206, 400, 404, 500] {
        let server = Server::start(move |_| answer(status, "")).await;
        let error = fetch(&public(), &format!("http://{}/", server.address)).await.unwrap_err();
        assert_eq!(error, FetchError::Status(StatusCode::from_u16(status).unwrap()));
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
}

/// Answers the first connection with `head`, then with `rest` again and again until it breaks.
async fn raw(head: &'static str, rest: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        let mut result = stream.write_all(head.as_bytes()).await;
        while result.is_ok() && !rest.is_empty() {
            result = stream.write_all(rest).await;
        }
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut() {
    let too_long = FetchError::AnswerTooLong { bytes_max: BYTES_MAX };
    let heads = [
        ("HTTP/1.1 200 OK\r\n\r\n", &b"0123456789abcdef"[..]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nwiki\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b"0123456789abcdef"),
    ];
    for (head, rest) in heads {
        let url = raw(head, rest).await;
        assert_eq!(fetch(&public(), &url).await.unwrap_err(), too_long, "{head}");
    }
}

#[tokio::test]
async fn the_status_of_an_answer_without_end_is_still_told() {
    let url = raw("HTTP/1.1 503 Busy\r\n\r\n", b"0123456789abcdef").await;
    let status = FetchError::Status(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(fetch(&public(), &url).await.unwrap_err(), status);
}

#[tokio::test]
async fn a_body_of_the_allowed_length_is_read() {
    let server = Server::start(|_| ok("12345678")).await;
    let url = format!("http://{}/", server.address);
    assert_eq!(get(&public(), &url, 8, LONG).await.unwrap().body.len(), 8);
    let error = get(&public(), &url, 7, LONG).await.unwrap_err();
    assert_eq!(error, FetchError::AnswerTooLong { bytes_max: 7 });
}

#[tokio::test]
async fn an_answer_cut_short_or_not_http_is_an_error() {
    for head in [
        "",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n",
    ] {
        let url = raw(head, b"").await;
        assert_eq!(fetch(&public(), &url).await.unwrap_err(), FetchError::AnswerBroken, "{head}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    // The kernel accepts connections; nobody answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{address}/");
        let result = get(&public(), &url, BYTES_MAX, Duration::from_millis(20)).await;
        assert_eq!(result.unwrap_err(), FetchError::Timeout);
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = public();
    let fetching = get(&client, &url, BYTES_MAX, Duration::from_millis(200));
    let stalling = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nstall").await.unwrap();
        stream
    };
    let (result, _stream) = tokio::join!(fetching, stalling);
    assert_eq!(result.unwrap_err(), FetchError::Timeout);
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for host in ["127.0.0.1", "localhost"] {
        let result = fetch(&public(), &format!("http://{host}:{port}/")).await;
        assert_eq!(result.unwrap_err(), FetchError::Unreachable, "{host}");
    }
}

#[tokio::test]
async fn names_below_localhost_are_this_machine_and_keep_their_host_header() {
    let server = Server::start(|_| ok("{}")).await;
    let port = server.address.port();
    for host in ["localhost", "LOCALHOST", "keys.localhost", "a.b.localhost"] {
        fetch(&public(), &format!("http://{host}:{port}/x")).await.unwrap();
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.headers[HOST], format!("{host}:{port}"));
        assert_eq!(asked.uri, "/x");
    }
}

#[tokio::test]
async fn localhost_is_also_found_on_ipv6() {
    // A machine without IPv6 has nothing to find.
    let Ok(server) = Server::start_on("[::1]:0", None, |_| ok("{}")).await else { return };
    let url = format!("http://keys.localhost:{}/", server.address.port());
    fetch(&public(), &url).await.unwrap();
}

#[tokio::test]
async fn sending_brings_any_status_with_headers_and_body() {
    let server = Server::start(|_| {
        Response::builder().status(418).header("x-kind", "pot").body(Full::from("short")).ok()
    })
    .await;
    let request = Request::post(format!("http://{}/brew", server.address))
        .header("x-own", "1")
        .header(USER_AGENT, "other")
        .body(Full::from("coffee"))
        .unwrap();
    let answer = send(&public(), request, BYTES_MAX, LONG).await.ok().unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, &b"short"[..]));
    assert_eq!(answer.headers["x-kind"], "pot");
    let asked = server.asked().pop().unwrap();
    assert_eq!((&asked.method, &asked.body[..]), (&http::Method::POST, &b"coffee"[..]));
    assert_eq!(
        (&asked.headers["x-own"], &asked.headers[USER_AGENT]),
        (&"1".parse().unwrap(), &"other".parse().unwrap())
    );
}

#[tokio::test]
async fn only_https_and_this_machine_are_asked() {
    use FetchError::{AddressInsecure, AddressMalformed};
    let rows = [
        ("http://example.com/", AddressInsecure),
        ("http://10.0.0.1/", AddressInsecure),
        ("http://128.0.0.1/", AddressInsecure),
        ("http://[::2]/", AddressInsecure),
        ("http://[::ffff:127.0.0.1]/", AddressInsecure),
        ("http://0.0.0.0/", AddressInsecure),
        ("http://127.1/", AddressInsecure),
        ("http://2130706433/", AddressInsecure),
        ("http://localhost.example.com/", AddressInsecure),
        ("http://127.0.0.1.example.com/", AddressInsecure),
        ("http://notlocalhost/", AddressInsecure),
        ("http://localhost./", AddressInsecure),
        ("http://example.com#.localhost/", AddressInsecure),
        ("http://localhost@example.com/", AddressMalformed),
        ("https://user:password@example.com/", AddressMalformed),
        ("https://example.com:99999/", AddressMalformed),
        ("https://example.com:/", AddressMalformed),
        ("http://localhost:99999/", AddressMalformed),
        ("ftp://localhost/", AddressMalformed),
        ("file:///etc/passwd", AddressMalformed),
        ("/etc/passwd", AddressMalformed),
        ("example.com", AddressMalformed),
        ("https://", AddressMalformed),
        ("https:///path", AddressMalformed),
        ("", AddressMalformed),
    ];
    let client = public();
    for (url, want) in rows {
        assert_eq!(fetch(&client, url).await.unwrap_err(), want, "{url}");
    }
}

#[test]
fn https_and_loopback_are_allowed() {
    for url in ["https://example.com", "HTTPS://example.com:8443/a", "https://[2001:db8::1]/"] {
        assert_eq!(way(&url.parse().unwrap()), Ok(Way::Direct), "{url}");
    }
    for url in ["http://127.0.0.1", "http://127.8.9.10:80/", "http://[::1]:8000/"] {
        assert_eq!(way(&url.parse().unwrap()), Ok(Way::Direct), "{url}");
    }
    for url in ["http://localhost", "http://a.LocalHost:80/"] {
        assert_eq!(way(&url.parse().unwrap()), Ok(Way::Loopback), "{url}");
    }
}

proptest! {
    #[test]
    fn plain_http_never_leaves_this_machine(host in "[a-z0-9.@:#?/\\[\\]-]{0,20}(localhost|127\\.0\\.0\\.1|::1)?[a-z.@:#?/\\]]{0,4}") {
        let Ok(uri) = format!("http://{host}").parse::<Uri>() else { return Ok(()) };
        match way(&uri) {
            Ok(Way::Direct) => {
                let host = uri.host().unwrap().trim_matches(['[', ']']);
                prop_assert!(host.parse::<std::net::IpAddr>().unwrap().is_loopback());
            }
            Ok(Way::Loopback) => {
                prop_assert_eq!(uri.host().unwrap().rsplit('.').next(), Some("localhost"));
            }
            Err(_) => {}
        }
    }
}
