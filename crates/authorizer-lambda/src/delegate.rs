//! Asking the back end that knows the sessions.

use std::time::Duration;

use authorizer::config::Delegate as Settings;
use authorizer::{Credential, DELEGATE_ANSWER_BYTES_MAX};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderValue};
use http::{Request, Uri};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::https::{self, Answer, Client, FetchError};

/// Failures in a row after which the back end is left alone.
const FAILURES_MAX: u32 = 5;
/// For how long, the first time; it doubles with every further failure, up to the second value.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A back end that is asked about credentials.
pub(crate) struct Delegate {
    client: Client,
    uri: Uri,
    timeout: Duration,
    breaker: Breaker,
}

/// Why there is no answer to judge.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DelegateError {
    /// The answer is no verdict; holds why, without its content.
    #[error("{0}")]
    Answer(&'static str),
    /// No answer came.
    #[error("the delegate: {0}")]
    Fetch(#[from] FetchError),
    /// It failed too often of late and is not asked.
    #[error("the delegate failed repeatedly and is left alone for a while")]
    Resting,
}

impl Delegate {
    /// `None` if the URL is not one, which the configuration's check has refused before.
    pub(crate) fn new(settings: &Settings, client: Client) -> Option<Self> {
        let uri: Uri = settings.url.parse().ok()?;
        https::way(&uri).ok()?;
        let timeout = Duration::from_millis(settings.timeout_millis);
        Some(Self { client, uri, timeout, breaker: Breaker::default() })
    }

    /// Sends the credential, and nothing else of the client's request. `judge` says what the
    /// answer means, or why it is no verdict.
    pub(crate) async fn ask<T>(
        &self,
        credential: Credential<'_>,
        judge: impl FnOnce(&Answer) -> Result<T, &'static str>,
    ) -> Result<T, DelegateError> {
        let request = self.request(credential);
        let request = request.ok_or(DelegateError::Answer("the credential cannot be sent"))?;
        let attempt = self.breaker.enter().ok_or(DelegateError::Resting)?;
        let bytes_max = DELEGATE_ANSWER_BYTES_MAX;
        let answer = https::send(&self.client, request, bytes_max, self.timeout).await;
        // What a client can bring about by what it sends says nothing about the back end.
        let is_up = match &answer {
            Ok(answer) => !matches!(answer.status.as_u16(), 502..=504),
            Err(FetchError::AnswerBroken | FetchError::AnswerTooLong { .. }) => true,
            Err(_) => false,
        };
        attempt.ended(is_up);
        judge(&answer?).map_err(DelegateError::Answer)
    }

    fn request(&self, credential: Credential<'_>) -> Option<Request<Full<Bytes>>> {
        let (name, value) = match credential {
            Credential::Bearer(token) => (AUTHORIZATION, format!("Bearer {token}")),
            Credential::Cookies(cookies) => (COOKIE, cookies.to_owned()),
        };
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(name, value);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Some(request)
    }
}

impl std::fmt::Debug for Delegate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delegate").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// The value of `Content-Type`.
pub(crate) fn content_type(answer: &Answer) -> Option<&str> {
    answer.headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Answers at once while a back end is down, and lets one request find out whether it still is.
///
/// ```text
///  Closed ──failures──▶ Open ──rest over──▶ one attempt ──succeeds──▶ Closed
///                        ▲                      └──────fails, longer rest──▶ Open
/// ```
#[derive(Debug, Default)]
struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// Until when nobody asks.
    rests_until: Option<Instant>,
    /// Whether one attempt is under way after a rest.
    is_probed: bool,
}

impl Breaker {
    /// Leave to ask; an attempt that is given up has not failed, and leaves the place to others.
    fn enter(&self) -> Option<Attempt<'_>> {
        let mut state = self.0.lock();
        let is_probe = state.rests_until.is_some();
        if let Some(until) = state.rests_until {
            if state.is_probed || Instant::now() < until {
                return None;
            }
            state.is_probed = true;
        }
        Some(Attempt { breaker: self, is_probe })
    }
}

struct Attempt<'b> {
    breaker: &'b Breaker,
    /// Whether it began after a rest.
    is_probe: bool,
}

impl Attempt<'_> {
    fn ended(self, is_up: bool) {
        let mut state = self.breaker.0.lock();
        if is_up {
            *state = State::default();
            return;
        }
        if state.rests_until.is_some() && !self.is_probe {
            // It began before the rest, and says nothing new.
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if let Some(further) = state.failures.checked_sub(FAILURES_MAX) {
            let (first, most) = REST;
            let rest = first.saturating_mul(1 << further.min(16)).min(most);
            state.rests_until = Some(Instant::now() + rest);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.0.lock().is_probed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there was leave for an attempt, which fails.
    fn fail(breaker: &Breaker) -> bool {
        let attempt = breaker.enter();
        let is_let = attempt.is_some();
        attempt.into_iter().for_each(|attempt| attempt.ended(false));
        is_let
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_are_followed_by_a_rest_and_one_probe() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert!(fail(&breaker));
        }
        breaker.enter().unwrap().ended(true);
        for _ in 0..5 {
            assert!(fail(&breaker));
        }
        assert!(!fail(&breaker), "rests");
        tokio::time::advance(Duration::from_secs(1)).await;
        let probe = breaker.enter().unwrap();
        assert!(!fail(&breaker), "one probe at a time");
        drop(probe);
        breaker.enter().expect("a probe that was given up makes room").ended(false);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!fail(&breaker), "the second rest is longer");
        tokio::time::advance(Duration::from_secs(1)).await;
        breaker.enter().unwrap().ended(true);
        assert!(fail(&breaker) && fail(&breaker), "closed again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_never_longer_than_half_a_minute() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            tokio::time::advance(REST.1).await;
            assert!(fail(&breaker));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_began_before_a_rest_do_not_prolong_it() {
        let breaker = Breaker::default();
        let early: Vec<_> = (0..50).map(|_| breaker.enter().unwrap()).collect();
        early.into_iter().for_each(|attempt| attempt.ended(false));
        tokio::time::advance(REST.0).await;
        assert!(fail(&breaker), "one second, and not thirty");
    }

    #[tokio::test]
    async fn attempts_that_were_given_up_are_no_failures() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            drop(breaker.enter().expect("never rests"));
        }
    }

    /// A client that sends what the back end dislikes must not shut the others out.
    #[tokio::test]
    async fn answers_that_are_no_verdicts_are_no_failures_unless_the_server_fails() {
        use crate::https::server::{Server, answer};
        for (status, is_up) in
            [(400, true), (404, true), (302, true), (500, true), (502, false), (503, false)]
        {
            let server = Server::start(move |_| answer(status, "")).await;
            let settings = Settings {
                url: format!("http://{}/session", server.address),
                cookies: Vec::new(),
                timeout_millis: 10_000,
                principal_prefix: String::new(),
            };
            let delegate = Delegate::new(&settings, https::client(None).unwrap()).unwrap();
            for n in 0..20 {
                let asked = delegate.ask(Credential::Bearer("x"), |_| Err::<(), _>("no verdict"));
                let error = asked.await.unwrap_err();
                let rests = !is_up && FAILURES_MAX <= n;
                assert_eq!(error == DelegateError::Resting, rests, "{status} {n}");
            }
        }
    }
}
