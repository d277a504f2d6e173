//! Queues of SQS.

use serde_json::{Value, json};

use super::{Site, attributes, is_true};

/// [CreateQueue] without what names other queues.
///
/// [CreateQueue]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
pub(super) async fn make(site: &Site<'_>) -> Result<bool, String> {
    const ATTRIBUTES: [&str; 8] = [
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoThroughputLimit",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ];
    if url(site, site.name()).await?.is_some() {
        return Ok(false);
    }
    let mut attributes = attributes(site, &ATTRIBUTES);
    // The service takes no other value.
    if is_true(site.property("FifoQueue")) {
        attributes.insert("FifoQueue".to_owned(), "true".into());
    }
    let question = json!({ "QueueName": site.name(), "Attributes": attributes });
    match site.ask("AmazonSQS.CreateQueue", &question).await {
        Ok(_) => Ok(true),
        Err(refused) => Err(refused.to_string()),
    }
}

/// Sets the dead-letter queue, by the ARN that it has at the endpoint.
pub(super) async fn redrive(site: &Site<'_>) -> Result<(), String> {
    let policy = site.property("RedrivePolicy");
    let mut policy = match policy {
        Value::Null => return Ok(()),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    };
    let target = policy["deadLetterTargetArn"].as_str();
    let target = target.ok_or("its `RedrivePolicy` names no `deadLetterTargetArn`")?;
    let name = target.rsplit(':').next().unwrap_or_default().to_owned();
    let absent = |name: &str| format!("there is no queue `{name}` at the endpoint");
    let dead = url(site, &name).await?.ok_or_else(|| absent(&name))?;
    let question = json!({ "QueueUrl": dead, "AttributeNames": ["QueueArn"] });
    let answer = site.ask("AmazonSQS.GetQueueAttributes", &question).await;
    let answer = answer.map_err(|refused| refused.to_string())?;
    policy["deadLetterTargetArn"] = answer["Attributes"]["QueueArn"].clone();
    let own = url(site, site.name()).await?.ok_or_else(|| absent(site.name()))?;
    let attributes = json!({ "RedrivePolicy": policy.to_string() });
    let question = json!({ "QueueUrl": own, "Attributes": attributes });
    let set = site.ask("AmazonSQS.SetQueueAttributes", &question).await;
    set.map(|_| ()).map_err(|refused| refused.to_string())
}

/// The address of a queue, if it exists.
async fn url(site: &Site<'_>, name: &str) -> Result<Option<String>, String> {
    const ABSENT: [&str; 3] = [
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExistException",
    ];
    match site.ask("AmazonSQS.GetQueueUrl", &json!({ "QueueName": name })).await {
        Ok(answer) => match answer["QueueUrl"].as_str() {
            Some(url) => Ok(Some(url.to_owned())),
            None => Err("the answer has no `QueueUrl`".to_owned()),
        },
        Err(refused) if refused.is(&ABSENT) => Ok(None),
        Err(refused) => Err(refused.to_string()),
    }
}
