//! Masking of payloads ([RFC 6455 §5.3]).
//!
//! [RFC 6455 §5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3

/// XORs `payload`, which starts `offset` bytes into its frame, with `key`, eight
/// bytes at a time; masking and unmasking are the same.
pub(crate) fn apply(payload: &mut [u8], mut key: [u8; 4], offset: usize) {
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_part_is_masked_as_if_the_whole_were(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            key: [u8; 4],
            cut in 0..100_usize,
        ) {
            let want: Vec<u8> =
                payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut found = payload;
            let cut = cut.min(found.len());
            let (head, tail) = found.split_at_mut(cut);
            apply(head, key, 0);
            apply(tail, key, cut);
            prop_assert_eq!(found, want);
        }
    }
}
