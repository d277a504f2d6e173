//! Step 1: where tokens travel, and what is ambiguous.

use super::*;

#[track_caller]
fn check(gate: &Gate, headers: &[(&str, &str)], want: Result<&str, Denial>) {
    let got = gate.ask(headers).map(|grant| grant.token_source);
    assert_eq!(got.as_deref(), want.as_ref().map(|source| *source), "{headers:?}");
}

fn jwt_cookie() -> String {
    format!("JWT={}", token())
}

#[test]
fn a_token_is_found_in_each_configured_source() {
    let gate = Gate::with(json!({
        "sources": ["cookie:JWT", "protocol", "header:Authorization", "header:X-Token", "query:access_token"],
        "csrf": { "mode": "off" },
    }));
    let token = token();
    check(&gate, &[("cookie", &jwt_cookie()), ORIGIN], Ok("cookie:JWT"));
    check(&gate, &[("AUTHORIZATION", &format!("bearer  {token} "))], Ok("header:Authorization"));
    check(&gate, &[("x-token", &token)], Ok("header:x-token"));
    check(&gate, &[("x-token", &format!("Bearer {token}"))], Ok("header:x-token"));
    let protocol = format!("access_token, {token}");
    check(&gate, &[("Sec-WebSocket-Protocol", &protocol)], Ok("protocol"));
    let grant = gate.ask_with_query(&[], &[("access_token", &token)]).unwrap();
    assert_eq!(grant.token_source, "query:access_token");
}

#[test]
fn a_source_that_is_not_configured_is_not_read() {
    let token = token();
    let gate = Gate::with(json!({}));
    assert_eq!(
        reason(gate.ask_with_query(&[], &[("access_token", &token)])),
        Some(Denial::TokenMissing)
    );
    let gate = Gate::with(json!({ "sources": ["header:Authorization"] }));
    check(&gate, &[("Cookie", &jwt_cookie()), ORIGIN], Err(Denial::TokenMissing));
    let protocol = format!("access_token, {token}");
    check(&gate, &[("Sec-WebSocket-Protocol", &protocol)], Err(Denial::TokenMissing));
}

#[test]
fn nothing_empty_or_foreign_is_a_token() {
    let gate = Gate::with(json!({}));
    check(&gate, &[], Err(Denial::TokenMissing));
    check(&gate, &[("Cookie", "JWT="), ORIGIN], Err(Denial::TokenMissing));
    check(&gate, &[("Cookie", "jwt=x; XJWT=y"), ORIGIN], Err(Denial::TokenMissing));
    check(&gate, &[("Authorization", "Basic dTpw")], Err(Denial::TokenMissing));
    check(&gate, &[("Authorization", &token())], Err(Denial::TokenMissing));
    check(&gate, &[("Authorization", "Bearer")], Err(Denial::TokenMalformed));
    check(&gate, &[("Authorization", &format!("Bearer{}", token()))], Err(Denial::TokenMissing));
}

#[test]
fn a_carrier_with_two_values_is_ambiguous_even_if_they_are_equal() {
    let gate = Gate::with(json!({ "sources": ["cookie:JWT", "header:Authorization", "query:t"] }));
    let token = token();
    let cookie = jwt_cookie();
    for cookies in [format!("{cookie}; {cookie}"), format!("JWT=; {cookie}"), "JWT=; JWT=".into()] {
        check(&gate, &[("Cookie", &cookies), ORIGIN], Err(Denial::CookieAmbiguous));
    }
    check(&gate, &[("Cookie", &cookie), ("cookie", &cookie), ORIGIN], Err(Denial::CookieAmbiguous));
    let bearer = format!("Bearer {token}");
    check(
        &gate,
        &[("Authorization", &bearer), ("Authorization", &bearer)],
        Err(Denial::TokenAmbiguous),
    );
    check(
        &gate,
        &[("Authorization", "Basic dTpw"), ("Authorization", &bearer)],
        Err(Denial::TokenAmbiguous),
    );
    let twice = gate.ask_with_query(&[], &[("t", &token), ("t", &token)]);
    assert_eq!(reason(twice), Some(Denial::TokenAmbiguous));
}

#[test]
fn two_carriers_must_agree() {
    let gate = Gate::with(json!({ "csrf": { "mode": "off" } }));
    let bearer = format!("Bearer {}", token());
    let other = format!("JWT={}", sign(&claims_with(json!({ "sub": "mallory" }))));
    let (cookie, bearer) = (jwt_cookie(), ("Authorization", bearer.as_str()));
    check(&gate, &[("Cookie", &cookie), bearer, ORIGIN], Ok("cookie:JWT"));
    check(&gate, &[("Cookie", &other), bearer, ORIGIN], Err(Denial::TokenAmbiguous));
}

#[test]
fn a_token_that_a_cookie_carries_too_needs_its_csrf_value() {
    let gate = Gate::with(json!({ "sources": ["header:Authorization", "cookie:JWT"] }));
    let bearer = format!("Bearer {}", token());
    let headers = [("Cookie", &*jwt_cookie()), ("Authorization", &bearer), ORIGIN];
    assert_eq!(reason(gate.ask(&headers)), Some(Denial::CsrfMissing));
}

/// Browsers let only the host itself write such names, over TLS.
#[test]
fn a_cookie_with_a_prefix_is_a_source_of_its_own() {
    for name in ["__Host-JWT", "__Secure-JWT"] {
        let sources = json!({ "sources": [format!("cookie:{name}")], "csrf": { "mode": "off" } });
        let gate = Gate::with(sources);
        let (own, plain) = (format!("{name}={}", token()), jwt_cookie());
        check(&gate, &[("Cookie", &own), ORIGIN], Ok(&format!("cookie:{name}")));
        check(&gate, &[("Cookie", &plain), ORIGIN], Err(Denial::TokenMissing));
        let both = format!("{plain}; {own}");
        check(&gate, &[("Cookie", &both), ORIGIN], Ok(&format!("cookie:{name}")));
        let other = format!("{}; {own}", own.to_uppercase());
        check(&gate, &[("Cookie", &other), ORIGIN], Ok(&format!("cookie:{name}")));
        let twice = format!("{own}; {own}");
        check(&gate, &[("Cookie", &twice), ORIGIN], Err(Denial::CookieAmbiguous));
    }
}

#[test]
fn a_long_token_is_refused_before_it_is_read() {
    let gate = Gate::new(merged(bearer_config(), json!({ "token_bytes_max": 8192 })));
    assert_eq!(reason(gate.ask_bearer(&"a".repeat(8193))), Some(Denial::TokenTooLong));
    assert_eq!(reason(gate.ask_bearer(&"a".repeat(8192))), Some(Denial::TokenMalformed));
    let cookie = format!("JWT={}", "a".repeat(8193));
    let got = Gate::with(json!({})).ask(&[("Cookie", &cookie), ORIGIN]);
    assert_eq!(reason(got), Some(Denial::TokenTooLong));
}

#[test]
fn a_token_in_the_query_may_live_only_so_long() {
    let gate = Gate::with(json!({ "sources": ["query:t"], "query_life_max": "70s" }));
    let ask = |claims: &Value| gate.ask_with_query(&[], &[("t", &sign(claims))]);
    assert!(ask(&claims()).is_ok());
    assert_eq!(reason(ask(&claims_with(json!({ "exp": NOW + 61 })))), Some(Denial::TokenLife));
    assert_eq!(reason(ask(&claims_with(json!({ "iat": null })))), Some(Denial::TokenLife));
    // Wherever else it travels too; but only there.
    let gate = Gate::with(json!({
        "sources": ["header:Authorization", "query:t"], "query_life_max": "10s",
    }));
    let (token, bearer) = (token(), format!("Bearer {}", token()));
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(reason(gate.ask(&headers)), None);
    let both = gate.ask_with_query(&headers, &[("t", &token)]);
    assert_eq!(reason(both), Some(Denial::TokenLife));
}

#[test]
fn bytes_that_are_no_text_are_malformed() {
    let gate = Gate::with(json!({}));
    let headers = [("Cookie", &b"JWT=\xff\xfe"[..]), ("Origin", b"https://ui.example.com")];
    let request = Request { headers: &headers, query: &[], method_arn: "" };
    let verdict = gate.authorizer.authorize(&request, &gate.keys, NOW);
    assert_eq!(reason(verdict), Some(Denial::TokenMalformed));
}
