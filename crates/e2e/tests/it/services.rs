//! Other services behind the gateway, as `moto_server` plays them: what a template needs is made,
//! integrations ask it, and a queue's messages reach their function.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::functions::{ask, ask_json, eventually, interpreters, open, path_to, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::moto::Moto;
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::ws::{Client, Incoming};

const DESK: &str = include_str!("services/desk.yaml");
const DESK_CODE: &str = include_str!("services/desk.py");

/// The account that moto has.
const ACCOUNT: &str = "123456789012";

/// Moto with the services of these tests loaded, which takes seconds each.
fn moto() -> Option<Moto> {
    let moto = Moto::start()?;
    moto.ask("dynamodb", "DynamoDB_20120810.ListTables", &json!({}));
    moto.ask("sqs", "AmazonSQS.ListQueues", &json!({}));
    moto.ask("states", "AWSStepFunctions.ListStateMachines", &json!({}));
    Some(moto)
}

fn endpoints(moto: &Moto, services: &[&str]) -> String {
    let url = moto.url();
    let lines = services.iter().map(|service| format!("{service} = \"{url}\"\n"));
    format!("[integrations.endpoints]\n{}", lines.collect::<String>())
}

fn desk(moto: &Moto) -> Option<Setup> {
    Some(Setup {
        templates: vec![("desk.yaml".to_owned(), DESK.to_owned())],
        files: vec![("src/desk.py".to_owned(), DESK_CODE.to_owned())],
        config: endpoints(moto, &["dynamodb", "sqs", "sns", "sfn"]),
        arguments: ["--provision", "--account-id", ACCOUNT].map(str::to_owned).to_vec(),
        environment: vec![path_to(&interpreters()?)],
        ..Setup::default()
    })
}

/// The names in the table of clients.
fn clients(moto: &Moto) -> Vec<String> {
    let tables = moto.ask("dynamodb", "DynamoDB_20120810.ListTables", &json!({}));
    let table = &tables["TableNames"][0];
    let items = moto.ask("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": table }));
    let items = items["Items"].as_array().expect("a scan gives items");
    items.iter().map(|item| item["name"]["S"].as_str().unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn told(gateway: &Gateway, client: &mut Client) -> Value {
    match client.receive() {
        Ok(Incoming::Text(text)) => serde_json::from_str(&text).expect("it is JSON"),
        other => panic!("{other:?}\n{}", gateway.stderr()),
    }
}

#[test]
fn integrations_ask_services_and_a_queue_feeds_its_function() {
    let Some(moto) = moto() else { return };
    let Some(setup) = desk(&moto) else { return };
    let gateway = start(&setup);
    for made in ["made table `", "made queue `", "made topic `news`", "made state machine `flow`"] {
        assert!(gateway.stderr().contains(made), "{made}\n{}", gateway.stderr());
    }
    let mut ada = open(&gateway, "/live?name=ada");
    assert_eq!(clients(&moto), ["ada"], "$connect is in the table before the client is let in");
    // Through the queue by the gateway, by boto3, and by a topic: always the worker answers.
    let text = "100 % & more = \u{fc}";
    for message in [
        json!({ "action": "work", "text": text }),
        json!({ "action": "tell", "by": "queue", "text": text }),
        json!({ "action": "tell", "by": "topic", "text": text }),
    ] {
        ada.send_text(&message.to_string()).unwrap();
        let want = json!({ "name": "ada", "text": text, "source": "aws:sqs" });
        assert_eq!(told(&gateway, &mut ada), want, "{message}");
    }
    let started = ask_json(&gateway, &mut ada, &json!({ "action": "flow" }));
    let arn = started["started"].as_str().unwrap_or_default();
    let machine = format!("arn:aws:states:us-east-1:{ACCOUNT}:execution:flow:");
    assert!(arn.starts_with(&machine), "{started}");
    ada.abort();
    eventually(&gateway, "the $disconnect", || clients(&moto).is_empty());
}

#[test]
fn a_message_that_fails_ends_in_the_dead_letter_queue_and_holds_up_no_other() {
    let Some(moto) = moto() else { return };
    let Some(setup) = desk(&moto) else { return };
    let gateway = start(&setup);
    let mut ada = open(&gateway, "/live?name=ada");
    for text in ["poison", "fine"] {
        ada.send_text(&json!({ "action": "work", "text": text }).to_string()).unwrap();
    }
    assert_eq!(told(&gateway, &mut ada)["text"], "fine");
    let queues = moto.ask("sqs", "AmazonSQS.ListQueues", &json!({}));
    let mut urls = queues["QueueUrls"].as_array().unwrap().iter();
    let dead = urls.find(|url| url.as_str().unwrap().contains("Dead")).unwrap();
    let count = || {
        let question =
            json!({ "QueueUrl": dead, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let answer = moto.ask("sqs", "AmazonSQS.GetQueueAttributes", &question);
        answer["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap() == "1"
    };
    eventually(&gateway, "the dead letter", count);
}

#[test]
fn what_exists_is_served_and_an_end_waits_for_no_poll() {
    let Some(moto) = moto() else { return };
    let Some(setup) = desk(&moto) else { return };
    for made in [true, false] {
        let mut gateway = start(&setup);
        assert_eq!(gateway.stderr().contains("made table `"), made, "{}", gateway.stderr());
        drop(open(&gateway, "/live?name=ada"));
        assert_eq!(gateway.stop().and_then(|status| status.code()), Some(0));
        assert!(!gateway.stderr().contains("grace is over"), "{}", gateway.stderr());
    }
}

/// Some SDKs send a call to the host of the queue's URL, whatever endpoint they were given.
#[test]
fn a_function_finds_its_queue_at_the_endpoint() {
    let Some(moto) = moto() else { return };
    let Some(programs) = interpreters() else { return };
    let code = "import os\ndef handler(event, context):\n    return {'statusCode': 200, 'body': os.environ['QUEUE'] + ' ' + os.environ['AWS_ENDPOINT_URL_SQS']}\n";
    let source = r#"@function Teller {"Runtime":"python3.12","Handler":"teller.handler","Environment":{"Variables":{"QUEUE":{"Ref":"Jobs"}}}}
@route tell Teller two-way
  Jobs:
    Type: AWS::SQS::Queue
    Properties: { QueueName: jobs }
"#;
    let setup = Setup {
        templates: vec![("case.yaml".to_owned(), template::expand(source).text)],
        files: vec![("src/teller.py".to_owned(), code.to_owned())],
        config: endpoints(&moto, &["sqs"]),
        environment: vec![path_to(&programs)],
        ..Setup::default()
    };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    let url = moto.url();
    let answer = ask(&gateway, &mut client, r#"{"action":"tell"}"#);
    assert_eq!(answer, format!("{url}/000000000000/jobs {url}"));
}

#[test]
fn a_service_without_an_endpoint_stops_the_start_and_is_named() {
    let setup = Setup {
        templates: vec![("desk.yaml".to_owned(), DESK.to_owned())],
        files: vec![("src/desk.py".to_owned(), DESK_CODE.to_owned())],
        arguments: vec!["--provision".to_owned()],
        ..Setup::default()
    };
    let refused =
        Gateway::start(&setup, Arc::new(Secrets::default())).err().expect("it is refused");
    for service in ["dynamodb", "states"] {
        let way = format!("[integrations.endpoints] {service} = ");
        assert!(refused.stderr.contains(&way), "{way}\n{}", refused.stderr);
    }
}
