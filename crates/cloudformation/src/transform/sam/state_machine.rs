//! `AWS::Serverless::StateMachine` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-statemachine.html

use api_model::{Entry, Node, Value};

use super::role::Role;
use super::shape::{self, Shape};
use super::{Expansion, Source, build, canonical, function as lambda, location};
use crate::document::excerpt;
use crate::function;

const PROPERTIES: [&str; 17] = [
    "AutoPublishAlias",
    "Definition",
    "DefinitionSubstitutions",
    "DefinitionUri",
    "DeploymentPreference",
    "Events",
    "Logging",
    "Name",
    "PermissionsBoundary",
    "Policies",
    "PropagateTags",
    "Role",
    "RolePath",
    "Tags",
    "Tracing",
    "Type",
    "UseAliasAsEventTarget",
];

const SHAPES: [(&str, Shape); 14] = [
    ("Definition", Shape::Map),
    ("DefinitionSubstitutions", Shape::Map),
    ("DefinitionUri", Shape::TextOrMap),
    ("Events", Shape::Maps),
    ("Logging", Shape::Map),
    ("Name", Shape::Text),
    ("PermissionsBoundary", Shape::Text),
    ("Policies", Shape::TextOrList),
    ("PropagateTags", Shape::Flag),
    ("Role", Shape::Text),
    ("Tags", Shape::Map),
    ("Tracing", Shape::Map),
    ("Type", Shape::Text),
    ("UseAliasAsEventTarget", Shape::Flag),
];

/// Adds the state machine and its role, version and alias.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) {
    out.check_properties(source, &PROPERTIES);
    shape::check(source, &SHAPES, out);
    let span = source.span;
    let id = source.logical_id;
    let Some(mut properties) = definition(source, out) else {
        return;
    };
    let tags = lambda::tags(source, "stateMachine:createdBy", out);
    for (name, key) in [
        ("Logging", "LoggingConfiguration"),
        ("Name", "StateMachineName"),
        ("Role", "RoleArn"),
        ("Tracing", "TracingConfiguration"),
        ("Type", "StateMachineType"),
    ] {
        properties.extend(source.property(name).map(|node| build::entry(key, node.clone())));
    }
    properties.push(build::entry("Tags", tags.clone()));
    match (source.given("Role"), source.given("Policies")) {
        (Some(_), Some(policies)) => {
            let message = "a state machine has `Role` or `Policies`, not both";
            out.refuse(source, "Policies", policies.span, message).hint("remove one of the two");
        }
        (Some(_), None) => {}
        (None, _) => {
            let mut role = Role::new(source, "states.amazonaws.com");
            role.add_policies(source, out);
            let traced = source.given("Tracing").and_then(|node| node.find("Enabled"));
            if traced.is_some_and(|flag| matches!(flag.value, Value::Bool(true))) {
                role.add_tracing(out);
            }
            let arn = build::attribute(&role.logical_id, "Arn", span);
            properties.push(build::entry("RoleArn", arn));
            role.add_to(source, Some(tags), None, out);
        }
    }
    let kind = "AWS::StepFunctions::StateMachine";
    out.add(source, id, kind, properties, source.attributes.clone());
    publish(source, out);
    if let Some(events) = source.given("Events") {
        let message = "events do not start state machines here";
        out.ignore_once(source, "Events", events.span, message);
    }
}

/// The properties that say what the state machine does.
fn definition(source: &Source<'_>, out: &mut Expansion<'_>) -> Option<Vec<Entry>> {
    let mut substitutions = match source.given("DefinitionSubstitutions") {
        Some(node) => node.entries().to_vec(),
        None => Vec::new(),
    };
    let mut properties = Vec::new();
    match (source.given("Definition"), source.given("DefinitionUri")) {
        (Some(_), Some(uri)) => {
            let message = "a state machine has `Definition` or `DefinitionUri`, not both";
            out.refuse(source, "DefinitionUri", uri.span, message).hint("remove one of the two");
            return None;
        }
        (None, None) => {
            let message = "a state machine needs `Definition` or `DefinitionUri`";
            out.refuse(source, "Definition", source.span, message);
            return None;
        }
        (Some(definition), None) => {
            let mut definition = definition.clone();
            let mut made = Vec::new();
            substitute(&mut definition, &mut made);
            substitutions.extend(made);
            let text = build::text(canonical::compact(&definition), definition.span);
            properties.push(build::entry("DefinitionString", text));
        }
        (None, Some(uri)) => {
            let found = location::location(source, "DefinitionUri", uri, out)?;
            if matches!(found.value, Value::String(_)) {
                let message = "the definition is in a file, which is not read here";
                out.ignore(source, "DefinitionUri", uri.span, message)
                    .hint("write it below `Definition` to have the state machine made");
            }
            properties.push(build::entry("DefinitionS3Location", in_bucket(found)));
        }
    }
    if !substitutions.is_empty() {
        let substitutions = build::map(substitutions, source.span);
        properties.push(build::entry("DefinitionSubstitutions", substitutions));
    }
    Some(properties)
}

/// State machines spell bucket and key without `S3`.
fn in_bucket(mut location: Node) -> Node {
    if let Value::Map(members) = &mut location.value {
        for member in members {
            let name = match member.key.as_str() {
                "S3Bucket" => "Bucket",
                "S3Key" => "Key",
                "S3ObjectVersion" => "Version",
                _ => continue,
            };
            name.clone_into(&mut member.key);
        }
    }
    location
}

/// Takes functions and dynamic references out of a definition, which becomes a
/// text; mappings are visited by key. Recursion is bounded by the depth of the
/// tree.
fn substitute(node: &mut Node, made: &mut Vec<Entry>) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| visit(item, made)),
        Value::Map(entries) => {
            let mut sorted: Vec<&mut Entry> = entries.iter_mut().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            sorted.into_iter().for_each(|entry| visit(&mut entry.value, made));
        }
        _ => {}
    }
}

fn visit(node: &mut Node, made: &mut Vec<Entry>) {
    let is_reference = |text: &str| text.starts_with("{{resolve:") && text.ends_with("}}");
    let is_dynamic = match &node.value {
        Value::String(text) => is_reference(text),
        Value::Unresolved => true,
        _ => function::call(node).is_some(),
    };
    if !is_dynamic {
        substitute(node, made);
        return;
    }
    let name = format!("definition_substitution_{}", made.len() + 1);
    let placeholder = build::text(format!("${{{name}}}"), node.span);
    let value = std::mem::replace(node, placeholder);
    made.push(build::entry(name, value));
}

/// `AutoPublishAlias`
fn publish(source: &Source<'_>, out: &mut Expansion<'_>) {
    let span = source.span;
    let id = source.logical_id;
    let Some(alias) = source.given("AutoPublishAlias") else {
        for name in ["DeploymentPreference", "UseAliasAsEventTarget"] {
            if let Some(node) = source.given(name) {
                let message = format!("`{name}` needs `AutoPublishAlias`");
                out.refuse(source, name, node.span, message);
            }
        }
        return;
    };
    let Some(name) = alias.as_text() else {
        return;
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let message = format!("`{}` is no name for an alias here", excerpt(&name));
        out.refuse(source, "AutoPublishAlias", alias.span, message)
            .hint("use letters and digits: the name becomes part of a logical id");
        return;
    }
    let version = format!("{id}Version");
    let properties = vec![
        build::entry("StateMachineArn", build::reference(id, span)),
        build::entry(
            "StateMachineRevisionId",
            build::attribute(id, "StateMachineRevisionId", span),
        ),
    ];
    let kind = "AWS::StepFunctions::StateMachineVersion";
    out.add(source, &version, kind, properties, source.inherited());
    let mut preference = match source.given("DeploymentPreference") {
        Some(given) => given.entries().to_vec(),
        None => vec![build::entry("Type", build::text("ALL_AT_ONCE", span))],
    };
    preference.push(build::entry("StateMachineVersionArn", build::reference(&version, span)));
    let properties = vec![
        build::entry("Name", alias.clone()),
        build::entry("DeploymentPreference", build::map(preference, span)),
    ];
    let kind = "AWS::StepFunctions::StateMachineAlias";
    out.add(source, &format!("{id}Alias{name}"), kind, properties, source.inherited());
}
