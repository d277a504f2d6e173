//! Handlers that push, get and delete by AWS's SDKs, at each address that their code may name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{application, ask_json, connect, interpreters, open, path_to, sdk, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};

/// Where a handler finds the API: from the event, from its template's environment, or nowhere, so
/// that the endpoint variable counts.
const PLACES: [&str; 3] = ["event", "template", "variable"];

const V2: &str = include_str!("code/push_v2.js");
const V3: &str = include_str!("code/push_v3.mjs");
const BOTO3: &str = include_str!("code/push_boto3.py");

fn setup(runtime: &str, file: &str, code: &str) -> Option<Setup> {
    let source = format!(
        r#"@function Worker {{"Runtime":"{runtime}","Handler":"app.handler","Timeout":30,"Environment":{{"Variables":{{"CALLBACK":{{"Fn::Sub":"https://${{Api}}.execute-api.${{AWS::Region}}.amazonaws.com/dev"}}}}}}}}
@route $default Worker two-way
"#
    );
    application(&source, &[(&format!("src/{file}"), code)])
}

fn node(file: &str, code: &str) -> Option<Setup> {
    let links = vec![sdk("src")?];
    Some(Setup { links, ..setup("nodejs22.x", file, code)? })
}

/// Reads two messages, whatever their order.
#[track_caller]
fn read_two(gateway: &Gateway, client: &mut Client) -> BTreeSet<String> {
    (0..2)
        .map(|_| match client.receive() {
            Ok(Incoming::Text(text)) => text,
            other => panic!("{other:?}\n{}", gateway.stderr()),
        })
        .collect()
}

/// Every call works at `places`, and a connection that is gone is told as such.
#[track_caller]
fn check(setup: Option<Setup>, places: &[&str]) {
    let Some(setup) = setup else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let own = ask_json(&gateway, &mut client, &json!({}))["connectionId"].clone();
    for place in places {
        let call = |verb: &str, id: &Value| json!({ "place": place, "verb": verb, "id": id });
        let mut post = call("post", &own);
        post["text"] = json!("grüße");
        client.send_text(&post.to_string()).unwrap();
        let two = read_two(&gateway, &mut client);
        assert!(two.contains("grüße"), "{place}: {two:?}\n{}", gateway.stderr());
        assert!(two.iter().any(|text| text.contains("\"ok\"")), "{place}: {two:?}");

        let told = ask_json(&gateway, &mut client, &call("get", &own));
        assert_eq!(told, json!({ "ok": true, "since": true, "from": "127.0.0.1" }), "{place}");

        let mut other = open(&gateway, "/dev");
        let id = ask_json(&gateway, &mut other, &json!({}))["connectionId"].clone();
        let told = ask_json(&gateway, &mut client, &call("delete", &id));
        assert_eq!(told["ok"], true, "{place}: {told}");
        assert!(matches!(other.receive().unwrap(), Incoming::Close(..)), "{place}");

        let told = ask_json(&gateway, &mut client, &call("get", &id));
        let gone = json!({ "ok": false, "gone": true, "name": "GoneException", "status": 410 });
        assert_eq!(told, gone, "{place}");
        let mut post = call("post", &id);
        post["text"] = json!("too late");
        assert_eq!(ask_json(&gateway, &mut client, &post), gone, "{place}");
    }
}

#[test]
fn javascript_with_the_sdk_of_today() {
    check(node("app.mjs", V3), &PLACES);
}

#[test]
fn javascript_with_the_sdk_of_yesterday() {
    check(node("app.js", V2), &PLACES);
}

#[test]
fn python_with_boto3() {
    check(setup("python3.12", "app.py", BOTO3), &PLACES);
}

/// Names below `.localhost`, which few resolvers know.
const LOCAL: &str = "[events]\ndomain_name = \"local\"\n";

#[test]
fn a_local_domain_name_in_the_event_is_an_address_too() {
    for setup in [node("app.mjs", V3), setup("python3.12", "app.py", BOTO3)] {
        let Some(mut setup) = setup else { return };
        setup.config += LOCAL;
        check(Some(setup), &["event"]);
    }
}

/// Runs [`BOTO3`] under AWS's own runtime client, where nothing of ours is in the process.
fn native() -> Option<Setup> {
    let ric = tool("awslambdaric", "AWSLAMBDARIC_PYTHON")?;
    let mut setup = setup("provided.al2023", "app.py", BOTO3)?;
    let command = json!([ric, "-m", "awslambdaric", "app.handler"]);
    setup.config += &format!("[functions.Worker]\ncommand = {command}\n");
    let boto3 = interpreters()?.first()?.parent()?.join("../lib");
    for package in ["boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"]
    {
        setup.links.push((format!("src/{package}"), find_package(&boto3, package)));
    }
    setup.environment = vec![path_to(&[ric])];
    Some(setup)
}

/// A package of a virtual environment.
fn find_package(lib: &std::path::Path, name: &str) -> PathBuf {
    let versions = std::fs::read_dir(lib).expect("an environment has libraries").flatten();
    let mut places = versions.map(|version| version.path().join("site-packages").join(name));
    let found = places.find(|place| place.exists());
    let found = found.unwrap_or_else(|| panic!("{name} is in {}", lib.display()));
    found.canonicalize().expect("it is there")
}

#[test]
fn native_code_uses_the_endpoint_variable_and_the_events_address() {
    check(native(), &["event", "variable"]);
}

#[test]
fn native_code_may_use_a_local_domain_name() {
    let Some(mut setup) = native() else { return };
    setup.config += LOCAL;
    // This machine's resolver may not know such names; others do (RFC 6761, section 6.3).
    let resolver = "import socket\nask = socket.getaddrinfo\ndef getaddrinfo(host, *rest, **named):\n    \
                    local = isinstance(host, str) and host.endswith('.localhost')\n    \
                    return ask('127.0.0.1' if local else host, *rest, **named)\n\
                    socket.getaddrinfo = getaddrinfo\n";
    let code = setup.files.iter_mut().find(|(name, _)| name == "src/app.py").unwrap();
    code.1 = format!("{resolver}{}", code.1);
    check(Some(setup), &["event", "variable"]);
}

/// Asks an address with every client that the language brings; each tells the status it got.
const CLIENTS_OF_NODE: &str = r#"
import http from "node:http";
import https from "node:https";
import tls from "node:tls";

const ask = (client, url) =>
  new Promise((done, failed) => client.get(url, ({ statusCode }) => done(statusCode)).on("error", failed));

const byHand = (host) =>
  new Promise((done, failed) => {
    const socket = tls.connect({ host, port: 443, servername: host });
    socket.on("error", failed).write(`GET /dev HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    socket.once("data", (data) => done(Number(String(data).split(" ")[1])));
  });

export const handler = async () => {
  const host = new URL(process.env.CALLBACK).host;
  const agent = new https.Agent({ keepAlive: true });
  const told = {
    fetch: (await fetch(process.env.CALLBACK)).status,
    https: await ask(https, process.env.CALLBACK),
    agent: await ask(https, Object.assign(new URL(process.env.CALLBACK), { agent })),
    http: await ask(http, `http://${host}/dev`),
    byHand: await byHand(host),
  };
  return { statusCode: 200, body: JSON.stringify(told) };
};
"#;

const CLIENTS_OF_PYTHON: &str = r#"
import asyncio, http.client, json, os, ssl, urllib.error, urllib.parse, urllib.request
import requests

URL = os.environ["CALLBACK"]
HOST = urllib.parse.urlsplit(URL).netloc

def handler(event, context):
    told = {
        "urllib": by_urllib(URL),
        "plain": by_urllib(f"http://{HOST}/dev"),
        "http": by_http(),
        "requests": requests.get(URL).status_code,
        "asyncio": asyncio.run(by_hand()),
    }
    return {"statusCode": 200, "body": json.dumps(told)}

def by_urllib(url):
    try:
        return urllib.request.urlopen(url).status
    except urllib.error.HTTPError as error:
        return error.code

def by_http():
    connection = http.client.HTTPSConnection(HOST)
    connection.request("GET", "/dev")
    return connection.getresponse().status

async def by_hand():
    reader, writer = await asyncio.open_connection(HOST, 443, ssl=ssl.create_default_context())
    writer.write(f"GET /dev HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    return int((await reader.readline()).split()[1])
"#;

/// What the gateway answers to a request that is no upgrade, and nobody else here.
#[test]
fn the_apis_own_name_leads_here_by_every_client() {
    for (setup, clients) in [
        (setup("nodejs22.x", "app.mjs", CLIENTS_OF_NODE), 5),
        (setup("python3.12", "app.py", CLIENTS_OF_PYTHON), 5),
    ] {
        let Some(setup) = setup else { return };
        let gateway = start(&setup);
        let mut client = open(&gateway, "/dev");
        let told = ask_json(&gateway, &mut client, &json!({}));
        let told = told.as_object().unwrap();
        assert_eq!(told.len(), clients, "{told:?}\n{}", gateway.stderr());
        assert!(told.values().all(|status| status == 403), "{told:?}");
        // AWS would answer so as well, but only here it is written down.
        let refused: Value = serde_json::from_slice(&gateway.ask_admin("/refusals").body).unwrap();
        let refused = refused.as_array().unwrap().iter();
        let hosts = refused
            .filter(|one| one["host"].as_str().is_some_and(|it| it.contains(".execute-api.")));
        assert_eq!(hosts.count(), clients);
    }
}

/// As on AWS, the path is the mapping's key, which handlers take for the stage.
const DOMAIN: &str = "  Domain:
    Type: AWS::ApiGatewayV2::DomainName
    Properties:
      DomainName: ws.example.com
      DomainNameConfigurations:
        - { EndpointType: REGIONAL, CertificateArn: 'arn:aws:acm:us-east-1:000000000000:certificate/0' }
  Mapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: { ApiId: !Ref Api, DomainName: !Ref Domain, Stage: !Ref Stage, ApiMappingKey: dev }
";

#[test]
fn a_custom_domain_in_the_event_leads_here() {
    for setup in [node("app.mjs", V3), node("app.js", V2), setup("python3.12", "app.py", BOTO3)] {
        let Some(mut setup) = setup else { return };
        setup.templates[0].1 += DOMAIN;
        let gateway = start(&setup);
        for host in
            ["ws.example.com".to_owned(), format!("ws.example.com:{}", gateway.listen.port())]
        {
            let (answer, client) = connect(&gateway, "/dev", &[("Host", &host)]);
            assert_eq!(answer.status(), 101, "{}", gateway.stderr());
            let mut client = client.unwrap();
            let own = ask_json(&gateway, &mut client, &json!({}))["connectionId"].clone();
            let get = json!({ "place": "event", "verb": "get", "id": own });
            let told = ask_json(&gateway, &mut client, &get);
            assert_eq!(told["ok"], true, "{host}: {told}\n{}", gateway.stderr());
        }
    }
}
