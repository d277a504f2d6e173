//! The intrinsic functions as they are written.

use api_model::{Node, Value};

/// A function call: `{Ref: x}`, `{Fn::Name: x}`.
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) argument: &'a Node,
}

/// The call that a value is, if it is one.
pub(crate) fn call(node: &Node) -> Option<Call<'_>> {
    let [entry] = node.entries() else {
        return None;
    };
    let is_call = entry.key == "Ref" || entry.key.starts_with("Fn::");
    is_call.then_some(Call { name: &entry.key, argument: &entry.value })
}

/// The functions that are evaluated here.
pub(crate) const FUNCTIONS: [&str; 17] = [
    "Ref",
    "Fn::And",
    "Fn::Base64",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Length",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
];

/// A piece of an `Fn::Sub` text.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// The inside of `${…}`.
    Name(&'a str),
}

/// The pieces of an [`Fn::Sub`] text: `${!x}` is the text `${x}`, and a `${`
/// that nothing closes is text too.
///
/// [`Fn::Sub`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-sub.html
pub(crate) fn sub_pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let inside = &rest[start + 2..];
        let Some(length) = inside.find('}') else {
            break;
        };
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let name = &inside[..length];
        if name.starts_with('!') {
            pieces.push(Piece::Text("${"));
            pieces.push(Piece::Text(&inside[1..=length]));
        } else {
            pieces.push(Piece::Name(name));
        }
        rest = &inside[length + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The text and the variables of an `Fn::Sub`, if it is well formed.
pub(crate) fn sub_parts(argument: &Node) -> Option<(&str, Option<&Node>)> {
    match &argument.value {
        Value::String(text) => Some((text, None)),
        Value::List(items) => match items.as_slice() {
            [Node { value: Value::String(text), .. }, variables]
                if matches!(variables.value, Value::Map(_)) && call(variables).is_none() =>
            {
                Some((text, Some(variables)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The resource of an `Fn::GetAtt`, if it is written as text.
pub(crate) fn attribute_owner(argument: &Node) -> Option<&str> {
    match &argument.value {
        Value::String(text) => text.split_once('.').map(|(owner, _)| owner),
        Value::List(items) => match &items.first()?.value {
            Value::String(owner) => Some(owner),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Piece::{Name, Text};
    use super::*;

    #[test]
    fn sub_text_is_cut_at_its_names() {
        assert_eq!(sub_pieces("a${B}c${D.E}"), [Text("a"), Name("B"), Text("c"), Name("D.E")]);
        assert_eq!(sub_pieces("${!x}$y"), [Text("${"), Text("x}"), Text("$y")]);
        assert_eq!(sub_pieces("$${A}${open"), [Text("$"), Name("A"), Text("${open")]);
        assert_eq!(sub_pieces(""), []);
    }
}
