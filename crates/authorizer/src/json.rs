//! A strict reader of JSON objects ([RFC 8259]), for token headers and claims.
//!
//! Parsers differ in which of two equal members they believe, so a document with duplicate
//! members, at any depth, is malformed here ([RFC 7519 §4] allows that). Nothing is built: the
//! reader walks the text once and notes where the members of the outermost object lie.
//!
//! [RFC 7519 §4]: https://www.rfc-editor.org/rfc/rfc7519#section-4
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting that is read; the outermost object counts as one.
pub(crate) const DEPTH_MAX: usize = 128;

/// The text is not one JSON object, has duplicate members, or nests too deep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// Members that most objects stay below; more are sorted to be compared.
const FEW: usize = 16;

/// Where one member of the outermost object lies in the text.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The name, without its quotes.
    name: Range<usize>,
    /// [`mark`] of the name, as it is spelled.
    mark: u32,
    value: Range<usize>,
    /// Whether the name is spelled with escapes.
    escaped: bool,
}

/// Checks the whole of `text` and returns the members of its object, in order.
pub(crate) fn members(text: &str) -> Result<Vec<Member>, Malformed> {
    let mut reader = Reader { text, at: 0, names: Vec::new(), members: Vec::with_capacity(FEW) };
    reader.space();
    if reader.peek() != Some(b'{') {
        return Err(Malformed);
    }
    reader.value(0)?;
    reader.space();
    if reader.at == text.len() { Ok(reader.members) } else { Err(Malformed) }
}

/// The object that [`members`] found in `text`.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) text: &'a str,
    pub(crate) members: &'a [Member],
}

impl<'a> Object<'a> {
    /// All members, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Value<'a>)> + use<'a> {
        let text = self.text;
        self.members.iter().map(move |member| {
            let raw = &text[member.name.clone()];
            let name = if member.escaped { unescape(raw) } else { None };
            (name.unwrap_or(Cow::Borrowed(raw)), Value(&text[member.value.clone()]))
        })
    }

    /// The value of member `name`.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'a>> {
        let wanted = mark(name.as_bytes());
        let member = self.members.iter().find(|member| match member.escaped {
            true => unescape(&self.text[member.name.clone()]).is_some_and(|n| n == name),
            false => member.mark == wanted && &self.text[member.name.clone()] == name,
        })?;
        Some(Value(&self.text[member.value.clone()]))
    }
}

/// One well-formed JSON value, as it is spelled.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// The text, if the value is a string.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        unescape(self.0.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// The texts, if the value is an array of strings.
    pub(crate) fn strings(self) -> Option<Vec<Cow<'a, str>>> {
        self.items()?.into_iter().map(|item| Value(item).string()).collect()
    }

    /// The items as they are spelled, if the value is an array.
    pub(crate) fn items(self) -> Option<Vec<&'a str>> {
        let mut reader = Reader { text: self.0, at: 0, names: Vec::new(), members: Vec::new() };
        reader.take(b'[').ok()?;
        reader.space();
        let mut items = Vec::new();
        while reader.peek()? != b']' {
            let start = reader.at;
            reader.value(1).ok()?;
            items.push(&self.0[start..reader.at]);
            reader.space();
            if reader.peek() == Some(b',') {
                reader.at += 1;
                reader.space();
            }
        }
        Some(items)
    }

    /// Seconds since the epoch, if the value is a number from 0 to below 2^53; a fraction is
    /// floored ([RFC 7519 §2], NumericDate).
    ///
    /// [RFC 7519 §2]: https://www.rfc-editor.org/rfc/rfc7519#section-2
    pub(crate) fn seconds(self) -> Option<u64> {
        const SECONDS_MAX: u64 = (1 << 53) - 1;
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let (whole, rest) = self.0.split_at(digits);
        if !rest.contains(['e', 'E']) {
            return whole.parse().ok().filter(|whole| *whole <= SECONDS_MAX);
        }
        let number: f64 = self.0.parse().ok()?;
        // Exact: every f64 below 2^53 has its floor in u64.
        (number < (SECONDS_MAX + 1) as f64).then_some(number as u64)
    }

    /// The value as it is spelled.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    /// Whether the value is an array or an object.
    pub(crate) fn is_structured(self) -> bool {
        self.0.starts_with(['[', '{'])
    }
}

/// The text of a string whose inside is `raw`; `None` if an escape stands for no character.
fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    // Quotes and control characters are not in there.
    if plain_length(raw.as_bytes()) == raw.len() {
        return Some(Cow::Borrowed(raw));
    }
    serde_json::from_str(&format!("\"{raw}\"")).ok().map(Cow::Owned)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Names of the members of all open objects but the outermost.
    names: Vec<Cow<'a, str>>,
    members: Vec<Member>,
}

impl<'a> Reader<'a> {
    /// One value inside `depth` others. Recursion is bounded by [`DEPTH_MAX`].
    fn value(&mut self, depth: usize) -> Result<(), Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'{' | b'[' if depth == DEPTH_MAX => Err(Malformed),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.checked_string().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        self.space();
        let first = self.names.len();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let start = self.at;
            let escaped = self.checked_string()?;
            let name = start + 1..self.at - 1;
            if 0 < depth {
                self.names.push(unescape(&self.text[name.clone()]).ok_or(Malformed)?);
            }
            self.space();
            self.take(b':')?;
            self.space();
            let start = self.at;
            self.value(depth + 1)?;
            if depth == 0 {
                let mark = mark(&self.text.as_bytes()[name.clone()]);
                self.members.push(Member { name, mark, value: start..self.at, escaped });
            }
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => break,
                _ => return Err(Malformed),
            }
        }
        let unique = match depth {
            0 => self.has_unique_members(),
            _ => is_unique(&mut self.names[first..]),
        };
        self.names.truncate(first);
        if unique { Ok(()) } else { Err(Malformed) }
    }

    fn has_unique_members(&self) -> bool {
        let name = |member: &Member| &self.text.as_bytes()[member.name.clone()];
        if FEW < self.members.len() || self.members.iter().any(|member| member.escaped) {
            let object = Object { text: self.text, members: &self.members };
            return is_unique(&mut object.iter().map(|(name, _)| name).collect::<Vec<_>>());
        }
        let is_same = |a: &Member, b: &Member| a.mark == b.mark && name(a) == name(b);
        let mut members = self.members.iter().enumerate();
        members.all(|(n, a)| !self.members[..n].iter().any(|b| is_same(a, b)))
    }

    fn array(&mut self, depth: usize) -> Result<(), Malformed> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b']' => return Ok(()),
                _ => return Err(Malformed),
            }
        }
    }

    /// Passes over a string whose escapes all stand for characters (no lone surrogate); returns
    /// whether it has any.
    fn checked_string(&mut self) -> Result<bool, Malformed> {
        let start = self.at + 1;
        let escaped = self.string()?;
        if escaped && unescape(&self.text[start..self.at - 1]).is_none() {
            return Err(Malformed);
        }
        Ok(escaped)
    }

    /// Passes over a string; returns whether it has escapes.
    fn string(&mut self) -> Result<bool, Malformed> {
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).ok_or(Malformed)?;
            self.at += plain_length(rest);
            match self.next()? {
                b'"' => return Ok(escaped),
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                _ => return Err(Malformed),
            }
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let start = self.at;
        self.digits()?;
        if self.text.as_bytes()[start] == b'0' && start + 1 < self.at {
            return Err(Malformed);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if start < self.at { Ok(()) } else { Err(Malformed) }
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        let rest = &self.text.as_bytes()[self.at..];
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.next()? == byte { Ok(()) } else { Err(Malformed) }
    }

    fn next(&mut self) -> Result<u8, Malformed> {
        let byte = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// How many bytes come before the first quote, backslash or control character; eight are looked at
/// in one step.
fn plain_length(bytes: &[u8]) -> usize {
    /// Times a byte, it is that byte in each of the eight places.
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The high bit of every byte below `limit`, of those at most 0x80. A byte above the first such
    // one may be marked too, by what was borrowed from it.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & (EACH * 0x80);
    let equal = |word: u64, byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if special != 0 {
            return 8 * n + special.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    8 * words.len() + rest.iter().take_while(is_plain).count()
}

/// A number that most pairs of different names do not share: those that do are compared in full.
fn mark(name: &[u8]) -> u32 {
    let [first, .., last] = name else { return name.first().map_or(0, |only| u32::from(*only)) };
    u32::from_le_bytes([*first, *last, name.len() as u8, 1])
}

/// Whether no two names are equal; sorts them when there are many, so that the time grows as
/// n log n.
fn is_unique(names: &mut [Cow<'_, str>]) -> bool {
    if names.len() <= FEW {
        return names.iter().enumerate().all(|(n, name)| !names[..n].contains(name));
    }
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, want: bool) {
        assert_eq!(members(text).is_ok(), want, "{text:?}");
    }

    fn find<'a>(text: &'a str, members: &'a [Member], name: &str) -> Option<Value<'a>> {
        Object { text, members }.find(name)
    }

    #[test]
    fn reads_objects_only_and_to_the_end() {
        for text in ["{}", " { } ", r#"{"a":1}"#, "{\"a\" :\n[1 , {\"a\":null}],\"b\":true}"] {
            check(text, true);
        }
        for text in ["", "[]", "1", "null", "{}x", "{} {}", "{", "{\"a\"}", "{\"a\":}", "{,}"] {
            check(text, false);
        }
        for text in [r#"{"a":1,}"#, r#"{"a":[1,]}"#, r#"{a:1}"#, r#"{"a":tru}"#, "{\"a\":\"\n\"}"] {
            check(text, false);
        }
    }

    #[test]
    fn numbers_follow_the_grammar() {
        for number in ["0", "-0", "1.5", "1e9", "1E+9", "10.25e-3"] {
            check(&format!("{{\"a\":{number}}}"), true);
        }
        for number in ["01", "1.", ".5", "+1", "-", "1e", "0x1", "NaN", "Infinity", "-01"] {
            check(&format!("{{\"a\":{number}}}"), false);
        }
    }

    #[test]
    fn refuses_duplicates_at_any_depth_and_in_any_spelling() {
        check(r#"{"a":1,"a":1}"#, false);
        check(r#"{"a":1,"\u0061":1}"#, false);
        check(r#"{"x":[{"y":{"a":1,"b":2,"a":3}}]}"#, false);
        check(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#, true);
        check(r#"{"a":1,"A":1}"#, true);
        let many: Vec<_> = (0..1000).map(|n| format!("\"k{n}\":0")).collect();
        check(&format!("{{{}}}", many.join(",")), true);
        check(&format!("{{{},\"k7\":1}}", many.join(",")), false);
    }

    #[test]
    fn refuses_lone_surrogates_and_unknown_escapes() {
        check(r#"{"a":"\ud83d\ude00"}"#, true);
        check(r#"{"a":"\ud83d"}"#, false);
        check(r#"{"a":"\x41"}"#, false);
        check(r#"{"a":"\u00"}"#, false);
        check(r#"{"a":"\"#, false);
    }

    #[test]
    fn nests_128_deep_and_no_deeper() {
        for (depth, want) in [(DEPTH_MAX, true), (DEPTH_MAX + 1, false), (100_000, false)] {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            check(&text, want);
        }
    }

    #[test]
    fn seconds_are_finite_whole_and_not_negative() {
        for (spelled, want) in [
            ("0", Some(0)),
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.999", Some(1_700_000_000)),
            ("1.7e9", Some(1_700_000_000)),
            // The nearest f64 is the next whole second.
            ("1700000000.99999999999999999999", Some(1_700_000_000)),
            ("9007199254740991.9", Some(9_007_199_254_740_991)),
            ("0.9", Some(0)),
            ("1e30", None),
            ("-0", None),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740992", None),
            ("18446744073709551616", None),
            ("1e400", None),
            ("-1", None),
            ("-0.5", None),
            ("\"1700000000\"", None),
            ("null", None),
            ("true", None),
            ("[1]", None),
        ] {
            let text = format!("{{\"exp\":{spelled}}}");
            let found = members(&text).unwrap();
            assert_eq!(find(&text, &found, "exp").unwrap().seconds(), want, "{spelled}");
        }
    }

    #[test]
    fn values_are_what_they_are_spelled() {
        let text = r#"{"s":"a\"b","l":["x", "y\u0041" ],"m":["x",1],"e":[],"n":1.50,"\u0066":0}"#;
        let found = members(text).unwrap();
        assert_eq!(find(text, &found, "s").unwrap().string().unwrap(), "a\"b");
        assert_eq!(find(text, &found, "l").unwrap().strings().unwrap(), ["x", "yA"]);
        assert!(find(text, &found, "m").unwrap().strings().is_none());
        assert!(find(text, &found, "e").unwrap().strings().unwrap().is_empty());
        assert_eq!(find(text, &found, "n").unwrap().raw(), "1.50");
        assert!(find(text, &found, "f").is_some());
        assert!(find(text, &found, "g").is_none());
    }

    proptest! {
        /// serde_json is the oracle: it accepts whatever we accept, and what we refuse it either
        /// refuses or folds (duplicates).
        #[test]
        fn accepts_a_subset_of_what_serde_json_accepts(text in r#"[\[\]{}":,\\u0-9a-f .eE+-]{0,40}"#) {
            if members(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok()
                    || text.contains(['e', 'E']));
            }
        }

        #[test]
        fn accepts_what_serde_json_writes(names in proptest::collection::hash_set(".*", 0..30), value in ".*") {
            let object: serde_json::Map<_, _> =
                names.iter().map(|n| (n.clone(), value.clone().into())).collect();
            let text = serde_json::to_string(&object).unwrap();
            let found = members(&text).unwrap();
            for name in &names {
                let read = find(&text, &found, name).unwrap().string().unwrap();
                prop_assert_eq!(read.as_ref(), value.as_str());
            }
        }
    }
}
