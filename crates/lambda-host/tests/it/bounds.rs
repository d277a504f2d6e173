//! Sizes, numbers and limits.

use std::time::Duration;

use bytes::Bytes;
use lambda_host::{Function, InvokeError, PAYLOAD_BYTES_MAX, RESULT_BYTES_MAX};
use serde_json::json;

use crate::harness::{DEADLINE, Fixture, ask, call, function, running};

async fn big(function: &Fixture, bytes: usize) -> Result<Bytes, InvokeError> {
    let event = json!({ "do": "big", "bytes": bytes }).to_string();
    function.invoke(Bytes::from(event), DEADLINE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_six_megabytes_is_refused_and_the_process_learns_it() {
    let function = function("big", |_| {});
    assert_eq!(big(&function, RESULT_BYTES_MAX).await.unwrap().len(), RESULT_BYTES_MAX);
    assert_eq!(ask(&function, "kept").await, 202);
    assert_eq!(big(&function, RESULT_BYTES_MAX + 1).await, Err(InvokeError::TooLarge));
    assert_eq!(ask(&function, "kept").await, 413);
    assert_eq!(function.starts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_beyond_six_megabytes_reaches_no_process() {
    let function = function("payload", |_| {});
    let event = |bytes: usize| {
        let rest = json!({ "do": "big", "bytes": 1, "pad": "" }).to_string().len();
        let pad = "p".repeat(bytes - rest);
        Bytes::from(json!({ "do": "big", "bytes": 1, "pad": pad }).to_string())
    };
    let refused = function.invoke(event(PAYLOAD_BYTES_MAX + 1), DEADLINE).await;
    assert!(matches!(refused, Err(InvokeError::NotInvocable { .. })));
    assert_eq!(running(&function), 0);
    assert_eq!(function.invoke(event(PAYLOAD_BYTES_MAX), DEADLINE).await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_concurrency_of_zero_throttles_everything() {
    let function = function("throttled", |spec| spec.instances_max = 0);
    let error = call(&function, json!({})).await.unwrap_err();
    let InvokeError::NotInvocable { reason } = error else { panic!("{error:?}") };
    assert!(reason.contains("throttled"), "{reason}");
    function.stop(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_at_once_are_all_served_by_few_processes() {
    let function = function("many", |spec| spec.instances_max = 2);
    let calls: Vec<_> = (0..5000)
        .map(|n| {
            let function = std::sync::Arc::clone(&function);
            tokio::spawn(async move { call(&function, json!({ "n": n })).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap()["n"], n);
    }
    assert!(running(&function) <= 2);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_limited_from_outside() {
    let function = function("memory", |spec| spec.memory_mb = 128);
    let allocate = |megabytes: u32| json!({ "do": "allocate", "megabytes": megabytes });
    assert_eq!(call(&function, allocate(100)).await.unwrap(), 100);
    assert_eq!(call(&function, allocate(1000)).await.unwrap(), "MemoryError");
    assert_eq!(call(&function, allocate(100)).await.unwrap(), 100);
}
