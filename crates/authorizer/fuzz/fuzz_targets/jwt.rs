#![no_main]

use authorizer::Request;

libfuzzer_sys::fuzz_target!(|token: &[u8]| {
    let value = [b"Bearer ", token].concat();
    let headers = [("Authorization", value.as_slice())];
    gates::ask(&Request { headers: &headers, query: &[], method_arn: "arn:aws:x" });
});
