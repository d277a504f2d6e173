//! Why a signature is refused, and the texts that `execute-api` answers.

use jiff::Timestamp;
use thiserror::Error;

/// The reason a request does not count as signed. Every one is answered with 403.
///
/// [`Refusal::message`] and the `Display` text may be shown to the client: they hold no
/// secret, and values of credential headers are masked.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Refusal {
    /// The key was a temporary one and has ended.
    #[error("the key has expired")]
    ExpiredToken,
    /// The signature's parts cannot be read.
    #[error("incomplete signature: {0}")]
    IncompleteSignature(#[from] Incomplete),
    /// The signature is readable and wrong.
    #[error("invalid signature: {0}")]
    InvalidSignature(Invalid),
    /// The request is not signed at all.
    #[error("missing authentication token")]
    MissingAuthenticationToken,
    /// No such key, or not with this session token.
    #[error("unknown key or session token")]
    UnrecognizedClient,
}

impl Refusal {
    /// Value of the `x-amzn-ErrorType` header.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::ExpiredToken => "ExpiredTokenException",
            Self::IncompleteSignature(_) => "IncompleteSignatureException",
            Self::InvalidSignature(_) => "InvalidSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
        }
    }

    /// Value of the body's `message` member.
    pub fn message(&self) -> String {
        match self {
            Self::ExpiredToken => "The security token included in the request is expired".into(),
            Self::IncompleteSignature(incomplete) => incomplete.message().to_owned(),
            Self::InvalidSignature(invalid) => invalid.message(),
            Self::MissingAuthenticationToken => "Missing Authentication Token".into(),
            Self::UnrecognizedClient => {
                "The security token included in the request is invalid.".into()
            }
        }
    }
}

/// What keeps a signature from being read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Incomplete {
    /// An algorithm other than `AWS4-HMAC-SHA256`.
    #[error("unsupported algorithm")]
    Algorithm,
    /// The credential is not `id/day/region/service/aws4_request`.
    #[error("malformed credential")]
    Credential,
    /// No usable `X-Amz-Date` or `Date`.
    #[error("no usable date")]
    Date,
    /// A part that must be there once is there twice, or in header and query at once.
    #[error("ambiguous signature")]
    Duplicate,
    /// `X-Amz-Expires` is not a number of seconds from 1 to 604800.
    #[error("X-Amz-Expires out of range")]
    Expires,
    /// A part is missing, or the header is not a list of `key=value` pairs.
    #[error("missing or malformed part")]
    Part,
    /// The signature is not 64 hexadecimal digits.
    #[error("malformed signature")]
    Signature,
    /// The signed headers are not lower case, sorted and distinct.
    #[error("malformed list of signed headers")]
    SignedHeaders,
}

impl Incomplete {
    fn message(self) -> &'static str {
        match self {
            Self::Algorithm => "Unsupported AWS 'algorithm': expected 'AWS4-HMAC-SHA256'.",
            Self::Credential => {
                "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/term."
            }
            Self::Date => {
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
            }
            Self::Duplicate => "Only one signature may be given, each of its parts once.",
            Self::Expires => "X-Amz-Expires must be a number of seconds from 1 to 604800.",
            Self::Part => {
                "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."
            }
            Self::Signature => "Signature must be 64 hexadecimal digits.",
            Self::SignedHeaders => "SignedHeaders must be lower case, sorted and distinct.",
        }
    }
}

/// What is wrong with a signature that could be read. Times are seconds since 1970.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Invalid {
    /// The credential's day is not the day of the date.
    #[error("credential is scoped to another day")]
    Day,
    /// Signed too long ago.
    #[error("signature expired")]
    Expired {
        /// When it was signed.
        signed: i64,
        /// When it arrived.
        now: i64,
        /// How long it was good for.
        life_seconds: i64,
    },
    /// `Host`, the date or an `x-amz-*` header is not covered.
    #[error("header {name} is not signed")]
    HeaderNotSigned {
        /// The header, in lower case.
        name: String,
    },
    /// Another request, secret or body was signed.
    #[error("signature does not match")]
    Mismatch {
        /// What should have been hashed, credentials masked.
        canonical_request: String,
        /// What should have been signed.
        string_to_sign: String,
    },
    /// Signed in the future.
    #[error("signature not yet current")]
    NotYetCurrent {
        /// When it was signed.
        signed: i64,
        /// When it arrived.
        now: i64,
    },
    /// For another region.
    #[error("credential is scoped to another region")]
    Region,
    /// For another service.
    #[error("credential is scoped to another service")]
    Service {
        /// The service asked for.
        expected: String,
    },
    /// The credential does not end in `aws4_request`.
    #[error("credential has no valid terminator")]
    Terminator,
}

impl Invalid {
    fn message(&self) -> String {
        match self {
            Self::Day => "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.".into(),
            Self::Expired { signed, now, life_seconds } => {
                let earliest = now.saturating_sub(*life_seconds);
                let (signed, now, earliest) = (basic(*signed), basic(*now), basic(earliest));
                match life_seconds / 60 {
                    5 => format!("Signature expired: {signed} is now earlier than {earliest} ({now} - 5 min.)"),
                    _ => format!("Signature expired: {signed} is now earlier than {earliest}"),
                }
            }
            Self::HeaderNotSigned { name } if name == "host" => {
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into()
            }
            Self::HeaderNotSigned { name } => {
                format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Self::Mismatch { canonical_request, string_to_sign } => format!(
                "{MISMATCH}\n\nThe Canonical String for this request should have been\n'{canonical_request}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
            ),
            Self::NotYetCurrent { signed, now } => {
                let latest = now.saturating_add(super::SKEW_SECONDS);
                let (signed, now, latest) = (basic(*signed), basic(*now), basic(latest));
                format!("Signature not yet current: {signed} is still later than {latest} ({now} + 5 min.)")
            }
            Self::Region => "Credential should be scoped to a valid region. ".into(),
            Self::Service { expected } => {
                format!("Credential should be scoped to correct service: '{expected}'. ")
            }
            Self::Terminator => {
                "Credential should be scoped with a valid terminator: 'aws4_request'. ".into()
            }
        }
    }
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The time as `YYYYMMDDThhmmssZ`.
fn basic(epoch: i64) -> String {
    Timestamp::from_second(epoch)
        .map_or_else(|_| epoch.to_string(), |time| time.strftime("%Y%m%dT%H%M%SZ").to_string())
}
