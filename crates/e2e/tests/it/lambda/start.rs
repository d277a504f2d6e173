//! A start that fails: everything that is wrong is told, once and to everybody.

use serde_json::Value;

use super::{CONFIG, owned};
use crate::harness::runtime_api::{InitError, Lambda};
use crate::harness::token;

/// A start with these variables, which fails.
#[track_caller]
fn fail(environment: &[(&str, &str)]) -> Box<InitError> {
    let error = Lambda::start(&owned(environment.iter())).err().expect("it does not start");
    assert_eq!(error.code, Some(1), "{}", error.log);
    assert_eq!(error.others, Vec::<String>::new(), "nothing else was asked for");
    error
}

fn message(error: &InitError) -> &str {
    error.body["errorMessage"].as_str().expect("a message")
}

/// Asserts that both the message and the log tell each of `words`.
#[track_caller]
fn tells(error: &InitError, words: &[&str]) {
    for word in words {
        assert!(message(error).contains(word), "not in the message: {word}\n{}", message(error));
        assert!(error.log.contains(word), "not in the log: {word}\n{}", error.log);
    }
}

#[test]
fn every_mistake_of_a_document_is_told_at_once() {
    let document = r#"
[authorizer]
sources = ["cookie:JWT", "body:token"]
origins = ["http://ui.example.com"]
leeway = "90s"
colour = "red"
[[authorizer.issuers]]
issuer = "https://login.example.com"
algorithms = ["HS256", "RS256"]
keys = ["pem:elsewhere"]
[authorizer.csrf]
mode = "strict"
"#;
    let error = fail(&[("WSGATE_AUTHORIZER_TOML", document)]);
    tells(
        &error,
        &[
            "authorizer.sources[1]",
            "authorizer.origins[0]",
            "authorizer.leeway",
            "authorizer.colour",
            "authorizer.issuers[0].audience",
            "authorizer.issuers[0].keys[0]",
            "authorizer.csrf.mode",
        ],
    );
    assert_eq!(error.body["errorType"], "Configuration");
    assert_eq!(error.header.as_deref(), Some("Configuration"));
}

#[test]
fn every_key_that_cannot_be_had_is_told_at_once() {
    let document = r#"
[authorizer]
origins = ["https://ui.example.com"]
[[authorizer.issuers]]
issuer = "https://one.example.com"
principal_prefix = "one:"
audience = ["chat"]
algorithms = ["HS256"]
keys = ["hmac:env:HARNESS_ABSENT", "hmac:env:HARNESS_SHORT"]
[[authorizer.issuers]]
issuer = "https://two.example.com"
principal_prefix = "two:"
audience = ["chat"]
algorithms = ["RS256"]
keys = ["pem:file:no/such/file.pem", "pem:env:HARNESS_NO_PEM"]
[authorizer.csrf]
secret = "env:HARNESS_NO_CSRF"
"#;
    let error = fail(&[
        ("WSGATE_AUTHORIZER_TOML", document),
        ("HARNESS_SHORT", "hunter2-hunter2"),
        ("HARNESS_NO_PEM", "-----BEGIN hunter2-----"),
    ]);
    tells(
        &error,
        &[
            "authorizer.issuers[0].keys[0]",
            "env:HARNESS_ABSENT does not exist",
            "authorizer.issuers[0].keys[1]",
            "authorizer.issuers[1].keys[0]",
            "file:no/such/file.pem does not exist",
            "authorizer.issuers[1].keys[1]",
            "authorizer.csrf.secret",
            "env:HARNESS_NO_CSRF does not exist",
        ],
    );
    assert!(!message(&error).contains("hunter2") && !error.log.contains("hunter2"));
}

#[test]
fn variables_are_checked_like_the_document() {
    let (jwt, csrf) = (token::random_hex(), token::random_hex());
    let base = [
        ("WSGATE_AUTHORIZER_TOML", CONFIG),
        ("HARNESS_JWT", jwt.as_str()),
        ("HARNESS_CSRF", csrf.as_str()),
    ];
    for (name, value, place) in [
        ("WSGATE_AUTHORIZER_SSM", "/chat/authorizer", "WSGATE_AUTHORIZER_SSM"),
        ("WSGATE_AUTHORIZER_JSON", "{}", "WSGATE_AUTHORIZER_JSON"),
        ("WSGATE_AUTHORIZER__ORIGINS", "https://ui.example.com", "authorizer.origins"),
        ("WSGATE_AUTHORIZER__CSRF__MODE", "strict", "authorizer.csrf.mode"),
        ("WSGATE_AUTHORIZER__COLOUR", "red", "authorizer.colour"),
    ] {
        let mut environment = base.to_vec();
        environment.push((name, value));
        tells(&fail(&environment), &[place]);
    }
    tells(&fail(&[("WSGATE_AUTHORIZER_TOML", "[authorizer\n")]), &["is not TOML, line 1"]);
    tells(&fail(&[("WSGATE_AUTHORIZER_TOML", "[listen]\n")]), &["listen"]);
    tells(&fail(&[]), &["authorizer.issuers"]);
}

/// A secret in the place of its source is a mistake that people make.
#[test]
fn a_misplaced_secret_is_not_repeated() {
    let (jwt, csrf) = (token::random_hex(), token::random_hex());
    let document = CONFIG.replace("hmac:env:HARNESS_JWT", &jwt).replace("env:HARNESS_CSRF", &csrf);
    let error = fail(&[("WSGATE_AUTHORIZER_TOML", &document)]);
    tells(&error, &["authorizer.issuers[0].keys[0]", "authorizer.csrf.secret"]);
    for secret in [&jwt, &csrf] {
        assert!(!error.body.to_string().contains(secret.as_str()));
        assert!(!error.log.contains(secret.as_str()));
    }
}

#[test]
fn one_secret_for_both_is_refused() {
    let secret = token::random_hex();
    let error = fail(&[
        ("WSGATE_AUTHORIZER_TOML", CONFIG),
        ("HARNESS_JWT", &secret),
        ("HARNESS_CSRF", &secret),
    ]);
    tells(&error, &["authorizer.csrf.secret"]);
}

#[test]
fn roots_that_cannot_be_read_are_told_where_they_are_needed() {
    let document = CONFIG
        .replace("HS256", "RS256")
        .replace("hmac:env:HARNESS_JWT", "jwks:https://localhost:1/jwks.json");
    let csrf = token::random_hex();
    let error = fail(&[
        ("WSGATE_AUTHORIZER_TOML", &document),
        ("HARNESS_CSRF", &csrf),
        ("SSL_CERT_FILE", "no/such/roots.pem"),
    ]);
    tells(&error, &["authorizer.issuers[0].keys[0]", "SSL_CERT_FILE no/such/roots.pem"]);
}

#[test]
fn the_log_of_a_failed_start_is_json_by_line() {
    let error = fail(&[("WSGATE_AUTHORIZER_TOML", "[authorizer]\nleeway = 7\n")]);
    for line in error.log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line["level"].is_string(), "{line}");
    }
}

/// Emulators of Lambda write the address of the Runtime API so.
#[test]
fn a_failed_start_is_reported_to_a_url_too() {
    let error = Lambda::start_told(&[], |address| format!("http://{address}"));
    tells(&error.err().expect("it does not start"), &["authorizer.issuers"]);
}
