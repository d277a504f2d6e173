//! jsonwebtoken as the oracle: what it accepts of our minting, and what both refuse.

use jsonwebtoken::{DecodingKey, Validation};
use proptest::prelude::*;

use super::*;

pub(super) fn config_for(algorithm: Algorithm, key: &str) -> Value {
    let mut config = bearer_config();
    config["issuers"][0]["algorithms"] = json!([algorithm.name()]);
    config["issuers"][0]["keys"] = json!([key]);
    config
}

/// Each algorithm with our gate, our signing key and the oracle's key.
fn all() -> Vec<(Algorithm, Gate, SigningKey, DecodingKey)> {
    let shared = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512].map(|algorithm| {
        let key = SigningKey::hmac(algorithm, SECRET).unwrap();
        let gate = Gate::new(config_for(algorithm, "hmac:env:SECRET"));
        (algorithm, gate, key, DecodingKey::from_secret(SECRET))
    });
    let public = asymmetric().into_iter().map(|(algorithm, name, pair)| {
        let key = SigningKey::pem(algorithm, &pair.private).unwrap();
        let gate = Gate::new(config_for(algorithm, &format!("pem:env:{name}")));
        let pem = pair.public.as_bytes();
        let oracle = match algorithm {
            Algorithm::Ed25519 => DecodingKey::from_ed_pem(pem),
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => DecodingKey::from_ec_pem(pem),
            _ => DecodingKey::from_rsa_pem(pem),
        };
        (algorithm, gate, key, oracle.unwrap())
    });
    shared.into_iter().chain(public).collect()
}

fn oracle(algorithm: Algorithm, key: &DecodingKey, token: &str) -> Option<bool> {
    // The oracle knows no ES512.
    let mut validation = Validation::new(algorithm.name().parse().ok()?);
    validation.validate_exp = false;
    validation.set_audience(&["chat"]);
    validation.set_issuer(&["https://login.example.com"]);
    Some(jsonwebtoken::decode::<Value>(token, key, &validation).is_ok())
}

#[test]
fn both_accept_every_algorithm() {
    for (algorithm, gate, key, decoding) in all() {
        let token = jwt(&key.header(None), &claims().to_string(), &key).unwrap();
        assert_eq!(reason(gate.ask_bearer(&token)), None, "{algorithm}");
        assert_ne!(oracle(algorithm, &decoding, &token), Some(false), "{algorithm}");
    }
}

#[test]
fn tokens_of_the_oracle_are_accepted() {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    assert_eq!(reason(Gate::new(bearer_config()).ask_bearer(&token)), None);
    let key = jsonwebtoken::EncodingKey::from_ed_pem(PAIRS.ed25519.private.as_bytes()).unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    let gate = Gate::new(config_for(Algorithm::Ed25519, "pem:env:ED"));
    assert_eq!(reason(gate.ask_bearer(&token)), None);
}

#[test]
fn both_names_of_ed25519_are_accepted() {
    let gate = Gate::new(config_for(Algorithm::Ed25519, "pem:env:ED"));
    let key = SigningKey::pem(Algorithm::Ed25519, &PAIRS.ed25519.private).unwrap();
    for alg in ["EdDSA", "Ed25519"] {
        let header = json!({ "alg": alg }).to_string();
        let token = jwt(&header, &claims().to_string(), &key).unwrap();
        assert_eq!(reason(gate.ask_bearer(&token)), None, "{alg}");
    }
}

#[test]
fn no_algorithm_passes_for_another_of_the_same_key() {
    let pairs = asymmetric();
    for (pinned, name, _) in pairs.iter().filter(|(_, name, _)| *name == "RSA") {
        let gate = Gate::new(config_for(*pinned, &format!("pem:env:{name}")));
        for (used, _, pair) in pairs.iter().filter(|(_, name, _)| *name == "RSA") {
            let key = SigningKey::pem(*used, &pair.private).unwrap();
            let token = jwt(&key.header(None), &claims().to_string(), &key).unwrap();
            let want = (used != pinned).then_some(Denial::TokenAlgorithm);
            assert_eq!(reason(gate.ask_bearer(&token)), want, "{used} under {pinned}");
            let lying = json!({ "alg": pinned.name() }).to_string();
            let token = jwt(&lying, &claims().to_string(), &key).unwrap();
            let want = (used != pinned).then_some(Denial::TokenSignature);
            assert_eq!(reason(gate.ask_bearer(&token)), want, "{used} as {pinned}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One changed character of any token, by any algorithm, is refused by both.
    #[test]
    fn a_changed_token_is_refused_by_both(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        for (algorithm, gate, key, decoding) in all() {
            let token = jwt(&key.header(None), &claims().to_string(), &key).unwrap();
            let at = at.index(token.len());
            let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
            prop_assume!(changed != token);
            prop_assert!(gate.ask_bearer(&changed).is_err(), "{algorithm} {changed}");
            prop_assert_ne!(oracle(algorithm, &decoding, &changed), Some(true), "{} {}", algorithm, changed);
        }
    }

    /// Whatever claims we grant, the oracle accepts too.
    #[test]
    fn what_we_grant_the_oracle_accepts(
        iss in prop::option::of(prop_oneof![Just("https://login.example.com"), Just("x")]),
        aud in prop_oneof![Just(json!("chat")), Just(json!(["chat"])), Just(json!([])), Just(json!(null)), Just(json!("x"))],
        sub in prop_oneof![Just(json!("alice")), Just(json!(7)), Just(json!(""))],
    ) {
        let mut claims = claims_with(json!({ "sub": sub, "iss": null }));
        claims["aud"] = aud;
        if let Some(iss) = iss {
            claims["iss"] = json!(iss);
        }
        let token = sign(&claims);
        if Gate::new(bearer_config()).ask_bearer(&token).is_ok() {
            let key = DecodingKey::from_secret(SECRET);
            prop_assert_eq!(oracle(Algorithm::Hs256, &key, &token), Some(true));
        }
    }
}
