//! Whatever the bytes: no panic, and no grant without a checked signature.

use proptest::prelude::*;

use super::*;

fn everything() -> Value {
    merged(
        config(),
        json!({
            "sources": ["cookie:JWT", "protocol", "header:Authorization", "header:X", "query:t"],
            "protocol_bare": true,
            "context_claims": ["role", "x"],
            "context_structured": "json",
            "required_scopes": [],
            "query_life_max": "1h",
            "report_only": ["origin", "csrf"],
        }),
    )
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Cookie".to_owned()),
        Just("Origin".to_owned()),
        Just("Authorization".to_owned()),
        Just("Sec-WebSocket-Protocol".to_owned()),
        Just("Sec-Fetch-Mode".to_owned()),
        Just("X".to_owned()),
        "[a-zA-Z-]{0,8}",
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let good = token();
    let csrf = csrf();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[ -~]{0,80}".prop_map(String::into_bytes),
        Just(b"https://ui.example.com".to_vec()),
        Just(b"websocket".to_vec()),
        Just(format!("JWT={good}; CSRF-TOKEN={csrf}").into_bytes()),
        Just(format!("access_token, {good}").into_bytes()),
        Just(format!("csrf.{csrf}").into_bytes()),
        Just(format!("Bearer {good}").into_bytes()),
        (Just(good), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(good, at, byte)| {
            let mut bytes = format!("JWT={good}").into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_request_panics_and_a_grant_has_its_claims(
        headers in prop::collection::vec((name(), value()), 0..6),
        query in prop::collection::vec(("t|csrf_token|[a-z]{0,3}", ".{0,40}"), 0..3),
        now in prop_oneof![Just(NOW), any::<u64>()],
    ) {
        let gate = Gate::new(everything());
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
        let query: Vec<_> = query.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let request = Request { headers: &headers, query: &query, method_arn: "" };
        if let Ok(grant) = gate.authorizer.authorize(&request, &gate.keys, now) {
            prop_assert_eq!(grant.principal_id, "alice");
            prop_assert!(now < grant.deadline);
        }
        // The same three steps with a library that refuses everything grant nothing.
        let keys = work::Library::default().keys(gate.authorizer.config());
        prop_assert!(gate.authorizer.authorize(&request, &keys, now).is_err());
    }

    #[test]
    fn no_token_panics(token in prop_oneof![".{0,200}", "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}"]) {
        prop_assert!(Gate::new(bearer_config()).ask_bearer(&token).is_err());
    }

    #[test]
    fn no_claims_panic(
        header in prop_oneof![Just(r#"{"alg":"HS256"}"#.to_owned()), r#"\{"alg":"HS256"(,"[a-z]{1,4}":[0-9\[\]"tfn]{0,8}){0,2}\}"#],
        claims in r#"\{("(exp|iat|nbf|aud|iss|sub|[a-z]{1,3})":[0-9a-z."\[\]{},:e+-]{0,12},?){0,4}\}"#,
    ) {
        let token = jwt(&header, &claims, &signing_key()).unwrap();
        prop_assert!(Gate::new(bearer_config()).ask_bearer(&token).is_err());
    }

    /// Requests that differ in anything the decision reads have different fingerprints.
    #[test]
    fn verdicts_of_one_fingerprint_are_one(
        first in prop::collection::vec((name(), value()), 0..5),
        second in prop::collection::vec((name(), value()), 0..5),
    ) {
        let gate = Gate::new(everything());
        let look = |headers: &[(String, Vec<u8>)]| {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            let request = Request { headers: &headers, query: &[], method_arn: "" };
            let evidence = gate.authorizer.read(&request).ok()?;
            let mut print = Vec::new();
            evidence.fingerprint(&mut |bytes| print.extend_from_slice(bytes));
            Some((print, gate.authorizer.authorize(&request, &gate.keys, NOW)))
        };
        if let (Some((a, first)), Some((b, second))) = (look(&first), look(&second))
            && a == b
            && first.as_ref().map_or(true, |grant| grant.report_only_hits.is_empty())
        {
            prop_assert_eq!(first, second);
        }
    }
}

/// A hundred times what a server lets through; quadratic time would not end here.
#[test]
fn large_requests_take_linear_time() {
    let gate = Gate::with(json!({ "sources": ["cookie:JWT", "protocol", "query:t"] }));
    let ask = |name: &str, value: String| reason(gate.ask(&[(name, &value), ORIGIN]));
    const N: usize = 1_000_000;
    assert_eq!(ask("Cookie", ";".repeat(N)), Some(Denial::TokenMissing));
    assert_eq!(ask("Cookie", "JWT=;".repeat(N)), Some(Denial::CookieAmbiguous));
    assert_eq!(ask("Cookie", "=".repeat(N)), Some(Denial::TokenMissing));
    assert_eq!(ask("Cookie", format!("JWT={}x", " ".repeat(N))), Some(Denial::CsrfMissing));
    assert_eq!(ask("Cookie", format!("JWT={}", "x".repeat(N))), Some(Denial::TokenTooLong));
    assert_eq!(ask("Sec-WebSocket-Protocol", "a,".repeat(N)), Some(Denial::TokenMalformed));
    assert_eq!(ask("Sec-WebSocket-Protocol", ",".repeat(N)), Some(Denial::TokenMalformed));
    let entries: Vec<_> = (0..16).map(|n| format!("{n}{}", "eyJ.".repeat(N / 64))).collect();
    assert_eq!(ask("Sec-WebSocket-Protocol", entries.join(",")), Some(Denial::TokenAmbiguous));
    let lines: Vec<_> = (0..N / 10).map(|_| ("t", "x")).collect();
    assert_eq!(reason(gate.ask_with_query(&[], &lines)), Some(Denial::TokenAmbiguous));
}

/// Claims within the bound of a token that make naive readers slow.
#[test]
fn large_claims_take_linear_time() {
    let gate = Gate::new(merged(bearer_config(), json!({ "token_bytes_max": "64KiB" })));
    let start = claims().to_string();
    let start = &start[..start.len() - 1];
    let names = |n: usize| (0..n).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
    for (rest, want) in [
        (format!("\"x\":\"{}\"", "\\u0000".repeat(7000)), None),
        (names(4000), None),
        (format!("\"x\":{{{}}}", names(4000)), None),
        (format!("\"x\":[{}0]", "{\"a\":0},".repeat(4000)), None),
        (format!("\"exp2\":{}", "9".repeat(40_000)), None),
        (format!("\"nbf\":{}", "9".repeat(40_000)), Some(Denial::TokenMalformed)),
        (format!("\"nbf\":0.{}", "9".repeat(40_000)), None),
        (format!("\"nbf\":1e{}", "9".repeat(40_000)), Some(Denial::TokenMalformed)),
    ] {
        let token =
            jwt(r#"{"alg":"HS256"}"#, &format!("{start},{rest}}}"), &signing_key()).unwrap();
        assert_eq!(reason(gate.ask_bearer(&token)), want, "{}", &rest[..20]);
    }
}

#[test]
fn each_value_the_decision_read_changes_the_fingerprint() {
    let gate = Gate::with(
        json!({ "origins": ["https://ui.example.com", "https://b.example.com"], "csrf": { "mode": "submit", "secret": null } }),
    );
    let token = token();
    let other = sign(&claims_with(json!({ "sub": "bob" })));
    let print = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { headers: &headers, query: &[], method_arn: "" };
        let evidence = gate.authorizer.read(&request).unwrap();
        let mut print = Vec::new();
        evidence.fingerprint(&mut |bytes| print.extend_from_slice(bytes));
        print
    };
    let cookie = format!("JWT={token}; CSRF-TOKEN=a");
    let base = [("Cookie", &*cookie), ("Sec-WebSocket-Protocol", "csrf.a"), ORIGIN];
    assert_eq!(print(&base), print(&[base[0], ("X-Other", "1"), base[1], base[2]]));
    let noisy = format!("x=y; {cookie}; z=w");
    assert_eq!(print(&base), print(&[("Cookie", &noisy), base[1], base[2]]));
    let cookie_b = format!("JWT={token}; CSRF-TOKEN=b");
    let cookie_other = format!("JWT={other}; CSRF-TOKEN=a");
    let bearer = format!("Bearer {token}");
    let different: [&[(&str, &str)]; 11] = [
        &[base[0], base[1], base[2], ("Sec-Fetch-Site", "same-site")],
        &[("Authorization", &bearer), ORIGIN, ("Cookie", "CSRF-TOKEN=a")],
        &[("Authorization", &bearer), ("Sec-WebSocket-Protocol", "csrf.a")],
        &base,
        &[("Cookie", &cookie_b), ("Sec-WebSocket-Protocol", "csrf.b"), ORIGIN],
        &[("Cookie", &cookie_other), base[1], base[2]],
        &[base[0], base[1], ("Origin", "https://b.example.com")],
        &[base[0], base[1], base[2], ("Sec-Fetch-Mode", "websocket")],
        &[base[0], ("Sec-WebSocket-Protocol", "chat, csrf.a"), base[2]],
        &[base[0], base[1], base[2], ("Authorization", &bearer)],
        &[("Authorization", &bearer)],
    ];
    for (n, a) in different.iter().enumerate() {
        for b in &different[..n] {
            assert_ne!(print(a), print(b), "{a:?} {b:?}");
        }
    }
}

#[test]
fn the_fingerprint_of_a_configuration_ignores_order_and_sees_every_setting() {
    let print = |config: Value| Gate::new(config).authorizer.config_fingerprint().to_owned();
    let base = print(config());
    let mut reversed = serde_json::Map::new();
    for (name, value) in config().as_object().unwrap().iter().rev() {
        reversed.insert(name.clone(), value.clone());
    }
    assert_eq!(print(Value::Object(reversed)), base);
    for changes in [
        json!({ "leeway": "6s" }),
        json!({ "origins": ["https://ui2.example.com"] }),
        json!({ "csrf": { "mode": "off" } }),
    ] {
        assert_ne!(print(merged(config(), changes)), base);
    }
}

#[test]
fn nothing_secret_shows_in_debug() {
    let gate = Gate::with(json!({}));
    let token = token();
    let cookie = format!("JWT={token}; CSRF-TOKEN={}", csrf());
    let protocol = format!("csrf.{}", csrf());
    let headers = [
        ("Cookie", cookie.as_bytes()),
        ("Sec-WebSocket-Protocol", protocol.as_bytes()),
        ("Origin", ORIGIN.1.as_bytes()),
    ];
    let request = Request { headers: &headers, query: &[("access_token", &token)], method_arn: "" };
    let evidence = gate.authorizer.read(&request).unwrap();
    let claims = gate.authorizer.verify(&evidence, &gate.keys, NOW).unwrap();
    let shown =
        format!("{request:?} {evidence:?} {claims:?} {gate:?}", gate = (&gate.keys, signing_key()));
    let grant = gate.authorizer.grant(evidence, &claims, &gate.keys).unwrap();
    let shown = format!("{shown} {grant:?}");
    let secret = String::from_utf8(SECRET.to_vec()).unwrap();
    let text = csrf();
    for secret in [token.as_str(), &token[..40], &text, &secret, "session-1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
