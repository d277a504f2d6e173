//! What is known about a connection and about each operation on it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use api_model::api::{Route, Stage};

/// Facts of one connection, fixed when it opens.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its id, in AWS's alphabet.
    pub id: String,
    /// API id.
    pub api_id: String,
    /// Stage it was opened through.
    pub stage: String,
    /// Host that the client used, with its port, or as `[events] domain_name` says.
    pub domain_name: String,
    /// `Host` header as the client sent it.
    pub host: String,
    /// When it opened, milliseconds since 1970.
    pub connected_at: u64,
    /// The client's address.
    pub source_ip: String,
    /// The client's `User-Agent`, if it sent one.
    pub user_agent: Option<String>,
    /// What the authorizer said, if there was one.
    pub authorizer: Option<Authorized>,
}

/// What stays attached to a connection after authorization.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Authorized {
    /// `principalId`; authorizers may leave it out.
    pub principal_id: Option<String>,
    /// Context values, flat strings.
    pub context: Vec<(String, String)>,
}

impl fmt::Debug for Authorized {
    /// Names of the context only: values may be tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized")
            .field("principal_id", &self.principal_id)
            .field("context", &Names(&self.context))
            .finish()
    }
}

/// The names of pairs whose values stay out of debug output.
pub(crate) struct Names<'a>(pub(crate) &'a [(String, String)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// An id of up to 20 characters that is made for each operation.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Id {
    bytes: [u8; 20],
    len: u8,
}

impl Id {
    /// A 16-character request id (`EOoA7EugIAMEe1A=`) out of 11 random bytes.
    pub fn request(random: [u8; 11]) -> Self {
        Self::encode(&random)
    }

    /// A 20-character message id (`gbgBRw9dkQAYKEh7VA==`) out of 13 random bytes.
    pub fn message(random: [u8; 13]) -> Self {
        Self::encode(&random)
    }

    fn encode(random: &[u8]) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = [b'='; 20];
        for (chunk, out) in random.chunks(3).zip(bytes.chunks_mut(4)) {
            let mut word = [0; 4];
            word[1..=chunk.len()].copy_from_slice(chunk);
            let word = u32::from_be_bytes(word);
            for (index, slot) in out.iter_mut().enumerate().take(chunk.len() + 1) {
                let sextet = (word >> (18 - 6 * index)) & 0x3f;
                *slot = ALPHABET[usize::try_from(sextet).expect("six bits")];
            }
        }
        let len = u8::try_from(random.len().div_ceil(3) * 4).expect("at most 20");
        Self { bytes, len }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("the alphabet is ASCII")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One CONNECT, MESSAGE or DISCONNECT.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The stage as it is now; a reload gives later operations another.
    pub stage: Arc<Stage>,
    /// The connection.
    pub connection: Arc<Connection>,
    /// Route key that was selected.
    pub route_key: RouteKey,
    /// Request id, equal to the extended request id.
    pub request_id: Id,
    /// When it began, milliseconds since 1970.
    pub time: u64,
    /// What happened.
    pub kind: Kind,
}

/// The key of an operation's route, as text.
#[derive(Clone, Debug)]
pub enum RouteKey {
    /// That of the route that a message selected.
    Of(Arc<Route>),
    /// A key that needs no route, such as `$connect`.
    Text(Arc<str>),
}

impl From<&str> for RouteKey {
    fn from(key: &str) -> Self {
        Self::Text(key.into())
    }
}

impl Deref for RouteKey {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Of(route) => &route.key,
            Self::Text(key) => key,
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// What an operation is about.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The upgrade request.
    Connect {
        /// The request's headers and query.
        handshake: Arc<Handshake>,
        /// How long the authorizer took, milliseconds; `None` without one.
        authorizer_latency: Option<u64>,
    },
    /// The connection ended.
    Disconnect {
        /// Close code as the gateway saw it.
        code: u16,
        /// Close reason as the gateway saw it.
        reason: String,
    },
    /// A text message, or a binary one where they are accepted.
    Message {
        /// Message id.
        message_id: Id,
    },
}

impl Kind {
    /// `eventType`.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "CONNECT",
            Self::Disconnect { .. } => "DISCONNECT",
            Self::Message { .. } => "MESSAGE",
        }
    }

    /// The handshake, on CONNECT.
    pub fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::Connect { handshake, .. } => Some(handshake),
            Self::Disconnect { .. } | Self::Message { .. } => None,
        }
    }
}

/// The part of an upgrade request that authorizers and back ends may see.
#[derive(Clone, Default)]
pub struct Handshake {
    /// Headers in the client's order and casing, with the gateway's own
    /// `X-Forwarded-*` and `X-Amzn-Trace-Id` in place of the client's.
    pub headers: Vec<(String, String)>,
    /// Query parameters in order, decoded.
    pub query: Vec<(String, String)>,
}

impl Handshake {
    /// All values of a header, in order.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All values of a query parameter, in order; names are case-sensitive.
    pub fn query_values<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Replaces all lines of `Sec-WebSocket-Protocol` by one, or by none.
    pub fn set_protocols(&mut self, protocols: &[String]) {
        let first = self
            .headers
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"));
        let Some(first) = first else { return };
        let name = self.headers[first].0.clone();
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("sec-websocket-protocol"));
        if !protocols.is_empty() {
            self.headers.insert(first.min(self.headers.len()), (name, protocols.join(", ")));
        }
    }
}

impl fmt::Debug for Handshake {
    /// Names only: values are cookies and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("headers", &Names(&self.headers))
            .field("query", &Names(&self.query))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_of_the_service() {
        let request = Id::request([0; 11]);
        assert_eq!(request.as_str(), "AAAAAAAAAAAAAAA=");
        assert_eq!(Id::request([0xff; 11]).as_str(), "______________8=");
        assert_eq!(Id::message([0; 13]).as_str(), "AAAAAAAAAAAAAAAAAA==");
    }

    #[test]
    fn stripped_protocols_leave_no_line_behind() {
        let mut handshake = Handshake {
            headers: vec![
                ("Host".into(), "h".into()),
                ("Sec-WebSocket-Protocol".into(), "a, csrf.x".into()),
                ("sec-websocket-protocol".into(), "b".into()),
            ],
            query: Vec::new(),
        };
        handshake.set_protocols(&["a".into(), "b".into()]);
        assert_eq!(handshake.headers[1], ("Sec-WebSocket-Protocol".into(), "a, b".into()));
        assert_eq!(handshake.headers.len(), 2);
        handshake.set_protocols(&[]);
        assert_eq!(handshake.headers.len(), 1);
    }
}
