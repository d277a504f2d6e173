//! Revoked principals and sessions of each API, on one node.

use std::collections::HashMap;
use std::time::Duration;

use authorizer::Grant;
use parking_lot::RwLock;
use tokio::time::Instant;

/// Revocations that are remembered; beyond, the oldest make room, and what they
/// covered counts as revoked until its time has passed.
const ENTRIES_MAX: usize = 1_000_000;

/// What was revoked, and when.
#[derive(Debug)]
pub(crate) struct Revocations {
    keep: Duration,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Subject, Moment>,
    /// Everything issued up to then counts as revoked: entries had to make room.
    floor: Option<Moment>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Subject {
    api_id: String,
    principal_id: String,
    session_id: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Seconds since 1970, compared with a token's `iat`.
    epoch: u64,
    at: Instant,
}

/// What a verdict says about its own age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Issued {
    /// The token's `iat`, seconds since 1970.
    At(u64),
    /// When the authorizer was asked.
    Asked(Instant),
    /// Nobody knows: as old as can be.
    Unknown,
}

impl Issued {
    /// Of a grant of the built-in authorizer that was asked at `asked_at`: by its `iat`; without
    /// one a delegate vouches for the moment it was asked, and a token for none.
    pub(crate) fn of(grant: &Grant, asked_at: Instant) -> Self {
        match grant.issued_at {
            Some(issued_at) => Self::At(issued_at),
            None if grant.is_vouched => Self::Asked(asked_at),
            None => Self::Unknown,
        }
    }
}

impl Revocations {
    /// None yet; each is remembered for `keep`, at least a token's longest life.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, state: RwLock::default() }
    }

    /// Revokes a principal, or one session of it, from now on backwards.
    pub(crate) fn revoke(
        &self,
        api_id: &str,
        principal_id: &str,
        session_id: Option<&str>,
        epoch: u64,
    ) {
        let moment = Moment { epoch, at: Instant::now() };
        let mut state = self.state.write();
        if ENTRIES_MAX <= state.entries.len() {
            let keep = self.keep;
            state.entries.retain(|_, entry| entry.at.elapsed() < keep);
            if ENTRIES_MAX <= state.entries.len() {
                state.entries.clear();
                state.floor = Some(moment);
            }
        }
        let subject = Subject {
            api_id: api_id.to_owned(),
            principal_id: principal_id.to_owned(),
            session_id: session_id.map(str::to_owned),
        };
        state.entries.insert(subject, moment);
    }

    /// Whether a verdict on `principal_id` is older than a revocation of it.
    pub(crate) fn is_revoked(
        &self,
        api_id: &str,
        principal_id: &str,
        session_id: Option<&str>,
        issued: Issued,
    ) -> bool {
        let state = self.state.read();
        if state.entries.is_empty() && state.floor.is_none() {
            return false;
        }
        let find = |session_id: Option<&str>| {
            state.entries.get(&Subject {
                api_id: api_id.to_owned(),
                principal_id: principal_id.to_owned(),
                session_id: session_id.map(str::to_owned),
            })
        };
        let of_session = session_id.and_then(|session_id| find(Some(session_id)));
        [find(None), of_session, state.floor.as_ref()].into_iter().flatten().any(|moment| {
            moment.at.elapsed() < self.keep
                && match issued {
                    Issued::At(iat) => iat <= moment.epoch,
                    Issued::Asked(at) => at <= moment.at,
                    Issued::Unknown => true,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_before_is_revoked_and_what_comes_after_is_not() {
        let revocations = Revocations::new(Duration::from_secs(60));
        revocations.revoke("api", "ada", None, 1000);
        let check = |api: &str, who: &str, issued| revocations.is_revoked(api, who, None, issued);
        assert!(check("api", "ada", Issued::At(1000)));
        assert!(check("api", "ada", Issued::Unknown));
        assert!(!check("api", "ada", Issued::At(1001)));
        assert!(!check("api", "grace", Issued::At(1)));
        assert!(!check("other", "ada", Issued::At(1)));
    }

    #[test]
    fn a_session_can_be_revoked_alone() {
        let revocations = Revocations::new(Duration::from_secs(60));
        revocations.revoke("api", "ada", Some("s1"), 1000);
        assert!(revocations.is_revoked("api", "ada", Some("s1"), Issued::At(1)));
        assert!(!revocations.is_revoked("api", "ada", Some("s2"), Issued::At(1)));
    }
}
