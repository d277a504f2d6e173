//! Values made by a transform; each takes the place of what it was made from.

use api_model::{Entry, Node, Span, Value};

/// A string.
pub(super) fn text(text: impl Into<String>, span: Span) -> Node {
    Node::new(Value::String(text.into()), span)
}

/// A list.
pub(super) fn list(items: impl IntoIterator<Item = Node>, span: Span) -> Node {
    Node::new(Value::List(items.into_iter().collect()), span)
}

/// A mapping.
pub(super) fn map(entries: impl IntoIterator<Item = Entry>, span: Span) -> Node {
    Node::new(Value::Map(entries.into_iter().collect()), span)
}

/// A member whose key stands where its value does.
pub(super) fn entry(key: impl Into<String>, value: Node) -> Entry {
    Entry { key: key.into(), key_span: value.span, value }
}

/// A function call: a mapping of one member.
pub(super) fn call(name: &str, argument: Node) -> Node {
    let span = argument.span;
    map([entry(name, argument)], span)
}

/// `Ref`.
pub(super) fn reference(name: &str, span: Span) -> Node {
    call("Ref", text(name, span))
}

/// `Fn::GetAtt`.
pub(super) fn attribute(logical_id: &str, name: &str, span: Span) -> Node {
    call("Fn::GetAtt", list([text(logical_id, span), text(name, span)], span))
}
