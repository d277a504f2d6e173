//! `--provision`: tables, queues, topics and state machines of the templates, made at configured
//! endpoints before traffic. What exists stays as it is. AWS itself is never touched.

mod machine;
mod queue;
mod table;
mod topic;

use std::collections::BTreeMap;
use std::time::Duration;

use api_model::Model;
use api_model::api::Provision;
use serde_json::{Map, Value};

use crate::aws::{AwsClient, Operation, Refused};
use crate::snapshot::Snapshot;

/// Longest wait for one answer: what stands in for a service may load it at its first call.
const CALL_WAIT: Duration = Duration::from_secs(30);

/// Makes what is missing, and gives a line for each thing that was made.
///
/// # Errors
///
/// A sentence for everything that is in the way. Nothing is called if a service has no endpoint of
/// its own.
pub async fn provision(model: &Model, snapshot: &Snapshot) -> Result<Vec<String>, Vec<String>> {
    make_all(model, &snapshot.aws).await
}

async fn make_all(model: &Model, aws: &AwsClient) -> Result<Vec<String>, Vec<String>> {
    let mut errors = missing_endpoints(model, aws);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut made = Vec::new();
    for provision in &model.provisions {
        let site = Site { aws, provision };
        match make(&site).await {
            Ok(true) => made.push(site.title()),
            Ok(false) => {}
            Err(reason) => errors.push(site.failed(&reason)),
        }
    }
    // Which queue takes the dead letters of another can be said when all exist.
    for provision in of_type(model, "AWS::SQS::Queue") {
        let site = Site { aws, provision };
        if let Err(reason) = queue::redrive(&site).await {
            errors.push(site.failed(&reason));
        }
    }
    if errors.is_empty() { Ok(made) } else { Err(errors) }
}

/// Whether it was made now.
async fn make(site: &Site<'_>) -> Result<bool, String> {
    match site.provision.resource_type.as_str() {
        "AWS::DynamoDB::Table" => table::make(site).await,
        "AWS::SNS::Subscription" => topic::subscribe(site).await,
        "AWS::SNS::Topic" => topic::make(site).await,
        "AWS::SQS::Queue" => queue::make(site).await,
        "AWS::StepFunctions::StateMachine" => machine::make(site).await,
        // Nobody here asks a queue's policy.
        _ => Ok(false),
    }
}

fn of_type<'m>(model: &'m Model, kind: &str) -> impl Iterator<Item = &'m Provision> {
    model.provisions.iter().filter(move |provision| provision.resource_type == kind)
}

/// The service of a resource type: `AWS::DynamoDB::Table` is of `dynamodb`.
fn service_of(resource_type: &str) -> &'static str {
    match resource_type.split("::").nth(1) {
        Some("DynamoDB") => "dynamodb",
        Some("SNS") => "sns",
        Some("StepFunctions") => "states",
        _ => "sqs",
    }
}

/// One sentence for each service that is needed and has no endpoint, or AWS's own.
fn missing_endpoints(model: &Model, aws: &AwsClient) -> Vec<String> {
    let mut needed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for provision in &model.provisions {
        let names = needed.entry(service_of(&provision.resource_type)).or_default();
        names.push(&provision.logical_id);
    }
    let missing = |(service, names): (&str, Vec<&str>)| {
        let names = names.join(", ");
        match aws.integrations().endpoint(service) {
            None => Some(format!(
                "`--provision` of {names} needs `[integrations.endpoints] {service} = \"http://…\"`; nothing is made on AWS itself"
            )),
            Some(url) if is_aws(url) => Some(format!(
                "`--provision` of {names}: `integrations.endpoints.{service}` is AWS itself, where nothing is made"
            )),
            Some(_) => None,
        }
    };
    needed.into_iter().filter_map(missing).collect()
}

/// Whether a URL is under one of AWS's own domains.
fn is_aws(url: &str) -> bool {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    let host = authority.and_then(|authority| authority.split(':').next()).unwrap_or_default();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    ["amazonaws.com", "amazonaws.com.cn", "api.aws"].iter().any(|domain| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// One resource, and where it is made.
struct Site<'a> {
    aws: &'a AwsClient,
    provision: &'a Provision,
}

impl Site<'_> {
    fn property(&self, name: &str) -> &Value {
        &self.provision.properties[name]
    }

    /// A property as text; CloudFormation takes numbers and booleans for it too.
    fn text(&self, name: &str) -> Option<String> {
        text(self.property(name))
    }

    /// The last part of the physical id: of a name, URL or ARN.
    fn name(&self) -> &str {
        self.provision.physical_id.rsplit(['/', ':']).next().unwrap_or_default()
    }

    fn title(&self) -> String {
        format!("{} `{}` ({})", self.kind(), self.name(), self.provision.logical_id)
    }

    fn kind(&self) -> &'static str {
        match self.provision.resource_type.as_str() {
            "AWS::DynamoDB::Table" => "table",
            "AWS::SNS::Subscription" => "subscription",
            "AWS::SNS::Topic" => "topic",
            "AWS::SQS::Queue" => "queue",
            _ => "state machine",
        }
    }

    fn failed(&self, reason: &str) -> String {
        format!("{} cannot be made: {reason}", self.title())
    }

    fn operation<'o>(&'o self, name: &'o str) -> Operation<'o> {
        let service = service_of(&self.provision.resource_type);
        Operation { service, region: &self.provision.region, name, wait: CALL_WAIT }
    }

    async fn ask(&self, name: &str, question: &Value) -> Result<Value, Refused> {
        self.aws.ask(self.operation(name), question).await
    }

    /// Whether the resource has the ARN that the templates know, given the one at its endpoint.
    fn check_arn(&self, there: &str) -> Result<(), String> {
        let here = &self.provision.physical_id;
        if there == here {
            return Ok(());
        }
        let account = |arn: &str| arn.split(':').nth(4).unwrap_or_default().to_owned();
        let other = account(there);
        if other == account(here) || other.is_empty() {
            return Err(format!("it is `{there}` at its endpoint, and `{here}` in the templates"));
        }
        Err(format!(
            "its endpoint has the account {other}, the templates have {}: start with `--account-id {other}`",
            account(here)
        ))
    }
}

/// Text, number or boolean as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// Whether a value is true, as boolean or as text.
fn is_true(value: &Value) -> bool {
    value == true || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// Properties as attributes of queues and topics, which are text: objects become JSON.
fn attributes(site: &Site<'_>, names: &[&str]) -> Map<String, Value> {
    let mut map = Map::new();
    for name in names {
        let value = site.property(name);
        let written = match value {
            Value::Null => continue,
            Value::Array(_) | Value::Object(_) => value.to_string(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => text(value).unwrap_or_default(),
        };
        map.insert((*name).to_owned(), written.into());
    }
    map
}

#[cfg(test)]
mod tests;
