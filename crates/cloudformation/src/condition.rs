//! `Conditions`: which of them hold.

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Value};

use crate::document::excerpt;
use crate::resolve::{Resolver, Scope};
use crate::{codes, function, order};

/// Decides all conditions, each after those it depends on, and leaves the
/// result in the scope; what cannot be decided is `None`.
pub(crate) fn evaluate<'a>(
    entries: &'a [Entry],
    scope: &mut Scope<'a>,
    diagnostics: &mut Diagnostics,
) {
    let index: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let dependencies: Vec<Vec<usize>> = entries
        .iter()
        .map(|entry| {
            let mut found = Vec::new();
            collect(&entry.value, &mut |name| found.extend(index.get(name).copied()));
            found
        })
        .collect();
    let order = order::order(&dependencies);
    for circle in &order.circles {
        let first = &entries[circle[0]];
        let names = circle.iter().chain([&circle[0]]).map(|&at| entries[at].key.as_str());
        let message = format!("conditions depend on each other in a circle: {}", chain(names));
        let finding = diagnostics.error(codes::CIRCULAR_CONDITION, first.key_span, message);
        finding.property = Some(format!("Conditions.{}", first.key));
        finding.hint("let one of them compare parameters only");
    }
    // Known, but not decided yet: so that a name in a circle is no unknown name.
    scope.conditions.extend(entries.iter().map(|entry| (entry.key.as_str(), None)));
    for at in order.sequence {
        let entry = &entries[at];
        let path = format!("Conditions.{}", entry.key);
        let value = Resolver::for_condition(scope, diagnostics, path).condition(&entry.value);
        scope.conditions.insert(&entry.key, value);
    }
}

/// Names joined by arrows, shortened in the middle of a long chain.
pub(crate) fn chain<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.map(excerpt).collect();
    if names.len() > CHAIN_NAMES_MAX {
        let tail = names.split_off(names.len() - 2);
        names.truncate(CHAIN_NAMES_MAX - 3);
        names.push("…".to_owned());
        names.extend(tail);
    }
    names.join(" → ")
}

/// Most names of a circle in one message.
const CHAIN_NAMES_MAX: usize = 12;

/// Calls `found` with every condition that an expression mentions.
fn collect(node: &Node, found: &mut impl FnMut(&str)) {
    if let [entry] = node.entries() {
        if let ("Condition", Value::String(name)) = (entry.key.as_str(), &entry.value.value) {
            found(name);
        }
        if let ("Fn::If", [condition, ..]) = (entry.key.as_str(), entry.value.items())
            && let Value::String(name) = &condition.value
        {
            found(name);
        }
    }
    node.items().iter().for_each(|item| collect(item, found));
    node.entries().iter().for_each(|entry| collect(&entry.value, found));
}

/// The functions that decide something.
pub(crate) fn is_condition_function(name: &str) -> bool {
    matches!(name, "Fn::And" | "Fn::Equals" | "Fn::Not" | "Fn::Or")
}

impl Resolver<'_, '_> {
    /// What a condition expression says; `None` when it cannot be known.
    pub(crate) fn condition(&mut self, node: &Node) -> Option<bool> {
        if let Value::Unresolved = node.value {
            return None;
        }
        if let [entry] = node.entries()
            && entry.key == "Condition"
        {
            return self.named_condition(&entry.value);
        }
        let Some(call) = function::call(node) else {
            self.error(codes::ARGUMENTS, node.span, "a condition is expected here")
                .hint("write one of !Equals, !And, !Or, !Not or !Condition");
            return None;
        };
        let arguments = call.argument;
        match call.name {
            "Fn::Equals" => self.equals(arguments),
            "Fn::Not" => self.operands(arguments, 1, 1)?.first().copied().flatten().map(|b| !b),
            "Fn::And" => {
                let operands = self.operands(arguments, 2, 10)?;
                combine(&operands, false)
            }
            "Fn::Or" => {
                let operands = self.operands(arguments, 2, 10)?;
                combine(&operands, true)
            }
            "Fn::If" => match arguments.items() {
                [name, yes, no] => {
                    let branch = if self.named_condition(name)? { yes } else { no };
                    self.condition(branch)
                }
                _ => {
                    let message = "`Fn::If` takes a condition name and two values";
                    self.error(codes::ARGUMENTS, arguments.span, message);
                    None
                }
            },
            name => {
                let message = format!("`{}` is no condition", excerpt(name));
                self.error(codes::ARGUMENTS, node.span, message)
                    .hint("compare it: !Equals [value, other]");
                None
            }
        }
    }

    /// Whether the condition that `node` names holds.
    pub(crate) fn named_condition(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::String(name) => self.look_up_condition(name, node.span),
            Value::Unresolved => None,
            _ => {
                let message = "the name of a condition must be a string";
                self.error(codes::ARGUMENTS, node.span, message);
                None
            }
        }
    }

    fn equals(&mut self, arguments: &Node) -> Option<bool> {
        let [left, right] = arguments.items() else {
            if !matches!(arguments.value, Value::Unresolved) {
                let message = "`Fn::Equals` takes a list of two values";
                self.error(codes::ARGUMENTS, arguments.span, message);
            }
            return None;
        };
        let (left, right) = (self.resolve(left)?, self.resolve(right)?);
        if left.is_unresolved() || right.is_unresolved() {
            return None;
        }
        Some(match (left.as_text(), right.as_text()) {
            (Some(left), Some(right)) => left == right,
            _ => left.to_json() == right.to_json(),
        })
    }

    fn operands(&mut self, list: &Node, min: usize, max: usize) -> Option<Vec<Option<bool>>> {
        let items = list.items();
        if !(min..=max).contains(&items.len()) {
            if !matches!(list.value, Value::Unresolved) {
                let message = if max == 1 {
                    "`Fn::Not` takes a list of one condition".to_owned()
                } else {
                    format!("this takes a list of {min} to {max} conditions")
                };
                self.error(codes::ARGUMENTS, list.span, message);
            }
            return None;
        }
        Some(items.iter().map(|item| self.condition(item)).collect())
    }
}

/// Whether any operand is `wanted` (`Fn::Or`: true, `Fn::And`: false); what is
/// unknown decides nothing.
fn combine(operands: &[Option<bool>], decisive: bool) -> Option<bool> {
    if operands.contains(&Some(decisive)) {
        Some(decisive)
    } else if operands.contains(&None) {
        None
    } else {
        Some(!decisive)
    }
}
