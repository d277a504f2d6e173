//! The function itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use authorizer::{Authorizer, Denial, Grant, KeySet, Request};
use serde_json::Value;

use crate::event::{self, Event, EventError};

/// The decision with its keys, which can be replaced while it works.
#[derive(Debug)]
pub struct Handler {
    authorizer: Authorizer,
    keys: ArcSwap<Keys>,
}

/// One generation of keys.
#[derive(Debug)]
pub struct Keys {
    /// Unique in this process, and rising; part of a cache's key, so that no verdict outlives the
    /// keys it was made with.
    pub generation: u64,
    /// The keys.
    pub set: KeySet,
}

impl Keys {
    /// The next generation.
    pub fn new(set: KeySet) -> Self {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        Self { generation: GENERATIONS.fetch_add(1, Ordering::Relaxed), set }
    }
}

/// The function's answer, with what only the log may know.
#[derive(Debug)]
pub struct Answer {
    /// The JSON that the function returns: an Allow, or an explicit Deny.
    pub json: Vec<u8>,
    /// Why it is a Deny, if it is one.
    pub denial: Option<Denial>,
    /// Rules that were broken but only report.
    pub report_only_hits: Vec<Denial>,
}

/// Why the function fails instead of answering.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HandlerError {
    /// The event is not what API Gateway sends.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The client may try again with other credentials.
    #[error("Unauthorized")]
    Unauthorized(Denial),
}

impl HandlerError {
    /// The `errorMessage` of the failed invocation. Exactly `Unauthorized` makes API Gateway
    /// answer 401; anything else, 500.
    pub fn error_message(&self) -> String {
        self.to_string()
    }

    /// The reason, for the log only.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::Event(_) => None,
            Self::Unauthorized(denial) => Some(*denial),
        }
    }
}

impl Handler {
    /// A handler that starts with `keys`.
    pub fn new(authorizer: Authorizer, keys: Keys) -> Self {
        Self { authorizer, keys: ArcSwap::from_pointee(keys) }
    }

    /// The decision without its keys.
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// The present keys, for a decision in steps; all steps of one decision use the same.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Replaces the keys; decisions under way end with the old ones.
    pub fn replace_keys(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
    }

    /// The typed call; `now` in epoch seconds.
    pub fn authorize(&self, request: &Request<'_>, now: u64) -> Result<Grant, Denial> {
        self.authorizer.authorize(request, &self.keys.load().set, now)
    }

    /// The JSON call: takes the event, returns the answer; `now` in epoch seconds.
    pub fn handle_json(&self, event: &[u8], now: u64) -> Result<Vec<u8>, HandlerError> {
        self.answer(event, now).map(|answer| answer.json)
    }

    /// The JSON call, with what belongs into the log.
    pub fn answer(&self, event: &[u8], now: u64) -> Result<Answer, HandlerError> {
        let event = Event::parse(event)?;
        let arn = event.method_arn();
        let (json, denial, report_only_hits) =
            match event.with_request(|request| self.authorize(request, now)) {
                Ok(grant) => (event::allow(&grant, arn), None, grant.report_only_hits),
                Err(denial) if denial.status() == 401 => {
                    return Err(HandlerError::Unauthorized(denial));
                }
                Err(denial) => (event::deny(arn), Some(denial), Vec::new()),
            };
        Ok(Answer { json: bytes(&json), denial, report_only_hits })
    }
}

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
