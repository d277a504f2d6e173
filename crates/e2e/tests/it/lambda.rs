//! The real `bootstrap` under the Runtime API: what it answers, raises and writes.

mod outside;
mod start;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::door::{ARN, Handshake};
use crate::harness::runtime_api::{Lambda, Outcome};
use crate::harness::secrets::count_minted_in;
use crate::harness::token;
use crate::keys::EXPIRY;

const PAGE: &str = "https://ui.example.com";

const CONFIG: &str = r#"
[authorizer]
sources = ["cookie:JWT", "protocol", "header:Authorization", "query:access_token"]
origins = ["https://ui.example.com"]
context_claims = ["role", "tenant"]
[[authorizer.issuers]]
issuer = "https://login.example.com"
audience = ["chat"]
algorithms = ["HS256"]
keys = ["hmac:env:HARNESS_JWT"]
[authorizer.csrf]
secret = "env:HARNESS_CSRF"
"#;

/// A function, and what a login back end shares with it.
struct World {
    lambda: Lambda,
    jwt_secret: String,
    csrf_secret: String,
}

impl World {
    fn start() -> Self {
        Self::start_with(CONFIG, &[])
    }

    fn start_with(config: &str, more: &[(&str, &str)]) -> Self {
        let (jwt_secret, csrf_secret) = (token::random_hex(), token::random_hex());
        let all = [
            ("WSGATE_AUTHORIZER_TOML", config),
            ("HARNESS_JWT", &jwt_secret),
            ("HARNESS_CSRF", &csrf_secret),
        ];
        let environment = owned(all.iter().chain(more));
        let lambda = Lambda::start(&environment)
            .unwrap_or_else(|error| panic!("it does not start: {}", error.log));
        Self { lambda, jwt_secret, csrf_secret }
    }

    fn jwt(&self) -> String {
        token::jwt(&claims(), &self.jwt_secret)
    }

    fn csrf(&self) -> String {
        token::csrf("s", &self.csrf_secret)
    }

    /// What the page sends: both cookies, and the CSRF value once more.
    fn page(&self) -> Handshake {
        let csrf = self.csrf();
        Handshake::default()
            .header("Origin", PAGE)
            .header("Cookie", &format!("theme=dark; JWT={}; CSRF-TOKEN={csrf}", self.jwt()))
            .query("csrf_token", &csrf)
    }

    fn invoke(&mut self, handshake: &Handshake) -> Outcome {
        self.lambda.invoke(&handshake.event().to_string())
    }

    /// `tokenSource` of the grant.
    #[track_caller]
    fn source(&mut self, handshake: &Handshake) -> String {
        match self.invoke(handshake) {
            Outcome::Answer(answer) => {
                assert_eq!(answer, grant(answer["context"].clone()));
                answer["context"]["tokenSource"].as_str().unwrap().to_owned()
            }
            error @ Outcome::Error { .. } => panic!("{handshake:?}: {error:?}"),
        }
    }
}

fn owned<'a>(pairs: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Vec<(String, String)> {
    pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "ada", "sid": "s",
        "exp": EXPIRY, "role": "admin", "tenant": "acme",
    })
}

fn grant(context: Value) -> Value {
    json!({
        "principalId": "ada",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                { "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": ARN },
            ],
        },
        "context": context,
    })
}

fn deny() -> Outcome {
    Outcome::Answer(json!({
        "principalId": "anonymous",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                { "Action": "execute-api:Invoke", "Effect": "Deny", "Resource": ARN },
            ],
        },
    }))
}

/// API Gateway answers 401 to exactly this `errorMessage`.
#[track_caller]
fn is_unauthorized(outcome: &Outcome) {
    let Outcome::Error { body, .. } = outcome else { panic!("an answer: {outcome:?}") };
    assert_eq!(body["errorMessage"], "Unauthorized");
    assert_eq!(body["errorType"], "Unauthorized");
}

#[test]
fn both_cookies_and_the_repeated_value_are_a_grant() {
    let mut world = World::start();
    let context = json!({
        "role": "admin",
        "tenant": "acme",
        "issuer": "https://login.example.com",
        "expiresAt": EXPIRY.to_string(),
        "tokenSource": "cookie:JWT",
        "csrf": "signed",
    });
    // One process answers many events.
    for _ in 0..3 {
        let handshake = world.page();
        assert_eq!(world.invoke(&handshake), Outcome::Answer(grant(context.clone())));
    }
}

#[test]
fn every_carrier_is_read() {
    let mut world = World::start();
    let csrf = world.csrf();
    let cookies = format!("JWT={}; CSRF-TOKEN={csrf}", world.jwt());
    let offered = Handshake::default()
        .header("Origin", PAGE)
        .header("Cookie", &cookies)
        .header("Sec-WebSocket-Protocol", &format!("chat, csrf.{csrf}"));
    assert_eq!(world.source(&offered), "cookie:JWT");
    let jwt = world.jwt();
    let protocol = |offer: &str| Handshake::default().header("Sec-WebSocket-Protocol", offer);
    for offer in [
        format!("access_token, {jwt}"),
        format!("chat, bearer, {jwt}"),
        format!("bearer.{jwt}, chat"),
        format!("base64url.bearer.authorization.k8s.io.{}, chat", URL_SAFE_NO_PAD.encode(&jwt)),
    ] {
        assert_eq!(world.source(&protocol(&offer)), "protocol");
    }
    assert_eq!(world.source(&Handshake::bearer(&jwt)), "header:Authorization");
    let query = Handshake::default().query("access_token", &jwt);
    assert_eq!(world.source(&query), "query:access_token");
}

#[test]
fn every_occurrence_counts_and_not_the_last_alone() {
    let mut world = World::start();
    let (jwt, other) = (world.jwt(), world.jwt().replace("ey", "ez"));
    let good = world.page();
    let cookie = format!("JWT={jwt}");
    for twice in [
        Handshake::bearer(&other).header("Authorization", &format!("Bearer {jwt}")),
        Handshake::bearer(&jwt).header("Authorization", &format!("Bearer {jwt}")),
        Handshake::bearer(&jwt).header("authorization", &format!("Bearer {jwt}")),
        Handshake::default().query("access_token", &other).query("access_token", &jwt),
        Handshake::bearer(&jwt).query("access_token", &jwt).query("access_token", &jwt),
        good.clone().header("Cookie", &cookie),
        good.clone().header("cookie", "CSRF-TOKEN=planted"),
        Handshake::default()
            .header("Sec-WebSocket-Protocol", &format!("bearer.{other}"))
            .header("Sec-WebSocket-Protocol", &format!("access_token, {jwt}")),
    ] {
        is_unauthorized(&world.invoke(&twice));
    }
    let evil = Handshake {
        headers: [("Origin".to_owned(), "https://evil.example.com".to_owned())]
            .into_iter()
            .chain(good.headers.clone())
            .collect(),
        query: good.query.clone(),
    };
    for twice in [evil, good.clone().query("csrf_token", "x")] {
        assert_eq!(world.invoke(&twice), deny(), "{twice:?}");
    }
    assert!(matches!(world.invoke(&good), Outcome::Answer(_)));
    // A test event from the console has the single-value maps alone.
    let mut event = good.event();
    let members = event.as_object_mut().unwrap();
    members.remove("multiValueHeaders");
    members.remove("multiValueQueryStringParameters");
    let outcome = world.lambda.invoke(&event.to_string());
    assert!(matches!(&outcome, Outcome::Answer(answer) if answer["principalId"] == "ada"));
}

#[test]
fn a_token_that_is_not_accepted_raises_exactly_unauthorized() {
    let mut world = World::start();
    let expired = json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "ada", "exp": 1,
    });
    let expired = token::jwt(&expired, &world.jwt_secret);
    let forged = token::jwt(&claims(), &token::random_hex());
    for (handshake, code) in [
        (Handshake::default(), "token_missing"),
        (Handshake::bearer(&expired), "token_expired"),
        (Handshake::bearer(&forged), "token_signature"),
        (Handshake::bearer("x"), "token_malformed"),
    ] {
        let before = world.lambda.log().matches(code).count();
        match world.invoke(&handshake) {
            Outcome::Error { body, header } => {
                let want = json!({ "errorMessage": "Unauthorized", "errorType": "Unauthorized" });
                assert_eq!(body, want, "nothing else is told");
                assert!(header.is_some(), "Lambda wants the type in a header too");
            }
            answer @ Outcome::Answer(_) => panic!("{answer:?}"),
        }
        assert_eq!(world.lambda.log().matches(code).count(), before + 1, "{code} is logged once");
    }
}

#[test]
fn a_page_that_may_not_ask_gets_an_explicit_deny() {
    let mut world = World::start();
    let good = world.page();
    let foreign = Handshake {
        headers: good
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.replace(PAGE, "https://evil.example.com")))
            .collect(),
        query: good.query.clone(),
    };
    let silent = Handshake { headers: good.headers, query: Vec::new() };
    let other = world.csrf();
    let unequal = silent.clone().query("csrf_token", &other);
    for (handshake, code) in
        [(foreign, "origin_not_allowed"), (silent, "csrf_missing"), (unequal, "csrf_mismatch")]
    {
        assert_eq!(world.invoke(&handshake), deny());
        let log = world.lambda.log();
        let line = log.lines().find(|line| line.contains(code));
        let line: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{log}"))).unwrap();
        assert_eq!(line["message"], "refused");
        assert!(line["request_id"].as_str().unwrap().starts_with("8476a536-"), "{line}");
    }
}

#[test]
fn what_is_no_event_is_an_error_of_another_name() {
    let mut world = World::start();
    let good = world.page();
    let spoilt = |spoil: &dyn Fn(&mut Value)| {
        let mut event = good.event();
        spoil(&mut event);
        event.to_string()
    };
    for event in [
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\"hunter2-hunter2\"".to_owned(),
        spoilt(&|event| event["type"] = "TOKEN".into()),
        spoilt(&|event| event["methodArn"] = Value::Null),
        spoilt(&|event| event["methodArn"] = "*".into()),
        spoilt(&|event| {
            event["headers"] = Value::Null;
            event["multiValueHeaders"] = Value::Null;
        }),
        spoilt(&|event| event["multiValueHeaders"]["Cookie"] = "hunter2-hunter2".into()),
    ] {
        let Outcome::Error { body, .. } = world.lambda.invoke(&event) else {
            panic!("an answer to {event}")
        };
        let message = body["errorMessage"].as_str().unwrap();
        assert!(!message.is_empty() && message != "Unauthorized", "{message}");
        assert!(!body.to_string().contains("hunter2"), "{body}");
    }
    assert!(!world.lambda.log().contains("hunter2"));
    assert!(matches!(world.invoke(&good), Outcome::Answer(_)), "it serves on");
}

#[test]
fn rules_that_only_report_let_pass_and_are_logged() {
    let config =
        CONFIG.replace("[authorizer]\n", "[authorizer]\nreport_only = [\"origin\", \"csrf\"]\n");
    let mut world = World::start_with(&config, &[]);
    let cookies = format!("JWT={}", world.jwt());
    let foreign = Handshake::default()
        .header("Origin", "https://evil.example.com")
        .header("Cookie", &cookies);
    assert_eq!(world.source(&foreign), "cookie:JWT");
    let log = world.lambda.log();
    for code in ["origin_not_allowed", "csrf_missing"] {
        let line = log.lines().find(|line| line.contains(code)).unwrap_or_else(|| panic!("{log}"));
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["message"], "reported only");
        assert_eq!(line["level"], "WARN");
    }
    let forged = token::jwt(&claims(), &token::random_hex());
    is_unauthorized(&world.invoke(&Handshake::bearer(&forged)));
}

/// The library of the runtime writes whole events at the finest level.
#[test]
fn no_level_of_the_log_holds_a_token_or_a_secret() {
    for level in ["TRACE", "DEBUG", "INFO"] {
        let mut world = World::start_with(CONFIG, &[("AWS_LAMBDA_LOG_LEVEL", level)]);
        let good = world.page();
        let forged = token::jwt(&claims(), &token::random_hex());
        assert!(matches!(world.invoke(&good), Outcome::Answer(_)));
        is_unauthorized(&world.invoke(&Handshake::bearer(&forged)));
        is_unauthorized(&world.invoke(&Handshake::default().query("access_token", &forged)));
        world.lambda.invoke(&format!("{{\"headers\":\"{forged}\"}}"));
        let log = world.lambda.log();
        assert!(log.contains("token_signature"), "{log}");
        assert_eq!(count_minted_in(&log), 0, "at {level}");
    }
}
