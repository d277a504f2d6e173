#![no_main]

libfuzzer_sys::fuzz_target!(|header: &str| {
    if let Ok(protocols) = websocket::handshake::parse_protocols(header) {
        assert!(protocols.into_iter().all(websocket::handshake::is_protocol));
    }
});
