//! How sessions end: by their token, a context key or a revocation, and what a renewal changes.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::gateway::{Gateway, Setup, exchange};
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::sign::{self, Key};
use crate::harness::template;
use crate::harness::token;
use crate::harness::ws::{Client, Frame, Incoming};

const BUILT_IN: &str =
    "@lambda Handler\n@builtin Auth\n@authorizer Guard Auth\n@route $connect Handler auth=Guard\n";

const FUNCTION: &str =
    "@lambda Handler\n@lambda Auth\n@authorizer Guard Auth\n@route $connect Handler auth=Guard\n";

const ISSUER: &str = r#"
[authorizer]
leeway = "0s"

[[authorizer.issuers]]
issuer = "https://login.example"
audience = ["chat"]
algorithms = ["HS256"]
keys = ["hmac:env:HARNESS_JWT"]

[authorizer.csrf]
mode = "off"
"#;

fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs()
}

fn start(resources: &str, config: &str, functions: &[(&str, &Server)], jwt: &str) -> Gateway {
    let mut config = config.to_owned();
    for (name, server) in functions {
        config += &format!("[functions.{name}]\nurl = \"http://{}\"\n", server.address);
    }
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(resources).text)],
        config,
        environment: vec![("HARNESS_JWT".to_owned(), jwt.to_owned())],
        ..Setup::default()
    };
    Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

fn ada(more: &[(&str, Value)], jwt: &str) -> String {
    let mut claims = json!({
        "iss": "https://login.example", "aud": "chat", "sub": "ada", "exp": epoch_seconds() + 600,
    });
    for (name, value) in more {
        claims[*name] = value.clone();
    }
    token::jwt(&claims, jwt)
}

fn bearer(token: &str) -> [(String, String); 1] {
    [("Authorization".to_owned(), format!("Bearer {token}"))]
}

/// A key pair that may revoke, and the table that says so.
pub(crate) fn management_key() -> (Key, String) {
    let key = Key { id: "AKIATEST".to_owned(), secret: token::random_hex() };
    let table = format!("[[management.keys]]\nid = \"{}\"\nsecret = \"{}\"\n", key.id, key.secret);
    (key, table)
}

/// Revokes `whom`: a principal, or one session of it with `?sid=` behind.
#[track_caller]
pub(crate) fn revoke(gateway: &Gateway, key: &Key, whom: &str) {
    let target = format!("/dev/@principals/{whom}");
    let headers = sign::headers(key, "DELETE", gateway.listen, &target, &[], b"");
    let answer = gateway.request("DELETE", &target, &headers, b"").unwrap();
    assert_eq!(answer.status(), 204, "{}", answer.text());
}

fn accepting() -> Server {
    Server::start(|_| Answer::json(r#"{"statusCode":200}"#))
}

/// An authorizer that allows everything, with the context that `state` holds.
fn allowing(context: Arc<Mutex<Value>>) -> Server {
    Server::start(move |_| {
        let context = context.lock().unwrap().clone();
        Answer::json(verdict(&context).to_string())
    })
}

fn verdict(context: &Value) -> Value {
    json!({
        "principalId": "ada",
        "policyDocument": { "Version": "2012-10-17", "Statement": [
            { "Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*" },
        ] },
        "context": context,
    })
}

#[test]
fn a_context_key_ends_the_sessions_of_another_authorizer() {
    let context = Arc::new(Mutex::new(json!({})));
    let (handler, authorizer) = (accepting(), allowing(Arc::clone(&context)));
    let config = "[authorizers.Guard]\nsession_end = \"end\"\n";
    let functions = [("Handler", &handler), ("Auth", &authorizer)];
    let gateway = start(FUNCTION, config, &functions, "unused");
    let connect = |value: Value| {
        *context.lock().unwrap() = value;
        let (answer, client) = Client::open(gateway.listen, "/dev", &[]).unwrap();
        (answer.status(), client)
    };
    let years = 366 * 24 * 3600;
    for (value, status) in [
        (json!({}), 500),
        (json!({ "End": epoch_seconds() + 60 }), 500),
        (json!({ "end": "soon" }), 500),
        (json!({ "end": -1 }), 500),
        (json!({ "end": 1.5 }), 500),
        (json!({ "end": epoch_seconds() + 11 * years }), 500),
        (json!({ "end": epoch_seconds() - 1 }), 401),
        (json!({ "end": 0 }), 401),
    ] {
        assert_eq!(connect(value.clone()).0, status, "{value}");
    }
    let (status, client) = connect(json!({ "end": epoch_seconds() + 2 }));
    assert_eq!(status, 101);
    let Incoming::Close(code, reason) = client.unwrap().receive().unwrap() else {
        panic!("the session goes on");
    };
    assert_eq!((code, reason.as_str()), (Some(1008), "session expired"));
}

#[test]
fn a_renewed_session_ends_at_its_new_time() {
    let jwt = token::random_hex();
    let handler = accepting();
    let config = format!("[session]\nrenewal = true\n{ISSUER}");
    let gateway = start(BUILT_IN, &config, &[("Handler", &handler)], &jwt);
    let (_, client) = Client::open(gateway.listen, "/dev", &bearer(&ada(&[], &jwt))).unwrap();
    let mut client = client.unwrap();
    let end = epoch_seconds() + 2;
    let fresh = ada(&[("exp", end.into())], &jwt);
    client.send_text(&json!({ "action": "$session", "token": fresh }).to_string()).unwrap();
    let Incoming::Text(answer) = client.receive().unwrap() else { panic!("no answer") };
    assert_eq!(answer, format!(r#"{{"session":"renewed","expiresAt":{end}}}"#));
    let Incoming::Close(code, reason) = client.receive().unwrap() else {
        panic!("the session goes on");
    };
    assert_eq!((code, reason.as_str()), (Some(1008), "session expired"));
    assert!(end <= epoch_seconds(), "it ended too early");
}

#[test]
fn a_delegate_that_is_down_renews_nothing_and_ends_nothing() {
    let jwt = token::random_hex();
    let status = Arc::new(Mutex::new(200));
    let shared = Arc::clone(&status);
    let delegate = Server::start(move |_| Answer::Reply {
        status: *shared.lock().unwrap(),
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: br#"{"sub":"ada","exp":4102444800}"#.to_vec(),
    });
    let handler = accepting();
    let config = format!(
        "[session]\nrenewal = true\n[authorizer]\nleeway = \"0s\"\n[authorizer.csrf]\nmode = \"off\"\n[authorizer.delegate]\nurl = \"http://{}/session\"\n",
        delegate.address
    );
    let gateway = start(BUILT_IN, &config, &[("Handler", &handler)], &jwt);
    let token = ada(&[], &jwt);
    let open = || Client::open(gateway.listen, "/dev", &bearer(&token)).unwrap().1.unwrap();
    let (mut early, mut late) = (open(), open());
    let renew = |client: &mut Client| {
        client.send_text(&json!({ "action": "$session", "token": token }).to_string()).unwrap();
        let Incoming::Text(answer) = client.receive().unwrap() else { panic!("no answer") };
        answer
    };
    assert_eq!(renew(&mut early), r#"{"session":"renewed","expiresAt":4102444800}"#);
    *status.lock().unwrap() = 500;
    let answer = renew(&mut late);
    assert!(answer.starts_with(r#"{"message": "Internal server error", "#), "{answer}");
    let refusals: Value = serde_json::from_slice(&gateway.ask_admin("/refusals").body).unwrap();
    assert_eq!(refusals[0]["code"], "authorizer_error", "{refusals}");
    late.send(&Frame::new(9, "still here")).unwrap();
    assert!(matches!(late.receive().unwrap(), Incoming::Pong(_)));
}

/// A `$connect` integration that has the principal revoked before it accepts.
fn revoking(address: Arc<OnceLock<SocketAddr>>) -> Server {
    Server::start(move |request| {
        let event: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if event["requestContext"]["eventType"] == "CONNECT" {
            let gateway = *address.get().expect("set before the first connect");
            let answer = exchange(gateway, "DELETE", "/dev/@principals/ada", &[], b"").unwrap();
            assert_eq!(answer.status(), 204);
        }
        Answer::json(r#"{"statusCode":200}"#)
    })
}

#[track_caller]
fn check_revoked(gateway: &Gateway, headers: &[(String, String)]) {
    let (answer, client) = Client::open(gateway.listen, "/dev", headers).unwrap();
    assert_eq!(answer.status(), 401);
    assert!(client.is_none());
    let refusals: Value = serde_json::from_slice(&gateway.ask_admin("/refusals").body).unwrap();
    assert_eq!(refusals[0]["code"], "token_revoked", "{refusals}");
}

#[test]
fn a_revocation_between_the_verdict_and_the_101_counts() {
    let jwt = token::random_hex();
    let address = Arc::new(OnceLock::new());
    let handler = revoking(Arc::clone(&address));
    let config = format!("[management]\nauth = \"off\"\n{ISSUER}");
    let gateway = start(BUILT_IN, &config, &[("Handler", &handler)], &jwt);
    address.set(gateway.listen).unwrap();
    check_revoked(&gateway, &bearer(&ada(&[("iat", (epoch_seconds() - 5).into())], &jwt)));
}

#[test]
fn a_revocation_after_the_verdict_of_another_authorizer_counts_too() {
    let address = Arc::new(OnceLock::new());
    let handler = revoking(Arc::clone(&address));
    let authorizer = allowing(Arc::new(Mutex::new(json!({}))));
    let functions = [("Handler", &handler), ("Auth", &authorizer)];
    let gateway = start(FUNCTION, "[management]\nauth = \"off\"\n", &functions, "unused");
    address.set(gateway.listen).unwrap();
    check_revoked(&gateway, &[]);
}

/// Connects while the authorizer gives `answers`, before each of which Ada is revoked if its flag
/// says so; nobody asks for more.
#[track_caller]
fn connect_while_revoked(
    gateway: &Gateway,
    key: &Key,
    authorizer: (&Server, &Sender<Answer>),
    answers: &[(bool, Answer)],
) -> (u16, Option<Client>) {
    let (authorizer, tell) = authorizer;
    let (answer, client) = std::thread::scope(|scope| {
        let client = scope.spawn(|| Client::open(gateway.listen, "/dev", &[]).unwrap());
        for (number, (is_revoked, answer)) in answers.iter().enumerate() {
            assert!(authorizer.next().is_some(), "question {number} does not come");
            if *is_revoked {
                revoke(gateway, key, "ada");
            }
            tell.send(answer.clone()).unwrap();
        }
        client.join().unwrap()
    });
    assert_eq!(authorizer.unread().len(), 0, "it was asked once more");
    (answer.status(), client)
}

#[test]
fn a_revocation_while_the_authorizer_is_asked_has_it_asked_again() {
    let (key, config) = management_key();
    let handler = accepting();
    let (authorizer, tell) = Server::start_told();
    let functions = [("Handler", &handler), ("Auth", &authorizer)];
    let gateway = start(FUNCTION, &config, &functions, "unused");
    let connect = |answers: &[(bool, Answer)]| {
        connect_while_revoked(&gateway, &key, (&authorizer, &tell), answers)
    };
    let allow = || Answer::json(verdict(&json!({})).to_string());
    let deny = verdict(&json!({})).to_string().replace("Allow", "Deny");
    let error = |message: &str| Answer::Reply {
        status: 200,
        headers: vec![("X-Amz-Function-Error".to_owned(), "Unhandled".to_owned())],
        body: json!({ "errorMessage": message }).to_string().into_bytes(),
    };
    for (second, status) in
        [(Answer::json(deny), 403), (error("Unauthorized"), 401), (error("down"), 500)]
    {
        assert_eq!(connect(&[(true, allow()), (false, second)]).0, status);
    }
    // One more revocation, and nobody asks a third time.
    assert_eq!(connect(&[(true, allow()), (true, allow())]).0, 401);
    let refusals: Value = serde_json::from_slice(&gateway.ask_admin("/refusals").body).unwrap();
    assert_eq!(refusals[0]["code"], "token_revoked", "{refusals}");
    assert_eq!(handler.unread().len(), 0, "nobody was let in");
    let (status, client) = connect(&[(true, allow()), (false, allow())]);
    assert_eq!(status, 101);
    let mut client = client.unwrap();
    client.send(&Frame::new(9, "x")).unwrap();
    assert!(matches!(client.receive().unwrap(), Incoming::Pong(_)));
}
