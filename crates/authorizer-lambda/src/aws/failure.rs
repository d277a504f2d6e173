//! Why AWS gave no value, in words for the operator.

use http::StatusCode;
use serde_json::Value;

use super::Operation;
use crate::https::FetchError;
use crate::source::SourceError;

/// Why there is no value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// No answer.
    Fetch(FetchError),
    /// A 200 that is not what the operation answers.
    NotUnderstood,
    /// The service's error.
    Refused {
        status: StatusCode,
        /// AWS's name of the error; empty if the answer has none.
        code: String,
        /// Whether the key that encrypts the value was refused, not the value itself.
        on_key: bool,
    },
    /// The request does not let itself be signed.
    Unsigned,
}

/// Longest name of an error.
const CODE_BYTES_MAX: usize = 64;

/// Parts of the messages with which services report that the key refused them.
const KEY_MESSAGES: [&str; 3] = ["kms:Decrypt", "Access to KMS", "ciphertext"];

impl Failure {
    /// Reads the error of an [answer] in AWS's JSON protocol. Nothing is kept of its message.
    ///
    /// [answer]: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
    pub(super) fn refused(status: StatusCode, body: &[u8]) -> Self {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |member: &str| answer.get(member).and_then(Value::as_str).unwrap_or_default();
        let code = text("__type").rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default();
        let is_code = code.len() <= CODE_BYTES_MAX
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
        let code = if is_code { code.to_owned() } else { String::new() };
        // Services do not agree on how it is written.
        let messages = [text("message"), text("Message")];
        let on_key = KEY_MESSAGES.iter().any(|part| messages.iter().any(|m| m.contains(part)));
        Self::Refused { status, code, on_key }
    }

    /// Whether another try may have another end.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(error) => match error {
                FetchError::AnswerBroken | FetchError::Timeout | FetchError::Unreachable => true,
                FetchError::AddressInsecure
                | FetchError::AddressMalformed
                | FetchError::AnswerTooLong { .. }
                | FetchError::CertificateExpired
                | FetchError::CertificateForeign
                | FetchError::CertificateUntrusted
                | FetchError::Redirect(_)
                | FetchError::Status(_)
                | FetchError::Tls => false,
            },
            Self::Refused { status, code, .. } => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || code.starts_with("Throttl")
                    || code == "RequestLimitExceeded"
                    || code == "TooManyRequestsException"
            }
            Self::NotUnderstood | Self::Unsigned => false,
        }
    }

    /// What the operator is told; `name` is that of the parameter or secret.
    pub(super) fn told(self, operation: &Operation, region: &str, name: &str) -> SourceError {
        let action = operation.action;
        let (status, code, on_key) = match self {
            Self::Fetch(error) => return SourceError::Failed(format!("{action}: {error}")),
            Self::NotUnderstood => {
                return SourceError::Failed(format!("{action}: the answer holds no value"));
            }
            Self::Unsigned => {
                return SourceError::Failed(format!("{action}: the request cannot be signed"));
            }
            Self::Refused { status, code, on_key } => (status.as_u16(), code, on_key),
        };
        if code == operation.absent {
            return SourceError::Absent;
        }
        if code.is_empty() {
            return SourceError::Failed(format!("{action} answered {status}"));
        }
        let text = format!("{action} answered {status} {code}");
        SourceError::Failed(match code.as_str() {
            _ if on_key => format!("{text}; the role needs kms:Decrypt on the key of this value"),
            "AccessDenied" | "AccessDeniedException" => {
                let arn = arn(operation, region, name);
                format!("{text}; the role needs {action} on {arn}")
            }
            _ => text,
        })
    }
}

/// The [ARN] of a parameter or secret, as a policy names it.
///
/// [ARN]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
fn arn(operation: &Operation, region: &str, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    let partition = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let service = operation.service;
    // A parameter's name may start with a slash, which its ARN has once, and end with a version.
    // That of a secret goes on with six characters that AWS chose.
    let (name, end) = match service {
        "ssm" => {
            let name = name.strip_prefix('/').unwrap_or(name);
            (name.split(':').next().unwrap_or_default(), "")
        }
        _ => (name, "-*"),
    };
    format!("arn:{partition}:{service}:{region}:*:{}{name}{end}", operation.resource)
}
