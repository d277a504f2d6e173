//! What a login mints: the JWT and the CSRF token that is bound to it.

use authorizer::Algorithm;
use authorizer::mint::{self, MintError, SigningKey};
use serde_json::json;

use crate::session::{Session, User};
use crate::settings::{Settings, Site};

/// Life of a token, in seconds.
pub(crate) const TOKEN_LIFE: u64 = 3600;

/// How long ago the token of the "expired" button expired, in seconds: more than the leeway of 5 s
/// that an authorizer grants unless told otherwise, less than the 60 s that it can be told to.
const EXPIRED_AGO: u64 = 30;

/// Makes a session with its token.
pub(crate) fn log_in(
    settings: &Settings,
    site: &Site,
    user: User,
    issued_at: u64,
) -> Result<Session, MintError> {
    let sid = hex::encode(rand::random::<[u8; 16]>());
    let expires_at = issued_at + TOKEN_LIFE;
    let token = sign(settings, site, user, &sid, issued_at, expires_at)?;
    Ok(Session { user, sid, issued_at, expires_at, token })
}

/// The session's token as it will be when its time is over.
pub(crate) fn expired(
    settings: &Settings,
    site: &Site,
    session: &Session,
    now: u64,
) -> Result<String, MintError> {
    let expires_at = now.saturating_sub(EXPIRED_AGO);
    sign(settings, site, session.user, &session.sid, session.issued_at, expires_at)
}

/// The CSRF token of a session: a new one at each call, all of them good.
pub(crate) fn csrf(settings: &Settings, session: &Session) -> Result<String, MintError> {
    let random = rand::random::<[u8; 32]>();
    mint::csrf_value(settings.secrets.csrf.expose(), &session.sid, &random)
}

fn sign(
    settings: &Settings,
    site: &Site,
    user: User,
    sid: &str,
    issued_at: u64,
    expires_at: u64,
) -> Result<String, MintError> {
    let claims = json!({
        "iss": site.issuer(),
        "aud": settings.audience,
        "sub": user.id,
        "sid": sid,
        "iat": issued_at,
        "exp": expires_at,
        "name": user.name,
        "role": user.role,
    });
    let key = SigningKey::hmac(Algorithm::Hs256, settings.secrets.jwt.expose())?;
    mint::jwt(&key.header(None), &claims.to_string(), &key)
}
