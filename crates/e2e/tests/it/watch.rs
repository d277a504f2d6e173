//! `--watch`: a valid change applies to open connections, an invalid one to nobody.

use std::sync::Arc;
use std::time::Instant;

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::DEADLINE;
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};
use crate::harness::sign::{self, Key};
use crate::harness::template;
use crate::harness::token;
use crate::harness::ws::{Client, Incoming};

use serde_json::Value;

const UNTHROTTLED: &str = "[throttle]\nconnects = \"off\"\nrequests = \"off\"\n";

/// An API that answers every message with `text`.
fn answering(text: &str) -> String {
    let source = format!(
        "@integration Mock {{\"IntegrationType\":\"MOCK\"}}\n@route $default Mock two-way\n  Answer:\n    Type: AWS::ApiGatewayV2::IntegrationResponse\n    Properties:\n      ApiId: !Ref Api\n      IntegrationId: !Ref Mock\n      IntegrationResponseKey: $default\n      ResponseTemplates: {{ $default: {text} }}\n"
    );
    template::expand(&source).text
}

fn start(template: String, config: &str, environment: Vec<(String, String)>) -> Gateway {
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template)],
        // A test asks again and again until a change is there.
        config: format!("{UNTHROTTLED}{config}"),
        arguments: vec!["--watch".to_owned()],
        environment,
        ..Setup::default()
    };
    Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

fn ask(client: &mut Client) -> String {
    client.send_text("{}").unwrap();
    match client.receive().unwrap() {
        Incoming::Text(text) => text,
        other => panic!("no text: {other:?}"),
    }
}

/// Repeats `look` until it is true; each look is a round trip of its own.
#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let due = Instant::now() + DEADLINE;
    while !look() {
        assert!(Instant::now() < due, "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn an_open_connection_sees_the_new_template() {
    let gateway = start(answering("one"), "", Vec::new());
    let (_, client) = Client::open(gateway.listen, "/dev", &[]).unwrap();
    let mut client = client.unwrap();
    assert_eq!(ask(&mut client), "one");
    gateway.rewrite("case.yaml", &answering("two"));
    eventually("the new answer", || ask(&mut client) == "two");
}

#[test]
fn an_invalid_template_is_refused_and_the_old_one_serves_on() {
    let gateway = start(answering("one"), "", Vec::new());
    let (_, client) = Client::open(gateway.listen, "/dev", &[]).unwrap();
    let mut client = client.unwrap();
    gateway.rewrite("case.yaml", "Resources:\n  Broken: [");
    eventually("a word about the error", || {
        assert_eq!(ask(&mut client), "one");
        gateway.stderr().contains("case.yaml")
    });
    gateway.rewrite("case.yaml", &answering("three"));
    eventually("the next valid answer", || ask(&mut client) == "three");
}

#[test]
fn an_origin_that_is_taken_away_opens_nothing_more() {
    let config = |origins: &str| {
        format!(
            "[authorizer]\norigins = [{origins}]\n\
             [[authorizer.issuers]]\nissuer = \"any\"\nprincipal_prefix = \"any:\"\naudience = \"any\"\n\
             algorithms = [\"HS256\"]\nkeys = [\"hmac:env:HARNESS_JWT\"]\n\
             [authorizer.csrf]\nmode = \"signed\"\nsecret = \"env:HARNESS_CSRF\"\n"
        )
    };
    let (one, two) = ("\"http://one.wsgate.localhost\"", "\"http://two.wsgate.localhost\"");
    let template = template::expand(
        "@builtin Auth\n@authorizer Guard Auth\n@integration Mock {\"IntegrationType\":\"MOCK\"}\n\
         @route $connect Mock auth=Guard\n",
    );
    let (jwt_secret, csrf_secret) = (token::random_hex(), token::random_hex());
    let environment = vec![
        ("HARNESS_JWT".to_owned(), jwt_secret.clone()),
        ("HARNESS_CSRF".to_owned(), csrf_secret.clone()),
    ];
    let gateway = start(template.text, &config(&format!("{one}, {two}")), environment);
    let claims = serde_json::json!({ "sub": "ada", "sid": "s", "exp": 4_000_000_000_u64 });
    let jwt = token::jwt(&claims, &jwt_secret);
    let csrf = token::csrf("s", &csrf_secret);
    let opens = |origin: &str| {
        let headers = [
            ("Origin".to_owned(), origin.trim_matches('"').to_owned()),
            ("Cookie".to_owned(), format!("JWT={jwt}; CSRF-TOKEN={csrf}")),
        ];
        let target = format!("/dev?csrf_token={csrf}");
        Client::open(gateway.listen, &target, &headers).unwrap().1.is_some()
    };
    assert!(opens(one) && opens(two));
    gateway.rewrite("wsgate.toml", &format!("{UNTHROTTLED}{}", config(one)));
    eventually("the refusal", || !opens(two));
    assert!(opens(one));
}

#[test]
fn a_removed_route_is_gone_for_open_connections() {
    let with_route = answering("one");
    let without = with_route.replace("\"RouteKey\":\"$default\"", "\"RouteKey\":\"other\"");
    assert_ne!(with_route, without);
    let gateway = start(with_route, "", Vec::new());
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert_eq!(ask(&mut client), "one");
    gateway.rewrite("case.yaml", &without);
    eventually("the end of the route", || ask(&mut client).contains("\"Forbidden\""));
}

#[test]
fn a_removed_stage_closes_its_connections() {
    let template = answering("one");
    let renamed = template.replace("\"StageName\":\"dev\"", "\"StageName\":\"prod\"");
    assert_ne!(template, renamed);
    let gateway = start(template, "", Vec::new());
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert_eq!(ask(&mut client), "one");
    gateway.rewrite("case.yaml", &renamed);
    assert_eq!(client.receive().unwrap(), Incoming::Close(Some(1001), "Going away".to_owned()));
    eventually("the new stage", || Client::open(gateway.listen, "/prod", &[]).unwrap().1.is_some());
}

#[test]
fn another_authorizer_leaves_open_connections_alone() {
    let open = answering("one");
    let guarded = open
        .replace("Resources:\n", "Resources:\n  RouteGuarded: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $connect, AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard}}\n");
    let function = template::expand(
        "@builtin Auth\n@authorizer Guard Auth route.request.header.Cookie\n@route $default -\n",
    );
    let resources: String = function
        .text
        .lines()
        .filter(|line| ["  Auth", "  Guard"].iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\n"))
        .collect();
    let guarded = format!("{guarded}{resources}");
    let config = "[[authorizer.issuers]]\nissuer = \"any\"\nprincipal_prefix = \"any:\"\n\
                  audience = \"any\"\nalgorithms = [\"HS256\"]\n\
                  keys = [\"hmac:env:HARNESS_JWT\"]\n[authorizer.csrf]\nmode = \"off\"\n";
    let environment = vec![("HARNESS_JWT".to_owned(), token::random_hex())];
    let gateway = start(open, config, environment);
    let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    assert_eq!(ask(&mut client), "one");
    gateway.rewrite("case.yaml", &guarded);
    eventually("the guard", || Client::open(gateway.listen, "/dev", &[]).unwrap().1.is_none());
    assert_eq!(ask(&mut client), "one");
}

/// Only a gateway that runs has connection ids to name, so the policy comes by a reload.
#[test]
fn a_policy_that_names_a_live_connection_denies() {
    let function = Server::start(|_| Answer::json(r#"{"statusCode":200}"#));
    let template = template::expand("@lambda Handler\n@route $connect Handler\n");
    let key = Key { id: "AKIATEST".to_owned(), secret: token::random_hex() };
    let config = |resource: &str| {
        format!(
            "[functions.Handler]\nurl = \"http://{}\"\n[[management.keys]]\nid = \"{}\"\n\
             secret = \"env:HARNESS_KEY\"\npolicy = {{ Version = \"2012-10-17\", Statement = [{{ \
             Effect = \"Allow\", Action = \"execute-api:ManageConnections\", Resource = \
             \"arn:aws:execute-api:us-east-1:000000000000:a1b2c3d4e5/dev/POST/@connections{resource}\" }}] }}\n",
            function.address, key.id
        )
    };
    let environment = vec![("HARNESS_KEY".to_owned(), key.secret.clone())];
    let gateway = start(template.text, &config("/*"), environment);
    let _client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
    let event: Value = serde_json::from_slice(&function.next().unwrap().body).unwrap();
    let id = event["requestContext"]["connectionId"].as_str().unwrap();
    let post = || {
        let target = format!("/dev/@connections/{}", id.replace('=', "%3D"));
        let headers = sign::headers(&key, "POST", gateway.listen, &target, &[], b"");
        gateway.request("POST", &target, &headers, b"").unwrap()
    };
    assert_eq!(post().status(), 200);
    let serve = |resource: &str| {
        let text = format!("{UNTHROTTLED}{}", config(resource));
        gateway.rewrite("wsgate.toml", &text);
    };
    serve(&format!("/{id}"));
    eventually("the denial", || post().status() == 403);
    assert!(post().text().contains("POST/@connections/{connectionId}"), "{}", post().text());
    serve("/{connectionId}");
    eventually("the permission", || post().status() == 200);
    serve("");
    eventually("the denial of the guide's form", || post().status() == 403);
}
