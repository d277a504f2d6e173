//! A whole verdict (cookie, Origin, CSRF, JWT) next to the bare signature check of the same key by
//! AWS-LC, in one run; verdicts by the length of what they read; and verdicts by the number of keys
//! that an issuer publishes.

use std::hint::black_box;

use authorizer::key::KEYS_MAX;
use authorizer::mint::{SigningKey, csrf_value, jwt};
use authorizer::{Algorithm, Authorizer, AwsLc, Config, KeySet, Request};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;

/// As the gateway's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret of the tokens, 32 bytes at least";
const CSRF_SECRET: &[u8] = b"the secret of the CSRF values, 32 bytes at least";
/// Cookies of other applications on the same domain.
const OTHERS: &str = "theme=dark; _ga=GA1.1.1234567890.1700000000; locale=en-GB; consent=yes";

/// Checks a signature over a message.
type BareCheck = Box<dyn Fn(&[u8], &[u8]) -> bool>;

/// One algorithm: what signs, what the configuration holds, and the bare check.
struct Contender {
    name: &'static str,
    signing: SigningKey,
    /// The kind of key and its content.
    key: (&'static str, Vec<u8>),
    bare: BareCheck,
}

fn contenders() -> Vec<Contender> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).expect("generates");
    let ecdsa = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let ecdsa = ecdsa.expect("generates");
    let ed25519 = Ed25519KeyPair::generate().expect("generates");
    let rsa_private: Pkcs8V1Der<'_> = rsa.as_der().expect("encodes");
    let secret = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    vec![
        Contender {
            name: "HS256",
            signing: SigningKey::hmac(Algorithm::Hs256, SECRET).expect("long enough"),
            key: ("hmac", SECRET.to_vec()),
            bare: Box::new(move |message, tag| hmac::verify(&secret, message, tag).is_ok()),
        },
        public(
            Algorithm::Rs256,
            rsa_private.as_ref(),
            rsa.public_key(),
            &signature::RSA_PKCS1_2048_8192_SHA256,
        ),
        public(
            Algorithm::Es256,
            ecdsa.to_pkcs8v1().expect("encodes").as_ref(),
            ecdsa.public_key(),
            &signature::ECDSA_P256_SHA256_FIXED,
        ),
        public(
            Algorithm::Ed25519,
            ed25519.to_pkcs8v1().expect("encodes").as_ref(),
            ed25519.public_key(),
            &signature::ED25519,
        ),
    ]
}

fn public(
    algorithm: Algorithm,
    private: &[u8],
    public: &impl AsDer<PublicKeyX509Der<'static>>,
    scheme: &'static dyn VerificationAlgorithm,
) -> Contender {
    let public = public.as_der().expect("encodes");
    let parsed = ParsedPublicKey::new(scheme, public.as_ref()).expect("parses");
    Contender {
        name: algorithm.name(),
        signing: SigningKey::pem(algorithm, &pem("PRIVATE KEY", private)).expect("fits"),
        key: ("pem", pem("PUBLIC KEY", public.as_ref()).into_bytes()),
        bare: Box::new(move |message, tag| parsed.verify_sig(message, tag).is_ok()),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn bench(criterion: &mut Criterion) {
    for contender in contenders() {
        let (authorizer, keys) = gate(&contender);
        let claims = json!({
            "iss": "https://login.example.com", "aud": "chat", "sub": "user-0123456789",
            "sid": "5f0c3f2e-session", "iat": NOW - 10, "exp": NOW + 600, "role": "member",
            "tenant": "acme",
        });
        let token = jwt(&contender.signing.header(None), &claims.to_string(), &contender.signing);
        let token = token.expect("signs");
        let csrf = csrf_value(CSRF_SECRET, "5f0c3f2e-session", &[7; 16]).expect("fits");
        let cookie = format!("{OTHERS}; JWT={token}; CSRF-TOKEN={csrf}");
        let protocol = format!("chat, csrf.{csrf}");
        let headers: [(&str, &[u8]); 9] = [
            ("host", b"ws.example.com"),
            ("connection", b"Upgrade"),
            ("upgrade", b"websocket"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", b"q0x2Jm1oY2hhbGxlbmdlMQ=="),
            ("user-agent", b"bench"),
            ("origin", b"https://ui.example.com"),
            ("cookie", cookie.as_bytes()),
            ("sec-websocket-protocol", protocol.as_bytes()),
        ];
        let request = Request { headers: &headers, query: &[], method_arn: "arn:aws:x" };
        let (message, tag) = token.rsplit_once('.').expect("is a token");
        let tag = URL_SAFE_NO_PAD.decode(tag).expect("is base64url");

        let mut group = criterion.benchmark_group(contender.name);
        group.bench_function("bare check", |bencher| {
            bencher.iter(|| {
                assert!((contender.bare)(black_box(message.as_bytes()), black_box(&tag)));
            });
        });
        group.bench_function("verdict", |bencher| {
            bencher.iter(|| {
                let verdict = authorizer.authorize(black_box(&request), &keys, NOW);
                assert!(verdict.is_ok());
                verdict
            });
        });
        group.finish();
    }
}

fn gate(contender: &Contender) -> (Authorizer, KeySet) {
    let tree = json!({
        "origins": ["https://ui.example.com"],
        "context_claims": ["role", "tenant"],
        "csrf": { "secret": "env:CSRF" },
        "issuers": [{
            "issuer": "https://login.example.com",
            "audience": ["chat"],
            "algorithms": [contender.name],
            "keys": [format!("{}:env:KEY", contender.key.0)],
        }],
    });
    let (config, _) = Config::read(&tree).expect("valid");
    let mut keys = KeySet::builder(&config, &AwsLc);
    keys.add(0, 0, &contender.key.1);
    keys.csrf_secret(CSRF_SECRET);
    let (keys, _) = keys.build().expect("valid");
    (Authorizer::new(config), keys)
}

/// Verdicts on one part of a request, and on one that is eight times as long. Where the time grows
/// no faster than the length, the longer one has at least the throughput of the shorter.
fn by_length(criterion: &mut Criterion) {
    let contender = contenders().remove(0);
    let (authorizer, keys) = gate(&contender);
    let sign = |rest: &str| {
        let claims = format!(
            r#"{{"iss":"https://login.example.com","aud":"chat","sub":"u","exp":{}{rest}}}"#,
            NOW + 600
        );
        jwt(&contender.signing.header(None), &claims, &contender.signing).expect("signs")
    };
    let short = sign("");
    let mut group = criterion.benchmark_group("length");
    for times in [1, 8] {
        let long_claim = sign(&format!(r#","x":"{}""#, "x".repeat(640 * times)));
        let members: String = (0..80 * times).map(|n| format!(r#","{n:04}":0"#)).collect();
        let others = OTHERS.repeat(10 * times).replace("yes", "yes; ");
        let entries: Vec<_> = (0..15).map(|n| format!("{n:x}{}", "y".repeat(40 * times))).collect();
        for (name, header, value) in [
            ("one long claim", "authorization", format!("Bearer {long_claim}")),
            ("many claims", "authorization", format!("Bearer {}", sign(&members))),
            ("other cookies", "cookie", others),
            ("long subprotocols", "sec-websocket-protocol", entries.join(", ")),
        ] {
            let bearer = format!("Bearer {short}");
            let headers: [(&str, &[u8]); 3] = [
                ("origin", b"https://ui.example.com"),
                (header, value.as_bytes()),
                ("authorization", bearer.as_bytes()),
            ];
            let headers = if header == "authorization" { &headers[..2] } else { &headers[..] };
            let request = Request { headers, query: &[], method_arn: "arn:aws:x" };
            group.throughput(Throughput::Bytes(value.len() as u64));
            group.bench_function(format!("{name} x{times}"), |bencher| {
                bencher.iter(|| {
                    let verdict = authorizer.authorize(black_box(&request), &keys, NOW);
                    assert!(verdict.is_ok());
                    verdict
                });
            });
        }
    }
    group.finish();
}

/// Verdicts with a key set of one key, and of as many as one may have.
fn by_keys(criterion: &mut Criterion) {
    let pairs: Vec<_> = (0..KEYS_MAX)
        .map(|_| EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING))
        .collect::<Result<_, _>>()
        .expect("generates");
    let jwk = |(n, pair): (usize, &EcdsaKeyPair)| {
        let point = pair.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        json!({ "kty": "EC", "crv": "P-256", "kid": format!("key-{n}"), "x": x, "y": y })
    };
    let keys: Vec<_> = pairs.iter().enumerate().map(jwk).collect();
    let private = pairs[0].to_pkcs8v1().expect("encodes");
    let signing = SigningKey::pem(Algorithm::Es256, &pem("PRIVATE KEY", private.as_ref()));
    let signing = signing.expect("fits");
    let claims = json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "u", "exp": NOW + 600,
    });
    let token = jwt(&signing.header(Some("key-0")), &claims.to_string(), &signing).expect("signs");
    let bearer = format!("Bearer {token}");
    let headers: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    let request = Request { headers: &headers, query: &[], method_arn: "arn:aws:x" };
    let mut group = criterion.benchmark_group("key set");
    for count in [1, KEYS_MAX] {
        let tree = json!({
            "sources": ["header:Authorization"],
            "issuers": [{
                "issuer": "https://login.example.com", "audience": ["chat"],
                "algorithms": ["ES256"], "keys": ["jwks:https://login.example.com/jwks.json"],
            }],
        });
        let (config, _) = Config::read(&tree).expect("valid");
        let mut set = KeySet::builder(&config, &AwsLc);
        set.add(0, 0, json!({ "keys": keys[..count] }).to_string().as_bytes());
        let (set, _) = set.build().expect("valid");
        let authorizer = Authorizer::new(config);
        group.bench_function(format!("{count} keys"), |bencher| {
            bencher.iter(|| {
                let verdict = authorizer.authorize(black_box(&request), &set, NOW);
                assert!(verdict.is_ok());
                verdict
            });
        });
    }
    group.finish();
}

criterion_group!(verdicts, bench, by_length, by_keys);
criterion_main!(verdicts);
