use authorizer::mint::{SigningKey, csrf_value, jwt};
use authorizer::{Algorithm, AwsLc, Config};
use proptest::prelude::*;
use serde_json::json;

use super::*;

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
    let (config, _) = Config::read(&tree).unwrap();
    let keys = keys(&config, SECRET);
    Handler::new(Authorizer::new(config), keys)
}

fn keys(config: &Config, secret: &[u8]) -> Keys {
    let mut builder = KeySet::builder(config, &AwsLc);
    builder.add(0, 0, secret);
    builder.csrf_secret(CSRF_SECRET);
    Keys::new(builder.build().unwrap().0)
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

use serde_json::Map;

fn line(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn bearer(token: &str) -> Vec<(String, String)> {
    vec![line("Authorization", &format!("Bearer {token}"))]
}

fn ask(headers: &[(String, String)]) -> Result<Value, String> {
    let answer = handler().handle_json(&event(headers, &[]), NOW);
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
    let answer = handler().answer(&event(&headers, &[]), NOW).unwrap();
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
    let denial = handler().handle_json(&event(&twice, &[]), NOW).unwrap_err().denial();
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
            match handler().answer(&event(&[first, rest].concat(), query), NOW) {
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
        let error = handler().handle_json(event.as_bytes(), NOW).unwrap_err();
        assert_ne!(error.error_message(), "Unauthorized", "{event}");
        assert_eq!(error.denial(), None);
    }
}

#[test]
fn new_keys_are_another_generation_and_take_effect_at_once() {
    let handler = handler();
    let before = handler.keys().generation;
    let event = event(&bearer(&token("access", NOW + 60)), &[]);
    assert!(handler.handle_json(&event, NOW).is_ok());
    let other = keys(handler.authorizer().config(), b"another secret of 32 bytes, or even more");
    handler.replace_keys(other);
    assert!(before < handler.keys().generation);
    let error = handler.handle_json(&event, NOW).unwrap_err();
    assert_eq!(error.denial(), Some(Denial::TokenSignature));
    assert!(handler.keys().generation < self::handler().keys().generation);
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
        let json = handler.answer(&event(&headers, &query), NOW);
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let query: Vec<_> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let request = Request { headers: &headers, query: &query, method_arn: ARN };
        match (handler.authorize(&request, NOW), json) {
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
            (Err(denial), Ok(answer)) => {
                prop_assert_eq!((denial.status(), answer.denial), (403, Some(denial)));
                let answer: Value = serde_json::from_slice(&answer.json).unwrap();
                prop_assert_eq!(&answer["policyDocument"]["Statement"][0]["Effect"], "Deny");
            }
            (Err(denial), Err(error)) => {
                prop_assert_eq!((denial.status(), error.denial()), (401, Some(denial)));
                prop_assert_eq!(error.error_message(), "Unauthorized");
            }
            (Ok(grant), Err(error)) => prop_assert!(false, "{grant:?} {error:?}"),
        }
    }

    #[test]
    fn no_event_panics(event in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = handler().handle_json(&event, NOW);
    }
}
