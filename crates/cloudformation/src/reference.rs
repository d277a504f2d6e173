//! Which resources a value refers to.

use std::collections::{HashMap, HashSet};

use api_model::{Node, Value};

use crate::function::{self, Piece};

/// Calls `found` with every name that `Ref`, `Fn::GetAtt` and `Fn::Sub` mention,
/// leaving out the branches of `Fn::If` that are not taken.
pub(crate) fn collect(
    node: &Node,
    conditions: &HashMap<&str, Option<bool>>,
    found: &mut impl FnMut(&str),
) {
    if let Some(call) = function::call(node) {
        match (call.name, &call.argument.value) {
            ("Ref", Value::String(name)) => found(name),
            ("Fn::GetAtt", _) => {
                if let Some(owner) = function::attribute_owner(call.argument) {
                    found(owner);
                }
            }
            ("Fn::Sub", _) => collect_sub(call.argument, found),
            ("Fn::If", Value::List(items)) => {
                if let [condition, yes, no] = items.as_slice() {
                    let name = condition.as_text().unwrap_or_default();
                    match conditions.get(&*name).copied().flatten() {
                        Some(true) => collect(yes, conditions, found),
                        Some(false) => collect(no, conditions, found),
                        None => {
                            collect(yes, conditions, found);
                            collect(no, conditions, found);
                        }
                    }
                    return;
                }
            }
            _ => {}
        }
    }
    node.items().iter().for_each(|item| collect(item, conditions, found));
    node.entries().iter().for_each(|entry| collect(&entry.value, conditions, found));
}

fn collect_sub(argument: &Node, found: &mut impl FnMut(&str)) {
    let Some((text, variables)) = function::sub_parts(argument) else {
        return;
    };
    let variables: HashSet<&str> = (variables.map(Node::entries).unwrap_or_default().iter())
        .map(|entry| entry.key.as_str())
        .collect();
    for piece in function::sub_pieces(text) {
        if let Piece::Name(name) = piece
            && !variables.contains(name)
        {
            found(name.split_once('.').map_or(name, |(owner, _)| owner));
        }
    }
}
