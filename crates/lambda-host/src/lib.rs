//! Functions behind one trait, wherever they run. Knows no API Gateway.
//!
//! For now a function is a URL that speaks Lambda's Invoke API
//! ([`InvokeUrl`]): `cargo lambda watch`, `sam local start-lambda`, the runtime
//! interface emulator.

mod invoke_url;
mod spec;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use invoke_url::{Client, InvokeUrl, UrlError};
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

/// Largest result of a synchronous invocation ([quotas]): 6 MB.
///
/// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
pub const RESULT_BYTES_MAX: usize = 6 * 1024 * 1024;
