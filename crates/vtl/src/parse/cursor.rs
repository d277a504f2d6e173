//! A place in a source.

use crate::ast::Place;

/// A place in a source, and the lexical questions that need no grammar.
pub(super) struct Cursor<'s> {
    source: &'s str,
    /// Byte offset of what comes next.
    pub(super) at: usize,
    origin: Place,
    /// An offset whose place is known; places are asked for in rising order.
    known: (usize, Place),
}

impl<'s> Cursor<'s> {
    /// `origin` is the place of the first character.
    pub(super) fn new(source: &'s str, origin: Place) -> Self {
        Self { source, at: 0, origin, known: (0, origin) }
    }

    /// Line and column of the byte offset `at`.
    pub(super) fn place(&mut self, at: usize) -> Place {
        let (mut from, mut place) = self.known;
        if at < from {
            (from, place) = (0, self.origin);
        }
        for char in self.source[from..at].chars() {
            if char == '\n' {
                place = Place { line: place.line + 1, column: 1 };
            } else {
                place.column += 1;
            }
        }
        self.known = (at, place);
        place
    }

    pub(super) fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> &'s str {
        &self.source[from..to]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.find(|char| !accept(char)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    pub(super) fn skip_space(&mut self) {
        self.take_while(|char| matches!(char, ' ' | '\t' | '\n' | '\r'));
    }

    pub(super) fn take_text(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes `word` unless it is only the beginning of a longer one.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word) else { return false };
        let whole = !after.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '_');
        if whole {
            self.at += word.len();
        }
        whole
    }

    /// Takes blanks and a line break, if nothing else stands before it.
    pub(super) fn take_blank_line_end(&mut self) {
        let rest = self.rest();
        let after = rest.trim_start_matches([' ', '\t']);
        for line_end in ["\r\n", "\n", "\r"] {
            if let Some(next) = after.strip_prefix(line_end) {
                self.at += rest.len() - next.len();
                return;
            }
        }
    }

    /// Takes the rest of the line and its break.
    pub(super) fn take_line(&mut self) {
        self.take_while(|char| !matches!(char, '\n' | '\r'));
        self.take_blank_line_end();
    }

    /// The word of `#word` or `#{word}` that comes next, and the length of all of it.
    pub(super) fn directive_word(&self) -> Option<(&'s str, usize)> {
        let after = self.rest().strip_prefix('#')?;
        let (word, braces) = match after.strip_prefix('{') {
            Some(inner) => (word(inner)?, 2),
            None => (word(after)?, 0),
        };
        if braces == 2 && !after[1 + word.len()..].starts_with('}') {
            return None;
        }
        Some((word, 1 + braces + word.len()))
    }
}

fn word(text: &str) -> Option<&str> {
    let length = text
        .find(|char: char| !(char.is_ascii_alphanumeric() || matches!(char, '_' | '@')))
        .unwrap_or(text.len());
    let word = &text[..length];
    (!word.is_empty() && !word.starts_with(|char: char| char.is_ascii_digit())).then_some(word)
}
