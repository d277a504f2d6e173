//! Connection ids: 13 bytes in the service's alphabet and length.
//!
//! Node number (16 bit), random (56 bit), and a 32-bit MAC under a key that
//! survives restarts. So an id that was never given out (400) and one whose
//! connection is gone (410) tell apart, and nobody mints ids.

use std::cell::RefCell;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use session::Id;

/// Makes and checks ids.
#[derive(Debug)]
pub struct IdMint {
    key: hmac::Key,
    node: u16,
}

/// Bytes of the key.
pub const KEY_BYTES: usize = 32;

impl IdMint {
    /// A mint for this node.
    pub fn new(key: &[u8; KEY_BYTES], node: u16) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), node }
    }

    /// A fresh id, 20 characters.
    pub fn connection_id(&self) -> String {
        let mut bytes = [0; 13];
        bytes[..2].copy_from_slice(&self.node.to_be_bytes());
        bytes[2..9].copy_from_slice(&pooled::<7>());
        let mac = hmac::sign(&self.key, &bytes[..9]);
        bytes[9..].copy_from_slice(&mac.as_ref()[..4]);
        URL_SAFE.encode(bytes)
    }

    /// Whether `id` was given out under this key, now or before.
    pub fn is_valid(&self, id: &str) -> bool {
        let mut bytes = [0; 15];
        let Ok(13) = URL_SAFE.decode_slice(id, &mut bytes) else { return false };
        let mac = hmac::sign(&self.key, &bytes[..9]);
        aws_lc_rs::constant_time::verify_slices_are_equal(&mac.as_ref()[..4], &bytes[9..13]).is_ok()
    }
}

/// A fresh request id.
pub fn request_id() -> Id {
    Id::request(pooled())
}

/// A fresh message id.
pub fn message_id() -> Id {
    Id::message(pooled())
}

/// A fresh UUID, version 4.
pub fn uuid() -> String {
    uuid::Builder::from_random_bytes(random()).into_uuid().to_string()
}

/// `Root=1-{time}-{random}`, the form of an X-Ray trace id.
pub fn trace_id(epoch_ms: u64) -> String {
    format!("Root=1-{:08x}-{}", epoch_ms / 1000, hex::encode(pooled::<12>()))
}

/// Random bytes that nobody can guess.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// Random bytes that a thread fetches at once: asking for a few costs as much as
/// asking for all of them. For names, not for secrets.
const POOL_BYTES: usize = 1024;

/// [`random`], out of the thread's pool; no byte is given out twice.
fn pooled<const N: usize>() -> [u8; N] {
    thread_local! {
        static POOL: RefCell<(usize, [u8; POOL_BYTES])> =
            const { RefCell::new((POOL_BYTES, [0; POOL_BYTES])) };
    }
    POOL.with_borrow_mut(|(at, pool)| match pool.get(*at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => {
            *at += N;
            *bytes
        }
        None => {
            *pool = random();
            *at = N;
            *pool.first_chunk().expect("an id is shorter than the pool")
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_within_a_pool_and_across_pools() {
        let ids: HashSet<String> = (0..4 * POOL_BYTES)
            .flat_map(|_| [request_id().to_string(), message_id().to_string()])
            .collect();
        assert_eq!(ids.len(), 8 * POOL_BYTES);
    }

    #[test]
    fn only_ids_of_this_key_are_valid() {
        let mint = IdMint::new(&[7; KEY_BYTES], 3);
        let id = mint.connection_id();
        assert_eq!(id.len(), 20);
        assert!(mint.is_valid(&id));
        assert!(!IdMint::new(&[8; KEY_BYTES], 3).is_valid(&id));
        let mut changed = id.into_bytes();
        changed[0] = if changed[0] == b'A' { b'B' } else { b'A' };
        assert!(!mint.is_valid(str::from_utf8(&changed).unwrap()));
        for bad in ["", "AAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAA==", "x", &"A".repeat(9000)] {
            assert!(!mint.is_valid(bad), "{bad}");
        }
    }
}
