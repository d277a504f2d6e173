//! What can go wrong with a template.

use std::borrow::Cow;

use thiserror::Error;

/// Why a text is not a template, and where.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{reason} at line {line}, column {column}")]
pub struct Error {
    /// The character at which the construct begins, counted from 1.
    pub column: usize,
    /// Its line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a template.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Reason {
    /// The template nests deeper than it may.
    #[error("nested too deeply")]
    Depth,
    /// Something else had to stand here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// `class`, `getClass()`: reaching for Java's own objects.
    #[error("`{0}` is not available")]
    Forbidden(String),
    /// The name is a directive's or a scope's own.
    #[error("`${0}` cannot be assigned")]
    NotAssignable(String),
    /// A number that does not fit.
    #[error("number is too large")]
    Number,
    /// A pattern that cannot be used; the text says why.
    #[error("unusable regular expression: {0}")]
    Regex(String),
    /// The source is longer than a template may be.
    #[error("template is longer than 300 KiB")]
    SourceLength,
    /// An `#end`, `#else` or `#elseif` without its beginning.
    #[error("`#{0}` without `#if` or `#foreach`")]
    Unopened(&'static str),
    /// A directive that does not exist here.
    #[error("`#{0}` is not supported")]
    Unsupported(String),
    /// A block, comment or text that does not end.
    #[error("{0} is not closed")]
    Unterminated(&'static str),
}

/// Why a rendering was given up.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RenderError {
    /// A method of the host failed.
    #[error("line {line}: {error}")]
    Call {
        /// Why.
        error: CallError,
        /// Line of the reference, from 1.
        line: usize,
    },
    /// A method got an argument for which Java throws, such as `substring(5)` of `abc`.
    #[error("line {line}: `{method}` cannot take these arguments")]
    Argument {
        /// Line of the reference, from 1.
        line: usize,
        /// The method, or `[]`.
        method: Box<str>,
    },
    /// More than [`Limits::depth`](crate::Limits::depth).
    #[error("nested too deeply")]
    Depth,
    /// A whole number beyond 64 bits.
    #[error("number is too large")]
    Number,
    /// More than [`Limits::output_bytes`](crate::Limits::output_bytes).
    #[error("output is too long")]
    OutputLength,
    /// A pattern or replacement that cannot be used; the text says why.
    #[error("unusable regular expression: {0}")]
    Regex(String),
    /// More than [`Limits::steps`](crate::Limits::steps).
    #[error("template does too much work")]
    Steps,
}

/// Why a method of the host failed; it ends the rendering.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{message}")]
pub struct CallError {
    /// A sentence without the caller's data.
    pub message: Cow<'static, str>,
}

impl CallError {
    /// A failure with its description.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into() }
    }
}
