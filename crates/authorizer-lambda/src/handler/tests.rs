use authorizer::mint::{SigningKey, csrf_value, jwt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use authorizer::{Algorithm, Config};
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::https::{self, Client};
use crate::source::{Reading, SourceError};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret of the tokens, 32 bytes at least";
const CSRF_SECRET: &[u8] = b"the secret of the CSRF values, 32 bytes at least";
const ARN: &str = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/dev/$connect";

fn handler() -> Handler {
    let tree = json!({
        "origins": ["https://ui.example.com"],
        "sources": ["cookie:JWT", "protocol", "header:Authorization", "query:t"],
        "context_claims": ["role"],
        "required_claims": { "use": "access" },
        "csrf": { "secret": "env:CSRF" },
        "issuers": [{
            "issuer": "i", "audience": ["a"], "algorithms": ["HS256"], "keys": ["hmac:env:S"],
        }],
    });
    load(&tree, Arc::new(Fake::default()))
}

fn load(tree: &Value, sources: Arc<Fake>) -> Handler {
    let (config, _) = Config::read(tree).unwrap();
    block_on(Handler::load(config, sources, NOW)).unwrap().0
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

impl Handler {
    fn ask_json(&self, event: &[u8]) -> Result<Vec<u8>, HandlerError> {
        block_on(self.handle_json(event, NOW))
    }
}

/// Sources whose one secret can be changed, and fail.
#[derive(Default)]
struct Fake {
    secret: Mutex<Option<Vec<u8>>>,
    is_down: AtomicBool,
    reads: AtomicUsize,
}

impl Sources for Fake {
    fn env(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        match name {
            "S" => Ok(SECRET.to_vec()),
            "CSRF" => Ok(CSRF_SECRET.to_vec()),
            _ => Err(SourceError::Absent),
        }
    }

    fn file(&self, _: &str) -> Result<Vec<u8>, SourceError> {
        Err(SourceError::Absent)
    }

    fn parameter<'a>(&'a self, _: &'a str) -> Reading<'a> {
        Box::pin(async {
            self.reads.fetch_add(1, Ordering::Relaxed);
            if self.is_down.load(Ordering::Relaxed) {
                return Err(SourceError::Failed("the service is down".to_owned()));
            }
            Ok(self.secret.lock().clone().unwrap_or_else(|| SECRET.to_vec()))
        })
    }

    fn secret<'a>(&'a self, id: &'a str) -> Reading<'a> {
        self.parameter(id)
    }

    fn client(&self) -> Result<Client, SourceError> {
        https::client(None).map_err(|error| SourceError::Failed(error.to_string()))
    }
}

fn token(usage: &str, expires: u64) -> String {
    let key = SigningKey::hmac(Algorithm::Hs256, SECRET).unwrap();
    let claims = json!({
        "iss": "i", "aud": "a", "sub": "x\",\"role\":\"admin", "sid": "s", "use": usage,
        "role": "r\u{e9}\n", "exp": expires,
    });
    jwt(&key.header(None), &claims.to_string(), &key).unwrap()
}

fn event(headers: &[(String, String)], query: &[(String, String)]) -> Vec<u8> {
    let multi = |lines: &[(String, String)]| {
        let mut map = Map::new();
        for (name, value) in lines {
            let values = map.entry(name.clone()).or_insert_with(|| json!([]));
            values.as_array_mut().unwrap().push(value.as_str().into());
        }
        Value::Object(map)
    };
    let last = |lines: &[(String, String)]| -> Map<String, Value> {
        lines.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
    };
    let event = json!({
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": last(headers),
        "multiValueHeaders": multi(headers),
        "queryStringParameters": last(query),
        "multiValueQueryStringParameters": multi(query),
        "stageVariables": {},
        "requestContext": { "routeKey": "$connect", "stage": "dev" },
    });
    event.to_string().into_bytes()
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn bearer(token: &str) -> Vec<(String, String)> {
    vec![line("Authorization", &format!("Bearer {token}"))]
}

fn ask(headers: &[(String, String)]) -> Result<Value, String> {
    let answer = handler().ask_json(&event(headers, &[]));
    answer.map(|json| serde_json::from_slice(&json).unwrap()).map_err(|e| e.error_message())
}

#[test]
fn a_grant_is_an_allow_on_the_method_with_principal_and_context() {
    let answer = ask(&bearer(&token("access", NOW + 60))).unwrap();
    assert_eq!(
        answer,
        json!({
            "principalId": "x\",\"role\":\"admin",
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    { "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": ARN }
                ],
            },
            "context": {
                "role": "r\u{e9}\n", "issuer": "i", "expiresAt": "1800000060",
                "tokenSource": "header:Authorization", "csrf": "none",
            },
        })
    );
}

#[test]
fn what_will_never_do_is_an_explicit_deny_that_says_nothing() {
    let headers = bearer(&token("id", NOW + 60));
    let answer = ask(&headers).unwrap();
    assert_eq!(answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
    assert_eq!(answer["policyDocument"]["Statement"][0]["Resource"], ARN);
    assert!(answer.get("context").is_none());
    let answer = block_on(handler().answer(&event(&headers, &[]), NOW)).unwrap();
    assert_eq!(answer.denial, Some(Denial::ClaimRequired));
    assert!(!String::from_utf8(answer.json).unwrap().contains("claim"));
}

#[test]
fn what_other_credentials_can_mend_is_exactly_unauthorized() {
    for headers in [vec![], bearer("x"), bearer(&token("access", NOW - 60))] {
        assert_eq!(ask(&headers), Err("Unauthorized".to_owned()));
    }
    let twice = vec![line("Cookie", "JWT=a"), line("Cookie", "JWT=b")];
    assert_eq!(ask(&twice), Err("Unauthorized".to_owned()));
    let denial = handler().ask_json(&event(&twice, &[])).unwrap_err().denial();
    assert_eq!(denial, Some(Denial::CookieAmbiguous));
}

/// The single-value maps show the last occurrence only, here always the harmless one.
#[test]
fn a_second_occurrence_is_seen_wherever_it_is() {
    let good = token("access", NOW + 60);
    let value = csrf_value(CSRF_SECRET, "s", &[1; 16]).unwrap();
    let cookie = line("Cookie", &format!("JWT={good}; CSRF-TOKEN={value}"));
    let submitted = line("Sec-WebSocket-Protocol", &format!("csrf.{value}"));
    let origin = line("Origin", "https://ui.example.com");
    let authorization = line("Authorization", &format!("Bearer {good}"));
    let browser = [cookie.clone(), submitted, origin.clone()];
    let ask =
        |first: &[(String, String)], rest: &[(String, String)], query: &[(String, String)]| {
            match block_on(handler().answer(&event(&[first, rest].concat(), query), NOW)) {
                Ok(answer) => answer.denial,
                Err(error) => error.denial(),
            }
        };
    assert_eq!(ask(&[], &browser, &[]), None);
    for (second, want) in [
        (line("Cookie", "JWT=x"), Denial::CookieAmbiguous),
        (line("cookie", "a=b; JWT="), Denial::CookieAmbiguous),
        (line("Cookie", "CSRF-TOKEN=x"), Denial::CookieAmbiguous),
        (line("Origin", "https://evil.test"), Denial::OriginAmbiguous),
        (line("ORIGIN", "https://ui.example.com"), Denial::OriginAmbiguous),
        (line("Sec-WebSocket-Protocol", "csrf.x"), Denial::CsrfAmbiguous),
        (line("Sec-WebSocket-Protocol", &format!("bearer, {good}x")), Denial::TokenAmbiguous),
        (line("Sec-Fetch-Mode", "navigate"), Denial::OriginFetchMode),
        (line("Authorization", "Bearer x"), Denial::TokenAmbiguous),
    ] {
        let shown = format!("{second:?}");
        assert_eq!(ask(&[second], &browser, &[]), Some(want), "{shown}");
    }
    let twice = [authorization.clone(), authorization];
    assert_eq!(ask(&[], &twice, &[]), Some(Denial::TokenAmbiguous));
    let twice = [line("t", "x"), line("t", &good)];
    assert_eq!(ask(&[], &[], &twice), Some(Denial::TokenAmbiguous));
    let twice = [line("csrf_token", "x"), line("csrf_token", &value)];
    assert_eq!(ask(&[], &[cookie, origin], &twice), Some(Denial::CsrfAmbiguous));
}

#[test]
fn a_malformed_event_fails_with_another_message() {
    for event in ["", "{}", "[]", "{\"type\":\"REQUEST\"}"] {
        let error = handler().ask_json(event.as_bytes()).unwrap_err();
        assert_ne!(error.error_message(), "Unauthorized", "{event}");
        assert_eq!(error.denial(), None);
    }
}

/// A handler whose secret is a parameter.
fn rotating(sources: &Arc<Fake>) -> Handler {
    let tree = json!({
        "sources": ["header:Authorization"],
        "issuers": [{
            "issuer": "i", "audience": ["a"], "algorithms": ["HS256"], "keys": ["hmac:ssm:/s"],
        }],
    });
    load(&tree, Arc::clone(sources))
}

fn ask_at(handler: &Handler, now: u64) -> Result<(), HandlerError> {
    block_on(async {
        handler.refresh_due(now).await;
        let event = event(&bearer(&token("access", 3_000_000_000)), &[]);
        handler.answer(&event, now).await.map(drop)
    })
}

#[test]
fn a_new_secret_takes_effect_when_the_old_is_fresh_no_more() {
    let sources = Arc::new(Fake::default());
    let handler = rotating(&sources);
    let before = handler.keys().generation;
    *sources.secret.lock() = Some(b"another secret of 32 bytes, or even more".to_vec());
    assert_eq!(ask_at(&handler, NOW + 299), Ok(()));
    assert_eq!(sources.reads.load(Ordering::Relaxed), 1);
    let error = ask_at(&handler, NOW + 300).unwrap_err();
    assert_eq!(error.denial(), Some(Denial::TokenSignature));
    assert!(before < handler.keys().generation);
    let generation = handler.keys().generation;
    assert!(ask_at(&handler, NOW + 600).is_err());
    assert_eq!(handler.keys().generation, generation, "the same content is the same generation");
    assert!(generation < rotating(&sources).keys().generation, "unique in the process");
}

#[test]
fn old_keys_serve_while_their_source_is_down_and_not_for_ever() {
    let sources = Arc::new(Fake::default());
    let handler = rotating(&sources);
    sources.is_down.store(true, Ordering::Relaxed);
    let stale = NOW + 300 + 24 * 3600;
    for now in [NOW + 300, NOW + 301, stale - 1] {
        assert_eq!(ask_at(&handler, now), Ok(()), "{now}");
    }
    assert_eq!(sources.reads.load(Ordering::Relaxed), 3, "pauses between failures");
    assert_eq!(ask_at(&handler, stale), Err(HandlerError::Failed(Refusal::KeysStale)));
    assert_ne!(ask_at(&handler, stale).unwrap_err().error_message(), "Unauthorized");
    sources.is_down.store(false, Ordering::Relaxed);
    assert_eq!(ask_at(&handler, stale + 600), Ok(()));
}

#[test]
fn a_new_content_that_cannot_be_used_changes_nothing() {
    let sources = Arc::new(Fake::default());
    let handler = rotating(&sources);
    *sources.secret.lock() = Some(b"short".to_vec());
    assert_eq!(ask_at(&handler, NOW + 300), Ok(()));
    *sources.secret.lock() = None;
    assert_eq!(ask_at(&handler, NOW + 310), Ok(()));
}

#[test]
fn a_clock_that_cannot_be_right_lets_nobody_in() {
    let token = token("access", 1_000_000_000);
    for now in [0, 1, 999_999_999] {
        assert_eq!(block_on(handler().renew(&token, now)), Err(Refusal::ClockWrong), "{now}");
    }
}

#[test]
fn a_token_over_an_open_connection_needs_no_carrier() {
    let grant = block_on(handler().renew(&token("access", NOW + 60), NOW)).unwrap();
    assert_eq!(grant.deadline, NOW + 65);
    for (token, want) in [
        (token("id", NOW + 60), Denial::ClaimRequired),
        (token("access", NOW - 60), Denial::TokenExpired),
        (String::new(), Denial::TokenMissing),
        ("x".repeat(9000), Denial::TokenTooLong),
    ] {
        assert_eq!(block_on(handler().renew(&token, NOW)).unwrap_err(), Refusal::Denied(want));
    }
}

fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let good = token("access", NOW + 60);
    let csrf = csrf_value(CSRF_SECRET, "s", &[1; 16]).unwrap();
    let name = prop_oneof![
        Just("Cookie".to_owned()),
        Just("Origin".to_owned()),
        Just("Authorization".to_owned()),
        Just("Sec-WebSocket-Protocol".to_owned()),
        "[A-Za-z-]{1,6}",
    ];
    let value = prop_oneof![
        "\\PC{0,40}",
        Just("https://ui.example.com".to_owned()),
        Just(format!("Bearer {good}")),
        Just(format!("Bearer {}", token("id", NOW + 60))),
        Just(format!("JWT={good}; CSRF-TOKEN={csrf}")),
        Just(format!("JWT={good}")),
        Just(format!("csrf.{csrf}")),
        Just(format!("bearer, {good}, chat")),
    ];
    // Headers of one name next to each other, as a map keeps them.
    prop::collection::vec((name, value), 0..5).prop_map(|mut lines| {
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        lines
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_typed_call_and_the_json_call_agree(headers in lines(), query in prop::collection::vec(("t|csrf_token|q", ".{0,20}"), 0..3)) {
        let mut query = query;
        query.sort_by(|a, b| a.0.cmp(&b.0));
        let handler = handler();
        let json = block_on(handler.answer(&event(&headers, &query), NOW));
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let query: Vec<_> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let request = Request { headers: &headers, query: &query, method_arn: ARN };
        match (block_on(handler.authorize(&request, NOW)), json) {
            (Ok(grant), Ok(answer)) => {
                prop_assert_eq!(answer.denial, None);
                let answer: Value = serde_json::from_slice(&answer.json).unwrap();
                prop_assert_eq!(&answer["principalId"], &json!(grant.principal_id));
                prop_assert_eq!(answer["context"].as_object().unwrap().len(), grant.context.len());
                for (name, value) in &grant.context {
                    prop_assert_eq!(&answer["context"][name], &json!(value));
                }
                prop_assert_eq!(&answer["policyDocument"]["Statement"][0]["Effect"], "Allow");
            }
            (Err(Refusal::Denied(denial)), Ok(answer)) => {
                prop_assert_eq!((denial.status(), answer.denial), (403, Some(denial)));
                let answer: Value = serde_json::from_slice(&answer.json).unwrap();
                prop_assert_eq!(&answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
            }
            (Err(Refusal::Denied(denial)), Err(error)) => {
                prop_assert_eq!((denial.status(), error.denial()), (401, Some(denial)));
                prop_assert_eq!(error.error_message(), "Unauthorized");
            }
            (typed, json) => prop_assert!(false, "{typed:?} {json:?}"),
        }
    }

    #[test]
    fn no_event_panics(event in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = handler().ask_json(&event);
    }
}
