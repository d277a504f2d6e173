//! `Globals`: properties for all resources of a type ([reference]).
//!
//! [reference]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Value};

use super::{Expansion, Source};
use crate::document::excerpt;
use crate::nearest::suggest;
use crate::{codes, function, template};

/// The properties of each type that has some.
#[derive(Default)]
pub(super) struct Globals {
    by_kind: HashMap<String, Vec<Entry>>,
}

/// What may stand in `Globals`, by type.
const SUPPORTED: [(&str, &[&str]); 10] = [
    ("Api", &[]),
    ("CapacityProvider", &[]),
    ("Function", &FUNCTION),
    ("HttpApi", &[]),
    ("LayerVersion", &["PublishLambdaVersion"]),
    ("MicrovmImage", &[]),
    ("NetworkConnector", &[]),
    ("SimpleTable", &["SSESpecification"]),
    ("StateMachine", &["PropagateTags"]),
    ("WebSocketApi", &WEB_SOCKET_API),
];

const FUNCTION: [&str; 38] = [
    "Architectures",
    "AssumeRolePolicyDocument",
    "AutoPublishAlias",
    "AutoPublishAliasAllProperties",
    "CapacityProviderConfig",
    "CodeSigningConfigArn",
    "CodeUri",
    "DeadLetterQueue",
    "DeploymentPreference",
    "Description",
    "DurableConfig",
    "Environment",
    "EphemeralStorage",
    "EventInvokeConfig",
    "FileSystemConfigs",
    "FunctionScalingConfig",
    "FunctionUrlConfig",
    "Handler",
    "KmsKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "PermissionsBoundary",
    "PropagateTags",
    "ProvisionedConcurrencyConfig",
    "PublishToLatestPublished",
    "RecursiveLoop",
    "ReservedConcurrentExecutions",
    "RolePath",
    "Runtime",
    "RuntimeManagementConfig",
    "SnapStart",
    "SourceKMSKeyArn",
    "Tags",
    "TenancyConfig",
    "Timeout",
    "Tracing",
    "VpcConfig",
];

const WEB_SOCKET_API: [&str; 13] = [
    "AccessLogSettings",
    "ApiKeySelectionExpression",
    "DefaultRouteSettings",
    "DisableExecuteApiEndpoint",
    "DisableSchemaValidation",
    "Domain",
    "FailOnWarnings",
    "IpAddressType",
    "PropagateTags",
    "RouteSelectionExpression",
    "RouteSettings",
    "StageVariables",
    "Tags",
];

/// Takes the section out of the template.
pub(super) fn take(sections: &mut Vec<Entry>, diagnostics: &mut Diagnostics) -> Globals {
    let mut globals = Globals::default();
    let Some(at) = sections.iter().position(|section| section.key == "Globals") else {
        return globals;
    };
    let section = sections.remove(at);
    for entry in template::members(&section.value, "Globals", diagnostics) {
        let kind = entry.key.as_str();
        let Some((_, supported)) = SUPPORTED.iter().find(|(name, _)| *name == kind) else {
            let names = SUPPORTED.map(|(name, _)| name);
            let message = format!("`Globals` cannot hold `{}`", excerpt(kind));
            let hint = suggest(diagnostics, kind, names).map_or_else(
                || format!("it can hold {}", names.join(", ")),
                |near| format!("write `{near}`"),
            );
            diagnostics.error(codes::SAM_PROPERTY, entry.key_span, message).hint(hint);
            continue;
        };
        let properties = template::members(&entry.value, kind, diagnostics);
        // Types that are left out have an empty table: anything goes.
        let is_supported = |name: &str| supported.is_empty() || supported.contains(&name);
        for property in properties.iter().filter(|property| !is_supported(&property.key)) {
            let name = excerpt(&property.key);
            let message = format!("`Globals` cannot hold `{name}` for `{kind}`");
            let near = suggest(diagnostics, &property.key, supported.iter().copied());
            let hint = near.map_or_else(
                || "write it into each resource".to_owned(),
                |near| format!("write `{near}`"),
            );
            diagnostics
                .error(codes::SAM_PROPERTY, property.key_span, message)
                .hint(hint)
                .property = Some(format!("Globals.{kind}.{name}"));
        }
        let kept = properties.iter().filter(|property| is_supported(&property.key)).cloned();
        globals.by_kind.insert(kind.to_owned(), kept.collect());
    }
    globals
}

impl Globals {
    /// Merges the properties of `source` with those of its type. `ignored` is
    /// its attribute `IgnoreGlobals`: `*`, or a list of names.
    pub(super) fn merge(
        &self,
        source: &mut Source<'_>,
        ignored: Option<&Node>,
        out: &mut Expansion<'_>,
    ) {
        let Some(global) = self.by_kind.get(source.kind) else {
            return;
        };
        let mut left_out = Vec::new();
        match ignored.map(|node| (&node.value, node.span)) {
            None => {}
            Some((Value::String(text), _)) if text == "*" => return,
            Some((Value::List(items), _)) => {
                for item in items {
                    let name = item.as_text().unwrap_or_default().into_owned();
                    if !global.iter().any(|entry| entry.key == name) {
                        let message =
                            format!("`Globals` has no property `{}` to ignore", excerpt(&name));
                        out.refuse(source, "", item.span, message).property =
                            Some("IgnoreGlobals".to_owned());
                    }
                    left_out.push(name);
                }
            }
            Some((_, span)) => {
                let message = "`IgnoreGlobals` is \"*\" or a list of properties";
                out.refuse(source, "", span, message).property = Some("IgnoreGlobals".to_owned());
            }
        }
        let applied: Vec<&Entry> =
            global.iter().filter(|entry| !left_out.contains(&entry.key)).collect();
        if !applied.iter().all(|entry| out.take(&entry.value, source.span)) {
            return;
        }
        let Value::Map(local) = &mut source.properties.value else {
            return;
        };
        let merged = merge_maps(applied, std::mem::take(local), |name| {
            source.kind == "Function" && name == "Architectures"
        });
        *local = merged;
    }
}

/// Mappings are merged, lists joined, anything else is what the resource says.
fn merge(global: &Node, local: Node) -> Node {
    let is_plain = |node: &Node| function::call(node).is_none() && condition_call(node).is_none();
    if !is_plain(global) || !is_plain(&local) {
        return local;
    }
    let span = local.span;
    let value = match (&global.value, local.value) {
        (Value::Map(global), Value::Map(local)) => Value::Map(merge_maps(global, local, |_| false)),
        (Value::List(global), Value::List(local)) => {
            Value::List(global.iter().cloned().chain(local).collect())
        }
        (_, local) => local,
    };
    Node::new(value, span)
}

/// `Condition` alone in a mapping is a function to SAM.
fn condition_call(node: &Node) -> Option<&Entry> {
    match node.entries() {
        [entry] if entry.key == "Condition" => Some(entry),
        _ => None,
    }
}

/// The members of both, those of the resource first to be looked up; those
/// that `is_replaced` names are not merged.
fn merge_maps<'a>(
    global: impl IntoIterator<Item = &'a Entry>,
    local: Vec<Entry>,
    is_replaced: impl Fn(&str) -> bool,
) -> Vec<Entry> {
    let mut local: Vec<Option<Entry>> = local.into_iter().map(Some).collect();
    let places: HashMap<String, usize> = (local.iter().enumerate())
        .filter_map(|(at, entry)| Some((entry.as_ref()?.key.clone(), at)))
        .collect();
    let mut merged = Vec::new();
    for entry in global {
        let own = places.get(&entry.key).and_then(|&at| local[at].take());
        merged.push(match own {
            None => entry.clone(),
            Some(own) if is_replaced(&own.key) => own,
            Some(own) => Entry { value: merge(&entry.value, own.value), ..own },
        });
    }
    merged.extend(local.into_iter().flatten());
    merged
}
