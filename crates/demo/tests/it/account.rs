use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// The claims of the token in a `Cookie` header.
fn claims(cookies: &str) -> Value {
    let token = cookies.split("; ").find_map(|pair| pair.strip_prefix("JWT=")).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn a_login_sets_one_cookie_for_the_gateway_and_one_for_the_page() {
    let world = World::start().await;
    let login = world.post("/login", "", r#"{"user":"ada"}"#).await;
    assert_eq!(login.status, StatusCode::OK);
    let cookies = login.cookies();
    assert_eq!(cookies.len(), 2);
    let attributes = |line: &str| line.split_once("; ").unwrap().1.to_owned();
    assert_eq!(
        attributes(&cookies[0]),
        "Domain=wsgate.localhost; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"
    );
    assert_eq!(
        attributes(&cookies[1]),
        "Domain=wsgate.localhost; Path=/; Max-Age=3600; Secure; SameSite=Lax"
    );
    let claims = claims(&login.cookie_header());
    assert_eq!(claims["sub"], "ada");
    assert_eq!(claims["iss"], "https://ui.wsgate.localhost");
    assert_eq!(claims["aud"], "chat");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    let session = world.get("/session", &login.cookie_header()).await.json();
    assert_eq!(session["name"], "Ada");
}

#[tokio::test]
async fn nobody_is_logged_in_without_the_very_cookie() {
    let world = World::start().await;
    let cookies = world.post("/login", "", r#"{"user":"ada"}"#).await.cookie_header();
    let forged = cookies.replace("JWT=ey", "JWT=ex");
    let twice = format!("{cookies}; {cookies}");
    for cookies in ["", "JWT=", "JWT=a.b.c", &forged, &twice] {
        assert_eq!(world.get("/session", cookies).await.json()["user"], Value::Null, "{cookies}");
    }
    let unknown = world.post("/login", "", r#"{"user":"eve"}"#).await;
    assert_eq!((unknown.status, unknown.cookies().len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn a_logout_closes_the_users_sockets_and_its_cookie_opens_none() {
    let world = World::start().await;
    let cookies = world.post("/login", "", r#"{"user":"ada"}"#).await.cookie_header();
    let sid = claims(&cookies)["sid"].clone();
    let connect = json!({
        "connectionId": "c1", "apiId": "zzzzzzzzzz", "stage": "staging", "principal": "ada",
        "context": { "sid": sid },
    });
    assert_eq!(world.hook("/ws/connect", &connect).await.status, StatusCode::OK);

    let logout = world.post("/logout", &cookies, "{}").await;
    assert_eq!(logout.status, StatusCode::OK);
    let cleared = logout.cookies();
    assert!(cleared.iter().all(|line| line.contains("=; ") && line.contains("Max-Age=0")));
    let mut paths = Vec::new();
    for _ in 0..2 {
        let call = world.call().await;
        assert_eq!(call.method, Method::DELETE);
        assert!(call.headers.contains_key("x-amz-date"));
        paths.push(call.path);
    }
    paths.sort();
    assert_eq!(
        paths,
        [
            "/_aws/execute-api/a1b2c3d4e5/prod/@principals/ada",
            "/_aws/execute-api/zzzzzzzzzz/staging/@principals/ada",
        ]
    );
    assert_eq!(world.get("/session", &cookies).await.json()["user"], Value::Null);
    assert_eq!(world.hook("/ws/connect", &connect).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_login_right_after_a_logout_is_younger_than_the_revocation() {
    let world = World::start().await;
    let before = world.post("/login", "", r#"{"user":"grace"}"#).await.cookie_header();
    world.post("/logout", &before, "{}").await;
    let after = world.post("/login", "", r#"{"user":"grace"}"#).await.cookie_header();
    let issued = |cookies: &str| claims(cookies)["iat"].as_u64().unwrap();
    assert!(issued(&before) < issued(&after));
}

#[tokio::test]
async fn a_logout_that_the_gateway_does_not_confirm_says_so_and_still_ends_the_session() {
    let world = World::start().await;
    let cookies = world.post("/login", "", r#"{"user":"ada"}"#).await.cookie_header();
    world.answer.store(403, Ordering::Relaxed);
    let logout = world.post("/logout", &cookies, "{}").await;
    assert_eq!(logout.status, StatusCode::BAD_GATEWAY);
    assert_eq!(logout.cookies().len(), 2);
    assert_eq!(world.get("/session", &cookies).await.json()["user"], Value::Null);
}

#[tokio::test]
async fn the_expired_token_is_of_the_same_session_and_within_what_leeway_can_forgive() {
    let world = World::start().await;
    let cookies = world.post("/login", "", r#"{"user":"ada"}"#).await.cookie_header();
    let expired = world.post("/expired", &cookies, "{}").await;
    assert_eq!(expired.cookies().len(), 1);
    let (good, late) = (claims(&cookies), claims(&expired.cookie_header()));
    assert_eq!(good["sid"], late["sid"]);
    let age = good["iat"].as_u64().unwrap() - late["exp"].as_u64().unwrap();
    assert!((20..=30).contains(&age), "{age}");
    assert_eq!(world.get("/session", &expired.cookie_header()).await.json()["user"], Value::Null);
    assert_eq!(world.post("/expired", "", "{}").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_attempt_is_looked_up_with_the_gateways_token() {
    let world = World::start().await;
    let known = world.get("/attempts/known-attempt", "").await.json();
    assert_eq!(
        known,
        json!({ "found": true, "status": 403, "code": "csrf_missing", "rule": "csrf" })
    );
    let unknown = world.get("/attempts/unknown-attempt", "").await.json();
    assert_eq!(unknown, json!({ "found": false }));
    for name in ["short", "known%20attempt", "known-attempt%26x", &"x".repeat(65)] {
        let answer = world.get(&format!("/attempts/{name}"), "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}");
    }
}

#[tokio::test]
async fn without_an_admin_listener_the_reason_is_unknown() {
    let world = World::start_with(|s| s.admin = std::sync::Arc::new(|| None)).await;
    let answer = world.get("/attempts/known-attempt", "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
