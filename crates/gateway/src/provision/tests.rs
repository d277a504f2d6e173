use std::collections::BTreeSet;
use std::sync::Arc;

use api_model::Span;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::aws::server::{Asked, Server, Told, client};

const ACCOUNT: &str = "000000000000";

fn resource(logical_id: &str, kind: &str, physical_id: &str, properties: Value) -> Provision {
    Provision {
        logical_id: logical_id.to_owned(),
        resource_type: kind.to_owned(),
        physical_id: physical_id.to_owned(),
        properties,
        span: Span::default(),
        region: "us-east-1".to_owned(),
    }
}

fn model(provisions: Vec<Provision>) -> Model {
    Model { provisions, ..Model::default() }
}

fn arn(service: &str, account: &str, name: &str) -> String {
    format!("arn:aws:{service}:us-east-1:{account}:{name}")
}

fn queue(logical_id: &str, name: &str, properties: Value) -> Provision {
    let url = format!("https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/{name}");
    resource(logical_id, "AWS::SQS::Queue", &url, properties)
}

/// Services that keep what is made, by kind and name, in an account of theirs.
struct Cloud {
    server: Server,
    made: Arc<Mutex<BTreeSet<String>>>,
}

impl Cloud {
    async fn start(account: &'static str) -> Self {
        let made = Arc::new(Mutex::new(BTreeSet::new()));
        let list = Arc::clone(&made);
        let server = Server::start(move |asked| answer(&mut list.lock(), account, asked)).await;
        Self { server, made }
    }

    async fn make(&self, model: &Model) -> Result<Vec<String>, Vec<String>> {
        make_all(model, &self.server.client(&["dynamodb", "sqs", "sns", "states"])).await
    }

    /// What was asked by this name, as JSON.
    fn asked(&self, name: &str) -> Vec<Value> {
        let asked = self.server.asked();
        let found = asked.iter().filter(|asked| asked.operation().ends_with(name));
        found.map(Asked::json).collect()
    }

    fn forms(&self, action: &str) -> Vec<String> {
        let asked = self.server.asked();
        let forms = asked.iter().filter(|asked| asked.operation().is_empty());
        let forms = forms.map(|asked| String::from_utf8(asked.body.to_vec()).unwrap());
        forms.filter(|form| form.starts_with(&format!("Action={action}&"))).collect()
    }
}

fn answer(made: &mut BTreeSet<String>, account: &str, asked: &Asked) -> Told {
    let refused =
        |kind: &str| (400, json!({ "__type": format!("x#{kind}"), "message": "m" }).to_string());
    let fine = |value: Value| (200, value.to_string());
    if asked.operation().is_empty() {
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let name = form.split("&Name=").nth(1).and_then(|rest| rest.split('&').next());
        return match name {
            Some(name) => {
                made.insert(format!("topic {name}"));
                (200, format!("<R><TopicArn>{}</TopicArn></R>", arn("sns", account, name)))
            }
            None if form.starts_with("Action=GetTopicAttributes") => {
                let there = made.iter().any(|one| {
                    one.strip_prefix("topic ")
                        .is_some_and(|name| form.ends_with(&format!("%3A{name}")))
                });
                (if there { 200 } else { 404 }, "<E><Code>NotFound</Code></E>".to_owned())
            }
            None => (200, "<R></R>".to_owned()),
        };
    }
    let question = asked.json();
    let text = |name: &str| question[name].as_str().unwrap_or_default().to_owned();
    let last = |text: String| text.rsplit(['/', ':']).next().unwrap().to_owned();
    match asked.operation() {
        "DynamoDB_20120810.CreateTable" => {
            match made.insert(format!("table {}", text("TableName"))) {
                true => fine(json!({ "TableDescription": { "TableStatus": "CREATING" } })),
                false => refused("ResourceInUseException"),
            }
        }
        "DynamoDB_20120810.DescribeTable" => {
            // It is active at the second look.
            let name = text("TableName");
            let status = if made.insert(format!("look {name}")) { "CREATING" } else { "ACTIVE" };
            fine(json!({ "Table": { "TableStatus": status } }))
        }
        "AmazonSQS.GetQueueUrl" => {
            let name = text("QueueName");
            match made.contains(&format!("queue {name}")) {
                true => fine(json!({ "QueueUrl": format!("http://q/{account}/{name}") })),
                false => refused("QueueDoesNotExist"),
            }
        }
        "AmazonSQS.CreateQueue" => {
            made.insert(format!("queue {}", text("QueueName")));
            fine(json!({ "QueueUrl": "http://q/" }))
        }
        "AmazonSQS.GetQueueAttributes" => {
            let name = last(text("QueueUrl"));
            fine(json!({ "Attributes": { "QueueArn": arn("sqs", account, &name) } }))
        }
        "AWSStepFunctions.DescribeStateMachine" => {
            let there = made.contains(&format!("machine {}", last(text("stateMachineArn"))));
            if there { fine(json!({})) } else { refused("StateMachineDoesNotExist") }
        }
        "AWSStepFunctions.CreateStateMachine" => {
            let name = text("name");
            made.insert(format!("machine {name}"));
            let arn = arn("states", account, &format!("stateMachine:{name}"));
            fine(json!({ "stateMachineArn": arn }))
        }
        _ => fine(json!({})),
    }
}

fn table(properties: Value) -> Provision {
    resource("Connections", "AWS::DynamoDB::Table", "chat-connections", properties)
}

#[tokio::test]
async fn a_table_is_made_with_its_keys_indexes_stream_and_life() {
    let keys = json!([{ "AttributeName": "id", "KeyType": "HASH" }]);
    let model = model(vec![table(json!({
        "TableName": "chat-connections",
        "KeySchema": keys,
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "ProvisionedThroughput": { "ReadCapacityUnits": "5", "WriteCapacityUnits": 6 },
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-room", "KeySchema": keys, "Projection": { "ProjectionType": "ALL" },
            "ProvisionedThroughput": { "ReadCapacityUnits": "1", "WriteCapacityUnits": "1" },
            "ContributorInsightsSpecification": { "Enabled": true },
        }],
        "StreamSpecification": { "StreamViewType": "NEW_IMAGE" },
        "TimeToLiveSpecification": { "AttributeName": "ttl", "Enabled": "true" },
        "Tags": [{ "Key": "a", "Value": "b" }],
        "DeletionProtectionEnabled": true,
    }))]);
    let cloud = Cloud::start(ACCOUNT).await;
    assert_eq!(cloud.make(&model).await.unwrap(), ["table `chat-connections` (Connections)"]);
    let want = json!({
        "TableName": "chat-connections",
        "KeySchema": keys,
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "ProvisionedThroughput": { "ReadCapacityUnits": 5, "WriteCapacityUnits": 6 },
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-room", "KeySchema": keys, "Projection": { "ProjectionType": "ALL" },
            "ProvisionedThroughput": { "ReadCapacityUnits": 1, "WriteCapacityUnits": 1 },
        }],
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    assert_eq!(cloud.asked("CreateTable"), [want]);
    assert_eq!(cloud.asked("DescribeTable").len(), 2, "until it is active");
    let life = json!({ "TableName": "chat-connections", "TimeToLiveSpecification": { "AttributeName": "ttl", "Enabled": true } });
    assert_eq!(cloud.asked("UpdateTimeToLive"), [life]);
    // What exists already is fine, and left alone.
    assert_eq!(cloud.make(&model).await.unwrap(), [""; 0]);
    assert_eq!(cloud.asked("UpdateTimeToLive").len(), 1);
}

#[tokio::test]
async fn queues_know_their_dead_letter_queue_by_its_arn_at_the_endpoint() {
    let target = arn("sqs", ACCOUNT, "dead");
    let model = model(vec![
        queue(
            "Jobs",
            "jobs",
            json!({
                "VisibilityTimeout": 30, "DelaySeconds": "0", "FifoQueue": false,
                "RedrivePolicy": { "deadLetterTargetArn": target, "maxReceiveCount": 3 },
            }),
        ),
        queue("Dead", "dead", json!({})),
        queue(
            "Ordered",
            "ordered.fifo",
            json!({ "FifoQueue": "true", "ContentBasedDeduplication": true }),
        ),
        resource("Policy", "AWS::SQS::QueuePolicy", "p", json!({})),
    ]);
    let cloud = Cloud::start("123456789012").await;
    assert_eq!(cloud.make(&model).await.unwrap().len(), 3);
    let created = cloud.asked("CreateQueue");
    assert_eq!(
        created[0],
        json!({ "QueueName": "jobs", "Attributes": { "DelaySeconds": "0", "VisibilityTimeout": "30" } })
    );
    assert_eq!(
        created[2]["Attributes"],
        json!({ "ContentBasedDeduplication": "true", "FifoQueue": "true" })
    );
    let set = cloud.asked("SetQueueAttributes");
    assert_eq!(set[0]["QueueUrl"], "http://q/123456789012/jobs");
    let policy: Value =
        serde_json::from_str(set[0]["Attributes"]["RedrivePolicy"].as_str().unwrap()).unwrap();
    let there = arn("sqs", "123456789012", "dead");
    assert_eq!(policy, json!({ "deadLetterTargetArn": there, "maxReceiveCount": 3 }));
    assert_eq!(cloud.make(&model).await.unwrap(), [""; 0]);
    assert_eq!(cloud.asked("CreateQueue").len(), 3);
}

#[tokio::test]
async fn topics_and_their_subscriptions_are_made_but_none_to_functions() {
    let topic = arn("sns", ACCOUNT, "news");
    let inline = json!([{ "Protocol": "sqs", "Endpoint": arn("sqs", ACCOUNT, "jobs") }]);
    let model = model(vec![
        resource(
            "News",
            "AWS::SNS::Topic",
            &topic,
            json!({ "DisplayName": "All & every", "Subscription": inline }),
        ),
        resource(
            "Other",
            "AWS::SNS::Subscription",
            "s",
            json!({
                "TopicArn": topic, "Protocol": "sqs", "Endpoint": arn("sqs", ACCOUNT, "other"),
                "RawMessageDelivery": true, "FilterPolicy": { "kind": ["a"] },
            }),
        ),
        resource(
            "Function",
            "AWS::SNS::Subscription",
            "f",
            json!({
                "TopicArn": topic, "Protocol": "lambda", "Endpoint": "arn:aws:lambda:us-east-1:0:function:f",
            }),
        ),
    ]);
    let cloud = Cloud::start(ACCOUNT).await;
    assert_eq!(cloud.make(&model).await.unwrap(), ["topic `news` (News)"]);
    let created = cloud.forms("CreateTopic");
    assert_eq!(created.len(), 1);
    assert!(created[0].contains("&Name=news&Attributes.entry.1.key=DisplayName&Attributes.entry.1.value=All%20%26%20every"), "{created:?}");
    let subscribed = cloud.forms("Subscribe");
    assert_eq!(subscribed.len(), 2);
    assert!(subscribed[1].contains("value=%7B%22kind%22%3A%5B%22a%22%5D%7D"), "{subscribed:?}");
    assert!(
        subscribed[1].contains("key=RawMessageDelivery&Attributes.entry.2.value=true"),
        "{subscribed:?}"
    );
}

#[tokio::test]
async fn a_state_machine_gets_its_definition_with_substitutions() {
    let machine = arn("states", ACCOUNT, "stateMachine:flow");
    let of =
        |properties| resource("Flow", "AWS::StepFunctions::StateMachine", &machine, properties);
    let cloud = Cloud::start(ACCOUNT).await;
    let first = model(vec![of(json!({
        "DefinitionString": "{\"a\":\"${One}\",\"b\":\"${Two}\",\"c\":\"${Nope}\",\"d\":\"${\"}",
        "DefinitionSubstitutions": { "One": "${Two}", "Two": 2 },
        "RoleArn": "arn:aws:iam::000000000000:role/r",
        "StateMachineType": "EXPRESS",
    }))]);
    assert_eq!(cloud.make(&first).await.unwrap(), ["state machine `flow` (Flow)"]);
    let want = json!({
        "name": "flow",
        "definition": "{\"a\":\"${Two}\",\"b\":\"2\",\"c\":\"${Nope}\",\"d\":\"${\"}",
        "roleArn": "arn:aws:iam::000000000000:role/r",
        "type": "EXPRESS",
    });
    assert_eq!(cloud.asked("CreateStateMachine"), [want]);
    cloud.made.lock().clear();
    let second = model(vec![of(json!({ "Definition": { "StartAt": "A" } }))]);
    cloud.make(&second).await.unwrap();
    assert_eq!(cloud.asked("CreateStateMachine")[1]["definition"], "{\"StartAt\":\"A\"}");
    cloud.made.lock().clear();
    let errors =
        cloud.make(&model(vec![of(json!({ "DefinitionUri": "s3://b/k" }))])).await.unwrap_err();
    assert!(errors[0].contains("`DefinitionString` or `Definition`"), "{errors:?}");
}

#[tokio::test]
async fn an_account_that_the_endpoint_does_not_have_is_an_error_with_its_remedy() {
    let model = model(vec![
        resource("News", "AWS::SNS::Topic", &arn("sns", ACCOUNT, "news"), json!({})),
        resource(
            "Flow",
            "AWS::StepFunctions::StateMachine",
            &arn("states", ACCOUNT, "stateMachine:flow"),
            json!({ "DefinitionString": "{}" }),
        ),
    ]);
    let cloud = Cloud::start("123456789012").await;
    let errors = cloud.make(&model).await.unwrap_err();
    assert_eq!(errors.len(), 2, "all at once");
    for error in errors {
        assert!(error.contains("start with `--account-id 123456789012`"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_called_unless_every_service_has_an_endpoint_that_is_not_aws() {
    let model = model(vec![
        table(json!({})),
        queue("Jobs", "jobs", json!({})),
        queue("Dead", "dead", json!({})),
    ]);
    let server = Server::start(|_| (200, "{}".to_owned())).await;
    let errors = make_all(&model, &server.client(&["dynamodb"])).await.unwrap_err();
    assert_eq!(
        errors,
        [
            "`--provision` of Jobs, Dead needs `[integrations.endpoints] sqs = \"http://…\"`; nothing is made on AWS itself"
        ]
    );
    let aws = client(
        [("dynamodb", server.url.as_str()), ("sqs", "https://SQS.us-east-1.amazonaws.com")]
            .into_iter(),
    );
    let errors = make_all(&model, &aws).await.unwrap_err();
    assert!(errors.len() == 1 && errors[0].contains("is AWS itself"), "{errors:?}");
    assert_eq!(server.asked().len(), 0);
    assert!(!is_aws("https://amazonaws.com.example:1/") && !is_aws("http://127.0.0.1:5000"));
    assert!(
        is_aws("https://dynamodb.eu-west-1.amazonaws.com.") && is_aws("https://x.api.aws:443/a")
    );
}

#[tokio::test]
async fn what_a_service_refuses_is_told_with_its_reason() {
    let server = Server::start(|_| {
        (400, json!({ "__type": "ValidationException", "message": "no keys" }).to_string())
    })
    .await;
    let model = model(vec![table(json!({})), queue("Jobs", "jobs", json!({}))]);
    let errors = make_all(&model, &server.client(&["dynamodb", "sqs"])).await.unwrap_err();
    assert_eq!(
        errors,
        [
            "table `chat-connections` (Connections) cannot be made: ValidationException (400) no keys",
            "queue `jobs` (Jobs) cannot be made: ValidationException (400) no keys",
        ]
    );
}

proptest! {
    #[test]
    fn any_definition_and_substitution_is_written(text in "(\\$\\{|\\}|[a-c]|ü){0,60}", value in "\\PC{0,10}") {
        let properties = json!({ "DefinitionString": text, "DefinitionSubstitutions": { "a": value } });
        let provision = resource("F", "AWS::StepFunctions::StateMachine", "arn", properties);
        let aws = client(std::iter::empty());
        let written = machine::definition(&Site { aws: &aws, provision: &provision }).unwrap();
        prop_assert_eq!(written, text.replace("${a}", &value));
    }
}
