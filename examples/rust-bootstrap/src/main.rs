//! Answers `{"action": "shout", "text": "…"}` in capitals.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(answer)).await
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let body = event.payload["body"].as_str().ok_or("a message has a body")?;
    let message: Value = serde_json::from_str(body)?;
    let text = message["text"].as_str().ok_or("text is missing")?;
    Ok(json!({ "statusCode": 200, "body": text.to_uppercase() }))
}
