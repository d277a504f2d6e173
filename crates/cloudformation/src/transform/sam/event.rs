//! `Events` of functions ([pages]): sources that are polled become event source
//! mappings; nothing else happens here, since only WebSocket APIs are served.
//!
//! [pages]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-eventsource.html

use api_model::{Entry, Node, Span, Value};

use super::role::Role;
use super::{Expansion, Source, build, left_out};
use crate::document::excerpt;
use crate::function;

/// An event source that Lambda polls.
struct Polled {
    kind: &'static str,
    /// The property that names the source.
    source: Option<&'static str>,
    /// Further properties that must be there.
    required: &'static [&'static str],
    /// Properties of this kind alone.
    optional: &'static [&'static str],
    /// The policy that the role needs.
    policy: Option<&'static str>,
}

const POLLED: [Polled; 7] = [
    Polled {
        kind: "DocumentDB",
        source: Some("Cluster"),
        required: &["DatabaseName"],
        optional: &["CollectionName", "FullDocument"],
        policy: None,
    },
    Polled {
        kind: "DynamoDB",
        source: Some("Stream"),
        required: &["StartingPosition"],
        optional: &[],
        policy: Some("AWSLambdaDynamoDBExecutionRole"),
    },
    Polled {
        kind: "Kinesis",
        source: Some("Stream"),
        required: &["StartingPosition"],
        optional: &[],
        policy: Some("AWSLambdaKinesisExecutionRole"),
    },
    Polled {
        kind: "MQ",
        source: Some("Broker"),
        required: &[],
        optional: &["DynamicPolicyName"],
        policy: None,
    },
    Polled {
        kind: "MSK",
        source: Some("Stream"),
        required: &["StartingPosition"],
        optional: &[],
        policy: Some("AWSLambdaMSKExecutionRole"),
    },
    Polled {
        kind: "SQS",
        source: Some("Queue"),
        required: &[],
        optional: &[],
        policy: Some("AWSLambdaSQSQueueExecutionRole"),
    },
    Polled {
        kind: "SelfManagedKafka",
        source: None,
        required: &["KafkaBootstrapServers", "Topics"],
        optional: &[],
        policy: None,
    },
];

/// Events that other services send.
const PUSHED: [&str; 12] = [
    "AlexaSkill",
    "Api",
    "CloudWatchEvent",
    "CloudWatchLogs",
    "Cognito",
    "EventBridgeRule",
    "HttpApi",
    "IoTRule",
    "S3",
    "SNS",
    "Schedule",
    "ScheduleV2",
];

/// Properties of event source mappings that SAM hands on as they are.
const MAPPING: [&str; 21] = [
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "FilterCriteria",
    "FunctionResponseTypes",
    "KmsKeyArn",
    "LoggingConfig",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ParallelizationFactor",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SourceAccessConfigurations",
    "StartingPosition",
    "StartingPositionTimestamp",
    "Topics",
    "TumblingWindowInSeconds",
];

/// Further properties that SAM knows for every polled source.
const OTHER: [&str; 4] =
    ["ConsumerGroupId", "KafkaBootstrapServers", "SchemaRegistryConfig", "SecretsManagerKmsKeyId"];

/// One event as it is written.
struct Event<'a> {
    name: &'a str,
    span: Span,
    kind: String,
    type_span: Span,
    properties: Option<&'a Node>,
}

/// Adds the policies that polling needs to the role of the function.
pub(super) fn add_policies(source: &Source<'_>, role: &mut Role, out: &Expansion<'_>) {
    let mut kinds: Vec<(&str, std::borrow::Cow<'_, str>)> = (source.given("Events"))
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| Some((entry.key.as_str(), entry.value.find("Type")?.as_text()?)))
        .collect();
    kinds.sort();
    for (_, kind) in kinds {
        let polled = POLLED.iter().find(|polled| polled.kind == kind);
        if let Some(policy) = polled.and_then(|polled| polled.policy) {
            role.add_managed(policy, out);
        }
    }
}

/// Adds what the events of a function become; `target` is the function, or
/// the alias that it publishes.
pub(super) fn add(source: &Source<'_>, target: &Node, out: &mut Expansion<'_>) {
    let Some(events) = source.given("Events") else {
        return;
    };
    if function::call(events).is_some() {
        let message = "SAM reads events as they are written, so no function may stand for them";
        out.refuse(source, "Events", events.span, message);
        return;
    }
    for entry in events.entries() {
        if out.is_full() {
            return;
        }
        let Some(event) = read(source, entry, out) else {
            continue;
        };
        if let Some(polled) = POLLED.iter().find(|polled| polled.kind == event.kind) {
            add_mapping(source, &event, polled, target, out);
        } else if PUSHED.contains(&event.kind.as_str()) {
            left_out::add_implicit_api(source, &event.kind, event.properties, out);
            let message = format!("events of type `{}` do not happen here", event.kind);
            let path = format!("Events.{}", event.name);
            out.ignore_kind(&event.kind, source, &path, event.span, message);
        } else {
            report_kind(source, &event, out);
        }
    }
}

fn read<'a>(source: &Source<'_>, entry: &'a Entry, out: &mut Expansion<'_>) -> Option<Event<'a>> {
    let kind = entry.value.find("Type");
    let Some((kind, type_span)) = kind.and_then(|node| Some((node.as_text()?, node.span))) else {
        let is_mapping = matches!(entry.value.value, Value::Map(_));
        if is_mapping && !kind.is_some_and(Node::is_unresolved) {
            let message = format!("event `{}` has no `Type`", excerpt(&entry.key));
            let path = format!("Events.{}", entry.key);
            out.refuse(source, &path, entry.key_span, message)
                .hint("write for example `Type: SQS`");
        }
        return None;
    };
    let (name, span) = (entry.key.as_str(), entry.key_span);
    let properties = entry.value.find("Properties");
    Some(Event { name, span, kind: kind.into_owned(), type_span, properties })
}

fn report_kind(source: &Source<'_>, event: &Event<'_>, out: &mut Expansion<'_>) {
    let names: Vec<&str> = POLLED.iter().map(|polled| polled.kind).chain(PUSHED).collect();
    let message = format!("SAM has no event of type `{}`", excerpt(&event.kind));
    let hint = out.suggest(&event.kind, &names).map_or_else(
        || format!("types are {}", names.join(", ")),
        |near| format!("write `{near}`"),
    );
    let path = format!("Events.{}.Type", event.name);
    out.refuse(source, &path, event.type_span, message).hint(hint);
}

fn add_mapping(
    source: &Source<'_>,
    event: &Event<'_>,
    polled: &Polled,
    target: &Node,
    out: &mut Expansion<'_>,
) {
    let path = format!("Events.{}.Properties", event.name);
    let given = event.properties.map(Node::entries).unwrap_or_default();
    let find = |name: &str| given.iter().find(|entry| entry.key == name);
    let mut is_right = true;
    for name in polled.source.iter().chain(polled.required) {
        if find(name).is_none() {
            is_right = false;
            let message = format!("event `{}` needs `{name}`", excerpt(event.name));
            out.refuse(source, &format!("{path}.{name}"), event.span, message);
        }
    }
    let known: Vec<&str> = (MAPPING.iter().chain(&OTHER))
        .chain(polled.source.iter().chain(polled.required).chain(polled.optional))
        .copied()
        .collect();
    for entry in given.iter().filter(|entry| !known.contains(&&*entry.key)) {
        is_right = false;
        let name = entry.key.as_str();
        let message =
            format!("an event of type `{}` has no property `{}`", polled.kind, excerpt(name));
        let path = format!("{path}.{name}");
        out.unknown_property(source, &path, entry, message, &known);
    }
    if !is_right {
        return;
    }
    let mut properties = vec![build::entry("FunctionName", target.clone())];
    if let Some(node) = polled.source.and_then(find) {
        properties.push(build::entry("EventSourceArn", node.value.clone()));
    }
    properties
        .extend(given.iter().filter(|entry| MAPPING.contains(&&*entry.key)).map(without_type));
    let id = format!("{}{}", source.logical_id, event.name);
    out.add(source, &id, "AWS::Lambda::EventSourceMapping", properties, source.inherited());
    // The model says so of those that have one.
    if polled.source.is_none() {
        let message = format!("event sources of type `{}` are not polled here", polled.kind);
        let path = format!("Events.{}", event.name);
        out.ignore_kind(polled.kind, source, &path, event.span, message);
    }
}

/// `Type` in a destination is for SAM alone.
fn without_type(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    if entry.key == "DestinationConfig"
        && let Value::Map(members) = &mut entry.value.value
    {
        for member in members {
            if let Value::Map(members) = &mut member.value.value {
                members.retain(|member| member.key != "Type");
            }
        }
    }
    entry
}
