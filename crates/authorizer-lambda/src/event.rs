//! AWS's spelling: the `REQUEST` authorizer event of a WebSocket API, and the answer to it
//! ([input], [output]).
//!
//! [input]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
//! [output]: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use authorizer::Grant;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// What of the event the decision looks at; text is borrowed unless it has escapes.
#[derive(Debug)]
pub struct Event<'a> {
    method_arn: Text<'a>,
    headers: Lines<'a>,
    query: Lines<'a>,
}

/// Names with their values, all occurrences in order.
type Lines<'a> = Vec<(Text<'a>, Values<'a>)>;

/// The values of one member of a map.
#[derive(Debug)]
enum Values<'a> {
    Many(Vec<Text<'a>>),
    One(Text<'a>),
}

impl Values<'_> {
    fn iter(&self) -> impl Iterator<Item = &str> {
        let values = match self {
            Self::Many(values) => values.as_slice(),
            Self::One(value) => std::slice::from_ref(value),
        };
        values.iter().map(|value| &*value.0)
    }
}

/// Why an event cannot be read. Holds nothing of its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or not of the event's shape.
    #[error("the authorizer event is malformed at line {line}, column {column}")]
    Malformed {
        /// Line of the mistake, from 1; 0 if unknown.
        line: usize,
        /// Column of the mistake, from 1; 0 if unknown.
        column: usize,
    },
    /// There is no `methodArn`, so no policy could name it.
    #[error("the authorizer event has no methodArn")]
    MethodArn,
    /// The event has no headers, not even an empty list of them.
    #[error("the authorizer event has no headers")]
    NoHeaders,
    /// The `type` is not `REQUEST`.
    #[error("the authorizer event is not of type REQUEST")]
    Type,
}

impl<'a> Event<'a> {
    /// Reads the event. The multi-value maps are the source of all occurrences; a single-value map
    /// is read only where its multi-value counterpart is absent.
    pub fn parse(json: &'a [u8]) -> Result<Self, EventError> {
        let malformed =
            |e: serde_json::Error| EventError::Malformed { line: e.line(), column: e.column() };
        let raw: RawEvent<'a> = serde_json::from_slice(json).map_err(malformed)?;
        if raw.kind.as_ref().map(|kind| kind.0.as_ref()) != Some("REQUEST") {
            return Err(EventError::Type);
        }
        let method_arn = raw.method_arn.filter(|arn| arn.0.starts_with("arn:"));
        let headers = occurrences(raw.multi_value_headers, raw.headers);
        let query =
            occurrences(raw.multi_value_query_string_parameters, raw.query_string_parameters);
        Ok(Self {
            method_arn: method_arn.ok_or(EventError::MethodArn)?,
            headers: headers.ok_or(EventError::NoHeaders)?,
            query: query.unwrap_or_default(),
        })
    }

    /// The resource that the policy names.
    pub fn method_arn(&self) -> &str {
        &self.method_arn.0
    }

    /// All header lines, as the decision wants to see them.
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        flat(&self.headers).map(|(name, value)| (name, value.as_bytes())).collect()
    }

    /// All query parameters, as the decision wants to see them.
    pub fn query(&self) -> Vec<(&str, &str)> {
        flat(&self.query).collect()
    }
}

/// The answer that lets the connection open: Allow on `method_arn`, with principal and context.
pub fn allow(grant: &Grant, method_arn: &str) -> Value {
    let context: Map<_, _> =
        grant.context.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
    json!({
        "principalId": grant.principal_id,
        "policyDocument": policy("Allow", method_arn),
        "context": context,
    })
}

/// The answer that refuses for good: an explicit Deny on `method_arn`. It does not say why.
pub fn deny(method_arn: &str) -> Value {
    json!({ "principalId": "anonymous", "policyDocument": policy("Deny", method_arn) })
}

fn policy(effect: &str, method_arn: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn }
        ],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    method_arn: Option<Text<'a>>,
    #[serde(borrow)]
    headers: Option<Pairs<'a, Text<'a>>>,
    #[serde(borrow)]
    multi_value_headers: Option<Pairs<'a, Vec<Text<'a>>>>,
    #[serde(borrow)]
    query_string_parameters: Option<Pairs<'a, Text<'a>>>,
    #[serde(borrow)]
    multi_value_query_string_parameters: Option<Pairs<'a, Vec<Text<'a>>>>,
}

/// Text that is borrowed from the event where it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A JSON object as pairs, so that members which differ only in case, or not at all, stay apart.
struct Pairs<'a, V>(Vec<(Text<'a>, V)>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<'a, V>(PhantomData<Pairs<'a, V>>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for InOrder<'a, V> {
            type Value = Pairs<'a, V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

fn occurrences<'a>(
    multi: Option<Pairs<'a, Vec<Text<'a>>>>,
    single: Option<Pairs<'a, Text<'a>>>,
) -> Option<Lines<'a>> {
    match (multi, single) {
        (Some(Pairs(multi)), _) => {
            Some(multi.into_iter().map(|(name, values)| (name, Values::Many(values))).collect())
        }
        (None, Some(Pairs(single))) => {
            Some(single.into_iter().map(|(name, value)| (name, Values::One(value))).collect())
        }
        (None, None) => None,
    }
}

/// One item per occurrence.
fn flat<'l>(lines: &'l Lines<'_>) -> impl Iterator<Item = (&'l str, &'l str)> {
    lines.iter().flat_map(|(name, values)| values.iter().map(|value| (&*name.0, value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    #[track_caller]
    fn headers(event: &str) -> Result<Vec<(String, String)>, EventError> {
        let event = Event::parse(event.as_bytes())?;
        let text = |v: &[u8]| String::from_utf8(v.to_vec()).unwrap();
        let headers = event.headers().into_iter().map(|(n, v)| (n.to_owned(), text(v)));
        let query = event.query().into_iter().map(|(n, v)| (format!("?{n}"), v.to_owned()));
        Ok(headers.chain(query).collect())
    }

    fn lines(lines: &[(&str, &str)]) -> Result<Vec<(String, String)>, EventError> {
        Ok(lines.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect())
    }

    const START: &str = r#"{"type":"REQUEST","methodArn":"arn:aws:execute-api:a:b:c/d/$connect""#;

    #[test]
    fn every_occurrence_of_the_multi_value_maps_is_read_in_order() {
        let event = format!(
            r#"{START},"headers":{{"Cookie":"last"}},
            "multiValueHeaders":{{"Cookie":["a","\u0062"],"cookie":["c"],"X":[]}},
            "queryStringParameters":{{"q":"2"}},
            "multiValueQueryStringParameters":{{"q":["1","2"]}},"requestContext":{{"a":[1]}}}}"#
        );
        let want = [("Cookie", "a"), ("Cookie", "b"), ("cookie", "c"), ("?q", "1"), ("?q", "2")];
        assert_eq!(headers(&event), lines(&want));
    }

    #[test]
    fn single_value_maps_stand_in_where_the_others_are_absent() {
        let event = format!(
            r#"{START},"headers":{{"Cookie":"a"}},"multiValueHeaders":null,
            "queryStringParameters":{{"q":"1"}}}}"#
        );
        assert_eq!(headers(&event), lines(&[("Cookie", "a"), ("?q", "1")]));
        let event = format!(r#"{START},"headers":{{}},"queryStringParameters":null}}"#);
        assert_eq!(headers(&event), lines(&[]));
    }

    /// A name that was copied for each of its values would take gigabytes here.
    #[test]
    fn memory_grows_with_the_event_and_not_with_its_square() {
        let (name, values) = ("n".repeat(20_000), vec![r#""""#; 200_000].join(","));
        let event = format!(r#"{START},"multiValueHeaders":{{"{name}":[{values}]}}}}"#);
        let event = Event::parse(event.as_bytes()).unwrap();
        assert_eq!(event.headers().len(), 200_000);
    }

    #[test]
    fn what_is_not_such_an_event_is_an_error() {
        let arn = r#""methodArn":"arn:x""#;
        for (event, want) in [
            (format!("{{{arn},\"headers\":{{}}}}"), EventError::Type),
            (format!("{{\"type\":\"TOKEN\",{arn},\"headers\":{{}}}}"), EventError::Type),
            ("{\"type\":\"REQUEST\",\"headers\":{}}".to_owned(), EventError::MethodArn),
            (
                "{\"type\":\"REQUEST\",\"methodArn\":\"*\",\"headers\":{}}".to_owned(),
                EventError::MethodArn,
            ),
            (format!("{{\"type\":\"REQUEST\",{arn}}}"), EventError::NoHeaders),
        ] {
            assert_eq!(headers(&event), Err(want), "{event}");
        }
        for event in [
            "",
            "[]",
            "null",
            "{\"type\":1}",
            "{\"type\":\"REQUEST\",\"type\":\"REQUEST\"}",
            "{\"type\":\"REQUEST\",\"headers\":{\"a\":[\"b\"]}}",
            "{\"type\":\"REQUEST\",\"multiValueHeaders\":{\"a\":\"b\"}}",
            "{\"type\":\"REQUEST\",\"multiValueHeaders\":{\"a\":[null]}}",
        ] {
            let error = headers(event).unwrap_err();
            assert!(matches!(error, EventError::Malformed { .. }), "{event}: {error}");
        }
    }

    #[test]
    fn nothing_of_the_event_shows_in_errors_or_debug() {
        let event = format!(r#"{START},"headers":{{"Cookie":"JWT=hunter2"}}}}"#);
        let parsed = Event::parse(event.as_bytes()).unwrap();
        assert!(!format!("{parsed:?}").contains("hunter2"));
        let wrong = r#"{"type":"REQUEST","headers":"hunter2"}"#;
        assert!(!Event::parse(wrong.as_bytes()).unwrap_err().to_string().contains("hunter2"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// A damaged event is an error, or is JSON still and has no more lines than places for them.
        #[test]
        fn a_damaged_event_is_read_or_refused(
            at in any::<Index>(), cut in 0_usize..8, by in r#"[\[\]{}":,\\0-9a-z]{0,8}"#,
        ) {
            let whole = format!(
                r#"{START},"headers":{{"Cookie":"a"}},"multiValueHeaders":{{"Cookie":["a","\u0062"]}},
                "queryStringParameters":{{"q":"1"}},"requestContext":{{"a":[1,null]}}}}"#
            );
            let at = at.index(whole.len());
            let event = format!("{}{by}{}", &whole[..at], &whole[whole.len().min(at + cut)..]);
            if let Ok(lines) = headers(&event) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&event).is_ok());
                prop_assert!(lines.len() <= event.len() / 2);
            }
        }
    }
}
