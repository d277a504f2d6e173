//! Sections and resource attributes: the outline of a template.

use std::collections::{HashMap, HashSet};

use api_model::{Diagnostics, Entry, Node, Span, Value};

use crate::codes;
use crate::document::excerpt;
use crate::nearest::nearest;
use crate::transform;

/// A template whose outline has been checked; values are still unresolved.
pub(crate) struct Template<'a> {
    pub(crate) parameters: &'a [Entry],
    pub(crate) mappings: &'a [Entry],
    pub(crate) conditions: &'a [Entry],
    pub(crate) resources: Vec<Declared<'a>>,
    pub(crate) outputs: &'a [Entry],
    /// Whether it names the transform `AWS::LanguageExtensions`.
    pub(crate) has_language_extensions: bool,
}

/// A resource as it is written.
pub(crate) struct Declared<'a> {
    pub(crate) logical_id: &'a str,
    pub(crate) span: Span,
    /// Empty if missing; reported.
    pub(crate) resource_type: String,
    pub(crate) type_span: Span,
    pub(crate) properties: Option<&'a Node>,
    pub(crate) metadata: Option<&'a Node>,
    pub(crate) depends_on: Vec<(String, Span)>,
    pub(crate) condition: Option<(String, Span)>,
}

const SECTIONS: [&str; 11] = [
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Hooks",
    "Mappings",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Rules",
    "Transform",
];

const RESOURCE_ATTRIBUTES: [&str; 9] = [
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdatePolicy",
    "UpdateReplacePolicy",
];

/// Reads the [sections] of a template; nothing if its root is no mapping.
///
/// [sections]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
pub(crate) fn read<'a>(root: &'a Node, diagnostics: &mut Diagnostics) -> Option<Template<'a>> {
    let Value::Map(sections) = &root.value else {
        diagnostics
            .error(
                codes::WRONG_SHAPE,
                root.span,
                "a template is a mapping of sections, and this is none",
            )
            .hint("start with `Resources:`");
        return None;
    };
    let mut template = Template {
        parameters: &[],
        mappings: &[],
        conditions: &[],
        resources: Vec::new(),
        outputs: &[],
        has_language_extensions: transform::has_language_extensions(root),
    };
    for section in sections {
        let value = &section.value;
        match section.key.as_str() {
            "AWSTemplateFormatVersion" => check_version(value, diagnostics),
            "Description" | "Metadata" | "Transform" => {}
            "Parameters" => template.parameters = members(value, "Parameters", diagnostics),
            "Mappings" => {
                template.mappings = members(value, "Mappings", diagnostics);
                check_mappings(template.mappings, diagnostics);
            }
            "Conditions" => template.conditions = members(value, "Conditions", diagnostics),
            "Outputs" => template.outputs = members(value, "Outputs", diagnostics),
            "Resources" => {
                template.resources = members(value, "Resources", diagnostics)
                    .iter()
                    .filter_map(|entry| {
                        let first = diagnostics.list.len();
                        let resource = read_resource(entry, diagnostics);
                        for finding in &mut diagnostics.list[first..] {
                            finding.logical_id.get_or_insert_with(|| entry.key.clone());
                        }
                        resource
                    })
                    .collect();
            }
            // Each template of the CDK asks whether `cdk bootstrap` has run.
            "Rules" if value.entries().iter().all(|rule| rule.key == "CheckBootstrapVersion") => {}
            "Rules" | "Hooks" => {
                let message = format!("section `{}` is not evaluated here", section.key);
                diagnostics.warning(codes::SECTION_IGNORED, section.key_span, message);
            }
            other => {
                let message = format!("templates have no section `{}`", excerpt(other));
                let hint = nearest(other, SECTIONS).map_or_else(
                    || format!("sections are {}", SECTIONS.join(", ")),
                    |name| format!("write `{name}`"),
                );
                diagnostics.error(codes::UNKNOWN_SECTION, section.key_span, message).hint(hint);
            }
        }
    }
    if !sections.iter().any(|section| section.key == "Resources") {
        let message = "the template has no `Resources`, so there is nothing to serve";
        diagnostics.error(codes::MISSING_SECTION, root.span, message);
    }
    check_names(&template, diagnostics);
    Some(template)
}

/// The members of a mapping; anything else is reported, `what` being its name.
pub(crate) fn members<'a>(
    node: &'a Node,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> &'a [Entry] {
    match &node.value {
        Value::Map(entries) => return entries,
        Value::Unresolved => {}
        Value::Null => report_null(node.span, what, diagnostics),
        _ => {
            let message = format!("`{what}` must be a mapping, and this is {}", kind(node));
            diagnostics.error(codes::WRONG_SHAPE, node.span, message);
        }
    }
    &[]
}

/// Text without intrinsic functions; anything else is reported.
pub(crate) fn literal(node: &Node, what: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    match &node.value {
        Value::Unresolved => return None,
        Value::Null => report_null(node.span, what, diagnostics),
        _ => match node.as_text() {
            Some(text) => return Some(text.into_owned()),
            None => {
                let message =
                    format!("`{what}` must be a literal string, and this is {}", kind(node));
                diagnostics.error(codes::WRONG_SHAPE, node.span, message);
            }
        },
    }
    None
}

/// Reports an empty value.
pub(crate) fn report_null(span: Span, what: &str, diagnostics: &mut Diagnostics) {
    let message = format!("`{what}` has no value, and CloudFormation refuses empty values");
    diagnostics.error(codes::NULL_VALUE, span, message).hint("give it a value or remove the key");
}

/// What a value is, for messages.
pub(crate) fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
        Value::Unresolved => "unknown",
    }
}

fn check_version(node: &Node, diagnostics: &mut Diagnostics) {
    let version = literal(node, "AWSTemplateFormatVersion", diagnostics);
    if version.is_some_and(|version| version != "2010-09-09") {
        diagnostics
            .error(codes::WRONG_SHAPE, node.span, "there is no such template format version")
            .hint("write \"2010-09-09\"");
    }
}

/// `Mappings` are two levels of names with a string or list below.
fn check_mappings(mappings: &[Entry], diagnostics: &mut Diagnostics) {
    for mapping in mappings {
        for top in members(&mapping.value, &mapping.key, diagnostics) {
            for second in members(&top.value, &top.key, diagnostics) {
                let is_scalar = second.value.as_text().is_some();
                let is_list = matches!(second.value.value, Value::List(_))
                    && second.value.items().iter().all(|item| item.as_text().is_some());
                if !is_scalar && !is_list {
                    let message = format!(
                        "`{}` must be a string or a list of strings: mappings hold no functions and no deeper levels",
                        excerpt(&second.key)
                    );
                    diagnostics.error(codes::WRONG_SHAPE, second.value.span, message);
                }
            }
        }
    }
}

fn read_resource<'a>(entry: &'a Entry, diagnostics: &mut Diagnostics) -> Option<Declared<'a>> {
    let Value::Map(attributes) = &entry.value.value else {
        members(&entry.value, &entry.key, diagnostics);
        return None;
    };
    let mut resource = Declared {
        logical_id: &entry.key,
        span: entry.key_span,
        resource_type: String::new(),
        type_span: entry.key_span,
        properties: None,
        metadata: None,
        depends_on: Vec::new(),
        condition: None,
    };
    let mut has_type = false;
    for attribute in attributes {
        let value = &attribute.value;
        match attribute.key.as_str() {
            "Type" => {
                has_type = true;
                resource.type_span = value.span;
                resource.resource_type = literal(value, "Type", diagnostics).unwrap_or_default();
            }
            "Properties" => resource.properties = Some(value),
            "Metadata" => resource.metadata = Some(value),
            "DependsOn" => resource.depends_on = read_depends_on(value, diagnostics),
            "Condition" => {
                resource.condition =
                    literal(value, "Condition", diagnostics).map(|name| (name, value.span));
            }
            "CreationPolicy" | "DeletionPolicy" | "UpdatePolicy" | "UpdateReplacePolicy" => {}
            other => {
                let message = format!("resources have no attribute `{}`", excerpt(other));
                let hint = nearest(other, RESOURCE_ATTRIBUTES).map_or_else(
                    || "what belongs to the resource goes below `Properties`".to_owned(),
                    |name| format!("write `{name}`"),
                );
                diagnostics
                    .error(codes::RESOURCE_ATTRIBUTE, attribute.key_span, message)
                    .at(&entry.key, other)
                    .hint(hint);
            }
        }
    }
    if !has_type {
        let message = format!("resource `{}` has no `Type`", excerpt(&entry.key));
        diagnostics
            .error(codes::RESOURCE_TYPE, entry.key_span, message)
            .at(&entry.key, "Type")
            .hint("write `Type: AWS::Service::Resource`");
    }
    Some(resource)
}

fn read_depends_on(node: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, Span)> {
    let single = std::slice::from_ref(node);
    let items = if matches!(node.value, Value::List(_)) { node.items() } else { single };
    items
        .iter()
        .filter_map(|item| Some((literal(item, "DependsOn", diagnostics)?, item.span)))
        .collect()
}

/// Logical ids are alphanumeric, and a parameter and a resource share one name space.
fn check_names(template: &Template<'_>, diagnostics: &mut Diagnostics) {
    let parameters: HashMap<&str, Span> =
        template.parameters.iter().map(|entry| (entry.key.as_str(), entry.key_span)).collect();
    let resources = template.resources.iter().map(|resource| (resource.logical_id, resource.span));
    let outputs = template.outputs.iter().map(|entry| (entry.key.as_str(), entry.key_span));
    let mut all: Vec<(&str, Span)> = parameters.iter().map(|(name, span)| (*name, *span)).collect();
    all.extend(resources.clone());
    all.extend(outputs);
    all.sort_by_key(|(_, span)| *span);
    let mut reported = HashSet::new();
    for (name, span) in all {
        let is_valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_valid && reported.insert(span) {
            let message = format!("`{}` is no name for CloudFormation", excerpt(name));
            diagnostics.error(codes::LOGICAL_ID, span, message).hint("use letters and digits only");
        }
    }
    for (name, span) in resources {
        if let Some(first) = parameters.get(name) {
            let message = format!(
                "`{}` is also a parameter, at line {}, so `Ref` could mean either",
                excerpt(name),
                first.start.line
            );
            diagnostics.error(codes::LOGICAL_ID, span, message).hint("rename one of the two");
        }
    }
}
