//! Pushes and pings: a slow reader costs its own queue, a silent one is asked for life.

use std::sync::Arc;

use serde_json::Value;

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::template;
use crate::harness::ws::{Client, Frame, Incoming};

/// Largest body of a push.
const PUSH_BYTES: usize = 128 * 1024;

/// Pushes that would fill any socket's buffers many times over.
const PUSHES_MAX: usize = 2000;

fn start(config: &str) -> (Gateway, Server) {
    let function = Server::start(|_| Answer::json(r#"{"statusCode":200}"#));
    let template =
        template::expand("@lambda Handler\n@route $connect Handler\n@route $disconnect Handler\n");
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template.text)],
        config: format!("{config}\n[functions.Handler]\nurl = \"http://{}\"\n", function.address),
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    (gateway, function)
}

fn context(function: &Server) -> Value {
    let event: Value = serde_json::from_slice(&function.next().unwrap().body).unwrap();
    event["requestContext"].clone()
}

#[test]
fn a_slow_reader_gets_429_and_loses_nothing_it_was_promised() {
    let (gateway, function) = start("[limits]\nqueue = \"256KiB\"\n[management]\nauth = \"off\"\n");
    let mut slow = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    let id = context(&function)["connectionId"].as_str().unwrap().to_owned();
    let mut brisk = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    let other = context(&function)["connectionId"].as_str().unwrap().to_owned();
    let push = |id: &str, body: &[u8]| {
        gateway.request("POST", &format!("/dev/@connections/{id}"), &[], body).unwrap()
    };
    let numbered = |number: usize| format!("{number:06}{}", "x".repeat(PUSH_BYTES - 6));
    let mut taken = 0;
    let refused = loop {
        assert!(taken < PUSHES_MAX, "the queue of a client that reads nothing has no end");
        let answer = push(&id, numbered(taken).as_bytes());
        match answer.status() {
            200 => taken += 1,
            _ => break answer,
        }
    };
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("x-amzn-errortype"), Some("LimitExceededException"));
    assert_eq!(refused.body, b"");
    // Nobody else waits for it.
    assert_eq!(push(&other, b"hello").status(), 200);
    assert_eq!(brisk.receive().unwrap(), Incoming::Text("hello".to_owned()));
    for number in 0..taken {
        let Incoming::Text(text) = slow.receive().unwrap() else { panic!("no text") };
        assert_eq!((&text[..6], text.len()), (format!("{number:06}").as_str(), PUSH_BYTES));
    }
    assert_eq!(push(&id, b"again").status(), 200);
    assert_eq!(slow.receive().unwrap(), Incoming::Text("again".to_owned()));
}

#[test]
fn a_silent_client_is_pinged_and_its_pongs_do_not_keep_it() {
    let (gateway, function) = start("[limits]\nidle = \"4s\"\nping_interval = \"1s\"\n");
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert_eq!(context(&function)["eventType"], "CONNECT");
    let mut pings = 0;
    let end = loop {
        match client.receive().unwrap() {
            Incoming::Ping(payload) => {
                pings += 1;
                client.send(&Frame::new(10, payload)).unwrap();
            }
            other => break other,
        }
    };
    assert!(0 < pings);
    assert_eq!(end, Incoming::Close(Some(1001), "Going away".to_owned()));
    client.send(&Frame::close(Some(1001), "Going away")).unwrap();
    let context = context(&function);
    assert_eq!(context["eventType"], "DISCONNECT");
    assert_eq!(context["disconnectStatusCode"], 1001);
}

#[test]
fn a_client_that_answers_no_ping_is_gone() {
    let (gateway, function) = start("[limits]\nidle = \"600s\"\nping_interval = \"1s\"\n");
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert_eq!(context(&function)["eventType"], "CONNECT");
    while let Incoming::Ping(_) = client.receive().unwrap() {}
    assert_eq!(context(&function)["eventType"], "DISCONNECT");
}

#[test]
fn without_ping_interval_nobody_is_pinged() {
    let (gateway, _function) = start("[limits]\nidle = \"2s\"\nping_interval = \"off\"\n");
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert!(matches!(client.receive().unwrap(), Incoming::Close(Some(1001), _)));
}

#[test]
fn the_account_throttle_answers_messages_in_band_and_callbacks_429() {
    let (gateway, function) =
        start("[throttle]\nrequests = { rate = 1, burst = 3 }\n[management]\nauth = \"off\"\n");
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    let id = context(&function)["connectionId"].as_str().unwrap().to_owned();
    // No route takes them: each is answered, by one error or the other.
    let hundred = Frame::new(1, "{}").encode().repeat(100);
    client.send_raw(&hundred).unwrap();
    let throttled = (0..100)
        .filter(|_| match client.receive().unwrap() {
            Incoming::Text(text) if text.contains(r#"{"message": "Too Many Requests", "#) => true,
            Incoming::Text(text) if text.contains(r#"{"message": "Forbidden", "#) => false,
            other => panic!("{other:?}"),
        })
        .count();
    // A slow machine gives the bucket time to refill, but not for all of them.
    assert!((1..100).contains(&throttled), "{throttled} of 100");
    let target = format!("/dev/@connections/{id}");
    let refused = (0..100)
        .map(|_| gateway.request("POST", &target, &[], b"").unwrap())
        .find(|answer| answer.status() != 200)
        .expect("the bucket is for callbacks too");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("x-amzn-errortype"), Some("LimitExceededException"));
}
