//! What can go wrong with a path or a document.

use thiserror::Error;

/// Why a text is not a JSONPath, and where.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{reason} at column {column}")]
pub struct Error {
    /// The character at which reading stopped, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a path.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Reason {
    /// Brackets with nothing inside.
    #[error("`[]` selects nothing")]
    EmptyBrackets,
    /// Something else had to stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A filter nests deeper than [`Path::parse`](crate::Path::parse) follows.
    #[error("filter nests too deeply")]
    FilterDepth,
    /// A function that Jayway does not have, or that is not supported.
    #[error("unknown function `{0}()`")]
    Function(String),
    /// A function is only allowed as the last step.
    #[error("a function must be the last step")]
    FunctionNotLast,
    /// A number that does not fit.
    #[error("number is too large")]
    Number,
    /// The path has more steps or characters than allowed.
    #[error("path is too long")]
    PathLength,
    /// A regular expression that cannot be compiled.
    #[error("invalid regular expression")]
    Regex,
    /// A slice step; Jayway has none.
    #[error("slices have no step")]
    SliceStep,
    /// A quoted name, regular expression or bracket that does not end.
    #[error("unterminated {0}")]
    Unterminated(&'static str),
}

/// The text is not one JSON document.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not valid JSON")]
pub struct NotJson;
