//! What a template sees of the outside.

use crate::error::CallError;
use crate::reference::Reference;
use crate::value::Value;

/// Answers for every root reference that the template itself did not `#set`.
///
/// Objects of the host, such as `$input`, travel through the template as
/// [`Value::Host`]: a number that means something to the scope only. So the
/// scope may borrow whatever it likes, and a template holds no pointer to it.
pub trait Scope {
    /// The value of `$name`; `None` if there is no such thing.
    fn find(&self, name: &str) -> Option<Value>;

    /// The value of `$host.name` or `$host['name']`; `None` is a miss.
    fn property(&self, _host: Host, _name: &str) -> Option<Value> {
        None
    }

    /// The result of `$host.method(args)`; `None` is Java's null, and also the
    /// answer for a method that does not exist.
    fn call(
        &self,
        _host: Host,
        _method: &str,
        _args: &[Value],
    ) -> Result<Option<Value>, CallError> {
        Ok(None)
    }

    /// `#set($host.name = value)`; by default nothing happens.
    fn assign(&self, _host: Host, _name: &str, _value: &Value) {}

    /// What `$host` prints as; `None` is a miss.
    fn text(&self, _host: Host) -> Option<String> {
        None
    }

    /// Writes the text of `$root.a.b` straight to `out`, if the scope can.
    ///
    /// A shortcut for the many references that only name properties: the answer
    /// must equal what [`Scope::find`] and [`Scope::property`] lead to. `path`
    /// holds the names behind the root, perhaps none. `false` means nothing was
    /// written and the long way is to be taken.
    fn write(&self, _root: &str, _path: &[Box<str>], _out: &mut String) -> bool {
        false
    }

    /// What a reference without a value prints, unless it is a quiet one (`$!a`).
    ///
    /// Velocity prints the source text, which is the default.
    fn miss(&self, _reference: &Reference<'_>) -> Miss {
        Miss::Source
    }
}

/// An object of the host; its number means something to the [`Scope`] only.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Host(pub u32);

/// What a reference without a value prints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Miss {
    /// Nothing.
    Empty,
    /// The reference as it stands in the template, such as `$user.name`.
    Source,
}

/// A scope in which nothing is defined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl Scope for Empty {
    fn find(&self, _name: &str) -> Option<Value> {
        None
    }
}
