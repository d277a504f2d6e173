#![no_main]

use authorizer::Request;

libfuzzer_sys::fuzz_target!(|cookie: &[u8]| {
    let headers = [gates::ORIGIN, ("Cookie", cookie), ("Sec-WebSocket-Protocol", b"csrf.m.r")];
    gates::ask(&Request { headers: &headers, query: &[], method_arn: "arn:aws:x" });
});
