//! `Parameters`: declarations, values and constraints.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use api_model::{Diagnostic, Diagnostics, Entry, Node, Span, Value};
use regex::RegexBuilder;

use crate::document::excerpt;
use crate::nearest::nearest;
use crate::template::{literal, members};
use crate::{Options, codes, file_start, scalar};

/// Longest parameter value, in bytes; AWS's own limit.
const VALUE_BYTES_MAX: usize = 4096;

/// Most parameters of a template: each may cost the compilation of a pattern.
const PARAMETERS_MAX: usize = 500;

/// Largest compiled `AllowedPattern`, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Most allowed values that a hint lists.
const HINT_VALUES_MAX: usize = 10;

const ATTRIBUTES: [&str; 11] = [
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
];

/// Reports values for parameters that no template declares.
pub(crate) fn check_names(
    given: &[(String, String)],
    declared: &[String],
    diagnostics: &mut Diagnostics,
) {
    for (name, _) in given {
        if declared.iter().any(|declared| declared == name) {
            continue;
        }
        let message = format!(
            "no template declares parameter `{}`, so its value would go nowhere",
            excerpt(name)
        );
        let finding = diagnostics.error(codes::PARAMETER_UNKNOWN, file_start(0), message);
        if let Some(near) = nearest(name, declared.iter().map(String::as_str)) {
            finding.hint(format!("write `--parameter {near}=VALUE`"));
        }
    }
}

/// The values of parameters.
pub(crate) struct Values<'a> {
    /// By name; each parameter of the template has one.
    pub(crate) by_name: HashMap<&'a str, Node>,
    /// Texts that no message may repeat: values of `NoEcho` parameters, and
    /// values from SSM.
    pub(crate) secrets: Vec<String>,
}

/// The [parameters] of one template with their values; what has no usable value
/// is unresolved, and reported.
///
/// [parameters]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
pub(crate) fn evaluate<'a>(
    entries: &'a [Entry],
    options: &Options,
    earlier_ssm: &BTreeMap<String, String>,
    diagnostics: &mut Diagnostics,
) -> Values<'a> {
    let given: HashMap<&str, &str> =
        options.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut by_name = HashMap::new();
    let mut secrets = Vec::new();
    if let Some(entry) = entries.get(PARAMETERS_MAX) {
        let message =
            format!("more than {PARAMETERS_MAX} parameters are declared; the rest is not read");
        diagnostics
            .error(codes::TOO_LARGE, entry.key_span, message)
            .hint("AWS accepts 200 at most");
    }
    for entry in entries {
        if by_name.len() >= PARAMETERS_MAX {
            // Known, so that no reference to it is a second finding.
            by_name.insert(entry.key.as_str(), Node::new(Value::Unresolved, entry.key_span));
            continue;
        }
        let first = diagnostics.list.len();
        let declaration = Declaration::read(entry, diagnostics);
        let value = declaration.as_ref().and_then(|declaration| {
            let text = declaration.text(given.get(entry.key.as_str()).copied(), diagnostics)?;
            declaration.check(&text, diagnostics);
            declaration.value(&text, options, earlier_ssm, diagnostics)
        });
        let found = &mut diagnostics.list[first..];
        for finding in found.iter_mut() {
            finding.property.get_or_insert_with(|| format!("Parameters.{}", entry.key));
        }
        let is_wrong = found.iter().any(|one| one.severity == api_model::Severity::Error);
        let value = value.filter(|_| !is_wrong).unwrap_or(Value::Unresolved);
        let value = Node::new(value, entry.key_span);
        if declaration.is_some_and(|declaration| declaration.is_secret()) {
            secrets.extend(value.as_text().map(Cow::into_owned));
            secrets.extend(value.items().iter().filter_map(|item| Some(item.as_text()?.into())));
        }
        by_name.insert(entry.key.as_str(), value);
    }
    Values { by_name, secrets }
}

/// How the value of a parameter is written.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Text,
    Number,
    TextList,
    NumberList,
}

struct Declaration<'a> {
    name: &'a str,
    span: Span,
    attributes: &'a [Entry],
    shape: Shape,
    /// The given value is the name of an SSM parameter.
    is_ssm: bool,
}

impl<'a> Declaration<'a> {
    fn read(entry: &'a Entry, diagnostics: &mut Diagnostics) -> Option<Self> {
        let attributes = members(&entry.value, &entry.key, diagnostics);
        for attribute in attributes {
            if !ATTRIBUTES.contains(&attribute.key.as_str()) {
                let message = format!("parameters have no attribute `{}`", excerpt(&attribute.key));
                let finding =
                    diagnostics.error(codes::PARAMETER_DECLARATION, attribute.key_span, message);
                if let Some(near) = nearest(&attribute.key, ATTRIBUTES) {
                    finding.hint(format!("write `{near}`"));
                }
            }
        }
        if !matches!(entry.value.value, Value::Map(_)) {
            return None;
        }
        let Some(node) = entry.value.find("Type") else {
            let message = format!("parameter `{}` has no `Type`", excerpt(&entry.key));
            diagnostics
                .error(codes::PARAMETER_DECLARATION, entry.key_span, message)
                .hint("write `Type: String`");
            return None;
        };
        let name = literal(node, "Type", diagnostics)?;
        let Some((shape, is_ssm)) = parse_type(&name) else {
            let message = format!("there is no parameter type `{}`", excerpt(&name));
            let near = nearest(&name, ["String", "Number", "CommaDelimitedList", "List<Number>"]);
            diagnostics
                .error(codes::PARAMETER_DECLARATION, node.span, message)
                .hint(format!("write `{}`", near.unwrap_or("String")));
            return None;
        };
        Some(Self { name: &entry.key, span: entry.key_span, attributes, shape, is_ssm })
    }

    fn attribute(&self, name: &str) -> Option<&'a Node> {
        self.attributes.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    fn is_secret(&self) -> bool {
        let no_echo = self.attribute("NoEcho").and_then(Node::as_text);
        self.is_ssm || no_echo.is_some_and(|no_echo| !no_echo.eq_ignore_ascii_case("false"))
    }

    /// The given value, else the default; a missing one is reported.
    fn text(&self, given: Option<&str>, diagnostics: &mut Diagnostics) -> Option<String> {
        let text = match (given, self.attribute("Default")) {
            (Some(given), _) => given.to_owned(),
            (None, Some(default)) => literal(default, "Default", diagnostics)?,
            (None, None) => {
                let message = format!(
                    "parameter `{}` has no default and got no value, so nothing that uses it is known",
                    excerpt(self.name)
                );
                diagnostics
                    .error(codes::PARAMETER_MISSING, self.span, message)
                    .hint(format!("add `--parameter {}=VALUE`", excerpt(self.name)));
                return None;
            }
        };
        if text.len() > VALUE_BYTES_MAX {
            let what = format!("is longer than {VALUE_BYTES_MAX} bytes");
            self.refuse(&what, diagnostics);
            return None;
        }
        Some(text)
    }

    /// Checks all constraints; the value itself never stands in a message.
    fn check(&self, text: &str, diagnostics: &mut Diagnostics) {
        let items: Vec<&str> = match self.shape {
            Shape::Text | Shape::Number => vec![text],
            Shape::TextList | Shape::NumberList => split_list(text).collect(),
        };
        if !self.is_ssm && matches!(self.shape, Shape::Number | Shape::NumberList) {
            for item in &items {
                if parse_number(item).is_none() {
                    self.refuse("is not a number", diagnostics);
                }
            }
        }
        self.check_allowed_values(&items, diagnostics);
        self.check_pattern(&items, diagnostics);
        if self.shape == Shape::Text {
            let length = text.chars().count() as f64;
            self.check_bound("MinLength", length, "is shorter than", diagnostics);
            self.check_bound("MaxLength", length, "is longer than", diagnostics);
        }
        if let (Shape::Number, Some(number)) = (self.shape, parse_number(text)) {
            self.check_bound("MinValue", number, "is less than", diagnostics);
            self.check_bound("MaxValue", number, "is more than", diagnostics);
        }
    }

    fn check_allowed_values(&self, items: &[&str], diagnostics: &mut Diagnostics) {
        let Some(node) = self.attribute("AllowedValues") else {
            return;
        };
        let Value::List(allowed) = &node.value else {
            let message = "`AllowedValues` must be a list";
            diagnostics.error(codes::PARAMETER_DECLARATION, node.span, message);
            return;
        };
        let allowed: Vec<_> =
            allowed.iter().filter_map(|item| literal(item, "AllowedValues", diagnostics)).collect();
        if items.iter().any(|item| !allowed.iter().any(|allowed| allowed == item)) {
            let shown: Vec<_> =
                allowed.iter().take(HINT_VALUES_MAX).map(|value| excerpt(value)).collect();
            let more = if shown.len() < allowed.len() { ", …" } else { "" };
            self.refuse("is not one of the allowed values", diagnostics)
                .hint
                .get_or_insert_with(|| format!("give one of: {}{more}", shown.join(", ")));
        }
    }

    fn check_pattern(&self, items: &[&str], diagnostics: &mut Diagnostics) {
        let Some(node) = self.attribute("AllowedPattern") else {
            return;
        };
        let Some(pattern) = literal(node, "AllowedPattern", diagnostics) else {
            return;
        };
        let anchored = format!(r"\A(?:{pattern})\z");
        match RegexBuilder::new(&anchored).size_limit(PATTERN_BYTES_MAX).build() {
            Ok(regex) if items.iter().all(|item| regex.is_match(item)) => {}
            Ok(_) => {
                self.refuse("does not match `AllowedPattern`", diagnostics)
                    .hint
                    .get_or_insert_with(|| format!("match `{}` as a whole", excerpt(&pattern)));
            }
            Err(_) => {
                let message = "this `AllowedPattern` cannot be evaluated here (look-around and back-references are not supported), so the value is not checked against it";
                diagnostics.warning(codes::PARAMETER_DECLARATION, node.span, message);
            }
        }
    }

    fn check_bound(
        &self,
        attribute: &str,
        actual: f64,
        complaint: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(node) = self.attribute(attribute) else {
            return;
        };
        let Some(bound) = literal(node, attribute, diagnostics) else {
            return;
        };
        let Some(limit) = parse_number(&bound) else {
            let message = format!("`{attribute}` must be a number");
            diagnostics.error(codes::PARAMETER_DECLARATION, node.span, message);
            return;
        };
        let breaks = if attribute.starts_with("Min") { actual < limit } else { limit < actual };
        if breaks {
            let bound = excerpt(&bound);
            self.refuse(&format!("{complaint} `{attribute}`, which is {bound}"), diagnostics);
        }
    }

    fn refuse<'d>(&self, what: &str, diagnostics: &'d mut Diagnostics) -> &'d mut Diagnostic {
        let message = format!("the value of parameter `{}` {what}", excerpt(self.name));
        let described = self.attribute("ConstraintDescription").and_then(Node::as_text);
        let finding = diagnostics.error(codes::PARAMETER_VALUE, self.span, message);
        if let Some(description) = described {
            finding.hint(excerpt(&description));
        }
        finding
    }

    fn value(
        &self,
        text: &str,
        options: &Options,
        earlier_ssm: &BTreeMap<String, String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Value> {
        if !self.is_ssm {
            return Some(to_value(text, self.shape, self.span));
        }
        let found = options.ssm_parameters.get(text).or_else(|| earlier_ssm.get(text));
        let bootstrap = is_bootstrap_version(text).then_some(BOOTSTRAP_VERSION);
        let Some(found) = found.map(String::as_str).or(bootstrap) else {
            let message = format!(
                "the value of SSM parameter `{}`, which `{}` names, is not configured; what uses it stays unknown",
                excerpt(text),
                excerpt(self.name)
            );
            diagnostics
                .warning(codes::SSM_PARAMETER, self.span, message)
                .hint("add it to [parameters] in wsgate.toml");
            return None;
        };
        Some(to_value(found, self.shape, self.span))
    }
}

/// The version of the resources that `cdk bootstrap` would have made: as new
/// as any template of the CDK asks for.
const BOOTSTRAP_VERSION: &str = "1000";

/// Whether an SSM parameter is the one in which the CDK keeps that version:
/// `/cdk-bootstrap/{qualifier}/version`.
fn is_bootstrap_version(name: &str) -> bool {
    let rest = name.strip_prefix("/cdk-bootstrap/");
    rest.and_then(|rest| rest.strip_suffix("/version")).is_some_and(|name| !name.contains('/'))
}

fn to_value(text: &str, shape: Shape, span: Span) -> Value {
    let number = |text: &str| match scalar::number(text) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    };
    match shape {
        Shape::Text => Value::String(text.to_owned()),
        Shape::Number => number(text.trim()),
        Shape::TextList => Value::List(
            split_list(text).map(|item| Node::new(Value::String(item.to_owned()), span)).collect(),
        ),
        Shape::NumberList => {
            Value::List(split_list(text).map(|item| Node::new(number(item), span)).collect())
        }
    }
}

/// Shape of the value, and whether it comes from SSM.
fn parse_type(name: &str) -> Option<(Shape, bool)> {
    let ssm =
        name.strip_prefix("AWS::SSM::Parameter::Value<").and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = ssm {
        let shape = match inner {
            "List<String>" => Shape::TextList,
            _ => parse_type(inner).filter(|(_, nested)| !nested)?.0,
        };
        return Some((shape, true));
    }
    let shape = match name {
        "String" => Shape::Text,
        "Number" => Shape::Number,
        "CommaDelimitedList" => Shape::TextList,
        "List<Number>" => Shape::NumberList,
        _ => match name.strip_prefix("List<").and_then(|rest| rest.strip_suffix('>')) {
            Some(item) if is_aws_type(item) => Shape::TextList,
            None if is_aws_type(name) => Shape::Text,
            _ => return None,
        },
    };
    Some((shape, false))
}

/// `AWS::EC2::VPC::Id` and its like.
fn is_aws_type(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    name.strip_prefix("AWS::").is_some_and(|rest| rest.split("::").all(is_word))
}

fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

fn parse_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if is_plain { text.parse().ok() } else { None }
}
