//! Errors of the endpoint and their form in the JSON 1.1 protocol.

use serde_json::json;

use crate::sigv4::Refusal;

/// Why a request has no answer. Texts hold names that the caller sent, never a value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Error {
    /// The role does not allow it.
    AccessDenied { user: String, action: &'static str, resource: String, explicit: bool },
    /// A filter that is not understood.
    InvalidFilterKey,
    /// `NextToken` is none of ours.
    InvalidNextToken,
    /// No such parameter.
    ParameterNotFound,
    /// A version or label that the parameter does not have.
    ParameterVersionNotFound { name: String, selector: String },
    /// The body is not the JSON that the operation takes.
    Serialization,
    /// The signature.
    Signature(Refusal),
    /// No such operation here.
    UnknownOperation,
    /// A value outside of its bounds.
    Validation(String),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Signature(refusal)
    }
}

impl Error {
    /// A value that breaks a constraint, in the service's words.
    pub(super) fn constraint(value: &str, field: &str, constraint: &str) -> Self {
        Self::Validation(format!(
            "1 validation error detected: Value {value} at '{field}' failed to satisfy constraint: {constraint}"
        ))
    }

    /// The name by which SDKs know the error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::AccessDenied { .. } => "AccessDeniedException",
            Self::InvalidFilterKey => "InvalidFilterKey",
            Self::InvalidNextToken => "InvalidNextToken",
            Self::ParameterNotFound => "ParameterNotFound",
            Self::ParameterVersionNotFound { .. } => "ParameterVersionNotFound",
            Self::Serialization => "SerializationException",
            Self::Signature(refusal) => refusal.error_type(),
            Self::UnknownOperation => "UnknownOperationException",
            Self::Validation(_) => "ValidationException",
        }
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> String {
        let kind = self.kind();
        match self {
            Self::AccessDenied { user, action, resource, explicit } => {
                let because = if *explicit {
                    "with an explicit deny in an identity-based policy".to_owned()
                } else {
                    format!("because no identity-based policy allows the {action} action")
                };
                let text = format!(
                    "User: {user} is not authorized to perform: {action} on resource: {resource} {because}"
                );
                json!({ "__type": kind, "Message": text }).to_string()
            }
            Self::InvalidFilterKey => {
                let text = "The specified filter is not supported here.";
                json!({ "__type": kind, "message": text }).to_string()
            }
            Self::InvalidNextToken => {
                let text = "The specified token is not valid.";
                json!({ "__type": kind, "message": text }).to_string()
            }
            Self::ParameterVersionNotFound { name, selector } => {
                let text = format!(
                    "Systems Manager could not find version {selector} of {name}. Verify the version and try again."
                );
                json!({ "__type": kind, "message": text }).to_string()
            }
            Self::Signature(refusal) => {
                json!({ "__type": kind, "message": refusal.message() }).to_string()
            }
            Self::Validation(text) => json!({ "__type": kind, "message": text }).to_string(),
            Self::ParameterNotFound | Self::Serialization | Self::UnknownOperation => {
                json!({ "__type": kind }).to_string()
            }
        }
    }
}
