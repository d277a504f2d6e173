//! Key sets of a real server: rotation, names that are not known, a server that is down.

use std::sync::Mutex as StdMutex;

use authorizer::mint::{SigningKey, jwt};
use authorizer::{Algorithm, Authorizer, Denial};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};

use super::*;
use crate::handler::{Handler, Refusal};
use crate::https::server::Server;
use crate::https::{self, Client};
use crate::source::{Reading, SourceError};

const NOW: u64 = 1_800_000_000;

/// A key pair of the issuer.
struct Pair {
    pem: String,
    jwk: Value,
}

impl Pair {
    fn new(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = STANDARD.encode(pair.to_pkcs8v1().unwrap().as_ref());
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Self {
            pem: format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"),
            jwk: json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": x }),
        }
    }

    fn sign(&self) -> String {
        self.sign_for("i")
    }

    fn sign_for(&self, issuer: &str) -> String {
        let key = SigningKey::pem(Algorithm::Ed25519, &self.pem).unwrap();
        let claims = json!({ "iss": issuer, "aud": "a", "sub": "alice", "exp": NOW + 1_000_000 });
        jwt(&key.header(self.jwk["kid"].as_str()), &claims.to_string(), &key).unwrap()
    }
}

/// What the server publishes now; `None`: it is down.
#[derive(Clone, Default)]
struct Published(Arc<StdMutex<Option<Document>>>);

/// A body, and its `Cache-Control`.
type Document = (String, Option<&'static str>);

impl Published {
    fn set(&self, pairs: &[&Pair]) {
        self.set_for(pairs, None);
    }

    fn set_for(&self, pairs: &[&Pair], cache_control: Option<&'static str>) {
        let keys: Vec<&Value> = pairs.iter().map(|pair| &pair.jwk).collect();
        *self.0.lock().unwrap() = Some((json!({ "keys": keys }).to_string(), cache_control));
    }

    fn stop(&self) {
        *self.0.lock().unwrap() = None;
    }

    async fn serve(&self) -> Server {
        let published = self.clone();
        Server::start(move |_| {
            let (body, cache_control) = published.0.lock().unwrap().clone()?;
            let mut response = Response::builder();
            if let Some(value) = cache_control {
                response = response.header("cache-control", value);
            }
            response.body(Full::from(body)).ok()
        })
        .await
    }
}

struct Network;

impl Sources for Network {
    fn env(&self, _: &str) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Absent)
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Absent)
    }

    fn parameter<'a>(&'a self, _: &'a str) -> Reading<'a> {
        Box::pin(async { Err(SourceError::Absent) })
    }

    fn secret<'a>(&'a self, _: &'a str) -> Reading<'a> {
        Box::pin(async { Err(SourceError::Absent) })
    }

    fn client(&self) -> Result<Client, SourceError> {
        https::client(None).map_err(|error| SourceError::Failed(error.to_string()))
    }
}

fn config(key: &str) -> Config {
    let tree = json!({
        "sources": ["header:Authorization"],
        "issuers": [{ "issuer": "i", "audience": ["a"], "algorithms": ["EdDSA"], "keys": [key] }],
    });
    Config::read(&tree).unwrap().0
}

async fn load(server: &Server) -> Handler {
    let key = format!("jwks:http://{}/keys", server.address);
    Handler::load(config(&key), Arc::new(Network), NOW).await.unwrap().0
}

/// An issuer that publishes `pairs`, and a handler that has read them.
async fn start(pairs: &[&Pair]) -> (Published, Server, Handler) {
    let published = Published::default();
    published.set(pairs);
    let server = published.serve().await;
    let handler = load(&server).await;
    (published, server, handler)
}

async fn ask(handler: &Handler, token: &str, now: u64) -> Result<(), Refusal> {
    handler.renew(token, now).await.map(drop)
}

const UNKNOWN: Result<(), Refusal> = Err(Refusal::Denied(Denial::TokenKey));

#[tokio::test]
async fn a_name_that_is_not_known_is_looked_up_once_in_ten_seconds() {
    let (old, new, made_up) = (Pair::new("old"), Pair::new("new"), Pair::new("made up"));
    let (published, server, handler) = start(&[&old]).await;
    assert_eq!(ask(&handler, &old.sign(), NOW).await, Ok(()));
    assert_eq!(server.asked().len(), 1);

    published.set(&[&new]);
    assert_eq!(ask(&handler, &new.sign(), NOW + 1).await, Ok(()), "found at once");
    assert_eq!(server.asked().len(), 2);
    assert_eq!(ask(&handler, &old.sign(), NOW + 2).await, UNKNOWN, "withdrawn");
    for second in 1..=10 {
        assert_eq!(ask(&handler, &made_up.sign(), NOW + second).await, UNKNOWN);
    }
    assert_eq!(server.asked().len(), 2, "made-up names cause no fetch within ten seconds");
    assert_eq!(ask(&handler, &made_up.sign(), NOW + 11).await, UNKNOWN);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn callers_at_one_time_share_one_fetch() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let (published, server, handler) = start(&[&old]).await;
    published.set(&[&old, &new]);
    let token = new.sign();
    let verdicts = join_all((0..50).map(|_| ask(&handler, &token, NOW + 1))).await;
    assert_eq!(verdicts, vec![Ok(()); 50]);
    assert_eq!(server.asked().len(), 2);
}

/// Anybody can make an issuer be asked, and one that hangs must not hold up the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_issuer_that_hangs_delays_no_other() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (released, first) = (StdMutex::new(released), json!({ "keys": [old.jwk] }).to_string());
    let hanging = Server::start(move |n| {
        if 0 < n {
            let _ = released.lock().unwrap().recv();
        }
        Some(Response::new(Full::from(first.clone())))
    })
    .await;
    let published = Published::default();
    published.set(&[&old]);
    let server = published.serve().await;
    let issuer = |name: &str, address| {
        json!({
            "issuer": name, "audience": ["a"], "algorithms": ["EdDSA"],
            "keys": [format!("jwks:http://{address}/keys")], "principal_prefix": format!("{name}:"),
        })
    };
    let tree = json!({
        "sources": ["header:Authorization"],
        "issuers": [issuer("hanging", hanging.address), issuer("i", server.address)],
    });
    let config = Config::read(&tree).unwrap().0;
    let handler = Arc::new(Handler::load(config, Arc::new(Network), NOW).await.unwrap().0);
    let (asker, made_up) = (Arc::clone(&handler), new.sign_for("hanging"));
    let waiting = tokio::spawn(async move { ask(&asker, &made_up, NOW + 1).await });
    while hanging.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    published.set(&[&new]);
    assert_eq!(ask(&handler, &new.sign(), NOW + 1).await, Ok(()));
    assert!(!waiting.is_finished(), "the other is still being asked");
    drop(release);
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_others() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let (published, _server, handler) = start(&[&old]).await;
    published.set(&[&old, &new]);
    let token = new.sign();
    let mut leaving = Box::pin(ask(&handler, &token, NOW + 1));
    // One look is enough to be the one who fetches.
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drop(leaving);
    // The ten seconds have begun: who leaves does not make room for more fetches.
    assert_eq!(ask(&handler, &token, NOW + 2).await, UNKNOWN);
    assert_eq!(ask(&handler, &token, NOW + 11).await, Ok(()));
}

#[tokio::test]
async fn keys_are_refreshed_when_they_are_fresh_no_more() {
    let rows = [
        (None, 300),
        (Some("max-age=0"), 300),
        (Some("no-store"), 300),
        (Some("max-age=900"), 900),
        (Some("max-age=86400"), 3600),
    ];
    for (cache_control, fresh) in rows {
        let (old, new) = (Pair::new("old"), Pair::new("new"));
        let published = Published::default();
        published.set_for(&[&old], cache_control);
        let server = published.serve().await;
        let handler = load(&server).await;
        published.set_for(&[&new], cache_control);
        handler.refresh_due(NOW + fresh - 1).await;
        assert_eq!(server.asked().len(), 1, "{cache_control:?}");
        handler.refresh_due(NOW + fresh).await;
        assert_eq!(server.asked().len(), 2, "{cache_control:?}");
        assert_eq!(ask(&handler, &new.sign(), NOW + fresh).await, Ok(()));
    }
}

#[tokio::test]
async fn the_same_keys_are_the_same_generation() {
    let pair = Pair::new("one");
    let (_, server, handler) = start(&[&pair]).await;
    let generation = handler.keys().generation;
    handler.refresh_due(NOW + 300).await;
    assert_eq!(server.asked().len(), 2);
    assert_eq!(handler.keys().generation, generation, "cached verdicts stay good");
}

#[tokio::test]
async fn old_keys_serve_while_the_server_is_down_or_talks_nonsense() {
    let pair = Pair::new("one");
    let (published, _server, handler) = start(&[&pair]).await;
    published.stop();
    handler.refresh_due(NOW + 300).await;
    assert_eq!(ask(&handler, &pair.sign(), NOW + 300).await, Ok(()));
    *published.0.lock().unwrap() = Some(("<html>".to_owned(), None));
    handler.refresh_due(NOW + 400).await;
    assert_eq!(ask(&handler, &pair.sign(), NOW + 400).await, Ok(()));
    let stale = NOW + 300 + 24 * 3600;
    assert_eq!(ask(&handler, &pair.sign(), stale - 1).await, Ok(()));
    assert_eq!(ask(&handler, &pair.sign(), stale).await, Err(Refusal::KeysStale));
    published.set(&[&pair]);
    handler.refresh_due(stale).await;
    assert_eq!(ask(&handler, &pair.sign(), stale).await, Ok(()));
}

/// The server is not down, it says that there are none.
#[tokio::test]
async fn an_issuer_that_withdraws_all_its_keys_is_believed() {
    let pair = Pair::new("one");
    let (published, _server, handler) = start(&[&pair]).await;
    published.set(&[]);
    handler.refresh_due(NOW + 300).await;
    assert!(ask(&handler, &pair.sign(), NOW + 300).await.is_err());
    published.set(&[&pair]);
    assert_eq!(ask(&handler, &pair.sign(), NOW + 310).await, Ok(()), "and back again");
}

/// The clock was an hour and more ahead at the start, and was set right then.
#[tokio::test]
async fn a_clock_that_was_ahead_does_not_put_off_the_refresh() {
    let (old, new) = (Pair::new("old"), Pair::new("new"));
    let published = Published::default();
    published.set(&[&old]);
    let server = published.serve().await;
    let key = format!("jwks:http://{}/keys", server.address);
    let ahead = NOW + 365 * 24 * 3600;
    let loaded = Handler::load(config(&key), Arc::new(Network), ahead).await;
    let (handler, _) = loaded.unwrap();
    published.set(&[&new]);
    handler.refresh_due(NOW).await;
    assert_eq!(ask(&handler, &old.sign(), NOW).await, UNKNOWN);
    assert_eq!(ask(&handler, &new.sign(), NOW).await, Ok(()));
}

#[tokio::test]
async fn keys_are_there_before_the_first_request_or_the_start_fails() {
    let published = Published::default();
    let server = published.serve().await;
    for kind in ["jwks", "oidc"] {
        let key = format!("{kind}:http://{}/", server.address);
        let errors = Handler::load(config(&key), Arc::new(Network), NOW).await.unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "authorizer.issuers[0].keys[0]");
        assert!(errors[0].message.contains("cannot be read"), "{errors:?}");
    }
}

/// A provider whose metadata are `metadata`, with its own address for `HERE`.
async fn provider(metadata: &str, pair: &Pair) -> Server {
    let bodies = [metadata.to_owned(), json!({ "keys": [pair.jwk] }).to_string()];
    let here = Arc::new(StdMutex::new(String::new()));
    let address = Arc::clone(&here);
    let server = Server::start(move |n| {
        let body = bodies.get(n)?.replace("HERE", &address.lock().unwrap());
        Some(Response::new(Full::from(body)))
    })
    .await;
    *here.lock().unwrap() = format!("http://{}", server.address);
    server
}

#[tokio::test]
async fn a_provider_says_itself_where_its_keys_are() {
    let pair = Pair::new("one");
    let server = provider(r#"{"issuer":"HERE","jwks_uri":"HERE/k?x=1","x":[]}"#, &pair).await;
    let key = format!("oidc:http://{}", server.address);
    let (handler, _) = Handler::load(config(&key), Arc::new(Network), NOW).await.unwrap();
    assert_eq!(ask(&handler, &pair.sign(), NOW).await, Ok(()));
    let asked: Vec<String> = server.asked().iter().map(|asked| asked.uri.to_string()).collect();
    assert_eq!(asked, ["/.well-known/openid-configuration", "/k?x=1"]);
}

#[tokio::test]
async fn metadata_of_somebody_else_or_that_lead_elsewhere_are_refused() {
    for (metadata, part) in [
        (r#"{"issuer":"https://other.example.com","jwks_uri":"HERE/k"}"#, "another `issuer`"),
        (r#"{"issuer":"HERE/","jwks_uri":"HERE/k"}"#, "another `issuer`"),
        (r#"{"issuer":"HERE"}"#, "jwks_uri"),
        (r#"{"issuer":"HERE","jwks_uri":"http://192.0.2.1/k"}"#, "https"),
        (r#"{"issuer":"HERE","jwks_uri":"file:///etc/passwd"}"#, "address"),
        ("[]", "metadata"),
    ] {
        let server = provider(metadata, &Pair::new("one")).await;
        let key = format!("oidc:http://{}", server.address);
        let errors = Handler::load(config(&key), Arc::new(Network), NOW).await.unwrap_err();
        assert!(errors[0].message.contains(part), "{metadata}: {errors:?}");
        assert_eq!(server.asked().len(), 1, "{metadata}");
    }
}

#[tokio::test]
async fn a_key_without_a_fitting_server_is_not_looked_up() {
    let (pair, other) = (Pair::new("one"), Pair::new("two"));
    let (_, server, handler) = start(&[&pair]).await;
    let authorizer: &Authorizer = handler.authorizer();
    assert!(authorizer.config().delegate().is_none());
    let mut forged = other.sign();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for token in
        [forged.rsplit_once('.').unwrap().0, "x.y.z", "eyJhbGciOiJub25lIiwia2lkIjoidHdvIn0.e30."]
    {
        assert!(ask(&handler, token, NOW + 20).await.is_err());
    }
    assert_eq!(server.asked().len(), 1, "what is no token of this issuer causes no fetch");
}
