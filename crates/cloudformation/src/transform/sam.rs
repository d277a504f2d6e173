//! The SAM transform: `AWS::Serverless::*` resources become what AWS makes of
//! them ([specification]), under the same generated logical ids.
//!
//! [specification]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html

use std::collections::BTreeMap;

use api_model::{Diagnostic, Diagnostics, Entry, Node, Severity, Value};

use self::expansion::{Expansion, Source, report_full};
use crate::codes;
use crate::document::excerpt;
use crate::transform::{Context, build};

mod canonical;
mod event;
mod expansion;
mod function;
mod globals;
mod layer;
mod left_out;
mod location;
mod policy_template;
mod reference;
mod role;
mod shape;
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

/// The type of what stays of a resource that has been refused, so that
/// references to it are no further findings.
const REFUSED: &str = "Wsgate::Refused::Resource";

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
    let mut out = Expansion::new(context, &entries, diagnostics);
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
