//! Whoever is let in kept every rule, as a second and slower reading of the request says.

use super::collisions::{parts, requests};
use super::*;

type Pairs<'a> = [(&'a str, &'a str)];

fn lines<'a>(headers: &Pairs<'a>, name: &str) -> Vec<&'a str> {
    let named = headers.iter().filter(|(n, _)| n.to_lowercase() == name);
    named.map(|(_, value)| *value).collect()
}

fn cookies<'a>(headers: &Pairs<'a>, name: &str) -> Vec<&'a str> {
    let pairs = lines(headers, "cookie").into_iter().flat_map(|line| line.split(';'));
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(n, _)| n.trim() == name)
        .map(|(_, value)| value.trim().trim_matches('"'))
        .collect()
}

fn entries<'a>(headers: &Pairs<'a>) -> Vec<&'a str> {
    let lines = lines(headers, "sec-websocket-protocol");
    lines.into_iter().flat_map(|line| line.split(',')).map(str::trim).collect()
}

/// The rules that a granted request broke, by name.
fn broken(headers: &Pairs<'_>, query: &Pairs<'_>, grant: &Grant) -> Vec<&'static str> {
    let mut broken = Vec::new();
    let mut rule = |name, holds: bool| {
        if !holds {
            broken.push(name);
        }
    };
    let (a, b, csrf) =
        (cookies(headers, "JWT"), cookies(headers, "B"), cookies(headers, "CSRF-TOKEN"));
    rule("one cookie each", a.len() <= 1 && b.len() <= 1);
    if !(a.is_empty() && b.is_empty() && csrf.is_empty()) {
        let origins = lines(headers, "origin");
        let listed = ["https://ui.example.com", "https://b.example.com"];
        let fetched = headers.iter().any(|(name, _)| name.starts_with("Sec-Fetch-"));
        let absent = origins.is_empty() && !fetched;
        rule("origin", absent || origins.len() == 1 && listed.contains(&origins[0]));
        rule("mode", lines(headers, "sec-fetch-mode").iter().all(|mode| *mode == "websocket"));
    }
    let by_cookie = a.iter().chain(&b).any(|value| !value.is_empty());
    if by_cookie {
        let value = csrf.first().copied().unwrap_or_default();
        let offered = entries(headers).into_iter().filter_map(|entry| entry.strip_prefix("csrf."));
        let asked = query.iter().filter(|(name, _)| *name == "csrf_token").map(|(_, value)| *value);
        let submitted: Vec<_> = offered.chain(asked).collect();
        rule("one CSRF cookie", csrf.len() == 1 && !value.is_empty());
        rule("submitted", !submitted.is_empty() && submitted.iter().all(|given| *given == value));
        rule("of the session", value == super::csrf());
        rule("said", grant.csrf == CsrfOutcome::Signed);
    }
    let bearers = lines(headers, "authorization");
    let bearers = bearers.iter().filter_map(|value| value.strip_prefix("Bearer "));
    let offered = entries(headers).into_iter().map(|e| e.strip_prefix("bearer.").unwrap_or(e));
    let offered = offered.filter(|entry| entry.starts_with("eyJ"));
    let asked = query.iter().filter(|(name, _)| *name == "t").map(|(_, value)| *value);
    let cookies = a.iter().chain(&b).copied().filter(|value| !value.is_empty());
    let mut tokens: Vec<_> = cookies.chain(bearers).chain(offered).chain(asked).collect();
    tokens.sort_unstable();
    tokens.dedup();
    rule("one token", tokens.len() == 1);
    let bob = tokens.first().is_some_and(|token| *token != token_of_alice());
    rule("its principal", grant.principal_id == if bob { "bob" } else { "alice" });
    let report = &grant.protocol;
    let secret = |entry: &str| entry.starts_with("csrf.") || entry.contains("eyJ");
    rule("nothing kept", !report.kept.iter().any(|entry| secret(entry)));
    rule("nothing answered", !report.answer.iter().any(|entry| secret(entry)));
    broken
}

fn token_of_alice() -> &'static str {
    static TOKEN: LazyLock<String> = LazyLock::new(token);
    &TOKEN
}

#[test]
fn a_grant_means_that_every_rule_was_kept() {
    let gate = Gate::with(json!({
        "sources": ["cookie:JWT", "cookie:B", "protocol", "header:Authorization", "query:t"],
        "origins": ["https://ui.example.com", "https://b.example.com"],
        "origin_absent": "allow",
    }));
    let mut granted = 0;
    requests(&parts(), |headers, query| {
        if let Ok(grant) = gate.ask_with_query(headers, query) {
            granted += 1;
            let broken = broken(headers, query, &grant);
            assert!(broken.is_empty(), "{broken:?}\n{headers:?}\n{query:?}");
        }
    });
    assert!(100 < granted, "{granted}");
}
