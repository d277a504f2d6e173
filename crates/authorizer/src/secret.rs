//! Bytes that must not be seen.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Secret bytes: `Debug` prints `***`, `==` takes constant time for equal lengths, and the memory
/// is wiped when the value goes.
#[derive(Clone, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// Takes the content of a file, variable or parameter: one line ending at the end of a text
    /// belongs to the editor that wrote it, not to the secret. Binary content is kept whole.
    pub fn from_source(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok();
        let line = text.and_then(|t| t.strip_suffix("\r\n").or_else(|| t.strip_suffix('\n')));
        match line {
            Some(line) if !line.contains(char::is_control) => Self::new(line),
            _ => Self::new(bytes),
        }
    }

    /// Whether both are one HMAC key: shorter keys are filled up with zeros ([RFC 2104 §2]).
    ///
    /// [RFC 2104 §2]: https://www.rfc-editor.org/rfc/rfc2104#section-2
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        let filled = |secret: &Self| {
            let end = secret.0.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            Self::new(&secret.0[..end])
        };
        filled(self) == filled(other)
    }

    /// The bytes themselves, for the one who computes with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        is_equal(&self.0, &other.0)
    }
}

/// Compares without telling by its duration where two values of one length differ.
pub(crate) fn is_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // Whole words at a time: byte by byte, this would cost as much as a hash.
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a.iter().zip(b).fold(0, |differences, (a, b)| {
        differences | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b))
    });
    bool::from(words.ct_eq(&0) & a_rest.ct_eq(b_rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn one_line_ending_of_a_text_is_not_part_of_the_secret() {
        for (source, want) in [
            (&b"abc\n"[..], &b"abc"[..]),
            (b"abc\r\n", b"abc"),
            (b"abc\n\n", b"abc\n\n"),
            (b"abc", b"abc"),
            (b"\xff\n", b"\xff\n"),
            (b"\x01\n", b"\x01\n"),
        ] {
            assert_eq!(Secret::from_source(source).expose(), want, "{source:?}");
        }
    }

    #[test]
    fn equality_is_of_bytes() {
        assert_eq!(Secret::new("a"), Secret::new("a"));
        assert_ne!(Secret::new("a"), Secret::new("b"));
        assert_ne!(Secret::new("a"), Secret::new("ab"));
        for length in 0..40 {
            let value = vec![7; length];
            assert!(is_equal(&value, &value));
            for at in 0..length {
                let mut other = value.clone();
                other[at] ^= 0x80;
                assert!(!is_equal(&value, &other), "{length} {at}");
                assert!(!is_equal(&value, &value[..at]), "{length} {at}");
                assert!(!is_equal(&value[..at], &value), "{length} {at}");
            }
        }
    }
}
