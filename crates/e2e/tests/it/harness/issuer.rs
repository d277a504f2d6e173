//! Issuers of tokens: what signs them, and the server that publishes their keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::http::Message;
use super::https::Authority;
use super::server::{Answer, Server};
use super::token;

/// Path of the key set.
const KEYS: &str = "/jwks.json";

/// A private key and its name.
pub(crate) struct Signer {
    pub(crate) id: String,
    key: Key,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Shared(String),
}

impl Signer {
    /// A key for ES256.
    pub(crate) fn ecdsa(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self { id: id.to_owned(), key: Key::Ecdsa(key.expect("the system has randomness")) }
    }

    /// A key for EdDSA.
    pub(crate) fn edwards(id: &str) -> Self {
        let key = Ed25519KeyPair::generate().expect("the system has randomness");
        Self { id: id.to_owned(), key: Key::Edwards(key) }
    }

    /// A shared secret for HS256.
    pub(crate) fn shared(id: &str) -> Self {
        Self { id: id.to_owned(), key: Key::Shared(token::random_hex()) }
    }

    fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Ecdsa(_) => "ES256",
            Key::Edwards(_) => "EdDSA",
            Key::Shared(_) => "HS256",
        }
    }

    /// The key as it is published ([RFC 7517 §4], [RFC 8037 §2]), be it one that should not be.
    ///
    /// [RFC 7517 §4]: https://www.rfc-editor.org/rfc/rfc7517#section-4
    /// [RFC 8037 §2]: https://www.rfc-editor.org/rfc/rfc8037#section-2
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            Key::Ecdsa(key) => {
                // One byte that says "uncompressed", then both coordinates.
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Key::Edwards(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref()) })
            }
            Key::Shared(secret) => json!({ "kty": "oct", "k": encode(secret.as_bytes()) }),
        };
        jwk["kid"] = self.id.as_str().into();
        jwk["alg"] = self.algorithm().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token that names this key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_naming(&self.id, claims)
    }

    /// A token that this key signs and that names another.
    pub(crate) fn token_naming(&self, id: &str, claims: &Value) -> String {
        let head = json!({ "alg": self.algorithm(), "kid": id, "typ": "JWT" });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = match &self.key {
            Key::Ecdsa(key) => key
                .sign(&SystemRandom::new(), signed.as_bytes())
                .map(|signature| signature.as_ref().to_vec())
                .expect("the system has randomness"),
            Key::Edwards(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Key::Shared(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
        };
        token::keep(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A key set in JSON.
pub(crate) fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// An issuer with a server of its own: `https://localhost:PORT`.
pub(crate) struct Issuer {
    server: Server,
    published: Arc<Mutex<Published>>,
}

struct Published {
    keys: Answer,
    /// `None`: what an honest issuer says of itself.
    metadata: Option<Answer>,
}

impl Issuer {
    /// Starts one that publishes the keys of `signers`.
    pub(crate) fn start(authority: &Authority, signers: &[&Signer]) -> Self {
        Self::start_as(authority, "localhost", signers)
    }

    /// Starts one whose certificate is for `name`.
    pub(crate) fn start_as(authority: &Authority, name: &str, signers: &[&Signer]) -> Self {
        let published = Published { keys: Answer::json(set_of(signers)), metadata: None };
        let published = Arc::new(Mutex::new(published));
        let shared = Arc::clone(&published);
        let server = authority.serve(name, move |request| play(&lock(&shared), request));
        Self { server, published }
    }

    /// Its name, as in `iss`.
    pub(crate) fn name(&self) -> String {
        format!("https://localhost:{}", self.server.address.port())
    }

    /// `jwks:…`, by which a configuration names its keys.
    pub(crate) fn jwks(&self) -> String {
        format!("jwks:{}{KEYS}", self.name())
    }

    /// `oidc:…`, by which a configuration names its keys.
    pub(crate) fn oidc(&self) -> String {
        format!("oidc:{}", self.name())
    }

    /// Publishes the keys of `signers` and no others.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        self.answer_keys(Answer::json(set_of(signers)));
    }

    /// Answers `answer` to whoever asks for the keys.
    pub(crate) fn answer_keys(&self, answer: Answer) {
        lock(&self.published).keys = answer;
    }

    /// Answers `answer` to whoever asks for the metadata.
    pub(crate) fn answer_metadata(&self, answer: Answer) {
        lock(&self.published).metadata = Some(answer);
    }

    /// How often its keys were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.server.unread().iter().filter(|request| request.target() == KEYS).count()
    }

    /// Breaks every connection from now on.
    pub(crate) fn go_down(&self) {
        self.answer_keys(Answer::Die);
        self.answer_metadata(Answer::Die);
    }
}

fn set_of(signers: &[&Signer]) -> String {
    key_set(&signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>())
}

fn play(published: &Published, request: &Message) -> Answer {
    match request.target() {
        KEYS => published.keys.clone(),
        "/.well-known/openid-configuration" => published.metadata.clone().unwrap_or_else(|| {
            let own = format!("https://{}", request.header("host").unwrap_or_default());
            let keys = format!("{own}{KEYS}");
            Answer::json(json!({ "issuer": own, "jwks_uri": keys }).to_string())
        }),
        _ => Answer::Reply { status: 404, headers: Vec::new(), body: Vec::new() },
    }
}

fn lock(published: &Mutex<Published>) -> MutexGuard<'_, Published> {
    published.lock().unwrap_or_else(PoisonError::into_inner)
}
