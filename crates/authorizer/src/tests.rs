//! The decision from outside: a configuration, a request, a verdict.

mod attacks;
mod carriers;
mod claims;
mod collisions;
mod delegate;
mod guards;
mod oracle;
mod published;
mod sound;
mod total;
mod vectors;
mod work;
mod wycheproof;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::config::Source;
use crate::mint::{SigningKey, csrf_value, jwt};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const SECRET: &[u8] =
    b"an HMAC secret that is long enough for SHA-512, all 64 bytes of it";
pub(crate) const CSRF_SECRET: &[u8] = b"a CSRF secret that has 32 bytes or more";
pub(crate) const ORIGIN: (&str, &str) = ("Origin", "https://ui.example.com");

/// A configuration with one issuer, HS256 and a signed CSRF value.
pub(crate) fn config() -> Value {
    json!({
        "origins": ["https://ui.example.com"],
        "csrf": { "secret": "env:CSRF" },
        "issuers": [{
            "issuer": "https://login.example.com",
            "audience": ["chat"],
            "algorithms": ["HS256"],
            "keys": ["hmac:env:SECRET"],
        }],
    })
}

/// The same without any cookie: tokens in the header and in subprotocols.
pub(crate) fn bearer_config() -> Value {
    let mut config = config();
    config["sources"] = json!(["protocol", "header:Authorization"]);
    config.as_object_mut().unwrap().shift_remove("csrf");
    config
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://login.example.com",
        "aud": "chat",
        "sub": "alice",
        "sid": "session-1",
        "iat": NOW - 10,
        "exp": NOW + 60,
    })
}

/// `claims()` with some of them replaced, or removed by null.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().shift_remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::hmac(Algorithm::Hs256, SECRET).unwrap()
}

pub(crate) fn sign(claims: &Value) -> String {
    jwt(&signing_key().header(None), &claims.to_string(), &signing_key()).unwrap()
}

pub(crate) fn sign_with_header(header: &str) -> String {
    jwt(header, &claims().to_string(), &signing_key()).unwrap()
}

pub(crate) fn token() -> String {
    sign(&claims())
}

/// A CSRF value for the session of `claims()`.
pub(crate) fn csrf() -> String {
    csrf_value(CSRF_SECRET, "session-1", &[7; 16]).unwrap()
}

/// The decision with its keys.
pub(crate) struct Gate {
    pub(crate) authorizer: Authorizer,
    pub(crate) keys: KeySet,
}

impl Gate {
    pub(crate) fn new(config: Value) -> Self {
        Self::try_new(&config).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    /// `config()` with some members replaced, or removed by null.
    pub(crate) fn with(changes: Value) -> Self {
        Self::new(merged(config(), changes))
    }

    pub(crate) fn try_new(config: &Value) -> Result<Self, Vec<ConfigError>> {
        let (config, _) = Config::read(config)?;
        let mut keys = KeySet::builder(&config, &AwsLc);
        for (n, issuer) in config.issuers().iter().enumerate() {
            for (m, key) in issuer.keys.iter().enumerate() {
                let config::KeySpec::Static(_, source) = key else { panic!("{key}") };
                keys.add(n, m, &content(source));
            }
        }
        if let Some(source) = config.csrf_secret() {
            keys.csrf_secret(&content(source));
        }
        let (keys, _) = keys.build()?;
        Ok(Self { authorizer: Authorizer::new(config), keys })
    }

    pub(crate) fn ask(&self, headers: &[(&str, &str)]) -> Result<Grant, Denial> {
        self.ask_with_query(headers, &[])
    }

    pub(crate) fn ask_with_query(
        &self,
        headers: &[(&str, &str)],
        query: &[(&str, &str)],
    ) -> Result<Grant, Denial> {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { headers: &headers, query, method_arn: "arn:aws:x" };
        self.authorizer.authorize(&request, &self.keys, NOW)
    }

    /// Asks with `token` in the `Authorization` header.
    pub(crate) fn ask_bearer(&self, token: &str) -> Result<Grant, Denial> {
        self.ask(&[("Authorization", &format!("Bearer {token}"))])
    }
}

pub(crate) fn merged(mut config: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { return changes };
    for (name, value) in changes {
        if value.is_null() {
            config.as_object_mut().unwrap().shift_remove(&name);
        } else if value.is_object() && config[&name].is_object() {
            config[&name] = merged(config[&name].take(), value);
        } else {
            config[&name] = value;
        }
    }
    config
}

pub(crate) fn reason<T>(verdict: Result<T, Denial>) -> Option<Denial> {
    verdict.err()
}

fn content(source: &Source) -> Vec<u8> {
    let Source::Env(name) = source else { panic!("{source}") };
    match name.as_str() {
        "SECRET" => SECRET.to_vec(),
        "SHORT" => SECRET[..31].to_vec(),
        "CSRF" => CSRF_SECRET.to_vec(),
        "RSA" => PAIRS.rsa.public.clone().into(),
        "P256" => PAIRS.p256.public.clone().into(),
        "P384" => PAIRS.p384.public.clone().into(),
        "P521" => PAIRS.p521.public.clone().into(),
        "ED" => PAIRS.ed25519.public.clone().into(),
        literal => literal.as_bytes().to_vec(),
    }
}

/// A private and a public key in PEM.
pub(crate) struct Pair {
    pub(crate) private: String,
    pub(crate) public: String,
}

pub(crate) struct Pairs {
    pub(crate) rsa: Pair,
    pub(crate) p256: Pair,
    pub(crate) p384: Pair,
    pub(crate) p521: Pair,
    pub(crate) ed25519: Pair,
}

/// Made once per run.
pub(crate) static PAIRS: LazyLock<Pairs> = LazyLock::new(|| {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    Pairs {
        rsa: pair(AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref(), rsa.public_key()),
        p256: pair(p256.to_pkcs8v1().unwrap().as_ref(), p256.public_key()),
        p384: pair(p384.to_pkcs8v1().unwrap().as_ref(), p384.public_key()),
        p521: pair(p521.to_pkcs8v1().unwrap().as_ref(), p521.public_key()),
        ed25519: pair(ed25519.to_pkcs8v1().unwrap().as_ref(), ed25519.public_key()),
    }
});

fn pair(private: &[u8], public: &impl AsDer<PublicKeyX509Der<'static>>) -> Pair {
    Pair {
        private: pem("PRIVATE KEY", private),
        public: pem("PUBLIC KEY", public.as_der().unwrap().as_ref()),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// Each algorithm with a key pair of its family.
pub(crate) fn asymmetric() -> Vec<(Algorithm, &'static str, &'static Pair)> {
    let rsa = [
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
    ];
    let pairs = &*PAIRS;
    let others = [
        (Algorithm::Ed25519, "ED", &pairs.ed25519),
        (Algorithm::Es256, "P256", &pairs.p256),
        (Algorithm::Es384, "P384", &pairs.p384),
        (Algorithm::Es512, "P521", &pairs.p521),
    ];
    rsa.into_iter().map(|algorithm| (algorithm, "RSA", &pairs.rsa)).chain(others).collect()
}
