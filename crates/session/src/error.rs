//! The failure table: the only place that turns a failure into a status, a
//! frame or a close code.

use std::fmt::Write as _;

/// Why an operation failed.
///
/// The client sees [`Failure::message`] in AWS's fixed wording and nothing
/// else; [`Failure::code`] goes to logs and to the list of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The authorizer failed, timed out or could not be invoked.
    #[error("the authorizer failed")]
    AuthorizerError,
    /// The authorizer's result is not a principal, a policy and a flat context.
    #[error("the authorizer's result is malformed")]
    AuthorizerMalformed,
    /// An identity source is absent or empty; the authorizer was not asked.
    #[error("an identity source is missing")]
    IdentitySourceMissing,
    /// The integration's function raised an error.
    #[error("the integration's function failed")]
    IntegrationError,
    /// The integration's result cannot be read, or no response matches it.
    #[error("the integration's result is malformed")]
    IntegrationMalformed,
    /// The integration cannot be reached or invoked.
    #[error("the integration could not be called")]
    IntegrationUnreachable,
    /// The integration did not answer in time.
    #[error("the integration timed out")]
    IntegrationTimeout,
    /// No route matches the message and there is no `$default`.
    #[error("no route matches")]
    NoRoute,
    /// The policy denies the connect explicitly.
    #[error("the policy denies")]
    PolicyDeny,
    /// No statement of the policy allows the connect.
    #[error("no policy allows")]
    PolicyNoMatch,
    /// A parameter that `$connect` requires is missing.
    #[error("a required parameter is missing")]
    RequiredParameterMissing,
    /// A mapping template failed.
    #[error("a mapping template failed")]
    TemplateFailed,
    /// A bucket of the throttle is empty.
    #[error("throttled")]
    Throttled,
    /// The token is good, but what it stands for was revoked.
    #[error("revoked")]
    TokenRevoked,
    /// The authorizer raised exactly `Unauthorized`, or a renewal brought no valid token.
    #[error("the authorizer refused the credentials")]
    Unauthorized,
    /// No template matches and the body may not pass as it is.
    #[error("no template matches")]
    UnsupportedMediaType,
}

impl Failure {
    /// Stable identifier for logs, metrics and `/refusals`.
    pub fn code(self) -> &'static str {
        match self {
            Self::AuthorizerError => "authorizer_error",
            Self::AuthorizerMalformed => "authorizer_result_malformed",
            Self::IdentitySourceMissing => "identity_source_missing",
            Self::IntegrationError
            | Self::IntegrationMalformed
            | Self::IntegrationUnreachable
            | Self::IntegrationTimeout
            | Self::TemplateFailed
            | Self::UnsupportedMediaType => "integration_error",
            Self::NoRoute => "route_unknown",
            Self::PolicyDeny => "policy_deny",
            Self::PolicyNoMatch => "policy_no_match",
            Self::RequiredParameterMissing => "parameter_missing",
            Self::Throttled => "throttled",
            Self::TokenRevoked => "token_revoked",
            Self::Unauthorized => "authorizer_unauthorized",
        }
    }

    /// HTTP status while the handshake is pending. AWS's texts and statuses:
    /// [connect route], [Lambda authorizers].
    ///
    /// [connect route]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-keys-connect-disconnect.html
    /// [Lambda authorizers]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
    pub fn status(self) -> u16 {
        match self {
            Self::RequiredParameterMissing => 400,
            Self::IdentitySourceMissing | Self::TokenRevoked | Self::Unauthorized => 401,
            Self::NoRoute | Self::PolicyDeny | Self::PolicyNoMatch => 403,
            Self::UnsupportedMediaType => 415,
            Self::Throttled => 429,
            Self::AuthorizerError
            | Self::AuthorizerMalformed
            | Self::IntegrationMalformed
            | Self::IntegrationUnreachable
            | Self::TemplateFailed => 500,
            Self::IntegrationError => 502,
            Self::IntegrationTimeout => 504,
        }
    }

    /// The text that the client sees.
    pub fn message(self) -> &'static str {
        match self {
            Self::AuthorizerMalformed => "",
            Self::AuthorizerError
            | Self::IntegrationError
            | Self::IntegrationMalformed
            | Self::IntegrationUnreachable
            | Self::TemplateFailed => "Internal server error",
            Self::IdentitySourceMissing | Self::TokenRevoked | Self::Unauthorized => "Unauthorized",
            Self::IntegrationTimeout => "Endpoint request timed out",
            Self::NoRoute => "Forbidden",
            Self::PolicyDeny => {
                "User is not authorized to access this resource with an explicit deny in an identity-based policy"
            }
            Self::PolicyNoMatch => {
                "User is not authorized to access this resource because no identity-based policy allows the execute-api:Invoke action"
            }
            Self::RequiredParameterMissing => "Missing required request parameters",
            Self::Throttled => "Too Many Requests",
            Self::UnsupportedMediaType => "Unsupported Media Type",
        }
    }

    /// The frame, and the body of a refused handshake, in AWS's spacing.
    pub fn body(self, connection_id: &str, request_id: &str) -> String {
        let mut out = String::with_capacity(96 + self.message().len());
        write!(
            out,
            r#"{{"message": "{}", "connectionId":"{connection_id}", "requestId":"{request_id}"}}"#,
            self.message()
        )
        .expect("writing to a string");
        out
    }
}

/// Why the gateway closes a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseCause {
    /// A renewal brought the token of another session.
    Changed,
    /// The node is going away, or the stage is no longer served.
    Drain,
    /// `@connections` DELETE, or the principal was revoked.
    Deleted,
    /// The session's deadline passed.
    Expired,
    /// No message for the idle limit, or the age limit was reached.
    Timeout,
}

impl CloseCause {
    /// Close code and reason ([RFC 6455 §7.4.1]); AWS's for timeouts is unconfirmed.
    ///
    /// [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    pub fn close(self) -> (u16, &'static str) {
        match self {
            Self::Changed => (1008, "session changed"),
            Self::Drain | Self::Timeout => (1001, "Going away"),
            Self::Deleted => (1000, "Connection Closed Normally"),
            Self::Expired => (1008, "session expired"),
        }
    }
}

/// What the DISCONNECT event says of a close frame without status.
pub const NO_STATUS: (u16, &str) = (1005, "Client-side close frame status not set");

/// What the DISCONNECT event says of a transport that vanished (unconfirmed on AWS).
pub const ABNORMAL: (u16, &str) = (1006, "Connection Closed Abnormally");
