#![no_main]

libfuzzer_sys::fuzz_target!(|value: &str| {
    let denial = gates::ask_csrf(value).expect_err("a forgery").code();
    assert!(denial.starts_with("csrf_") || denial == "cookie_ambiguous", "{denial}");
});
