#![no_main]

libfuzzer_sys::fuzz_target!(|value: &str| {
    assert!(gates::ask_csrf(value).is_none(), "a forgery");
});
