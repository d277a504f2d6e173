//! Who is logged in, and who no longer is: no I/O, no clock.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// Sessions and revocations that are remembered, each.
const SESSIONS_MAX: usize = 10_000;

/// A user of the demo. There are no passwords: the door is not what it shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct User {
    /// The `sub` claim.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) role: &'static str,
}

const USERS: [User; 2] = [
    User { id: "ada", name: "Ada", role: "host" },
    User { id: "grace", name: "Grace", role: "guest" },
];

impl User {
    pub(crate) fn find(id: &str) -> Option<Self> {
        USERS.into_iter().find(|user| user.id == id)
    }
}

/// One login.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) user: User,
    /// The `sid` claim: the CSRF token is bound to it.
    pub(crate) sid: String,
    /// Epoch seconds.
    pub(crate) issued_at: u64,
    /// Epoch seconds.
    pub(crate) expires_at: u64,
    /// The JWT itself: a cookie is believed if it is this text.
    pub(crate) token: String,
}

/// All sessions by `sid`, and the revoked ones for as long as their token would have lived.
#[derive(Default)]
pub(crate) struct Sessions {
    open: HashMap<String, Session>,
    revoked: HashMap<String, u64>,
    /// When each user last logged out, in epoch seconds.
    left_at: HashMap<&'static str, u64>,
}

impl Sessions {
    /// The `iat` of a token that is minted now: after the user's last logout, since a gateway
    /// that was told of it refuses every token that is not younger. A login within the second of
    /// a logout is thus dated one second ahead, which is within any clock's leeway.
    pub(crate) fn issue_time(&self, user: User, now: u64) -> u64 {
        self.left_at.get(user.id).map_or(now, |left| now.max(left.saturating_add(1)))
    }

    /// Remembers a login; the oldest makes room if there are too many.
    pub(crate) fn open(&mut self, session: Session, now: u64) {
        self.forget_expired(now);
        if SESSIONS_MAX <= self.open.len() {
            let oldest = self.open.values().min_by_key(|s| s.issued_at).map(|s| s.sid.clone());
            oldest.and_then(|sid| self.open.remove(&sid));
        }
        self.open.insert(session.sid.clone(), session);
    }

    /// The session whose token this is.
    pub(crate) fn find(&self, token: &str, now: u64) -> Option<&Session> {
        let session = self.open.get(&sid_of(token)?)?;
        let is_same = bool::from(session.token.as_bytes().ct_eq(token.as_bytes()));
        (is_same && now < session.expires_at).then_some(session)
    }

    /// Notes a logout, which is not over before the gateway knows of it.
    pub(crate) fn leave(&mut self, user: User, now: u64) {
        self.left_at.insert(user.id, now);
    }

    /// Ends every session of a user.
    pub(crate) fn revoke(&mut self, user: User, now: u64) {
        self.forget_expired(now);
        self.leave(user, now);
        let theirs: Vec<String> =
            self.open.values().filter(|s| s.user == user).map(|s| s.sid.clone()).collect();
        for sid in theirs {
            let Some(session) = self.open.remove(&sid) else { continue };
            if SESSIONS_MAX <= self.revoked.len() {
                let oldest = self.revoked.iter().min_by_key(|(_, until)| **until);
                oldest.map(|(sid, _)| sid.clone()).and_then(|sid| self.revoked.remove(&sid));
            }
            self.revoked.insert(sid, session.expires_at);
        }
    }

    /// Whether a session was ended before its token expired.
    pub(crate) fn is_revoked(&self, sid: &str) -> bool {
        self.revoked.contains_key(sid)
    }

    fn forget_expired(&mut self, now: u64) {
        self.open.retain(|_, session| now < session.expires_at);
        // A minute more: the gateway may grant an expired token some leeway.
        self.revoked.retain(|_, until| now < until.saturating_add(60));
    }
}

/// The `sid` that a token claims. It is only a name to look up: the whole token is compared then.
fn sid_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        sid: String,
    }
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&json).ok().map(|claims| claims.sid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(sid: &str, user: &str, issued_at: u64) -> Session {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"sid":"{sid}"}}"#));
        Session {
            user: User::find(user).unwrap(),
            sid: sid.to_owned(),
            issued_at,
            expires_at: issued_at + 100,
            token: format!("h.{payload}.signature"),
        }
    }

    #[test]
    fn a_session_is_found_by_its_whole_token_until_it_expires() {
        let mut sessions = Sessions::default();
        let ada = session("s1", "ada", 1000);
        sessions.open(ada.clone(), 1000);
        assert_eq!(sessions.find(&ada.token, 1099).map(|s| s.user.id), Some("ada"));
        assert!(sessions.find(&ada.token, 1100).is_none());
        let forged = ada.token.replace("signature", "signaturf");
        for token in [forged.as_str(), "", "..", "a.b.c", "a.e30.c"] {
            assert!(sessions.find(token, 1000).is_none(), "{token}");
        }
    }

    #[test]
    fn leaving_ends_every_session_of_the_user_and_of_nobody_else() {
        let mut sessions = Sessions::default();
        for (sid, user) in [("s1", "ada"), ("s2", "ada"), ("s3", "grace")] {
            sessions.open(session(sid, user, 1000), 1000);
        }
        sessions.revoke(User::find("ada").unwrap(), 1001);
        assert!(sessions.is_revoked("s1") && sessions.is_revoked("s2"));
        assert!(!sessions.is_revoked("s3"));
        assert!(sessions.find(&session("s1", "ada", 1000).token, 1001).is_none());
        assert!(sessions.find(&session("s3", "grace", 1000).token, 1001).is_some());
    }

    #[test]
    fn a_login_in_the_second_of_the_logout_is_younger_than_it() {
        let mut sessions = Sessions::default();
        let ada = User::find("ada").unwrap();
        assert_eq!(sessions.issue_time(ada, 1000), 1000);
        sessions.revoke(ada, 1000);
        assert_eq!(sessions.issue_time(ada, 1000), 1001);
        // The gateway heard of it a second later.
        sessions.leave(ada, 1001);
        assert_eq!(sessions.issue_time(ada, 1001), 1002);
        assert_eq!(sessions.issue_time(ada, 1005), 1005);
    }

    #[test]
    fn sessions_and_revocations_are_bounded() {
        let mut sessions = Sessions::default();
        for number in 0..=SESSIONS_MAX {
            sessions.open(session(&format!("s{number}"), "ada", 1000 + number as u64), 1000);
        }
        assert_eq!(sessions.open.len(), SESSIONS_MAX);
        assert!(!sessions.open.contains_key("s0"));
        sessions.revoke(User::find("ada").unwrap(), 1000);
        sessions.open(session("late", "ada", 1000), 1000);
        sessions.revoke(User::find("ada").unwrap(), 1000);
        assert_eq!(sessions.revoked.len(), SESSIONS_MAX);
        sessions.forget_expired(50_000);
        assert!(sessions.revoked.is_empty());
    }
}
