//! What one SAM resource is, and what the template becomes.

use std::collections::{BTreeMap, HashSet};

use api_model::{Diagnostic, Diagnostics, Entry, Node, Span, Value};

use super::PREFIX;
use super::reference::References;
use crate::codes;
use crate::document::{Budget, excerpt};
use crate::nearest::suggest;
use crate::transform::{Context, build};

/// Most names that a hint lists.
const LISTED_MAX: usize = 18;

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
        self.property_entry(name).map(|entry| &entry.value)
    }

    /// The property `name`, unless it is empty, zero or false, which SAM takes
    /// for not given.
    pub(super) fn given(&self, name: &str) -> Option<&Node> {
        self.property(name).filter(|node| match &node.value {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) | Value::Unresolved => true,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        })
    }

    /// The property `name` with its key.
    pub(super) fn property_entry(&self, name: &str) -> Option<&Entry> {
        self.properties.entries().iter().find(|entry| entry.key == name)
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
    pub(super) diagnostics: &'c mut Diagnostics,
    /// Logical ids of the template before the transform.
    pub(super) declared: HashSet<String>,
    pub(super) resources: Vec<Entry>,
    pub(super) conditions: BTreeMap<String, Node>,
    pub(super) references: References,
    /// Logical ids of [`Self::resources`], to find those made twice.
    pub(super) made: HashSet<String>,
    /// What [`Self::ignore_once`] has reported.
    pub(super) ignored: HashSet<String>,
    pub(super) budget: Budget,
    /// Whether [`Self::budget`] is used up; reported.
    is_full: bool,
}

impl<'c> Expansion<'c> {
    /// An empty template, in place of one that has `resources`.
    pub(super) fn new(
        context: &'c Context,
        resources: &[Entry],
        diagnostics: &'c mut Diagnostics,
    ) -> Self {
        Self {
            context,
            diagnostics,
            declared: resources.iter().map(|entry| entry.key.clone()).collect(),
            resources: Vec::with_capacity(resources.len()),
            conditions: BTreeMap::new(),
            references: References::default(),
            made: HashSet::new(),
            ignored: HashSet::new(),
            budget: Budget::default(),
            is_full: false,
        }
    }

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
        self.conditions.entry(name.to_owned()).or_insert(value);
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
    pub(super) fn take(&mut self, node: &Node, span: Span) -> bool {
        if !self.is_full && !self.budget.take_copy(node) {
            self.is_full = true;
            report_full(span, self.diagnostics);
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
        let near = self.suggest(&entry.key, known);
        let finding = self.diagnostics.error(codes::SAM_PROPERTY, entry.key_span, message);
        finding.at(source.logical_id, property_path(path));
        if let Some(near) = near {
            finding.hint(format!("write `{near}`"));
        } else if known.len() <= LISTED_MAX {
            finding.hint(format!("properties are {}", known.join(", ")));
        }
    }

    /// The name that was probably meant.
    pub(super) fn suggest<'n>(&self, name: &str, known: &[&'n str]) -> Option<&'n str> {
        suggest(self.diagnostics, name, known.iter().copied())
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

/// Reports that the template has become too large.
pub(super) fn report_full(span: Span, diagnostics: &mut Diagnostics) {
    let message = "the template grows beyond what is read when SAM is expanded";
    diagnostics
        .error(codes::TOO_LARGE, span, message)
        .hint("CloudFormation accepts 1 MB and 500 resources at most");
}

fn property_path(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("Properties.{path}") }
}
