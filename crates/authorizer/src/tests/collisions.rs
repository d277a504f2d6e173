//! A cache may answer one request with the verdict of another of the same fingerprint.

use std::collections::HashMap;

use super::*;

/// What a request may carry, part by part; each part is also left out.
pub(super) struct Parts {
    cookies: Vec<String>,
    offers: Vec<String>,
    bearers: Vec<String>,
    query: Vec<(&'static str, String)>,
}

pub(super) fn parts() -> Parts {
    let (alice, csrf) = (token(), csrf());
    let bob = sign(&claims_with(json!({ "sub": "bob", "csrf": csrf })));
    let planted = csrf_value(CSRF_SECRET, "session-2", &[7; 16]).unwrap();
    Parts {
        cookies: vec![
            format!("JWT={alice}"),
            format!("B={alice}"),
            format!("JWT={alice}; CSRF-TOKEN={csrf}"),
            format!("CSRF-TOKEN={csrf}; x=y; JWT=\"{alice}\""),
            format!("JWT={bob}; CSRF-TOKEN={csrf}"),
            format!("JWT={alice}; CSRF-TOKEN={planted}"),
            format!("JWT={alice}; CSRF-TOKEN={csrf}; CSRF-TOKEN={csrf}"),
            "JWT=".to_owned(),
            format!("JWT={alice}; B={alice}; CSRF-TOKEN={csrf}"),
            format!("JWT={alice}; B={bob}; CSRF-TOKEN={csrf}"),
            format!("JWT={alice};JWT={bob}"),
            format!("B=; CSRF-TOKEN={csrf}"),
        ],
        offers: vec![
            format!("csrf.{csrf}"),
            format!("csrf.{planted}, chat"),
            format!("chat, csrf.{csrf}"),
            format!("bearer, {alice}, chat"),
            format!("bearer.{alice}, chat"),
            format!("bearer, {bob}, csrf.{csrf}"),
        ],
        bearers: vec![format!("Bearer {alice}"), format!("Bearer {bob}")],
        query: vec![("t", alice), ("t", bob), ("csrf_token", csrf), ("csrf_token", planted)],
    }
}

const ORIGINS: [&[(&str, &str)]; 9] = [
    &[],
    &[ORIGIN],
    &[("origin", "https://b.example.com")],
    &[("Origin", "null")],
    &[ORIGIN, ORIGIN],
    &[ORIGIN, ("Sec-Fetch-Mode", "websocket")],
    &[ORIGIN, ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Mode", "websocket")],
    &[ORIGIN, ("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "none")],
];

/// All items, and none.
fn optional<T>(items: &[T]) -> impl Iterator<Item = Option<&T>> {
    items.iter().map(Some).chain([None])
}

pub(super) fn requests(parts: &Parts, mut ask: impl FnMut(&[(&str, &str)], &[(&str, &str)])) {
    for cookie in optional(&parts.cookies) {
        for offer in optional(&parts.offers) {
            for bearer in optional(&parts.bearers) {
                for query in optional(&parts.query) {
                    let lines = [
                        cookie.map(|cookie| ("Cookie", cookie.as_str())),
                        offer.map(|offer| ("Sec-WebSocket-Protocol", offer.as_str())),
                        bearer.map(|bearer| ("Authorization", bearer.as_str())),
                    ];
                    let lines: Vec<_> = lines.into_iter().flatten().collect();
                    let query: Vec<_> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
                    for origin in ORIGINS {
                        ask(&[&lines, origin].concat(), &query);
                    }
                }
            }
        }
    }
}

/// Asks all requests that the parts make, and wants those of one fingerprint to have one outcome,
/// grant and all. Fewer fingerprints than requests show that there were some to compare.
#[track_caller]
fn check(changes: Value) {
    let base = json!({
        "sources": ["cookie:JWT", "cookie:B", "protocol", "header:Authorization", "query:t"],
        "origins": ["https://ui.example.com", "https://b.example.com"],
        "origin_absent": "allow",
    });
    let gate = Gate::with(merged(base, changes.clone()));
    let mut seen: HashMap<Vec<u8>, (String, Result<Grant, Denial>)> = HashMap::new();
    let mut asked = 0;
    requests(&parts(), |headers, query| {
        let shown = format!("{headers:?} {query:?}");
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { headers: &headers, query, method_arn: "" };
        let Ok(evidence) = gate.authorizer.read(&request) else { return };
        asked += 1;
        let mut print = Vec::new();
        evidence.fingerprint(&mut |bytes| print.extend_from_slice(bytes));
        let claims = gate.authorizer.verify(&evidence, &gate.keys, NOW);
        let outcome = claims.and_then(|c| gate.authorizer.grant(evidence, &c, &gate.keys));
        let (first, other) = seen.entry(print).or_insert_with(|| (shown.clone(), outcome.clone()));
        assert_eq!(outcome, *other, "{changes}\n{first}\n{shown}");
    });
    assert!(20 < seen.len() && seen.len() < asked, "{} of {asked}", seen.len());
}

#[test]
fn one_fingerprint_has_one_outcome_in_every_mode() {
    for mode in ["signed", "submit", "off"] {
        check(json!({ "csrf": { "mode": mode } }));
    }
    check(json!({ "csrf": { "mode": "claim" }, "origin_absent": "refuse" }));
}

#[test]
fn one_fingerprint_has_one_outcome_where_rules_only_report() {
    for rules in [json!(["origin"]), json!(["csrf"]), json!(["origin", "csrf"])] {
        check(json!({ "report_only": rules }));
    }
}

#[test]
fn one_fingerprint_has_one_outcome_where_the_query_bounds_the_life() {
    check(json!({ "query_life_max": "60s", "protocol_bare": true }));
}
