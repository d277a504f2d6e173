//! `[integrations]`: how the gateway reaches AWS.

use std::collections::BTreeMap;

use api_model::Diagnostics;

use super::section::{Section, wrong};

/// How the gateway reaches AWS.
#[derive(Clone, Debug, Default)]
pub struct Integrations {
    /// `credentials = "environment"`: AWS may be called with those of the
    /// process environment; never without.
    pub is_ambient: bool,
    /// Addresses of services in place of AWS's own, by service.
    pub endpoints: BTreeMap<String, String>,
}

/// Reads the section.
pub(super) fn read(mut section: Section<'_>, out: &mut Diagnostics) -> Integrations {
    let is_ambient = section.word("credentials", &[("environment", true)], out).unwrap_or(false);
    let mut table = section.table("endpoints", out);
    let mut endpoints = BTreeMap::new();
    for service in ["secretsmanager", "ssm"] {
        if let Some(url) = table.text(service, out) {
            endpoints.insert(service.to_owned(), url.to_owned());
        }
    }
    if !endpoints.is_empty() && !is_ambient {
        let message = "needs `integrations.credentials`: a service is never called without";
        wrong(out, table.span(), "integrations.endpoints", message);
    }
    table.finish(out);
    section.finish(out);
    Integrations { is_ambient, endpoints }
}
