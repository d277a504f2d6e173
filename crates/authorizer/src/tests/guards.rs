//! Step 2 and 4: what guards cookies.

use super::*;

/// The headers of a browser whose page submits `value` as a subprotocol.
fn browser<'a>(cookie: &'a str, protocol: &'a str) -> [(&'a str, &'a str); 3] {
    [("Cookie", cookie), ("Sec-WebSocket-Protocol", protocol), ORIGIN]
}

#[track_caller]
fn check(gate: &Gate, cookie_value: &str, submitted: &str, want: Option<Denial>) {
    let cookie = format!("JWT={}; CSRF-TOKEN={cookie_value}", token());
    let protocol = format!("chat, csrf.{submitted}");
    let got = reason(gate.ask(&browser(&cookie, &protocol)));
    assert_eq!(got, want, "{cookie_value:?} {submitted:?}");
}

#[test]
fn the_classic_browser_passes_and_only_other_entries_are_passed_on() {
    let gate = Gate::with(json!({}));
    let cookie = format!("a=b; JWT={}; CSRF-TOKEN={}", token(), csrf());
    let grant = gate.ask(&browser(&cookie, &format!("chat, csrf.{}, v2", csrf()))).unwrap();
    assert_eq!(grant.principal_id, "alice");
    assert_eq!(grant.csrf, CsrfOutcome::Signed);
    assert_eq!(grant.protocol.kept, ["chat", "v2"]);
    assert_eq!(grant.protocol.answer.as_deref(), Some("chat"));
    assert_eq!(grant.protocol.stripped, 1);
}

#[test]
fn a_value_in_the_query_is_as_good_and_both_must_agree() {
    let gate = Gate::with(json!({}));
    let cookie = format!("JWT={}; CSRF-TOKEN={}", token(), csrf());
    let headers = [("Cookie", cookie.as_str()), ORIGIN];
    assert!(gate.ask_with_query(&headers, &[("csrf_token", &csrf())]).is_ok());
    let got = gate.ask_with_query(&headers, &[("csrf_token", &csrf()), ("csrf_token", &csrf())]);
    assert_eq!(reason(got), Some(Denial::CsrfAmbiguous));
    let protocol = format!("csrf.{}", csrf());
    let headers = browser(&cookie, &protocol);
    assert!(gate.ask_with_query(&headers, &[("csrf_token", &csrf())]).is_ok());
    let got = gate.ask_with_query(&headers, &[("csrf_token", "other")]);
    assert_eq!(reason(got), Some(Denial::CsrfMismatch));
    let got = gate.ask_with_query(&headers, &[("csrf_token", "")]);
    assert_eq!(reason(got), Some(Denial::CsrfMissing));
}

#[test]
fn a_signed_value_must_be_present_equal_and_of_this_session() {
    let gate = Gate::with(json!({}));
    let good = csrf();
    let of = |secret, session, random: &[u8]| csrf_value(secret, session, random).unwrap();
    check(&gate, &good, &good, None);
    check(
        &gate,
        &of(CSRF_SECRET, "session-1", &[9; 64]),
        &of(CSRF_SECRET, "session-1", &[9; 64]),
        None,
    );
    check(&gate, "", &good, Some(Denial::CsrfMissing));
    check(&gate, &good, "", Some(Denial::CsrfMissing));
    check(&gate, "", "", Some(Denial::CsrfMissing));
    check(&gate, &good, &good[1..], Some(Denial::CsrfMismatch));
    let other = of(CSRF_SECRET, "session-1", &[8; 16]);
    check(&gate, &good, &other, Some(Denial::CsrfMismatch));
    // Of another session, by another secret, or with the session moved into the random part.
    for forged in [
        of(CSRF_SECRET, "session-2", &[7; 16]),
        of(SECRET, "session-1", &[7; 16]),
        of(CSRF_SECRET, "session-1!32", &[7; 16]),
        good.to_uppercase(),
        good.replace('.', ""),
        format!("{good}00"),
        format!("{good}."),
        format!("0{good}"),
        "x".to_owned(),
        ".".to_owned(),
        format!("{}.", &good[..64]),
        format!("{}00{}", &good[..64], &good[64..]),
        format!("00{good}"),
        format!("{}{}", &good[..62], &good[64..]),
    ] {
        check(&gate, &forged, &forged, Some(Denial::CsrfSignature));
    }
}

#[test]
fn the_random_part_has_16_to_64_bytes() {
    let gate = Gate::with(json!({}));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, CSRF_SECRET);
    for (digits, want) in [
        (32, None),
        (128, None),
        (30, Some(Denial::CsrfSignature)),
        (33, Some(Denial::CsrfSignature)),
        (130, Some(Denial::CsrfSignature)),
        (0, Some(Denial::CsrfSignature)),
    ] {
        let random = "a".repeat(digits);
        let message = format!("9!session-1!{digits}!{random}");
        let mac = hex::encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
        let value = format!("{mac}.{random}");
        check(&gate, &value, &value, want);
    }
}

/// The signature is right, the digits are not: one value has one spelling.
#[test]
fn the_random_part_is_lower_case_hexadecimal() {
    let gate = Gate::with(json!({}));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, CSRF_SECRET);
    for (digit, want) in [
        ("f", None),
        ("F", Some(Denial::CsrfSignature)),
        ("g", Some(Denial::CsrfSignature)),
        ("-", Some(Denial::CsrfSignature)),
        (".", Some(Denial::CsrfSignature)),
    ] {
        let random = format!("{digit}{}", "a".repeat(31));
        let message = format!("9!session-1!32!{random}");
        let mac = hex::encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
        let value = format!("{mac}.{random}");
        check(&gate, &value, &value, want);
        let upper = format!("{}.{random}", mac.to_uppercase());
        check(&gate, &upper, &upper, Some(Denial::CsrfSignature));
    }
}

/// Without the lengths, `a` and `b!c` would be signed as `a!b` and `c` are.
#[test]
fn no_session_ends_where_the_random_part_begins() {
    let gate = Gate::with(json!({}));
    let (head, tail) = ("0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let random = hex::decode(tail).unwrap();
    for session in [
        format!("session-1!{head}"),
        format!("session-1!32!{head}"),
        "session-1!".to_owned(),
        "session-1".to_owned() + head,
    ] {
        let value = csrf_value(CSRF_SECRET, &session, &random).unwrap();
        let mac = value.split('.').next().unwrap();
        for random in [tail.to_owned(), format!("{head}{tail}"), format!("{head}!{tail}")] {
            let shifted = format!("{mac}.{random}");
            check(&gate, &shifted, &shifted, Some(Denial::CsrfSignature));
        }
    }
}

#[test]
fn the_session_is_sid_else_jti_and_a_text() {
    let gate = Gate::with(json!({}));
    let ask = |changes: Value, session: &str| {
        let value = csrf_value(CSRF_SECRET, session, &[7; 16]).unwrap();
        let cookie = format!("JWT={}; CSRF-TOKEN={value}", sign(&claims_with(changes)));
        reason(gate.ask(&browser(&cookie, &format!("csrf.{value}"))))
    };
    assert_eq!(ask(json!({ "sid": null, "jti": "j" }), "j"), None);
    assert_eq!(ask(json!({ "sid": "s", "jti": "j" }), "s"), None);
    assert_eq!(ask(json!({ "sid": "s", "jti": "j" }), "j"), Some(Denial::CsrfSignature));
    for changes in [
        json!({ "sid": null }),
        json!({ "sid": "", "jti": "j" }),
        json!({ "sid": 7, "jti": "j" }),
        json!({ "sid": null, "jti": ["j"] }),
    ] {
        assert_eq!(ask(changes.clone(), "j"), Some(Denial::CsrfSessionMissing), "{changes}");
    }
}

#[test]
fn a_second_csrf_cookie_or_submission_is_ambiguous() {
    let gate = Gate::with(json!({}));
    let cookie = format!("JWT={}; CSRF-TOKEN={}; CSRF-TOKEN=x", token(), csrf());
    let protocol = format!("csrf.{}", csrf());
    assert_eq!(reason(gate.ask(&browser(&cookie, &protocol))), Some(Denial::CookieAmbiguous));
    let cookie = format!("JWT={}; CSRF-TOKEN={}", token(), csrf());
    let protocol = format!("csrf.{}, csrf.x", csrf());
    assert_eq!(reason(gate.ask(&browser(&cookie, &protocol))), Some(Denial::CsrfAmbiguous));
}

#[test]
fn a_token_without_cookie_needs_no_csrf_value() {
    let grant = Gate::with(json!({})).ask_bearer(&token()).unwrap();
    assert_eq!(grant.csrf, CsrfOutcome::None);
}

#[test]
fn the_mode_submit_compares_and_does_not_sign() {
    let gate = Gate::with(json!({ "csrf": { "mode": "submit", "secret": null } }));
    check(&gate, "anything", "anything", None);
    check(&gate, "anything", "else", Some(Denial::CsrfMismatch));
    check(&gate, "", "", Some(Denial::CsrfMissing));
}

#[test]
fn the_mode_claim_compares_cookie_and_claim() {
    let gate = Gate::with(json!({ "csrf": { "mode": "claim", "secret": null } }));
    let ask = |claim: Value, cookie: &str| {
        let token = sign(&claims_with(json!({ "csrf": claim })));
        let cookie = format!("JWT={token}; {cookie}");
        gate.ask(&[("Cookie", &cookie), ORIGIN])
    };
    assert_eq!(ask(json!("abc"), "CSRF-TOKEN=abc").unwrap().csrf, CsrfOutcome::Claim);
    for (claim, cookie, want) in [
        (json!("abc"), "CSRF-TOKEN=abd", Denial::CsrfMismatch),
        (json!(null), "CSRF-TOKEN=abc", Denial::CsrfMismatch),
        (json!(7), "CSRF-TOKEN=7", Denial::CsrfMismatch),
        (json!(""), "CSRF-TOKEN=", Denial::CsrfMissing),
        (json!("abc"), "x=y", Denial::CsrfMissing),
    ] {
        assert_eq!(reason(ask(claim, cookie)), Some(want), "{cookie}");
    }
}

#[test]
fn the_mode_off_leaves_the_origin_rule() {
    let gate = Gate::with(json!({ "csrf": { "mode": "off", "secret": null } }));
    let cookie = format!("JWT={}", token());
    assert_eq!(gate.ask(&[("Cookie", &cookie), ORIGIN]).unwrap().csrf, CsrfOutcome::Off);
    assert_eq!(reason(gate.ask(&[("Cookie", &cookie)])), Some(Denial::OriginAbsent));
}

#[test]
fn any_configured_cookie_asks_for_the_origin_wherever_the_token_is() {
    let gate = Gate::with(json!({}));
    let bearer = format!("Bearer {}", token());
    let bearer = ("Authorization", bearer.as_str());
    let foreign = ("Origin", "https://other.example.com");
    assert_eq!(reason(gate.ask(&[bearer])), None);
    assert_eq!(reason(gate.ask(&[bearer, foreign])), None);
    assert_eq!(reason(gate.ask(&[bearer, ("Cookie", "theme=dark"), foreign])), None);
    for cookie in ["CSRF-TOKEN=x", "JWT="] {
        let cookie = ("Cookie", cookie);
        let got = gate.ask(&[bearer, cookie, foreign]);
        assert_eq!(reason(got), Some(Denial::OriginNotAllowed), "{cookie:?}");
        assert_eq!(reason(gate.ask(&[bearer, cookie])), Some(Denial::OriginAbsent), "{cookie:?}");
        assert_eq!(reason(gate.ask(&[bearer, cookie, ORIGIN])), None, "{cookie:?}");
    }
}

#[test]
fn the_first_broken_rule_is_the_answer() {
    let gate = Gate::with(json!({}));
    let expired = sign(&claims_with(json!({ "exp": NOW - 100 })));
    let cookie = format!("JWT={expired}; CSRF-TOKEN={}", csrf());
    let protocol = format!("csrf.{}", csrf());
    let ask = |headers: &[(&str, &str)]| reason(gate.ask(headers));
    assert_eq!(ask(&[("Cookie", &format!("{cookie}; JWT=x"))]), Some(Denial::CookieAmbiguous));
    assert_eq!(ask(&[("Cookie", &cookie)]), Some(Denial::OriginAbsent));
    assert_eq!(ask(&[("Cookie", &cookie), ORIGIN]), Some(Denial::CsrfMissing));
    assert_eq!(ask(&browser(&cookie, &protocol)), Some(Denial::TokenExpired));
}

#[test]
fn rules_that_only_report_pass_and_say_so() {
    let gate = Gate::with(json!({ "report_only": ["origin", "csrf"] }));
    let cookie = format!("JWT={}", token());
    let grant = gate.ask(&[("Cookie", &cookie)]).unwrap();
    assert_eq!(grant.report_only_hits, [Denial::OriginAbsent, Denial::CsrfMissing]);
    assert_eq!(grant.csrf, CsrfOutcome::Off);
    let value = csrf_value(CSRF_SECRET, "session-2", &[7; 16]).unwrap();
    let cookie = format!("{cookie}; CSRF-TOKEN={value}");
    let grant = gate.ask(&browser(&cookie, &format!("csrf.{value}"))).unwrap();
    assert_eq!(grant.report_only_hits, [Denial::CsrfSignature]);
    let cookie = format!("JWT={}", sign(&claims_with(json!({ "exp": 1 }))));
    assert_eq!(reason(gate.ask(&[("Cookie", &cookie)])), Some(Denial::TokenExpired));
    let kept = Gate::with(json!({ "report_only": ["origin"] }));
    assert_eq!(reason(kept.ask(&[("Cookie", &cookie)])), Some(Denial::CsrfMissing));
}

/// Without a cookie as source no cookie is anything to the decision, so a foreign one cannot keep
/// a program with a token of its own out.
#[test]
fn a_cookie_that_nobody_reads_asks_for_no_origin() {
    let gate = Gate::new(bearer_config());
    let token = format!("Bearer {}", token());
    let headers = [("Authorization", token.as_str()), ("Cookie", "CSRF-TOKEN=x; CSRF-TOKEN=y")];
    assert!(gate.ask(&headers).is_ok());
}
