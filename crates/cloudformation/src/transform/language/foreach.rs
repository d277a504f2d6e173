//! [`Fn::ForEach`]: a fragment for each item of a collection.
//!
//! [`Fn::ForEach`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Span, Value};

use super::substitute::{Variable, mentions};
use super::{Evaluated, Expander, HINT, NAME};
use crate::document::{excerpt, report_duplicate};
use crate::template::kind;
use crate::{codes, function};

/// What the key of a loop begins with; its name follows.
const PREFIX: &str = "Fn::ForEach::";

/// Most loops within each other; AWS's own limit.
const DEPTH_MAX: usize = 5;

/// Longest identifier, in bytes: each placeholder is compared with it.
const IDENTIFIER_BYTES_MAX: usize = 255;

/// Whether a member of a mapping is a loop.
pub(super) fn is_loop(entry: &Entry) -> bool {
    entry.key.starts_with("Fn::ForEach")
}

/// Reports and removes the loops of a template without the transform.
pub(super) fn refuse(node: &mut Node, diagnostics: &mut Diagnostics) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| refuse(item, diagnostics)),
        Value::Map(entries) => {
            entries.retain_mut(|entry| {
                if is_loop(entry) {
                    let message = format!("`Fn::ForEach` needs the transform `{NAME}`");
                    diagnostics.error(codes::TRANSFORM, entry.key_span, message).hint(HINT);
                    return false;
                }
                refuse(&mut entry.value, diagnostics);
                true
            });
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Unresolved => {}
    }
}

/// The members of a mapping whose loops are being unrolled.
pub(super) struct Members {
    pub(super) entries: Vec<Entry>,
    /// Where each key was first written.
    places: HashMap<String, Span>,
}

impl Members {
    /// For a mapping that is written with these members.
    pub(super) fn new(written: &[Entry]) -> Self {
        Self { entries: Vec::with_capacity(written.len()), places: HashMap::new() }
    }
}

/// One loop as it is written.
struct Loop<'n> {
    identifier: &'n str,
    collection: &'n Node,
    fragment: &'n [Entry],
}

impl Expander<'_, '_> {
    /// Adds a member; false, and reported, if there is one of that key.
    pub(super) fn add(&mut self, entry: Entry, out: &mut Members) -> bool {
        if let Some(first) = out.places.get(&entry.key) {
            if *first == entry.key_span {
                let message = format!("this loop makes key `{}` twice", excerpt(&entry.key));
                self.diagnostics
                    .error(codes::DUPLICATE_KEY, entry.key_span, message)
                    .hint("name each item once, and the identifiers of all outer loops in the key");
            } else {
                report_duplicate(&entry.key, *first, entry.key_span, self.diagnostics);
            }
            return false;
        }
        out.places.insert(entry.key.clone(), entry.key_span);
        out.entries.push(entry);
        true
    }

    /// Adds what a loop makes; false when nothing more should be made.
    pub(super) fn unroll(
        &mut self,
        entry: &Entry,
        variables: &mut Vec<Variable>,
        out: &mut Members,
    ) -> bool {
        let Some(one) = self.read_loop(entry, variables) else {
            return true;
        };
        let Some(values) = self.collection(one.collection, variables) else {
            return true;
        };
        for value in values {
            variables.push(Variable { name: one.identifier.to_owned(), value });
            let goes_on = self.turn(&one, entry.key_span, variables, out);
            variables.pop();
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Adds what one turn of a loop makes.
    fn turn(
        &mut self,
        one: &Loop<'_>,
        span: Span,
        variables: &mut Vec<Variable>,
        out: &mut Members,
    ) -> bool {
        for member in one.fragment {
            if is_loop(member) {
                if !self.unroll(member, variables, out) {
                    return false;
                }
                continue;
            }
            if !self.take_copy(&member.value) {
                return false;
            }
            let mut made = member.clone();
            self.substitute(&mut made.key, member.key_span, variables, None);
            self.value(&mut made.value, variables);
            if !self.add(made, out) {
                return false;
            }
        }
        // A turn that makes nothing costs time too.
        self.take_copy(&Node::new(Value::Null, span))
    }

    /// The parts of a loop; what is wrong with them is reported.
    fn read_loop<'n>(&mut self, entry: &'n Entry, variables: &[Variable]) -> Option<Loop<'n>> {
        let name = entry.key.strip_prefix(PREFIX).unwrap_or_default();
        if name.is_empty() || !is_alphanumeric(name) {
            self.error(
                codes::ARGUMENTS,
                entry.key_span,
                "a loop needs a name of letters and digits",
            )
            .hint(format!("write `{PREFIX}Name`"));
            return None;
        }
        if variables.len() >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} loops within each other");
            self.error(codes::TOO_LARGE, entry.key_span, message);
            return None;
        }
        let [identifier, collection, fragment] = entry.value.items() else {
            let message = "`Fn::ForEach` takes an identifier, a collection and a mapping";
            self.error(codes::ARGUMENTS, entry.key_span, message)
                .hint("write `[Identifier, [One, Two], {\"Key${Identifier}\": value}]`");
            return None;
        };
        let identifier = self.read_identifier(identifier, variables)?;
        let Value::Map(members) = &fragment.value else {
            let message = format!(
                "the third argument of `Fn::ForEach` must be a mapping, and this is {}",
                kind(fragment)
            );
            self.error(codes::ARGUMENTS, fragment.span, message);
            return None;
        };
        if function::call(fragment).is_some_and(|call| !call.name.starts_with(PREFIX)) {
            let message =
                "the third argument of `Fn::ForEach` must be a mapping, and this is a function";
            self.error(codes::ARGUMENTS, fragment.span, message);
            return None;
        }
        for member in members.iter().filter(|member| !is_loop(member)) {
            if !mentions(&member.key, identifier) {
                let message = format!(
                    "key `{}` does not hold the identifier, so each turn would make the same key",
                    excerpt(&member.key)
                );
                self.diagnostics
                    .error(codes::ARGUMENTS, member.key_span, message)
                    .hint(format!("write `{}${{{identifier}}}`", excerpt(&member.key)));
                return None;
            }
        }
        Some(Loop { identifier, collection, fragment: members })
    }

    fn read_identifier<'n>(&mut self, node: &'n Node, variables: &[Variable]) -> Option<&'n str> {
        let Value::String(name) = &node.value else {
            let message =
                format!("the identifier of a loop must be a string, and this is {}", kind(node));
            self.error(codes::ARGUMENTS, node.span, message);
            return None;
        };
        if name.is_empty() || name.len() > IDENTIFIER_BYTES_MAX || !is_alphanumeric(name) {
            let message = format!("`{}` is no identifier", excerpt(name));
            self.error(codes::ARGUMENTS, node.span, message).hint("use letters and digits only");
            return None;
        }
        let taken = if variables.iter().any(|variable| variable.name == *name) {
            "of an outer loop"
        } else if self.scope.parameters.contains_key(name.as_str()) {
            "of a parameter"
        } else if self.scope.index.contains_key(name.as_str()) {
            "of a resource"
        } else {
            return Some(name);
        };
        let message =
            format!("`{}` is also the name {taken}, so `Ref` could mean either", excerpt(name));
        self.error(codes::LOGICAL_ID, node.span, message).hint("rename the identifier");
        None
    }

    /// The items of a collection.
    fn collection(&mut self, node: &Node, variables: &mut Vec<Variable>) -> Option<Vec<String>> {
        if !self.take_copy(node) {
            return None;
        }
        let mut written = node.clone();
        self.value(&mut written, variables);
        let items = match self.evaluate(&written) {
            Evaluated::Unknown => return None,
            Evaluated::Value(Node { value: Value::List(items), .. }) => items,
            other => {
                let kind =
                    if let Evaluated::Value(value) = &other { kind(value) } else { "nothing" };
                let message =
                    format!("the collection of a loop must be a list, and this is {kind}");
                self.error(codes::ARGUMENTS, node.span, message)
                    .hint("write the items, or !Ref of a CommaDelimitedList parameter");
                return None;
            }
        };
        let mut values = Vec::with_capacity(items.len());
        for item in &items {
            let Some(text) = item.as_text() else {
                let message = format!(
                    "the collection of a loop holds strings only, and this is {}",
                    kind(item)
                );
                self.error(codes::ARGUMENTS, item.span, message);
                return None;
            };
            values.push(text.into_owned());
        }
        Some(values)
    }
}

fn is_alphanumeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
