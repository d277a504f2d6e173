//! The SAM transform: `AWS::Serverless::*` resources become what AWS makes of
//! them ([specification]), under the same generated logical ids.
//!
//! [specification]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html

use std::collections::HashSet;

use api_model::{Diagnostic, Diagnostics, Entry, Node, Span, Value};

use crate::codes;
use crate::document::{Budget, excerpt};
use crate::nearest::nearest;
use crate::transform::{Context, build};

mod canonical;
mod event;
mod function;
mod globals;
mod layer;
mod left_out;
mod location;
mod policy_template;
mod reference;
mod role;
mod state_machine;
mod table;
mod version;
mod websocket_api;

/// What every type of SAM begins with.
const PREFIX: &str = "AWS::Serverless::";

/// The types that are expanded.
const TYPES: [&str; 5] =
    ["Function", "LayerVersion", "SimpleTable", "StateMachine", "WebSocketApi"];

/// A resource of SAM with its `Globals`.
pub(super) struct Source<'a> {
    /// Its name in the template.
    pub(super) logical_id: &'a str,
    /// Where that name stands.
    pub(super) span: Span,
    /// The type without [`PREFIX`].
    pub(super) kind: &'a str,
    /// Its properties merged with those of `Globals`: always a mapping.
    pub(super) properties: Node,
    /// Everything beside `Type` and `Properties`: `Condition`, `DependsOn`, ….
    pub(super) attributes: Vec<Entry>,
}

impl Source<'_> {
    /// The property `name`, if it is given.
    pub(super) fn property(&self, name: &str) -> Option<&Node> {
        self.properties.find(name)
    }

    /// The attribute `name`, if it is given.
    pub(super) fn attribute(&self, name: &str) -> Option<&Node> {
        self.attribute_entry(name).map(|entry| &entry.value)
    }

    /// The attribute `name` with its key.
    pub(super) fn attribute_entry(&self, name: &str) -> Option<&Entry> {
        self.attributes.iter().find(|entry| entry.key == name)
    }

    /// What SAM hands down from a resource to all that it generates.
    pub(super) fn inherited(&self) -> Vec<Entry> {
        const NAMES: [&str; 3] = ["Condition", "DeletionPolicy", "UpdateReplacePolicy"];
        self.attributes.iter().filter(|entry| NAMES.contains(&&*entry.key)).cloned().collect()
    }
}

/// The resources of a template while SAM's are replaced.
///
/// Each type has a function `expand(source: &Source<'_>, out: &mut Expansion<'_>)`
/// that calls [`Expansion::add`] for what the resource becomes, in the order in
/// which it should stand in the template.
pub(super) struct Expansion<'c> {
    /// Parameters and names of the stack.
    pub(super) context: &'c Context,
    diagnostics: &'c mut Diagnostics,
    /// Logical ids of the template before the transform.
    declared: HashSet<String>,
    resources: Vec<Entry>,
    conditions: Vec<Entry>,
    references: reference::References,
    /// Logical ids of [`Self::resources`], to find those made twice.
    made: HashSet<String>,
    /// What [`Self::ignore_once`] has reported.
    ignored: HashSet<String>,
    budget: Budget,
    /// Whether [`Self::budget`] is used up; reported.
    is_full: bool,
}

impl Expansion<'_> {
    /// Adds a resource of the processed template. `attributes` is what stands
    /// beside `Type` and `Properties`; see [`Source::inherited`].
    pub(super) fn add(
        &mut self,
        source: &Source<'_>,
        logical_id: &str,
        resource_type: &str,
        properties: Vec<Entry>,
        attributes: Vec<Entry>,
    ) {
        let span = source.span;
        let is_taken = logical_id != source.logical_id && self.declared.contains(logical_id);
        if is_taken || !self.made.insert(logical_id.to_owned()) {
            let message = format!(
                "SAM makes `{}` of `{}`, and there is a resource of that name already",
                excerpt(logical_id),
                excerpt(source.logical_id)
            );
            self.diagnostics
                .error(codes::LOGICAL_ID, span, message)
                .at(source.logical_id, "")
                .hint("rename one of the two");
            return;
        }
        let mut members = vec![build::entry("Type", build::text(resource_type, span))];
        members.push(build::entry("Properties", build::map(properties, span)));
        members.extend(attributes);
        let value = build::map(members, span);
        if self.take(&value, span) {
            self.resources.push(Entry { key: logical_id.to_owned(), key_span: span, value });
        }
    }

    /// Adds a condition, unless the template has it.
    pub(super) fn add_condition(&mut self, name: &str, value: Node) {
        if !self.conditions.iter().any(|entry| entry.key == name) {
            self.conditions.push(build::entry(name, value));
        }
    }

    /// Lets `Ref: LogicalId.property` and its like mean `target`.
    pub(super) fn refer(&mut self, source: &Source<'_>, property: &str, target: &str) {
        self.references.add(source.logical_id, property, target);
    }

    /// Lets every reference to the resource mean `logical_id`.
    pub(super) fn rename(&mut self, source: &Source<'_>, logical_id: &str) {
        self.references.rename(source.logical_id, logical_id);
    }

    /// Whether no more can be added; loops over events or routes end then.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes room for a copy of `node`; reports once that there is none.
    fn take(&mut self, node: &Node, span: Span) -> bool {
        if !self.is_full && !self.budget.take_copy(node) {
            self.is_full = true;
            let message = "the template grows beyond what is read when SAM is expanded";
            self.diagnostics
                .error(codes::TOO_LARGE, span, message)
                .hint("CloudFormation accepts 1 MB and 500 resources at most");
        }
        !self.is_full
    }

    /// Reports what SAM refuses; `path` begins below the properties.
    pub(super) fn refuse(
        &mut self,
        source: &Source<'_>,
        path: &str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let finding = self.diagnostics.error(codes::SAM_REFUSED, span, message);
        finding.at(source.logical_id, property_path(path))
    }

    /// Reports what SAM accepts and nothing here serves.
    pub(super) fn ignore(
        &mut self,
        source: &Source<'_>,
        path: &str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let finding = self.diagnostics.warning(codes::SAM_IGNORED, span, message);
        finding.at(source.logical_id, property_path(path))
    }

    /// Like [`Self::ignore`], but once per template for each property.
    pub(super) fn ignore_once(
        &mut self,
        source: &Source<'_>,
        path: &str,
        span: Span,
        message: &str,
    ) {
        self.ignore_kind(path, source, path, span, message);
    }

    /// Like [`Self::ignore`], but once per template for each `kind`.
    pub(super) fn ignore_kind(
        &mut self,
        kind: &str,
        source: &Source<'_>,
        path: &str,
        span: Span,
        message: impl Into<String>,
    ) {
        if self.ignored.insert(kind.to_owned()) {
            self.ignore(source, path, span, message);
        }
    }

    /// Whether no resource of that name is there yet.
    pub(super) fn is_new(&self, logical_id: &str) -> bool {
        !self.declared.contains(logical_id) && !self.made.contains(logical_id)
    }

    /// Reports a property that does not exist; `path` begins below the
    /// properties of the resource.
    pub(super) fn unknown_property(
        &mut self,
        source: &Source<'_>,
        path: &str,
        entry: &Entry,
        message: String,
        known: &[&str],
    ) {
        let hint = nearest(&entry.key, known.iter().copied()).map_or_else(
            || format!("properties are {}", known.join(", ")),
            |near| format!("write `{near}`"),
        );
        self.diagnostics
            .error(codes::SAM_PROPERTY, entry.key_span, message)
            .at(source.logical_id, property_path(path))
            .hint(hint);
    }

    /// Reports properties that the type does not have.
    pub(super) fn check_properties(&mut self, source: &Source<'_>, known: &[&str]) {
        for entry in source.properties.entries() {
            if !known.contains(&entry.key.as_str()) {
                let (kind, name) = (source.kind, excerpt(&entry.key));
                let message = format!("`{PREFIX}{kind}` has no property `{name}`");
                self.unknown_property(source, &entry.key, entry, message, known);
            }
        }
    }
}

fn property_path(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("Properties.{path}") }
}

/// Replaces the SAM resources of a template, and what refers to them.
pub(super) fn expand(root: &mut Node, context: &Context, diagnostics: &mut Diagnostics) {
    let Value::Map(sections) = &mut root.value else {
        return;
    };
    let globals = globals::take(sections, diagnostics);
    let Some(resources) = sections.iter_mut().find(|section| section.key == "Resources") else {
        return;
    };
    let Value::Map(entries) = &mut resources.value.value else {
        return;
    };
    let entries = std::mem::take(entries);
    let mut out = Expansion {
        context,
        diagnostics,
        declared: entries.iter().map(|entry| entry.key.clone()).collect(),
        resources: Vec::with_capacity(entries.len()),
        conditions: Vec::new(),
        references: reference::References::default(),
        made: HashSet::new(),
        ignored: HashSet::new(),
        budget: Budget::default(),
        is_full: false,
    };
    for entry in entries {
        expand_resource(entry, &globals, &mut out);
    }
    let Expansion { resources: made, conditions, references, .. } = out;
    resources.value.value = Value::Map(made);
    add_conditions(sections, conditions);
    references.apply(root);
}

fn expand_resource(entry: Entry, globals: &globals::Globals, out: &mut Expansion<'_>) {
    let resource_type = entry.value.find("Type").and_then(Node::as_text);
    let Some(kind) = resource_type.as_deref().and_then(|name| name.strip_prefix(PREFIX)) else {
        drop(resource_type);
        out.resources.push(entry);
        return;
    };
    let kind = kind.to_owned();
    drop(resource_type);
    let Some(source) = read_source(&entry, &kind, globals, out) else {
        return;
    };
    match kind.as_str() {
        "Function" => function::expand(&source, out),
        "LayerVersion" => layer::expand(&source, out),
        "SimpleTable" => table::expand(&source, out),
        "StateMachine" => state_machine::expand(&source, out),
        "WebSocketApi" => websocket_api::expand(&source, out),
        _ if left_out::expand(&source, out) => {}
        _ => report_type(&source, out),
    }
}

/// Reads a resource and gives it the properties of `Globals`.
fn read_source<'a>(
    entry: &'a Entry,
    kind: &'a str,
    globals: &globals::Globals,
    out: &mut Expansion<'_>,
) -> Option<Source<'a>> {
    let attributes: Vec<Entry> = (entry.value.entries().iter())
        .filter(|attribute| !matches!(&*attribute.key, "Type" | "Properties" | "IgnoreGlobals"))
        .cloned()
        .collect();
    let mut properties = build::map([], entry.key_span);
    match entry.value.find("Properties") {
        None => {}
        Some(node) if matches!(node.value, Value::Map(_)) => properties = node.clone(),
        Some(node) => {
            let message = "`Properties` must be a mapping";
            out.diagnostics
                .error(codes::WRONG_SHAPE, node.span, message)
                .at(&entry.key, "Properties");
            return None;
        }
    }
    let logical_id = entry.key.as_str();
    let mut source = Source { logical_id, span: entry.key_span, kind, properties, attributes };
    globals.merge(&mut source, entry.value.find("IgnoreGlobals"), out);
    Some(source)
}

fn report_type(source: &Source<'_>, out: &mut Expansion<'_>) {
    let names: Vec<&str> = TYPES.into_iter().chain(left_out::kinds()).collect();
    let hint = nearest(source.kind, names.iter().copied()).map_or_else(
        || format!("types are {}", names.join(", ")),
        |near| format!("write `{PREFIX}{near}`"),
    );
    let message = format!("SAM has no type `{PREFIX}{}`", excerpt(source.kind));
    out.diagnostics
        .error(codes::SAM_REFUSED, source.span, message)
        .at(source.logical_id, "Type")
        .hint(hint);
}

fn add_conditions(sections: &mut Vec<Entry>, conditions: Vec<Entry>) {
    if conditions.is_empty() {
        return;
    }
    let span = conditions[0].key_span;
    let at = sections.iter().position(|section| section.key == "Conditions").unwrap_or_else(|| {
        sections.push(Entry {
            key: "Conditions".to_owned(),
            key_span: span,
            value: build::map([], span),
        });
        sections.len() - 1
    });
    if let Value::Map(present) = &mut sections[at].value.value {
        for condition in conditions {
            if !present.iter().any(|entry| entry.key == condition.key) {
                present.push(condition);
            }
        }
    }
}
