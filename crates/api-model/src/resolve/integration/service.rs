//! `AWS` integrations: an operation of a service, or a function behind templates
//! ([integration URI]).
//!
//! [integration URI]: https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html

use std::sync::Arc;

use super::super::function::{lambda_uri, warn_unpermitted};
use super::{back_end_method, check_post};
use crate::api::{AwsRequest, AwsTarget, Function, Target, VariableText};
use crate::codes;
use crate::node::Stack;
use crate::raw::{Located, Reader};

/// The target of an integration of type `AWS`.
pub(super) fn target(
    stack: &Stack,
    reader: &mut Reader<'_>,
    functions: &[Arc<Function>],
    source_arn: &str,
    method: Option<Located<String>>,
) -> Option<Target> {
    let role = role(reader);
    let uri = reader.required("IntegrationUri")?;
    if service_of(&uri.value) == Some("lambda") {
        check_post(reader, method.as_ref());
        let lambda = lambda_uri(reader, "IntegrationUri", &uri, stack)?;
        if role == Role::Absent {
            warn_unpermitted(reader, functions, &lambda, source_arn);
        }
        return Some(Target::Invoke(lambda));
    }
    let method = back_end_method(reader, method);
    let Some(mut target) = parse(&uri.value) else {
        let message = format!(
            "`IntegrationUri` is `{}`, neither an operation of an AWS service nor the invocation URI of a function",
            uri.value
        );
        let hint = "write `arn:aws:apigateway:REGION:SERVICE:action/NAME` or `…:SERVICE:path/PATH`; stage variables are served in NAME and PATH";
        reader.wrong(
            codes::PROPERTY_VALUE,
            uri.span,
            "IntegrationUri",
            message,
            Some(hint.to_owned()),
        );
        return None;
    };
    target.method = method;
    match role {
        Role::Wrong => return None,
        Role::Arn(arn) => target.role = Some(arn),
        Role::Absent => warn_unsigned(reader, &target.service),
    }
    Some(Target::Aws(target))
}

#[derive(Eq, PartialEq)]
enum Role {
    Absent,
    Arn(String),
    /// Reported, or unresolved.
    Wrong,
}

/// `CredentialsArn`: a role that API Gateway assumes.
fn role(reader: &mut Reader<'_>) -> Role {
    if reader.node("CredentialsArn").is_none() {
        return Role::Absent;
    }
    let Some(arn) = reader.text("CredentialsArn") else { return Role::Wrong };
    let mut parts = arn.value.splitn(6, ':');
    let is_iam = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| !partition.is_empty())
        && parts.next() == Some("iam")
        && parts.next() == Some("");
    let account = parts.next().unwrap_or_default();
    let name = parts.next().unwrap_or_default();
    if is_iam && name.starts_with("user/") {
        let message = "`CredentialsArn` passes the caller's identity on, which is not supported: no caller is known here";
        let hint = Some("write the ARN of a role".to_owned());
        reader.wrong(codes::UNSUPPORTED, arn.span, "CredentialsArn", message.to_owned(), hint);
        return Role::Wrong;
    }
    let is_role = is_iam
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && !account.is_empty()
        && (name.strip_prefix("role/").is_some_and(|name| !name.is_empty())
            || name.starts_with("${stageVariables."));
    if !is_role {
        let message = format!("`CredentialsArn` is `{}`, not the ARN of a role", arn.value);
        let hint = Some("write `!GetAtt` and the logical id of the role, with `.Arn`".to_owned());
        reader.wrong(codes::PROPERTY_VALUE, arn.span, "CredentialsArn", message, hint);
        return Role::Wrong;
    }
    Role::Arn(arn.value)
}

fn warn_unsigned(reader: &mut Reader<'_>, service: &str) {
    let message = format!(
        "the integration has no `CredentialsArn`; its calls are not signed, and `{service}` refuses them"
    );
    reader
        .out
        .warning(codes::PERMISSION, reader.resource.span, message)
        .at(&reader.resource.logical_id, "Properties.CredentialsArn")
        .hint("add the ARN of a role that `apigateway.amazonaws.com` may assume");
}

/// The service part of an integration URI, whatever else is wrong with it.
fn service_of(uri: &str) -> Option<&str> {
    uri.split(':').nth(4)
}

/// Reads `arn:{partition}:apigateway:{region}:{[subdomain.]service}:{action|path}/{rest}`;
/// method and role are the caller's.
fn parse(uri: &str) -> Option<AwsTarget> {
    if uri.chars().any(|c| c.is_control() || c == ' ') {
        return None;
    }
    let mut parts = uri.splitn(6, ':');
    let is_integration = parts.next() == Some("arn")
        && parts.next().is_some_and(is_host)
        && parts.next() == Some("apigateway");
    let region = parts.next().filter(|region| is_label(region) && is_integration)?;
    let address = parts.next().filter(|address| is_host(address))?;
    let (subdomain, service) = match address.rsplit_once('.') {
        Some((subdomain, service)) => (Some(subdomain), service),
        None => (None, address),
    };
    let (kind, rest) = parts.next()?.split_once('/')?;
    let request = match kind {
        "action" if is_action(rest) => AwsRequest::Action(VariableText::parse(rest)),
        "path" if rest.starts_with('/') => AwsRequest::Path(VariableText::parse(rest)),
        "path" => AwsRequest::Path(VariableText::parse(&format!("/{rest}"))),
        _ => return None,
    };
    Some(AwsTarget {
        service: service.to_owned(),
        subdomain: subdomain.map(str::to_owned),
        region: region.to_owned(),
        method: String::new(),
        request,
        role: None,
    })
}

/// A host name's label ([RFC 1035 §2.3.1]): these become part of an address.
///
/// [RFC 1035 §2.3.1]: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.1
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_host(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// A name, or a stage variable in its place, perhaps with parameters behind it.
fn is_action(text: &str) -> bool {
    let name = text.split('&').next().unwrap_or_default();
    let parsed = VariableText::parse(name);
    match parsed.constant() {
        Some(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()),
        None => true,
    }
}
