//! Java's regular expressions, as far as they mean the same in linear time.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

/// Memory that one compiled expression may take, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 18;

/// Longest expression, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024;

/// A compiled Java regular expression.
///
/// Java's classes `\d`, `\w`, `\s` are ASCII and its `.` stops at more line
/// ends, so expressions are translated. What cannot be said without
/// backtracking, and what would mean something else, is refused.
#[derive(Debug)]
pub(crate) struct Pattern {
    kind: Kind,
    /// `$` stands in it, which in Java also matches before a last line break.
    has_end: bool,
    /// `*`, `+` or `{n,}` stand in it: one search may look at all the text.
    pub(crate) is_unbounded: bool,
}

#[derive(Debug)]
enum Kind {
    /// Text without any special character.
    Plain(Box<str>),
    Regex {
        search: Regex,
        whole: Regex,
    },
}

/// A match: where it is, and its groups.
pub(crate) struct Match<'t> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    groups: Option<Captures<'t>>,
}

impl Match<'_> {
    /// The text of group `index`; `None` if there is no such group.
    fn group<'t>(&self, text: &'t str, index: usize) -> Option<&'t str> {
        match &self.groups {
            Some(groups) if index < groups.len() => {
                Some(groups.get(index).map_or("", |group| &text[group.range()]))
            }
            None if index == 0 => Some(&text[self.start..self.end]),
            _ => None,
        }
    }
}

impl Pattern {
    /// Compiles `java`; the error says what cannot be used.
    pub(crate) fn new(java: &str) -> Result<Self, String> {
        if PATTERN_BYTES_MAX < java.len() {
            return Err("it is too long".to_owned());
        }
        if let Some(plain) = plain(java) {
            return Ok(Self {
                kind: Kind::Plain(plain.into()),
                has_end: false,
                is_unbounded: false,
            });
        }
        let translated = Translator::new(java).run()?;
        let compile = |text: &str| {
            let mut builder = RegexBuilder::new(text);
            builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX);
            builder.build().map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                _ => "it is not valid, or needs backtracking".to_owned(),
            })
        };
        let search = compile(&translated.text)?;
        let whole = compile(&format!(r"\A(?:{})\z", translated.text))?;
        let kind = Kind::Regex { search, whole };
        Ok(Self { kind, has_end: translated.has_end, is_unbounded: translated.is_unbounded })
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn is_whole(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Plain(plain) => **plain == *text,
            Kind::Regex { whole, .. } => whole.is_match(text),
        }
    }

    /// Whether searching `text` would find something else than Java.
    pub(crate) fn differs_on(&self, text: &str) -> bool {
        self.has_end && text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
    }

    /// The first match at or behind byte `from`.
    pub(crate) fn find_at<'t>(&self, text: &'t str, from: usize) -> Option<Match<'t>> {
        match &self.kind {
            Kind::Plain(plain) => {
                let start = from + text[from..].find(&**plain)?;
                Some(Match { start, end: start + plain.len(), groups: None })
            }
            Kind::Regex { search, .. } => {
                let groups = search.captures_at(text, from)?;
                let all = groups.get(0)?;
                Some(Match { start: all.start(), end: all.end(), groups: Some(groups) })
            }
        }
    }
}

/// Where the search after `found` begins, as in Java's `Matcher.find`; `None` at the end.
pub(crate) fn next_from(text: &str, found: &Match<'_>) -> Option<usize> {
    if found.start < found.end {
        return Some(found.end);
    }
    text[found.end..].chars().next().map(|char| found.end + char.len_utf8())
}

/// Appends a replacement in which `$1` is a group and `\` takes away the meaning
/// of what follows.
pub(crate) fn push_replacement(
    replacement: &str,
    text: &str,
    found: &Match<'_>,
    out: &mut String,
) -> Result<(), &'static str> {
    let mut chars = replacement.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.push(chars.next().ok_or("the replacement ends in a backslash")?),
            '$' => {
                let digit = chars.next().and_then(|char| char.to_digit(10));
                let mut index = digit.ok_or("`$` in a replacement must name a group by number")?;
                // Further digits belong to the number while such a group exists.
                while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
                    let longer = index * 10 + digit;
                    if found.group(text, longer as usize).is_none() {
                        break;
                    }
                    index = longer;
                    chars.next();
                }
                let group = found.group(text, index as usize);
                out.push_str(group.ok_or("the replacement names a group that does not exist")?);
            }
            char => out.push(char),
        }
    }
    Ok(())
}

/// The text that `java` matches, if it is one plain text.
fn plain(java: &str) -> Option<Cow<'_, str>> {
    const SPECIAL: [char; 14] =
        ['\\', '.', '[', ']', '{', '}', '(', ')', '*', '+', '?', '^', '$', '|'];
    if java.is_empty() {
        return None;
    }
    if !java.contains(SPECIAL) {
        return Some(Cow::Borrowed(java));
    }
    let mut out = String::with_capacity(java.len());
    let mut chars = java.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next()? {
                char if char.is_ascii_punctuation() => out.push(char),
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                _ => return None,
            },
            char if SPECIAL.contains(&char) => return None,
            char => out.push(char),
        }
    }
    Some(Cow::Owned(out))
}

/// Rewrites Java's spelling for the `regex` crate.
struct Translator<'j> {
    rest: std::iter::Peekable<std::str::Chars<'j>>,
    out: Translated,
    /// Brackets open around this place.
    classes: usize,
    /// `(?s)` makes `.` match everything.
    dot_all: bool,
}

#[derive(Default)]
struct Translated {
    text: String,
    has_end: bool,
    is_unbounded: bool,
}

impl<'j> Translator<'j> {
    fn new(java: &'j str) -> Self {
        let dot_all = java.contains("(?s)");
        Self { rest: java.chars().peekable(), out: Translated::default(), classes: 0, dot_all }
    }

    fn run(mut self) -> Result<Translated, String> {
        let mut previous = None;
        while let Some(char) = self.rest.next() {
            match char {
                '\\' => self.escape()?,
                _ if 0 < self.classes => self.in_class(char)?,
                '[' => {
                    self.classes += 1;
                    self.open_class();
                }
                '.' if self.dot_all => self.out.text.push_str("(?s:.)"),
                '.' => self.out.text.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
                '$' => {
                    self.out.has_end = true;
                    self.out.text.push('$');
                }
                '*' | '+' | '?' => {
                    if char == '+' && matches!(previous, Some('*' | '+' | '?' | '}')) {
                        return Err("possessive quantifiers are not supported".to_owned());
                    }
                    self.out.is_unbounded |= char != '?';
                    self.out.text.push(char);
                }
                '{' => {
                    self.out.is_unbounded = true;
                    self.out.text.push('{');
                }
                '(' => self.group()?,
                char => self.out.text.push(char),
            }
            previous = (char != '\\').then_some(char);
        }
        Ok(self.out)
    }

    fn open_class(&mut self) {
        self.out.text.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.text.push('^');
        }
    }

    fn in_class(&mut self, char: char) -> Result<(), String> {
        match char {
            ']' => self.classes -= 1,
            '[' if self.rest.peek() == Some(&':') => {
                return Err("`[:` is not Java".to_owned());
            }
            '[' => {
                self.classes += 1;
                self.open_class();
                return Ok(());
            }
            // Set operations that Java does not know.
            '-' | '~' if self.rest.peek() == Some(&char) => {
                return Err(format!("`{char}{char}` in brackets"));
            }
            _ => {}
        }
        self.out.text.push(char);
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.text.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match self.rest.next() {
            Some(':') => self.out.text.push_str("?:"),
            Some(flag @ ('i' | 's')) if self.rest.next_if_eq(&')').is_some() => {
                self.out.text.push('?');
                self.out.text.push(flag);
                self.out.text.push(')');
            }
            Some('<') if self.rest.peek().is_some_and(char::is_ascii_alphabetic) => {
                self.out.text.push_str("?<");
            }
            _ => return Err("only `(?:`, `(?i)`, `(?s)` and `(?<name>` are supported".to_owned()),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let char = self.rest.next().ok_or("it ends in a backslash")?;
        let text: Cow<'_, str> = match char {
            'd' => "[0-9]".into(),
            'D' => "[^0-9]".into(),
            'w' => "[a-zA-Z0-9_]".into(),
            'W' => "[^a-zA-Z0-9_]".into(),
            's' => r"[ \t\n\x0B\f\r]".into(),
            'S' => r"[^ \t\n\x0B\f\r]".into(),
            'n' | 't' | 'r' | 'f' | 'a' | 'x' | 'u' => format!("\\{char}").into(),
            'A' | 'z' if self.classes == 0 => format!("\\{char}").into(),
            'b' if self.classes == 0 && self.rest.peek() != Some(&'{') => r"(?-u:\b)".into(),
            'p' | 'P' => self.property(char == 'P')?.into(),
            'Q' => {
                self.quotation();
                return Ok(());
            }
            char if char.is_ascii_alphanumeric() => {
                return Err(format!("`\\{char}` is not supported"));
            }
            // `\<` would be a word boundary; a literal is always right.
            char => {
                self.literal(char);
                return Ok(());
            }
        };
        self.out.text.push_str(&text);
        Ok(())
    }

    fn literal(&mut self, char: char) {
        if char.is_ascii() {
            self.out.text.push_str(&format!("\\x{:02X}", u32::from(char)));
        } else {
            self.out.text.push(char);
        }
    }

    /// `\Q…\E`
    fn quotation(&mut self) {
        while let Some(char) = self.rest.next() {
            if char == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(char);
        }
    }

    /// `\p{Alpha}`, `\p{L}`, `\pL`
    fn property(&mut self, negated: bool) -> Result<String, String> {
        let name: String = match self.rest.next() {
            Some('{') => {
                let mut name = String::new();
                loop {
                    match self.rest.next() {
                        Some('}') => break name,
                        Some(char) => name.push(char),
                        None => return Err("`\\p{` is not closed".to_owned()),
                    }
                }
            }
            Some(char) => char.into(),
            None => return Err("it ends in `\\p`".to_owned()),
        };
        let not = if negated { "^" } else { "" };
        let ascii = match name.as_str() {
            "ASCII" | "Alnum" | "Alpha" | "Blank" | "Cntrl" | "Digit" | "Graph" | "Lower"
            | "Print" | "Punct" | "Space" | "Upper" => name.to_ascii_lowercase(),
            "XDigit" => "xdigit".to_owned(),
            _ if name.len() <= 2 && name.chars().all(|char| char.is_ascii_alphabetic()) => {
                return Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
            }
            _ => return Err(format!("`\\p{{{name}}}` is not supported")),
        };
        Ok(format!("[[:{not}{ascii}:]]"))
    }
}
