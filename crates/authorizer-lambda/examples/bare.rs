//! A function that answers the same to every event: what the runtime alone takes to start, next to
//! `bootstrap` in `cargo xtask bench lambda`.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(answer)))
}

async fn answer(_: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, Error> {
    Ok(RawValue::from_string("{}".to_owned())?)
}
