#![no_main]

use authorizer_lambda::event::Event;

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    if let Ok(event) = Event::parse(json) {
        let (headers, query, method_arn) = (event.headers(), event.query(), event.method_arn());
        gates::ask(&gates::Request { headers: &headers, query: &query, method_arn });
        assert!(method_arn.starts_with("arn:"));
    }
});
