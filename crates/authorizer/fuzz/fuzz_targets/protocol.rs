#![no_main]

use authorizer::Request;

libfuzzer_sys::fuzz_target!(|offer: &[u8]| {
    let headers = [("Sec-WebSocket-Protocol", offer)];
    gates::ask(&Request { headers: &headers, query: &[], method_arn: "arn:aws:x" });
});
