//! SAM resources that nothing here serves: a bare resource of the type that
//! they become stays, so that references to them have a value.

use api_model::{Node, Value};

use super::{Expansion, Source, build, canonical};

/// The types, and what they become.
const TYPES: [(&str, &str); 9] = [
    ("Api", "AWS::ApiGateway::RestApi"),
    ("Application", "AWS::CloudFormation::Stack"),
    ("CapacityProvider", "AWS::Lambda::CapacityProvider"),
    ("Connector", ""),
    ("GraphQLApi", "AWS::AppSync::GraphQLApi"),
    ("HttpApi", "AWS::ApiGatewayV2::Api"),
    ("MicrovmImage", "AWS::Lambda::MicrovmImage"),
    ("NetworkConnector", "AWS::Lambda::NetworkConnector"),
    ("WebFunction", "AWS::Lambda::WebFunction"),
];

/// Names of the types.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(kind, _)| *kind)
}

/// Adds what stays of a resource, with a warning; false if its type is not
/// among those left out.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) -> bool {
    let Some((_, becomes)) = TYPES.iter().find(|(kind, _)| *kind == source.kind) else {
        return false;
    };
    let message = format!("`AWS::Serverless::{}` is not served here and left out", source.kind);
    let id = source.logical_id;
    match source.kind {
        "Connector" => out.ignore(source, "", source.span, message),
        // The warning is the model's, which knows all HTTP APIs.
        "HttpApi" => return add_http_api(source, id, source.property("StageName"), out),
        "Api" => {
            add_rest_api(source, id, source.property("StageName"), out);
            out.ignore(source, "", source.span, message)
        }
        _ => {
            out.add(source, id, becomes, Vec::new(), source.inherited());
            out.ignore(source, "", source.span, message)
        }
    };
    true
}

/// Adds the API that SAM makes for `Api` and `HttpApi` events that name none.
pub(super) fn add_implicit_api(
    source: &Source<'_>,
    kind: &str,
    properties: Option<&Node>,
    out: &mut Expansion<'_>,
) {
    let has = |name: &str| properties.is_some_and(|node| node.find(name).is_some());
    match kind {
        "Api" if !has("RestApiId") && out.is_new("ServerlessRestApi") => {
            let prod = build::text("Prod", source.span);
            add_rest_api(source, "ServerlessRestApi", Some(&prod), out);
        }
        "HttpApi" if !has("ApiId") && out.is_new("ServerlessHttpApi") => {
            add_http_api(source, "ServerlessHttpApi", None, out);
        }
        _ => {}
    }
}

fn add_rest_api(source: &Source<'_>, id: &str, stage: Option<&Node>, out: &mut Expansion<'_>) {
    let span = source.span;
    out.add(source, id, "AWS::ApiGateway::RestApi", Vec::new(), attributes(source, id));
    let deployment = format!("{id}Deployment");
    let of_api = || build::entry("RestApiId", build::reference(id, span));
    let kind = "AWS::ApiGateway::Deployment";
    out.add(source, &deployment, kind, vec![of_api()], attributes(source, id));
    let stage_id = stage_id(id, stage);
    let mut properties = vec![of_api()];
    properties.extend(stage.map(|stage| build::entry("StageName", stage.clone())));
    out.add(source, &stage_id, "AWS::ApiGateway::Stage", properties, attributes(source, id));
    if id == source.logical_id {
        out.refer(source, "Deployment", &deployment);
        out.refer(source, "Stage", &stage_id);
    }
}

fn add_http_api(
    source: &Source<'_>,
    id: &str,
    stage: Option<&Node>,
    out: &mut Expansion<'_>,
) -> bool {
    let span = source.span;
    let http = build::entry("ProtocolType", build::text("HTTP", span));
    out.add(source, id, "AWS::ApiGatewayV2::Api", vec![http], attributes(source, id));
    let default = build::text("$default", span);
    let stage = stage.unwrap_or(&default);
    let stage_id = match stage.as_text().as_deref() {
        Some("$default") => format!("{id}ApiGatewayDefaultStage"),
        _ => stage_id(id, Some(stage)),
    };
    let properties = vec![
        build::entry("ApiId", build::reference(id, span)),
        build::entry("StageName", stage.clone()),
    ];
    out.add(source, &stage_id, "AWS::ApiGatewayV2::Stage", properties, attributes(source, id));
    if id == source.logical_id {
        out.refer(source, "Stage", &stage_id);
    }
    true
}

/// An API that many functions share does not follow the condition of one.
fn attributes(source: &Source<'_>, id: &str) -> Vec<api_model::Entry> {
    if id == source.logical_id { source.inherited() } else { Vec::new() }
}

/// The logical id of a stage: its name is part of it if it is a literal one.
fn stage_id(api: &str, name: Option<&Node>) -> String {
    match name.map(|node| &node.value) {
        Some(Value::String(name)) if name.is_empty() => format!("{api}Stage"),
        Some(Value::String(name)) if name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            format!("{api}{name}Stage")
        }
        Some(Value::String(name)) => format!("{api}Stage{}", canonical::hash(name)),
        _ => format!("{api}Stage"),
    }
}
