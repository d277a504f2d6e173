//! Selection expressions: which route, template or response a value selects.
//!
//! Grammar: literal text, `$name` and `${name}` variables, `\$` for a dollar
//! sign ([selection expressions]).
//!
//! [selection expressions]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-selection-expressions.html

use std::fmt::Write as _;

use jsonpath::{Found, Path};
use serde_json::Value as Json;

/// A compiled selection expression.
#[derive(Clone, Debug)]
pub struct Expression {
    /// The expression as written.
    pub source: String,
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// One part of an expression.
#[derive(Clone, Debug)]
pub enum Part {
    /// Fixed text.
    Literal(String),
    /// `request.body` and a path below it.
    Body(Path),
    /// `integration.response.statuscode`.
    StatusCode,
    /// `integration.response.header.NAME`: its last value.
    Header(String),
    /// `integration.response.multivalueheader.NAME`: all values, comma-separated.
    MultiValueHeader(String),
}

/// What an expression may refer to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Route and request template selection: the message only.
    Request,
    /// Response template selection: the message and the integration's answer.
    Response,
}

/// Why an expression does not compile.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong, in a sentence.
    pub message: String,
}

/// What the variables of an expression stand for.
#[derive(Debug, Default)]
pub struct Subject<'a> {
    /// The message, if it is JSON.
    pub body: Option<&'a Json>,
    /// Status of the integration's answer.
    pub status: Option<u16>,
    /// Headers of the integration's answer.
    pub headers: &'a [(String, String)],
}

impl Expression {
    /// Compiles `source`; variables outside `scope` are errors.
    pub fn parse(source: &str, scope: Scope) -> Result<Self, ExpressionError> {
        if EXPRESSION_BYTES_MAX < source.len() {
            return Err(error(format!("it is longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("\\$") {
                literal.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let end = after.find('}').ok_or_else(|| error("`${` has no closing `}`"))?;
                flush(&mut literal, &mut parts);
                parts.push(variable(&after[..end], scope)?);
                rest = &after[end + 1..];
            } else if let Some(after) = rest.strip_prefix('$') {
                let end = variable_end(after);
                if end == 0 {
                    return Err(error(
                        "`$` is followed by no name; write `\\$` for the sign itself",
                    ));
                }
                flush(&mut literal, &mut parts);
                parts.push(variable(&after[..end], scope)?);
                rest = &after[end..];
            } else {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        flush(&mut literal, &mut parts);
        Ok(Self { source: source.to_owned(), parts })
    }

    /// An expression that selects nothing.
    pub(crate) fn empty() -> Self {
        Self { source: String::new(), parts: Vec::new() }
    }

    /// The text of an expression without variables.
    pub fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The member names if the expression is one plain path below the body, so
    /// that a caller may scan the text instead of building a tree.
    pub fn body_members(&self) -> Option<&[String]> {
        match self.parts.as_slice() {
            [Part::Body(path)] => path.members().filter(|members| !members.is_empty()),
            _ => None,
        }
    }

    /// Evaluates once; a missing value is empty text.
    pub fn evaluate(&self, subject: &Subject<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Body(path) => {
                    if let Some(body) = subject.body {
                        write_found(&path.find(body), &mut out);
                    }
                }
                Part::StatusCode => {
                    if let Some(status) = subject.status {
                        write!(out, "{status}").expect("writing to a string");
                    }
                }
                Part::Header(name) => {
                    let mut values = values(subject.headers, name);
                    out.push_str(values.next_back().unwrap_or_default());
                }
                Part::MultiValueHeader(name) => {
                    let all: Vec<&str> = values(subject.headers, name).collect();
                    out.push_str(&all.join(","));
                }
            }
        }
        out
    }
}

/// Text of a JSON value in a selection: strings bare, lists as `[a, b]`.
pub fn selection_text(value: &Json) -> String {
    let mut out = String::new();
    write_value(value, &mut out, 0);
    out
}

/// Longest expression that is compiled; AWS allows 1,024 characters in none documented longer.
const EXPRESSION_BYTES_MAX: usize = 4096;

/// Nesting beyond which an object in a selection is cut: nobody routes on it.
const TEXT_DEPTH_MAX: usize = 32;

fn values<'a>(
    headers: &'a [(String, String)],
    name: &str,
) -> impl DoubleEndedIterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn write_found(found: &Found<'_>, out: &mut String) {
    match found {
        Found::Missing | Found::TooMuch => {}
        Found::One(value) => write_value(value, out, 0),
        Found::Many(list) => write_list(list.iter().map(|value| &**value), out, 0),
    }
}

fn write_value(value: &Json, out: &mut String, depth: usize) {
    if TEXT_DEPTH_MAX < depth {
        return;
    }
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => write!(out, "{number}").expect("writing to a string"),
        Json::String(text) => out.push_str(text),
        Json::Array(items) => write_list(items.iter(), out, depth),
        Json::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                out.push_str(key);
                out.push('=');
                write_value(value, out, depth + 1);
            }
            out.push('}');
        }
    }
}

fn write_list<'a>(items: impl Iterator<Item = &'a Json>, out: &mut String, depth: usize) {
    out.push('[');
    for (index, item) in items.enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        write_value(item, out, depth + 1);
    }
    out.push(']');
}

fn flush(literal: &mut String, parts: &mut Vec<Part>) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

/// Where an unwrapped variable ends: at the first character that cannot belong
/// to a path. Brackets count with everything between them.
fn variable_end(text: &str) -> usize {
    let mut bracket = false;
    for (index, c) in text.char_indices() {
        let belongs = if bracket {
            bracket = c != ']';
            true
        } else {
            bracket = c == '[';
            c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | '-')
        };
        if !belongs {
            return index;
        }
    }
    text.len()
}

fn variable(name: &str, scope: Scope) -> Result<Part, ExpressionError> {
    if let Some(tail) = name.strip_prefix("request.body")
        && (tail.is_empty() || tail.starts_with(['.', '[']))
    {
        let path = Path::parse_tail(tail)
            .map_err(|problem| error(format!("the path `{tail}` does not parse: {problem}")))?;
        return Ok(Part::Body(path));
    }
    if scope == Scope::Response {
        if name == "integration.response.statuscode" {
            return Ok(Part::StatusCode);
        }
        if let Some(header) = name.strip_prefix("integration.response.header.") {
            return Ok(Part::Header(header.to_owned()));
        }
        if let Some(header) = name.strip_prefix("integration.response.multivalueheader.") {
            return Ok(Part::MultiValueHeader(header.to_owned()));
        }
    }
    Err(error(format!("`{name}` cannot be used here; only `request.body` and paths below it can")))
}

fn error(message: impl Into<String>) -> ExpressionError {
    ExpressionError { message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"service":"chat","action":"join","data":{"room":"r1"},"n":7,"f":1.50,"t":true,"z":null,"l":["a","b"]}"#;

    #[track_caller]
    fn check(expression: &str, want: &str) {
        let body: Json = serde_json::from_str(MESSAGE).unwrap();
        let subject = Subject { body: Some(&body), ..Subject::default() };
        let compiled = Expression::parse(expression, Scope::Request).unwrap();
        assert_eq!(compiled.evaluate(&subject), want, "{expression}");
    }

    #[test]
    fn evaluates_as_the_service_documents() {
        check("$request.body.action", "join");
        check("${request.body.action}", "join");
        check("${request.body.service}/${request.body.action}", "chat/join");
        check("$request.body.service/$request.body.action", "chat/join");
        check("${request.body.action}-${request.body.nope}", "join-");
        check("action", "action");
        check("\\$default", "$default");
        check("$request.body.l", "[a, b]");
        check("$request.body.l[0]", "a");
        check("$request.body['action']", "join");
        check("$request.body.data.room", "r1");
        check("$request.body.n", "7");
        check("$request.body.f", "1.5");
        check("$request.body.t", "true");
        check("$request.body.z", "null");
    }

    #[test]
    fn refuses_what_a_message_does_not_have() {
        for source in ["$request.header.x", "${context.stage}", "$", "${request.body.a", "$.a"] {
            assert!(Expression::parse(source, Scope::Request).is_err(), "{source}");
        }
    }
}
