//! The end of a gateway: sockets close 1001, `$disconnect` runs, the exit is 0.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::gateway::{Gateway, Setup, exchange};
use crate::harness::http::Wire;
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::template;
use crate::harness::ws::{Client, Frame, Incoming};

/// A gateway with one function for everything, which answers `disconnect` as told.
fn start(disconnect: Answer, config: &str) -> (Gateway, Server) {
    let function = Server::start(move |request| {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        match event["requestContext"]["eventType"].as_str() {
            Some("DISCONNECT") => disconnect.clone(),
            _ => Answer::json(r#"{"statusCode":200}"#),
        }
    });
    let template = template::expand("@lambda Handler\n@route $disconnect Handler\n");
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template.text)],
        config: format!("{config}\n[functions.Handler]\nurl = \"http://{}\"\n", function.address),
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    (gateway, function)
}

fn open(gateway: &Gateway) -> Client {
    Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap()
}

#[test]
fn a_drain_closes_1001_runs_disconnect_and_ends_well() {
    let (mut gateway, function) =
        start(Answer::json(r#"{"statusCode":200}"#), "[drain]\nspread = \"1s\"\n");
    let mut clients: Vec<Client> = (0..3).map(|_| open(&gateway)).collect();
    gateway.terminate();
    for client in &mut clients {
        assert_eq!(client.receive().unwrap(), Incoming::Close(Some(1001), "Going away".to_owned()));
        client.send(&Frame::close(Some(1001), "Going away")).unwrap();
    }
    assert_eq!(gateway.ended().and_then(|status| status.code()), Some(0));
    for _ in &clients {
        let event: Value = serde_json::from_slice(&function.next().unwrap().body).unwrap();
        let context = &event["requestContext"];
        assert_eq!(context["eventType"], "DISCONNECT");
        assert_eq!(context["disconnectStatusCode"], 1001);
        assert_eq!(context["disconnectReason"], "Going away");
    }
    assert!(Wire::connect(gateway.listen).is_err(), "nothing listens any more");
}

#[test]
fn a_draining_gateway_is_not_ready_and_takes_nobody_in() {
    let (mut gateway, _function) =
        start(Answer::Hang, "[drain]\nspread = \"0s\"\ngrace = \"60s\"\n");
    let ready = |gateway: &Gateway| {
        exchange(gateway.admin, "GET", "/ready", &[], b"").map_or(0, |answer| answer.status())
    };
    let health = |gateway: &Gateway| {
        exchange(gateway.admin, "GET", "/health", &[], b"").map_or(0, |answer| answer.status())
    };
    let mut client = open(&gateway);
    assert_eq!((ready(&gateway), health(&gateway)), (200, 200));
    gateway.terminate();
    // Its close frame shows that the drain has begun; `$disconnect` hangs from here on.
    assert!(matches!(client.receive().unwrap(), Incoming::Close(Some(1001), _)));
    client.send(&Frame::close(Some(1001), "")).unwrap();
    assert_eq!((ready(&gateway), health(&gateway)), (503, 200));
    let newcomer = Client::open(gateway.listen, "/dev", &[]);
    assert!(newcomer.is_err() || newcomer.is_ok_and(|(answer, _)| answer.status() == 503));
    // A second signal ends at once what would take a minute.
    let told = Instant::now();
    gateway.terminate();
    assert!(gateway.ended().is_some(), "{}", gateway.stderr());
    assert!(told.elapsed() < Duration::from_secs(10));
}

#[test]
fn grace_bounds_a_drain() {
    let (mut gateway, _function) =
        start(Answer::Hang, "[drain]\nspread = \"0s\"\ngrace = \"1s\"\n");
    // It never answers the close, and its `$disconnect` hangs.
    let _client = open(&gateway);
    gateway.terminate();
    assert_eq!(gateway.ended().and_then(|status| status.code()), Some(0), "{}", gateway.stderr());
}
