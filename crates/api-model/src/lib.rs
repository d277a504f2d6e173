//! The immutable model of WebSocket APIs: routes, integrations, authorizers,
//! stages and domains, with compiled templates, paths and expressions.

pub mod diagnostic;
pub mod node;
pub mod source;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use node::{Entry, Node, Resource, Stack, Value};
pub use source::{Position, Source, Sources, Span};
