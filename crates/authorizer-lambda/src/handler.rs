//! The function itself.

use std::sync::Arc;
use std::time::Duration;

use authorizer::{Authorizer, Config, ConfigError, DelegateAnswer, Denial, Evidence, Grant};
use authorizer::{Rejected, Request, VerifiedClaims, Warning};
use serde_json::Value;

use crate::delegate::{Delegate, DelegateError, content_type};
use crate::event::{self, Event, EventError};
use crate::keyring::{Keyring, Keys};
use crate::source::Sources;

/// The decision, with the keys or the delegate that it needs.
#[derive(Debug)]
pub struct Handler {
    authorizer: Authorizer,
    keyring: Keyring,
    delegate: Option<Delegate>,
}

/// Why there is no grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The request does not deserve one.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The clock shows a time before this program was made: nothing could be said to be expired.
    #[error("the clock of this machine is wrong")]
    ClockWrong,
    /// The delegate gave no verdict.
    #[error(transparent)]
    Delegate(#[from] DelegateError),
    /// The keys are too old to be believed: their source has been down for longer than
    /// `stale_max`.
    #[error("the keys could not be refreshed for longer than stale_max")]
    KeysStale,
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
    /// There is no verdict; never [`Refusal::Denied`].
    #[error(transparent)]
    Failed(Refusal),
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
            Self::Event(_) | Self::Failed(_) => None,
            Self::Unauthorized(denial) => Some(*denial),
        }
    }
}

/// No clock that goes right shows less: the start of 2026, in epoch seconds.
const CLOCK_MIN: u64 = 1_767_225_600;
/// How long an event waits for keys that are to be refreshed, while there are others: a function
/// that is killed for its slowness would lose those too.
const REFRESH_PATIENCE: Duration = Duration::from_secs(2);

impl Handler {
    /// Reads the keys that `config` names, all errors at once. `now` in epoch seconds, here and
    /// everywhere below.
    pub async fn load(
        config: Config,
        sources: Arc<dyn Sources>,
        now: u64,
    ) -> Result<(Self, Vec<Warning>), Vec<ConfigError>> {
        const PATH: &str = "authorizer.delegate.url";
        let mut errors = Vec::new();
        let delegate = config.delegate().and_then(|settings| match sources.client() {
            Ok(client) => {
                let delegate = Delegate::new(settings, client);
                if delegate.is_none() {
                    errors.push(ConfigError::new(PATH, "is not an address that can be asked"));
                }
                delegate
            }
            Err(error) => {
                errors.push(ConfigError::new(PATH, format!("cannot be asked: {error}")));
                None
            }
        });
        match Keyring::load(&config, sources, now).await {
            Ok((keyring, warnings)) if errors.is_empty() => {
                Ok((Self { authorizer: Authorizer::new(config), keyring, delegate }, warnings))
            }
            Ok(_) => Err(errors),
            Err(more) => {
                errors.extend(more);
                Err(errors)
            }
        }
    }

    /// The decision without its keys.
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// The present keys.
    pub fn keys(&self) -> Arc<Keys> {
        self.keyring.keys()
    }

    /// Until when a verdict of now may be kept: no longer than the keys are believed.
    pub fn keep_until(&self) -> u64 {
        self.keyring.stale_at()
    }

    /// The typed call.
    pub async fn authorize(&self, request: &Request<'_>, now: u64) -> Result<Grant, Refusal> {
        let evidence = self.authorizer.read(request)?;
        self.decide(evidence, now).await
    }

    /// Steps two and three, for a caller who has taken the first to look into its cache.
    pub async fn decide(&self, evidence: Evidence<'_>, now: u64) -> Result<Grant, Refusal> {
        if now < CLOCK_MIN {
            return Err(Refusal::ClockWrong);
        }
        let (claims, keys) = match &self.delegate {
            Some(delegate) => (self.ask(delegate, &evidence, now).await?, self.keys()),
            None => self.verify(&evidence, now).await?,
        };
        if self.keyring.is_stale(claims.issuer(), now) {
            return Err(Refusal::KeysStale);
        }
        Ok(self.authorizer.grant(evidence, &claims, &keys.set)?)
    }

    /// The grant of a token that came over an open connection, to renew its session.
    pub async fn renew(&self, token: &str, now: u64) -> Result<Grant, Refusal> {
        let evidence = self.authorizer.renewal(token)?;
        self.decide(evidence, now).await
    }

    /// The JSON call: takes the event, returns the answer.
    pub async fn handle_json(&self, event: &[u8], now: u64) -> Result<Vec<u8>, HandlerError> {
        self.answer(event, now).await.map(|answer| answer.json)
    }

    /// The JSON call, with what belongs into the log.
    pub async fn answer(&self, event: &[u8], now: u64) -> Result<Answer, HandlerError> {
        let event = Event::parse(event)?;
        let arn = event.method_arn();
        let (headers, query) = (event.headers(), event.query());
        let request = Request { headers: &headers, query: &query, method_arn: arn };
        let (json, denial, report_only_hits) = match self.authorize(&request, now).await {
            Ok(grant) => (event::allow(&grant, arn), None, grant.report_only_hits),
            Err(Refusal::Denied(denial)) if denial.status() == 401 => {
                return Err(HandlerError::Unauthorized(denial));
            }
            Err(Refusal::Denied(denial)) => (event::deny(arn), Some(denial), Vec::new()),
            Err(refusal @ (Refusal::ClockWrong | Refusal::Delegate(_) | Refusal::KeysStale)) => {
                return Err(HandlerError::Failed(refusal));
            }
        };
        Ok(Answer { json: bytes(&json), denial, report_only_hits })
    }

    /// Reads keys again that are not fresh any more, and waits for it, two seconds at most; costs
    /// nothing while all are. For a process that is frozen between its invocations.
    pub async fn refresh_due(&self, now: u64) {
        let work = self.keyring.refresh_due(self.authorizer.config(), now);
        if tokio::time::timeout(REFRESH_PATIENCE, work).await.is_err() {
            tracing::warn!("keys were not refreshed in time; the old ones serve on");
        }
    }

    /// Keeps the keys fresh for as long as it is polled; `clock` gives epoch seconds.
    pub async fn keep_fresh(&self, clock: impl Fn() -> u64) {
        loop {
            let due_at = self.keyring.due_at();
            if due_at == u64::MAX {
                // Nothing here ever changes.
                return;
            }
            // Short enough for a clock that is set, long enough not to matter.
            let pause = due_at.saturating_sub(clock()).clamp(1, 60);
            tokio::time::sleep(Duration::from_secs(pause)).await;
            self.keyring.refresh_due(self.authorizer.config(), clock()).await;
        }
    }

    async fn verify(
        &self,
        evidence: &Evidence<'_>,
        now: u64,
    ) -> Result<(VerifiedClaims, Arc<Keys>), Refusal> {
        let keys = self.keys();
        let denial = match self.authorizer.verify(evidence, &keys.set, now) {
            Ok(claims) => return Ok((claims, keys)),
            Err(denial) => denial,
        };
        if !matches!(denial, Denial::TokenAlgorithm | Denial::TokenKey) {
            return Err(denial.into());
        }
        let Some(issuer) = self.authorizer.unknown_key(evidence, &keys.set) else {
            return Err(denial.into());
        };
        let config = self.authorizer.config();
        match self.keyring.find_newer(config, issuer, keys.generation, now).await {
            Some(keys) => Ok((self.authorizer.verify(evidence, &keys.set, now)?, keys)),
            None => Err(denial.into()),
        }
    }

    async fn ask(
        &self,
        delegate: &Delegate,
        evidence: &Evidence<'_>,
        now: u64,
    ) -> Result<VerifiedClaims, Refusal> {
        let judge = |answer: &crate::https::Answer| {
            let answer = DelegateAnswer {
                status: answer.status.as_u16(),
                content_type: content_type(answer),
                body: &answer.body,
            };
            match self.authorizer.accept_delegate(evidence, answer, now) {
                Ok(claims) => Ok(Ok(claims)),
                Err(Rejected::Denied(denial)) => Ok(Err(denial)),
                Err(Rejected::Failed(reason)) => Err(reason),
            }
        };
        Ok(delegate.ask(evidence.credential(), judge).await??)
    }
}

fn bytes(json: &Value) -> Vec<u8> {
    json.to_string().into_bytes()
}

#[cfg(test)]
mod tests;
