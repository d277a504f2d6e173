//! Answers `{"action": "shout", "text": "…"}` in capitals.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(answer)).await
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    // What a function writes is its log; nobody writes there that it failed, but itself.
    let text = shout(&event.payload).inspect_err(|error| eprintln!("ERROR {error}"))?;
    Ok(json!({ "statusCode": 200, "body": text }))
}

fn shout(event: &Value) -> Result<String, Error> {
    let body = event["body"].as_str().ok_or("a message has a body")?;
    let message: Value = serde_json::from_str(body)?;
    let text = message["text"].as_str().ok_or("text is missing")?;
    Ok(text.to_uppercase())
}
