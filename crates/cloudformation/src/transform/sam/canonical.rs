//! Values as JSON text with sorted keys: what SAM hashes into logical ids, and
//! what definitions of state machines become.

use api_model::{Entry, Node, Value};
use sha1::{Digest, Sha1};

use super::build;
use crate::function;
use crate::transform::Context;

/// The ten digits that SAM appends to a logical id to tell values apart.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha1::digest(text.as_bytes());
    digest.iter().take(HASH_CHARS / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// Length of the hash in a logical id.
pub(super) const HASH_CHARS: usize = 10;

/// Most bytes of parameter values that [`resolve`] writes; what SAM hashes is
/// far smaller.
const RESOLVED_BYTES_MAX: usize = 1 << 20;

/// A value with those of parameters in place of references to them, as SAM
/// sees it when it makes a logical id.
pub(super) fn resolve(node: &Node, context: &Context) -> Node {
    let mut room = RESOLVED_BYTES_MAX;
    resolve_within(node, context, &mut room)
}

/// Recursion is bounded by the depth of the tree.
fn resolve_within(node: &Node, context: &Context, room: &mut usize) -> Node {
    let mut parameter = |name: &str| {
        let text = match context.parameters.get(name) {
            Some(value) => value.as_text()?.into_owned(),
            None if name == "AWS::Region" => context.names.region.clone(),
            None => return None,
        };
        *room = room.checked_sub(text.len())?;
        Some(text)
    };
    if let Some(call) = function::call(node)
        && let Value::String(text) = &call.argument.value
    {
        if call.name == "Ref"
            && let Some(value) = parameter(text)
        {
            return build::text(value, node.span);
        }
        if call.name == "Fn::Sub" {
            return build::call("Fn::Sub", build::text(substitute(text, parameter), node.span));
        }
    }
    let value = match &node.value {
        Value::List(items) => {
            Value::List(items.iter().map(|item| resolve_within(item, context, room)).collect())
        }
        Value::Map(entries) => {
            let resolve = |entry: &Entry| Entry {
                key: entry.key.clone(),
                key_span: entry.key_span,
                value: resolve_within(&entry.value, context, room),
            };
            Value::Map(entries.iter().map(resolve).collect())
        }
        other => other.clone(),
    };
    Node::new(value, node.span)
}

/// The text of an `Fn::Sub` with the values of parameters in it.
fn substitute(text: &str, mut parameter: impl FnMut(&str) -> Option<String>) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        made.push_str(&rest[..start]);
        match parameter(&rest[start + 2..start + length]) {
            Some(value) => made.push_str(&value),
            None => made.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    made.push_str(rest);
    made
}

/// A value without white space.
pub(super) fn compact(node: &Node) -> String {
    let mut text = String::new();
    write(node, &mut text);
    text
}

/// Recursion is bounded by the depth of the tree.
fn write(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null | Value::Unresolved => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<&Entry> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (at, entry) in sorted.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_text(&entry.key, out);
                out.push(':');
                write(&entry.value, out);
            }
            out.push('}');
        }
    }
}

/// A JSON string in ASCII.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use api_model::{Position, Span};

    use super::*;
    use crate::transform::build::{entry, list, map};

    #[test]
    fn values_are_written_as_sam_writes_them() {
        let start = Position { line: 1, column: 1 };
        let span = Span { file: 0, start, end: start };
        let node = map(
            [
                entry("b", list([build::text("é😀\u{7f}\"", span), map([], span)], span)),
                entry("a", Node::new(Value::Bool(true), span)),
            ],
            span,
        );
        let want = r#"{"a":true,"b":["\u00e9\ud83d\ude00\u007f\"",{}]}"#;
        assert_eq!(compact(&node), want);
        assert_eq!(hash("abc"), "a9993e3647");
    }
}
