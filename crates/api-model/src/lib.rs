//! The immutable model of WebSocket APIs: routes, integrations, authorizers,
//! stages and domains, with compiled templates, paths and expressions.

pub mod api;
pub mod codes;
pub mod diagnostic;
pub mod expression;
pub mod node;
pub mod parameter;
pub mod policy;
mod raw;
pub mod resolve;
pub mod source;

pub use api::Model;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use node::{Entry, Node, Resource, Stack, Value};
pub use resolve::{Compat, resolve};
pub use source::{Position, Source, Sources, Span};
