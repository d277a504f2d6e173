//! What holds for all bytes.

use proptest::prelude::*;
use websocket::write::{self, Fin, client};
use websocket::{Connection, Event, Limits, MESSAGE_BYTES_MAX, Opcode, is_close_code};

use crate::script::{KEY, LIMITS, describe, frame, stream, transcript};

proptest! {
    #[test]
    fn how_the_bytes_are_split_into_reads_does_not_matter(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let want = transcript(&mut Connection::server(), [&bytes[..]], &LIMITS);

        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut start = 0;
        let chunks = ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]);
        prop_assert_eq!(&transcript(&mut Connection::server(), chunks, &LIMITS), &want);

        prop_assert_eq!(transcript(&mut Connection::server(), bytes.chunks(1), &LIMITS), want);
    }

    #[test]
    fn a_caller_that_stops_early_loses_nothing(
        bytes in stream(),
        read_bytes in 1..200_usize,
        patience in prop::collection::vec(0..4_usize, 1..10),
    ) {
        let want = transcript(&mut Connection::server(), [&bytes[..]], &LIMITS);

        let mut connection = Connection::server();
        let mut found = Vec::new();
        let mut patience = patience.into_iter().cycle();
        for chunk in bytes.chunks(read_bytes) {
            let mut chunk = chunk.to_vec();
            let mut incoming = connection.receive(&mut chunk, &LIMITS);
            for _ in 0..patience.next().unwrap() {
                let Some(event) = incoming.next() else { break };
                found.push(describe(event.map_err(|violation| violation.code())));
            }
        }
        found.extend(transcript(&mut connection, [&[][..]], &LIMITS));
        prop_assert_eq!(found, want);
    }

    #[test]
    fn what_is_held_stays_below_the_limits(
        bytes in prop_oneof![
            stream(),
            prop::collection::vec(any::<u8>(), 0..2000),
        ],
        read_bytes in 1..500_usize,
        is_server: bool,
    ) {
        let mut connection = if is_server { Connection::server() } else { Connection::client() };
        for chunk in bytes.chunks(read_bytes) {
            transcript(&mut connection, [chunk], &LIMITS);
            prop_assert!(connection.pending_bytes() <= LIMITS.message_bytes + OVERHEAD_BYTES);
        }
    }

    #[test]
    fn what_is_written_is_read_at_the_other_end(
        text: String,
        binary in prop::collection::vec(any::<u8>(), 0..70_000),
        ping in prop::collection::vec(any::<u8>(), 0..=125),
        code: u16,
        reason: String,
        key: [u8; 4],
    ) {
        let limits = Limits { frame_bytes: 70_000, ..LIMITS };
        let limits = Limits { message_bytes: 70_000, ..limits };
        let close = Some((code, reason.as_str()));
        let mut plain = Vec::new();
        write::text(&mut plain, &text);
        write::binary(&mut plain, &binary);
        write::ping(&mut plain, &ping);
        write::pong(&mut plain, &ping);
        write::close(&mut plain, close);
        let mut masked = Vec::new();
        client::text(&mut masked, &text, key);
        client::binary(&mut masked, &binary, key);
        client::ping(&mut masked, &ping, key);
        client::pong(&mut masked, &ping, key);
        client::close(&mut masked, close, key);

        let cut = reason.floor_char_boundary(123);
        let want = [
            describe(Ok(Event::Text(&text))),
            describe(Ok(Event::Binary(&binary))),
            describe(Ok(Event::Ping(&ping))),
            describe(Ok(Event::Pong(&ping))),
            match is_close_code(code) {
                true => format!("Close({code}, {:?})", &reason[..cut]),
                false => "Close".to_owned(),
            },
        ];
        prop_assert_eq!(&transcript(&mut Connection::client(), [&plain[..]], &limits), &want);
        prop_assert_eq!(&transcript(&mut Connection::server(), [&masked[..]], &limits), &want);
    }
}

#[test]
fn a_vectored_header_is_the_one_written_in_a_row() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload = "x".repeat(len);
        let mut written = Vec::new();
        write::text(&mut written, &payload);
        let (header, header_bytes) = write::header(Opcode::Text, len);
        assert_eq!(written, [&header[..header_bytes], payload.as_bytes()].concat(), "{len}");
    }
}

#[test]
fn a_long_frame_costs_memory_only_as_it_arrives() {
    let limits = Limits { frame_bytes: usize::MAX, message_bytes: usize::MAX, ..Limits::default() };
    let mut connection = Connection::server();
    let mut header = vec![0x81, 0xFF];
    header.extend((10_u64 << 30).to_be_bytes());
    header.extend(KEY);
    transcript(&mut connection, [&header[..]], &limits);
    assert!(connection.pending_bytes() <= OVERHEAD_BYTES);

    // 'a' under the mask, so that the text stays valid.
    let body: Vec<u8> = KEY.iter().map(|key| key ^ b'a').collect();
    for received in 1..=10_000 {
        transcript(&mut connection, [&body[..]], &limits);
        assert!(connection.pending_bytes() <= 2 * (received * body.len()) + OVERHEAD_BYTES);
    }
}

#[test]
fn a_buffer_that_doubles_stops_at_the_largest_message() {
    let limits = Limits::default();
    let mut connection = Connection::server();
    let mut opcode = Opcode::Text;
    for len in [30_000, 30_000, 30_000, 30_000, 1000] {
        transcript(&mut connection, [&frame(Fin::More, opcode, &vec![b'a'; len])[..]], &limits);
        opcode = Opcode::Continuation;
    }
    assert!(connection.pending_bytes() <= MESSAGE_BYTES_MAX + OVERHEAD_BYTES);
}

/// The bookkeeping of something incomplete, and a control frame under way.
const OVERHEAD_BYTES: usize = 600;
