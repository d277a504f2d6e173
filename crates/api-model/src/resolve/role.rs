//! `AWS::IAM::*`: what the roles of functions allow ([evaluation]).
//!
//! Whatever is wrong with a document, it grants nothing, and what it denies
//! stays denied.
//!
//! [evaluation]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::each;
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Node, Resource, Stack, Value};
use crate::policy::{Malformed, Policy};

/// Policies of each role by role ARN.
pub(super) fn resolve(stacks: &[Stack], out: &mut Diagnostics) -> HashMap<String, Vec<Policy>> {
    let managed = managed(stacks, out);
    let mut roles = HashMap::new();
    let mut arns = HashMap::new();
    each(stacks, "AWS::IAM::Role", |stack, resource| {
        let path =
            resource.properties.find("Path").and_then(Node::as_text).unwrap_or_else(|| "/".into());
        let arn = format!(
            "arn:{}:iam::{}:role{path}{}",
            stack.partition, stack.account_id, resource.physical_id
        );
        arns.insert((&stack.account_id, resource.physical_id.as_str()), arn.clone());
        roles.insert(arn, of_role(resource, &managed, out));
    });
    let mut attach = |account_id, name: &str, policies: &[Policy]| {
        if let Some(list) = arns.get(&(account_id, name)).and_then(|arn| roles.get_mut(arn)) {
            list.extend_from_slice(policies);
        }
    };
    for (kind, property) in [
        ("AWS::IAM::ManagedPolicy", "Roles"),
        ("AWS::IAM::Policy", "Roles"),
        ("AWS::IAM::RolePolicy", "RoleName"),
    ] {
        each(stacks, kind, |stack, resource| {
            let known = managed.get(&resource.physical_id);
            let policies = known.cloned().unwrap_or_else(|| of_document(resource, out));
            let names = resource.properties.find(property);
            for name in names.map(one_or_list).unwrap_or_default() {
                attach(&stack.account_id, &name.as_text().unwrap_or_default(), &policies);
            }
        });
    }
    roles
}

/// Managed policies of the templates by ARN.
fn managed(stacks: &[Stack], out: &mut Diagnostics) -> HashMap<String, Vec<Policy>> {
    let mut managed = HashMap::new();
    each(stacks, "AWS::IAM::ManagedPolicy", |_, resource| {
        managed.insert(resource.physical_id.clone(), of_document(resource, out));
    });
    managed
}

/// What stands in a role itself, and what it names.
fn of_role(
    resource: &Resource,
    managed: &HashMap<String, Vec<Policy>>,
    out: &mut Diagnostics,
) -> Vec<Policy> {
    let mut policies = Vec::new();
    let properties = &resource.properties;
    let inline = properties.find("Policies").map(Node::items).unwrap_or_default();
    for document in inline.iter().filter_map(|policy| policy.find("PolicyDocument")) {
        policies.extend(read(resource, document, out));
    }
    let attached = properties.find("ManagedPolicyArns").map(Node::items).unwrap_or_default();
    for (index, node) in attached.iter().enumerate() {
        let Some(arn) = node.as_text() else { continue };
        match (managed.get(arn.as_ref()), Policy::managed(&arn)) {
            (Some(own), _) => policies.extend_from_slice(own),
            (None, Some(aws)) => policies.push(aws),
            (None, None) => {
                let message = format!("the policy `{arn}` is not known here, and grants nothing");
                out.warning(codes::POLICY, node.span, message)
                    .at(&resource.logical_id, format!("Properties.ManagedPolicyArns.{index}"))
                    .hint("if a function needs it here, write its statements into the role");
            }
        }
    }
    if let Some(node) = properties.find("PermissionsBoundary")
        && let Some(arn) = node.as_text()
    {
        let aws = || Policy::managed(&arn).map(|policy| vec![policy]);
        match managed.get(arn.as_ref()).cloned().or_else(aws) {
            Some(own) => policies.push(Policy::boundary(own)),
            None => {
                let message = format!("the boundary `{arn}` is not known here, and bounds nothing");
                out.warning(codes::POLICY, node.span, message)
                    .at(&resource.logical_id, "Properties.PermissionsBoundary");
            }
        }
    }
    policies
}

fn of_document(resource: &Resource, out: &mut Diagnostics) -> Vec<Policy> {
    let document = resource.properties.find("PolicyDocument");
    document.map(|document| read(resource, document, out)).unwrap_or_default()
}

/// The document, or what it denies.
fn read(resource: &Resource, document: &Node, out: &mut Diagnostics) -> Vec<Policy> {
    // What could not be resolved was reported there, and is null here.
    let error = match Policy::parse_role(&document.to_json()) {
        Ok(policy) if !document.holds_unresolved() => return vec![policy],
        Ok(_) => None,
        Err(error) => Some(error).filter(|_| !document.holds_unresolved()),
    };
    if let Some(error) = error {
        let message = format!("the policy grants nothing here: {error}");
        out.warning(codes::POLICY, document.span, message)
            .at(&resource.logical_id, "Properties.PolicyDocument");
    }
    if document.is_unresolved() {
        return denial(&Json::Null).into_iter().collect();
    }
    let statements = document.find("Statement").map(one_or_list).unwrap_or_default();
    let is_grant = |statement: &&Node| {
        statement.find("Effect").and_then(Node::as_text).is_some_and(|effect| effect == "Allow")
    };
    let denials = statements.iter().filter(|statement| !is_grant(statement));
    denials.filter_map(|statement| denial(&statement.to_json()).ok()).collect()
}

/// A statement as it is, else for every resource in every case, else for every
/// action too.
fn denial(statement: &Json) -> Result<Policy, Malformed> {
    let document = |statement: Json| {
        Policy::parse_role(&json!({ "Version": "2012-10-17", "Statement": statement }))
    };
    let wide = |name: &str| {
        let action = statement.get(name)?;
        Some(json!({ "Effect": "Deny", name: action, "Resource": "*" }))
    };
    document(statement.clone())
        .or_else(|_| document(wide("Action").or_else(|| wide("NotAction")).unwrap_or_default()))
        .or_else(|_| document(json!({ "Effect": "Deny", "Action": "*", "Resource": "*" })))
}

fn one_or_list(node: &Node) -> &[Node] {
    if matches!(node.value, Value::List(_)) { node.items() } else { std::slice::from_ref(node) }
}
