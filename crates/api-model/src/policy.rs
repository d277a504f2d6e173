//! IAM policy documents: parsing and evaluation ([policy grammar]).
//!
//! Only what a gateway can decide is accepted. An element that is not
//! evaluated makes the document malformed, so that nothing is granted, and
//! no Deny lost, because a condition was skipped.
//!
//! ```text
//!  any Deny matches ──▶ ExplicitDeny
//!  else any Allow ────▶ Allow
//!  else ──────────────▶ ImplicitDeny
//! ```
//!
//! [policy grammar]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

mod condition;
mod managed;
mod pattern;

use std::net::IpAddr;

use serde_json::{Map, Value};
use thiserror::Error;

use condition::Condition;
use pattern::{Pattern, Subject};

/// Statements in one document: far above what fits IAM's 10,240 characters.
pub const STATEMENTS_MAX: usize = 256;
/// Strings (actions, resources, condition values) in one document; bounds the work of one verdict.
pub const STRINGS_MAX: usize = 2048;
/// Bytes of all strings in one document: six times IAM's largest role policy.
pub const STRING_BYTES_MAX: usize = 64 * 1024;
/// Characters of one resource in a statement ([Lambda authorizer output]); also applied to actions.
///
/// [Lambda authorizer output]: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
pub const RESOURCE_CHARS_MAX: usize = 512;

/// Prefix of the gateway's own actions, which only policies that name it can allow.
pub const OWN_PREFIX: &str = "wsgate:";

/// A compiled policy document.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    statements: Vec<Statement>,
    /// Whether it only says what others may allow.
    is_boundary: bool,
}

impl Policy {
    /// Parses a document strictly, as for authorizer results and configured keys.
    ///
    /// `Version` is absent, `2008-10-17` or `2012-10-17`; `Statement` an object
    /// or an array of them. A statement holds `Effect`, exactly one of
    /// `Action`/`NotAction`, exactly one of `Resource`/`NotResource`, and may
    /// hold `Sid` and `Condition`. Everything else is [`Malformed`].
    ///
    /// Of the policy variables only the escapes `${*}`, `${?}` and `${$}` are
    /// understood (`2012-10-17` only; under the older version `$` is an
    /// ordinary character, as on AWS). Braces without `$`, as in
    /// `@connections/{connectionId}`, are always literal.
    pub fn parse(document: &Value) -> Result<Self, Malformed> {
        parse_document(document, Reading::All)
    }

    /// Parses a policy of a function's role: only statements whose actions can
    /// match `execute-api:` or `ssm:` are read, and those strictly.
    pub fn parse_role(document: &Value) -> Result<Self, Malformed> {
        parse_document(document, Reading::Served)
    }

    /// The AWS-managed policy of this name, or of the ARN that ends in it.
    ///
    /// Policies known to grant nothing that the gateway serves (log writing and
    /// the like) are empty. `None` means that the policy is not known here, and
    /// so grants nothing.
    pub fn managed(name: &str) -> Option<Self> {
        managed::find(name)
    }

    /// A [permissions boundary]: it allows nothing, and what it does not allow
    /// no other policy does.
    ///
    /// [permissions boundary]: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    pub fn boundary(policies: impl IntoIterator<Item = Self>) -> Self {
        let statements = policies.into_iter().flat_map(|policy| policy.statements).collect();
        Self { statements, is_boundary: true }
    }

    /// Decides one request by all policies together.
    ///
    /// The time grows with the policies' length times a 64th of the request's.
    pub fn evaluate<'p>(
        policies: impl IntoIterator<Item = &'p Self>,
        access: &Access<'_>,
    ) -> Verdict {
        let request = Request {
            access,
            action: Subject::new(access.action.to_ascii_lowercase()),
            resource: Subject::new(access.resource),
        };
        let (mut verdict, mut is_within) = (Verdict::ImplicitDeny, true);
        for policy in policies {
            let own = policy.decide(&request);
            match own {
                Verdict::ExplicitDeny => return own,
                _ if policy.is_boundary => is_within &= own == Verdict::Allow,
                Verdict::Allow => verdict = own,
                Verdict::ImplicitDeny => {}
            }
        }
        if is_within { verdict } else { Verdict::ImplicitDeny }
    }

    fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut verdict = Verdict::ImplicitDeny;
        for statement in &self.statements {
            if statement.effect == Effect::Allow && verdict == Verdict::Allow {
                continue; // Only a Deny can still change the outcome.
            }
            if statement.matches(request) {
                match statement.effect {
                    Effect::Allow => verdict = Verdict::Allow,
                    Effect::Deny => return Verdict::ExplicitDeny,
                }
            }
        }
        verdict
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text and `?`
/// for any character, as in the `SourceArn` of a permission.
pub fn matches(pattern: &str, text: &str) -> bool {
    Pattern::parse(pattern).matches(&Subject::new(text))
}

/// What is asked of the policies.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The action, such as `execute-api:Invoke`; letter case does not matter.
    pub action: &'a str,
    /// The full ARN of the resource; letter case matters.
    pub resource: &'a str,
    /// Address of the caller, for `aws:SourceIp`. An IPv4 address inside IPv6 counts as IPv4.
    pub source_ip: IpAddr,
    /// Time of the request in seconds since 1970, for `aws:CurrentTime`.
    pub now: i64,
    /// Whether the request came over TLS, for `aws:SecureTransport`.
    pub secure_transport: bool,
}

/// The outcome of an evaluation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// At least one Allow matched, and no Deny.
    Allow,
    /// A Deny matched.
    ExplicitDeny,
    /// Nothing matched.
    ImplicitDeny,
}

/// Why a document is refused, and where.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{place}: {reason}")]
pub struct Malformed {
    /// Path inside the document, such as `Statement[0].Action`.
    pub place: String,
    /// What is wrong there.
    pub reason: Reason,
}

/// What makes a document malformed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Reason {
    /// An action is neither `*` nor `service:name`.
    #[error("an action is `*` or has the form `service:name`")]
    Action,
    /// A condition key other than `aws:SourceIp`, `aws:CurrentTime`, `aws:SecureTransport`.
    #[error("only the keys aws:SourceIp, aws:CurrentTime and aws:SecureTransport are evaluated")]
    ConditionKey,
    /// An operator that is not evaluated, or not for this key.
    #[error("this operator is not evaluated, or not with this key")]
    ConditionOperator,
    /// A condition value that its operator cannot compare.
    #[error("the value does not have the form that its operator compares")]
    ConditionValue,
    /// `Effect` is not exactly `Allow` or `Deny`.
    #[error("expected `Allow` or `Deny`")]
    Effect,
    /// Both members of a pair, or neither.
    #[error("expected exactly one of the element and its `Not` form")]
    ExactlyOne,
    /// A list or a string without content.
    #[error("must not be empty")]
    Empty,
    /// An element that identity-based policies do not have, or that is not evaluated.
    #[error("unknown element")]
    Member,
    /// Not of the JSON kind this place needs.
    #[error("wrong JSON type")]
    Shape,
    /// Above one of the bounds of this module.
    #[error("too long")]
    TooLong,
    /// A policy variable other than `${{*}}`, `${{?}}` and `${{$}}`.
    #[error("policy variables are not evaluated")]
    Variable,
    /// `Version` is not a known one.
    #[error("expected 2012-10-17 or 2008-10-17")]
    Version,
}

impl Reason {
    fn at(self, place: &str) -> Malformed {
        Malformed { place: place.to_owned(), reason: self }
    }
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    action: Scope,
    resource: Scope,
    conditions: Vec<Condition>,
}

impl Statement {
    fn matches(&self, request: &Request<'_>) -> bool {
        self.covers_action(&request.action)
            && self.resource.contains(&request.resource)
            && self.conditions.iter().all(|condition| condition.holds(request.access))
    }

    /// The gateway's own actions are allowed only by patterns that spell their
    /// prefix: a `*` written for AWS's actions must not hand them out.
    fn covers_action(&self, action: &Subject) -> bool {
        if self.effect == Effect::Allow && action.text().starts_with(OWN_PREFIX) {
            return match &self.action {
                Scope::Only(patterns) => {
                    patterns.iter().any(|p| p.starts_with(OWN_PREFIX) && p.matches(action))
                }
                Scope::AllBut(_) => false,
            };
        }
        self.action.contains(action)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Effect {
    Allow,
    Deny,
}

/// The texts an element covers: `Action` and `Resource`, or their `Not` forms.
#[derive(Clone, Debug)]
enum Scope {
    Only(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

impl Scope {
    fn contains(&self, subject: &Subject) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(subject));
        match self {
            Self::Only(patterns) => any(patterns),
            Self::AllBut(patterns) => !any(patterns),
        }
    }

    /// Whether some action that starts with `prefix` may be covered.
    fn reaches(&self, prefix: &str) -> bool {
        match self {
            Self::Only(patterns) => patterns.iter().any(|p| p.reaches(prefix)),
            Self::AllBut(_) => true,
        }
    }
}

struct Request<'a> {
    access: &'a Access<'a>,
    action: Subject,
    resource: Subject,
}

/// Which statements of a document count.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Reading {
    All,
    /// Those about the services that the gateway stands in for.
    Served,
}

const SERVED: [&str; 2] = ["execute-api:", "ssm:"];

/// How `$` reads, which depends on the document's version.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Version {
    Of2008,
    Of2012,
}

/// What is left of the document's bounds.
struct Parser {
    version: Version,
    strings: usize,
    bytes: usize,
}

fn parse_document(document: &Value, reading: Reading) -> Result<Policy, Malformed> {
    let members = document.as_object().ok_or_else(|| Reason::Shape.at("policy"))?;
    let version = match members.get("Version").map(Value::as_str) {
        None | Some(Some("2008-10-17")) => Version::Of2008,
        Some(Some("2012-10-17")) => Version::Of2012,
        Some(_) => return Err(Reason::Version.at("Version")),
    };
    for (name, value) in members {
        match name.as_str() {
            "Version" | "Statement" => {}
            "Id" if value.is_string() => {}
            _ => return Err(Reason::Member.at(&shown(name))),
        }
    }
    let statements = match members.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        Some(_) | None => return Err(Reason::Shape.at("Statement")),
    };
    if STATEMENTS_MAX < statements.len() {
        return Err(Reason::TooLong.at("Statement"));
    }
    let mut parser = Parser { version, strings: STRINGS_MAX, bytes: STRING_BYTES_MAX };
    let mut policy = Policy::default();
    for (index, statement) in statements.iter().enumerate() {
        let place = format!("Statement[{index}]");
        let members = statement.as_object().ok_or_else(|| Reason::Shape.at(&place))?;
        let action = parser.scope(members, &place, "Action")?;
        if reading == Reading::All || SERVED.iter().any(|prefix| action.reaches(prefix)) {
            policy.statements.push(parser.statement(members, action, &place)?);
        }
    }
    Ok(policy)
}

impl Parser {
    fn statement(
        &mut self,
        members: &Map<String, Value>,
        action: Scope,
        place: &str,
    ) -> Result<Statement, Malformed> {
        let mut effect = None;
        let mut conditions = Vec::new();
        for (name, value) in members {
            let place = || format!("{place}.{}", shown(name));
            match name.as_str() {
                "Action" | "NotAction" | "Resource" | "NotResource" => {}
                "Sid" if value.is_string() => {}
                "Effect" => {
                    effect = Some(match value.as_str() {
                        Some("Allow") => Effect::Allow,
                        Some("Deny") => Effect::Deny,
                        Some(_) | None => return Err(Reason::Effect.at(&place())),
                    });
                }
                "Condition" => conditions = condition::parse(self, value, &place())?,
                _ => return Err(Reason::Member.at(&place())),
            }
        }
        let effect = effect.ok_or_else(|| Reason::Effect.at(place))?;
        let resource = self.scope(members, place, "Resource")?;
        Ok(Statement { effect, action, resource, conditions })
    }

    fn scope(
        &mut self,
        members: &Map<String, Value>,
        place: &str,
        name: &str,
    ) -> Result<Scope, Malformed> {
        let negated = format!("Not{name}");
        match (members.get(name), members.get(&negated)) {
            (Some(value), None) => {
                Ok(Scope::Only(self.patterns(value, &format!("{place}.{name}"), name)?))
            }
            (None, Some(value)) => {
                Ok(Scope::AllBut(self.patterns(value, &format!("{place}.{negated}"), name)?))
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(Reason::ExactlyOne.at(&format!("{place}.{name}")))
            }
        }
    }

    fn patterns(
        &mut self,
        value: &Value,
        place: &str,
        name: &str,
    ) -> Result<Vec<Pattern>, Malformed> {
        let values = list(value, place)?;
        let mut patterns = Vec::with_capacity(values.len().min(STRINGS_MAX));
        for value in values {
            let text = value.as_str().ok_or_else(|| Reason::Shape.at(place))?;
            self.take(text, place)?;
            if text.is_empty() {
                return Err(Reason::Empty.at(place));
            }
            if text.chars().nth(RESOURCE_CHARS_MAX).is_some() {
                return Err(Reason::TooLong.at(place));
            }
            patterns.push(if name == "Action" {
                action_pattern(text).ok_or_else(|| Reason::Action.at(place))?
            } else {
                self.pattern(text, place)?
            });
        }
        Ok(patterns)
    }

    /// A pattern in which `${…}` may occur.
    fn pattern(&self, text: &str, place: &str) -> Result<Pattern, Malformed> {
        match self.version {
            Version::Of2008 => Ok(Pattern::parse(text)),
            Version::Of2012 => {
                Pattern::parse_escaped(text).ok_or_else(|| Reason::Variable.at(place))
            }
        }
    }

    /// Counts one string against the document's bounds.
    fn take(&mut self, text: &str, place: &str) -> Result<(), Malformed> {
        let strings = self.strings.checked_sub(1);
        let bytes = self.bytes.checked_sub(text.len());
        let (Some(strings), Some(bytes)) = (strings, bytes) else {
            return Err(Reason::TooLong.at(place));
        };
        (self.strings, self.bytes) = (strings, bytes);
        Ok(())
    }
}

/// Actions are `*` or `service:name`, ASCII, and compared in lower case.
fn action_pattern(text: &str) -> Option<Pattern> {
    let everything = text.bytes().all(|b| b == b'*');
    let named = text.bytes().filter(|b| *b == b':').count() == 1;
    (text.is_ascii() && (everything || named)).then(|| Pattern::parse(&text.to_ascii_lowercase()))
}

/// A value, or the values of a non-empty array.
fn list<'v>(value: &'v Value, place: &str) -> Result<&'v [Value], Malformed> {
    match value {
        Value::Array(values) if values.is_empty() => Err(Reason::Empty.at(place)),
        Value::Array(values) => Ok(values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Ok(std::slice::from_ref(value))
        }
    }
}

/// A member's name as it may stand in a message: without control characters, cut at 64.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
