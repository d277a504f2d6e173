use serde_json::json;

use super::*;
use crate::tests::{bearer_config, config, merged};

/// Paths of all errors, in order.
fn paths(tree: &Value) -> Vec<String> {
    Config::read(tree)
        .map_or_else(|errors| errors.into_iter().map(|e| e.path).collect(), |_| vec![])
}

#[track_caller]
fn check(changes: Value, want: &[&str]) {
    let tree = merged(config(), changes);
    assert_eq!(paths(&tree), want, "{tree}");
}

#[track_caller]
fn check_issuer(changes: Value, want: &[&str]) {
    let mut tree = bearer_config();
    tree["issuers"][0] = merged(tree["issuers"][0].clone(), changes);
    let want: Vec<_> = want.iter().map(|key| format!("authorizer.issuers[0].{key}")).collect();
    assert_eq!(paths(&tree), want, "{tree}");
}

#[track_caller]
fn warnings(changes: Value) -> Vec<String> {
    let tree = merged(config(), changes);
    let (_, warnings) = Config::read(&tree).unwrap_or_else(|errors| panic!("{errors:#?}"));
    warnings.into_iter().map(|warning| warning.path).collect()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let (config, warnings) = Config::read(&config()).unwrap();
    let sources: Vec<_> = config.sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["cookie:JWT", "protocol", "header:Authorization"]);
    assert_eq!((config.leeway, config.token_bytes_max), (5, 8192));
    assert_eq!(config.csrf.cookie, "CSRF-TOKEN");
    let submit = [Submit::Protocol("csrf.".into()), Submit::Query("csrf_token".into())];
    assert_eq!(config.csrf.submit, submit);
    assert_eq!(config.csrf.mode, CsrfMode::Signed);
    assert_eq!(config.principal_claim, "sub");
    assert_eq!(config.cache(), Cache { ttl_seconds: 300, bytes_max: 64 << 20 });
    assert_eq!(config.secret_parameters().collect::<Vec<_>>(), ["csrf_token"]);
    assert_eq!(config.secret_headers().collect::<Vec<_>>(), ["authorization"]);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn every_error_comes_at_once_with_its_path() {
    let tree = json!({
        "sources": ["cookie:JWT", "cookie:JWT", "ticket"],
        "origins": ["http://ui.example.com", "null"],
        "leeway": "61s",
        "origin": [],
        "csrf": { "mode": "on", "secret": "hunter2", "hint": 1 },
        "issuers": [{ "audience": [], "algorithms": ["none"], "keys": ["hunter2"] }],
    });
    let errors = Config::read(&tree).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "authorizer.origin",
            "authorizer.sources[1]",
            "authorizer.sources[2]",
            "authorizer.origins[0]",
            "authorizer.origins[1]",
            "authorizer.csrf.hint",
            "authorizer.csrf.mode",
            "authorizer.csrf.secret",
            "authorizer.issuers[0].issuer",
            "authorizer.issuers[0].audience",
            "authorizer.issuers[0].algorithms[0]",
            "authorizer.issuers[0].keys[0]",
            "authorizer.leeway",
        ]
    );
    // What stands where a source should may be a secret.
    assert!(!format!("{errors:?}").contains("hunter2"));
}

#[test]
fn what_may_be_a_secret_in_the_wrong_place_is_not_repeated() {
    for changes in [
        json!({ "issuers": [{ "issuer": "i", "audience": "any", "algorithms": ["HS256"],
                              "keys": ["hunter2", "hunter2"] }] }),
        json!({ "issuers": [{ "issuer": "i", "audience": "any", "algorithms": ["HS256"],
                              "keys": ["hmac:hunter2", "hunter2:env:A"] }] }),
        json!({ "csrf": { "secret": "hunter2", "submit": ["hunter2"] } }),
        json!({ "csrf": { "submit": ["hunter2", "hunter2"] } }),
    ] {
        let errors = Config::read(&merged(config(), changes)).unwrap_err();
        assert!(!format!("{errors:?}").contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn addresses_of_keys_carry_no_credentials() {
    for key in [
        "jwks:https://user:hunter2@a.example/k",
        "oidc:https://hunter2@a.example",
        "jwks:https://a.example\\@evil.test/k",
        "jwks:https:///k",
        "jwks:https://?k",
    ] {
        check_issuer(json!({ "keys": [key], "algorithms": ["RS256"] }), &["keys[0]"]);
    }
    let at_in_path = "jwks:https://a.example/@k";
    check_issuer(json!({ "keys": [at_in_path], "algorithms": ["RS256"] }), &[]);
}

#[test]
fn unknown_keys_are_errors_everywhere() {
    check(json!({ "orgins": [] }), &["authorizer.orgins"]);
    check(json!({ "deleg": {} }), &["authorizer.deleg"]);
    check(json!({ "csrf": { "tokn": 1 } }), &["authorizer.csrf.tokn"]);
    check(json!({ "cache": { "key": "x" } }), &["authorizer.cache.key"]);
    check(json!({ "stale_max": "8d" }), &["authorizer.stale_max"]);
    check_issuer(json!({ "aud": "x" }), &["aud"]);
    assert_eq!(paths(&json!([])), ["authorizer", "authorizer.csrf.secret", "authorizer.issuers"]);
}

#[test]
fn values_have_their_kind_and_bounds() {
    for (key, values) in [
        ("sources", vec![json!("protocol"), json!([])]),
        ("leeway", vec![json!(5), json!("5"), json!("61s"), json!("2m"), json!("-1s")]),
        ("token_bytes_max", vec![json!("8"), json!(0), json!(65537), json!("1GiB")]),
        ("origin_absent", vec![json!("Allow"), json!(true)]),
        ("origin_wildcards", vec![json!("true"), json!(1)]),
        ("protocol_bare", vec![json!("true")]),
        ("query_life_max", vec![json!("0s"), json!(60)]),
        ("context_structured", vec![json!("JSON")]),
        ("principal_claim", vec![json!(""), json!(["sub"])]),
        ("required_claims", vec![json!([]), json!("x")]),
    ] {
        for value in values {
            check(json!({ key: value }), &[&format!("authorizer.{key}")]);
        }
    }
    for (key, values) in [
        ("report_only", vec![json!(["token"]), json!(["claim"]), json!(["scope"]), json!([1])]),
        (
            "context_claims",
            vec![json!(["csrf"]), json!(["expiresAt"]), json!([""]), json!(["issuer"])],
        ),
        ("required_scopes", vec![json!(["a b"]), json!([""])]),
        ("protocol_markers", vec![json!(["a b"]), json!([""])]),
        (
            "sources",
            vec![
                json!(["header:Cookie"]),
                json!(["header:Origin"]),
                json!(["cookie:"]),
                json!(["cookie:a b"]),
                json!(["Protocol"]),
                json!(["header:Sec-WebSocket-Protocol"]),
            ],
        ),
    ] {
        for value in values {
            check(json!({ key: value }), &[&format!("authorizer.{key}[0]")]);
        }
    }
    check(json!({ "required_claims": { "a": { "b": 1 } } }), &["authorizer.required_claims.a"]);
    check(json!({ "required_claims": { "a": [] } }), &["authorizer.required_claims.a"]);
    check(json!({ "context_claims": ["role", "role"] }), &["authorizer.context_claims[1]"]);
}

#[test]
fn issuer_and_audience_cannot_be_left_out_silently() {
    check_issuer(json!({ "issuer": null }), &["issuer"]);
    check_issuer(json!({ "audience": null }), &["audience"]);
    check_issuer(json!({ "audience": [] }), &["audience"]);
    check_issuer(json!({ "audience": "chat" }), &["audience"]);
    check_issuer(json!({ "audience": [""] }), &["audience[0]"]);
    check_issuer(json!({ "audience": "any" }), &[]);
    check_issuer(json!({ "issuer": "" }), &["issuer"]);
    check_issuer(json!({ "issuer": "any" }), &["principal_prefix"]);
    check_issuer(json!({ "issuer": "any", "principal_prefix": "x:" }), &[]);
    check_issuer(json!({ "keys": [] }), &["keys"]);
    check_issuer(json!({ "typ": "" }), &["typ"]);
    assert_eq!(paths(&merged(bearer_config(), json!({ "issuers": [] }))), ["authorizer.issuers"]);
    assert_eq!(paths(&merged(bearer_config(), json!({ "issuers": {} }))), ["authorizer.issuers"]);
}

#[test]
fn families_are_not_mixed() {
    check_issuer(json!({ "algorithms": ["HS256", "RS256"] }), &["algorithms"]);
    check_issuer(json!({ "algorithms": ["RS256"] }), &["algorithms"]);
    check_issuer(json!({ "keys": ["pem:env:A"] }), &["algorithms"]);
    check_issuer(json!({ "keys": ["hmac:env:A", "jwks:https://a.example/k"] }), &["keys"]);
    check_issuer(
        json!({ "algorithms": ["RS256", "ES256"], "keys": ["jwks:https://a.example/k"] }),
        &[],
    );
}

#[test]
fn keys_are_named_by_kind_and_source() {
    for key in
        ["hmac:env:A", "hmac:file:/a/b", "hmac:ssm:/a/b", "hmac:secretsmanager:a", "jwk:env:A"]
    {
        check_issuer(json!({ "keys": [key] }), &[]);
    }
    for key in [
        "pem:env:A",
        "jwks:https://a.example/k",
        "oidc:https://a.example",
        "jwks:http://127.0.0.1:1/k",
        "oidc:http://[::1]/",
        "jwks:http://x.localhost/",
    ] {
        check_issuer(json!({ "keys": [key], "algorithms": ["RS256"] }), &[]);
    }
    for key in [
        "",
        "env:A",
        "hmac:A",
        "hmac:",
        "hmac:env:",
        "hmac:https://a.example",
        "rsa:env:A",
        "jwks:http://a.example/k",
        "jwks:ftp://a.example/k",
        "jwks:https://",
        "jwks:env:A",
        "jwks:http://127.0.0.1@evil.test/k",
        "jwks:http://127.0.0.1.evil.test/k",
        "HMAC:env:A",
        "oidc:http://localhost.evil.test",
    ] {
        check_issuer(json!({ "keys": [key] }), &["keys[0]"]);
    }
}

#[test]
fn principals_of_several_issuers_cannot_meet() {
    let with = |prefixes: [Value; 2], names: [&str; 2]| {
        let issuer = |n: usize| {
            json!({
                "issuer": names[n], "audience": "any", "algorithms": ["HS256"], "keys": ["hmac:env:A"],
                "principal_prefix": prefixes[n],
            })
        };
        paths(&merged(bearer_config(), json!({ "issuers": [issuer(0), issuer(1)] })))
    };
    let one = "authorizer.issuers[1].principal_prefix";
    assert!(with([json!("a:"), json!("b:")], ["a", "b"]).is_empty());
    assert_eq!(with([json!("a:"), json!("a:")], ["a", "b"]), [one]);
    assert_eq!(with([json!("a"), json!("ab")], ["a", "b"]), [one]);
    assert_eq!(with([json!("ab"), json!("a")], ["a", "b"]), [one]);
    assert_eq!(with([json!("a:"), json!("")], ["a", "any"]), [one]);
    assert_eq!(with([json!(""), json!("")], ["a", "b"]).len(), 2);
    assert_eq!(with([json!("a:"), json!("b:")], ["a", "a"]), ["authorizer.issuers[1].issuer"]);
    let default = merged(bearer_config(), json!({ "principal_prefix": "p:" }));
    assert!(paths(&default).is_empty());
}

#[test]
fn the_csrf_rule_must_be_complete_or_switched_off_aloud() {
    let secret = "authorizer.csrf.secret";
    check(json!({ "csrf": null }), &[secret]);
    check(json!({ "csrf": { "secret": null } }), &[secret]);
    check(json!({ "csrf": { "secret": "0123456789abcdef0123456789abcdef" } }), &[secret]);
    check(json!({ "csrf": { "secret": "env:SECRET" } }), &[secret]);
    check(json!({ "csrf": { "mode": "off", "secret": null } }), &[]);
    check(json!({ "csrf": { "cookie": "JWT" } }), &["authorizer.csrf.cookie"]);
    check(json!({ "csrf": { "cookie": "a;b" } }), &["authorizer.csrf.cookie"]);
    check(json!({ "csrf": { "submit": [] } }), &["authorizer.csrf.submit"]);
    check(json!({ "csrf": { "submit": ["cookie:x"] } }), &["authorizer.csrf.submit[0]"]);
    check(json!({ "csrf": { "submit": ["protocol:bearer"] } }), &["authorizer.csrf.submit"]);
    check(json!({ "csrf": { "submit": ["protocol:bearer.x"] } }), &["authorizer.csrf.submit"]);
    check(json!({ "sources": ["cookie:JWT", "query:csrf_token"] }), &["authorizer.csrf.submit"]);
    assert!(paths(&bearer_config()).is_empty(), "no cookie, no CSRF secret needed");
}

#[test]
fn the_mode_claim_needs_a_strict_origin_rule() {
    let claim = |changes: Value| merged(json!({ "csrf": { "mode": "claim" } }), changes);
    check(claim(json!({})), &[]);
    check(claim(json!({ "origin_absent": "allow" })), &["authorizer.origin_absent"]);
    check(claim(json!({ "report_only": ["origin"] })), &["authorizer.report_only"]);
    check(claim(json!({ "origin_wildcards": true })), &["authorizer.origin_wildcards"]);
}

#[test]
fn what_is_doubtful_warns() {
    assert_eq!(warnings(json!({ "sources": ["query:access_token"] })), ["authorizer.sources[0]"]);
    for mode in ["submit", "claim", "off"] {
        assert_eq!(warnings(json!({ "csrf": { "mode": mode } })), ["authorizer.csrf.mode"]);
    }
    assert_eq!(
        warnings(json!({ "report_only": ["origin", "csrf"] })),
        ["authorizer.report_only[0]", "authorizer.report_only[1]"]
    );
    assert_eq!(warnings(json!({ "origins": [] })), ["authorizer.origins"]);
}

mod total {
    use proptest::prelude::*;

    use super::*;

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            "(https?|pem|hmac|jwks|oidc|env|cookie|query|protocol|header):(//)?[a-z*\\[\\]:@.]{0,9}"
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![
                prop::sample::select(KNOWN_KEYS.as_slice()).prop_map(str::to_owned),
                "[a-z_]{0,4}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(key, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    const KNOWN_KEYS: [&str; 14] = [
        "sources",
        "origins",
        "leeway",
        "csrf",
        "mode",
        "submit",
        "secret",
        "issuers",
        "issuer",
        "audience",
        "keys",
        "cache",
        "ttl",
        "required_claims",
    ];

    proptest! {
        #[test]
        fn no_tree_panics(tree in tree()) {
            let _ = Config::read(&tree);
            for key in KNOWN_KEYS {
                let _ = Config::read(&merged(config(), json!({ key: tree })));
                let _ = Config::read(&merged(config(), json!({ "csrf": { key: tree } })));
            }
        }
    }
}
