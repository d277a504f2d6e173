//! Topics of SNS and their subscriptions.

use serde_json::{Map, Value};

use super::{Site, attributes, text};
use crate::aws::element;

/// Of SNS's one and only version.
const VERSION: &str = "2010-03-31";

/// [CreateTopic], which gives the ARN of a topic that exists.
///
/// [CreateTopic]: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
pub(super) async fn make(site: &Site<'_>) -> Result<bool, String> {
    const ATTRIBUTES: [&str; 4] =
        ["ContentBasedDeduplication", "DisplayName", "FifoThroughputScope", "FifoTopic"];
    let arn = &site.provision.physical_id;
    let is_there = ask(site, "GetTopicAttributes", vec![field("TopicArn", arn)]).await.is_ok();
    if !is_there {
        let mut fields = vec![field("Name", site.name())];
        fields.extend(entries(&attributes(site, &ATTRIBUTES)));
        let answer = ask(site, "CreateTopic", fields).await?;
        let there = element(&answer, "TopicArn").ok_or("the answer has no `TopicArn`")?;
        site.check_arn(&there)?;
    }
    for inline in site.property("Subscription").as_array().into_iter().flatten() {
        let (protocol, endpoint) = (text(&inline["Protocol"]), text(&inline["Endpoint"]));
        let protocol = protocol.unwrap_or_default();
        if is_served(site, &protocol) {
            let fields = vec![
                field("TopicArn", arn),
                field("Protocol", &protocol),
                field("Endpoint", &endpoint.unwrap_or_default()),
            ];
            ask(site, "Subscribe", fields).await?;
        }
    }
    Ok(!is_there)
}

/// [Subscribe], which gives the ARN of a subscription that exists.
///
/// [Subscribe]: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html
pub(super) async fn subscribe(site: &Site<'_>) -> Result<bool, String> {
    const ATTRIBUTES: [&str; 5] = [
        "DeliveryPolicy",
        "FilterPolicy",
        "FilterPolicyScope",
        "RawMessageDelivery",
        "RedrivePolicy",
    ];
    let protocol = site.text("Protocol").unwrap_or_default();
    if !is_served(site, &protocol) {
        return Ok(false);
    }
    let mut fields = vec![
        field("TopicArn", &site.text("TopicArn").unwrap_or_default()),
        field("Protocol", &protocol),
        field("Endpoint", &site.text("Endpoint").unwrap_or_default()),
    ];
    fields.extend(entries(&attributes(site, &ATTRIBUTES)));
    // The answer does not say whether it existed.
    ask(site, "Subscribe", fields).await.map(|_| false)
}

/// The endpoint knows no function of this machine, so it could deliver nothing to one.
fn is_served(site: &Site<'_>, protocol: &str) -> bool {
    let is_function = protocol == "lambda";
    if is_function {
        let resource = &site.provision.logical_id;
        tracing::warn!(%resource, "a subscription to a function is left out: topics invoke no function here; a queue between them does");
    }
    !is_function
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A map as the query protocol has it.
fn entries(map: &Map<String, Value>) -> Vec<(String, String)> {
    let pair = |(index, (name, value)): (usize, (&String, &Value))| {
        let at = format!("Attributes.entry.{}", index + 1);
        let value = value.as_str().unwrap_or_default().to_owned();
        [(format!("{at}.key"), name.clone()), (format!("{at}.value"), value)]
    };
    map.iter().enumerate().flat_map(pair).collect()
}

async fn ask(site: &Site<'_>, name: &str, fields: Vec<(String, String)>) -> Result<String, String> {
    let answer = site.aws.ask_form(site.operation(name), VERSION, &fields).await;
    answer.map_err(|refused| refused.to_string())
}
