//! The Runtime API as a runtime sees it, and as others do not.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{ask, call, function, record};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_comes_with_all_its_headers() {
    let function = function("headers", |_| {});
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let told = ask(&function, "where").await;
    let headers = &told["headers"];
    let header = |name: &str| headers[name].as_str().unwrap_or_else(|| panic!("no {name}"));
    let id = header("lambda-runtime-aws-request-id");
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    let deadline_ms: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
    assert!((now_ms + 60_000..now_ms + 120_000).contains(&deadline_ms));
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:headers";
    assert_eq!(header("lambda-runtime-invoked-function-arn"), arn);
    assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
    assert!(!header("lambda-runtime-invocation-id").is_empty());
    assert_eq!(header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_nothing_of_its_host() {
    let function = function("apart", |_| {});
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let told = ask(&function, "where").await;
    let environment = told["environment"].as_object().unwrap();
    // What a test runner sets in this process.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO")) {
        assert!(!environment.contains_key(&name), "{name}");
    }
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok());
    let stream = environment["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap();
    assert!(stream.contains("/[$LATEST]") && stream.len() == 52, "{stream}");
    assert_eq!(told["sockets"], 1, "its own connection");
    assert_eq!(told["stdin"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_invocation_in_flight_is_answered_and_once() {
    let function = function("twice", |_| {});
    ask(&function, "twice").await;
    assert_eq!(ask(&function, "kept").await, json!([202, 400, 400]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_owes_an_answer_gets_no_other_event() {
    let function = function("owes", |_| {});
    assert_eq!(ask(&function, "again").await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer_is_taken_as_a_whole() {
    let function = function("streams", |_| {});
    let event = json!({ "do": "stream", "chunks": ["{\"a\":", "[1,", "2]}"] });
    assert_eq!(call(&function, event).await.unwrap(), json!({ "a": [1, 2] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_are_unknown_and_pages_are_refused() {
    let function = function("paths", |_| {});
    let next = "/2018-06-01/runtime/invocation/next";
    let calls: [(Value, u16); 11] = [
        (json!(["GET", "/", {}]), 404),
        (json!(["GET", "/2018-06-01/ping", {}]), 404),
        (json!(["POST", next, {}]), 404),
        (json!(["DELETE", next, {}]), 404),
        (json!(["GET", "/2018-06-01/runtime/invocation/../next", {}]), 404),
        (json!(["POST", "/2018-06-01/runtime/invocation/x/other", {}]), 404),
        (json!(["GET", next, { "Origin": "http://127.0.0.1" }]), 403),
        (json!(["GET", next, { "Sec-Fetch-Site": "same-site" }]), 403),
        (json!(["GET", next, { "X-Forwarded-For": "127.0.0.1" }]), 403),
        (json!(["GET", next, { "Via": "1.1 proxy" }]), 403),
        (json!(["GET", next, { "Host": "rebound.example" }]), 403),
    ];
    let (asked, want): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    let statuses = call(&function, json!({ "do": "calls", "calls": asked })).await.unwrap();
    assert_eq!(statuses, json!(want));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reaches_it() {
    let function = function("guarded", |_| {});
    let address = ask(&function, "where").await["api"].as_str().unwrap().to_owned();
    let other = crate::harness::function("stranger", |_| {});
    let heard = call(&other, json!({ "do": "foreign", "api": address })).await.unwrap();
    assert_eq!(heard, "", "another function");
    let mut own = TcpStream::connect(&address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    own.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    let _ = own.read_to_end(&mut heard).await;
    assert!(heard.is_empty(), "not even the host");
    record("guarded", "another process called");
    ask(&function, "who").await;
    assert_eq!(function.starts(), 1);
}
