//! How long an answer stays fresh ([RFC 9111 §4.2](https://www.rfc-editor.org/rfc/rfc9111#section-4.2)).

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, HeaderMap};

/// What stands for every larger number of seconds ([RFC 9111 §1.2.2]).
///
/// [RFC 9111 §1.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2
const SECONDS_MAX: u64 = 1 << 31;

/// The `max-age` of `Cache-Control` without the `Age` that has passed already.
///
/// Zero if the answer must not be kept, or `max-age` is no number. `None` if nothing is said. The
/// first of several `max-age` counts.
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut fresh = None;
    let lines = headers.get_all(CACHE_CONTROL);
    for (name, value) in lines.iter().flat_map(|line| directives(line.as_bytes())) {
        if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
            return Some(Duration::ZERO);
        }
        if name.eq_ignore_ascii_case(b"max-age") && fresh.is_none() {
            fresh = Some(seconds(value).unwrap_or(0));
        }
    }
    Some(Duration::from_secs(fresh?.saturating_sub(age(headers))))
}

fn age(headers: &HeaderMap) -> u64 {
    let first =
        headers.get(AGE).and_then(|line| line.as_bytes().split(|byte| *byte == b',').next());
    first.and_then(|text| seconds(text.trim_ascii())).unwrap_or(0)
}

/// Names and values of one line; a value may be in quotes, in which commas separate nothing.
fn directives(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    });
    parts.map(|part| {
        let equals = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
        let (name, value) = part.split_at(equals);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        (name.trim_ascii(), unquoted.unwrap_or(value))
    })
}

fn seconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value =
        text.iter().fold(0_u64, |sum, digit| (sum * 10 + u64::from(digit - b'0')).min(SECONDS_MAX));
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(control: &[&[u8]], age: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in control {
            headers.append(CACHE_CONTROL, HeaderValue::from_bytes(line).unwrap());
        }
        for line in age {
            headers.append(AGE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(control: &[&str], age: &[&str], want: Option<u64>) {
        let lines: Vec<_> = control.iter().map(|line| line.as_bytes()).collect();
        let got = max_age(&headers(&lines, age));
        assert_eq!(got, want.map(Duration::from_secs), "{control:?} {age:?}");
    }

    #[test]
    fn max_age_is_found_among_other_directives() {
        check(&["max-age=300"], &[], Some(300));
        check(&["public, Max-Age=300, must-revalidate"], &[], Some(300));
        check(&["public", "max-age=300"], &[], Some(300));
        check(&["max-age=\"300\""], &[], Some(300));
        check(&["private=\"a, max-age=1\", max-age=300"], &[], Some(300));
        check(&["ext=\"\\\", max-age=1\",\tmax-age=300"], &[], Some(300));
        check(&["max-age=300, max-age=1"], &[], Some(300));
        check(&["max-age=0"], &[], Some(0));
    }

    #[test]
    fn silence_is_not_zero() {
        check(&[], &[], None);
        check(&[], &["10"], None);
        check(&[""], &[], None);
        check(&["public, s-maxage=300, x-max-age=300"], &[], None);
        check(&["x=\"max-age=300"], &[], None);
    }

    #[test]
    fn what_must_not_be_kept_is_not_fresh() {
        check(&["no-store"], &[], Some(0));
        check(&["max-age=300, No-Cache"], &[], Some(0));
        check(&["max-age=300", "no-store"], &[], Some(0));
        check(&["no-cache=\"Set-Cookie\", max-age=300"], &[], Some(0));
    }

    #[test]
    fn a_malformed_max_age_is_not_fresh() {
        for line in
            ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=+1", "max-age=\"1"]
        {
            check(&[line], &[], Some(0));
        }
    }

    #[test]
    fn large_numbers_do_not_wrap() {
        check(&["max-age=18446744073709551617"], &[], Some(SECONDS_MAX));
        check(&[&format!("max-age={}", "9".repeat(400))], &[], Some(SECONDS_MAX));
    }

    #[test]
    fn the_time_spent_in_other_caches_counts() {
        check(&["max-age=300"], &["100"], Some(200));
        check(&["max-age=300"], &["301"], Some(0));
        check(&["max-age=300"], &["100, 5"], Some(200));
        check(&["max-age=300"], &["soon"], Some(300));
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in "[ -~\t\u{80}-\u{ff}]{0,200}", age in "[ -~]{0,20}") {
            if let Ok(line) = HeaderValue::from_bytes(line.as_bytes()) {
                let _ = max_age(&headers(&[line.as_bytes()], &[&age]));
            }
        }

        #[test]
        fn max_age_survives_its_neighbours(
            before in proptest::collection::vec("[a-l]{1,8}(=[a-z0-9]{0,4}|=\"[a-z,= ]{0,9}\")?", 0..5),
            after in proptest::collection::vec("[a-l]{1,8}(=\"[^\"\\\\\\x00-\\x1f\\x7f]{0,9}\")?", 0..5),
            value in 0..SECONDS_MAX,
        ) {
            let mut all = before;
            all.push(format!("max-age={value}"));
            all.extend(after);
            let line = all.join(", ");
            let got = max_age(&headers(&[line.as_bytes()], &[]));
            prop_assert_eq!(got, Some(Duration::from_secs(value)), "{}", line);
        }
    }
}
