//! Questions of the gateway's own to services: JSON or forms in, a value or a refusal out.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{AwsClient, CallError, Outgoing, Received};

/// Largest answer that is read: ten messages of a queue at 1 MiB, as JSON.
const ANSWER_BYTES_MAX: usize = 24 * 1024 * 1024;

/// Longest text of a refusal that is kept.
const MESSAGE_CHARS_MAX: usize = 300;

/// An operation of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    /// `X-Amz-Target` of the JSON protocol; `Action` of the query protocol.
    pub(crate) name: &'a str,
    /// Longest wait for the whole answer.
    pub(crate) wait: Duration,
}

/// Why an operation gave nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    /// There was no usable answer.
    #[error("{reason}")]
    Failed {
        /// What stands in the way.
        reason: String,
    },
    /// The service answered with an error.
    #[error("{kind} ({status}) {message}")]
    Service {
        /// Status.
        status: u16,
        /// Name of the error, such as `ResourceInUseException`.
        kind: String,
        /// Its text, shortened, without control characters.
        message: String,
    },
}

impl Refused {
    /// Whether the service said that there is, or is not, such a thing.
    pub(crate) fn is(&self, kinds: &[&str]) -> bool {
        matches!(self, Self::Service { kind, .. } if kinds.contains(&kind.as_str()))
    }
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        Self::Failed { reason: error.to_string() }
    }
}

impl AwsClient {
    /// Asks in the [JSON protocol] 1.0, which all of DynamoDB, SQS and Step Functions speak.
    ///
    /// [JSON protocol]: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
    pub(crate) async fn ask(
        &self,
        operation: Operation<'_>,
        question: &Value,
    ) -> Result<Value, Refused> {
        let headers = [
            ("content-type".to_owned(), "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target".to_owned(), operation.name.to_owned()),
        ];
        let received = self.exchange(operation, &headers, question.to_string()).await?;
        let answer = serde_json::from_slice::<Value>(&received.body).unwrap_or_default();
        if (200..300).contains(&received.status) {
            return Ok(answer);
        }
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| answer[*name].as_str());
            found.unwrap_or_default().to_owned()
        };
        let kind = text(&["__type", "code"]);
        let kind = kind.rsplit('#').next().unwrap_or_default();
        // Names of SQS's older protocol, where there are two.
        let older = received.headers.get("x-amzn-query-error").and_then(|v| v.to_str().ok());
        let older = older.and_then(|value| value.split(';').next()).unwrap_or_default();
        let kind = if kind.is_empty() { older } else { kind };
        Err(refused(received.status, kind, &text(&["message", "Message"])))
    }

    /// Asks in the [query protocol], the only one of SNS; the answer is XML.
    ///
    /// [query protocol]: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
    pub(crate) async fn ask_form(
        &self,
        operation: Operation<'_>,
        version: &str,
        fields: &[(String, String)],
    ) -> Result<String, Refused> {
        let mut form = format!("Action={}&Version={version}", operation.name);
        for (name, value) in fields {
            form.push_str(&format!("&{}={}", form_encode(name), form_encode(value)));
        }
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = [("content-type".to_owned(), kind.to_owned())];
        let received = self.exchange(operation, &headers, form).await?;
        let answer = String::from_utf8_lossy(&received.body).into_owned();
        if (200..300).contains(&received.status) {
            return Ok(answer);
        }
        let text = |name| element(&answer, name).unwrap_or_default();
        Err(refused(received.status, &text("Code"), &text("Message")))
    }

    async fn exchange(
        &self,
        operation: Operation<'_>,
        headers: &[(String, String)],
        body: String,
    ) -> Result<Received, Refused> {
        let outgoing = Outgoing {
            service: operation.service,
            region: operation.region,
            method: "POST",
            headers,
            body: Bytes::from(body),
            ..Outgoing::default()
        };
        let work = self.send(outgoing, ANSWER_BYTES_MAX);
        match tokio::time::timeout(operation.wait, work).await {
            Ok(received) => Ok(received?),
            Err(_) => Err(Refused::Failed { reason: "no answer in time".to_owned() }),
        }
    }
}

fn refused(status: u16, kind: &str, message: &str) -> Refused {
    let clean = |text: &str| {
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.take(MESSAGE_CHARS_MAX).collect()
    };
    Refused::Service { status, kind: clean(kind), message: clean(message) }
}

/// The text of the first element of this name, without its entities resolved: names and ARNs
/// have none.
pub(crate) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.trim().to_owned())
}

/// Everything but unreserved characters in percent signs.
fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_elements_carry_any_text() {
        assert_eq!(form_encode("a b&c=ü/~"), "a%20b%26c%3D%C3%BC%2F~");
        let xml = "<A><TopicArn>arn:aws:sns:r:1:t</TopicArn></A>";
        assert_eq!(element(xml, "TopicArn").as_deref(), Some("arn:aws:sns:r:1:t"));
        assert_eq!(element(xml, "Code"), None);
        assert_eq!(element("<Code>", "Code"), None);
    }

    #[test]
    fn a_refusal_is_short_and_plain() {
        let long = "x\n\u{1b}".repeat(1000);
        let Refused::Service { message, .. } = refused(400, "E", &long) else { panic!() };
        assert!(message.chars().count() <= MESSAGE_CHARS_MAX && !message.contains('\n'));
    }
}
