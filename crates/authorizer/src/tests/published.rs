//! JWK sets that an issuer publishes.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// A key of the set, with what signs for it.
struct Published {
    pem: String,
    x: String,
}

fn published() -> Published {
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    Published {
        pem: pem("PRIVATE KEY", der.as_ref()),
        x: URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
    }
}

impl Published {
    fn jwk(&self, kid: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": self.x })
    }

    fn sign(&self, kid: Option<&str>) -> String {
        let key = SigningKey::pem(Algorithm::Ed25519, &self.pem).unwrap();
        jwt(&key.header(kid), &claims().to_string(), &key).unwrap()
    }
}

fn tree() -> Value {
    merged(
        bearer_config(),
        json!({ "issuers": [{
            "issuer": "https://login.example.com",
            "audience": ["chat"],
            "algorithms": ["EdDSA", "RS256"],
            "keys": ["jwks:https://login.example.com/jwks.json"],
        }] }),
    )
}

/// A gate with this set, and the warnings.
fn gate(set: &Value) -> Result<(Gate, Vec<String>), Vec<String>> {
    let (config, _) = Config::read(&tree()).unwrap();
    let mut builder = KeySet::builder(&config, &AwsLc);
    builder.add(0, 0, set.to_string().as_bytes());
    let text = |errors: Vec<ConfigError>| -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    };
    let (keys, warnings) = builder.build().map_err(text)?;
    let warnings = warnings.iter().map(ToString::to_string).collect();
    Ok((Gate { authorizer: Authorizer::new(config), keys }, warnings))
}

#[test]
fn the_name_picks_one_key_of_the_set() {
    let keys: Vec<_> = (0..64).map(|_| published()).collect();
    let set: Vec<_> = keys.iter().enumerate().map(|(n, key)| key.jwk(&format!("k{n}"))).collect();
    let (gate, warnings) = gate(&json!({ "keys": set })).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    for (n, key) in keys.iter().enumerate() {
        let token = key.sign(Some(&format!("k{n}")));
        assert!(gate.ask_bearer(&token).is_ok(), "k{n}");
        let other = key.sign(Some(&format!("k{}", (n + 1) % 64)));
        assert_eq!(reason(gate.ask_bearer(&other)), Some(Denial::TokenSignature));
    }
    // Without a name 64 keys fit, so none does.
    assert_eq!(reason(gate.ask_bearer(&keys[0].sign(None))), Some(Denial::TokenKey));
}

#[test]
fn keys_that_cannot_be_used_are_left_out_with_a_word() {
    let good = published();
    let with = |changes: Value| merged(published().jwk("other"), changes);
    for (key, part) in [
        (json!({ "kty": "oct", "k": encode(SECRET), "alg": "HS256" }), "shared secret"),
        (with(json!({ "use": "enc" })), "`use`"),
        (with(json!({ "key_ops": ["encrypt"] })), "key_ops"),
        (with(json!({ "alg": "RSA-OAEP" })), "`alg`"),
        (with(json!({ "alg": "ES256" })), "ES256"),
        (with(json!({ "d": "AAAA" })), "private key"),
        (with(json!({ "kid": 7 })), "`kid`"),
        (with(json!({ "x": "AAAA" })), "`x`"),
        (with(json!({ "crv": "X25519" })), "supported kind"),
        (published().jwk("good"), "`kid` of another key"),
        (json!({ "kty": "RSA", "n": encode(&[0xff; 128]), "e": "AQAB", "alg": "RS256" }), "2048"),
        (json!(7), "JSON object"),
        (json!([]), "JSON object"),
    ] {
        let (gate, warnings) = gate(&json!({ "keys": [good.jwk("good"), key] })).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains(part), "{key}: {warnings:?}");
        assert!(warnings[0].starts_with("authorizer.issuers[0].keys[0]: key 1 "), "{warnings:?}");
        assert!(!warnings[0].contains(&encode(SECRET)), "{warnings:?}");
        assert!(gate.ask_bearer(&good.sign(Some("good"))).is_ok(), "{key}");
        assert!(gate.ask_bearer(&token()).is_err(), "an oct key of a set signs nothing");
    }
}

#[test]
fn a_document_that_is_no_usable_set_is_an_error() {
    let many: Vec<_> = (0..65).map(|n| published().jwk(&n.to_string())).collect();
    for (set, part) in [
        (json!({ "keys": [] }), "no key that can be used"),
        (json!({ "keys": [{ "kty": "oct", "k": encode(SECRET) }] }), "no key that can be used"),
        (json!({ "keys": {} }), "no array"),
        (json!({}), "no array"),
        (published().jwk("one"), "no array"),
        (json!([]), "JSON object"),
        (json!({ "keys": many }), "more than 64"),
    ] {
        let errors = gate(&set).map(|_| ()).unwrap_err();
        assert!(errors.iter().any(|error| error.contains(part)), "{set}: {errors:?}");
    }
}

#[test]
fn only_a_name_that_is_not_there_asks_for_new_keys() {
    let key = published();
    let (gate, _) = gate(&json!({ "keys": [key.jwk("one")] })).unwrap();
    let unknown = |token: &str| {
        let evidence = gate.authorizer.renewal(token).unwrap();
        gate.authorizer.unknown_key(&evidence, &gate.keys)
    };
    assert_eq!(unknown(&key.sign(Some("two"))), Some(0));
    assert_eq!(unknown(&key.sign(Some("one"))), None);
    assert_eq!(unknown(&key.sign(None)), None);
    assert_eq!(unknown("x.y.z"), None);
    let foreign = claims_with(json!({ "iss": "https://other.example.com" })).to_string();
    let signer = SigningKey::pem(Algorithm::Ed25519, &key.pem).unwrap();
    assert_eq!(unknown(&jwt(&signer.header(Some("two")), &foreign, &signer).unwrap()), None);
    let none = format!("{}.{}.", encode(br#"{"alg":"none","kid":"two"}"#), encode(b"{}"));
    assert_eq!(unknown(&none), None);
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
