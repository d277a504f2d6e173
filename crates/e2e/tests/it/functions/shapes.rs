//! Templates of the shapes that AWS's own samples have, with the services they use.

use serde_json::{Value, json};

use super::{UNTHROTTLED, ask, ask_json, eventually, interpreters, open, path_to, start};
use crate::harness::gateway::Setup;
use crate::harness::moto::Moto;
use crate::harness::ws::Incoming;

/// SAM functions with code, a table, and routes written out.
const CHAT: &str = include_str!("code/chat.yaml");
const CHAT_CODE: &str = include_str!("code/chat.py");
/// Routes straight to DynamoDB, SQS and Step Functions.
const SERVICES: &str = include_str!("code/services.yaml");

/// A template whose other services are all at `moto`.
fn setup(moto: &Moto, template: &str, files: &[(&str, &str)]) -> Option<Setup> {
    let own = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    let url = moto.url();
    Some(Setup {
        templates: vec![("shape.yaml".to_owned(), template.to_owned())],
        files: files.iter().map(own).collect(),
        config: format!(
            "{UNTHROTTLED}[integrations.endpoints]\n\
             dynamodb = \"{url}\"\nsqs = \"{url}\"\nstates = \"{url}\"\n"
        ),
        arguments: vec!["--provision".to_owned()],
        environment: vec![path_to(&interpreters()?)],
        ..Setup::default()
    })
}

fn scan(moto: &Moto) -> Value {
    let tables = moto.ask("dynamodb", "DynamoDB_20120810.ListTables", &json!({}));
    let name = tables["TableNames"][0].clone();
    moto.ask("dynamodb", "DynamoDB_20120810.Scan", &json!({ "TableName": name }))["Items"].clone()
}

#[test]
fn functions_with_a_table_and_routes_written_out() {
    let Some(moto) = Moto::start() else { return };
    let Some(setup) = setup(&moto, CHAT, &[("handlers/app.py", CHAT_CODE)]) else { return };
    let gateway = start(&setup);
    let url = gateway.ready["apis"][0]["url"].as_str().unwrap();
    assert!(url.ends_with("/Prod"), "{url}");
    let (mut ada, mut grace) = (open(&gateway, "/Prod"), open(&gateway, "/Prod"));
    assert_eq!(scan(&moto).as_array().map(Vec::len), Some(2), "{}", gateway.stderr());
    ada.send_text(r#"{"message":"sendmessage","data":"hello"}"#).unwrap();
    for client in [&mut ada, &mut grace] {
        let got = client.receive().unwrap();
        assert_eq!(got, Incoming::Text("hello".to_owned()), "{}", gateway.stderr());
    }
    drop(ada);
    eventually(&gateway, "the end of an item", || {
        scan(&moto).as_array().is_some_and(|items| items.len() == 1)
    });
}

#[test]
fn routes_straight_to_other_services() {
    let Some(moto) = Moto::start() else { return };
    let files = [("worker/worker.py", include_str!("code/worker.py"))];
    let Some(mut setup) = setup(&moto, SERVICES, &files) else { return };
    // A state machine's ARN names the account, and this is that of the double.
    setup.arguments.extend(["--account-id", "123456789012"].map(str::to_owned));
    let gateway = start(&setup);
    let mut client = open(&gateway, "/v1?user=ada");
    let items = scan(&moto);
    assert_eq!(items[0]["user"]["S"], "ada", "{items}\n{}", gateway.stderr());
    assert!(items[0]["connectionId"]["S"].is_string(), "{items}");

    let told = ask_json(&gateway, &mut client, &json!({ "action": "start", "order": 7 }));
    let arn = told["executionArn"].as_str().unwrap_or_default();
    assert!(arn.starts_with("arn:aws:states:us-east-1:"), "{told}\n{}", gateway.stderr());
    let execution = json!({ "executionArn": arn });
    let told = moto.ask("states", "AWSStepFunctions.DescribeExecution", &execution);
    let input: Value = serde_json::from_str(told["input"].as_str().unwrap()).unwrap();
    assert_eq!(input["order"], 7, "{told}");

    // DynamoDB's refusal selects another answer; numbers travel as texts there.
    let told = ask_json(&gateway, &mut client, &json!({ "action": "put", "number": 1 }));
    let message = "NUMBER_VALUE cannot be converted to String";
    assert_eq!(told, json!({ "error": "Bad request", "message": message }));
    let told = ask_json(&gateway, &mut client, &json!({ "action": "put", "number": "1" }));
    assert_eq!(told, json!({ "success": true }));

    let told = ask(&gateway, &mut client, r#"{"action":"queue","text":"1 + 1 & more"}"#);
    assert_eq!(told, "queued", "{}", gateway.stderr());
    // The queue's own function pushes what it found.
    let pushed = client.receive().unwrap();
    assert_eq!(pushed, Incoming::Text("found 1 + 1 & more".to_owned()), "{}", gateway.stderr());

    drop(client);
    eventually(&gateway, "the end of the item", || {
        let items = scan(&moto);
        items.as_array().is_some_and(|items| items.iter().all(|item| item["user"].is_null()))
    });
}
