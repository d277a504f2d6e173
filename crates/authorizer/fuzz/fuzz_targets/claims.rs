#![no_main]

use authorizer::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

// Header and claims as JSON, one per line; the target encodes them.
libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    let end = json.iter().position(|byte| *byte == b'\n').unwrap_or(json.len());
    let (header, claims) = json.split_at(end);
    let encode = |part| URL_SAFE_NO_PAD.encode(part);
    let token = format!("{}.{}.AAAA", encode(header), encode(claims));
    gates::ask(&Request { headers: &[], query: &[("access_token", &token)], method_arn: "x" });
});
