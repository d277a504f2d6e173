//! One row for each rule of RFC 6455 and each limit.

use websocket::write::{self, Fin, client};
use websocket::{
    Binary, Connection, Event, FRAGMENTS_MAX, FRAME_BYTES_MAX, Limits, MESSAGE_BYTES_MAX, Opcode,
    Violation, is_close_code,
};

use crate::script::{KEY, frame, transcript};

/// What a server with the default limits makes of `frames`, in one read and byte by byte.
#[track_caller]
fn check(frames: &[Vec<u8>], want: &[&str]) {
    check_with(&Limits::default(), frames, want);
}

#[track_caller]
fn check_with(limits: &Limits, frames: &[Vec<u8>], want: &[&str]) {
    let bytes = frames.concat();
    assert_eq!(transcript(&mut Connection::server(), [&bytes[..]], limits), want);
    assert_eq!(transcript(&mut Connection::server(), bytes.chunks(1), limits), want);
}

/// A frame by its two first bytes and what follows them.
fn raw(first: u8, second: u8, rest: &[u8]) -> Vec<u8> {
    [&[first, second], rest].concat()
}

fn text(payload: &[u8]) -> Vec<u8> {
    frame(Fin::Last, Opcode::Text, payload)
}

fn more(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(Fin::More, opcode, payload)
}

fn last(payload: &[u8]) -> Vec<u8> {
    frame(Fin::Last, Opcode::Continuation, payload)
}

fn ping(payload: &[u8]) -> Vec<u8> {
    frame(Fin::Last, Opcode::Ping, payload)
}

fn close(payload: &[u8]) -> Vec<u8> {
    frame(Fin::Last, Opcode::Close, payload)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    let hello = raw(0x81, 0x85, b"\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58");
    check(&[hello], &[r#"Text("Hello")"#]);
    let mut client = Connection::client();
    let plain = b"\x01\x03Hel\x80\x02lo\x89\x05Hello";
    let want = [r#"Text("Hello")"#, "Ping([72, 101, 108, 108, 111])"];
    assert_eq!(transcript(&mut client, [&plain[..]], &Limits::default()), want);
}

#[test]
fn messages_follow_one_another_in_one_read() {
    check(
        &[text(b"a"), text(b""), text("ä".as_bytes())],
        &[r#"Text("a")"#, r#"Text("")"#, r#"Text("ä")"#],
    );
}

#[test]
fn reserved_bits_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        check(&[raw(0x81 | bit, 0x80, &KEY)], &["reserved_bit"]);
    }
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        check(&[raw(0x80 | opcode, 0x80, &KEY)], &["opcode_reserved"]);
    }
}

#[test]
fn a_client_masks_and_a_server_does_not() {
    check(&[raw(0x81, 0x02, b"hi")], &["mask_missing"]);
    check(&[raw(0x81, 0x00, b"")], &["mask_missing"]);
    let masked = text(b"hi");
    let mut client = Connection::client();
    assert_eq!(transcript(&mut client, [&masked[..]], &Limits::default()), ["mask_unexpected"]);
}

#[test]
fn control_frames_are_whole_and_short() {
    check(&[more(Opcode::Ping, b"")], &["control_fragmented"]);
    check(&[more(Opcode::Close, b"")], &["control_fragmented"]);
    check(&[ping(&[b'x'; 126])], &["control_too_long"]);
    check(&[raw(0x88, 0xFF, &[0; 12])], &["control_too_long"]);
    let longest = vec![b'x'; 125];
    check(&[ping(&longest)], &[&format!("Ping({longest:?})")]);
    check(&[frame(Fin::Last, Opcode::Pong, b"")], &["Pong([])"]);
}

#[test]
fn control_frames_come_out_between_fragments() {
    check(
        &[more(Opcode::Text, b"a\xC3"), ping(b"p"), last(b"\xA4b"), text(b"c")],
        &["Ping([112])", r#"Text("aäb")"#, r#"Text("c")"#],
    );
    check(&[more(Opcode::Text, b"a"), close(b""), last(b"b")], &["Close"]);
}

#[test]
fn fragments_keep_their_order() {
    check(&[last(b"a")], &["continuation_unexpected"]);
    check(&[more(Opcode::Continuation, b"a")], &["continuation_unexpected"]);
    check(&[more(Opcode::Text, b"a"), text(b"b")], &["message_interrupted"]);
    check(&[more(Opcode::Text, b"a"), more(Opcode::Binary, b"b")], &["message_interrupted"]);
    check(
        &[more(Opcode::Text, b"a"), last(b"b"), last(b"c")],
        &[r#"Text("ab")"#, "continuation_unexpected"],
    );
    check(&[more(Opcode::Text, b""), more(Opcode::Continuation, b""), last(b"")], &[r#"Text("")"#]);
}

#[test]
fn lengths_are_minimal() {
    check(&[raw(0x81, 0xFE, b"\x00\x7D")], &["length_not_minimal"]);
    check(&[raw(0x81, 0xFE, b"\x00\x00")], &["length_not_minimal"]);
    check(&[raw(0x81, 0xFF, &65_535_u64.to_be_bytes())], &["length_not_minimal"]);
    check(&[raw(0x81, 0xFF, &(1_u64 << 63).to_be_bytes())], &["length_invalid"]);
    check(&[raw(0x81, 0xFF, &u64::MAX.to_be_bytes())], &["length_invalid"]);
    for len in [125, 126, 127] {
        let body = "x".repeat(len);
        check(&[text(body.as_bytes())], &[&format!("Text({body:?})")]);
    }
    let roomy = Limits { frame_bytes: 70_000, ..Limits::default() };
    for len in [65_535, 65_536] {
        let body = "x".repeat(len);
        check_with(&roomy, &[text(body.as_bytes())], &[&format!("Text({body:?})")]);
    }
}

#[test]
fn a_frame_beyond_its_limit_is_refused_by_its_header() {
    let longest = "x".repeat(FRAME_BYTES_MAX);
    check(&[text(longest.as_bytes())], &[&format!("Text({longest:?})")]);
    check(&[raw(0x81, 0xFE, b"\x80\x01")], &["frame_too_big"]);
    check(&[raw(0x81, 0xFF, &(10_u64 << 30).to_be_bytes())], &["frame_too_big"]);
    check(&[raw(0x81, 0xFF, &(u64::MAX >> 1).to_be_bytes())], &["frame_too_big"]);
}

#[test]
fn a_message_beyond_its_limit_is_refused_by_the_header_that_exceeds_it() {
    let part = vec![b'x'; FRAME_BYTES_MAX];
    let start: Vec<Vec<u8>> = [Opcode::Text, Opcode::Continuation, Opcode::Continuation]
        .map(|opcode| more(opcode, &part))
        .into();
    let full = [start.clone(), vec![more(Opcode::Continuation, &part)]].concat();

    let largest = format!("Text({:?})", "x".repeat(MESSAGE_BYTES_MAX));
    check(&[start, vec![last(&part)]].concat(), &[&largest]);
    check(&[full.clone(), vec![last(b"")]].concat(), &[&largest]);
    check(&[full, vec![raw(0x80, 0x81, b"")]].concat(), &["message_too_big"]);
}

#[test]
fn a_message_of_countless_fragments_is_refused() {
    let frames = |continuations| {
        let mut frames = vec![more(Opcode::Text, b"a")];
        frames.resize(continuations, more(Opcode::Continuation, b""));
        frames.push(last(b"b"));
        frames
    };
    check(&frames(FRAGMENTS_MAX - 1), &[r#"Text("ab")"#]);
    check(&frames(FRAGMENTS_MAX), &["fragments_too_many"]);
    let want = vec![r#"Text("ab")"#; 2];
    check(&[frames(FRAGMENTS_MAX - 1), frames(FRAGMENTS_MAX - 1)].concat(), &want);
}

#[test]
fn binary_is_refused_at_its_first_header_or_accepted() {
    let whole = frame(Fin::Last, Opcode::Binary, b"\xFF\x00");
    let parts = [more(Opcode::Binary, b"\xFF"), last(b"\x00")];
    check(&[text(b"a"), raw(0x82, 0xFE, b"")], &[r#"Text("a")"#, "binary_refused"]);
    check(&[raw(0x02, 0x80, b"")], &["binary_refused"]);
    let accept = Limits { binary: Binary::Accept, ..Limits::default() };
    check_with(&accept, &[whole], &["Binary([255, 0])"]);
    check_with(&accept, &parts, &["Binary([255, 0])"]);
}

#[test]
fn text_must_be_utf8() {
    for bad in [
        &b"\xFF"[..],
        b"a\x80",
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"long enough to leave the first block of any vector \xC3",
        b"\xE2\x82",
    ] {
        check(&[text(bad)], &["utf8_invalid"]);
        check(&[more(Opcode::Text, bad), last(b"")], &["utf8_invalid"]);
        let (start, end) = bad.split_at(bad.len() / 2);
        check(&[more(Opcode::Text, start), last(end)], &["utf8_invalid"]);
    }
    let whole = "κόσμε €😀".as_bytes();
    for cut in 0..=whole.len() {
        let (start, end) = whole.split_at(cut);
        let frames = [more(Opcode::Text, start), more(Opcode::Continuation, b""), last(end)];
        check(&frames, &[r#"Text("κόσμε €😀")"#]);
    }
}

#[test]
fn bad_text_is_refused_with_the_byte_that_spoils_it() {
    let bytes = more(Opcode::Text, b"ok\xF4\x90....");
    let header = bytes.len() - b"ok\xF4\x90....".len();
    let mut connection = Connection::server();
    let none: [&str; 0] = [];
    let limits = Limits::default();
    assert_eq!(transcript(&mut connection, [&bytes[..header + 3]], &limits), none);
    let next = &bytes[header + 3..header + 4];
    assert_eq!(transcript(&mut connection, [next], &limits), ["utf8_invalid"]);
}

#[test]
fn a_close_has_a_code_that_travels_and_a_reason_in_utf8() {
    check(&[close(b"")], &["Close"]);
    check(&[close(b"\x03\xE8")], &[r#"Close(1000, "")"#]);
    check(&[close("\u{3}\u{7f}".as_bytes())], &["close_code_invalid"]);
    check(&[close(b"\x03")], &["close_truncated"]);
    check(&[close(b"\x0F\xA0bye")], &[r#"Close(4000, "bye")"#]);
    check(&[close(b"\x03\xE8\xFF")], &["utf8_invalid"]);
    let longest = [b"\x03\xE8", "x".repeat(123).as_bytes()].concat();
    check(&[close(&longest)], &[&format!("Close(1000, {:?})", "x".repeat(123))]);
}

#[test]
fn close_codes_are_those_of_the_registry() {
    let valid: Vec<u16> = (0..=u16::MAX).filter(|code| is_close_code(*code)).collect();
    let mut want = vec![1000, 1001, 1002, 1003];
    want.extend(1007..=1014);
    want.extend(3000..=4999);
    assert_eq!(valid, want);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
        check(&[close(&code.to_be_bytes())], &["close_code_invalid"]);
    }
}

#[test]
fn nothing_is_read_after_a_close_or_a_violation() {
    check(&[close(b"\x03\xE8"), text(b"late"), vec![0xFF]], &[r#"Close(1000, "")"#]);
    check(&[vec![0xFF], text(b"late")], &["reserved_bit"]);
    let mut connection = Connection::server();
    transcript(
        &mut connection,
        [&more(Opcode::Text, b"a")[..], &[0xFF], &text(b"late")],
        &Limits::default(),
    );
    assert!(connection.is_closed());
    assert_eq!(connection.pending_bytes(), 0);
}

#[test]
fn an_idle_connection_is_small_and_owns_no_heap() {
    assert!(size_of::<Connection>() <= 64);
    let mut connection = Connection::server();
    let limits = Limits::default();
    for bytes in [text(b"whole"), [more(Opcode::Text, b"a"), ping(b"p"), last(b"b")].concat()] {
        for size in [1, 3, bytes.len()] {
            transcript(&mut connection, bytes.chunks(size), &limits);
            assert_eq!(connection.pending_bytes(), 0);
        }
        transcript(&mut connection, [&bytes[..1]], &limits);
        assert_ne!(connection.pending_bytes(), 0);
        transcript(&mut connection, [&bytes[1..]], &limits);
    }
}

#[test]
fn a_whole_frame_is_borrowed_from_the_input() {
    let mut input = text(b"in place");
    let range = input.as_ptr_range();
    let mut connection = Connection::server();
    let limits = Limits::default();
    let mut incoming = connection.receive(&mut input, &limits);
    let Some(Ok(Event::Text(text))) = incoming.next() else { panic!("a text is there") };
    assert!(range.contains(&text.as_ptr()));
}

#[test]
fn nothing_that_was_received_is_printed_by_debug() {
    let mut input = [text(b"secret"), more(Opcode::Text, b"secret")].concat();
    let mut connection = Connection::server();
    let limits = Limits::default();
    let mut incoming = connection.receive(&mut input, &limits);
    assert!(incoming.next().is_some() && incoming.next().is_none());
    let secret = format!("{:?}", b"secret");
    let secret = secret.trim_matches(['[', ']']);
    let during = format!("{incoming:?}");
    drop(incoming);
    for printed in [during, format!("{connection:?}")] {
        assert!(!printed.contains("secret") && !printed.contains(secret), "{printed}");
    }
}

#[test]
fn a_peer_is_told_the_code_that_fits() {
    for (violation, code, reason) in [
        (Violation::MaskMissing, 1002, "Protocol error"),
        (Violation::BinaryRefused, 1003, "Binary is not supported"),
        (Violation::Utf8Invalid, 1007, "Invalid UTF-8"),
        (Violation::FragmentsTooMany, 1008, "Too many fragments"),
        (Violation::FrameTooBig, 1009, "Message too big"),
        (Violation::MessageTooBig, 1009, "Message too big"),
    ] {
        assert_eq!((violation.close_code(), violation.reason()), (code, reason));
    }
}

#[test]
fn a_close_is_written_so_that_it_can_be_read() {
    let written = |close: Option<(u16, &str)>| {
        let mut out = Vec::new();
        write::close(&mut out, close);
        out
    };
    assert_eq!(written(None), b"\x88\x00");
    assert_eq!(written(Some((1005, "unsaid"))), b"\x88\x00");
    assert_eq!(written(Some((1001, "Going away"))), b"\x88\x0C\x03\xE9Going away");
    for (character, reason_bytes) in [("x", 123), ("ä", 122), ("€", 123), ("😀", 120)] {
        let long = character.repeat(130);
        let want = [&[0x88, 2 + reason_bytes as u8, 0x03, 0xE8], &long.as_bytes()[..reason_bytes]];
        assert_eq!(written(Some((1000, &long))), want.concat(), "{character}");
    }
    let mut masked = Vec::new();
    client::close(&mut masked, None, KEY);
    assert_eq!(masked, b"\x88\x80\x37\xFA\x21\x3D");
}
