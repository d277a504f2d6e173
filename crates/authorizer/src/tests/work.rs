//! Whatever the bytes: no panic, no forgery, and no more work than the request is long. Each fuzz
//! target has its twin here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A library with one verdict on every signature, which counts what it is asked.
#[derive(Clone, Default)]
pub(super) struct Library {
    pub(super) verdict: bool,
    work: Arc<Work>,
}

#[derive(Default)]
struct Work {
    checks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Verify for Library {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.work.checks.fetch_add(1, Ordering::Relaxed);
        self.work.bytes.fetch_add(message.len() + signature.len(), Ordering::Relaxed);
        self.verdict
    }
}

impl Provider for Library {
    fn verifier(&self, _: Algorithm, _: Material<'_>) -> Option<Box<dyn Verify>> {
        Some(Box::new(self.clone()))
    }
}

impl Library {
    pub(super) fn keys(&self, config: &Config) -> KeySet {
        let mut keys = KeySet::builder(config, self);
        keys.add(0, 0, SECRET);
        keys.csrf_secret(CSRF_SECRET);
        keys.build().unwrap().0
    }
}

/// The pieces of which carriers are made, each as likely as the others.
fn pieces() -> Vec<Vec<u8>> {
    let texts = [
        "JWT=",
        "CSRF-TOKEN=",
        "csrf.",
        "access_token",
        "bearer",
        "bearer.",
        "Bearer ",
        "; ",
        ", ",
        ",",
        ".",
        "=",
        "\"",
        " ",
        "\t",
        "chat",
        "eyJ",
        "{}",
        "e30",
        "base64url.bearer.authorization.k8s.io.",
    ];
    let token = token();
    let encoded = URL_SAFE_NO_PAD.encode(&token);
    let made = [token, encoded, csrf(), csrf().to_uppercase()].map(String::into_bytes);
    texts.map(|text| text.as_bytes().to_vec()).into_iter().chain(made).collect()
}

/// A value that is in order, or one of pieces and of any bytes, up to tens of kilobytes long.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let cookies = format!("JWT={}; CSRF-TOKEN={}", token(), csrf());
    let whole = vec![cookies, format!("csrf.{}", csrf()), format!("Bearer {}", token())];
    let any_bytes = prop::collection::vec(any::<u8>(), 0..8);
    let parts = prop::collection::vec(prop_oneof![4 => select(pieces()), 1 => any_bytes], 0..12);
    let parts = (parts, select(vec![1, 1, 1, 8, 64]))
        .prop_map(|(parts, times)| parts.concat().repeat(times));
    prop_oneof![1 => select(whole).prop_map(String::into_bytes), 1 => parts]
}

fn text() -> impl Strategy<Value = String> {
    value().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn gate_for_all() -> (Authorizer, KeySet) {
    let changes = json!({
        "sources": ["cookie:JWT", "protocol", "header:Authorization", "query:t"],
        "protocol_bare": true,
        "context_claims": ["role", "sid"],
        "context_structured": "json",
    });
    let (config, _) = Config::read(&merged(config(), changes)).unwrap();
    let keys = Library::default().keys(&config);
    (Authorizer::new(config), keys)
}

fn check_work(request: &Request<'_>) -> Result<(), TestCaseError> {
    let (authorizer, _) = gate_for_all();
    let library = Library { verdict: true, ..Library::default() };
    let keys = library.keys(authorizer.config());
    let headers = request.headers.iter().map(|(_, value)| value.len());
    let length: usize = headers.chain(request.query.iter().map(|(_, value)| value.len())).sum();
    if let Ok(evidence) = authorizer.read(request) {
        let mut print = 0;
        evidence.fingerprint(&mut |bytes| print += bytes.len());
        // Each value has a head of 9 bytes; at most 16 entries are values of their own.
        prop_assert!(print <= 2 * length + 9 * 32, "{print} of {length}");
    }
    let verdict = authorizer.authorize(request, &keys, NOW);
    let Work { checks, bytes } = &*library.work;
    let (checks, bytes) = (checks.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
    // Room for the two lengths in what the CSRF value signs, and for its hash.
    prop_assert!(checks <= 2 && bytes <= 2 * length + 64, "{checks}, {bytes} of {length}");
    if let Ok(grant) = verdict {
        let kept: usize = grant.protocol.kept.iter().map(String::len).sum();
        let context: usize = grant.context.iter().map(|(n, v)| n.len() + v.len()).sum();
        prop_assert!(kept <= length && grant.principal_id.len() <= length);
        prop_assert!(context <= 8 * 1024);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Nothing here is measured in time: what is counted is what the decision asks of the library
    /// and what it hands out. One token and one CSRF value are checked, each over its own bytes.
    #[test]
    fn work_and_answer_are_bounded_by_the_length_of_the_request(
        cookie in value(), offer in value(), bearer in value(), other in value(), query in text(),
    ) {
        let headers: [(&str, &[u8]); 5] = [
            ("Origin", ORIGIN.1.as_bytes()),
            ("Cookie", &cookie),
            ("Sec-WebSocket-Protocol", &offer),
            ("Authorization", &bearer),
            ("X-Other", &other),
        ];
        // All carriers at once, then fewer: together they hardly ever agree.
        for headers in [&headers[..], &headers[..3], &headers[2..3], &headers[3..]] {
            for query in [&[("t", query.as_str())][..], &[]] {
                check_work(&Request { headers, query, method_arn: "" })?;
            }
        }
    }

    /// Without a signature that is right, nothing passes.
    #[test]
    fn no_cookies_or_offers_pass_unchecked(cookie in value(), offer in value()) {
        let (authorizer, keys) = gate_for_all();
        let headers: [(&str, &[u8]); 3] = [
            ("Cookie", &cookie), ("Sec-WebSocket-Protocol", &offer), ("Origin", ORIGIN.1.as_bytes()),
        ];
        for headers in [&headers[..], &headers[1..2]] {
            let request = Request { headers, query: &[], method_arn: "" };
            prop_assert!(authorizer.authorize(&request, &keys, NOW).is_err());
        }
    }

    /// With a token that is in order, only the one value that was signed for its session passes.
    #[test]
    fn no_csrf_value_forges(
        value in prop_oneof![
            text(),
            "[0-9a-fA-F]{60,68}\\.[0-9a-f]{30,132}",
            (any::<prop::sample::Index>(), "[ -~]").prop_map(|(at, by)| {
                let mut value = csrf();
                let at = at.index(value.len());
                value.replace_range(at..=at, &by);
                value
            }),
        ],
    ) {
        let gate = Gate::new(config());
        let cookie = format!("JWT={}; CSRF-TOKEN={value}", token());
        let verdict = gate.ask_with_query(&[("Cookie", &cookie), ORIGIN], &[("csrf_token", &value)]);
        prop_assert_eq!(verdict.is_ok(), value == csrf());
    }

    /// A delegate's answer that is damaged is refused, or still says who and until when.
    #[test]
    fn no_answer_of_a_delegate_panics(
        at in any::<prop::sample::Index>(), cut in 0_usize..6, by in r#"[\[\]{}":,\\0-9a-z.-]{0,6}"#,
    ) {
        let tree = json!({ "sources": ["query:t"], "delegate": { "url": "https://login.example.com/session" } });
        let authorizer = Authorizer::new(Config::read(&tree).unwrap().0);
        let request = Request { headers: &[], query: &[("t", "a.b.c")], method_arn: "" };
        let evidence = authorizer.read(&request).unwrap();
        let body = damaged(&claims().to_string(), at, cut, &by);
        let answer = DelegateAnswer {
            status: 200, content_type: Some("application/json"), body: body.as_bytes(),
        };
        if let Ok(claims) = authorizer.accept_delegate(&evidence, answer, NOW) {
            prop_assert!(NOW < claims.expires_at() + 60);
            prop_assert!(serde_json::from_str::<Value>(&body).unwrap()["sub"].is_string());
        }
    }

    /// A set that is damaged has no keys, or only public ones.
    #[test]
    fn no_published_set_panics(
        at in any::<prop::sample::Index>(), cut in 0_usize..6, by in r#"[\[\]{}":,\\0-9a-z.-]{0,6}"#,
    ) {
        let mut config = bearer_config();
        config["issuers"][0]["keys"] = json!(["jwks:https://login.example.com/jwks.json"]);
        config["issuers"][0]["algorithms"] = json!(["ES256", "RS256"]);
        let (config, _) = Config::read(&config).unwrap();
        let mut keys = KeySet::builder(&config, &AwsLc);
        keys.add(0, 0, damaged(SET, at, cut, &by).as_bytes());
        if let Ok((keys, _)) = keys.build() {
            let shown = format!("{keys:?}");
            prop_assert!(!shown.contains("Hs"), "{}", shown);
        }
    }
}

/// A public and a shared key.
const SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"oct","kid":"b","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;

/// `text`, which is ASCII, with up to `cut` bytes from `at` replaced.
fn damaged(text: &str, at: prop::sample::Index, cut: usize, by: &str) -> String {
    let at = at.index(text.len());
    let end = text.len().min(at + cut);
    format!("{}{by}{}", &text[..at], &text[end..])
}
