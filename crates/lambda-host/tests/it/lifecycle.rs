//! Starting, reusing and ending instances.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambda_host::{Function, InvokeError};
use serde_json::{Value, json};

use crate::harness::{
    DEADLINE, Fixture, Holder, ask, call, eventually, function, is_running, mode, running,
};

fn spawn(fixture: &Fixture, event: Value) -> tokio::task::JoinHandle<Result<Value, InvokeError>> {
    let function = Arc::clone(fixture);
    tokio::spawn(async move { call(&function, event).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_warm_process_serves_one_invocation_after_the_other() {
    let function = function("warm", |_| {});
    assert_eq!(running(&function), 0, "nothing starts before it is needed");
    let first = ask(&function, "who").await;
    let second = ask(&function, "who").await;
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!((&first["served"], &second["served"]), (&json!(1), &json!(2)));
    assert_ne!(first["request"], second["request"]);
    let instances = function.instances();
    assert_eq!((instances.running, instances.busy, instances.cold_starts), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_passed_on_byte_by_byte() {
    let function = function("bytes", |_| {});
    let payload = "{ \"do\" : \"echo\",\n \"text\":\"\u{e9}\u{1f600}\" } ";
    let result = function.invoke(Bytes::from(payload), DEADLINE).await.unwrap();
    assert_eq!(result, payload);
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_at_once_get_a_process_each() {
    let function = function("cold", |spec| spec.instances_max = 64);
    let holder = Holder::new().await;
    let calls: Vec<_> = (0..4).map(|n| spawn(&function, holder.event(&n.to_string()))).collect();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holder.held().await);
    }
    let instances = function.instances();
    assert_eq!((instances.running, instances.busy, instances.waiting), (4, 4, 0));
    drop(held);
    let mut pids = Vec::new();
    for call in calls {
        pids.push(call.await.unwrap().unwrap()["pid"].as_u64().unwrap());
    }
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_most_instances_invocations_wait_in_order() {
    let function = function("order", |_| {});
    let holder = Holder::new().await;
    let mut calls = vec![spawn(&function, holder.event("0"))];
    let mut held = Some(holder.held().await);
    for waiting in 1..=5 {
        calls.push(spawn(&function, holder.event(&waiting.to_string())));
        eventually("a waiting invocation", || function.instances().waiting == waiting);
    }
    for next in 1..=5 {
        drop(held.take());
        let (name, stream) = holder.held().await;
        assert_eq!(name, next.to_string());
        held = Some((name, stream));
        assert_eq!(running(&function), 1);
    }
    drop(held);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_idle_process_is_used_first() {
    let function = function("lifo", |spec| spec.instances_max = 2);
    let holder = Holder::new().await;
    let first = spawn(&function, holder.event("a"));
    let (_, a) = holder.held().await;
    let second = spawn(&function, holder.event("b"));
    let (_, b) = holder.held().await;
    drop(a);
    first.await.unwrap().unwrap();
    eventually("an idle process", || function.instances().idle == 1);
    drop(b);
    let last = second.await.unwrap().unwrap()["pid"].clone();
    eventually("another idle process", || function.instances().idle == 2);
    assert_eq!(ask(&function, "who").await["pid"], last);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_takes_several_invocations_where_it_may() {
    let function = function("several", |spec| {
        spec.invocations_per_instance = 4;
    });
    let holder = Holder::new().await;
    let calls: Vec<_> = (0..5).map(|_| spawn(&function, holder.event(""))).collect();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(holder.held().await);
    }
    let instances = function.instances();
    assert_eq!((instances.running, instances.busy, instances.waiting), (1, 1, 1));
    drop(held);
    drop(holder.held().await);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_has_instances_of_its_own() {
    let function = function("sibling", |_| {});
    let sibling = function.sibling();
    let holder = Holder::new().await;
    let call = spawn(&function, holder.event(""));
    let held = holder.held().await;
    let other = ask(&sibling, "who").await;
    drop(held);
    assert_ne!(other["pid"], call.await.unwrap().unwrap()["pid"]);
}

#[tokio::test]
async fn an_instance_that_idles_for_long_ends() {
    let function = function("idles", mode("ends on demand"));
    ask(&function, "who").await;
    while function.instances().idle == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(601)).await;
    while 0 < running(&function) {
        tokio::task::yield_now().await;
    }
    assert_eq!(function.notes(), "xend");
    tokio::time::resume();
    ask(&function, "who").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_lets_invocations_finish_and_refuses_new_ones() {
    let function = function("stop", |_| {});
    let holder = Holder::new().await;
    let calls = [spawn(&function, holder.event("served")), spawn(&function, holder.event("waits"))];
    let first = holder.held().await;
    eventually("a waiting invocation", || function.instances().waiting == 1);
    let stop = tokio::spawn({
        let function = Arc::clone(&function);
        async move { function.stop(DEADLINE).await }
    });
    eventually("the stop", || {
        let refused = futures_now(function.invoke(Bytes::from_static(b"{}"), Duration::ZERO));
        matches!(refused, Some(Err(InvokeError::NotInvocable { .. })))
    });
    drop(first);
    drop(holder.held().await);
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    stop.await.unwrap();
    assert_eq!(running(&function), 0);
}

/// What a future gives at its first poll.
fn futures_now<T>(mut future: std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_asks_idle_processes_to_end() {
    let function = function("asked", mode("ends on demand"));
    ask(&function, "who").await;
    function.stop(DEADLINE).await;
    assert_eq!(function.notes(), "xend");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_kills_what_exceeds_the_grace() {
    let function = function("grace", |_| {});
    let pid = ask(&function, "who").await["pid"].clone();
    let holder = Holder::new().await;
    let call = spawn(&function, holder.event(""));
    let _held = holder.held().await;
    function.stop(Duration::ZERO).await;
    assert!(matches!(call.await.unwrap(), Err(InvokeError::NotInvocable { .. })));
    assert!(!is_running(&pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_function_leaves_no_process() {
    let function = function("dropped", |_| {});
    let in_group = call(&function, json!({ "do": "fork", "session": false })).await.unwrap();
    let outside = call(&function, json!({ "do": "fork", "session": true })).await.unwrap();
    for pid in [&in_group["pid"], &in_group["child"], &outside["child"]] {
        assert!(is_running(pid));
    }
    drop(function);
    for (what, pid) in [
        ("runtime", &in_group["pid"]),
        ("child in the group", &in_group["child"]),
        ("child outside the group", &outside["child"]),
    ] {
        eventually(&format!("the end of the {what}, {pid}"), || !is_running(pid));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_invocation_costs_neither_process_nor_place() {
    let function = function("given-up", |_| {});
    let holder = Holder::new().await;
    let given_up = spawn(&function, holder.event("given up"));
    let (_, held) = holder.held().await;
    let waiting = spawn(&function, json!({ "do": "exit", "code": 9 }));
    eventually("a waiting invocation", || function.instances().waiting == 1);
    waiting.abort();
    eventually("its leave", || function.instances().waiting == 0);
    given_up.abort();
    drop(held);
    let who = ask(&function, "who").await;
    assert_eq!(who["served"], 1);
    assert_eq!(function.starts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_time_ends_the_wait_but_not_the_function() {
    let function = function("impatient", |_| {});
    let pid = ask(&function, "who").await["pid"].clone();
    let holder = Holder::new().await;
    let call = tokio::spawn({
        let (function, event) = (Arc::clone(&function), Bytes::from(holder.event("").to_string()));
        async move { function.invoke(event, Duration::from_secs(2)).await }
    });
    let (_, held) = holder.held().await;
    assert_eq!(call.await.unwrap(), Err(InvokeError::Timeout));
    assert_eq!(function.instances().busy, 1, "it runs on");
    let waits = function.invoke(Bytes::from_static(b"{}"), Duration::from_millis(1)).await;
    assert_eq!(waits, Err(InvokeError::Timeout));
    assert_eq!(function.instances().waiting, 0);
    drop(held);
    assert_eq!(ask(&function, "who").await["pid"], pid);
}
