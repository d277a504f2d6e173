//! What an attacker can make, and the world he attacks: keys, issuers and the document that
//! configures them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};

/// The page that may connect, and one whose name has a letter beyond ASCII (`bücher.example`).
pub(super) const UI: &str = "https://ui.example.com";
pub(super) const BOOKS: &str = "https://xn--bcher-kva.example";

/// Keys of the issuer that has as many as it may.
const MANY: usize = 64;

/// Keys, secrets and the servers of one run.
pub(super) struct World {
    pub(super) secrets: Arc<Secrets>,
    pub(super) hmac: Vec<u8>,
    pub(super) hmac_typed: Vec<u8>,
    pub(super) csrf_secret: Vec<u8>,
    pub(super) rsa: RsaKeyPair,
    pub(super) ec: EcdsaKeyPair,
    ec_asn1: EcdsaKeyPair,
    /// Published by the JWKS server, with a shared secret that should not be there.
    pub(super) published: EcdsaKeyPair,
    pub(super) published_secret: Vec<u8>,
    /// The attacker's own.
    pub(super) evil: EcdsaKeyPair,
    many: Vec<Vec<u8>>,
    pub(super) jwks: Server,
}

/// Whose signature a token bears.
pub(super) enum Signer<'w> {
    Bytes(Vec<u8>),
    Ec(&'w EcdsaKeyPair),
    Hmac(&'w [u8]),
    Rsa(&'w RsaKeyPair),
}

impl World {
    pub(super) fn new() -> Self {
        let secrets = Arc::new(Secrets::default());
        let secret = |name: &str| {
            let mut bytes = [0; 32];
            rand::fill(&mut bytes).expect("the system has randomness");
            secrets.register(name, &hex::encode(bytes)).into_bytes()
        };
        let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let own = ec();
        let document = own.to_pkcs8v1().expect("a key has a document");
        let ec_asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref());
        let (published, published_secret) = (ec(), secret("published secret"));
        let set = json!({ "keys": [
            ec_jwk(&published, "e1"),
            { "kty": "oct", "kid": "o1", "alg": "HS256", "k": encode(&published_secret) },
        ] });
        Self {
            hmac: secret("HMAC secret"),
            hmac_typed: secret("second HMAC secret"),
            csrf_secret: secret("CSRF secret"),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            ec: own,
            ec_asn1: ec_asn1.expect("the same key"),
            published,
            published_secret,
            evil: ec(),
            many: (0..MANY).map(|n| secret(&format!("secret {n} of many"))).collect(),
            jwks: Server::start(move |_| Answer::json(set.to_string())),
            secrets,
        }
    }

    /// The tables with issuers: what `wsgate.toml` and `WSGATE_AUTHORIZER_TOML` hold.
    pub(super) fn document(&self) -> String {
        let issuer = |name: &str, algorithm: &str, keys: &str| {
            format!(
                "[[authorizer.issuers]]\nissuer = {name:?}\naudience = [\"chat\"]\n\
                 algorithms = [{algorithm:?}]\nkeys = [{keys}]\nprincipal_prefix = \"{name}:\"\n"
            )
        };
        let many: Vec<_> = (0..MANY).map(|n| format!("\"jwk:env:ATTACK_MANY_{n}\"")).collect();
        let jwks = format!("\"jwks:http://{}/keys\"", self.jwks.address);
        let typed = issuer("typed", "HS256", "\"hmac:env:ATTACK_TYPED\"") + "typ = \"at+jwt\"\n";
        [
            rules("required_claims = { token_use = \"access\" }\n"),
            issuer("hs", "HS256", "\"hmac:env:ATTACK_HS\""),
            issuer("rs", "RS256", "\"pem:env:ATTACK_RS\""),
            issuer("es", "ES256", "\"pem:env:ATTACK_ES\""),
            issuer("many", "HS256", &many.join(", ")),
            typed,
            issuer("jwks", "ES256", &jwks),
        ]
        .concat()
    }

    /// The tables with a delegate, which is at `url`.
    pub(super) fn delegate_document(&self, url: &str, more: &str) -> String {
        rules(&format!("principal_prefix = \"app:\"\n{more}"))
            + &format!("[authorizer.delegate]\nurl = {url:?}\ncookies = [\"JWT\"]\n")
    }

    /// Variables that the documents name.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("secrets are text");
        let mut all = vec![
            ("ATTACK_HS".to_owned(), text(&self.hmac)),
            ("ATTACK_TYPED".to_owned(), text(&self.hmac_typed)),
            ("ATTACK_CSRF".to_owned(), text(&self.csrf_secret)),
            ("ATTACK_RS".to_owned(), self.rsa_pem()),
            ("ATTACK_ES".to_owned(), pem(&der(self.ec.public_key()))),
        ];
        for (n, secret) in self.many.iter().enumerate() {
            let key = json!({ "kty": "oct", "kid": format!("k{n}"), "k": encode(secret) });
            all.push((format!("ATTACK_MANY_{n}"), key.to_string()));
        }
        all
    }

    pub(super) fn rsa_pem(&self) -> String {
        pem(&self.rsa_der())
    }

    pub(super) fn rsa_der(&self) -> Vec<u8> {
        der(self.rsa.public_key())
    }

    /// The secret of the key `kN`.
    pub(super) fn many(&self, n: usize) -> Signer<'_> {
        Signer::Hmac(&self.many[n])
    }

    /// A signature of the right key in the wrong form: a sequence instead of two numbers.
    pub(super) fn asn1(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let signature = self.ec_asn1.sign(&random, signed.as_bytes()).expect("a key signs");
        self.register(&format!("{signed}.{}", encode(signature)))
    }

    /// A token of any header and claims.
    pub(super) fn jws(&self, header: &str, claims: &str, signer: &Signer<'_>) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let signature = match signer {
            Signer::Bytes(bytes) => bytes.clone(),
            Signer::Ec(key) => {
                key.sign(&random, signed.as_bytes()).expect("a key signs").as_ref().to_vec()
            }
            Signer::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
                    .expect("a key signs");
                signature
            }
        };
        self.register(&format!("{signed}.{}", encode(signature)))
    }

    /// A token of the issuer `hs`.
    pub(super) fn hs(&self, claims: &Value) -> String {
        self.hs_text(r#"{"alg":"HS256"}"#, &claims.to_string())
    }

    pub(super) fn hs_text(&self, header: &str, claims: &str) -> String {
        self.jws(header, claims, &Signer::Hmac(&self.hmac))
    }

    /// A CSRF value for `session`.
    pub(super) fn csrf(&self, session: &str) -> String {
        self.csrf_with(&self.csrf_secret, session, &hex::encode([7; 16]))
    }

    pub(super) fn csrf_with(&self, secret: &[u8], session: &str, random: &str) -> String {
        let message = format!("{}!{session}!{}!{random}", session.len(), random.len());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        self.secrets.register("CSRF value", &format!("{}.{random}", hex::encode(tag)))
    }

    /// Remembers `token`, so that nobody may say it.
    pub(super) fn register(&self, token: &str) -> String {
        self.secrets.register("token", token)
    }
}

/// Everything of the document that is neither issuer nor delegate.
fn rules(more: &str) -> String {
    format!(
        "[authorizer]\n\
         sources = [\"cookie:JWT\", \"protocol\", \"header:Authorization\", \"query:access_token\"]\n\
         origins = [{UI:?}, {BOOKS:?}]\n\
         token_bytes_max = \"28KiB\"\n\
         {more}\
         [authorizer.csrf]\n\
         secret = \"env:ATTACK_CSRF\"\n"
    )
}

/// Good claims of `issuer`, but for `changes`; null removes one.
pub(super) fn claims(issuer: &str, changes: &Value) -> Value {
    let now = now();
    let mut claims = json!({
        "iss": issuer, "aud": "chat", "sub": "ada", "sid": "s-1", "token_use": "access",
        "iat": now - 10, "exp": now + 3600,
    });
    let members = claims.as_object_mut().expect("claims are an object");
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    claims
}

/// Epoch seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(segment: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(segment).ok()
}

/// The public half as a JWK.
pub(super) fn ec_jwk(key: &EcdsaKeyPair, kid: &str) -> Value {
    // An uncompressed point: 4, then the two coordinates.
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encode(x), "y": encode(y) })
}

fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().expect("a public key has a document").as_ref().to_vec()
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        let line = std::str::from_utf8(line).expect("base64 is ASCII");
        writeln!(pem, "{line}").expect("a string takes text");
    }
    pem + "-----END PUBLIC KEY-----\n"
}
