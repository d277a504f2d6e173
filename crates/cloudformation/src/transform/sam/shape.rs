//! The kinds of values that SAM wants for its properties.

use api_model::{Node, Value};

use super::{Expansion, Source};
use crate::document::excerpt;
use crate::{function, template};

/// What a property must be; a function is always allowed.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// `true` or `false`.
    Flag,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// A mapping whose values are mappings.
    Maps,
    /// A string.
    Text,
    /// A string or a list.
    TextOrList,
    /// A string or a mapping.
    TextOrMap,
    /// A string, a mapping or a list.
    TextMapOrList,
}

impl Shape {
    fn fits(self, node: &Node) -> bool {
        if node.is_unresolved() || function::call(node).is_some() {
            return true;
        }
        matches!(
            (self, &node.value),
            (Self::Flag, Value::Bool(_))
                | (Self::Map | Self::Maps | Self::TextOrMap | Self::TextMapOrList, Value::Map(_))
                | (Self::List | Self::TextOrList | Self::TextMapOrList, Value::List(_))
                | (
                    Self::Text | Self::TextOrList | Self::TextOrMap | Self::TextMapOrList,
                    Value::String(_),
                )
        )
    }

    fn name(self) -> &'static str {
        match self {
            Self::Flag => "`true` or `false`",
            Self::List => "a list",
            Self::Map | Self::Maps => "a mapping",
            Self::Text => "a string",
            Self::TextOrList => "a string or a list",
            Self::TextOrMap => "a string or a mapping",
            Self::TextMapOrList => "a string, a mapping or a list",
        }
    }
}

/// Reports the properties of another kind than `shapes` say.
pub(super) fn check(source: &Source<'_>, shapes: &[(&str, Shape)], out: &mut Expansion<'_>) {
    for (name, shape) in shapes {
        let Some(node) = source.property(name) else {
            continue;
        };
        check_value(source, name, node, *shape, out);
        if let (Shape::Maps, None) = (shape, function::call(node)) {
            for entry in node.entries() {
                let path = format!("{name}.{}", entry.key);
                check_value(source, &path, &entry.value, Shape::Map, out);
            }
        }
    }
}

fn check_value(
    source: &Source<'_>,
    path: &str,
    node: &Node,
    shape: Shape,
    out: &mut Expansion<'_>,
) {
    if !shape.fits(node) {
        let (wanted, kind) = (shape.name(), template::kind(node));
        let message = format!("`{}` must be {wanted}, and this is {kind}", excerpt(path));
        out.refuse(source, path, node.span, message);
    }
}
