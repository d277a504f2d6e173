//! `remote = "aws"`: a function that stays where it is deployed ([Invoke]).
//!
//! [Invoke]: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lambda_host::{Function, Invocation, InvokeError, RESULT_BYTES_MAX};

use crate::aws::{AwsClient, Outgoing};

/// A function at AWS, or at the endpoint configured for `lambda`.
#[derive(Debug)]
pub(crate) struct RemoteFunction {
    aws: Arc<AwsClient>,
    region: String,
    path: String,
}

impl RemoteFunction {
    pub(crate) fn new(aws: Arc<AwsClient>, region: &str, name: &str) -> Self {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        Self { aws, region: region.to_owned(), path }
    }

    async fn post(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let outgoing = Outgoing {
            service: "lambda",
            region: &self.region,
            method: "POST",
            path: &self.path,
            body: payload,
            ..Outgoing::default()
        };
        let received = self.aws.send(outgoing, RESULT_BYTES_MAX).await;
        let received =
            received.map_err(|error| InvokeError::NotInvocable { reason: error.to_string() })?;
        if received.headers.contains_key("x-amz-function-error") {
            return Err(InvokeError::from_document(received.body));
        }
        if received.status != 200 {
            let reason = format!("AWS answered {}", received.status);
            return Err(InvokeError::NotInvocable { reason });
        }
        Ok(received.body)
    }
}

impl Function for RemoteFunction {
    fn invoke(&self, payload: Bytes, timeout: Duration) -> Invocation<'_> {
        Box::pin(async move {
            match tokio::time::timeout(timeout, self.post(payload)).await {
                Ok(result) => result,
                Err(_) => Err(InvokeError::Timeout),
            }
        })
    }
}
