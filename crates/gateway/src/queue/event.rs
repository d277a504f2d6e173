//! The event that a function gets for messages of a queue ([example]).
//!
//! [example]: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event

use api_model::api::QueueSource;
use serde_json::{Map, Value, json};

/// Largest event: what a synchronous invocation may carry ([quotas]).
///
/// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Messages for one invocation.
pub(super) struct Batch<'a> {
    pub(super) event: Vec<u8>,
    pub(super) messages: Vec<Message<'a>>,
}

/// What is needed of a message after its invocation.
pub(super) struct Message<'a> {
    pub(super) id: &'a str,
    pub(super) receipt: &'a str,
}

/// Received messages as events, in order; more than one only if they are large. A message without
/// id or receipt handle is none.
pub(super) fn batches<'a>(
    received: &'a [Value],
    source: &QueueSource,
    region: &str,
) -> Vec<Batch<'a>> {
    let mut list: Vec<Batch<'a>> = Vec::new();
    for message in received {
        let (Some(id), Some(receipt)) =
            (message["MessageId"].as_str(), message["ReceiptHandle"].as_str())
        else {
            continue;
        };
        let record = record(message, source, region).to_string();
        let record = record.as_bytes();
        let last = list.last_mut().filter(|b| b.event.len() + record.len() < EVENT_BYTES_MAX);
        let batch = match last {
            Some(batch) => {
                batch.event.push(b',');
                batch
            }
            None => {
                let event = br#"{"Records":["#.to_vec();
                list.push(Batch { event, messages: Vec::new() });
                list.last_mut().expect("one was pushed")
            }
        };
        batch.event.extend_from_slice(record);
        batch.messages.push(Message { id, receipt });
    }
    for batch in &mut list {
        batch.event.extend_from_slice(b"]}");
    }
    list
}

fn record(message: &Value, source: &QueueSource, region: &str) -> Value {
    let mut attributes = Map::new();
    if let Some(given) = message["MessageAttributes"].as_object() {
        attributes.extend(given.iter().map(|(name, value)| (name.clone(), attribute(value))));
    }
    let system = message.get("Attributes").filter(|given| given.is_object());
    json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"].as_str().unwrap_or_default(),
        "attributes": system.cloned().unwrap_or_else(|| json!({})),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"].as_str().unwrap_or_default(),
        "eventSource": "aws:sqs",
        "eventSourceARN": source.queue_arn,
        "awsRegion": region,
    })
}

/// An attribute in the spelling of events.
fn attribute(value: &Value) -> Value {
    let mut out = Map::new();
    for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
        if let Some(text) = value[from].as_str() {
            out.insert(to.to_owned(), text.into());
        }
    }
    out.insert("stringListValues".to_owned(), json!([]));
    out.insert("binaryListValues".to_owned(), json!([]));
    out.insert("dataType".to_owned(), value["DataType"].clone());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> QueueSource {
        QueueSource {
            logical_id: "Mapping".to_owned(),
            span: api_model::Span::default(),
            queue_arn: "arn:aws:sqs:eu-west-1:0:q".to_owned(),
            function_arn: String::new(),
            batch_size: 10,
            reports_failures: false,
        }
    }

    #[test]
    fn a_message_becomes_a_record() {
        let received = [json!({
            "MessageId": "m1",
            "ReceiptHandle": "r1",
            "Body": "hello \"you\"",
            "MD5OfBody": "5d41",
            "Attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1" },
            "MessageAttributes": {
                "a": { "StringValue": "x", "DataType": "String" },
                "b": { "BinaryValue": "AAE=", "DataType": "Binary" },
            },
        })];
        let list = batches(&received, &source(), "eu-west-1");
        let event: Value = serde_json::from_slice(&list[0].event).unwrap();
        let want = json!({ "Records": [{
            "messageId": "m1",
            "receiptHandle": "r1",
            "body": "hello \"you\"",
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1" },
            "messageAttributes": {
                "a": { "stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String" },
                "b": { "binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary" },
            },
            "md5OfBody": "5d41",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:0:q",
            "awsRegion": "eu-west-1",
        }] });
        assert_eq!(event, want);
    }

    #[test]
    fn large_messages_are_spread_over_invocations_and_none_is_lost() {
        let body = "x".repeat(1024 * 1024);
        let message = |number: usize| json!({ "MessageId": format!("m{number}"), "ReceiptHandle": "r", "Body": body });
        let received: Vec<Value> = (0..10).map(message).collect();
        let list = batches(&received, &source(), "r");
        let ids: Vec<&str> = list.iter().flat_map(|b| &b.messages).map(|m| m.id).collect();
        assert_eq!(ids, ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
        assert_eq!(list.len(), 2);
        for batch in &list {
            assert!(batch.event.len() <= EVENT_BYTES_MAX);
            let event: Value = serde_json::from_slice(&batch.event).unwrap();
            assert_eq!(event["Records"].as_array().unwrap().len(), batch.messages.len());
        }
    }

    #[test]
    fn what_is_no_message_is_left_out() {
        let received = [
            json!(7),
            json!({ "MessageId": "m" }),
            json!({ "MessageId": "m", "ReceiptHandle": "r" }),
        ];
        let list = batches(&received, &source(), "r");
        assert_eq!((list.len(), list[0].messages.len()), (1, 1));
        assert_eq!(batches(&[], &source(), "r").len(), 0);
    }
}
