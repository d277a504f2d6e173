//! A back end that knows the sessions, in place of a token's verification.

use super::*;

const OPAQUE: &str = "opaque-session-0001";

fn tree(changes: Value) -> Value {
    let tree = json!({
        "origins": ["https://ui.example.com"],
        "csrf": { "secret": "env:CSRF" },
        "principal_prefix": "app:",
        "context_claims": ["role"],
        "delegate": { "url": "https://app.example.com/session", "cookies": ["SESSION"] },
    });
    merged(tree, changes)
}

fn gate(changes: Value) -> Gate {
    Gate::new(tree(changes))
}

fn answer() -> Value {
    json!({ "sub": "alice", "sid": "session-1", "exp": NOW + 60, "role": "admin", "iat": NOW - 10 })
}

struct Asked {
    /// As the delegate is sent it.
    credential: String,
    verdict: Result<Grant, Rejected>,
}

impl Gate {
    fn delegate(
        &self,
        headers: &[(&str, &str)],
        query: &[(&str, &str)],
        status: u16,
        body: &str,
    ) -> Result<Asked, Denial> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { headers: &headers, query, method_arn: "arn:aws:x" };
        let evidence = self.authorizer.read(&request)?;
        let credential = match evidence.credential() {
            Credential::Bearer(token) => format!("Authorization: Bearer {token}"),
            Credential::Cookies(cookies) => format!("Cookie: {cookies}"),
        };
        let content_type = Some("application/json; charset=utf-8");
        let answer = DelegateAnswer { status, content_type, body: body.as_bytes() };
        let claims = self.authorizer.accept_delegate(&evidence, answer, NOW);
        let grant = |claims| {
            let granted = self.authorizer.grant(evidence, &claims, &self.keys);
            granted.map_err(Rejected::Denied)
        };
        Ok(Asked { credential, verdict: claims.and_then(grant) })
    }

    fn ask_delegate(&self, headers: &[(&str, &str)], body: &Value) -> Result<Asked, Denial> {
        self.delegate(headers, &[], 200, &body.to_string())
    }
}

fn cookies(csrf: &str) -> Vec<(String, String)> {
    let cookie = format!("theme=dark; SESSION={OPAQUE}; CSRF-TOKEN={csrf}; JWT=other");
    [("Cookie", cookie.as_str()), ORIGIN, ("Sec-WebSocket-Protocol", &format!("chat, csrf.{csrf}"))]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn the_cookies_that_are_named_are_sent_and_nothing_else() {
    let asked = gate(json!({})).ask_delegate(&borrowed(&cookies(&csrf())), &answer()).unwrap();
    assert_eq!(asked.credential, format!("Cookie: SESSION={OPAQUE}"));
    let grant = asked.verdict.unwrap();
    assert_eq!(grant.principal_id, "app:alice");
    assert_eq!(grant.deadline, NOW + 65);
    assert_eq!(grant.issued_at, Some(NOW - 10));
    assert!(grant.is_vouched);
    assert_eq!(grant.session.as_deref(), Some("session-1"));
    assert_eq!(grant.csrf, CsrfOutcome::Signed);
    assert_eq!(grant.token_source, "cookie:SESSION");
    let context = grant.context.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>();
    let expires = (NOW + 60).to_string();
    assert_eq!(
        context,
        [
            ("role", "admin"),
            ("issuer", "https://app.example.com/session"),
            ("expiresAt", expires.as_str()),
            ("tokenSource", "cookie:SESSION"),
            ("csrf", "signed"),
        ]
    );
}

#[test]
fn several_cookies_go_together() {
    let gate = gate(json!({ "delegate": { "cookies": ["SESSION", "DEVICE"] } }));
    let mut headers = cookies(&csrf());
    headers[0].1.push_str("; DEVICE=d1");
    let asked = gate.ask_delegate(&borrowed(&headers), &answer()).unwrap();
    assert_eq!(asked.credential, format!("Cookie: SESSION={OPAQUE}; DEVICE=d1"));
}

#[test]
fn a_token_goes_as_a_bearer_and_without_cookies() {
    let gate = gate(json!({}));
    let headers = [("Authorization", "Bearer abc"), ("Cookie", "theme=dark")];
    let asked = gate.ask_delegate(&headers, &answer()).unwrap();
    assert_eq!(asked.credential, "Authorization: Bearer abc");
    assert_eq!(asked.verdict.unwrap().csrf, CsrfOutcome::None);
}

/// A foreign page can choose the query and subprotocols, and the browser adds the cookies.
#[test]
fn a_foreign_token_beside_the_victims_cookies_is_refused() {
    let changes = json!({ "sources": ["protocol", "query:access_token"] });
    let gate = gate(changes);
    let victim = format!("SESSION={OPAQUE}");
    let foreign = [("Cookie", victim.as_str()), ("Origin", "https://evil.example")];
    let query = [("access_token", "x")];
    let asked = gate.delegate(&foreign, &query, 200, &answer().to_string());
    assert_eq!(reason(asked), Some(Denial::TokenAmbiguous));
    for value in [OPAQUE, ""] {
        // The same value, or an empty cookie: still a request with cookies.
        let cookie = format!("SESSION={value}");
        let headers = [("Cookie", cookie.as_str()), ("Origin", "https://evil.example")];
        let query = [("access_token", value)];
        let asked = gate.delegate(&headers, &query, 200, &answer().to_string());
        assert_eq!(reason(asked), Some(Denial::OriginNotAllowed), "{value:?}");
    }
    let own = [("Cookie", victim.as_str()), ORIGIN];
    let asked = gate.delegate(&own, &[], 200, &answer().to_string());
    assert_eq!(reason(asked), Some(Denial::CsrfMissing), "CSRF is checked before the call");
}

#[test]
fn the_csrf_value_belongs_to_the_session_of_the_answer() {
    let gate = gate(json!({}));
    let headers = cookies(&csrf());
    let ask = |body: Value| gate.ask_delegate(&borrowed(&headers), &body).unwrap().verdict;
    let other = ask(merged(answer(), json!({ "sid": "session-2" })));
    assert_eq!(other.unwrap_err(), Rejected::Denied(Denial::CsrfSignature));
    let none = ask(merged(answer(), json!({ "sid": null })));
    assert_eq!(none.unwrap_err(), Rejected::Denied(Denial::CsrfSessionMissing));
}

#[test]
fn a_cookie_twice_is_ambiguous() {
    let gate = gate(json!({}));
    let headers = [("Cookie", "SESSION=a"), ("Cookie", "SESSION=a"), ORIGIN];
    assert_eq!(reason(gate.ask_delegate(&headers, &answer())), Some(Denial::CookieAmbiguous));
}

/// What cannot be sent as it is would fail there, or be read as something else.
#[test]
fn what_is_no_credential_is_malformed_before_anybody_is_asked() {
    let gate = gate(json!({ "sources": ["header:Authorization", "query:t"] }));
    for token in ["\u{e9}", "a b", "x\r\nCookie: y", "a\0", "a,b", "a\"b", "=", "a=b"] {
        let query = [("t", token)];
        let asked = gate.delegate(&[], &query, 200, &answer().to_string());
        assert_eq!(reason(asked), Some(Denial::TokenMalformed), "{token:?}");
        let renewed = gate.authorizer.renewal(token).map(|_| ());
        assert_eq!(renewed, Err(Denial::TokenMalformed), "{token:?}");
    }
    for token in ["a", "a.b-c_d~e+f/g==", &token()] {
        assert!(gate.delegate(&[], &[("t", token)], 200, &answer().to_string()).is_ok(), "{token}");
    }
    let gate = self::gate(json!({ "delegate": { "cookies": ["SESSION", "DEVICE"] } }));
    for value in ["\u{e9}", "a b", "a\\b", "\"a", "a, SESSION=c", "a\u{7f}"] {
        let cookie = format!("SESSION={value}; DEVICE=d1");
        let asked = gate.ask_delegate(&[("Cookie", &cookie), ORIGIN], &answer());
        assert_eq!(reason(asked), Some(Denial::TokenMalformed), "{value:?}");
    }
    // The semicolon ends the first cookie, whatever quotes are around it.
    let sandwich = [("Cookie", "SESSION=\"a; DEVICE=b\""), ORIGIN];
    assert_eq!(reason(gate.ask_delegate(&sandwich, &answer())), Some(Denial::TokenMalformed));
}

#[test]
fn only_a_whole_answer_is_a_verdict() {
    let gate = gate(json!({}));
    let headers = [("Authorization", "Bearer abc")];
    let ask = |status, body: &str| {
        gate.delegate(&headers, &[], status, body).unwrap().verdict.map(|grant| grant.principal_id)
    };
    let good = answer().to_string();
    assert_eq!(ask(200, &good), Ok("app:alice".to_owned()));
    assert_eq!(ask(401, &good), Err(Rejected::Denied(Denial::TokenRefused)));
    assert_eq!(ask(403, &good), Err(Rejected::Denied(Denial::ClaimRefused)));
    for status in [100, 201, 204, 301, 302, 304, 400, 404, 429, 500, 503] {
        assert!(matches!(ask(status, &good), Err(Rejected::Failed(_))), "{status}");
    }
    let with = |changes: Value| merged(answer(), changes).to_string();
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        good.replace('{', "{\"sub\":\"bob\","),
        with(json!({ "sub": null })),
        with(json!({ "sub": "" })),
        with(json!({ "sub": 7 })),
        with(json!({ "exp": null })),
        with(json!({ "exp": "1900000000" })),
        with(json!({ "exp": -1 })),
        with(json!({ "exp": 1.9e9 })),
        with(json!({ "exp": (NOW + 60) as f64 + 0.5 })),
        with(json!({ "exp": 1_u64 << 53 })),
        with(json!({ "iat": "then" })),
        with(json!({ "note": "x".repeat(DELEGATE_ANSWER_BYTES_MAX) })),
    ] {
        assert!(matches!(ask(200, &body), Err(Rejected::Failed(_))), "{body:.80}");
    }
    let expired = with(json!({ "exp": NOW - 5 }));
    assert_eq!(ask(200, &expired), Err(Rejected::Denied(Denial::TokenExpired)));
    let early = with(json!({ "nbf": NOW + 6 }));
    assert_eq!(ask(200, &early), Err(Rejected::Denied(Denial::TokenNotYetValid)));
}

#[test]
fn only_json_is_read() {
    let gate = gate(json!({}));
    let evidence = gate.authorizer.renewal("abc").unwrap();
    let body = answer().to_string();
    for (content_type, fits) in [
        (Some("application/json"), true),
        (Some("Application/JSON ; charset=utf-8"), true),
        (Some("application/jsonp"), false),
        (Some("text/html"), false),
        (Some(""), false),
        (None, false),
    ] {
        let answer = DelegateAnswer { status: 200, content_type, body: body.as_bytes() };
        let accepted = gate.authorizer.accept_delegate(&evidence, answer, NOW);
        assert_eq!(accepted.is_ok(), fits, "{content_type:?}");
    }
}

#[test]
fn a_decision_with_a_delegate_verifies_no_token_and_one_without_accepts_no_answer() {
    let with = gate(json!({}));
    assert_eq!(reason(with.ask_bearer(&token())), Some(Denial::TokenIssuer));
    let without = Gate::new(bearer_config());
    let body = answer().to_string();
    let answer = DelegateAnswer {
        status: 200,
        content_type: Some("application/json"),
        body: body.as_bytes(),
    };
    let evidence = without.authorizer.renewal("abc").unwrap();
    let accepted = without.authorizer.accept_delegate(&evidence, answer, NOW);
    assert!(matches!(accepted, Err(Rejected::Failed(_))));
}

#[test]
fn a_configuration_that_could_ask_the_wrong_one_is_an_error() {
    for (changes, path) in [
        (json!({ "delegate": { "url": null } }), "authorizer.delegate.url"),
        (json!({ "delegate": { "url": "http://app.example.com" } }), "authorizer.delegate.url"),
        (
            json!({ "delegate": { "url": "https://u:p@app.example.com" } }),
            "authorizer.delegate.url",
        ),
        (json!({ "delegate": { "url": "https://app.example.com/#x" } }), "authorizer.delegate.url"),
        (json!({ "delegate": { "timeout": "11s" } }), "authorizer.delegate.timeout"),
        (json!({ "delegate": { "cookies": ["a b"] } }), "authorizer.delegate.cookies[0]"),
        (json!({ "delegate": { "other": 1 } }), "authorizer.delegate.other"),
        (json!({ "sources": ["cookie:JWT"] }), "authorizer.delegate.cookies"),
        (json!({ "delegate": { "cookies": ["CSRF-TOKEN"] } }), "authorizer.csrf.cookie"),
        (json!({ "issuers": config()["issuers"] }), "authorizer.issuers"),
    ] {
        let errors = Config::read(&tree(changes.clone())).unwrap_err();
        assert_eq!(errors[0].path, path, "{changes}: {errors:?}");
    }
    let local = tree(json!({ "delegate": { "url": "http://127.0.0.1:8081/session" } }));
    let (config, _) = Config::read(&local).unwrap();
    assert_eq!(config.delegate().unwrap().timeout_millis, 1000);
    // Without a list of its own it is sent the cookies of the sources.
    let plain = merged(tree(json!({})), json!({ "delegate": { "cookies": null } }));
    assert_eq!(Config::read(&plain).unwrap().0.delegate().unwrap().cookies, ["JWT"]);
}
