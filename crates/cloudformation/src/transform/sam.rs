//! The SAM transform: `AWS::Serverless::*` resources become what AWS makes of
//! them ([specification]), under the same generated logical ids.
//!
//! [specification]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html

use std::collections::{BTreeMap, HashSet};

use api_model::{Diagnostic, Diagnostics, Entry, Node, Severity, Span, Value};

use crate::codes;
use crate::document::{Budget, excerpt};
use crate::nearest::suggest;
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

/// Longest logical id of a SAM resource; CloudFormation's own limit. The names
/// of all that is generated begin with it.
const LOGICAL_ID_CHARS_MAX: usize = 255;

/// Most names that a hint lists.
const LISTED_MAX: usize = 18;

/// The type of what stays of a resource that has been refused, so that
/// references to it are no further findings.
const REFUSED: &str = "Wsgate::Refused::Resource";

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
    diagnostics: &'c mut Diagnostics,
    /// Logical ids of the template before the transform.
    declared: HashSet<String>,
    resources: Vec<Entry>,
    conditions: BTreeMap<String, Node>,
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
    fn take(&mut self, node: &Node, span: Span) -> bool {
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

fn report_full(span: Span, diagnostics: &mut Diagnostics) {
    let message = "the template grows beyond what is read when SAM is expanded";
    diagnostics
        .error(codes::TOO_LARGE, span, message)
        .hint("CloudFormation accepts 1 MB and 500 resources at most");
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
        conditions: BTreeMap::new(),
        references: reference::References::default(),
        made: HashSet::new(),
        ignored: HashSet::new(),
        budget: Budget::default(),
        is_full: false,
    };
    for entry in entries {
        expand_resource(entry, &globals, &mut out);
    }
    let Expansion { resources: made, conditions, references, diagnostics, mut budget, .. } = out;
    resources.value.value = Value::Map(made);
    add_conditions(sections, conditions);
    if !references.apply(root, &mut budget) {
        report_full(root.span, diagnostics);
    }
}

fn expand_resource(mut entry: Entry, globals: &globals::Globals, out: &mut Expansion<'_>) {
    remove_connectors(&mut entry, out);
    let resource_type = entry.value.find("Type").and_then(Node::as_text);
    let Some(kind) = resource_type.as_deref().and_then(|name| name.strip_prefix(PREFIX)) else {
        drop(resource_type);
        out.resources.push(entry);
        return;
    };
    let kind = kind.to_owned();
    drop(resource_type);
    if entry.key.chars().count() > LOGICAL_ID_CHARS_MAX {
        let message = format!("a logical id has at most {LOGICAL_ID_CHARS_MAX} characters");
        out.diagnostics.error(codes::LOGICAL_ID, entry.key_span, message);
        return;
    }
    let Some(source) = read_source(&entry, &kind, globals, out) else {
        return;
    };
    let first = out.diagnostics.list.len();
    match kind.as_str() {
        "Function" => function::expand(&source, out),
        "LayerVersion" => layer::expand(&source, out),
        "SimpleTable" => table::expand(&source, out),
        "StateMachine" => state_machine::expand(&source, out),
        "WebSocketApi" => websocket_api::expand(&source, out),
        _ if left_out::expand(&source, out) => {}
        _ => report_type(&source, out),
    }
    report_build(&source, out);
    let is_there =
        out.made.contains(source.logical_id) || out.references.is_renamed(source.logical_id);
    let is_wrong = |finding: &Diagnostic| finding.severity == Severity::Error;
    if !is_there && out.diagnostics.list[first..].iter().any(is_wrong) {
        out.add(&source, source.logical_id, REFUSED, Vec::new(), source.inherited());
    }
}

/// Says that the code of a function or layer is the output of a build, unless
/// the template is what `sam build` wrote.
fn report_build(source: &Source<'_>, out: &mut Expansion<'_>) {
    let Some(metadata) = source.attribute("Metadata") else {
        return;
    };
    if let Some(method) = metadata.find("BuildMethod")
        && metadata.find("SamResourceId").is_none()
    {
        let message = "SAM builds this code first; here it is taken as it stands";
        out.diagnostics
            .warning(codes::SAM_IGNORED, method.span, message)
            .at(source.logical_id, "Metadata.BuildMethod")
            .hint("run `sam build` and give `.aws-sam/build/template.yaml`");
    }
}

/// Reports the attribute with which SAM's connectors grant access.
fn remove_connectors(entry: &mut Entry, out: &mut Expansion<'_>) {
    let Value::Map(attributes) = &mut entry.value.value else {
        return;
    };
    let Some(at) = attributes.iter().position(|attribute| attribute.key == "Connectors") else {
        return;
    };
    let connectors = attributes.remove(at);
    if out.ignored.insert("Connectors".to_owned()) {
        let message = "`Connectors` are not evaluated here: what they grant is not granted";
        out.diagnostics
            .warning(codes::SAM_IGNORED, connectors.key_span, message)
            .at(&entry.key, "Connectors");
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
    let hint = out.suggest(source.kind, &names).map_or_else(
        || format!("types are {}", names.join(", ")),
        |near| format!("write `{PREFIX}{near}`"),
    );
    let message = format!("SAM has no type `{PREFIX}{}`", excerpt(source.kind));
    out.diagnostics
        .error(codes::SAM_REFUSED, source.span, message)
        .at(source.logical_id, "Type")
        .hint(hint);
}

/// Adds conditions that the template does not have.
fn add_conditions(sections: &mut Vec<Entry>, mut conditions: BTreeMap<String, Node>) {
    let Some(span) = conditions.values().next().map(|node| node.span) else {
        return;
    };
    let at = sections.iter().position(|section| section.key == "Conditions").unwrap_or_else(|| {
        sections.push(build::entry("Conditions", build::map([], span)));
        sections.len() - 1
    });
    if let Value::Map(present) = &mut sections[at].value.value {
        present.iter().for_each(|entry| drop(conditions.remove(&entry.key)));
        present.extend(conditions.into_iter().map(|(name, value)| build::entry(name, value)));
    }
}
