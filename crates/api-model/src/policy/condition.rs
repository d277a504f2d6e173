//! The `Condition` element: the operators and keys a gateway can evaluate
//! ([condition operators]).
//!
//! All operators and keys of a statement must hold. Of several values one must
//! match, and for a negated operator none may.
//!
//! [condition operators]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::Value;

use super::pattern::{Pattern, Subject};
use super::{Access, Malformed, Parser, Reason, list, shown};

/// One operator applied to one key.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: Key,
    /// Whether no value may match, instead of one.
    negated: bool,
    test: Test,
}

impl Condition {
    pub(super) fn holds(&self, access: &Access<'_>) -> bool {
        let any = match &self.test {
            Test::Address(networks) => {
                let address = access.source_ip.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
            Test::Bool(values) => values.contains(&access.secure_transport),
            Test::Date(order, values) => {
                let now = time(access.now);
                values.iter().any(|value| order.holds(now, *value))
            }
            Test::Text(values) => {
                let text = Subject::new(self.key.text(access));
                values.iter().any(|value| value.matches(&text))
            }
            Test::TextIgnoringCase(values) => {
                let text = self.key.text(access);
                values.iter().any(|value| value.eq_ignore_ascii_case(&text))
            }
            Test::TextEqual(values) => {
                let text = self.key.text(access);
                values.iter().any(|value| **value == *text)
            }
        };
        any != self.negated
    }
}

/// What the request is asked for. Names are compared without case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Key {
    CurrentTime,
    SecureTransport,
    SourceIp,
}

impl Key {
    fn parse(name: &str) -> Option<Self> {
        [
            ("aws:CurrentTime", Self::CurrentTime),
            ("aws:SecureTransport", Self::SecureTransport),
            ("aws:SourceIp", Self::SourceIp),
        ]
        .into_iter()
        .find_map(|(known, key)| known.eq_ignore_ascii_case(name).then_some(key))
    }

    fn text(self, access: &Access<'_>) -> String {
        match self {
            Self::CurrentTime => time(access.now).to_string(),
            Self::SecureTransport => access.secure_transport.to_string(),
            Self::SourceIp => access.source_ip.to_canonical().to_string(),
        }
    }
}

#[derive(Clone, Debug)]
enum Test {
    Address(Vec<IpNet>),
    Bool(Vec<bool>),
    Date(Order, Vec<Timestamp>),
    Text(Vec<Pattern>),
    TextEqual(Vec<String>),
    TextIgnoringCase(Vec<String>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    fn holds(self, now: Timestamp, value: Timestamp) -> bool {
        match self {
            Self::Equal => now == value,
            Self::Greater => now > value,
            Self::GreaterOrEqual => now >= value,
            Self::Less => now < value,
            Self::LessOrEqual => now <= value,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Address,
    Bool,
    Date(Order),
    Text,
    TextEqual,
    TextIgnoringCase,
}

/// The operator of this exact name, and whether it is a negated one.
fn operator(name: &str) -> Option<(Kind, bool)> {
    Some(match name {
        "Bool" => (Kind::Bool, false),
        "DateEquals" => (Kind::Date(Order::Equal), false),
        "DateGreaterThan" => (Kind::Date(Order::Greater), false),
        "DateGreaterThanEquals" => (Kind::Date(Order::GreaterOrEqual), false),
        "DateLessThan" => (Kind::Date(Order::Less), false),
        "DateLessThanEquals" => (Kind::Date(Order::LessOrEqual), false),
        "DateNotEquals" => (Kind::Date(Order::Equal), true),
        "IpAddress" => (Kind::Address, false),
        "NotIpAddress" => (Kind::Address, true),
        "StringEquals" => (Kind::TextEqual, false),
        "StringEqualsIgnoreCase" => (Kind::TextIgnoringCase, false),
        "StringLike" => (Kind::Text, false),
        "StringNotEquals" => (Kind::TextEqual, true),
        "StringNotEqualsIgnoreCase" => (Kind::TextIgnoringCase, true),
        "StringNotLike" => (Kind::Text, true),
        _ => return None,
    })
}

/// Parses the element's value: operator → key → values.
pub(super) fn parse(
    parser: &mut Parser,
    value: &Value,
    place: &str,
) -> Result<Vec<Condition>, Malformed> {
    let operators = value.as_object().ok_or_else(|| Reason::Shape.at(place))?;
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let place = format!("{place}.{}", shown(name));
        let (kind, negated) = operator(name).ok_or_else(|| Reason::ConditionOperator.at(&place))?;
        let keys = keys.as_object().ok_or_else(|| Reason::Shape.at(&place))?;
        if keys.is_empty() {
            return Err(Reason::Empty.at(&place));
        }
        for (name, values) in keys {
            let place = format!("{place}.{}", shown(name));
            let key = Key::parse(name).ok_or_else(|| Reason::ConditionKey.at(&place))?;
            let test = parse_test(parser, kind, key, list(values, &place)?, &place)?;
            conditions.push(Condition { key, negated, test });
        }
    }
    Ok(conditions)
}

/// An operator on a key of another type would never match, and a Deny under it
/// never apply, so it is refused.
fn parse_test(
    parser: &mut Parser,
    kind: Kind,
    key: Key,
    values: &[Value],
    place: &str,
) -> Result<Test, Malformed> {
    let wrong = || Reason::ConditionValue.at(place);
    let mut texts = Vec::new();
    for value in values {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(Reason::Shape.at(place));
            }
        };
        parser.take(&text, place)?;
        texts.push(text);
    }
    // Every string may hold a variable; the plain forms below then have none left.
    let patterns = texts.iter().map(|t| parser.pattern(t, place)).collect::<Result<Vec<_>, _>>()?;
    let plain = |texts: Vec<String>| match texts.iter().any(|text| text.contains("${")) {
        true => Err(Reason::Variable.at(place)),
        false => Ok(texts),
    };
    match (kind, key) {
        (Kind::Address, Key::SourceIp) => texts
            .iter()
            .map(|t| network(t).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Test::Address),
        (Kind::Bool, Key::SecureTransport) => texts
            .iter()
            .map(|t| boolean(t).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Test::Bool),
        (Kind::Date(order), Key::CurrentTime) => texts
            .iter()
            .map(|t| date(t).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(|dates| Test::Date(order, dates)),
        (Kind::Text, _) => Ok(Test::Text(patterns)),
        (Kind::TextEqual, _) => plain(texts).map(Test::TextEqual),
        (Kind::TextIgnoringCase, _) => plain(texts).map(Test::TextIgnoringCase),
        (Kind::Address | Kind::Bool | Kind::Date(_), _) => Err(Reason::ConditionOperator.at(place)),
    }
}

/// An address, or a CIDR block, whose host bits are ignored.
fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse().ok(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, value)| word.eq_ignore_ascii_case(text).then_some(value))
}

/// The [W3C] forms of ISO 8601, or epoch seconds. Four digits are a year.
///
/// [W3C]: https://www.w3.org/TR/NOTE-datetime
fn date(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.len() {
        4 if digits => day(text, "-01-01"),
        _ if digits => Timestamp::from_second(text.parse().ok()?).ok(),
        7 => day(text, "-01"),
        10 => day(text, ""),
        _ if text.contains('[') => None,
        _ => text.parse().ok(),
    }
}

fn day(text: &str, rest: &str) -> Option<Timestamp> {
    let date: civil::Date = format!("{text}{rest}").parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A time outside of what a calendar can show counts as its nearest end.
fn time(seconds: i64) -> Timestamp {
    let ends = Timestamp::MIN.as_second()..=Timestamp::MAX.as_second();
    let seconds = seconds.clamp(*ends.start(), *ends.end());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
