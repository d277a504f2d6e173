//! `AWS::Lambda::*` and `AWS::SSM::Parameter`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{code, each, role};
use crate::api::{Function, LambdaUri, Layer, Permission, VariableText};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Node, Resource, Stack, Value};
use crate::policy::Policy;
use crate::raw::{Located, Reader};

/// Every function of the templates, with its versions, aliases, permissions and policies.
pub(super) fn resolve(stacks: &[Stack], out: &mut Diagnostics) -> Vec<Arc<Function>> {
    let roles = role::resolve(stacks, out);
    let layers = code::layers(stacks);
    let mut functions: Vec<Function> = Vec::new();
    each(stacks, "AWS::Lambda::Function", |stack, resource| {
        functions.push(read_function(stack, resource, &roles, &layers, out));
    });
    each(stacks, "AWS::Lambda::Version", |_, resource| {
        let qualifier = resource.physical_id.rsplit(':').next().unwrap_or_default().to_owned();
        add_qualifier(&mut functions, resource, qualifier, out);
    });
    each(stacks, "AWS::Lambda::Alias", |_, resource| {
        let name = Reader::new(resource, out).required("Name");
        if let Some(name) = name {
            add_qualifier(&mut functions, resource, name.value, out);
        }
    });
    each(stacks, "AWS::Lambda::Permission", |_, resource| {
        add_permission(&mut functions, resource, out);
    });
    functions.into_iter().map(Arc::new).collect()
}

fn read_function(
    stack: &Stack,
    resource: &Resource,
    roles: &HashMap<String, Vec<Policy>>,
    layers: &[Layer],
    out: &mut Diagnostics,
) -> Function {
    let mut reader = Reader::new(resource, out);
    let role = reader.required("Role");
    let environment = reader
        .map("Environment")
        .and_then(|node| node.find("Variables"))
        .map(|variables| reader.texts_of(variables, "Environment.Variables"))
        .unwrap_or_default();
    let builtin = resource
        .metadata
        .find("wsgate")
        .and_then(|node| node.find("builtin"))
        .and_then(Node::as_text)
        .map(std::borrow::Cow::into_owned);
    let mut function = Function {
        logical_id: resource.logical_id.clone(),
        name: resource.physical_id.clone(),
        arn: format!(
            "arn:{}:lambda:{}:{}:function:{}",
            stack.partition, stack.region, stack.account_id, resource.physical_id
        ),
        span: resource.span,
        builtin,
        environment: environment.into_iter().map(|(key, text)| (key, text.value)).collect(),
        qualifiers: Vec::new(),
        policies: role.as_ref().and_then(|role| roles.get(&role.value).cloned()),
        role: role.map(|role| role.value).unwrap_or_default(),
        permissions: Vec::new(),
        stack: stack.name.clone(),
        code: None,
        runtime: None,
        handler: String::new(),
        layers: Vec::new(),
        timeout: Duration::ZERO,
        memory_mb: 0,
        reserved_concurrency: None,
    };
    code::read(&mut reader, layers, &mut function);
    function
}

fn add_qualifier(
    functions: &mut [Function],
    resource: &Resource,
    qualifier: String,
    out: &mut Diagnostics,
) {
    let mut reader = Reader::new(resource, out);
    let Some(name) = reader.required("FunctionName") else { return };
    let (base, _) = split_name(&name.value);
    match functions.iter_mut().find(|function| is_named(function, base)) {
        Some(function) => function.qualifiers.push(qualifier),
        None => unknown_function(&mut reader, &name),
    }
}

fn add_permission(functions: &mut [Function], resource: &Resource, out: &mut Diagnostics) {
    let mut reader = Reader::new(resource, out);
    let Some(name) = reader.required("FunctionName") else { return };
    let principal = reader.required("Principal").map(|text| text.value).unwrap_or_default();
    let has_source = reader.node("SourceArn").is_some();
    let source = reader.text("SourceArn").map(|text| text.value);
    if has_source && source.is_none() {
        return; // Unresolved: it must not count as "any source".
    }
    let (base, qualifier) = split_name(&name.value);
    match functions.iter_mut().find(|function| is_named(function, base)) {
        Some(function) => function.permissions.push(Permission {
            principal,
            source_arn: source,
            qualifier: qualifier.map(str::to_owned),
        }),
        None => unknown_function(&mut reader, &name),
    }
}

fn unknown_function(reader: &mut Reader<'_>, name: &Located<String>) {
    reader
        .out
        .warning(
            codes::REFERENCE,
            name.span,
            format!("`FunctionName` is `{}`, which no template defines", name.value),
        )
        .at(&reader.resource.logical_id, "Properties.FunctionName")
        .hint("write `!Ref` and the logical id of the function");
}

/// Splits `name`, `name:qualifier` or an ARN into function and qualifier.
fn split_name(text: &str) -> (&str, Option<&str>) {
    let colons = if text.starts_with("arn:") { 6 } else { 0 };
    match text.match_indices(':').nth(colons) {
        Some((index, _)) => (&text[..index], Some(&text[index + 1..])),
        None => (text, None),
    }
}

fn is_named(function: &Function, name: &str) -> bool {
    function.name == name || function.arn == name
}

/// The function and qualifier that an invocation ARN names, if it is here.
pub fn find_function<'f>(
    functions: &'f [Arc<Function>],
    uri: &LambdaUri,
) -> Option<(&'f Function, Option<String>)> {
    let arn = uri.arn.constant()?;
    let (base, qualifier) = split_name(arn);
    let found = functions.iter().find(|function| is_named(function, base))?;
    Some((found, qualifier.map(str::to_owned)))
}

/// Whether a resource policy lets API Gateway invoke the function for `source_arn`.
pub fn permits(function: &Function, qualifier: Option<String>, source_arn: &str) -> bool {
    function.permissions.iter().any(|permission| {
        permission.allows_api_gateway()
            && permission.qualifier == qualifier
            && permission
                .source_arn
                .as_deref()
                .is_none_or(|pattern| crate::policy::matches(pattern, source_arn))
    })
}

/// Warns when no permission can match any route of the API.
pub(super) fn warn_unpermitted(
    reader: &mut Reader<'_>,
    functions: &[Arc<Function>],
    uri: &LambdaUri,
    source_arn: &str,
) {
    let Some((function, qualifier)) = find_function(functions, uri) else { return };
    let any = function
        .permissions
        .iter()
        .any(|permission| permission.allows_api_gateway() && permission.qualifier == qualifier);
    if any {
        return;
    }
    reader
        .out
        .warning(
            codes::PERMISSION,
            reader.resource.span,
            format!(
                "no `AWS::Lambda::Permission` lets API Gateway invoke `{}`; on AWS every call fails",
                function.logical_id
            ),
        )
        .at(&reader.resource.logical_id, "Properties.IntegrationUri")
        .hint(format!(
            "add an `AWS::Lambda::Permission` for `{}` with `Principal: apigateway.amazonaws.com` and a `SourceArn` that matches {source_arn}",
            function.logical_id
        ));
}

/// Reads `arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations`.
pub(super) fn lambda_uri(
    reader: &mut Reader<'_>,
    name: &str,
    uri: &Located<String>,
    stack: &Stack,
) -> Option<LambdaUri> {
    let inner = uri
        .value
        .split_once(":lambda:path/2015-03-31/functions/")
        .filter(|(head, _)| {
            let mut parts = head.split(':');
            parts.next() == Some("arn")
                && parts.next().is_some()
                && parts.next() == Some("apigateway")
                && parts.next() == Some(&stack.region)
                && parts.next().is_none()
        })
        .and_then(|(_, rest)| rest.strip_suffix("/invocations"))
        .filter(|arn| arn.starts_with("arn:") || arn.starts_with("${stageVariables."));
    match inner {
        Some(arn) => Some(LambdaUri { arn: VariableText::parse(arn) }),
        None => {
            let message =
                format!("`{name}` is `{}`, not the invocation URI of a function", uri.value);
            let hint = format!(
                "write `!Sub arn:${{AWS::Partition}}:apigateway:{}:lambda:path/2015-03-31/functions/${{Function.Arn}}/invocations`",
                stack.region
            );
            reader.wrong(codes::LAMBDA_URI, uri.span, name, message, Some(hint));
            None
        }
    }
}

/// Values of `AWS::SSM::Parameter` resources by name.
pub(super) fn parameters(stacks: &[Stack], out: &mut Diagnostics) -> Vec<(String, String)> {
    let mut list = Vec::new();
    each(stacks, "AWS::SSM::Parameter", |_, resource| {
        let mut reader = Reader::new(resource, out);
        reader.one_of("Type", &["String", "StringList"]);
        if let Some(value) = reader.text("Value") {
            list.push((resource.physical_id.clone(), value.value));
        } else if reader.node("Value").is_some_and(|node| node.value == Value::Unresolved) {
            // Reported where it could not be resolved.
        } else {
            reader.required("Value");
        }
    });
    list
}
