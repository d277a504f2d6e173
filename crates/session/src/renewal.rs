//! Session renewal: a message with a fresh token moves the end of the session.
//!
//! Such a message never reaches a route. The session bounds how often it is
//! tried; the gateway verifies the token and reports what came of it.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::connection::Id;
use crate::error::{CloseCause, Failure};

/// Shortest time between two attempts of one connection. A session lasts
/// minutes at least, and an attempt may cost a request to another service.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// A renewal that the gateway must verify, and report back.
pub struct Renewal {
    /// Its request id.
    pub request_id: Id,
    /// The fresh token; `None` if the message has no single string `token`.
    pub token: Option<String>,
}

impl fmt::Debug for Renewal {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// What came of a renewal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewed {
    /// The session ends at another time now.
    Until {
        /// When.
        expires_at: Instant,
        /// The same in seconds since 1970, as the client is told.
        epoch_seconds: u64,
    },
    /// The token could not be used; the session goes on as it was.
    Refused(Failure),
    /// The token stands for something else, or for nothing any more.
    Ended(CloseCause),
}

impl Renewal {
    /// The renewal that a message asks for.
    pub(crate) fn parse(message: &str, request_id: Id) -> Self {
        #[derive(Deserialize)]
        struct Body<'m> {
            #[serde(borrow)]
            token: Cow<'m, str>,
        }
        // A list would pass for the members in order.
        let is_object = message.trim_ascii_start().starts_with('{');
        let body = is_object.then(|| serde_json::from_str::<Body<'_>>(message).ok()).flatten();
        Self { request_id, token: body.map(|body| body.token.into_owned()) }
    }
}

/// What the client is told of a renewal, as JSON.
pub(crate) fn notice(epoch_seconds: u64) -> String {
    #[derive(Serialize)]
    struct Notice {
        session: &'static str,
        #[serde(rename = "expiresAt")]
        expires_at: u64,
    }
    let notice = Notice { session: "renewed", expires_at: epoch_seconds };
    serde_json::to_string(&notice).expect("text and a number serialise")
}
