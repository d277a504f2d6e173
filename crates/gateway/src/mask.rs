//! Masking of credentials in everything that is shown: logs, traces, error
//! texts, the console.
//!
//! Masking goes by name and errs on the side of hiding: names are compared
//! without case and after decoding, and a value is hidden as a whole.

use std::borrow::Cow;
use std::collections::HashSet;

use http::HeaderMap;

use crate::sigv4::decoded;

/// What stands in place of a hidden value.
pub const MASK: &str = "***";

/// Headers whose values are always hidden.
pub const SECRET_HEADERS: [&str; 8] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "sec-websocket-protocol",
    "set-cookie",
    "x-amz-security-token",
    "x-amz-signature",
    "x-api-key",
];

/// Headers that hold an address, whose query may hold a credential.
const ADDRESS_HEADERS: [&str; 3] = ["content-location", "location", "referer"];

/// Query parameters whose values are always hidden, in lower case.
pub const SECRET_PARAMETERS: [&str; 5] =
    ["access_token", "csrf_token", "x-amz-credential", "x-amz-security-token", "x-amz-signature"];

/// Knows which names carry credentials: the fixed ones and the configured ones.
#[derive(Clone, Debug)]
pub struct Masker {
    headers: HashSet<String>,
    parameters: HashSet<Vec<u8>>,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new([], [])
    }
}

impl Masker {
    /// Adds names of headers and of query parameters (decoded) to the fixed ones.
    pub fn new<'a>(
        headers: impl IntoIterator<Item = &'a str>,
        parameters: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            headers: SECRET_HEADERS
                .into_iter()
                .chain(headers)
                .map(str::to_ascii_lowercase)
                .collect(),
            parameters: SECRET_PARAMETERS
                .into_iter()
                .chain(parameters)
                .map(|name| name.to_ascii_lowercase().into_bytes())
                .collect(),
        }
    }

    /// Whether values of this header are hidden.
    pub fn hides_header(&self, name: &str) -> bool {
        self.headers.contains(&*lower(name))
    }

    /// Whether values of this query parameter are hidden; the name may be encoded or not.
    pub fn hides_parameter(&self, name: &str) -> bool {
        let hides = |name: &[u8]| {
            // Blanks and brackets around a name (`token[]`) do not make it another one.
            let name = name.trim_ascii();
            let name = name.strip_suffix(b"[]").unwrap_or(name);
            self.parameters.contains(&name.to_ascii_lowercase())
        };
        hides(name.as_bytes()) || hides(&decoded(name))
    }

    /// A header's value as it may be shown.
    pub fn header<'v>(&self, name: &str, value: &'v [u8]) -> Cow<'v, str> {
        if self.hides_header(name) {
            return Cow::Borrowed(MASK);
        }
        let text = String::from_utf8_lossy(value);
        if ADDRESS_HEADERS.contains(&&*lower(name)) {
            return match self.url(&text) {
                Cow::Owned(masked) => Cow::Owned(masked),
                Cow::Borrowed(_) => text,
            };
        }
        text
    }

    /// All headers as they may be shown.
    pub fn headers<'h>(
        &'h self,
        headers: &'h HeaderMap,
    ) -> impl Iterator<Item = (&'h str, Cow<'h, str>)> {
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), self.header(name.as_str(), value.as_bytes())))
    }

    /// A query parameter's value as it may be shown.
    pub fn parameter<'v>(&self, name: &str, value: &'v str) -> &'v str {
        if self.hides_parameter(name) { MASK } else { value }
    }

    /// A raw query string, without its `?`, as it may be shown.
    pub fn query<'q>(&self, query: &'q str) -> Cow<'q, str> {
        let hidden = |pair: &str| match pair.split_once('=') {
            Some((name, _)) => self.hides_parameter(name),
            None => false,
        };
        if !query.split(SEPARATORS).any(hidden) {
            return Cow::Borrowed(query);
        }
        let mut shown = String::with_capacity(query.len());
        for pair in query.split_inclusive(SEPARATORS) {
            let (bare, separator) = match pair.strip_suffix(SEPARATORS) {
                Some(bare) => (bare, &pair[bare.len()..]),
                None => (pair, ""),
            };
            match bare.split_once('=') {
                Some((name, _)) if self.hides_parameter(name) => {
                    shown.extend([name, "=", MASK, separator]);
                }
                Some(_) | None => shown.push_str(pair),
            }
        }
        Cow::Owned(shown)
    }

    /// An address, whole or from its path on, as it may be shown: without
    /// password and fragment, and with its query masked.
    pub fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        let (rest, fragment) = split_at_char(url, '#');
        let (place, query) = split_at_char(rest, '?');
        let shown_place = without_user(place);
        let shown_query = query.map(|query| self.query(query));
        let unchanged = matches!(shown_place, Cow::Borrowed(_))
            && matches!(shown_query, None | Some(Cow::Borrowed(_)))
            && fragment.is_none_or(str::is_empty);
        if unchanged {
            return Cow::Borrowed(url);
        }
        let mut shown = shown_place.into_owned();
        if let Some(query) = shown_query {
            shown.push('?');
            shown.push_str(&query);
        }
        if let Some(fragment) = fragment {
            shown.push('#');
            shown.push_str(if fragment.is_empty() { "" } else { MASK });
        }
        Cow::Owned(shown)
    }
}

/// Some parsers split at `;` too, so a credential behind one is hidden as well.
const SEPARATORS: [char; 2] = ['&', ';'];

fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

fn split_at_char(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Replaces `user:password@` in front of a host.
fn without_user(place: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = place.split_once("//") else { return Cow::Borrowed(place) };
    let authority = rest.split(['/', '\\']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => Cow::Owned(format!("{scheme}//{MASK}{}", &rest[user.len()..])),
        None => Cow::Borrowed(place),
    }
}

#[cfg(test)]
mod tests;
