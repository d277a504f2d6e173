//! Attacks on tokens that other verifiers fell for ([RFC 8725] and the advisories since).
//!
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

#[track_caller]
fn check(token: &str, want: Denial) {
    let gate = Gate::new(bearer_config());
    assert_eq!(reason(gate.ask_bearer(token)), Some(want), "{token}");
}

#[track_caller]
fn check_header(header: &str, want: Denial) {
    check(&sign_with_header(header), want);
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn the_algorithm_is_that_of_the_key() {
    for alg in ["none", "None", "NONE", "nOnE", "", "HS257", "hs256", "HS256 ", "RS256", "HS384"] {
        let header = json!({ "alg": alg }).to_string();
        check_header(&header, Denial::TokenAlgorithm);
        let claims = encode(claims().to_string());
        check(&format!("{}.{claims}.", encode(&header)), Denial::TokenAlgorithm);
    }
    check_header(r#"{"alg":["HS256"]}"#, Denial::TokenMalformed);
    check_header(r#"{"alg":null}"#, Denial::TokenMalformed);
    check_header("{}", Denial::TokenMalformed);
}

#[test]
fn a_public_key_is_no_hmac_secret() {
    for (algorithm, name, pair) in asymmetric() {
        let mut config = bearer_config();
        config["issuers"][0]["algorithms"] = json!([algorithm.name()]);
        config["issuers"][0]["keys"] = json!([format!("pem:env:{name}")]);
        let gate = Gate::new(config);
        let pem = pair.public.as_str();
        let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let secrets = [
            pem.to_owned(),
            pem.trim_end().to_owned(),
            format!(" {pem}"),
            format!("\r\n{pem}"),
            format!("\u{feff}{pem}"),
            bare,
        ];
        for secret in secrets {
            let key = SigningKey::hmac(Algorithm::Hs256, secret.as_bytes()).unwrap();
            for alg in ["HS256", algorithm.name()] {
                let header = json!({ "alg": alg }).to_string();
                let token = jwt(&header, &claims().to_string(), &key).unwrap();
                let want =
                    if alg == "HS256" { Denial::TokenAlgorithm } else { Denial::TokenSignature };
                assert_eq!(reason(gate.ask_bearer(&token)), Some(want), "{algorithm}");
            }
        }
    }
}

#[test]
fn keys_in_the_token_are_not_looked_at() {
    let key = json!({ "kty": "oct", "k": encode(SECRET) });
    for (name, value) in [
        ("jwk", key),
        ("jku", json!("https://evil.test/keys")),
        ("x5u", json!("https://evil.test/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        check_header(&json!({ "alg": "HS256", name: value }).to_string(), Denial::TokenKey);
    }
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    check_header(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#, Denial::TokenCritical);
    check_header(r#"{"alg":"HS256","crit":[]}"#, Denial::TokenCritical);
    check_header(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, Denial::TokenCritical);
    check_header(r#"{"alg":"HS256","b64":false}"#, Denial::TokenCritical);
}

#[test]
fn strange_key_names_find_no_other_key() {
    let jwk = json!({ "kty": "oct", "k": encode(SECRET), "kid": "one", "alg": "HS256" });
    let mut config = bearer_config();
    config["issuers"][0]["keys"] = json!([format!("jwk:env:{jwk}")]);
    let gate = Gate::new(config);
    let ask = |header: &str| reason(gate.ask_bearer(&sign_with_header(header)));
    assert_eq!(ask(r#"{"alg":"HS256","kid":"one"}"#), None);
    assert_eq!(ask(r#"{"alg":"HS256"}"#), None);
    for kid in ["two", "", "../../dev/null", "one' OR '1'='1", "ONE", "one\u{0}"] {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        assert_eq!(ask(&header), Some(Denial::TokenKey), "{kid:?}");
    }
    assert_eq!(ask(r#"{"alg":"HS256","kid":1}"#), Some(Denial::TokenMalformed));
    assert_eq!(ask(r#"{"alg":"HS512","kid":"one"}"#), Some(Denial::TokenAlgorithm));
}

#[test]
fn without_a_name_only_one_key_may_fit() {
    let jwk = |kid: &str, secret: &[u8]| {
        let jwk = json!({ "kty": "oct", "k": encode(secret), "kid": kid });
        format!("jwk:env:{jwk}")
    };
    let mut config = bearer_config();
    config["issuers"][0]["keys"] = json!([jwk("one", SECRET), jwk("two", CSRF_SECRET)]);
    let gate = Gate::new(config);
    let ask = |header: &str| reason(gate.ask_bearer(&sign_with_header(header)));
    assert_eq!(ask(r#"{"alg":"HS256"}"#), Some(Denial::TokenKey));
    assert_eq!(ask(r#"{"alg":"HS256","kid":"one"}"#), None);
    assert_eq!(ask(r#"{"alg":"HS256","kid":"two"}"#), Some(Denial::TokenSignature));
}

#[test]
fn signatures_are_whole_and_canonical() {
    let token = token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    check(&format!("{signed}."), Denial::TokenSignature);
    check(&format!("{signed}.{}", &signature[..40]), Denial::TokenSignature);
    check(&format!("{signed}.{signature}A"), Denial::TokenSignature);
    check(&format!("{signed}.{signature}AA"), Denial::TokenMalformed);
    check(&format!("{signed}.{signature}="), Denial::TokenMalformed);
    // As long as RSA of 8192 bits makes them, and longer than anything.
    check(&format!("{signed}.{}", "A".repeat(1366)), Denial::TokenSignature);
    check(&format!("{signed}.{}", "A".repeat(4000)), Denial::TokenMalformed);
    // The last character of 32 bytes has two bits to spare; another spelling is another token.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    check(&format!("{signed}.{}{next}", &signature[..42]), Denial::TokenMalformed);
}

#[test]
fn zero_is_no_ecdsa_signature() {
    for (algorithm, name, bytes) in [
        (Algorithm::Es256, "P256", 64),
        (Algorithm::Es384, "P384", 96),
        (Algorithm::Es512, "P521", 132),
    ] {
        let mut config = bearer_config();
        config["issuers"][0]["algorithms"] = json!([algorithm.name()]);
        config["issuers"][0]["keys"] = json!([format!("pem:env:{name}")]);
        let gate = Gate::new(config);
        let header = encode(json!({ "alg": algorithm.name() }).to_string());
        for signature in [vec![0; bytes], vec![0xff; bytes], vec![]] {
            let token = format!("{header}.{}.{}", encode(claims().to_string()), encode(signature));
            assert_eq!(reason(gate.ask_bearer(&token)), Some(Denial::TokenSignature), "{token}");
        }
    }
}

#[test]
fn what_is_not_three_segments_is_malformed() {
    let token = token();
    let (header, rest) = token.split_once('.').unwrap();
    for token in [
        "x".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "...".to_owned(),
        format!("{header}.{header}"),
        format!(".{rest}"),
        format!("{token}."),
        format!("{token}.x"),
        format!("{header}..{header}"),
        format!("{header}.a.b.c.d"),
        format!("{header}=.{rest}"),
        format!("{header}\n.{rest}"),
        format!("{token} {token}"),
        format!("{token},{token}"),
        format!("\"{token}\""),
        format!("{}.{rest}", header.replace('e', "+")),
    ] {
        check(&token, Denial::TokenMalformed);
    }
}

#[test]
fn headers_and_claims_are_strict_json() {
    let signed = |header: &str, claims: &str| jwt(header, claims, &signing_key()).unwrap();
    let good = claims().to_string();
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","\u006bid":"b"}"#,
        r#"{"alg":"HS256"} x"#,
        r#"["HS256"]"#,
        r#""HS256""#,
    ] {
        check(&signed(header, &good), Denial::TokenMalformed);
    }
    let body = &good[1..good.len() - 1];
    for claims in [
        format!("{{{body},\"sub\":\"mallory\"}}"),
        format!("{{{body},\"s\\u0075b\":\"mallory\"}}"),
        format!("{{{body},\"x\":{{\"a\":1,\"a\":2}}}}"),
        format!("{{{body},\"x\":{}{}}}", "[".repeat(128), "]".repeat(128)),
        format!("{{{body},\"exp2\":NaN}}"),
        format!("{{{body}}}{{}}"),
        format!("[{good}]"),
        String::new(),
    ] {
        check(&signed(r#"{"alg":"HS256"}"#, &claims), Denial::TokenMalformed);
    }
    let deep = format!("{{{body},\"x\":{}{}}}", "[".repeat(127), "]".repeat(127));
    let gate = Gate::new(bearer_config());
    assert_eq!(reason(gate.ask_bearer(&signed(r#"{"alg":"HS256"}"#, &deep))), None);
}

#[test]
fn claims_that_are_not_utf8_are_malformed() {
    let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(b"{\"sub\":\"\xff\"}"));
    check(&format!("{message}.AAAA"), Denial::TokenMalformed);
}

#[test]
fn a_long_key_name_is_only_compared() {
    let jwk = json!({ "kty": "oct", "k": encode(SECRET), "kid": "one", "alg": "HS256" });
    let mut config = merged(bearer_config(), json!({ "token_bytes_max": "64KiB" }));
    config["issuers"][0]["keys"] = json!([format!("jwk:env:{jwk}")]);
    let gate = Gate::new(config);
    for kid in ["k".repeat(10 * 1024), format!("one{}", "\u{7f}".repeat(10 * 1024))] {
        let token = sign_with_header(&json!({ "alg": "HS256", "kid": kid }).to_string());
        assert_eq!(reason(gate.ask_bearer(&token)), Some(Denial::TokenKey));
    }
    let twice = r#"{"alg":"HS256","kid":"one","kid":"one"}"#;
    assert_eq!(reason(gate.ask_bearer(&sign_with_header(twice))), Some(Denial::TokenMalformed));
}

#[test]
fn among_64_keys_only_the_named_one_is_asked() {
    let secret = |n: usize| if n == 63 { SECRET.to_vec() } else { vec![n as u8 + 1; 32] };
    let keys: Vec<_> = (0..64)
        .map(|n| {
            let jwk = json!({ "kty": "oct", "k": encode(secret(n)), "kid": n.to_string() });
            format!("jwk:env:{jwk}")
        })
        .collect();
    let mut config = bearer_config();
    config["issuers"][0]["keys"] = json!(keys);
    let gate = Gate::new(config);
    let ask = |header: &str| reason(gate.ask_bearer(&sign_with_header(header)));
    assert_eq!(ask(r#"{"alg":"HS256"}"#), Some(Denial::TokenKey));
    assert_eq!(ask(r#"{"alg":"HS256","kid":"63"}"#), None);
    assert_eq!(ask(r#"{"alg":"HS256","kid":"62"}"#), Some(Denial::TokenSignature));
    assert_eq!(ask(r#"{"alg":"HS256","kid":"64"}"#), Some(Denial::TokenKey));
    assert_eq!(ask(r#"{"alg":"HS384","kid":"63"}"#), Some(Denial::TokenAlgorithm));
}

#[test]
fn deep_nesting_is_malformed_however_deep() {
    let gate = Gate::new(merged(bearer_config(), json!({ "token_bytes_max": "64KiB" })));
    let body = claims().to_string();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 10_000 / open.len();
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let claims = format!("{},\"x\":{nested}}}", &body[..body.len() - 1]);
        let header = format!("{{\"alg\":\"HS256\",\"x\":{nested}}}");
        let token = jwt(r#"{"alg":"HS256"}"#, &claims, &signing_key()).unwrap();
        assert_eq!(reason(gate.ask_bearer(&token)), Some(Denial::TokenMalformed));
        let token = jwt(&header, &body, &signing_key()).unwrap();
        assert_eq!(reason(gate.ask_bearer(&token)), Some(Denial::TokenMalformed));
    }
}

#[test]
fn a_foreign_page_gains_nothing_with_a_token_of_its_own() {
    let gate = Gate::with(json!({ "sources": ["cookie:JWT", "protocol", "query:access_token"] }));
    let (cookie, theirs) =
        (format!("JWT={}", token()), sign(&claims_with(json!({ "sub": "mallory" }))));
    let foreign = ("Origin", "https://evil.test");
    let query = [("access_token", theirs.as_str())];
    let ask = |headers: &[(&str, &str)], query: &[(&str, &str)]| {
        reason(gate.ask_with_query(headers, query))
    };
    let victim = ("Cookie", cookie.as_str());
    assert_eq!(ask(&[victim, foreign], &query), Some(Denial::TokenAmbiguous));
    assert_eq!(ask(&[victim, foreign], &[("access_token", "x")]), Some(Denial::TokenAmbiguous));
    // Nor with an empty one, nor when the victim has only the other cookie.
    assert_eq!(ask(&[victim, foreign], &[("access_token", "")]), Some(Denial::OriginNotAllowed));
    let other = ("Cookie", "CSRF-TOKEN=x");
    assert_eq!(ask(&[other, foreign], &query), Some(Denial::OriginNotAllowed));
    let protocol = format!("bearer, {theirs}");
    let headers = [victim, foreign, ("Sec-WebSocket-Protocol", protocol.as_str())];
    assert_eq!(ask(&headers, &[]), Some(Denial::TokenAmbiguous));
}
