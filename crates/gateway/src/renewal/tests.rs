use std::net::Ipv4Addr;
use std::sync::Arc;

use authorizer::CsrfOutcome;
use session::Authorized;

use super::*;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A connection of Ada's session `s-1`, let in by a cookie.
fn slot() -> Slot {
    let connection = Connection {
        id: "gbgBRs9dGQAYKEh7VA==".to_owned(),
        api_id: "a1b2c3d4e5".to_owned(),
        stage: "dev".to_owned(),
        domain_name: "ws.example.com".to_owned(),
        host: "ws.example.com".to_owned(),
        connected_at: 0,
        source_ip: "198.51.100.7".to_owned(),
        user_agent: None,
        authorizer: Some(Authorized {
            principal_id: Some("ada".to_owned()),
            context: pairs(&[
                ("role", "admin"),
                ("tenant", "acme"),
                ("issuer", "https://login.example"),
                ("expiresAt", "1000"),
                ("tokenSource", "cookie:JWT"),
                ("csrf", "signed"),
            ]),
        }),
    };
    Slot::new(Arc::new(connection), Ipv4Addr::LOCALHOST.into(), Some("s-1".to_owned()), true)
}

/// What a fresh token of the same session is granted.
fn grant() -> Grant {
    Grant {
        principal_id: "ada".to_owned(),
        context: pairs(&[
            ("role", "admin"),
            ("tenant", "acme"),
            ("issuer", "https://login.example"),
            ("expiresAt", "2000"),
            ("tokenSource", "renewal"),
            ("csrf", "none"),
        ]),
        deadline: 2005,
        is_vouched: false,
        issued_at: Some(900),
        session: Some("s-1".to_owned()),
        token_source: "renewal".to_owned(),
        csrf: CsrfOutcome::None,
        report_only_hits: Vec::new(),
        protocol: authorizer::Protocol::default(),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Grant), want: bool) {
    let mut grant = grant();
    change(&mut grant);
    assert_eq!(is_same(&slot(), &grant), want, "{grant:?}");
}

#[test]
fn end_and_way_of_a_token_may_differ() {
    check(|_| {}, true);
    check(|grant| grant.deadline = 1, true);
    check(|grant| grant.issued_at = None, true);
    check(|grant| grant.context.reverse(), true);
}

#[test]
fn whose_session_it_is_may_not_differ() {
    check(|grant| grant.principal_id = "Ada".to_owned(), false);
    check(|grant| grant.session = Some("s-2".to_owned()), false);
    check(|grant| grant.session = None, false);
    check(|grant| grant.context[0].1 = "user".to_owned(), false);
    check(|grant| grant.context[2].1 = "https://other.example".to_owned(), false);
    check(|grant| drop(grant.context.remove(1)), false);
    check(|grant| grant.context.push(("plan".to_owned(), "gold".to_owned())), false);
    check(|grant| grant.context.swap(0, 1), true);
    check(
        |grant| {
            grant.context[0].1 = "acme".to_owned();
            grant.context[1].1 = "admin".to_owned();
        },
        false,
    );
}

#[test]
fn a_session_that_had_no_id_gets_none() {
    let mut slot = slot();
    slot.session_id = None;
    assert!(!is_same(&slot, &grant()));
    assert!(is_same(&slot, &Grant { session: None, ..grant() }));
}

#[test]
fn a_delegate_vouches_for_the_moment_it_was_asked_and_a_token_without_iat_for_none() {
    let at = Instant::now();
    let of = |issued_at, is_vouched| Issued::of(&Grant { issued_at, is_vouched, ..grant() }, at);
    assert_eq!(of(Some(900), false), Issued::At(900));
    assert_eq!(of(Some(900), true), Issued::At(900));
    assert_eq!(of(None, true), Issued::Asked(at));
    assert_eq!(of(None, false), Issued::Unknown);
}
