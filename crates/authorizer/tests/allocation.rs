//! What a verdict allocates: as much as the answer needs, whatever else the browser sends along.

#![cfg(feature = "aws-lc-rs")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use allocation_counter::{AllocationInfo, measure};
use authorizer::mint::{SigningKey, csrf_value, jwt};
use authorizer::{Algorithm, Authorizer, AwsLc, Config, KeySet, Request};
use serde_json::json;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"the secret of the tokens, 32 bytes at least";
const CSRF_SECRET: &[u8] = b"the secret of the CSRF values, 32 bytes at least";

/// What a granted verdict allocates with the cookies of `others` around ours, all in one header
/// line or each in its own.
fn allocated(others: usize, lines: bool) -> AllocationInfo {
    let tree = json!({
        "origins": ["https://ui.example.com"],
        "csrf": { "secret": "env:CSRF" },
        "issuers": [{
            "issuer": "https://login.example.com", "audience": ["chat"],
            "algorithms": ["HS256"], "keys": ["hmac:env:KEY"],
        }],
    });
    let (config, _) = Config::read(&tree).unwrap();
    let mut keys = KeySet::builder(&config, &AwsLc);
    keys.add(0, 0, SECRET);
    keys.csrf_secret(CSRF_SECRET);
    let (keys, _) = keys.build().unwrap();
    let authorizer = Authorizer::new(config);

    let signing = SigningKey::hmac(Algorithm::Hs256, SECRET).unwrap();
    let claims = json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "alice", "sid": "session-1",
        "exp": NOW + 60,
    });
    let token = jwt(&signing.header(None), &claims.to_string(), &signing).unwrap();
    let csrf = csrf_value(CSRF_SECRET, "session-1", &[7; 16]).unwrap();
    let mut cookies: Vec<_> = (0..others).map(|n| format!("_ga_{n}=GS1.1.{n}")).collect();
    cookies.insert(others / 2, format!("JWT={token}"));
    cookies.push(format!("CSRF-TOKEN={csrf}"));
    if !lines {
        cookies = vec![cookies.join("; ")];
    }
    let protocol = format!("chat, csrf.{csrf}");
    let mut headers: Vec<(&str, &[u8])> =
        cookies.iter().map(|line| ("cookie", line.as_bytes())).collect();
    headers.push(("origin", b"https://ui.example.com"));
    headers.push(("sec-websocket-protocol", protocol.as_bytes()));
    let request = Request { headers: &headers, query: &[], method_arn: "arn:aws:x" };
    measure(|| assert!(authorizer.authorize(&request, &keys, NOW).is_ok()))
}

#[test]
fn other_cookies_cost_no_memory() {
    let few = allocated(4, false);
    for many in [allocated(400, false), allocated(400, true)] {
        assert_eq!((many.count_total, many.bytes_total), (few.count_total, few.bytes_total));
    }
}
