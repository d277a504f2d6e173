//! JSONPath in [Jayway's dialect], and a scan of JSON text that builds no tree.
//!
//! A [`Path`] is compiled once and then asked about many documents. Paths that
//! name at most one value (`$.a.b`, `$['a-b']`, `$.list[0]`) are *definite* and
//! find one value or none; the others (`$..a`, `$[*]`, `$[?(@.n > 1)]`) find a
//! list, which may be empty.
//!
//! ```
//! use jsonpath::{Found, Path};
//!
//! let message = serde_json::json!({"action": "join", "rooms": [{"id": 7}, {"id": 8}]});
//! let action = Path::parse("$.action").unwrap();
//! assert_eq!(action.find(&message), Found::One(std::borrow::Cow::Owned("join".into())));
//! let ids = Path::parse("$.rooms[*].id").unwrap();
//! assert_eq!(ids.find(&message).into_value(), Some(serde_json::json!([7, 8])));
//! ```
//!
//! [Jayway's dialect]: https://github.com/json-path/JsonPath#operators

mod error;
mod evaluate;
mod filter;
mod parse;
mod path;
mod scan;

pub use error::{Error, NotJson, Reason};
pub use path::{Found, Path};
pub use scan::scan_member;

#[cfg(test)]
mod tests;
