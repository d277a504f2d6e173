//! One template as a stack: everything in dependency order.

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Resource, Span, Stack, Value};

use crate::condition::{self, chain};
use crate::document::excerpt;
use crate::dynamic::SsmParameters;
use crate::lines::Lines;
use crate::nearest::{nearest, suggest};
use crate::physical::{API_ID_TAG, Names, is_api_id};
use crate::resolve::{Mapping, Resolver, Room, Scope, Slot};
use crate::template::{Declared, Template, literal, members};
use crate::{Earlier, Options, codes, order, parameter, reference, resource_type};

/// What a template is called, and where it stands.
pub(crate) struct Place<'a> {
    /// The name of the stack.
    pub(crate) name: String,
    /// Its number among the sources.
    pub(crate) file: u32,
    /// Its source.
    pub(crate) text: &'a str,
}

/// Builds a stack and adds what it exports to `earlier`.
pub(crate) fn build(
    template: &Template<'_>,
    place: Place<'_>,
    options: &Options,
    earlier: &mut Earlier,
    diagnostics: &mut Diagnostics,
) -> Stack {
    let ssm = [&options.ssm_parameters, &earlier.ssm_parameters];
    let parameters =
        parameter::evaluate(template.parameters, options, &earlier.ssm_parameters, diagnostics);
    let mut scope = Scope {
        names: Names::new(&place.name, options),
        lines: Lines::new(place.text),
        parameters: parameters.by_name,
        secrets: parameters.secrets,
        mappings: index_mappings(template.mappings),
        conditions: HashMap::new(),
        index: (template.resources.iter().enumerate())
            .map(|(at, resource)| (resource.logical_id, at))
            .collect(),
        slots: Vec::new(),
        exports: &earlier.exports,
        room: Room::new(),
        has_language_extensions: template.has_language_extensions,
    };
    condition::evaluate(template.conditions, &mut scope, diagnostics);
    place_resources(template, &mut scope, diagnostics);
    for at in resource_order(template, &scope, diagnostics) {
        if let Slot::Pending = scope.slots[at] {
            let resource = resolve_resource(&template.resources[at], &scope, &ssm, diagnostics);
            scope.slots[at] = Slot::Ready(Box::new(resource));
        }
    }
    let (outputs, exports) = resolve_outputs(template, &scope, &ssm, diagnostics);
    if !diagnostics.has_errors() {
        report_unknown(template, &scope, diagnostics);
    }
    let resources: Vec<Resource> = std::mem::take(&mut scope.slots)
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Ready(resource) => Some(*resource),
            Slot::Excluded | Slot::Pending => None,
        })
        .collect();
    drop(scope);
    remember(&resources, exports, earlier, diagnostics);
    Stack {
        name: place.name,
        region: options.region.clone(),
        account_id: options.account_id.clone(),
        partition: options.partition.clone(),
        file: place.file,
        resources,
        outputs,
    }
}

/// Mappings by their names and keys.
pub(crate) fn index_mappings(mappings: &[Entry]) -> HashMap<&str, Mapping<'_>> {
    fn index<'a, T>(entries: &'a [Entry], value: impl Fn(&'a Node) -> T) -> HashMap<&'a str, T> {
        entries.iter().map(|entry| (entry.key.as_str(), value(&entry.value))).collect()
    }
    index(mappings, |mapping| index(mapping.entries(), |top| index(top.entries(), |node| node)))
}

/// Decides which resources are created.
fn place_resources(template: &Template<'_>, scope: &mut Scope<'_>, diagnostics: &mut Diagnostics) {
    let mut slots = Vec::with_capacity(template.resources.len());
    for resource in &template.resources {
        check_type(resource, diagnostics);
        let holds = resource.condition.as_ref().and_then(|(name, span)| {
            Resolver::for_resource(scope, diagnostics, resource.logical_id, "Condition")
                .look_up_condition(name, *span)
        });
        // An undecided condition has been reported; the resource is checked all the same.
        slots.push(if holds == Some(false) { Slot::Excluded } else { Slot::Pending });
    }
    scope.slots = slots;
}

fn check_type(resource: &Declared<'_>, diagnostics: &mut Diagnostics) {
    let name = resource.resource_type.as_str();
    let types = resource_type::API_GATEWAY_V2;
    if name.is_empty() {
        return; // Reported when it was read.
    }
    if name.starts_with("AWS::Serverless::") {
        let message =
            format!("`{}` needs the SAM transform, and the template names none", excerpt(name));
        diagnostics
            .error(codes::TRANSFORM, resource.type_span, message)
            .at(resource.logical_id, "Type")
            .hint("write `Transform: AWS::Serverless-2016-10-31`");
    } else if !resource_type::is_well_formed(name) {
        let message = format!("`{}` is no resource type", excerpt(name));
        diagnostics
            .error(codes::RESOURCE_TYPE, resource.type_span, message)
            .at(resource.logical_id, "Type")
            .hint("write `AWS::Service::Resource`");
    } else if !types.contains(&name) {
        let near = nearest(name, types);
        let is_ours = name.starts_with("AWS::ApiGatewayV2::");
        // A slip in the service name would silently leave the resource out.
        if !is_ours && near.is_none_or(|near| !near.eq_ignore_ascii_case(name)) {
            return;
        }
        let message =
            format!("API Gateway has no resource type `{}`, so it cannot be served", excerpt(name));
        diagnostics
            .error(codes::RESOURCE_TYPE_UNKNOWN, resource.type_span, message)
            .at(resource.logical_id, "Type")
            .hint(format!("write `{}`", near.unwrap_or("AWS::ApiGatewayV2::Api")));
    }
}

/// The order in which resources are resolved; wrong `DependsOn` and circles are reported.
fn resource_order(
    template: &Template<'_>,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<usize> {
    let mut dependencies = Vec::with_capacity(template.resources.len());
    for (at, resource) in template.resources.iter().enumerate() {
        let mut found = Vec::new();
        for (name, span) in &resource.depends_on {
            match scope.index.get(name.as_str()) {
                Some(&other) if other != at => found.push(other),
                _ => report_depends_on(resource, name, *span, scope, diagnostics),
            }
        }
        if let Slot::Pending = scope.slots[at] {
            for part in [resource.properties, resource.metadata].into_iter().flatten() {
                reference::collect(part, &scope.conditions, &mut |name| {
                    found.extend(scope.index.get(name).copied());
                });
            }
        }
        found.retain(|&other| matches!(scope.slots[other], Slot::Pending));
        if let Slot::Excluded = scope.slots[at] {
            found.clear();
        }
        dependencies.push(found);
    }
    let order = order::order(&dependencies);
    for circle in &order.circles {
        let first = &template.resources[circle[0]];
        let names = circle.iter().chain([&circle[0]]);
        let names = names.map(|&at| template.resources[at].logical_id);
        let message = format!(
            "resources depend on each other in a circle, so none can be created first: {}",
            chain(names)
        );
        diagnostics
            .error(codes::CIRCULAR, first.span, message)
            .at(first.logical_id, "")
            .hint("build one of the values from parameters instead of a reference");
    }
    order.sequence
}

fn report_depends_on(
    resource: &Declared<'_>,
    name: &str,
    span: Span,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics,
) {
    let message = if name == resource.logical_id {
        "a resource cannot depend on itself".to_owned()
    } else {
        format!("the template has no resource `{}` to depend on", excerpt(name))
    };
    let near = suggest(
        diagnostics,
        name,
        scope.index.keys().copied().filter(|id| *id != resource.logical_id),
    );
    let finding =
        diagnostics.error(codes::DEPENDS_ON, span, message).at(resource.logical_id, "DependsOn");
    match near {
        Some(near) if name != resource.logical_id => finding.hint(format!("write `{near}`")),
        _ => finding.hint("remove it or name the logical id of another resource"),
    };
}

fn resolve_resource(
    declared: &Declared<'_>,
    scope: &Scope<'_>,
    ssm: &SsmParameters<'_>,
    diagnostics: &mut Diagnostics,
) -> Resource {
    let logical_id = declared.logical_id;
    let mut resolver = Resolver::for_resource(scope, diagnostics, logical_id, "Properties");
    let mut properties = match declared.properties {
        None => Node::new(Value::Map(Vec::new()), declared.span),
        Some(node) => {
            if !matches!(node.value, Value::Map(_) | Value::Null | Value::Unresolved) {
                let message = "`Properties` must be a mapping";
                resolver.error(codes::WRONG_SHAPE, node.span, message);
            }
            let resolved = resolver.resolve(node);
            resolved
                .filter(|node| matches!(node.value, Value::Map(_)))
                .unwrap_or_else(|| Node::new(Value::Map(Vec::new()), node.span))
        }
    };
    resolver.replace_dynamic(&mut properties, ssm);
    let metadata = declared.metadata.and_then(|node| {
        Resolver::for_resource(scope, diagnostics, logical_id, "Metadata").resolve(node)
    });
    if declared.resource_type == "AWS::ApiGatewayV2::Api" {
        check_api_id(logical_id, &properties, diagnostics);
    }
    let physical_id = scope.names.physical_id(&declared.resource_type, logical_id, &properties);
    let depends_on = declared.depends_on.iter().filter(|(name, _)| {
        scope.index.get(name.as_str()).is_some_and(|&at| !matches!(scope.slots[at], Slot::Excluded))
    });
    Resource {
        logical_id: logical_id.to_owned(),
        span: declared.span,
        resource_type: declared.resource_type.clone(),
        physical_id,
        properties,
        metadata: metadata.unwrap_or_else(|| Node::new(Value::Null, declared.span)),
        depends_on: depends_on.cloned().collect(),
    }
}

fn check_api_id(logical_id: &str, properties: &Node, diagnostics: &mut Diagnostics) {
    let Some(tag) = properties.find("Tags").and_then(|tags| tags.find(API_ID_TAG)) else {
        return;
    };
    if !tag.is_unresolved() && !tag.as_text().is_some_and(|id| is_api_id(&id)) {
        let message = format!("tag `{API_ID_TAG}` must be ten lower-case letters and digits");
        diagnostics
            .error(codes::API_ID, tag.span, message)
            .at(logical_id, format!("Properties.Tags.{API_ID_TAG}"))
            .hint(format!("write for example `{API_ID_TAG}: a1b2c3d4e5`"));
    }
}

/// Outputs by name, and what they export, with the place of the export.
type Outputs = (Vec<(String, Node)>, Vec<(String, Node, Span)>);

fn resolve_outputs(
    template: &Template<'_>,
    scope: &Scope<'_>,
    ssm: &SsmParameters<'_>,
    diagnostics: &mut Diagnostics,
) -> Outputs {
    let mut outputs = Vec::new();
    let mut exports = Vec::new();
    for entry in template.outputs {
        let attributes = members(&entry.value, &entry.key, diagnostics);
        check_output(attributes, diagnostics);
        let path = |part: &str| format!("Outputs.{}.{part}", entry.key);
        if let Some(node) = entry.value.find("Condition")
            && let Some(name) = literal(node, "Condition", diagnostics)
        {
            let mut resolver = Resolver::for_output(scope, diagnostics, path("Condition"));
            if resolver.look_up_condition(&name, node.span) != Some(true) {
                continue;
            }
        }
        let Some(value) = entry.value.find("Value") else {
            if matches!(entry.value.value, Value::Map(_)) {
                let message = format!("output `{}` has no `Value`", excerpt(&entry.key));
                diagnostics.error(codes::MISSING_SECTION, entry.key_span, message);
            }
            continue;
        };
        let mut resolver = Resolver::for_output(scope, diagnostics, path("Value"));
        let mut value =
            resolver.resolve(value).unwrap_or_else(|| Node::new(Value::Unresolved, value.span));
        resolver.replace_dynamic(&mut value, ssm);
        if let Some(export) = entry.value.find("Export") {
            let mut resolver = Resolver::for_output(scope, diagnostics, path("Export.Name"));
            if let Some(name) = export.find("Name") {
                let text = resolver.text(name, "the name of an export");
                exports.extend(text.map(|text| (text, value.clone(), name.span)));
            } else {
                resolver
                    .error(codes::MISSING_SECTION, export.span, "`Export` has no `Name`")
                    .hint("write `Export: {Name: ...}`");
            }
        }
        outputs.push((entry.key.clone(), value));
    }
    (outputs, exports)
}

fn check_output(attributes: &[Entry], diagnostics: &mut Diagnostics) {
    const ATTRIBUTES: [&str; 4] = ["Condition", "Description", "Export", "Value"];
    for attribute in attributes {
        if !ATTRIBUTES.contains(&attribute.key.as_str()) {
            let message = format!("outputs have no attribute `{}`", excerpt(&attribute.key));
            let hint = nearest(&attribute.key, ATTRIBUTES).map_or_else(
                || format!("they have: {}", ATTRIBUTES.join(", ")),
                |near| format!("write `{near}`"),
            );
            diagnostics.error(codes::RESOURCE_ATTRIBUTE, attribute.key_span, message).hint(hint);
        }
    }
}

/// Reports, when nothing else is wrong, what must be known and is not: readers
/// skip unresolved values, and a skipped value must not open anything.
fn report_unknown(template: &Template<'_>, scope: &Scope<'_>, diagnostics: &mut Diagnostics) {
    for entry in template.conditions {
        if scope.conditions.get(entry.key.as_str()) == Some(&None) {
            let message = format!(
                "condition `{}` depends on a value that is not known here, so what is created cannot be decided",
                excerpt(&entry.key)
            );
            diagnostics.error(codes::UNKNOWN_VALUE, entry.key_span, message).property =
                Some(format!("Conditions.{}", entry.key));
        }
    }
    for slot in &scope.slots {
        if let Slot::Ready(resource) = slot
            && resource_type::must_be_known(&resource.resource_type)
        {
            let mut path = "Properties".to_owned();
            find_unknown(&resource.properties, &mut path, &mut |span, path| {
                let message = format!(
                    "this {} depends on a value that is not known here, so it cannot be served as written",
                    resource.resource_type
                );
                diagnostics
                    .error(codes::UNKNOWN_VALUE, span, message)
                    .at(&resource.logical_id, path)
                    .hint("see the warning about the value itself");
            });
        }
    }
}

fn find_unknown(node: &Node, path: &mut String, found: &mut impl FnMut(Span, &str)) {
    let length = path.len();
    match &node.value {
        Value::Unresolved => found(node.span, path),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_unknown(item, path, found);
                path.truncate(length);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                path.push('.');
                path.push_str(&entry.key);
                find_unknown(&entry.value, path, found);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Keeps what later templates may use; names that are taken are reported.
fn remember(
    resources: &[Resource],
    exports: Vec<(String, Node, Span)>,
    earlier: &mut Earlier,
    diagnostics: &mut Diagnostics,
) {
    for (name, value, span) in exports {
        if earlier.exports.contains_key(&name) {
            let message = "another output exports this name already";
            diagnostics
                .error(codes::DUPLICATE_EXPORT, span, message)
                .hint("export names are unique in an account and region");
            continue;
        }
        earlier.exports.insert(name, value);
    }
    for resource in resources {
        match resource.resource_type.as_str() {
            "AWS::ApiGatewayV2::Api" => {
                let id = resource.physical_id.clone();
                if let Some(first) = earlier.api_ids.insert(id, resource.logical_id.clone()) {
                    let message = format!(
                        "API id `{}` belongs to `{}` already, so requests could not tell them apart",
                        resource.physical_id,
                        excerpt(&first)
                    );
                    diagnostics
                        .error(codes::API_ID, resource.span, message)
                        .at(&resource.logical_id, "")
                        .hint(format!("give one of them another tag `{API_ID_TAG}`"));
                }
            }
            "AWS::SSM::Parameter" => {
                let value = resource.properties.find("Value").and_then(Node::as_text);
                if let Some(value) = value {
                    let name = resource.physical_id.clone();
                    earlier.ssm_parameters.insert(name, value.into_owned());
                }
            }
            _ => {}
        }
    }
}
