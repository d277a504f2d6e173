//! What must never be seen: every secret a test makes, and where it looks.

use std::sync::{Mutex, PoisonError};

use super::token;

/// Secrets shorter than this would be found by chance.
const SECRET_BYTES_MIN: usize = 8;

/// Secrets of one gateway run, and everything that run said.
#[derive(Default)]
pub(crate) struct Secrets {
    values: Mutex<Vec<(String, String)>>,
    captured: Mutex<Vec<(String, String)>>,
}

impl Secrets {
    /// Registers `value`, called `name` in a report, and returns it.
    pub(crate) fn register(&self, name: &str, value: &str) -> String {
        assert!(SECRET_BYTES_MIN <= value.len(), "secret {name} is too short to look for");
        push(&self.values, name, value);
        value.to_owned()
    }

    /// Keeps `text`, said by the gateway at `place`, for [`Secrets::leaks`].
    pub(crate) fn capture(&self, place: &str, text: &str) {
        push(&self.captured, place, text);
    }

    /// One line for every place that holds a secret; the secret is not in it.
    ///
    /// A JSON Web Token also counts as seen when its signature alone is.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        let mut leaks = Vec::new();
        for (name, value) in values.iter() {
            let tail = value.rsplit('.').next().unwrap_or_default();
            let needles =
                [value.as_str(), if SECRET_BYTES_MIN <= tail.len() { tail } else { value }];
            for (place, text) in captured.iter() {
                if needles.iter().any(|needle| text.contains(needle)) {
                    leaks.push(format!("{name} is readable in {place}"));
                }
            }
        }
        leaks
    }
}

/// How many of the values that this process minted stand in `text`; of a token its signature is
/// enough.
pub(crate) fn count_minted_in(text: &str) -> usize {
    let minted = token::MINTED.lock().unwrap_or_else(PoisonError::into_inner);
    let tail = |value: &str| value.rsplit('.').next().unwrap_or_default().to_owned();
    minted.iter().filter(|value| text.contains(&tail(value))).count()
}

fn push(list: &Mutex<Vec<(String, String)>>, key: &str, value: &str) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    list.push((key.to_owned(), value.to_owned()));
}

#[test]
fn a_planted_secret_is_found_and_not_repeated() {
    let secrets = Secrets::default();
    let token = secrets.register("token", "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl");
    secrets.register("other", "never-said-anywhere");
    secrets.capture("stderr", "all is well");
    assert_eq!(secrets.leaks(), Vec::<String>::new());
    secrets.capture("stdout", &format!("refused {token} now"));
    secrets.capture("admin /refusals", "signature c2lnbmF0dXJl");
    assert_eq!(
        secrets.leaks(),
        ["token is readable in stdout", "token is readable in admin /refusals"]
    );
}

#[test]
fn what_was_minted_is_found_again() {
    let (secret, other) = (token::random_hex(), token::random_hex());
    let minted = token::jwt(&serde_json::json!({ "sub": "ada" }), &secret);
    assert_eq!(count_minted_in("all is well"), 0);
    assert_eq!(count_minted_in(&format!("{other} refused")), 1);
    let signature = minted.rsplit('.').next().unwrap();
    assert_eq!(count_minted_in(&format!("bad signature {signature}")), 1);
}
