//! Keys that two different questions never share.

use aws_lc_rs::digest;

use super::Key;

/// Builds a key from parts: SHA-256 over each part with its length in front.
///
/// Lists need their length as a part of its own. Secrets may go in: the key
/// does not give them back.
#[derive(Clone)]
pub struct Fingerprint(digest::Context);

impl Fingerprint {
    /// Starts a key of the kind `purpose`, which separates it from all other kinds.
    pub fn new(purpose: &str) -> Self {
        Self(digest::Context::new(&digest::SHA256)).part(purpose)
    }

    /// Adds one part.
    pub fn part(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(&[PRESENT]);
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    /// Adds one part, or its absence, which is not the same as an empty part.
    pub fn optional(mut self, part: Option<impl AsRef<[u8]>>) -> Self {
        match part {
            Some(part) => self.part(part),
            None => {
                self.0.update(&[ABSENT]);
                self
            }
        }
    }

    /// Adds a number.
    pub fn number(self, number: u64) -> Self {
        self.part(number.to_le_bytes())
    }

    /// The key.
    pub fn finish(self) -> Key {
        let mut key = Key::default();
        key.copy_from_slice(self.0.finish().as_ref());
        key
    }
}

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(***)")
    }
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
