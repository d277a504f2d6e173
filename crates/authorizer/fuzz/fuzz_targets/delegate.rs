#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    if let Ok(claims) = gates::ask_delegate(body) {
        assert!(gates::NOW < claims.expires_at() + 60 && body.len() <= 8192);
    }
});
