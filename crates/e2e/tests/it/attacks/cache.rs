//! Attacks on the verdict cache: what was decided for one request is not the answer to another,
//! and nobody keeps others waiting by leaving.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::{Wire as Raw, request_bytes};
use crate::harness::server::{Answer, Server};
use crate::harness::template;
use crate::harness::ws::{Client, upgrade_headers};

use super::forge::{UI, World};
use super::table::{Attack, page};
use super::{Wire, claims_of, delegate};

const EVIL: &str = "https://evil.example";

/// A gateway in front of `double`; verdicts are kept for five minutes, which is the default.
fn start(world: &World, double: &Server, more: &str) -> Wire {
    let url = format!("http://{}/session", double.address);
    let document = world.delegate_document(&url, more) + "timeout = \"10s\"\n";
    Wire::start(world, &document)
}

fn granted() -> (u16, String) {
    (101, "app:ada".to_owned())
}

fn refused(code: &str) -> (u16, String) {
    (if code.starts_with("token") { 401 } else { 403 }, code.to_owned())
}

#[test]
fn a_kept_verdict_is_not_for_the_same_cookies_with_another_query() {
    let world = World::new();
    let double = delegate();
    let wire = start(&world, &double, "");
    let honest = page(&world);
    assert_eq!(wire.attempt(&honest, "first"), granted());
    assert_eq!(wire.attempt(&honest, "again"), granted());
    assert_eq!(double.unread().len(), 1, "the verdict is kept");

    let with = |name: &str, value: String| {
        let mut query = honest.query.clone();
        query.retain(|(other, _)| other != name);
        query.push((name.to_owned(), value));
        Attack { name: name.to_owned(), headers: honest.headers.clone(), query, ..honest }
    };
    let foreign = with("csrf_token", world.csrf("s-2"));
    assert_eq!(wire.attempt(&foreign, "foreign"), refused("csrf_mismatch"));
    assert_eq!(wire.attempt(&with("csrf_token", String::new()), "empty"), refused("csrf_missing"));
    let query = Vec::new();
    let none = Attack { name: "none".to_owned(), headers: honest.headers.clone(), query, ..honest };
    assert_eq!(wire.attempt(&none, "none"), refused("csrf_missing"));
    let token = with("access_token", "x".to_owned());
    assert_eq!(wire.attempt(&token, "token"), refused("token_ambiguous"));
    assert_eq!(double.unread().len(), 1, "none of these is worth a question");

    assert_eq!(wire.attempt(&honest, "once-more"), granted());
    wire.finish(&world);
}

/// A function that reads the query, behind a cache.
#[test]
fn a_function_is_asked_again_about_the_same_cookies_with_another_query() {
    let auth = Server::start(|request| {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let is_good = event["queryStringParameters"]["csrf_token"] == "good";
        Answer::json(policy(if is_good { "Allow" } else { "Deny" }, &event["methodArn"]))
    });
    let template = template::expand(
        "@lambda Auth\n@authorizer Guard Auth route.request.header.Cookie route.request.header.Origin\n\
         @route $connect - auth=Guard\n",
    );
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template.text)],
        config: format!(
            "[authorizers.Guard.cache]\nttl = \"300s\"\n[functions.Auth]\nurl = \"http://{}\"\n",
            auth.address
        ),
        ..Setup::default()
    };
    let gateway = Gateway::start(&setup, Arc::default())
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
    let headers = [("Cookie", "SESSION=of-ada"), ("Origin", UI)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ask = |target: &str| {
        let (answer, _client) = Client::open(gateway.listen, target, &headers).unwrap();
        (answer.status(), auth.unread().len())
    };
    assert_eq!(ask("/dev?csrf_token=good"), (101, 1));
    assert_eq!(ask("/dev?csrf_token=good"), (101, 1));
    assert_eq!(ask("/dev?csrf_token=evil"), (403, 2));
    assert_eq!(ask("/dev"), (403, 3));
    assert_eq!(ask("/dev?csrf_token=good&csrf_token=evil"), (403, 4));
    assert_eq!(ask("/dev?csrf_token=good"), (101, 4));
}

fn policy(effect: &str, arn: &Value) -> String {
    let statement = json!({ "Action": "execute-api:Invoke", "Effect": effect, "Resource": arn });
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
    json!({ "principalId": "ada", "policyDocument": document }).to_string()
}

/// One client asks and leaves; the others wait for what it asked.
#[test]
fn who_waits_for_a_verdict_gets_it_although_the_asker_left() {
    let world = World::new();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let closed = Arc::clone(&gate);
    let double = Server::start(move |request| {
        let (is_open, opened) = &*closed;
        let mut is_open = is_open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            is_open = opened.wait(is_open).unwrap_or_else(PoisonError::into_inner);
        }
        claims_of(request).map_or(Answer::Die, Answer::json)
    });
    let wire = start(&world, &double, "");
    let honest = page(&world);
    let ask = || {
        let mut raw = Raw::connect(wire.gateway.listen).unwrap();
        let headers = upgrade_headers(wire.gateway.listen, &honest.headers);
        let target = super::target(&honest.query, "flight");
        raw.write(&request_bytes("GET", &target, &headers, &[])).unwrap();
        raw
    };
    let leader = ask();
    let question = double.next().expect("the delegate is asked");
    assert!(question.start.starts_with("GET /session "), "{}", question.start);
    let mut followers: Vec<_> = (0..8).map(|_| ask()).collect();
    leader.abort();
    drop(leader);
    *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    gate.1.notify_all();
    for follower in &mut followers {
        let answer = follower.read_response().unwrap().expect("an answer");
        assert_eq!(answer.status(), 101, "{}", answer.text());
    }
    assert!(double.unread().is_empty(), "one question was enough");
}

#[test]
fn a_pass_that_is_only_reported_is_never_kept() {
    let world = World::new();
    let double = delegate();
    let wire = start(&world, &double, "report_only = [\"origin\", \"csrf\"]\n");
    let mut foreign = page(&world);
    foreign.headers.retain(|(name, _)| name != "Origin");
    foreign.headers.push(("Origin".to_owned(), EVIL.to_owned()));
    for count in 1..=3 {
        assert_eq!(wire.attempt(&foreign, "foreign"), granted());
        assert_eq!(double.unread().len(), count, "each is decided anew");
    }
    // Broken only against the answer of the delegate.
    let mut other = page(&world);
    let value = world.csrf("s-2");
    let token = other.headers[0].1.split(';').next().unwrap_or_default().to_owned();
    other.headers[0].1 = format!("{token}; CSRF-TOKEN={value}");
    other.query = vec![("csrf_token".to_owned(), value)];
    for count in 4..=5 {
        assert_eq!(wire.attempt(&other, "other"), granted());
        assert_eq!(double.unread().len(), count, "each is decided anew");
    }
    // What breaks no rule is kept as ever.
    let honest = page(&world);
    for _ in 0..2 {
        assert_eq!(wire.attempt(&honest, "honest"), granted());
        assert_eq!(double.unread().len(), 6);
    }
    wire.finish(&world);
}
