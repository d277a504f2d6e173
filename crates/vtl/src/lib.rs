//! Velocity templates ([VTL 1.7]) as Amazon API Gateway speaks them.
//!
//! A [`Template`] is compiled once and rendered many times. What a template can
//! see beyond its own `#set` variables, the caller decides through a [`Scope`]:
//! it answers for root references such as `$input` or `$context`, for their
//! properties and for their methods.
//!
//! A construct that this crate does not know is an error when the template is
//! compiled; it never becomes wrong output. Rendering is bounded by [`Limits`].
//!
//! ```
//! use vtl::{Empty, Limits, Template};
//!
//! let template = Template::parse("#set($n = [1..3])#foreach($i in $n)<$i>#end").unwrap();
//! assert_eq!(template.render(&Empty, &Limits::default()).unwrap(), "<1><2><3>");
//! ```
//!
//! [VTL 1.7]: https://velocity.apache.org/engine/1.7/vtl-reference.html

mod ast;
mod error;
mod limits;
mod parse;
mod pattern;
mod reference;
mod render;
mod scope;
mod template;
mod text;
mod value;

pub use error::{CallError, Error, Reason, RenderError};
pub use limits::Limits;
pub use reference::{Reference, Step};
pub use scope::{Empty, Host, Miss, Scope};
pub use template::Template;
pub use value::{List, Map, Value};
