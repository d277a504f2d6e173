//! `AWS::ApiGatewayV2::Deployment` and `Stage` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-set-up-websocket-deployment.html

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{ApiParts, Apis, Compat, DeploymentParts, RouteParts, api_of};
use crate::api::{Authorization, Rate, Route, Stage};
use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::{Node, Resource};
use crate::raw::{self, Located, Reader};
use crate::source::Span;

pub(super) fn resolve_deployment(resource: &Resource, apis: &mut Apis, out: &mut Diagnostics) {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::DEPLOYMENT);
    reader.text("StageName");
    let Some(parts) = api_of(&mut reader, apis) else { return };
    let deployment = DeploymentParts {
        logical_id: resource.logical_id.clone(),
        span: resource.span,
        depends_on: resource.depends_on.iter().map(|(name, _)| name.clone()).collect(),
    };
    parts.deployments.insert(resource.physical_id.clone(), deployment);
}

pub(super) fn resolve<'a>(
    resource: &'a Resource,
    apis: &Apis,
    compat: Compat,
    out: &mut Diagnostics,
) -> Option<(Arc<Stage>, &'a Resource)> {
    let mut reader = Reader::new(resource, out);
    let api_id = reader.required("ApiId")?;
    let Some(parts) = apis.get(&api_id.value) else {
        let message = format!("`ApiId` is `{}`, which no template defines", api_id.value);
        let hint = Some("write `!Ref` and the logical id of the API".to_owned());
        reader.wrong(codes::REFERENCE, api_id.span, "ApiId", message, hint);
        return None;
    };
    let parts = parts.as_ref()?;
    reader.check_names(raw::STAGE);
    reader.unsupported("ClientCertificateId", "back ends would not see the certificate");
    reader.ignored("AccessLogSettings", "access logs are not written");
    let name = stage_name(&mut reader)?;
    let variables: Vec<(String, String)> =
        reader.texts("StageVariables").into_iter().map(|(key, value)| (key, value.value)).collect();
    let throttle = reader
        .map("DefaultRouteSettings")
        .and_then(|node| rate(&mut reader, node, "DefaultRouteSettings"));
    let route_throttles = route_throttles(&mut reader, parts);
    let routes = deployed_routes(&mut reader, parts, compat)?;
    let stage = Stage {
        api: Arc::clone(&parts.api),
        name: name.value,
        variables,
        routes,
        throttle,
        route_throttles,
    };
    Some((Arc::new(stage), resource))
}

fn stage_name(reader: &mut Reader<'_>) -> Option<Located<String>> {
    let name = reader.required("StageName")?;
    let valid = name.value.len() <= 128
        && name.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !valid {
        let message = format!(
            "`StageName` is `{}`; AWS allows up to 128 letters, digits, `-` and `_`",
            name.value
        );
        reader.wrong(codes::PROPERTY_VALUE, name.span, "StageName", message, None);
        return None;
    }
    if RESERVED_NAMES.contains(&name.value.as_str()) {
        let message = format!("`{}` is reserved and cannot be a stage", name.value);
        let hint = Some("choose another stage name".to_owned());
        reader.wrong(codes::PROPERTY_VALUE, name.span, "StageName", message, hint);
        return None;
    }
    Some(name)
}

/// Path segments that the gateway or the service keeps for itself.
pub(super) const RESERVED_NAMES: [&str; 3] = ["_aws", "ping", "sping"];

/// The routes of the stage's deployment: all, except that `compat = "aws"`
/// leaves out those that the deployment does not wait for.
fn deployed_routes(
    reader: &mut Reader<'_>,
    parts: &ApiParts,
    compat: Compat,
) -> Option<HashMap<String, Arc<Route>>> {
    let all = || parts.routes.iter().map(|part| (part.route.key.clone(), Arc::clone(&part.route)));
    let auto = reader.boolean("AutoDeploy").is_some_and(|flag| flag.value);
    let Some(id) = reader.text("DeploymentId") else {
        if auto || reader.node("DeploymentId").is_some() {
            return Some(all().collect());
        }
        let message =
            "the stage has neither `DeploymentId` nor `AutoDeploy`; on AWS it serves nothing";
        let finding =
            severity(reader, compat, codes::STAGE_DEPLOYMENT, reader.resource.span, message);
        finding.hint("add `DeploymentId: !Ref` and a deployment, or `AutoDeploy: true`");
        return Some(all().collect());
    };
    let Some(deployment) = parts.deployments.get(&id.value) else {
        let message = format!("`DeploymentId` is `{}`, which this API does not have", id.value);
        let hint = Some("write `!Ref` and the logical id of the deployment".to_owned());
        reader.wrong(codes::REFERENCE, id.span, "DeploymentId", message, hint);
        return None;
    };
    if auto {
        return Some(all().collect());
    }
    let missing: Vec<&str> = parts
        .routes
        .iter()
        .filter(|part| !waits_for(deployment, part, parts))
        .map(|part| part.route.logical_id.as_str())
        .collect();
    if missing.is_empty() {
        return Some(all().collect());
    }
    let message = format!(
        "`{}` does not wait for {}; on AWS the deployment may lack these routes",
        deployment.logical_id,
        missing.join(", ")
    );
    let hint = format!("add `DependsOn: [{}]`", missing.join(", "));
    // A stage that leaves out its guarded `$connect` would let everybody in.
    let leaves_guard = parts.routes.iter().any(|part| {
        matches!(part.route.authorization, Authorization::Custom(_))
            && missing.contains(&part.route.logical_id.as_str())
    });
    let finding = match compat {
        Compat::Aws if leaves_guard => {
            reader.out.error(codes::DEPLOYMENT_ORDER, deployment.span, message)
        }
        Compat::Aws | Compat::Wsgate => {
            reader.out.warning(codes::DEPLOYMENT_ORDER, deployment.span, message)
        }
    };
    finding.at(&deployment.logical_id, "DependsOn").hint(hint);
    if leaves_guard && compat == Compat::Aws {
        return None;
    }
    let keep = |key: &str| {
        compat == Compat::Wsgate
            || parts
                .routes
                .iter()
                .any(|part| part.route.key == key && waits_for(deployment, part, parts))
    };
    Some(all().filter(|(key, _)| keep(key)).collect())
}

/// Whether a deployment is made after a route: it waits for the route, or for what refers to it.
fn waits_for(deployment: &DeploymentParts, part: &RouteParts, parts: &ApiParts) -> bool {
    let response = parts.route_responses.get(&part.physical_id);
    deployment.depends_on.contains(&part.route.logical_id)
        || response.is_some_and(|response| deployment.depends_on.contains(&response.logical_id))
}

fn severity<'o>(
    reader: &'o mut Reader<'_>,
    compat: Compat,
    code: &'static str,
    span: Span,
    message: &str,
) -> &'o mut Diagnostic {
    let logical_id = reader.resource.logical_id.clone();
    let finding = match compat {
        Compat::Aws => reader.out.error(code, span, message),
        Compat::Wsgate => reader.out.warning(code, span, message),
    };
    finding.at(logical_id, "")
}

fn route_throttles(reader: &mut Reader<'_>, parts: &ApiParts) -> HashMap<String, Rate> {
    let Some(map) = reader.map("RouteSettings") else { return HashMap::new() };
    let mut rates = HashMap::new();
    for entry in map.entries() {
        let property = format!("RouteSettings.{}", entry.key);
        let is_known = parts.routes.iter().any(|part| part.route.key == entry.key);
        // With a broken route nobody knows which keys there would be.
        if !is_known && parts.broken.is_empty() {
            let message = format!("`{property}` names a route that this API does not have");
            let hint = Some("use the route key as it stands in the route".to_owned());
            reader.wrong(codes::REFERENCE, entry.key_span, &property, message, hint);
        }
        if let Some(rate) = rate(reader, &entry.value, &property) {
            rates.insert(entry.key.clone(), rate);
        }
    }
    rates
}

/// `ThrottlingRateLimit` and `ThrottlingBurstLimit`; one alone leaves the other
/// at the account's default.
fn rate(reader: &mut Reader<'_>, settings: &Node, property: &str) -> Option<Rate> {
    for entry in settings.entries() {
        if !raw::ROUTE_SETTINGS.contains(&entry.key.as_str()) {
            let message = format!("`{property}` has no member `{}`", entry.key);
            let hint = Some(format!("known are {}", raw::ROUTE_SETTINGS.join(", ")));
            let path = format!("{property}.{}", entry.key);
            reader.wrong(codes::PROPERTY_UNKNOWN, entry.key_span, &path, message, hint);
        }
    }
    let mut number = |name: &str, max: f64| {
        let node = settings.find(name)?;
        let value = node.as_text().and_then(|text| text.parse::<f64>().ok());
        match value.filter(|value| (0.0..=max).contains(value)) {
            Some(value) => Some(value),
            None => {
                let message = format!("`{name}` must be a number from 0 to {max}");
                let path = format!("{property}.{name}");
                reader.wrong(codes::PROPERTY_KIND, node.span, &path, message, None);
                None
            }
        }
    };
    let per_second = number("ThrottlingRateLimit", 1e9);
    let burst = number("ThrottlingBurstLimit", f64::from(i32::MAX));
    if per_second.is_none() && burst.is_none() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let burst = burst.map_or(ACCOUNT_RATE.burst, |burst| burst as u32);
    Some(Rate { per_second: per_second.unwrap_or(ACCOUNT_RATE.per_second), burst })
}

/// AWS's default account throttle, the ceiling of every other.
pub(super) const ACCOUNT_RATE: Rate = Rate { per_second: 10_000.0, burst: 5_000 };

pub(super) fn check_unique(stages: &[(Arc<Stage>, &Resource)], out: &mut Diagnostics) {
    let mut seen = HashSet::new();
    for (stage, resource) in stages {
        if !seen.insert((&stage.api.api_id, &stage.name)) {
            let message = format!("API `{}` has two stages `{}`", stage.api.logical_id, stage.name);
            out.error(codes::DUPLICATE, resource.span, message)
                .at(&resource.logical_id, "Properties.StageName")
                .hint("keep one of them");
        }
    }
}
