//! The transform [`AWS::LanguageExtensions`]: loops are unrolled, and functions
//! are worked out where CloudFormation alone takes names only.
//!
//! `Fn::Length`, `Fn::ToJsonString` and what `Fn::FindInMap` gains need no
//! rewriting: the resolver takes them when the transform is named.
//!
//! [`AWS::LanguageExtensions`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html

use std::collections::{BTreeMap, HashMap};

use api_model::{Diagnostic, Diagnostics, Entry, Node, Severity, Span, Value};

use crate::condition;
use crate::document::Budget;
use crate::lines::Lines;
use crate::resolve::{Resolver, Room, Scope};
use crate::template::kind;
use crate::transform::Context;
use crate::{codes, function, stack};

mod foreach;
mod substitute;

use substitute::Variable;

/// The transform as a template names it.
pub(crate) const NAME: &str = "AWS::LanguageExtensions";

/// What to do about functions of the transform in a template without it.
pub(crate) const HINT: &str = "add `Transform: AWS::LanguageExtensions` to the template";

/// The sections in which the transform works, in the order in which it does:
/// what a loop makes of `Conditions` decides `Fn::If` elsewhere.
const SECTIONS: [&str; 3] = ["Conditions", "Resources", "Outputs"];

/// Rewrites what the language extensions add to templates.
pub(super) fn expand(root: &mut Node, context: &Context, diagnostics: &mut Diagnostics) {
    let [mut conditions, mut resources, mut outputs] = SECTIONS.map(|name| take(root, name));
    let logical_ids: Vec<String> =
        resources.entries().iter().map(|entry| entry.key.clone()).collect();
    let exports = BTreeMap::new();
    let mut scope = Scope {
        names: context.names.clone(),
        lines: Lines::new(""),
        parameters: parameters(root, context),
        secrets: Vec::new(),
        mappings: stack::index_mappings(root.find("Mappings").map_or(&[], Node::entries)),
        conditions: HashMap::new(),
        index: logical_ids.iter().map(|name| (name.as_str(), 0)).collect(),
        slots: Vec::new(),
        exports: &exports,
        room: Room::new(),
        has_language_extensions: true,
    };
    let mut budget = Budget::default();
    budget = Expander::new(&scope, diagnostics, budget, SECTIONS[0]).section(&mut conditions);
    // Whatever is wrong with a condition is reported when the stack is built.
    condition::evaluate(conditions.entries(), &mut scope, &mut Diagnostics::default());
    budget = Expander::new(&scope, diagnostics, budget, SECTIONS[1]).section(&mut resources);
    Expander::new(&scope, diagnostics, budget, SECTIONS[2]).section(&mut outputs);
    drop(scope);
    for (name, section) in SECTIONS.into_iter().zip([conditions, resources, outputs]) {
        if let Some(place) = find_mut(root, name) {
            *place = section;
        }
    }
}

/// Values of all parameters; what may not become part of a name is unresolved.
fn parameters<'a>(root: &'a Node, context: &Context) -> HashMap<&'a str, Node> {
    let declared = root.find("Parameters").map_or(&[][..], Node::entries);
    let value = |entry: &Entry| match context.parameters.get(&entry.key) {
        Some(value) => value.clone(),
        None => Node::new(Value::Unresolved, entry.key_span),
    };
    declared.iter().map(|entry| (entry.key.as_str(), value(entry))).collect()
}

/// Reports and removes what only the transform gives a meaning.
pub(super) fn refuse(root: &mut Node, diagnostics: &mut Diagnostics) {
    for name in SECTIONS {
        if let Some(section) = find_mut(root, name) {
            foreach::refuse(section, diagnostics);
        }
    }
    for resource in root.find("Resources").map_or(&[][..], Node::entries) {
        for name in POLICIES {
            if let Some(node) = resource.value.find(name)
                && function::call(node).is_some()
            {
                let message = format!("a function in `{name}` needs the transform `{NAME}`");
                diagnostics
                    .error(codes::TRANSFORM, node.span, message)
                    .at(&resource.key, name)
                    .hint(HINT);
            }
        }
    }
}

/// Most members of a section with loops: CloudFormation accepts 500 resources.
const MEMBERS_MAX: usize = 500;

/// The attributes of a resource that say what becomes of it.
const POLICIES: [&str; 2] = ["DeletionPolicy", "UpdateReplacePolicy"];

/// What those attributes may say.
const POLICY_VALUES: [&str; 4] = ["Delete", "Retain", "RetainExceptOnCreate", "Snapshot"];

/// The value of a section; an empty value stays in its place.
fn take(root: &mut Node, name: &str) -> Node {
    let empty = Node::new(Value::Null, root.span);
    match find_mut(root, name) {
        Some(section) => std::mem::replace(section, empty),
        None => empty,
    }
}

fn find_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
        }
        _ => None,
    }
}

/// What a function gives before there are resources.
enum Evaluated {
    /// A value.
    Value(Node),
    /// `AWS::NoValue`.
    Nothing,
    /// Nothing that is known here; reported.
    Unknown,
}

/// Rewrites one section.
struct Expander<'s, 'a> {
    scope: &'s Scope<'a>,
    diagnostics: &'s mut Diagnostics,
    budget: Budget,
    /// The name of the section.
    section: &'static str,
    /// Whether a bound was reached; reported.
    is_full: bool,
}

impl<'s, 'a> Expander<'s, 'a> {
    fn new(
        scope: &'s Scope<'a>,
        diagnostics: &'s mut Diagnostics,
        budget: Budget,
        section: &'static str,
    ) -> Self {
        Self { scope, diagnostics, budget, section, is_full: false }
    }

    /// Rewrites a section; what is left of the budget is for the next one.
    fn section(mut self, section: &mut Node) -> Budget {
        let span = section.span;
        if let Value::Map(entries) = &mut section.value {
            let had_loops = entries.iter().any(foreach::is_loop);
            self.members(entries, &mut Vec::new());
            if had_loops && entries.len() > MEMBERS_MAX {
                let message =
                    format!("loops make more than {MEMBERS_MAX} members of `{}`", self.section);
                self.report_full(span, message);
                entries.clear();
            }
            for entry in entries {
                self.attributes(entry);
            }
        }
        self.budget
    }

    /// Works out the functions in attributes of a resource or output.
    fn attributes(&mut self, entry: &mut Entry) {
        let Value::Map(attributes) = &mut entry.value.value else {
            return;
        };
        if self.section == "Conditions" {
            return;
        }
        attributes.retain_mut(|attribute| {
            let name = attribute.key.as_str();
            let is_policy = POLICIES.contains(&name);
            if !is_policy && name != "Condition" && name != "DependsOn" {
                return true;
            }
            if name == "DependsOn"
                && let Value::List(items) = &mut attribute.value.value
            {
                items.retain_mut(|item| self.literal(item));
                return true;
            }
            let had_function = function::call(&attribute.value).is_some();
            let is_kept = self.literal(&mut attribute.value);
            let text = attribute.value.as_text();
            if is_policy
                && had_function
                && is_kept
                && text.is_some_and(|text| !POLICY_VALUES.contains(&&*text))
            {
                let message = format!("`{}` takes no such value", attribute.key);
                self.error(codes::ARGUMENTS, attribute.value.span, message)
                    .hint(format!("give one of: {}", POLICY_VALUES.join(", ")));
            }
            is_kept
        });
    }

    /// Puts the text that a function gives in its place; false if it gives
    /// `AWS::NoValue`.
    fn literal(&mut self, node: &mut Node) -> bool {
        if function::call(node).is_none() {
            return true;
        }
        match self.evaluate(node) {
            Evaluated::Nothing => return false,
            Evaluated::Unknown => node.value = Value::Unresolved,
            Evaluated::Value(value) => match value.as_text() {
                Some(text) => node.value = Value::String(text.into_owned()),
                None => {
                    let message = format!("this must give a string, and it gives {}", kind(&value));
                    self.error(codes::ARGUMENTS, node.span, message);
                    node.value = Value::Unresolved;
                }
            },
        }
        true
    }

    /// Works out a function that may refer to parameters only.
    fn evaluate(&mut self, node: &Node) -> Evaluated {
        let since = self.diagnostics.list.len();
        let resolved =
            Resolver::for_condition(self.scope, self.diagnostics, self.section.to_owned())
                .resolve(node);
        match resolved {
            None => Evaluated::Nothing,
            Some(value) if value.holds_unresolved() => {
                let is_error = |one: &Diagnostic| one.severity == Severity::Error;
                if !self.diagnostics.list[since..].iter().any(is_error) {
                    let message = "this depends on a value that is not known while loops are unrolled: secret parameters and those from SSM are not";
                    self.error(codes::UNKNOWN_VALUE, node.span, message)
                        .hint("use a parameter that is neither, and give it a value");
                }
                Evaluated::Unknown
            }
            Some(value) => Evaluated::Value(value),
        }
    }

    /// Rewrites the members of a mapping: keys, values and loops.
    fn members(&mut self, entries: &mut Vec<Entry>, variables: &mut Vec<Variable>) {
        if variables.is_empty() && !entries.iter().any(foreach::is_loop) {
            entries.iter_mut().for_each(|entry| self.value(&mut entry.value, variables));
            return;
        }
        let mut out = foreach::Members::new(entries);
        for mut entry in std::mem::take(entries) {
            if foreach::is_loop(&entry) {
                self.unroll(&entry, variables, &mut out);
            } else {
                self.substitute(&mut entry.key, entry.key_span, variables, None);
                self.value(&mut entry.value, variables);
                self.add(entry, &mut out);
            }
        }
        *entries = out.entries;
    }

    /// Rewrites a value; recursion is bounded by the depth of the tree.
    fn value(&mut self, node: &mut Node, variables: &mut Vec<Variable>) {
        let span = node.span;
        match &mut node.value {
            Value::String(text) => {
                let mut text = std::mem::take(text);
                self.substitute(&mut text, span, variables, None);
                node.value = Value::String(text);
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.value(item, variables)),
            Value::Map(entries) => {
                let made = match entries.as_mut_slice() {
                    [entry] if entry.key == "Ref" => self.reference(&mut entry.value, variables),
                    [entry] if entry.key == "Fn::Sub" => self.sub(&mut entry.value, variables),
                    [entry] if entry.key == "Fn::GetAtt" => {
                        self.get_att(&mut entry.value, variables);
                        None
                    }
                    _ => {
                        self.members(entries, variables);
                        None
                    }
                };
                if let Some(text) = made {
                    *node = Node::new(Value::String(text), span);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Unresolved => {}
        }
    }

    /// The argument of `Ref`; the text that takes the place of the call if it
    /// names a variable.
    fn reference(&mut self, name: &mut Node, variables: &mut Vec<Variable>) -> Option<String> {
        self.value(name, variables);
        if function::call(name).is_some() {
            self.name(name);
        }
        let Value::String(name) = &name.value else {
            return None;
        };
        variables.iter().find(|variable| variable.name == *name).map(|found| found.value.clone())
    }

    /// The arguments of `Fn::GetAtt`.
    fn get_att(&mut self, arguments: &mut Node, variables: &mut Vec<Variable>) {
        self.value(arguments, variables);
        if let Value::List(items) = &mut arguments.value
            && let Some(owner) = items.first_mut()
            && function::call(owner).is_some()
        {
            self.name(owner);
        }
    }

    /// The name that a function gives where only names may stand.
    fn name(&mut self, node: &mut Node) {
        if !self.literal(node) {
            let message = "`AWS::NoValue` is no name";
            self.error(codes::ARGUMENTS, node.span, message);
            node.value = Value::Unresolved;
        }
    }

    /// The arguments of `Fn::Sub`; the text that takes the place of the call if
    /// nothing is left to insert.
    fn sub(&mut self, arguments: &mut Node, variables: &mut Vec<Variable>) -> Option<String> {
        if let Value::List(items) = &mut arguments.value
            && let [text, own] = items.as_mut_slice()
        {
            if let Value::String(pattern) = &mut text.value {
                let mut pattern = std::mem::take(pattern);
                self.substitute(&mut pattern, text.span, variables, Some(own));
                text.value = Value::String(pattern);
            }
            if let Value::Map(own) = &mut own.value {
                own.iter_mut().for_each(|entry| self.value(&mut entry.value, variables));
            }
            return None;
        }
        self.value(arguments, variables);
        match &arguments.value {
            Value::String(text) if !variables.is_empty() && !text.contains("${") => {
                Some(text.clone())
            }
            _ => None,
        }
    }

    fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let finding = self.diagnostics.error(code, span, message);
        finding.property = Some(self.section.to_owned());
        finding
    }

    /// Reports once that a bound is reached.
    fn report_full(&mut self, span: Span, message: impl Into<String>) {
        if !std::mem::replace(&mut self.is_full, true) {
            self.error(codes::TOO_LARGE, span, message)
                .hint("CloudFormation accepts 1 MB and 500 resources at most");
        }
    }

    /// Takes room for a copy of a value; reports once that there is none.
    fn take_copy(&mut self, node: &Node) -> bool {
        let fits = self.budget.take_copy(node);
        if !fits {
            let message = "the template grows beyond what is read when loops are unrolled";
            self.report_full(node.span, message);
        }
        fits && !self.is_full
    }
}
