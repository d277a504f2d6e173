//! Reading of the `Cookie` request header ([RFC 6265 §4.2.1]).
//!
//! The parser is lenient, as the RFC asks of servers: a malformed pair is skipped and never hides
//! the pairs around it. A quote does not protect a semicolon: a parser that thinks so lets one
//! planted cookie swallow others.
//!
//! [RFC 6265 §4.2.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1

/// The pairs of one `Cookie` line as name and value, the value without its optional quotes.
pub(crate) fn pairs(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let line = rest?;
            let end = memchr::memchr(b';', line);
            rest = end.map(|end| &line[end + 1..]);
            let pair = &line[..end.unwrap_or(line.len())];
            if let Some(at) = memchr::memchr(b'=', pair) {
                return Some((trim(&pair[..at]), unquote(trim(&pair[at + 1..]))));
            }
        }
    })
}

/// Without spaces and tabs around.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, want: &[&str]) {
        let values = pairs(line.as_bytes()).filter(|(name, _)| *name == b"sid");
        let values: Vec<_> = values.map(|(_, value)| std::str::from_utf8(value).unwrap()).collect();
        assert_eq!(values, want, "line: {line:?}");
    }

    #[test]
    fn finds_the_cookie_among_others() {
        check("a=1; sid=abc; b=2", &["abc"]);
        check("sid=", &[""]);
        check("sid=a=b", &["a=b"]);
        check("sid=\"abc\"", &["abc"]);
        check("sid=\"", &["\""]);
        check("\tsid = abc ", &["abc"]);
    }

    #[test]
    fn malformed_neighbours_hide_nothing() {
        check(";;=; junk ;sid=abc;", &["abc"]);
        check("a=\"x; sid=abc; b=y\"", &["abc"]);
        check("a=\u{1}; sid=abc", &["abc"]);
    }

    #[test]
    fn finds_every_occurrence_and_no_look_alike() {
        check("", &[]);
        check("SID=abc; sidx=1; xsid=2; sid", &[]);
        check("sid=mine; sid=planted", &["mine", "planted"]);
        check("=sid=nameless", &[]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(pairs(&line).count() <= line.len() + 1);
        }
    }
}
