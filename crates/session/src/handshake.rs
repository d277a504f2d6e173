//! The upgrade request: what is not a WebSocket handshake, and what comes of
//! one ([RFC 6455 §4.2]).
//!
//! [RFC 6455 §4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

use crate::connection::{Id, Operation};
use crate::error::Failure;
use crate::integration::Reply;

/// An HTTP answer to a request that does not become a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Headers, in order.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// Which requests are refused before any API is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadRequest {
    /// Two `Authorization` headers: AWS's edge answers with a page.
    AuthorizationTwice,
    /// A body, `Content-Length` or `Transfer-Encoding` on the upgrade.
    Body,
    /// The head is longer than the limit.
    HeadTooLong,
    /// Not `GET`, not HTTP/1.1, or a header of the handshake is wrong.
    Malformed,
    /// The request target is longer than the limit.
    UrlTooLong,
    /// `Sec-WebSocket-Version` other than 13.
    Version,
}

impl BadRequest {
    /// The answer.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::AuthorizationTwice => Refusal {
                status: 400,
                headers: vec![("content-type", "text/html".to_owned())],
                body: EDGE_PAGE.as_bytes().to_vec(),
            },
            Self::Body | Self::Malformed => {
                let mut refusal = Refusal::json(400, "Bad Request");
                // What follows on this connection cannot be trusted to be a request.
                refusal.headers.push(("connection", "close".to_owned()));
                refusal
            }
            Self::HeadTooLong => {
                let mut refusal = Refusal::json(431, "Request Header Fields Too Large");
                refusal.headers.push(("connection", "close".to_owned()));
                refusal
            }
            Self::UrlTooLong => Refusal::json(414, "URI Too Long"),
            Self::Version => {
                let mut refusal = Refusal::json(426, "Upgrade Required");
                refusal.headers.push(("sec-websocket-version", "13".to_owned()));
                refusal
            }
        }
    }
}

const EDGE_PAGE: &str = "<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n</body>\r\n</html>\r\n";

impl Refusal {
    /// `{"message":"…"}` without any of AWS's headers.
    fn json(status: u16, message: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".to_owned())],
            body: format!(r#"{{"message":"{message}"}}"#).into_bytes(),
        }
    }

    /// The answer for an address that leads to no API and stage.
    pub fn forbidden(request_uuid: &str, extended_id: Id) -> Self {
        Self {
            status: 403,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-amzn-requestid", request_uuid.to_owned()),
                ("x-amzn-errortype", "ForbiddenException".to_owned()),
                ("x-amz-apigw-id", extended_id.to_string()),
            ],
            body: br#"{"message":"Forbidden"}"#.to_vec(),
        }
    }

    /// The answer when an operation on `$connect` failed.
    pub fn failure(failure: Failure, operation: &Operation) -> Self {
        let id = operation.request_id;
        Self::with_body(
            failure.status(),
            id,
            failure.body(&operation.connection.id, id.as_str()).into_bytes(),
        )
    }

    fn with_body(status: u16, id: Id, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![
                ("content-type", "application/json; charset=UTF-8".to_owned()),
                ("connection", "keep-alive".to_owned()),
                ("x-amz-apigw-id", id.to_string()),
            ],
            body,
        }
    }
}

/// What `$connect`'s integration made of the handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Connected {
    /// 101, with the integration's subprotocol if it gave one.
    Accepted {
        /// Value for `Sec-WebSocket-Protocol`.
        protocol: Option<String>,
        /// Other headers of the integration's answer that the gateway reads.
        headers: Vec<(String, String)>,
    },
    /// The integration's status and body.
    Refused(Refusal),
}

/// A 2xx accepts; any other status goes to the client with the body as it is.
/// No header but `Sec-WebSocket-Protocol` is copied.
pub fn connected(reply: Reply, operation: &Operation) -> Connected {
    if (200..300).contains(&reply.status) {
        let protocol = reply
            .headers
            .iter()
            .rev()
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty() && value.bytes().all(|b| (0x20..0x7f).contains(&b)));
        return Connected::Accepted { protocol, headers: reply.headers };
    }
    // An informational or made-up status cannot end a request; it is as broken as none.
    if !(200..600).contains(&reply.status) {
        return Connected::Refused(Refusal::failure(Failure::IntegrationMalformed, operation));
    }
    let body = reply.body.unwrap_or_default();
    Connected::Refused(Refusal::with_body(reply.status, operation.request_id, body))
}
