use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::aws::server::{Asked, Server};

fn source(reports_failures: bool) -> QueueSource {
    QueueSource {
        logical_id: "Mapping".to_owned(),
        span: api_model::Span::default(),
        queue_arn: "arn:aws:sqs:eu-west-1:000000000000:jobs".to_owned(),
        function_arn: "arn:aws:lambda:eu-west-1:000000000000:function:f".to_owned(),
        batch_size: 3,
        reports_failures,
    }
}

/// A queue whose polls give one batch after another, then nothing; `deleted` wakes the test.
async fn queue(batches: Vec<Vec<&'static str>>, deleted: Arc<Notify>) -> Server {
    let batches = Mutex::new(VecDeque::from(batches));
    Server::start(move |asked: &Asked| match asked.operation() {
        "AmazonSQS.GetQueueUrl" => (200, json!({ "QueueUrl": "http://q.test/0/jobs" }).to_string()),
        "AmazonSQS.ReceiveMessage" => {
            let ids = batches.lock().pop_front().unwrap_or_default();
            let message = |id: &&str| {
                json!({ "MessageId": id, "ReceiptHandle": format!("r-{id}"), "Body": id })
            };
            let messages: Vec<Value> = ids.iter().map(message).collect();
            (200, json!({ "Messages": messages }).to_string())
        }
        "AmazonSQS.DeleteMessageBatch" => {
            deleted.notify_one();
            (200, json!({ "Successful": [], "Failed": [] }).to_string())
        }
        other => panic!("{other}"),
    })
    .await
}

/// Receipts of all deleted messages.
fn deleted(server: &Server) -> Vec<String> {
    let asked = server.asked();
    let deletes = asked.iter().filter(|asked| asked.operation() == "AmazonSQS.DeleteMessageBatch");
    let entries = deletes.flat_map(|asked| asked.json()["Entries"].as_array().unwrap().clone());
    let mut receipts: Vec<String> =
        entries.map(|entry| entry["ReceiptHandle"].as_str().unwrap().to_owned()).collect();
    receipts.sort_unstable();
    receipts
}

/// Polls until `done`, then stops; gives the events that the function got.
async fn run(
    server: &Server,
    source: &QueueSource,
    done: &Notify,
    result: impl Fn(&Value) -> Option<Vec<u8>>,
) -> Vec<Value> {
    let aws = server.client(&["sqs"]);
    let stop = CancellationToken::new();
    let events = Mutex::new(Vec::new());
    let invoke = |event: Vec<u8>| {
        let event: Value = serde_json::from_slice(&event).unwrap();
        let answer = result(&event);
        events.lock().push(event);
        future::ready(answer)
    };
    let end = async {
        done.notified().await;
        stop.cancel();
    };
    future::join(poll(source, &aws, &stop, invoke), end).await;
    events.into_inner()
}

#[tokio::test]
async fn what_the_function_takes_is_deleted() {
    let done = Arc::new(Notify::new());
    let server = queue(vec![vec!["a", "b"]], Arc::clone(&done)).await;
    let events = run(&server, &source(false), &done, |_| Some(b"\"any\"".to_vec())).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["Records"][1]["body"], "b");
    assert_eq!(deleted(&server), ["r-a", "r-b"]);
    let asked = server.asked();
    let poll = asked.iter().find(|asked| asked.operation() == "AmazonSQS.ReceiveMessage").unwrap();
    assert_eq!(poll.json()["MaxNumberOfMessages"], 3);
    assert_eq!(poll.json()["WaitTimeSeconds"], 20);
    assert_eq!(poll.json()["QueueUrl"], "http://q.test/0/jobs");
}

#[tokio::test]
async fn messages_of_a_failed_invocation_stay() {
    let done = Arc::new(Notify::new());
    let server = queue(vec![vec!["bad"], vec!["good"]], Arc::clone(&done)).await;
    let result = |event: &Value| (event["Records"][0]["body"] == "good").then(Vec::new);
    let events = run(&server, &source(false), &done, result).await;
    assert_eq!(events.len(), 2);
    assert_eq!(deleted(&server), ["r-good"]);
}

#[tokio::test]
async fn reported_messages_stay_and_the_rest_is_deleted() {
    let done = Arc::new(Notify::new());
    let server = queue(vec![vec!["a", "b", "c"]], Arc::clone(&done)).await;
    let report = br#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#;
    run(&server, &source(true), &done, |_| Some(report.to_vec())).await;
    assert_eq!(deleted(&server), ["r-a", "r-c"]);
    // Without leave to report, the result says nothing.
    let server = queue(vec![vec!["a", "b", "c"]], Arc::clone(&done)).await;
    run(&server, &source(false), &done, |_| Some(report.to_vec())).await;
    assert_eq!(deleted(&server), ["r-a", "r-b", "r-c"]);
}

#[tokio::test(start_paused = true)]
async fn polling_goes_on_without_a_queue_and_ends_when_told() {
    let stop = CancellationToken::new();
    let aws = crate::aws::server::client(std::iter::empty());
    let source = source(false);
    let invoke = |_: Vec<u8>| future::ready(None);
    let polling = poll(&source, &aws, &stop, invoke);
    let start = Instant::now();
    let end = async {
        sleep(Duration::from_secs(3600)).await;
        stop.cancel();
    };
    future::join(polling, end).await;
    assert_eq!(start.elapsed(), Duration::from_secs(3600), "it ends at once");
}

#[tokio::test]
async fn what_is_no_queue_is_not_polled() {
    let server = Server::start(|_| (200, String::new())).await;
    let mut source = source(false);
    source.queue_arn = "arn:aws:kinesis:r:0:stream/s".to_owned();
    let aws = server.client(&["sqs"]);
    poll(&source, &aws, &CancellationToken::new(), |_| future::ready(None)).await;
    assert_eq!(server.asked().len(), 0);
}
