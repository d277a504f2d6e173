//! Values while a template is rendered.

use std::borrow::Cow;
use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::error::RenderError;
use crate::scope::Host;
use crate::text;

/// A value while a template is rendered.
///
/// Lists and maps are shared and can change, as in Java: clones see `add` and
/// `put` of each other.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// `true` or `false`
    Bool(bool),
    /// One entry of a map, with the keys `key` and `value`; prints as `key=value`.
    Entry(Map),
    /// A Java `Double`.
    Float(f64),
    /// An object that only the [`Scope`](crate::Scope) knows.
    Host(Host),
    /// A Java `Integer` or `Long`.
    Int(i64),
    /// A list.
    List(List),
    /// A map that keeps its order.
    Map(Map),
    /// Java's null.
    #[default]
    Null,
    /// A text.
    String(Arc<str>),
}

impl Value {
    /// Whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether a reference with this value counts as true: all but null and `false` do.
    pub fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text as Java's `toString` makes it: `[a, b]` for lists, `{a=1, b=2}`
    /// for maps, `1.0E10` for doubles, `null` for null, nothing for hosts.
    ///
    /// At most `bytes_max` bytes, else [`RenderError::OutputLength`].
    pub fn text(&self, bytes_max: usize) -> Result<Cow<'_, str>, RenderError> {
        text::java(self, bytes_max)
    }

    /// The JSON text, without white space; hosts become `null`, and so do
    /// doubles that JSON cannot say.
    ///
    /// At most `bytes_max` bytes, else [`RenderError::OutputLength`].
    pub fn to_json_text(&self, bytes_max: usize) -> Result<String, RenderError> {
        text::json(self, bytes_max)
    }
}

impl From<&serde_json::Value> for Value {
    /// Recurses as deep as `json` is nested.
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(*bool),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(name, value)| (Arc::from(name.as_str()), Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(list)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

/// A shared list.
#[derive(Clone, Default)]
pub struct List(Rc<Cell<Vec<Value>>>);

/// A shared map that keeps the order of its keys.
#[derive(Clone, Default)]
pub struct Map(Rc<Cell<IndexMap<Arc<str>, Value>>>);

impl List {
    /// The items, to read. Panics while [`List::items_mut`] is held.
    pub fn items(&self) -> Ref<'_, Vec<Value>> {
        self.0.0.borrow()
    }

    /// The items, to change. Panics while any other borrow is held.
    pub fn items_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.0.0.borrow_mut()
    }

    /// Whether both are the same list, not merely equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Map {
    /// The entries, to read. Panics while [`Map::entries_mut`] is held.
    pub fn entries(&self) -> Ref<'_, IndexMap<Arc<str>, Value>> {
        self.0.0.borrow()
    }

    /// The entries, to change. Panics while any other borrow is held.
    pub fn entries_mut(&self) -> RefMut<'_, IndexMap<Arc<str>, Value>> {
        self.0.0.borrow_mut()
    }

    /// Whether both are the same map, not merely equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// A copy of the value of `key`.
    pub fn find(&self, key: &str) -> Option<Value> {
        self.entries().get(key).cloned()
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self(Rc::new(Cell(RefCell::new(items.into_iter().collect()))))
    }
}

impl FromIterator<(Arc<str>, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(entries: I) -> Self {
        Self(Rc::new(Cell(RefCell::new(entries.into_iter().collect()))))
    }
}

// A list may hold itself, so only sizes are shown.
impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} items)", self.items().len())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} entries)", self.entries().len())
    }
}

/// The inside of a list or map, which is dropped without recursion: a template
/// can nest lists deeper than the stack is.
struct Cell<T: Contents>(RefCell<T>);

impl<T: Contents> Default for Cell<T> {
    fn default() -> Self {
        Self(RefCell::new(T::default()))
    }
}

impl<T: Contents> Drop for Cell<T> {
    fn drop(&mut self) {
        let mut pending = Vec::new();
        self.0.get_mut().move_containers(&mut pending);
        while let Some(value) = pending.pop() {
            match value {
                Value::List(List(mut list)) => {
                    if let Some(cell) = Rc::get_mut(&mut list) {
                        cell.0.get_mut().move_containers(&mut pending);
                    }
                }
                Value::Entry(Map(mut map)) | Value::Map(Map(mut map)) => {
                    if let Some(cell) = Rc::get_mut(&mut map) {
                        cell.0.get_mut().move_containers(&mut pending);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What can be inside a [`Cell`].
trait Contents: Default {
    /// Moves all lists and maps out to `pending`.
    fn move_containers(&mut self, pending: &mut Vec<Value>);
}

impl Contents for Vec<Value> {
    fn move_containers(&mut self, pending: &mut Vec<Value>) {
        pending.extend(self.drain(..).filter(is_container));
    }
}

impl Contents for IndexMap<Arc<str>, Value> {
    fn move_containers(&mut self, pending: &mut Vec<Value>) {
        pending.extend(self.drain(..).map(|(_, value)| value).filter(is_container));
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Entry(_) | Value::List(_) | Value::Map(_))
}
