//! Tables of DynamoDB.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::{Site, is_true};

/// Longest wait for a new table to take requests; local ones do at once.
const ACTIVE_WAIT: Duration = Duration::from_secs(60);
/// Time between two looks at it.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn make(site: &Site<'_>) -> Result<bool, String> {
    let name = site.name();
    let created = site.ask("DynamoDB_20120810.CreateTable", &question(site)).await;
    let is_new = match created {
        Ok(_) => true,
        Err(refused) if refused.is(&["ResourceInUseException"]) => false,
        Err(refused) => return Err(refused.to_string()),
    };
    wait(site, name).await?;
    let life = site.property("TimeToLiveSpecification");
    if is_new && is_true(&life["Enabled"]) {
        let life = json!({ "AttributeName": life["AttributeName"], "Enabled": true });
        let question = json!({ "TableName": name, "TimeToLiveSpecification": life });
        let asked = site.ask("DynamoDB_20120810.UpdateTimeToLive", &question).await;
        asked.map_err(|refused| refused.to_string())?;
    }
    Ok(is_new)
}

/// [CreateTable] of the properties that matter to a table that stays on this machine.
///
/// [CreateTable]: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
pub(super) fn question(site: &Site<'_>) -> Value {
    const SAME: [&str; 6] = [
        "AttributeDefinitions",
        "BillingMode",
        "KeySchema",
        "LocalSecondaryIndexes",
        "OnDemandThroughput",
        "ProvisionedThroughput",
    ];
    const OF_INDEX: [&str; 5] =
        ["IndexName", "KeySchema", "OnDemandThroughput", "Projection", "ProvisionedThroughput"];
    let properties = &site.provision.properties;
    let mut question = picked(properties, &SAME);
    question.insert("TableName".to_owned(), site.name().into());
    if let Some(indexes) = properties["GlobalSecondaryIndexes"].as_array() {
        let indexes = indexes.iter().map(|index| picked(index, &OF_INDEX).into()).collect();
        question.insert("GlobalSecondaryIndexes".to_owned(), Value::Array(indexes));
    }
    if let Some(view) = properties["StreamSpecification"]["StreamViewType"].as_str() {
        let stream = json!({ "StreamEnabled": true, "StreamViewType": view });
        question.insert("StreamSpecification".to_owned(), stream);
    }
    question.into()
}

fn picked(from: &Value, names: &[&str]) -> Map<String, Value> {
    let mut map = Map::new();
    for name in names {
        match &from[*name] {
            Value::Null => {}
            value if name.ends_with("Throughput") => {
                drop(map.insert((*name).to_owned(), units(value)))
            }
            value => drop(map.insert((*name).to_owned(), value.clone())),
        }
    }
    map
}

/// Numbers that the template writes as text.
fn units(value: &Value) -> Value {
    let number = |value: &Value| match value.as_str().and_then(|text| text.parse::<u64>().ok()) {
        Some(number) => number.into(),
        None => value.clone(),
    };
    match value.as_object() {
        Some(members) => {
            members.iter().map(|(name, value)| (name.clone(), number(value))).collect()
        }
        None => value.clone(),
    }
}

async fn wait(site: &Site<'_>, name: &str) -> Result<(), String> {
    let start = Instant::now();
    let question = json!({ "TableName": name });
    loop {
        let answer = site.ask("DynamoDB_20120810.DescribeTable", &question);
        let answer = answer.await.map_err(|refused| refused.to_string())?;
        if answer["Table"]["TableStatus"] == "ACTIVE" {
            return Ok(());
        }
        if ACTIVE_WAIT < start.elapsed() {
            return Err(format!("it is not active after {} s", ACTIVE_WAIT.as_secs()));
        }
        sleep(LOOK).await;
    }
}
