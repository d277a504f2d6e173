use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// A user who would like to be an administrator.
const TRICKY: &str = r#"x","role":"admin"#;

fn connect(id: &str, principal: &str) -> Value {
    json!({
        "connectionId": id, "apiId": "a1b2c3d4e5", "stage": "prod",
        "domainName": "ws.wsgate.localhost:8080", "principal": principal,
        "context": {
            "name": "N", "role": "guest", "sid": "s", "issuer": "i", "expiresAt": "1",
            "tokenSource": "cookie:JWT", "csrf": "signed",
        },
    })
}

fn message(id: &str, principal: &str, message: Value) -> Value {
    json!({
        "connectionId": id, "apiId": "a1b2c3d4e5", "stage": "prod",
        "routeKey": message["action"], "principal": principal, "message": message,
    })
}

#[tokio::test]
async fn a_call_without_the_gateways_key_is_refused() {
    let world = World::start().await;
    let key = String::from_utf8(world.secrets.gateway_key.expose().to_vec()).unwrap();
    let body = connect("c1", "ada").to_string();
    let near = format!("{}x", &key[1..]);
    for path in ["/ws/connect", "/ws/message", "/ws/disconnect"] {
        for keys in [&[][..], &[""], &["wrong"], &[&near], &[&key[..63]], &[&key, &key]] {
            let mut request = world.request(Method::POST, "127.0.0.1", path);
            for key in keys {
                request = request.header("x-gateway-key", *key);
            }
            let answer = world.send(request, body.clone()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {}", keys.len());
        }
    }
    assert_eq!(world.hook("/ws/connect", &connect("c1", "ada")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_principal_full_of_quotes_passes_through_the_rooms_intact() {
    let world = World::start().await;
    world.hook("/ws/connect", &connect("c1", TRICKY)).await;
    let join = message("c1", TRICKY, json!({ "action": "join", "room": "lobby" }));
    let joined = world.hook("/ws/message", &join).await.json();
    assert_eq!(joined["members"], json!([{ "principal": TRICKY, "name": "N" }]));
    let who = world.hook("/ws/message", &message("c1", TRICKY, json!({ "action": "who" }))).await;
    assert_eq!(who.json()["you"]["principal"], TRICKY);
    assert_eq!(who.json()["you"]["role"], "guest");
    assert_eq!(who.json()["you"]["csrf"], "signed");
    let say = message("c1", TRICKY, json!({ "action": "say", "text": "it's \"me\"" }));
    world.hook("/ws/message", &say).await;
    let pushed: Value = serde_json::from_slice(&world.call().await.body).unwrap();
    assert_eq!(pushed["from"], json!({ "principal": TRICKY, "name": "N", "role": "guest" }));
    assert_eq!(pushed["text"], "it's \"me\"");
}

#[tokio::test]
async fn what_is_said_is_pushed_signed_to_every_member() {
    let world = World::start().await;
    for id in ["L0SM9cOFvHcCIhw=", "c2"] {
        world.hook("/ws/connect", &connect(id, id)).await;
        let join = message(id, id, json!({ "action": "join", "room": "lobby" }));
        world.hook("/ws/message", &join).await;
    }
    let arrived: Value = serde_json::from_slice(&world.call().await.body).unwrap();
    assert_eq!((&arrived["type"], &arrived["room"]), (&json!("arrived"), &json!("lobby")));
    let say = message("c2", "c2", json!({ "action": "say", "text": "hi" }));
    assert_eq!(world.hook("/ws/message", &say).await.text, "");
    let mut paths = Vec::new();
    for _ in 0..2 {
        let call = world.call().await;
        assert_eq!(call.method, Method::POST);
        let signature = call.headers["authorization"].to_str().unwrap();
        let scope = format!("Credential={}/", world.secrets.management_id);
        assert!(signature.starts_with("AWS4-HMAC-SHA256 ") && signature.contains(&scope));
        assert!(signature.contains("/us-east-1/execute-api/aws4_request"));
        assert_eq!(call.body, br#"{"type":"said","room":"lobby","from":{"principal":"c2","name":"N","role":"guest"},"text":"hi"}"#[..]);
        paths.push(call.path);
    }
    paths.sort();
    let base = "/_aws/execute-api/a1b2c3d4e5/prod/@connections";
    assert_eq!(paths, [format!("{base}/L0SM9cOFvHcCIhw%3D"), format!("{base}/c2")]);
}

#[tokio::test]
async fn a_connection_that_is_gone_leaves_its_room() {
    let world = World::start().await;
    world.hook("/ws/connect", &connect("c1", "ada")).await;
    let join = message("c1", "ada", json!({ "action": "join", "room": "lobby" }));
    world.hook("/ws/message", &join).await;
    world.answer.store(410, Ordering::Relaxed);
    let say = message("c1", "ada", json!({ "action": "say", "text": "anyone?" }));
    world.hook("/ws/message", &say).await;
    world.call().await;
    // The room forgets it soon after the answer; until then it is still asked.
    loop {
        let who = message("c1", "ada", json!({ "action": "who" }));
        if world.hook("/ws/message", &who).await.json()["room"].is_null() {
            return;
        }
    }
}

#[tokio::test]
async fn a_disconnect_is_told_to_those_who_stay() {
    let world = World::start().await;
    for id in ["c1", "c2"] {
        world.hook("/ws/connect", &connect(id, id)).await;
        let join = message(id, id, json!({ "action": "join", "room": "lobby" }));
        world.hook("/ws/message", &join).await;
    }
    world.call().await;
    world.hook("/ws/disconnect", &json!({ "connectionId": "c2", "principal": "c2" })).await;
    let departed: Value = serde_json::from_slice(&world.call().await.body).unwrap();
    assert_eq!(departed["type"], "departed");
    assert_eq!(departed["from"]["principal"], "c2");
}

#[tokio::test]
async fn the_subprotocol_is_answered_only_if_it_was_offered() {
    let world = World::start().await;
    let key = world.secrets.gateway_key.expose().to_vec();
    for (offered, want) in [
        (None, ""),
        (Some("csrf.ab.cd"), ""),
        (Some("wsgate.demo2"), ""),
        (Some("wsgate.demo"), "wsgate.demo"),
        (Some("csrf.ab.cd,wsgate.demo"), "wsgate.demo"),
        (Some("wsgate.demo, csrf.ab.cd"), "wsgate.demo"),
    ] {
        let mut request = world.request(Method::POST, "127.0.0.1", "/ws/connect");
        request = request.header("x-gateway-key", &key[..]);
        if let Some(offered) = offered {
            request = request.header("sec-websocket-protocol", offered);
        }
        let answer = world.send(request, connect("c1", "ada").to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("sec-websocket-protocol"), want, "{offered:?}");
    }
}

#[tokio::test]
async fn nobody_without_a_principal_gets_in() {
    let world = World::start().await;
    let answer = world.hook("/ws/connect", &connect("c1", "")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    let world = World::start().await;
    let key = world.secrets.gateway_key.expose().to_vec();
    let deep = "[".repeat(100_000);
    for body in ["", "{}", "null", "[1]", "{\"connectionId\":1}", &deep] {
        for path in ["/ws/connect", "/ws/message", "/ws/disconnect"] {
            let request = world.request(Method::POST, "127.0.0.1", path);
            let answer = world.send(request.header("x-gateway-key", &key[..]), body.to_owned());
            assert_eq!(answer.await.status, StatusCode::BAD_REQUEST, "{path}");
        }
    }
    for (api, stage) in [("../../admin", "prod"), ("a1b2c3d4e5", "..")] {
        let mut body = connect("c1", "ada");
        body["apiId"] = api.into();
        body["stage"] = stage.into();
        assert_eq!(world.hook("/ws/connect", &body).await.status, StatusCode::BAD_REQUEST);
    }
    let request = world.request(Method::POST, "127.0.0.1", "/ws/message");
    let huge = vec![b' '; 2 * 1024 * 1024];
    let answer = world.send(request.header("x-gateway-key", &key[..]), huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn complaints_come_back_the_way_the_route_answers() {
    let world = World::start().await;
    world.hook("/ws/connect", &connect("c1", "ada")).await;
    let join = message("c1", "ada", json!({ "action": "join", "room": 7 }));
    let answer = world.hook("/ws/message", &join).await;
    assert_eq!((answer.status, &answer.json()["type"]), (StatusCode::OK, &json!("error")));
    let say = message("c1", "ada", json!({ "action": "say", "text": "hi" }));
    assert_eq!(world.hook("/ws/message", &say).await.text, "");
    let pushed: Value = serde_json::from_slice(&world.call().await.body).unwrap();
    assert_eq!(pushed, json!({ "type": "error", "reason": "join a room first" }));
}

#[tokio::test]
async fn a_connection_that_outlived_the_back_end_is_known_again_by_its_message() {
    let world = World::start().await;
    let join = message("c1", "ada", json!({ "action": "join", "room": "lobby" }));
    let joined = world.hook("/ws/message", &join).await.json();
    assert_eq!(joined["members"], json!([{ "principal": "ada", "name": "ada" }]));
}
