//! Queues that functions read: what an `AWS::Lambda::EventSourceMapping` does ([using SQS]).
//!
//! Messages are received by long polls and handed over in batches. What the function takes is
//! deleted; what it fails comes back when its visibility timeout ends, and goes to the dead-letter
//! queue when the queue says so.
//!
//! [using SQS]: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html

mod event;
mod outcome;
mod polls;

use std::time::Duration;

use api_model::api::QueueSource;
use futures_util::future;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsClient, Operation, Refused};
use event::Batch;
pub(crate) use polls::Polls;

/// Polls at once, so invocations at once: AWS starts with five.
const POLLS: usize = 5;
/// How long one poll waits for messages, in seconds: the service's limit.
const POLL_SECONDS: u32 = 20;
/// Longest wait for the answer to a poll.
const POLL_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for any other answer.
const CALL_WAIT: Duration = Duration::from_secs(10);
/// Messages of one poll: the service's limit.
const MESSAGES_MAX: u32 = 10;
/// First pause after an error; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: a queue that comes back is found within it.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Least time between two polls that bring nothing, for services that do not wait.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// Reads the queue until `stop`; an invocation under way is waited for.
///
/// `invoke` gets an event and gives the function's result, or `None` if it failed, which `invoke`
/// tells the log.
///
/// # Cancel safety
///
/// Messages in the function's hands when the future is dropped come back later.
pub(crate) async fn poll<F, Fut>(
    source: &QueueSource,
    aws: &AwsClient,
    stop: &CancellationToken,
    invoke: F,
) where
    F: Fn(Vec<u8>) -> Fut,
    Fut: Future<Output = Option<Vec<u8>>>,
{
    let Some(queue) = Queue::of(source, aws) else {
        tracing::warn!(mapping = %source.logical_id, "the event source is no ARN of a queue");
        return;
    };
    future::join_all((0..POLLS).map(|_| queue.read(stop, &invoke))).await;
}

/// A queue as its ARN names it.
struct Queue<'a> {
    source: &'a QueueSource,
    aws: &'a AwsClient,
    region: &'a str,
    name: &'a str,
}

impl<'a> Queue<'a> {
    fn of(source: &'a QueueSource, aws: &'a AwsClient) -> Option<Self> {
        let parts: Vec<&str> = source.queue_arn.split(':').collect();
        let ["arn", _, "sqs", region, _, name] = parts.as_slice() else { return None };
        Some(Self { source, aws, region, name })
    }

    /// One of the polls.
    async fn read<F, Fut>(&self, stop: &CancellationToken, invoke: &F)
    where
        F: Fn(Vec<u8>) -> Fut,
        Fut: Future<Output = Option<Vec<u8>>>,
    {
        let mut url = None;
        let mut pause = PAUSE;
        loop {
            let start = Instant::now();
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = self.receive(&mut url) => received,
            };
            let rest = match received {
                Ok((url, messages)) if !messages.is_empty() => {
                    pause = PAUSE;
                    for batch in event::batches(&messages, self.source, self.region) {
                        self.hand_over(&url, batch, invoke).await;
                    }
                    continue;
                }
                Ok(_) => {
                    pause = PAUSE;
                    EMPTY_PAUSE.saturating_sub(start.elapsed())
                }
                Err(refused) => {
                    // Gone or replaced: its address is asked for again.
                    url = None;
                    let (mapping, queue) = (&self.source.logical_id, self.name);
                    tracing::warn!(%mapping, queue, error = %refused, "the queue cannot be read");
                    let this = pause;
                    pause = PAUSE_MAX.min(pause * 2);
                    this
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(rest) => {}
            }
        }
    }

    /// The queue's address, found once, and its next messages.
    async fn receive(&self, url: &mut Option<String>) -> Result<(String, Vec<Value>), Refused> {
        let found = match url {
            Some(found) => found.clone(),
            None => {
                let question = json!({ "QueueName": self.name });
                let answer = self.ask("AmazonSQS.GetQueueUrl", CALL_WAIT, &question).await?;
                let found = answer["QueueUrl"].as_str().ok_or_else(|| malformed("QueueUrl"))?;
                url.insert(found.to_owned()).clone()
            }
        };
        let question = json!({
            "QueueUrl": found,
            "MaxNumberOfMessages": self.source.batch_size.clamp(1, MESSAGES_MAX),
            "WaitTimeSeconds": POLL_SECONDS,
            "AttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut answer = self.ask("AmazonSQS.ReceiveMessage", POLL_WAIT, &question).await?;
        match answer["Messages"].take() {
            Value::Null => Ok((found, Vec::new())),
            Value::Array(messages) => Ok((found, messages)),
            _ => Err(malformed("Messages")),
        }
    }

    /// Invokes the function with a batch, and deletes what it took.
    async fn hand_over<F, Fut>(&self, url: &str, batch: Batch<'_>, invoke: &F)
    where
        F: Fn(Vec<u8>) -> Fut,
        Fut: Future<Output = Option<Vec<u8>>>,
    {
        let Some(result) = invoke(batch.event).await else { return };
        let ids: Vec<&str> = batch.messages.iter().map(|message| message.id).collect();
        let failed =
            if self.source.reports_failures { outcome::failed(&result, &ids) } else { Vec::new() };
        let taken = batch.messages.iter().filter(|message| !failed.contains(&message.id));
        let entries: Vec<Value> = taken
            .enumerate()
            .map(|(index, message)| {
                json!({ "Id": index.to_string(), "ReceiptHandle": message.receipt })
            })
            .collect();
        if entries.is_empty() {
            return;
        }
        let question = json!({ "QueueUrl": url, "Entries": entries });
        let answer = self.ask("AmazonSQS.DeleteMessageBatch", CALL_WAIT, &question).await;
        let kept = match answer {
            Ok(answer) => answer["Failed"].as_array().map_or(0, Vec::len),
            Err(_) => entries.len(),
        };
        if 0 < kept {
            let (mapping, queue) = (&self.source.logical_id, self.name);
            tracing::warn!(%mapping, queue, kept, "messages were handled and not deleted: they come again");
        }
    }

    async fn ask(&self, name: &str, wait: Duration, question: &Value) -> Result<Value, Refused> {
        let operation = Operation { service: "sqs", region: self.region, name, wait };
        self.aws.ask(operation, question).await
    }
}

fn malformed(member: &str) -> Refused {
    Refused::Failed { reason: format!("the answer has no usable `{member}`") }
}

#[cfg(test)]
mod tests;
