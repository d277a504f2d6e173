//! The decisions that the targets ask. None of them holds what signs a token or a CSRF value, so
//! a grant of one that checks signatures is a forgery.

use std::sync::LazyLock;

pub use authorizer::Request;
use authorizer::{
    Algorithm, Authorizer, AwsLc, Config, Credential, DelegateAnswer, Denial, Grant, KeySet,
    Material, Provider, Rejected, VerifiedClaims, Verify,
};
use serde_json::{Value, json};

/// The time of all decisions, in epoch seconds.
pub const NOW: u64 = 1_800_000_000;
/// The header that goes with cookies.
pub const ORIGIN: (&str, &[u8]) = ("Origin", b"https://ui.example.com");
/// A subprotocol with a CSRF value of the right form.
pub const CSRF: (&str, &[u8]) = (
    "Sec-WebSocket-Protocol",
    b"csrf.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.0123456789abcdef0123456789abcdef",
);
/// The key of RFC 7515 A.3.
const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// The token of RFC 7515 A.3, which expired in 2011.
pub const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// Asks with real signature checks, which must refuse, and then with a library that finds every
/// signature right, for what comes after the check.
pub fn ask(request: &Request<'_>) -> Option<Grant> {
    static GATES: LazyLock<[(Authorizer, KeySet); 2]> = LazyLock::new(|| {
        let tree = json!({
            "sources": ["cookie:JWT", "protocol", "header:Authorization", "query:access_token"],
            "context_claims": ["role", "tenant"],
            "context_structured": "json",
        });
        [
            gate(&tree, "https://login.example.com", &AwsLc),
            gate(&tree, "https://login.example.com", &Believer),
        ]
    });
    let [(strict, strict_keys), (open, open_keys)] = &*GATES;
    assert!(strict.authorize(request, strict_keys, NOW).is_err(), "a forgery");
    let evidence = open.read(request).ok()?;
    assert!(open.unknown_key(&evidence, open_keys).is_none_or(|issuer| issuer == 0));
    let (Credential::Bearer(token) | Credential::Cookies(token)) = evidence.credential();
    let grant = open.authorize(request, open_keys, NOW).ok()?;
    let protocol = &grant.protocol;
    assert!(!protocol.kept.iter().any(|entry| entry.contains(token)));
    assert!(protocol.answer.iter().all(|answer| protocol.kept.contains(answer)));
    assert!(!grant.principal_id.is_empty() && NOW < grant.deadline);
    assert!(
        grant.context.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 8192
    );
    Some(grant)
}

/// Asks about a value of the CSRF cookie that is submitted too, beside a token that is in order.
pub fn ask_csrf(value: &str) -> Result<Grant, Denial> {
    static GATE: LazyLock<(Authorizer, KeySet)> = LazyLock::new(|| {
        let tree = json!({ "sources": ["cookie:JWT"], "principal_claim": "iss" });
        gate(&tree, "joe", &AwsLc)
    });
    let cookie = format!("JWT={TOKEN}; CSRF-TOKEN={value}");
    let request = Request {
        headers: &[ORIGIN, ("Cookie", cookie.as_bytes())],
        query: &[("csrf_token", value)],
        method_arn: "arn:aws:x",
    };
    GATE.0.authorize(&request, &GATE.1, 1_300_000_000)
}

/// Shows the answer of a back end that was asked about a token.
pub fn ask_delegate(body: &[u8]) -> Result<VerifiedClaims, Rejected> {
    static GATE: LazyLock<Authorizer> = LazyLock::new(|| {
        let tree = json!({
            "sources": ["query:t"],
            "delegate": { "url": "https://login.example.com/session" },
        });
        Authorizer::new(Config::read(&tree).expect("valid").0)
    });
    let request = Request { headers: &[], query: &[("t", "a.b.c")], method_arn: "arn:aws:x" };
    let evidence = GATE.read(&request).expect("there is a token");
    let answer = DelegateAnswer { status: 200, content_type: Some("application/json"), body };
    GATE.accept_delegate(&evidence, answer, NOW)
}

/// The keys of a published set.
pub fn read_jwks(document: &[u8]) -> Option<KeySet> {
    static CONFIG: LazyLock<Config> = LazyLock::new(|| {
        let tree = json!({ "sources": ["query:t"], "issuers": [{
            "issuer": "i", "audience": "any", "keys": ["jwks:https://login.example.com/jwks.json"],
            "algorithms": ["EdDSA", "ES256", "ES384", "ES512", "PS384", "RS256"],
        }]});
        Config::read(&tree).expect("valid").0
    });
    let mut keys = KeySet::builder(&CONFIG, &AwsLc);
    keys.add(0, 0, document);
    Some(keys.build().ok()?.0)
}

fn gate(tree: &Value, issuer: &str, provider: &dyn Provider) -> (Authorizer, KeySet) {
    let mut tree = tree.clone();
    tree["origins"] = json!(["https://ui.example.com"]);
    tree["csrf"] = json!({ "secret": "env:CSRF", "session_claim": "iss" });
    tree["issuers"] = json!([{
        "issuer": issuer, "audience": "any", "algorithms": ["ES256"], "keys": ["jwk:env:KEY"],
    }]);
    let (config, _) = Config::read(&tree).expect("valid");
    let mut keys = KeySet::builder(&config, provider);
    keys.add(0, 0, KEY.as_bytes());
    keys.csrf_secret(b"a secret that no input holds, of 32 bytes and more");
    let (keys, _) = keys.build().expect("valid");
    (Authorizer::new(config), keys)
}

/// A library that finds every signature right.
struct Believer;

impl Verify for Believer {
    fn verify(&self, _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}

impl Provider for Believer {
    fn verifier(&self, _: Algorithm, _: Material<'_>) -> Option<Box<dyn Verify>> {
        Some(Box::new(Self))
    }
}
