//! Step 3 and 5: what the token says.

use super::*;

#[track_caller]
fn check(changes: Value, want: Option<Denial>) {
    let gate = Gate::new(bearer_config());
    let claims = claims_with(changes);
    assert_eq!(reason(gate.ask_bearer(&sign(&claims))), want, "{claims}");
}

#[test]
fn exp_is_required_and_nbf_and_iat_are_honoured_with_leeway() {
    let (exp, nbf, iat) = (
        |v: Value| json!({ "exp": v }),
        |v: u64| json!({ "nbf": v }),
        |v: u64| json!({ "iat": v }),
    );
    check(exp(json!(NOW - 4)), None);
    check(exp(json!(NOW - 5)), Some(Denial::TokenExpired));
    check(exp(json!(NOW as f64 - 4.5)), Some(Denial::TokenExpired));
    check(exp(json!(NOW as f64 + 0.5)), None);
    check(nbf(NOW + 5), None);
    check(nbf(NOW + 6), Some(Denial::TokenNotYetValid));
    check(iat(NOW + 5), None);
    check(iat(NOW + 6), Some(Denial::TokenNotYetValid));
    check(json!({ "iat": null }), None);
    check(json!({ "exp": null }), Some(Denial::TokenMalformed));
    for value in [
        json!("1900000000"),
        json!(-1),
        json!(true),
        json!([NOW]),
        json!(9_007_199_254_740_992_u64),
        json!(1e30),
        json!(-0.5),
        json!({}),
    ] {
        for name in ["exp", "nbf", "iat"] {
            check(json!({ name: value }), Some(Denial::TokenMalformed));
        }
    }
}

#[test]
fn the_leeway_is_configured_and_ends_the_session() {
    let gate = Gate::new(merged(bearer_config(), json!({ "leeway": "60s" })));
    let grant = gate.ask_bearer(&sign(&claims_with(json!({ "exp": NOW - 59 })))).unwrap();
    assert_eq!(grant.deadline, NOW + 1);
    assert_eq!(grant.issued_at, Some(NOW - 10));
    assert_eq!(grant.session.as_deref(), Some("session-1"));
}

#[test]
fn the_audience_must_be_named() {
    check(json!({ "aud": ["x", "chat"] }), None);
    check(json!({ "aud": "Chat" }), Some(Denial::TokenAudience));
    check(json!({ "aud": "chat " }), Some(Denial::TokenAudience));
    check(json!({ "aud": "chatter" }), Some(Denial::TokenAudience));
    check(json!({ "aud": [] }), Some(Denial::TokenAudience));
    check(json!({ "aud": null }), Some(Denial::TokenAudience));
    for value in [json!(7), json!({ "chat": true }), json!(["chat", 7]), json!([["chat"]])] {
        check(json!({ "aud": value }), Some(Denial::TokenMalformed));
    }
}

#[test]
fn the_issuer_must_be_configured() {
    check(json!({ "iss": "https://login.example.com/" }), Some(Denial::TokenIssuer));
    check(json!({ "iss": null }), Some(Denial::TokenIssuer));
    check(json!({ "iss": ["https://login.example.com"] }), Some(Denial::TokenMalformed));
}

#[test]
fn any_leaves_issuer_and_audience_unchecked_and_prefixes_the_principal() {
    let gate = Gate::new(merged(
        bearer_config(),
        json!({ "issuers": [{
        "issuer": "any", "audience": "any", "algorithms": ["HS256"],
        "keys": ["hmac:env:SECRET"], "principal_prefix": "any:",
    }] }),
    ));
    let grant = gate.ask_bearer(&sign(&claims_with(json!({ "iss": "x", "aud": null })))).unwrap();
    assert_eq!(grant.principal_id, "any:alice");
    assert!(grant.context.contains(&("issuer".into(), "x".into())));
    assert!(gate.ask_bearer(&sign(&claims_with(json!({ "iss": null })))).is_ok());
}

#[test]
fn each_issuer_has_its_keys_and_prefix() {
    let gate = Gate::new(merged(
        bearer_config(),
        json!({ "issuers": [
        { "issuer": "one", "audience": ["chat"], "algorithms": ["HS256"],
          "keys": ["hmac:env:SECRET"], "principal_prefix": "one:" },
        { "issuer": "two", "audience": ["chat"], "algorithms": ["HS256"],
          "keys": ["hmac:env:CSRF"], "principal_prefix": "two:" },
    ] }),
    ));
    let one = sign(&claims_with(json!({ "iss": "one" })));
    assert_eq!(gate.ask_bearer(&one).unwrap().principal_id, "one:alice");
    // Signed with the key of the first, claims to be of the second.
    let two = sign(&claims_with(json!({ "iss": "two" })));
    assert_eq!(reason(gate.ask_bearer(&two)), Some(Denial::TokenSignature));
}

#[test]
fn the_type_is_checked_where_configured() {
    let mut config = bearer_config();
    config["issuers"][0]["typ"] = json!("at+jwt");
    let gate = Gate::new(config);
    for (typ, want) in [
        (json!("at+jwt"), None),
        (json!("AT+JWT"), None),
        (json!("application/at+jwt"), None),
        (json!("JWT"), Some(Denial::TokenType)),
        (json!("text/at+jwt"), Some(Denial::TokenType)),
        (json!(7), Some(Denial::TokenMalformed)),
    ] {
        let header = json!({ "alg": "HS256", "typ": typ }).to_string();
        assert_eq!(reason(gate.ask_bearer(&sign_with_header(&header))), want, "{header}");
    }
    let bare = sign_with_header(r#"{"alg":"HS256"}"#);
    assert_eq!(reason(gate.ask_bearer(&bare)), Some(Denial::TokenType));
}

#[test]
fn the_principal_is_a_text_that_is_not_empty() {
    for sub in [json!(null), json!(""), json!(7), json!(["alice"]), json!({})] {
        check(json!({ "sub": sub }), Some(Denial::ClaimPrincipal));
    }
    let gate = Gate::new(merged(bearer_config(), json!({ "principal_claim": "email" })));
    let token = sign(&claims_with(json!({ "email": "x\",\"role\":\"admin" })));
    assert_eq!(gate.ask_bearer(&token).unwrap().principal_id, "x\",\"role\":\"admin");
}

#[test]
fn required_claims_are_compared_exactly() {
    let required =
        json!({ "required_claims": { "token_use": "access", "level": [2, 3], "on": true } });
    let gate = Gate::new(merged(bearer_config(), required));
    let ask = |changes: Value| reason(gate.ask_bearer(&sign(&claims_with(changes))));
    assert_eq!(ask(json!({ "token_use": "access", "level": 3, "on": true })), None);
    for changes in [
        json!({ "level": 3, "on": true }),
        json!({ "token_use": "id", "level": 3, "on": true }),
        json!({ "token_use": ["access"], "level": 3, "on": true }),
        json!({ "token_use": "access", "level": 4, "on": true }),
        json!({ "token_use": "access", "level": "3", "on": true }),
        json!({ "token_use": "access", "level": 3, "on": "true" }),
        json!({ "token_use": "access", "level": 3, "on": false }),
    ] {
        assert_eq!(ask(changes.clone()), Some(Denial::ClaimRequired), "{changes}");
    }
}

#[test]
fn required_scopes_come_from_scope_or_scp() {
    let gate = Gate::new(merged(
        bearer_config(),
        json!({ "required_scopes": ["chat:read", "chat:write"] }),
    ));
    let ask = |changes: Value| reason(gate.ask_bearer(&sign(&claims_with(changes))));
    for changes in [
        json!({ "scope": "openid chat:write chat:read" }),
        json!({ "scp": ["chat:read", "chat:write"] }),
        json!({ "scp": "chat:read chat:write" }),
    ] {
        assert_eq!(ask(changes.clone()), None, "{changes}");
    }
    for changes in [
        json!({}),
        json!({ "scope": "chat:read" }),
        json!({ "scope": "chat:read chat:write2" }),
        json!({ "scope": "chat:read,chat:write" }),
        json!({ "scope": 7 }),
        json!({ "scp": ["chat:read"] }),
    ] {
        assert_eq!(ask(changes.clone()), Some(Denial::ScopeRequired), "{changes}");
    }
}

#[test]
fn the_context_is_flat_text_and_says_how_the_token_came() {
    let config = json!({ "context_claims": ["role", "level", "beta", "gone", "none", "ratio"] });
    let gate = Gate::new(merged(bearer_config(), config));
    let claims =
        claims_with(json!({ "role": "a\"b\u{e9}", "level": 3, "beta": true, "ratio": 1.5 }));
    let mut text = claims.to_string();
    text.insert_str(1, "\"none\":null,");
    let token = jwt(&signing_key().header(None), &text, &signing_key()).unwrap();
    let grant = gate.ask_bearer(&token).unwrap();
    let context: Vec<_> = grant.context.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let exp = (NOW + 60).to_string();
    assert_eq!(
        context,
        [
            ("role", "a\"b\u{e9}"),
            ("level", "3"),
            ("beta", "true"),
            ("ratio", "1.5"),
            ("issuer", "https://login.example.com"),
            ("expiresAt", exp.as_str()),
            ("tokenSource", "header:Authorization"),
            ("csrf", "none"),
        ]
    );
}

#[test]
fn structured_context_claims_are_refused_or_json_as_configured() {
    let token = sign(&claims_with(json!({ "roles": ["a", { "b": 1 }] })));
    let config = merged(bearer_config(), json!({ "context_claims": ["roles"] }));
    let got = Gate::new(config.clone()).ask_bearer(&token);
    assert_eq!(reason(got), Some(Denial::ClaimContext));
    let config = merged(config, json!({ "context_structured": "json" }));
    let grant = Gate::new(config).ask_bearer(&token).unwrap();
    assert_eq!(grant.context[0].1, r#"["a",{"b":1}]"#);
}

/// What a Lambda function may return, as JSON: 8 KiB with principal, context and policy.
#[test]
fn the_answer_has_8_kib_at_most() {
    let config = json!({ "context_claims": ["role"], "token_bytes_max": "32KiB" });
    let gate = Gate::new(merged(bearer_config(), config));
    let ask = |claims: Value| gate.ask_bearer(&sign(&claims_with(claims)));
    let role = |length: usize| json!({ "role": "r".repeat(length) });
    let longest = (1..8192).rev().find(|length| ask(role(*length)).is_ok()).unwrap();
    assert!((7400..8192 - 512).contains(&longest), "{longest}");
    let grant = ask(role(longest)).unwrap();
    let context: serde_json::Map<_, _> =
        grant.context.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let answer = json!({ "principalId": grant.principal_id, "context": context }).to_string();
    assert!(answer.len() <= 8192 - 400, "{}", answer.len());
    for (claims, what) in [
        (role(longest + 1), "one more"),
        (json!({ "role": "\u{1}".repeat(longest / 6 + 1) }), "control characters"),
        (json!({ "role": "\"".repeat(longest / 2 + 1) }), "quotes"),
        (json!({ "sub": "s".repeat(8000) }), "the principal"),
    ] {
        assert_eq!(reason(ask(claims)), Some(Denial::ClaimContextTooLong), "{what}");
    }
}
