//! Tokens as a login back end would mint them.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Everything made here in this process: no gateway may ever say any of it.
pub(crate) static MINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes that `value` was made here.
pub(crate) fn keep(value: String) -> String {
    MINTED.lock().unwrap_or_else(PoisonError::into_inner).push(value.clone());
    value
}

/// A JWT signed with HS256 ([RFC 7515], [RFC 7518 §3.2]).
///
/// [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
/// [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
pub(crate) fn jwt(claims: &Value, secret: &str) -> String {
    let head = json!({ "alg": "HS256", "typ": "JWT" });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, signed.as_bytes());
    keep(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// A CSRF value bound to `session`: `hex(mac) "." hex(random)`.
///
/// The mac is HMAC-SHA256 over `len(session)!session!len(hex)!hex`.
pub(crate) fn csrf(session: &str, secret: &str) -> String {
    let random = random_hex();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let message = format!("{}!{session}!{}!{random}", session.len(), random.len());
    keep(format!("{}.{random}", hex::encode(hmac::sign(&key, message.as_bytes()))))
}

/// 64 lower-case hexadecimal digits nobody knows.
pub(crate) fn random_hex() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has randomness");
    keep(hex::encode(bytes))
}
