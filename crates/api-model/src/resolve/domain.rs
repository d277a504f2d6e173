//! `AWS::ApiGatewayV2::DomainName` and `ApiMapping` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-mappings.html

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{API_MAPPING, Apis, DOMAIN_NAME, STAGE, each};
use crate::api::{Domain, Mapping, Stage};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::node::{Resource, Stack};
use crate::raw::{self, Reader};
use crate::resolve::stage::RESERVED_NAMES;

pub(super) fn resolve(
    stacks: &[Stack],
    apis: &Apis,
    stages: &[(Arc<Stage>, &Resource)],
    out: &mut Diagnostics,
) -> Vec<Domain> {
    let mut domains = BTreeMap::<String, Vec<Mapping>>::new();
    each(stacks, DOMAIN_NAME, |_, resource| {
        let mut reader = Reader::new(resource, out);
        reader.check_names(raw::DOMAIN_NAME);
        reader.unsupported("MutualTlsAuthentication", "client certificates would not be asked for");
        let Some(name) = reader.required("DomainName") else { return };
        let lower = name.value.to_ascii_lowercase();
        if !is_domain(&lower) {
            let message = format!("`{}` is not a domain name", name.value);
            reader.wrong(codes::PROPERTY_VALUE, name.span, "DomainName", message, None);
            return;
        }
        if domains.insert(lower, Vec::new()).is_some() {
            let message = format!("two resources claim the domain `{}`", name.value);
            reader.wrong(codes::DUPLICATE, name.span, "DomainName", message, None);
        }
    });
    each(stacks, API_MAPPING, |_, resource| {
        if let Some((domain, mapping)) = read_mapping(stacks, resource, apis, stages, &domains, out)
        {
            domains.entry(domain).or_default().push(mapping);
        }
    });
    domains.into_iter().map(|(name, mappings)| Domain { name, mappings }).collect()
}

fn read_mapping(
    stacks: &[Stack],
    resource: &Resource,
    apis: &Apis,
    stages: &[(Arc<Stage>, &Resource)],
    domains: &BTreeMap<String, Vec<Mapping>>,
    out: &mut Diagnostics,
) -> Option<(String, Mapping)> {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::API_MAPPING);
    let api_id = reader.required("ApiId");
    let stage = reader.required("Stage");
    let domain = reader.required("DomainName");
    let key = reader.text("ApiMappingKey");
    let (api_id, stage, domain) = (api_id?, stage?, domain?);
    if key.is_none() && reader.node("ApiMappingKey").is_some() {
        return None; // It must not count as the root.
    }
    let name = domain.value.to_ascii_lowercase();
    let Some(mappings) = domains.get(&name) else {
        if is_domain_resource(stacks, &name) {
            return None;
        }
        let message = format!("`DomainName` is `{}`, which no template defines", domain.value);
        let hint = Some("write `!Ref` and the logical id of the domain name".to_owned());
        reader.wrong(codes::DOMAIN, domain.span, "DomainName", message, hint);
        return None;
    };
    match apis.get(&api_id.value) {
        None => {
            let message = format!("`ApiId` is `{}`, which no template defines", api_id.value);
            let hint = Some("write `!Ref` and the logical id of the API".to_owned());
            reader.wrong(codes::REFERENCE, api_id.span, "ApiId", message, hint);
            return None;
        }
        Some(None) => return None, // Not served, or already reported.
        Some(Some(_)) => {}
    }
    let served = stages
        .iter()
        .any(|(served, _)| served.api.api_id == api_id.value && served.name == stage.value);
    if !served && is_stage(stacks, &api_id.value, &stage.value) {
        return None;
    }
    if !served {
        let message = format!("`Stage` is `{}`, which this API does not have", stage.value);
        let hint = Some("write `!Ref` and the logical id of the stage".to_owned());
        reader.wrong(codes::DOMAIN, stage.span, "Stage", message, hint);
        return None;
    }
    let key_text = key.as_ref().map(|key| key.value.clone()).unwrap_or_default();
    let key_span = key.map_or(resource.span, |key| key.span);
    if !is_mapping_key(&key_text) {
        let message = format!("`ApiMappingKey` is `{key_text}`, which WebSocket APIs do not allow");
        let hint = Some(
            "use letters, digits and `$-_.+!*'()`, at most 300, and none of _aws, ping, sping"
                .to_owned(),
        );
        reader.wrong(codes::PROPERTY_VALUE, key_span, "ApiMappingKey", message, hint);
        return None;
    }
    if mappings.iter().any(|mapping| mapping.key == key_text) {
        let message = format!("two mappings of `{}` have the key `{key_text}`", domain.value);
        reader.wrong(codes::DUPLICATE, key_span, "ApiMappingKey", message, None);
        return None;
    }
    Some((name, Mapping { key: key_text, api_id: api_id.value, stage: stage.value }))
}

/// Whether a resource may be this stage: as it is not served, it was reported.
fn is_stage(stacks: &[Stack], api_id: &str, name: &str) -> bool {
    let mut found = false;
    each(stacks, STAGE, |_, resource| {
        found |= may_be(resource, "ApiId", api_id) && may_be(resource, "StageName", name);
    });
    found
}

/// Whether a resource may be this domain: as it is not known, it was reported.
fn is_domain_resource(stacks: &[Stack], name: &str) -> bool {
    let mut found = false;
    each(stacks, DOMAIN_NAME, |_, resource| found |= may_be(resource, "DomainName", name));
    found
}

/// Whether a property has this value, or one that cannot be known here.
fn may_be(resource: &Resource, property: &str, value: &str) -> bool {
    let node = resource.properties.find(property);
    node.is_some_and(|node| node.as_text().is_none_or(|text| text.eq_ignore_ascii_case(value)))
}

fn is_mapping_key(key: &str) -> bool {
    key.len() <= 300
        && !RESERVED_NAMES.contains(&key)
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&b))
}

fn is_domain(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    rest.len() <= 253 && rest.split('.').all(label)
}
