//! Functions behind one trait, wherever they run. Knows no API Gateway.
//!
//! A function is a process of this machine that speaks the Runtime API ([`LocalFunction`]), or a
//! URL that speaks the Invoke API ([`InvokeUrl`]): `cargo lambda watch`, `sam local start-lambda`,
//! the runtime interface emulator.
//!
//! Functions run as the user that runs the host. A process group, an environment of its own and a
//! Runtime API that answers its own instance only keep functions apart as long as they mean no
//! harm; the operating system lets one process of a user look into another.

mod code;
mod instance;
mod invoke_url;
mod local;
mod output;
mod pool;
mod process;
mod runtime;
mod runtime_api;
mod shim;
mod spec;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use code::{CodeError, EntryFault, fingerprint};
pub use invoke_url::{Client, InvokeUrl, UrlError};
pub use local::{Instances, LocalFunction, PAYLOAD_BYTES_MAX};
pub use spec::{Code, Redirect, SharedSurroundings, Spec, Surroundings};

/// Something that can be invoked with an event.
pub trait Function: Send + Sync + fmt::Debug {
    /// Hands over `payload` and waits for the result, at most `timeout`.
    ///
    /// # Cancel safety
    /// Dropping the future gives the invocation up; the function may still run on.
    fn invoke(&self, payload: Bytes, timeout: Duration) -> Invocation<'_>;
}

/// A pending invocation.
pub type Invocation<'a> = Pin<Box<dyn Future<Output = Result<Bytes, InvokeError>> + Send + 'a>>;

/// Why an invocation gave no result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvokeError {
    /// The function raised an error.
    #[error("the function failed")]
    Function {
        /// `errorMessage`, at most 1 KiB of it.
        message: String,
        /// The error as Lambda answers it: `{"errorMessage":…,"errorType":…,…}`.
        document: Bytes,
    },
    /// The function could not be invoked at all.
    #[error("the function could not be invoked: {reason}")]
    NotInvocable {
        /// What stands in the way, without payload data.
        reason: String,
    },
    /// There was no result in time.
    #[error("the function did not answer in time")]
    Timeout,
    /// The result is larger than [`RESULT_BYTES_MAX`].
    #[error("the function's result is too large")]
    TooLarge,
}

impl InvokeError {
    /// The error that a function raised, from what it (or its runtime) said about it.
    pub fn from_document(document: Bytes) -> Self {
        Self::Function { message: error_message(&document), document }
    }

    /// An error that Lambda itself reports in the place of the function, such as
    /// `Runtime.ExitError`.
    pub fn raised(kind: &str, message: &str) -> Self {
        let document = serde_json::json!({ "errorType": kind, "errorMessage": message });
        Self::from_document(document.to_string().into())
    }
}

/// Longest error message that is kept.
const MESSAGE_BYTES_MAX: usize = 1024;

fn error_message(document: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(document).ok();
    let message = value.as_ref().and_then(|value| value.get("errorMessage")?.as_str());
    let mut message = message.unwrap_or_default().to_owned();
    if MESSAGE_BYTES_MAX < message.len() {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    }
    message
}

/// Largest result of a synchronous invocation ([quotas]): 6 MB.
///
/// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
pub const RESULT_BYTES_MAX: usize = 6 * 1024 * 1024;
