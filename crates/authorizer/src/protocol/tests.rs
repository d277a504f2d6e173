use proptest::prelude::*;

use super::*;

/// A JWT in shape and in header, that nobody signed.
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

/// Token, kept entries and answer.
type Seen<'a> = (Option<&'a str>, &'a [&'a str], Option<&'a str>);

fn rules(bare: bool) -> ProtocolRules {
    ProtocolRules {
        markers: vec!["access_token".into(), "bearer".into()],
        prefixes: vec!["bearer.".into(), "Bearer-".into()],
        bare,
    }
}

fn read<'a>(
    lines: &'a [(&'a str, &'a [u8])],
    rules: Option<&ProtocolRules>,
) -> Result<Offer<'a>, Denial> {
    Offer::read(
        &Request { headers: lines, query: &[], method_arn: "" },
        rules,
        &[Submit::Protocol("csrf.".into())],
    )
}

/// Reads one line per item and compares token, kept entries and answer.
#[track_caller]
fn check(lines: &[&str], want: Result<Seen<'_>, Denial>) {
    check_with(&rules(false), lines, want);
}

#[track_caller]
fn check_with(rules: &ProtocolRules, lines: &[&str], want: Result<Seen<'_>, Denial>) {
    let headers: Vec<_> =
        lines.iter().map(|line| ("SEC-websocket-protocol", line.as_bytes())).collect();
    let got = read(&headers, Some(rules)).map(|offer| (offer.token.clone(), offer.report()));
    let got = got.as_ref().map(|(token, report)| {
        let kept: Vec<_> = report.kept.iter().map(String::as_str).collect();
        (token.as_deref(), kept, report.answer.as_deref())
    });
    let want = want.map(|(token, kept, answer)| (token, kept.to_vec(), answer));
    assert_eq!(got.map_err(|denial| *denial), want, "{lines:?}");
}

#[test]
fn a_marker_announces_the_token_in_the_next_entry() {
    check(
        &[&format!("access_token, {JWT}")],
        Ok((Some(JWT), &["access_token"], Some("access_token"))),
    );
    check(&[&format!("bearer,{JWT}")], Ok((Some(JWT), &["bearer"], Some("bearer"))));
    check(
        &[&format!("graphql-transport-ws, bearer, {JWT}, v2")],
        Ok((Some(JWT), &["graphql-transport-ws", "bearer", "v2"], Some("graphql-transport-ws"))),
    );
    check(&[&format!("bearer, {JWT}, v2")], Ok((Some(JWT), &["bearer", "v2"], Some("v2"))));
    // Lines are joined.
    check(&["bearer", JWT], Ok((Some(JWT), &["bearer"], Some("bearer"))));
}

#[test]
fn a_marker_without_token_is_malformed() {
    for line in [
        "access_token".to_owned(),
        "bearer, chat".to_owned(),
        format!("{JWT}, bearer"),
        format!("bearer, chat, {JWT}"),
        "bearer, a..b".to_owned(),
        "bearer, a.b".to_owned(),
        "bearer, a.b.c.d".to_owned(),
        "bearer, a.b.c~".to_owned(),
        format!("bearer, bearer.{JWT}"),
        "bearer, csrf.aa.bb".to_owned(),
    ] {
        check(&[&line], Err(Denial::TokenMalformed));
    }
}

#[test]
fn a_prefix_carries_the_token_in_its_own_entry() {
    check(&[&format!("bearer.{JWT}")], Ok((Some(JWT), &[], None)));
    check(&[&format!("chat, Bearer-{JWT}")], Ok((Some(JWT), &["chat"], Some("chat"))));
    check(&["bearer.x.y"], Err(Denial::TokenMalformed));
    check(&["bearer."], Err(Denial::TokenMalformed));
}

#[test]
fn the_longest_prefix_counts() {
    let rules = ProtocolRules {
        prefixes: ["bearer.", "bearer.v1.", "bearer.v1.x.", "base64url."].map(Into::into).into(),
        ..rules(false)
    };
    check_with(&rules, &[&format!("bearer.{JWT}")], Ok((Some(JWT), &[], None)));
    check_with(&rules, &[&format!("bearer.v1.{JWT}")], Ok((Some(JWT), &[], None)));
    check_with(&rules, &[&format!("bearer.v1.x.{JWT}")], Ok((Some(JWT), &[], None)));
    check_with(&rules, &[&format!("bearer.v2.{JWT}")], Err(Denial::TokenMalformed));
    let encoded = format!("{KUBERNETES_PREFIX}{}", URL_SAFE_NO_PAD.encode(JWT));
    check_with(&rules, &[&format!("chat, {encoded}")], Ok((Some(JWT), &["chat"], Some("chat"))));
}

#[test]
fn the_kubernetes_form_is_decoded_and_wants_another_entry() {
    let encoded = format!("{KUBERNETES_PREFIX}{}", URL_SAFE_NO_PAD.encode(JWT));
    check(&[&format!("chat, {encoded}")], Ok((Some(JWT), &["chat"], Some("chat"))));
    check(&[&encoded], Err(Denial::TokenMalformed));
    check(&[&format!("{encoded}, csrf.x")], Err(Denial::TokenMalformed));
    check(&[&format!("chat, {KUBERNETES_PREFIX}")], Err(Denial::TokenMalformed));
    check(&[&format!("chat, {KUBERNETES_PREFIX}A")], Err(Denial::TokenMalformed));
    let binary = URL_SAFE_NO_PAD.encode(b"\xff\xfe\xfd");
    check(&[&format!("chat, {KUBERNETES_PREFIX}{binary}")], Err(Denial::TokenMalformed));
    let opaque = URL_SAFE_NO_PAD.encode("opaque");
    check(&[&format!("chat, {KUBERNETES_PREFIX}{opaque}")], Err(Denial::TokenMalformed));
}

#[test]
fn a_bare_token_counts_where_enabled_and_is_never_passed_on() {
    check_with(&rules(true), &[&format!("chat, {JWT}")], Ok((Some(JWT), &["chat"], Some("chat"))));
    check_with(&rules(true), &[JWT], Ok((Some(JWT), &[], None)));
    check(&[&format!("{JWT}, chat")], Ok((None, &["chat"], Some("chat"))));
    // A name with two dots is no token.
    check_with(&rules(true), &["com.example.chat"], Ok((None, &[], None)));
    check_with(&rules(true), &["exchange.api.v2"], Ok((None, &[], None)));
}

#[test]
fn one_token_in_all_is_allowed() {
    let encoded = format!("{KUBERNETES_PREFIX}{}", URL_SAFE_NO_PAD.encode(JWT));
    for line in [
        format!("access_token, {JWT}, bearer, {JWT}"),
        format!("bearer, {JWT}, bearer, {JWT}"),
        format!("bearer, {JWT}, bearer.{JWT}"),
        format!("bearer.{JWT}, bearer.{JWT}"),
        format!("chat, {encoded}, {encoded}"),
        format!("bearer, {JWT}, {JWT}"),
    ] {
        check(&[&line], Err(Denial::TokenAmbiguous));
    }
}

#[test]
fn entries_are_tokens_few_and_unique() {
    for line in [
        "",
        " ",
        ",",
        "a,,b",
        "a, ",
        "a b",
        "a\tb",
        "\"a\"",
        "a=b",
        "a/b",
        "é",
        "a,a",
        "chat, chat",
    ] {
        check(&[line], Err(Denial::TokenMalformed));
    }
    check(&["a, A"], Ok((None, &[], None)));
    check(&["a", "a"], Err(Denial::TokenMalformed));
    let many = |n: usize| (0..n).map(|n| format!("p{n}")).collect::<Vec<_>>().join(",");
    check(&[&many(16)], Ok((None, &[], None)));
    check(&[&many(17)], Err(Denial::TokenMalformed));
    check(&[&many(100_000)], Err(Denial::TokenMalformed));
}

#[test]
fn without_secrets_the_header_is_left_alone() {
    check(&["chat, v2"], Ok((None, &[], None)));
    check(&[], Ok((None, &[], None)));
    check(&["csrf.x"], Ok((None, &[], None)));
    check(&["csrf.x, chat"], Ok((None, &["chat"], Some("chat"))));
}

#[test]
fn where_the_header_is_no_source_tokens_are_hidden_all_the_same() {
    let line = format!("chat, {JWT}, bearer.{JWT}");
    let headers = [("Sec-WebSocket-Protocol", line.as_bytes())];
    let offer = read(&headers, None).unwrap();
    assert_eq!(offer.token, None);
    assert_eq!(offer.report().kept, ["chat"]);
}

#[test]
fn a_token_behind_an_unknown_prefix_is_neither_kept_nor_answered() {
    for entry in [format!("Token-{JWT}"), format!("v1.token.{JWT}"), format!("{JWT}.x.y")] {
        let line = format!("{entry}, chat, csrf.x");
        check(&[&line], Ok((None, &["chat"], Some("chat"))));
        check_with(&rules(true), &[&line], Ok((None, &["chat"], Some("chat"))));
        let headers = [("Sec-WebSocket-Protocol", line.as_bytes())];
        assert_eq!(read(&headers, None).unwrap().report().kept, ["chat"], "{entry}");
    }
    // Two tokens are two, in whatever form.
    check(&[&format!("bearer, {JWT}, Token-{JWT}")], Err(Denial::TokenAmbiguous));
}

#[test]
fn a_marker_and_a_prefix_of_one_word_are_not_mixed() {
    check(&[&format!("bearer, bearer.{JWT}")], Err(Denial::TokenMalformed));
    check(&[&format!("access_token, bearer, {JWT}")], Err(Denial::TokenMalformed));
    check(&[&format!("access_token, chat, {JWT}")], Err(Denial::TokenMalformed));
}

proptest! {
    #[test]
    fn no_secret_entry_is_kept_or_answered(
        entries in prop::collection::vec(prop_oneof![
            Just("access_token".to_owned()), Just("bearer".to_owned()), Just(JWT.to_owned()),
            Just(format!("bearer.{JWT}")), "csrf\\.[a-f0-9]{0,4}", "[a-z.]{1,6}",
            Just(format!("{KUBERNETES_PREFIX}{}", URL_SAFE_NO_PAD.encode(JWT))),
            Just(format!("{}{}", KUBERNETES_PREFIX.to_uppercase(), URL_SAFE_NO_PAD.encode(JWT))),
            Just(format!("Token-{}", URL_SAFE_NO_PAD.encode(JWT))),
        ], 0..6),
        bare in any::<bool>(),
    ) {
        let line = entries.join(", ");
        let headers = [("Sec-WebSocket-Protocol", line.as_bytes())];
        if let Ok(offer) = read(&headers, Some(&rules(bare))) {
            let report = offer.report();
            let secret = |e: &String| e.contains("eyJ") || e.contains("ZXlK") || e.starts_with("csrf.");
            prop_assert!(!report.kept.iter().any(secret));
            prop_assert!(!report.answer.iter().any(secret));
            prop_assert!(report.answer.is_none_or(|answer| entries.contains(&answer)));
            prop_assert!(report.stripped == 0 || report.stripped + report.kept.len() == entries.len());
        }
    }

    #[test]
    fn any_bytes_are_read(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let headers = [("Sec-WebSocket-Protocol", line.as_slice())];
        let _ = read(&headers, Some(&rules(true)));
    }
}
