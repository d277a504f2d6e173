//! A login that mints tokens and publishes its key over HTTPS.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NAME: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "chat";
pub(crate) const SECRET: &str = "the secret of the tokens, 32 bytes at least";
pub(crate) const CSRF_SECRET: &str = "the secret of the CSRF values, 32 bytes at least";

const KID: &str = "2026-11";
const SESSION: &str = "5f0c3f2e-session";
/// The year 2100: no start is measured so late.
const EXPIRES_AT: u64 = 4_102_444_800;

/// Keys, and where they are published.
pub(crate) struct Issuer {
    signing: EncodingKey,
    pub(crate) jwk: Value,
    pub(crate) address: String,
    folder: TempDir,
}

impl Issuer {
    /// Makes keys, and serves them until this program ends.
    pub(crate) fn start() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(private.as_ref())
        );
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let modulus = modulus(pair.public_key().as_ref());
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID,
            "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB",
        });
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key);
        let address = publish(Arc::new(config.unwrap()), json!({ "keys": [jwk] }).to_string());
        Self { signing, jwk, address, folder }
    }

    /// The file with the certificate of the address.
    pub(crate) fn roots(&self) -> String {
        self.folder.path().join("cert.pem").to_str().unwrap().to_owned()
    }

    /// The event of a handshake with a token of the public key.
    pub(crate) fn event_rs256(&self) -> Vec<u8> {
        let header = Header { kid: Some(KID.to_owned()), ..Header::new(Algorithm::RS256) };
        event(&jsonwebtoken::encode(&header, &claims(), &self.signing).unwrap())
    }

    /// The event of a handshake with a token of the shared secret.
    pub(crate) fn event_hs256(&self) -> Vec<u8> {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        event(&jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap())
    }
}

/// The principal that a right answer names.
pub(crate) const PRINCIPAL: &str = "user-0123456789";

fn claims() -> Value {
    json!({
        "iss": NAME, "aud": AUDIENCE, "sub": PRINCIPAL, "sid": SESSION, "iat": 1_700_000_000,
        "exp": EXPIRES_AT, "role": "member", "tenant": "acme",
    })
}

/// What API Gateway sends, with the cookies of a page that is logged in.
fn event(token: &str) -> Vec<u8> {
    let random = "07".repeat(16);
    let key = hmac::Key::new(hmac::HMAC_SHA256, CSRF_SECRET.as_bytes());
    let message = format!("{}!{SESSION}!{}!{random}", SESSION.len(), random.len());
    let csrf = format!("{}.{random}", hex::encode(hmac::sign(&key, message.as_bytes())));
    let headers = json!({
        "Connection": "upgrade",
        "Cookie": format!("theme=dark; JWT={token}; CSRF-TOKEN={csrf}"),
        "Host": "ws.example.com",
        "Origin": "https://ui.example.com",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Key": "q0x2Jm1oY2hhbGxlbmdlMQ==",
        "Sec-WebSocket-Protocol": format!("chat, csrf.{csrf}"),
        "Sec-WebSocket-Version": "13",
        "Upgrade": "websocket",
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "X-Amzn-Trace-Id": "Root=1-691f0d0e-0123456789abcdef01234567",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    });
    let each = |(name, value): (&String, &Value)| (name.clone(), json!([value]));
    let lines: Value = headers.as_object().unwrap().iter().map(each).collect();
    let event = json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/dev/$connect",
        "headers": headers,
        "multiValueHeaders": lines,
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "stageVariables": {},
        "requestContext": {
            "routeKey": "$connect", "eventType": "CONNECT", "extendedRequestId": "TbCdEfGhIAMFYtw=",
            "requestTime": "20/Nov/2026:12:00:00 +0000", "messageDirection": "IN", "stage": "dev",
            "connectedAt": 1_795_176_000_000_u64, "requestTimeEpoch": 1_795_176_000_001_u64,
            "identity": { "sourceIp": "203.0.113.7" }, "requestId": "TbCdEfGhIAMFYtw=",
            "domainName": "ws.example.com", "connectionId": "TbCdEeuIoAMCJhw=",
            "apiId": "a1b2c3d4e5",
        },
    });
    event.to_string().into_bytes()
}

/// The modulus of an `RSAPublicKey` of 2048 bits with the exponent 65537, whose DER has one form
/// ([RFC 8017 A.1.1]).
///
/// [RFC 8017 A.1.1]: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1
fn modulus(der: &[u8]) -> &[u8] {
    let start = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
    let modulus = der.strip_prefix(&start).unwrap();
    modulus.strip_suffix(&[0x02, 0x03, 0x01, 0x00, 0x01]).unwrap()
}

/// Serves `document` on every path; returns `HOST:PORT`.
fn publish(config: Arc<ServerConfig>, document: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=3600\r\n\
         content-length: {}\r\n\r\n{document}",
        document.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, answer) = (Arc::clone(&config), answer.clone());
            // Whoever is stopped in between has its answer.
            std::thread::spawn(move || drop(give(stream.unwrap(), config, &answer)));
        }
    });
    format!("localhost:{port}")
}

fn give(stream: TcpStream, config: Arc<ServerConfig>, answer: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while reader.read_line(&mut line)? != 0 {
        if line.trim_end().is_empty() {
            reader.get_mut().write_all(answer.as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}
