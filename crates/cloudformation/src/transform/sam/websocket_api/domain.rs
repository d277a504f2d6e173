//! `Domain`: the custom domain of an API.

use std::collections::BTreeMap;

use api_model::{Entry, Node, Span, Value};

use super::{Stage, is_empty, propagated_tags, property};
use crate::document::excerpt;
use crate::function::{self, Piece};
use crate::nearest::nearest;
use crate::template::kind;
use crate::transform::Context;
use crate::transform::build::{attribute, call, entry, list, map, reference, text};
use crate::transform::sam::{Expansion, Source, canonical};

const PROPERTIES: [&str; 8] = [
    "BasePath",
    "CertificateArn",
    "DomainName",
    "EndpointConfiguration",
    "MutualTlsAuthentication",
    "OwnershipVerificationCertificateArn",
    "Route53",
    "SecurityPolicy",
];

/// Adds domain, mappings and records.
pub(super) fn add(source: &Source<'_>, stage: &Stage, out: &mut Expansion<'_>) {
    let Some(given) = property(source, "Domain") else {
        return;
    };
    let given = &with_parameters(&given.value, out.context);
    let find = |name: &str| given.find(name).filter(|node| !matches!(node.value, Value::Null));
    warn_unknown(source, given, out);
    if let Some(node) = find("MutualTlsAuthentication").filter(|node| !is_empty(node)) {
        let message = "domains of WebSocket APIs have no mutual TLS";
        out.refuse(source, "Domain.MutualTlsAuthentication", node.span, message)
            .hint("remove it; an authorizer decides who connects");
    }
    let (Some(name), Some(certificate)) = (find("DomainName"), find("CertificateArn")) else {
        let message = "a custom domain needs `DomainName` and `CertificateArn`";
        out.refuse(source, "Domain", given.span, message);
        return;
    };
    if let Some(node) = find("EndpointConfiguration")
        && node.as_text().is_none_or(|text| text != "REGIONAL")
    {
        let message = "`EndpointConfiguration` must be `REGIONAL`";
        out.refuse(source, "Domain.EndpointConfiguration", node.span, message);
    }
    let logical_id = format!("ApiGatewayDomainNameV2{}", hash(name));
    out.refer(source, "DomainName", &logical_id);
    let mut configuration = vec![
        entry("CertificateArn", certificate.clone()),
        entry("EndpointType", text("REGIONAL", name.span)),
    ];
    for key in ["OwnershipVerificationCertificateArn", "SecurityPolicy"] {
        let node = find(key).filter(|node| !is_empty(node));
        configuration.extend(node.map(|node| entry(key, node.clone())));
    }
    let configurations = list([map(configuration, name.span)], name.span);
    let properties = vec![
        entry("DomainName", name.clone()),
        entry("DomainNameConfigurations", configurations),
        propagated_tags(source),
    ];
    // APIs of a template may share a domain.
    if !is_made(&logical_id, out) {
        out.add(source, &logical_id, "AWS::ApiGatewayV2::DomainName", properties, Vec::new());
    }
    add_mappings(source, stage, find("BasePath"), &logical_id, out);
    if let Some(route53) = find("Route53") {
        add_records(source, route53, name, &logical_id, out);
    }
}

fn is_made(logical_id: &str, out: &Expansion<'_>) -> bool {
    out.resources.iter().any(|entry| entry.key == logical_id)
}

fn warn_unknown(source: &Source<'_>, given: &Node, out: &mut Expansion<'_>) {
    for member in given.entries() {
        if !PROPERTIES.contains(&member.key.as_str()) {
            let message = format!("`Domain` has no property `{}`", excerpt(&member.key));
            let path = format!("Domain.{}", member.key);
            let finding = out.ignore(source, &path, member.key_span, message);
            if let Some(near) = nearest(&member.key, PROPERTIES) {
                finding.hint(format!("write `{near}`"));
            }
        }
    }
}

/// A mapping to the stage for each path, or one for the whole domain.
fn add_mappings(
    source: &Source<'_>,
    stage: &Stage,
    paths: Option<&Node>,
    domain: &str,
    out: &mut Expansion<'_>,
) {
    let paths = match paths.map(|node| (node, &node.value)) {
        Some((_, Value::List(items))) if !items.is_empty() => items.as_slice(),
        Some((node, Value::String(text))) if !text.is_empty() => std::slice::from_ref(node),
        _ => {
            let logical_id = format!("{}ApiMapping", source.logical_id);
            return add_mapping(source, stage, &logical_id, None, domain, out);
        }
    };
    let mut keys: BTreeMap<String, Node> = BTreeMap::new();
    for path in paths {
        let Some(written) = base_path(source, path, out) else {
            continue;
        };
        let id = written.replace(['-', '_', '/'], "");
        let logical_id = format!("{}{id}ApiMapping", source.logical_id);
        let key = text(written.trim_matches('/'), path.span);
        if let Some(lost) = keys.insert(logical_id.clone(), key) {
            let message = format!(
                "SAM makes `{}` of two base paths, so only the last of them is served",
                excerpt(&logical_id)
            );
            out.ignore(source, "Domain.BasePath", lost.span, message)
                .hint("give them paths that differ in more than `/`, `-` and `_`");
        }
    }
    for (logical_id, key) in keys {
        add_mapping(source, stage, &logical_id, Some(key), domain, out);
    }
}

fn base_path<'n>(source: &Source<'_>, path: &'n Node, out: &mut Expansion<'_>) -> Option<&'n str> {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let message = match &path.value {
        Value::String(written) if written.chars().all(is_valid) => return Some(written),
        Value::String(_) => "a base path holds letters, digits, `/`, `-` and `_` only".to_owned(),
        _ => format!("a base path must be a string, and this is {}", kind(path)),
    };
    out.refuse(source, "Domain.BasePath", path.span, message);
    None
}

fn add_mapping(
    source: &Source<'_>,
    stage: &Stage,
    logical_id: &str,
    key: Option<Node>,
    domain: &str,
    out: &mut Expansion<'_>,
) {
    let span = key.as_ref().map_or(source.span, |key| key.span);
    let mut properties = vec![
        entry("ApiId", reference(source.logical_id, span)),
        entry("DomainName", reference(domain, span)),
        entry("Stage", reference(&stage.logical_id, span)),
    ];
    properties.extend(key.map(|key| entry("ApiMappingKey", key)));
    out.add(source, logical_id, "AWS::ApiGatewayV2::ApiMapping", properties, Vec::new());
}

/// The records that lead to the domain; they are not served.
fn add_records(
    source: &Source<'_>,
    route53: &Node,
    name: &Node,
    domain: &str,
    out: &mut Expansion<'_>,
) {
    if !matches!(route53.value, Value::Map(_)) {
        let message = format!("`Domain.Route53` must be a mapping, and this is {}", kind(route53));
        out.refuse(source, "Domain.Route53", route53.span, message);
        return;
    }
    let find = |name: &str| route53.find(name).filter(|node| !matches!(node.value, Value::Null));
    let id = find("HostedZoneId").map(|node| ("HostedZoneId", node));
    let Some((key, zone)) = id.or_else(|| Some(("HostedZoneName", find("HostedZoneName")?))) else {
        let message = "`Route53` needs `HostedZoneId` or `HostedZoneName`";
        out.refuse(source, "Domain.Route53", route53.span, message);
        return;
    };
    let record = |kind: &str| {
        let mut target = vec![
            entry("HostedZoneId", attribute(domain, "RegionalHostedZoneId", name.span)),
            entry("DNSName", attribute(domain, "RegionalDomainName", name.span)),
        ];
        let health = find("EvaluateTargetHealth");
        target.extend(health.map(|node| entry("EvaluateTargetHealth", node.clone())));
        let mut record = vec![
            entry("Name", name.clone()),
            entry("Type", text(kind, name.span)),
            entry("AliasTarget", map(target, name.span)),
        ];
        for key in ["Region", "SetIdentifier"] {
            record.extend(find(key).map(|node| entry(key, node.clone())));
        }
        map(record, name.span)
    };
    let mut records = vec![record("A")];
    if find("IpV6").is_some_and(|node| matches!(node.value, Value::Bool(true))) {
        records.push(record("AAAA"));
    }
    let logical_id = format!("RecordSetGroup{}", hash(zone));
    // Domains of a template may share a zone.
    if is_made(&logical_id, out) {
        return;
    }
    let properties = vec![entry(key, zone.clone()), entry("RecordSets", list(records, name.span))];
    out.add(source, &logical_id, "AWS::Route53::RecordSetGroup", properties, Vec::new());
}

/// The hash of a value in logical ids.
fn hash(node: &Node) -> String {
    match &node.value {
        Value::String(text) => canonical::hash(text),
        _ => canonical::hash(&canonical::compact(node)),
    }
}

/// A value with the values of parameters in place of `Ref` and within
/// `Fn::Sub`; recursion is bounded by the depth of the tree.
fn with_parameters(node: &Node, context: &Context) -> Node {
    let span = node.span;
    let value = match &node.value {
        Value::List(items) => {
            Value::List(items.iter().map(|item| with_parameters(item, context)).collect())
        }
        Value::Map(entries) => {
            if let Some(made) = with_parameter(node, context) {
                return made;
            }
            let entries = entries.iter().map(|entry| Entry {
                value: with_parameters(&entry.value, context),
                ..entry.clone()
            });
            Value::Map(entries.collect())
        }
        other => other.clone(),
    };
    Node::new(value, span)
}

/// What a `Ref` or `Fn::Sub` becomes, if its names are parameters.
fn with_parameter(node: &Node, context: &Context) -> Option<Node> {
    let call_here = function::call(node)?;
    match (call_here.name, &call_here.argument.value) {
        ("Ref", Value::String(_)) => {
            let known = context.known(node)?.into_owned();
            (!known.is_unresolved()).then_some(known)
        }
        ("Fn::Sub", Value::String(pattern)) => {
            let argument = text(substituted(pattern, node.span, context), call_here.argument.span);
            Some(call("Fn::Sub", argument))
        }
        _ => None,
    }
}

/// A text of `Fn::Sub` with the values of parameters.
fn substituted(pattern: &str, span: Span, context: &Context) -> String {
    let mut made = String::with_capacity(pattern.len());
    for piece in function::sub_pieces(pattern) {
        match piece {
            // A text that begins so was written `${!`.
            Piece::Text("${") => made.push_str("${!"),
            Piece::Text(piece) => made.push_str(piece),
            Piece::Name(name) => {
                let known = context.known(&reference(name, span)).map(std::borrow::Cow::into_owned);
                match known.as_ref().and_then(Node::as_text) {
                    Some(value) => made.push_str(&value),
                    None => made.push_str(&format!("${{{name}}}")),
                }
            }
        }
    }
    made
}
