//! Matching of `*` (any text) and `?` (any one character) in bounded time.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// What stands before the first wildcard.
    prefix: String,
    /// From the first wildcard on; empty when there is none.
    rest: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Any,
    Char(char),
    One,
}

impl Pattern {
    /// Compiles `text`, in which every `*` and `?` is a wildcard.
    pub(super) fn parse(text: &str) -> Self {
        Self::compile(text.chars().map(Self::step))
    }

    /// As [`Pattern::parse`], with the escapes `${*}`, `${?}` and `${$}`; `None` for any other `${`.
    pub(super) fn parse_escaped(text: &str) -> Option<Self> {
        let mut steps = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if rest.starts_with("${") {
                let escaped = ['*', '?', '$'].into_iter().find(|c| rest[2..].starts_with(*c))?;
                rest = rest[3..].strip_prefix('}')?;
                steps.push(Step::Char(escaped));
            } else {
                rest = &rest[c.len_utf8()..];
                steps.push(Self::step(c));
            }
        }
        Some(Self::compile(steps.into_iter()))
    }

    fn step(c: char) -> Step {
        match c {
            '*' => Step::Any,
            '?' => Step::One,
            c => Step::Char(c),
        }
    }

    fn compile(steps: impl Iterator<Item = Step>) -> Self {
        let mut prefix = String::new();
        let mut rest = Vec::new();
        for step in steps {
            match step {
                Step::Char(c) if rest.is_empty() => prefix.push(c),
                Step::Any if rest.last() == Some(&Step::Any) => {}
                step => rest.push(step),
            }
        }
        Self { prefix, rest }
    }

    /// Whether the pattern's own text begins with `prefix`, wildcards not counted.
    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        self.prefix.starts_with(prefix)
    }

    /// Whether some text that begins with `prefix` matches.
    pub(super) fn reaches(&self, prefix: &str) -> bool {
        let mut steps = self.prefix.chars().map(Step::Char).chain(self.rest.iter().copied());
        for wanted in prefix.chars() {
            match steps.next() {
                Some(Step::Any) => return true,
                Some(Step::One) => {}
                Some(Step::Char(c)) if c == wanted => {}
                Some(Step::Char(_)) | None => return false,
            }
        }
        true
    }

    /// Whether the whole subject matches.
    ///
    /// Beyond the plain prefix the set of reachable places in the subject is
    /// one bit each, moved by whole words: a step costs a 64th of the subject's
    /// length, whatever the pattern looks like.
    pub(super) fn matches(&self, subject: &Subject) -> bool {
        let Some(rest) = subject.text.strip_prefix(self.prefix.as_str()) else { return false };
        match self.rest.as_slice() {
            [] => rest.is_empty(),
            [Step::Any] => true,
            steps => subject.places().run(self.prefix.chars().count(), steps),
        }
    }
}

/// A text to match patterns against.
#[derive(Debug)]
pub(super) struct Subject {
    text: String,
    places: OnceLock<Places>,
}

impl Subject {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), places: OnceLock::new() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::new(&self.text))
    }
}

/// Where each character of a text stands, as bit sets.
#[derive(Debug)]
struct Places {
    chars: usize,
    of: BTreeMap<char, Vec<u64>>,
}

impl Places {
    fn new(text: &str) -> Self {
        let chars = text.chars().count();
        let mut of = BTreeMap::<char, Vec<u64>>::new();
        for (at, c) in text.chars().enumerate() {
            of.entry(c).or_insert_with(|| vec![0; chars / 64 + 1])[at / 64] |= 1 << (at % 64);
        }
        Self { chars, of }
    }

    /// Bit `i` of the set: the steps so far can have consumed `i` characters.
    fn run(&self, start: usize, steps: &[Step]) -> bool {
        let mut set = vec![0_u64; self.chars / 64 + 1];
        set[start / 64] = 1 << (start % 64);
        for step in steps {
            match step {
                Step::Any => fill_from_lowest(&mut set),
                Step::One => shift(&mut set),
                Step::Char(c) => {
                    let Some(of) = self.of.get(c) else { return false };
                    set.iter_mut().zip(of).for_each(|(word, mask)| *word &= mask);
                    shift(&mut set);
                }
            }
        }
        set[self.chars / 64] & (1 << (self.chars % 64)) != 0
    }
}

/// Every place one further. Bits beyond the text's end never come back, so they need no clearing.
fn shift(set: &mut [u64]) {
    let mut carry = 0;
    for word in set {
        (*word, carry) = (*word << 1 | carry, *word >> 63);
    }
}

/// Every place from the lowest on.
fn fill_from_lowest(set: &mut [u64]) {
    let mut found = false;
    for word in set {
        if found {
            *word = u64::MAX;
        } else if *word != 0 {
            *word = u64::MAX << word.trailing_zeros();
            found = true;
        }
    }
}
