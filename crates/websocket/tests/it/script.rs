//! Frames from generated scripts, and what a connection makes of bytes.

use proptest::prelude::*;
use websocket::write::{Fin, client};
use websocket::{Binary, Connection, Event, Limits, Opcode};

/// Key of the masked frames.
pub(crate) const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Limits that generated frames reach.
pub(crate) const LIMITS: Limits =
    Limits { binary: Binary::Accept, fragments_max: 64, frame_bytes: 300, message_bytes: 700 };

/// Feeds `chunks` one by one and lists the events, one text each.
pub(crate) fn transcript<'a>(
    connection: &mut Connection,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> Vec<String> {
    let mut events = Vec::new();
    for chunk in chunks {
        let mut chunk = chunk.to_vec();
        let mut incoming = connection.receive(&mut chunk, limits);
        while let Some(event) = incoming.next() {
            events.push(describe(event.map_err(|violation| violation.code())));
        }
    }
    events
}

/// `Text("..")`, `Close(1000, "..")` and so on, or the code of a violation.
pub(crate) fn describe(event: Result<Event<'_>, &str>) -> String {
    match event {
        Ok(Event::Close(Some(close))) => format!("Close({}, {:?})", close.code, close.reason),
        Ok(Event::Close(None)) => "Close".to_owned(),
        Ok(event) => format!("{event:?}"),
        Err(code) => code.to_owned(),
    }
}

/// One masked frame.
pub(crate) fn frame(fin: Fin, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    client::frame(&mut out, fin, opcode, payload, KEY);
    out
}

/// Bytes of a client that mostly keeps the rules.
pub(crate) fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(
        prop_oneof![
            6 => message(),
            2 => control(),
            1 => any_frame(),
            1 => close(),
        ],
        0..8,
    );
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (frames, changes).prop_map(|(frames, changes)| {
        let mut bytes = frames.concat();
        for (at, change) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
            }
        }
        bytes
    })
}

/// A message in any number of frames, with pings between them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        4 => any::<String>().prop_map(String::into_bytes),
        1 => "[a-zäß€😀]{0,400}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let opcode = prop_oneof![4 => Just(Opcode::Text), 1 => Just(Opcode::Binary)];
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..5);
    (opcode, text, cuts).prop_map(|(first, payload, cuts)| {
        let mut ends: Vec<(usize, bool)> =
            cuts.iter().map(|(cut, ping)| (cut.index(payload.len() + 1), *ping)).collect();
        ends.sort_unstable();
        let mut out = Vec::new();
        let mut start = 0;
        let mut opcode = first;
        for (end, ping) in ends {
            out.extend(frame(Fin::More, opcode, &payload[start..end]));
            if ping {
                out.extend(frame(Fin::Last, Opcode::Ping, b"between"));
            }
            start = end;
            opcode = Opcode::Continuation;
        }
        out.extend(frame(Fin::Last, opcode, &payload[start..]));
        out
    })
}

fn control() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![Just(Opcode::Ping), Just(Opcode::Pong)];
    let short = prop::collection::vec(any::<u8>(), 0..4);
    let payload = prop_oneof![short, prop::collection::vec(any::<u8>(), 120..128)];
    (opcode, payload).prop_map(|(opcode, payload)| frame(Fin::Last, opcode, &payload))
}

fn close() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![995..1020_u16, 2995..3005_u16, 4995..5005_u16, any::<u16>()];
    let reason =
        prop_oneof![".{0,30}".prop_map(String::into_bytes), any::<[u8; 3]>().prop_map(Vec::from)];
    let payload =
        (code, reason).prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat());
    let payload = prop_oneof![4 => payload, 1 => prop::collection::vec(any::<u8>(), 0..2)];
    payload.prop_map(|payload| frame(Fin::Last, Opcode::Close, &payload))
}

/// A frame with any two first bytes and any length, in any of the three encodings.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![0..3_u64, 120..130_u64, 298..303_u64, any::<u64>()];
    let payload = prop::collection::vec(any::<u8>(), 0..310);
    (any::<u8>(), prop::bool::weighted(0.9), 0..3_u8, length, payload).prop_map(
        |(first, masked, encoding, length, payload)| {
            let mask = if masked { 0x80 } else { 0 };
            let mut out = vec![first];
            match encoding {
                0 => out.push(mask | (length % 126) as u8),
                1 => {
                    out.push(mask | 126);
                    out.extend((length as u16).to_be_bytes());
                }
                _ => {
                    out.push(mask | 127);
                    out.extend(length.to_be_bytes());
                }
            }
            out.extend(KEY);
            out.extend(payload);
            out
        },
    )
}
