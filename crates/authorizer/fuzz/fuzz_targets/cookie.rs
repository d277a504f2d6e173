#![no_main]

use authorizer::Request;

libfuzzer_sys::fuzz_target!(|cookie: &[u8]| {
    let headers = [gates::ORIGIN, ("Cookie", cookie), gates::CSRF];
    gates::ask(&Request { headers: &headers, query: &[], method_arn: "arn:aws:x" });
});
