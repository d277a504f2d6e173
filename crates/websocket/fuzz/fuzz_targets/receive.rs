#![no_main]

libfuzzer_sys::fuzz_target!(|script: (bool, Vec<Vec<u8>>)| {
    let limits = websocket::Limits { binary: websocket::Binary::Accept, ..Default::default() };
    let mut connection =
        if script.0 { websocket::Connection::server() } else { websocket::Connection::client() };
    for mut read in script.1 {
        let mut incoming = connection.receive(&mut read, &limits);
        while incoming.next().is_some() {}
    }
    assert!(connection.pending_bytes() <= limits.message_bytes + 1024);
});
