//! Places in source text.

use std::sync::Arc;

/// A place in a text, counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A stretch of one source file.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Span {
    /// Index into [`Sources`].
    pub file: u32,
    /// First character.
    pub start: Position,
    /// One past the last character.
    pub end: Position,
}

/// One text that diagnostics point into: a template or a configuration file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// All texts of one load, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Indexed by [`Span::file`].
    pub files: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its index for [`Span::file`].
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> u32 {
        let index = u32::try_from(self.files.len()).expect("fewer than 2^32 files are given");
        self.files.push(Source { name: name.into(), text: text.into() });
        index
    }
}
