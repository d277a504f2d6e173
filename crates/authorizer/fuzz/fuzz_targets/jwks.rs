#![no_main]

libfuzzer_sys::fuzz_target!(|document: &[u8]| {
    if let Some(keys) = gates::read_jwks(document) {
        assert!(!format!("{keys:?}").contains("Hs"), "a shared secret was published");
    }
});
