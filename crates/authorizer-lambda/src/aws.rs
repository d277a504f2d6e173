//! Parameters and secrets of AWS, asked for by signed requests.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::Uri;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::https::{Client, FetchError, send};
use crate::source::SourceError;

mod environment;
mod failure;

pub use environment::{AwsError, Wrong};

use failure::Failure;

/// Longest answer that is read: a secret has at most 64 KiB, in JSON or base64 somewhat more.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long one try may take.
const TRY_TIME: Duration = Duration::from_secs(3);
/// How long a call may take with its second try: half of what Lambda leaves a function to start.
const CALL_TIME: Duration = Duration::from_secs(5);
/// Wait before the second try, the last one: throttled calls are counted by the second.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// AWS as one function sees it: its region, the credentials of its role, and where services listen.
pub struct Aws {
    client: Client,
    credentials: Credentials,
    region: String,
    secrets_manager: Uri,
    ssm: Uri,
    try_time: Duration,
    call_time: Duration,
}

impl Aws {
    /// Reads what the environment of a Lambda function holds; `look` finds a variable.
    ///
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`; `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN`; `AWS_ENDPOINT_URL_SSM` and `AWS_ENDPOINT_URL_SECRETS_MANAGER`, else
    /// `AWS_ENDPOINT_URL`, else AWS's own endpoints ([reference]). A variable without text counts as
    /// not set. Nothing is sent yet.
    ///
    /// [reference]: https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
    ///
    /// # Errors
    ///
    /// [`AwsError`] with everything that is missing or malformed.
    pub fn from_environment(
        look: &dyn Fn(&str) -> Option<String>,
        client: Client,
    ) -> Result<Self, AwsError> {
        let read = environment::read(look)?;
        Ok(Self {
            client,
            credentials: read.credentials,
            region: read.region,
            secrets_manager: read.secrets_manager,
            ssm: read.ssm,
            try_time: TRY_TIME,
            call_time: CALL_TIME,
        })
    }

    /// The value of an SSM parameter, decrypted ([GetParameter]); `name` is a name, with or without
    /// version or label, or an ARN. Answers within 5 seconds, after at most two tries.
    ///
    /// [GetParameter]: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    ///
    /// # Errors
    ///
    /// [`SourceError::Absent`] if there is no such parameter, else [`SourceError::Failed`].
    pub async fn parameter(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            parameter: Parameter,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parameter {
            value: String,
        }
        let question = json!({ "Name": name, "WithDecryption": true });
        let value = self.ask(&GET_PARAMETER, &self.ssm, question).await.and_then(|answer| {
            let answer: Answer = parse(&answer)?;
            Ok(answer.parameter.value.into_bytes())
        });
        value.map_err(|failure| failure.told(&GET_PARAMETER, &self.region, name))
    }

    /// The current value of a secret, text or bytes ([GetSecretValue]); `id` is a name or an ARN.
    /// Answers within 5 seconds, after at most two tries.
    ///
    /// [GetSecretValue]: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    ///
    /// # Errors
    ///
    /// [`SourceError::Absent`] if there is no such secret, or no value in it, else
    /// [`SourceError::Failed`].
    pub async fn secret(&self, id: &str) -> Result<Vec<u8>, SourceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            secret_string: Option<String>,
            secret_binary: Option<String>,
        }
        let question = json!({ "SecretId": id });
        let value =
            self.ask(&GET_SECRET_VALUE, &self.secrets_manager, question).await.and_then(|answer| {
                let answer: Answer = parse(&answer)?;
                match (answer.secret_string, answer.secret_binary) {
                    (Some(text), None) => Ok(text.into_bytes()),
                    (None, Some(encoded)) => {
                        STANDARD.decode(encoded).map_err(|_| Failure::NotUnderstood)
                    }
                    _ => Err(Failure::NotUnderstood),
                }
            });
        value.map_err(|failure| failure.told(&GET_SECRET_VALUE, &self.region, id))
    }

    /// The body of a 200.
    async fn ask(
        &self,
        operation: &Operation,
        endpoint: &Uri,
        question: serde_json::Value,
    ) -> Result<Bytes, Failure> {
        let question = Bytes::from(question.to_string());
        let tries = async {
            match self.try_once(operation, endpoint, question.clone()).await {
                Err(failure) if failure.may_pass() => {
                    sleep(RETRY_WAIT).await;
                    self.try_once(operation, endpoint, question).await
                }
                result => result,
            }
        };
        timeout(self.call_time, tries).await.unwrap_or(Err(Failure::Fetch(FetchError::Timeout)))
    }

    async fn try_once(
        &self,
        operation: &Operation,
        endpoint: &Uri,
        question: Bytes,
    ) -> Result<Bytes, Failure> {
        let request = self.signed(operation, endpoint, question).ok_or(Failure::Unsigned)?;
        let answer = send(&self.client, request, ANSWER_BYTES_MAX, self.try_time).await;
        let answer = answer.map_err(Failure::Fetch)?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(Failure::refused(status, &answer.body)),
        }
    }

    /// Signed by [Signature Version 4] at this moment.
    ///
    /// [Signature Version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
    fn signed(
        &self,
        operation: &Operation,
        endpoint: &Uri,
        question: Bytes,
    ) -> Option<Request<Full<Bytes>>> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(operation.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?;
        let headers =
            [(CONTENT_TYPE.as_str(), "application/x-amz-json-1.1"), (TARGET, operation.target)];
        let signable = SignableRequest::new(
            "POST",
            endpoint.to_string(),
            headers.into_iter(),
            SignableBody::Bytes(&question),
        );
        let (instructions, _) = sign(signable.ok()?, &params.into()).ok()?.into_parts();
        let [kind, target] = headers;
        let request = Request::post(endpoint).header(kind.0, kind.1).header(target.0, target.1);
        let mut request = request.body(Full::new(question.clone())).ok()?;
        instructions.apply_to_request_http1x(&mut request);
        Some(request)
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .field("secrets_manager", &self.secrets_manager)
            .field("ssm", &self.ssm)
            .finish_non_exhaustive()
    }
}

/// Names the operation in AWS's JSON protocol.
const TARGET: &str = "x-amz-target";

/// One operation of a service.
struct Operation {
    /// The permission it needs, and how it is called in errors.
    action: &'static str,
    /// Name of the service in signatures.
    service: &'static str,
    target: &'static str,
    /// The error that says that there is no such thing.
    absent: &'static str,
    /// What its ARNs say before the name.
    resource: &'static str,
}

const GET_PARAMETER: Operation = Operation {
    action: "ssm:GetParameter",
    service: "ssm",
    target: "AmazonSSM.GetParameter",
    absent: "ParameterNotFound",
    resource: "parameter/",
};

const GET_SECRET_VALUE: Operation = Operation {
    action: "secretsmanager:GetSecretValue",
    service: "secretsmanager",
    target: "secretsmanager.GetSecretValue",
    absent: "ResourceNotFoundException",
    resource: "secret:",
};

/// Errors of the parser may quote the answer, which is secret.
fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|_| Failure::NotUnderstood)
}

#[cfg(test)]
mod tests;
