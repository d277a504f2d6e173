//! Resources become the served model: references are followed, templates and
//! expressions compiled, and everything that is wrong is said at once.

mod authorizer;
mod code;
mod domain;
mod function;
pub use function::{find_function, permits};
mod integration;
mod provision;
mod role;
mod route;
mod stage;
mod unique;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::api::{Api, Authorizer, Integration, Model, Route};
use crate::codes;
use crate::diagnostic::Diagnostics;
use crate::expression::{Expression, Scope};
use crate::node::{Resource, Stack};
use crate::raw::{self, Located, Reader};

/// Whether wsgate's own behaviour or AWS's decides where the two differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compat {
    /// AWS's: what would fail there fails here.
    Aws,
    /// wsgate's: what only a deployment needs is a warning.
    #[default]
    Wsgate,
}

/// Builds the model of all stacks. With errors among the findings nothing of
/// the model may be served.
pub fn resolve(stacks: &[Stack], compat: Compat) -> (Model, Diagnostics) {
    let mut out = Diagnostics::default();
    unique::check(stacks, &mut out);
    let functions = function::resolve(stacks, &mut out);
    let mut apis = find_apis(stacks, &mut out);

    each(stacks, INTEGRATION, |stack, resource| {
        integration::resolve(stack, resource, &mut apis, &functions, &mut out);
    });
    each(stacks, INTEGRATION_RESPONSE, |_, resource| {
        integration::resolve_response(resource, &mut apis, &mut out);
    });
    each(stacks, AUTHORIZER, |stack, resource| {
        authorizer::resolve(stack, resource, &mut apis, &functions, compat, &mut out);
    });
    each(stacks, ROUTE_RESPONSE, |_, resource| {
        route::resolve_response(resource, &mut apis, &mut out);
    });
    let mut lost_routes = false;
    each(stacks, ROUTE, |_, resource| {
        lost_routes |= route::resolve(resource, &mut apis, &mut out) == route::Outcome::Lost;
    });
    each(stacks, DEPLOYMENT, |_, resource| {
        stage::resolve_deployment(resource, &mut apis, &mut out)
    });
    let mut stages = Vec::new();
    each(stacks, STAGE, |_, resource| {
        stages.extend(stage::resolve(resource, &apis, compat, &mut out));
    });
    route::check_pairs(&apis, &mut out);
    if !lost_routes {
        each(stacks, AUTHORIZER, |_, resource| {
            authorizer::warn_unused(resource, &apis, &mut out);
        });
    }
    stage::check_unique(&stages, &mut out);
    let domains = domain::resolve(stacks, &apis, &stages, &mut out);
    if lost_routes {
        // One of them may be the `$connect` that guards all others.
        stages.clear();
    }

    let stages = stages.into_iter().map(|(stage, _)| stage).collect();
    let parameters = function::parameters(stacks, &mut out);
    let queue_sources = provision::queue_sources(stacks, &mut out);
    let provisions = provision::provisions(stacks);
    let unserved = unserved(stacks);
    let model =
        Model { stages, functions, domains, parameters, queue_sources, provisions, unserved };
    (model, out)
}

const API: &str = "AWS::ApiGatewayV2::Api";
const API_MAPPING: &str = "AWS::ApiGatewayV2::ApiMapping";
const AUTHORIZER: &str = "AWS::ApiGatewayV2::Authorizer";
const DEPLOYMENT: &str = "AWS::ApiGatewayV2::Deployment";
const DOMAIN_NAME: &str = "AWS::ApiGatewayV2::DomainName";
const INTEGRATION: &str = "AWS::ApiGatewayV2::Integration";
const INTEGRATION_RESPONSE: &str = "AWS::ApiGatewayV2::IntegrationResponse";
const ROUTE: &str = "AWS::ApiGatewayV2::Route";
const ROUTE_RESPONSE: &str = "AWS::ApiGatewayV2::RouteResponse";
const STAGE: &str = "AWS::ApiGatewayV2::Stage";

/// Types that are served, or understood for names and checks.
const KNOWN_TYPES: &[&str] = &[
    API,
    API_MAPPING,
    AUTHORIZER,
    DEPLOYMENT,
    DOMAIN_NAME,
    INTEGRATION,
    INTEGRATION_RESPONSE,
    ROUTE,
    ROUTE_RESPONSE,
    STAGE,
    "AWS::ApiGatewayV2::Model",
    "AWS::CDK::Metadata",
    "AWS::CertificateManager::Certificate",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::Route53::RecordSet",
    "AWS::Route53::RecordSetGroup",
    "AWS::SSM::Parameter",
];

/// One API while it is put together.
pub(crate) struct ApiParts {
    pub(crate) api: Arc<Api>,
    /// Routes, integrations and authorizers that were reported: whoever refers to them
    /// is not reported for it.
    pub(crate) broken: HashSet<String>,
    pub(crate) integrations: HashMap<String, Integration>,
    pub(crate) authorizers: HashMap<String, Arc<Authorizer>>,
    pub(crate) routes: Vec<RouteParts>,
    /// Route responses by the physical id of their route.
    pub(crate) route_responses: BTreeMap<String, ResponseParts>,
    /// Deployments by physical id: the logical ids they wait for.
    pub(crate) deployments: HashMap<String, DeploymentParts>,
}

pub(crate) struct RouteParts {
    pub(crate) route: Arc<Route>,
    pub(crate) physical_id: String,
    pub(crate) span: crate::source::Span,
    /// Whether `RouteResponseSelectionExpression` is set.
    pub(crate) expression: bool,
}

pub(crate) struct ResponseParts {
    pub(crate) logical_id: String,
    /// Where it names its route.
    pub(crate) span: crate::source::Span,
}

pub(crate) struct DeploymentParts {
    pub(crate) logical_id: String,
    pub(crate) span: crate::source::Span,
    pub(crate) depends_on: HashSet<String>,
}

/// APIs by physical id; `None` for one that is not a WebSocket API or is broken.
pub(crate) type Apis = BTreeMap<String, Option<ApiParts>>;

fn each<'a>(stacks: &'a [Stack], kind: &str, mut visit: impl FnMut(&'a Stack, &'a Resource)) {
    for stack in stacks {
        for resource in &stack.resources {
            if resource.resource_type == kind {
                visit(stack, resource);
            }
        }
    }
}

fn find_apis(stacks: &[Stack], out: &mut Diagnostics) -> Apis {
    let mut apis = Apis::new();
    each(stacks, API, |stack, resource| {
        let parts = read_api(stack, resource, out);
        if apis.insert(resource.physical_id.clone(), parts).is_some() {
            out.error(
                codes::DUPLICATE,
                resource.span,
                format!("two APIs have the id `{}`", resource.physical_id),
            )
            .at(&resource.logical_id, "Properties.Tags.wsgate:api-id")
            .hint("give each API its own `wsgate:api-id`, or none");
        }
    });
    apis
}

fn read_api(stack: &Stack, resource: &Resource, out: &mut Diagnostics) -> Option<ApiParts> {
    let mut reader = Reader::new(resource, out);
    reader.check_names(raw::API);
    let protocol = reader.required("ProtocolType")?;
    if protocol.value == "HTTP" {
        reader.ignored("ProtocolType", "HTTP APIs are not served");
        return None;
    }
    reader.one_of("ProtocolType", &["WEBSOCKET"])?;
    reader.unsupported("Body", "WebSocket APIs have no OpenAPI import");
    reader.unsupported("BodyS3Location", "WebSocket APIs have no OpenAPI import");
    reader.ignored("ApiKeySelectionExpression", "no route of it may require an API key here");
    let name = reader.required("Name");
    // Closed if it cannot be read.
    let disable = reader.boolean("DisableExecuteApiEndpoint");
    let disable = disable
        .map_or_else(|| reader.node("DisableExecuteApiEndpoint").is_some(), |flag| flag.value);
    let route_selection = reader
        .required("RouteSelectionExpression")
        .and_then(|source| {
            expression(&mut reader, "RouteSelectionExpression", &source, Scope::Request)
        })
        // Reported; the rest of the API is checked all the same.
        .unwrap_or_else(Expression::empty);
    let api = Api {
        api_id: resource.physical_id.clone(),
        logical_id: resource.logical_id.clone(),
        name: name.map(|name| name.value).unwrap_or_default(),
        stack: stack.name.clone(),
        region: stack.region.clone(),
        account_id: stack.account_id.clone(),
        partition: stack.partition.clone(),
        route_selection,
        disable_execute_api_endpoint: disable,
    };
    Some(ApiParts {
        api: Arc::new(api),
        broken: HashSet::new(),
        integrations: HashMap::new(),
        authorizers: HashMap::new(),
        routes: Vec::new(),
        route_responses: BTreeMap::new(),
        deployments: HashMap::new(),
    })
}

/// The API that a resource belongs to; an unknown id is an error, an API that
/// is not served is none.
pub(crate) fn api_of<'p>(reader: &mut Reader<'_>, apis: &'p mut Apis) -> Option<&'p mut ApiParts> {
    let api_id = reader.required("ApiId")?;
    match apis.get_mut(&api_id.value) {
        Some(parts) => parts.as_mut(),
        None => {
            let message = format!("`ApiId` is `{}`, which no template defines", api_id.value);
            let hint = Some("write `!Ref` and the logical id of the API".to_owned());
            reader.wrong(codes::REFERENCE, api_id.span, "ApiId", message, hint);
            None
        }
    }
}

/// Compiles a selection expression.
pub(crate) fn expression(
    reader: &mut Reader<'_>,
    name: &str,
    source: &Located<String>,
    scope: Scope,
) -> Option<Expression> {
    match Expression::parse(&source.value, scope) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let message = format!("`{name}` is not a selection expression: {error}");
            let hint = Some(
                r"write `$request.body.action`, `${request.body.action}` or `\$default`".to_owned(),
            );
            reader.wrong(codes::EXPRESSION, source.span, name, message, hint);
            None
        }
    }
}

fn unserved(stacks: &[Stack]) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for resource in stacks.iter().flat_map(|stack| &stack.resources) {
        if !KNOWN_TYPES.contains(&resource.resource_type.as_str()) {
            *counts.entry(&resource.resource_type).or_default() += 1;
        }
    }
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[cfg(test)]
mod tests;
