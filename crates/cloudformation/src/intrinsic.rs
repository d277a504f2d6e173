//! What each intrinsic function gives ([reference]).
//!
//! [reference]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html

use std::collections::HashMap;

use api_model::{Node, Span, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::attribute::{self, Attribute};
use crate::codes;
use crate::document::excerpt;
use crate::function::{self, Piece};
use crate::nearest::nearest;
use crate::physical::PSEUDO_PARAMETERS;
use crate::resolve::{Resolver, Slot};
use crate::template::kind;
use crate::transform::language;

/// Availability zones of every region, as far as templates can tell here.
const ZONES: [&str; 3] = ["a", "b", "c"];

impl Resolver<'_, '_> {
    pub(crate) fn call_ref(&mut self, argument: &Node, span: Span) -> Option<Node> {
        match &argument.value {
            Value::String(name) => self.reference(name, span),
            _ => {
                let message = "`Ref` takes the name of a parameter or resource";
                let lacks_transform =
                    !self.scope.has_language_extensions && function::call(argument).is_some();
                let finding = self.error(codes::ARGUMENTS, argument.span, message);
                if lacks_transform {
                    finding.hint(language::HINT);
                }
                Some(Node::new(Value::Unresolved, span))
            }
        }
    }

    /// What `Ref` of a name gives; `None` for `AWS::NoValue`.
    fn reference(&mut self, name: &str, span: Span) -> Option<Node> {
        if name == "AWS::NoValue" {
            return None;
        }
        let scope = self.scope;
        if name == "AWS::NotificationARNs" {
            return Some(Node::new(Value::List(Vec::new()), span));
        }
        if let Some(text) = scope.names.pseudo_parameter(name) {
            return Some(self.text_node(&text, span));
        }
        if let Some(value) = scope.parameters.get(name) {
            return Some(self.copied(value, span));
        }
        let text = self.resource(name, span).map(|resource| resource.physical_id.clone());
        Some(
            text.map_or_else(
                || Node::new(Value::Unresolved, span),
                |text| self.text_node(&text, span),
            ),
        )
    }

    /// The resource of that name, if it is there and resolved; a wrong name is reported.
    fn resource(&mut self, name: &str, span: Span) -> Option<&api_model::Resource> {
        let scope = self.scope;
        let at = scope.index.get(name).copied();
        if at.is_some() && self.in_condition() {
            let message = format!(
                "this is worked out before resources exist, so `{}` has no value here",
                excerpt(name)
            );
            self.error(codes::UNKNOWN_NAME, span, message).hint("refer to parameters only");
            return None;
        }
        match at.map(|at| &scope.slots[at]) {
            Some(Slot::Ready(resource)) => Some(resource),
            Some(Slot::Pending) => None,
            Some(Slot::Excluded) => {
                let message = format!(
                    "resource `{}` is not created, because its condition is false",
                    excerpt(name)
                );
                self.error(codes::NOT_CREATED, span, message).hint(
                    "use the same condition here: !If [Condition, !Ref ..., !Ref AWS::NoValue]",
                );
                None
            }
            None if scope.parameters.contains_key(name) => {
                let message = format!(
                    "`{}` is a parameter, and only resources have attributes",
                    excerpt(name)
                );
                self.error(codes::UNKNOWN_NAME, span, message)
                    .hint(format!("write `!Ref {}`", excerpt(name)));
                None
            }
            None => {
                let candidates = scope.index.keys().chain(scope.parameters.keys()).copied();
                let near = self.suggest(name, candidates.chain(PSEUDO_PARAMETERS));
                let message = format!(
                    "the template defines no parameter or resource `{}`, so the value is not known",
                    excerpt(name)
                );
                let finding = self.error(codes::UNKNOWN_NAME, span, message);
                match near {
                    Some(near) => finding.hint(format!("write `{near}`")),
                    None => finding
                        .hint("declare it; inside !Sub, write ${!name} for a literal ${name}"),
                };
                None
            }
        }
    }

    pub(crate) fn call_get_att(&mut self, argument: &Node, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        if argument.items().first().is_some_and(Node::is_unresolved) {
            return unknown;
        }
        let parts = match &argument.value {
            Value::String(text) => text
                .split_once('.')
                .map(|(owner, attribute)| (owner.to_owned(), attribute.to_owned())),
            Value::List(items) => match items.as_slice() {
                [Node { value: Value::String(owner), .. }, attribute] => {
                    let Some(attribute) = self.text(attribute, "the attribute") else {
                        return unknown;
                    };
                    Some((owner.clone(), attribute))
                }
                _ => None,
            },
            _ => None,
        };
        match parts {
            Some((owner, attribute)) => self.attribute(&owner, &attribute, span),
            None => {
                let message = "`Fn::GetAtt` takes a resource and an attribute";
                let lacks_transform = !self.scope.has_language_extensions
                    && argument
                        .items()
                        .first()
                        .is_some_and(|owner| function::call(owner).is_some());
                let hint = if lacks_transform {
                    language::HINT
                } else {
                    "write `!GetAtt Resource.Attribute`"
                };
                self.error(codes::ARGUMENTS, argument.span, message).hint(hint);
                unknown
            }
        }
    }

    fn attribute(&mut self, owner: &str, name: &str, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        let names = self.scope.names.clone();
        let Some(resource) = self.resource(owner, span) else {
            return unknown;
        };
        let resource_type = resource.resource_type.clone();
        match attribute::find(resource, name, &names) {
            Attribute::Text(text) => self.text_node(&text, span),
            Attribute::Unresolved => unknown,
            Attribute::OnlyOnAws => {
                let message = format!(
                    "attribute `{}` of `{}` is made by AWS when it is deployed; what uses it stays unknown",
                    self.shown(name),
                    excerpt(owner)
                );
                self.warning(codes::CUSTOM_RESOURCE, span, message)
                    .hint("take the value from a parameter, so that it can be given here");
                unknown
            }
            Attribute::Missing(known) => {
                let message = format!(
                    "`{}`, an {resource_type}, has no attribute `{}`",
                    excerpt(owner),
                    self.shown(name)
                );
                let hint = nearest(name, known.iter().copied()).map_or_else(
                    || format!("it has: {}", known.join(", ")),
                    |near| format!("write `{owner}.{near}`"),
                );
                self.error(codes::UNKNOWN_ATTRIBUTE, span, message).hint(hint);
                unknown
            }
        }
    }

    pub(crate) fn call_sub(&mut self, argument: &Node, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        let Some((text, variables)) = function::sub_parts(argument) else {
            let message = "`Fn::Sub` takes a text, or a list of a text and a mapping of variables";
            self.error(codes::ARGUMENTS, argument.span, message);
            return unknown;
        };
        let mut values = Vec::new();
        for entry in variables.map(Node::entries).unwrap_or_default() {
            let value = self.text(&entry.value, &format!("variable `{}`", excerpt(&entry.key)));
            values.push((entry.key.as_str(), value));
        }
        let values: HashMap<_, _> = values.into_iter().collect();
        let text_span = argument.items().first().map_or(argument.span, |text| text.span);
        let mut occurrences: HashMap<&str, usize> = HashMap::new();
        let mut result = Some(String::new());
        for piece in function::sub_pieces(text) {
            let piece = match piece {
                Piece::Text(text) => Some(text.to_owned()),
                Piece::Name(name) => match values.get(name) {
                    Some(value) => value.clone(),
                    None => {
                        let (since, nth) = (self.findings(), occurrences.entry(name).or_default());
                        let value = self.sub_name(name, text_span);
                        self.move_findings(since, text_span, &format!("${{{name}}}"), *nth);
                        *nth += 1;
                        value
                    }
                },
            };
            // What follows an unknown piece is still checked.
            result = match (result, piece) {
                (Some(mut result), Some(piece)) if self.take(piece.len(), span) => {
                    result.push_str(&piece);
                    Some(result)
                }
                _ => None,
            };
        }
        result.map_or(unknown, |text| Node::new(Value::String(text), span))
    }

    /// What `${name}` stands for.
    fn sub_name(&mut self, name: &str, span: Span) -> Option<String> {
        let is_valid = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_'));
        if !is_valid {
            let message = format!(
                "`${{{}}}` in `Fn::Sub` is no name: only letters, digits, `.`, `:` and `_` are",
                excerpt(name)
            );
            self.error(codes::ARGUMENTS, span, message)
                .hint(format!("write `${{!{}}}` for the text itself", excerpt(name)));
            return None;
        }
        let value = match name.split_once('.') {
            Some((owner, attribute)) => self.attribute(owner, attribute, span),
            None => self.reference(name, span).unwrap_or_else(|| {
                let message = "`AWS::NoValue` is no text, so it cannot stand in `Fn::Sub`";
                self.error(codes::ARGUMENTS, span, message);
                Node::new(Value::Unresolved, span)
            }),
        };
        if matches!(value.value, Value::List(_)) {
            let message = format!("`{name}` is a list, and `Fn::Sub` inserts text only");
            self.error(codes::ARGUMENTS, span, message)
                .hint(format!("write `!Join [\",\", !Ref {name}]`"));
        }
        value.as_text().map(std::borrow::Cow::into_owned)
    }

    pub(crate) fn call_join(&mut self, argument: &Node, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        let [delimiter, list] = argument.items() else {
            return self.wrong_arguments("`Fn::Join` takes a delimiter and a list", argument, span);
        };
        let delimiter = self.text(delimiter, "the delimiter of `Fn::Join`");
        let items = self.list(list, "the second argument of `Fn::Join`");
        let (Some(delimiter), Some(items)) = (delimiter, items) else {
            return unknown;
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in &items {
            match item.as_text() {
                Some(text) => texts.push(text),
                None if item.is_unresolved() => return unknown,
                None => {
                    let message = "`Fn::Join` joins strings only, and this item is none";
                    self.error(codes::ARGUMENTS, item.span, message);
                    return unknown;
                }
            }
        }
        let gaps = delimiter.len().saturating_mul(texts.len().saturating_sub(1));
        let text_bytes = texts.iter().map(|text| text.len()).sum::<usize>().saturating_add(gaps);
        if !self.take(text_bytes, span) {
            return unknown;
        }
        Node::new(Value::String(texts.join(&delimiter)), span)
    }

    pub(crate) fn call_select(&mut self, argument: &Node, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        let [index, list] = argument.items() else {
            return self.wrong_arguments("`Fn::Select` takes an index and a list", argument, span);
        };
        let index_span = index.span;
        let index = self.text(index, "the index of `Fn::Select`");
        let items = self.list(list, "the second argument of `Fn::Select`");
        let (Some(index), Some(mut items)) = (index, items) else {
            return unknown;
        };
        match index.parse::<usize>() {
            Ok(at) if at < items.len() => Node { span, ..items.swap_remove(at) },
            _ => {
                let message = format!(
                    "index `{}` selects nothing from a list of {}",
                    self.shown(&index),
                    items.len()
                );
                self.error(codes::SELECT_INDEX, index_span, message)
                    .hint("the first item has index 0");
                unknown
            }
        }
    }

    pub(crate) fn call_split(&mut self, argument: &Node, span: Span) -> Node {
        let unknown = Node::new(Value::Unresolved, span);
        let [delimiter, text] = argument.items() else {
            return self.wrong_arguments(
                "`Fn::Split` takes a delimiter and a string",
                argument,
                span,
            );
        };
        let delimiter_span = delimiter.span;
        let delimiter = self.text(delimiter, "the delimiter of `Fn::Split`");
        let text = self.text(text, "the second argument of `Fn::Split`");
        let (Some(delimiter), Some(text)) = (delimiter, text) else {
            return unknown;
        };
        if delimiter.is_empty() {
            let message = "the delimiter of `Fn::Split` must not be empty";
            self.error(codes::ARGUMENTS, delimiter_span, message);
            return unknown;
        }
        let items = text.split(delimiter.as_str()).map(|part| self.text_node(part, span)).collect();
        Node::new(Value::List(items), span)
    }

    pub(crate) fn call_if(&mut self, argument: &Node, span: Span) -> Option<Node> {
        let [name, yes, no] = argument.items() else {
            let message = "`Fn::If` takes a condition name and two values";
            return Some(self.wrong_arguments(message, argument, span));
        };
        match self.named_condition(name) {
            Some(true) => self.resolve(yes),
            Some(false) => self.resolve(no),
            None => Some(Node::new(Value::Unresolved, span)),
        }
    }

    pub(crate) fn call_find_in_map(&mut self, argument: &Node, span: Span) -> Option<Node> {
        let unknown = Node::new(Value::Unresolved, span);
        let (keys, default) = match argument.items() {
            [map, top, second] => ([map, top, second], None),
            [map, top, second, options] if options.find("DefaultValue").is_some() => {
                self.need_language_extensions("a `DefaultValue`", options.span);
                ([map, top, second], options.find("DefaultValue"))
            }
            _ => {
                let message = "`Fn::FindInMap` takes a mapping name and two keys";
                return Some(self.wrong_arguments(message, argument, span));
            }
        };
        for key in keys {
            let name = function::call(key).map_or("Ref", |call| call.name);
            if !matches!(name, "Ref" | "Fn::FindInMap") {
                self.need_language_extensions(&format!("`{}` here", excerpt(name)), key.span);
            }
        }
        let texts = keys.map(|key| self.text(key, "a key of `Fn::FindInMap`"));
        let [Some(map), Some(top), Some(second)] = texts else {
            return Some(unknown);
        };
        let scope = self.scope;
        let mapping = scope.mappings.get(map.as_str());
        let tops = mapping.and_then(|mapping| mapping.get(top.as_str()));
        let value = tops.and_then(|tops| tops.get(second.as_str()));
        if let Some(value) = value {
            return Some(self.copied(value, span));
        }
        if let Some(default) = default {
            return self.resolve(default);
        }
        let (at, key, near) = match (mapping, tops) {
            (None, _) => (0, &map, self.suggest(&map, scope.mappings.keys().copied())),
            (Some(mapping), None) => (1, &top, self.suggest(&top, mapping.keys().copied())),
            (_, Some(tops)) => (2, &second, self.suggest(&second, tops.keys().copied())),
        };
        let message = match at {
            0 => format!("the template defines no mapping `{}`", self.shown(key)),
            _ => format!("mapping `{}` has no key `{}` here", self.shown(&map), self.shown(key)),
        };
        let hint = near.map_or_else(
            || "add it to the section `Mappings`".to_owned(),
            |near| format!("write `{near}`"),
        );
        self.error(codes::MAPPING_KEY, keys[at].span, message).hint(hint);
        Some(unknown)
    }

    pub(crate) fn call_import_value(&mut self, argument: &Node, span: Span) -> Node {
        let Some(name) = self.text(argument, "the name of an export") else {
            return Node::new(Value::Unresolved, span);
        };
        let scope = self.scope;
        if let Some(value) = scope.exports.get(&name) {
            return self.copied(value, span);
        }
        let near = self.suggest(&name, scope.exports.keys().map(String::as_str));
        let message = format!("no template given before this one exports `{}`", self.shown(&name));
        let hint = near.map_or_else(
            || "give the template that exports it first".to_owned(),
            |near| format!("write `{}`", excerpt(near)),
        );
        self.error(codes::UNKNOWN_EXPORT, argument.span, message).hint(hint);
        Node::new(Value::Unresolved, span)
    }

    pub(crate) fn call_base64(&mut self, argument: &Node, span: Span) -> Node {
        let Some(text) = self.text(argument, "the argument of `Fn::Base64`") else {
            return Node::new(Value::Unresolved, span);
        };
        self.text_node(&STANDARD.encode(text), span)
    }

    pub(crate) fn call_get_azs(&mut self, argument: &Node, span: Span) -> Node {
        let Some(mut region) = self.text(argument, "the argument of `Fn::GetAZs`") else {
            return Node::new(Value::Unresolved, span);
        };
        if region.is_empty() {
            region.clone_from(&self.scope.names.region);
        }
        let zones = ZONES.map(|zone| self.text_node(&format!("{region}{zone}"), span));
        Node::new(Value::List(zones.into()), span)
    }

    /// [`Fn::Length`]: how many items a list has.
    ///
    /// [`Fn::Length`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-length.html
    pub(crate) fn call_length(&mut self, argument: &Node, span: Span) -> Node {
        self.need_language_extensions("`Fn::Length`", span);
        let items = self.list(argument, "the argument of `Fn::Length`");
        let value = items.map_or(Value::Unresolved, |items| Value::Number(items.len().into()));
        Node::new(value, span)
    }

    /// [`Fn::ToJsonString`]: a list or mapping as JSON without white space.
    ///
    /// [`Fn::ToJsonString`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-ToJsonString.html
    pub(crate) fn call_to_json_string(&mut self, argument: &Node, span: Span) -> Node {
        self.need_language_extensions("`Fn::ToJsonString`", span);
        match self.resolve(argument) {
            Some(value) if value.holds_unresolved() => Node::new(Value::Unresolved, span),
            Some(value) if matches!(value.value, Value::List(_) | Value::Map(_)) => {
                self.text_node(&value.to_json().to_string(), span)
            }
            other => {
                let kind = other.as_ref().map_or("nothing", kind);
                let message = format!(
                    "the argument of `Fn::ToJsonString` must be a list or a mapping, and this is {kind}"
                );
                self.wrong_arguments(&message, argument, span)
            }
        }
    }

    /// Reports what only a template with language extensions may hold.
    fn need_language_extensions(&mut self, what: &str, span: Span) {
        if !self.scope.has_language_extensions {
            let message = format!("{what} needs the transform `{}`", language::NAME);
            self.error(codes::TRANSFORM, span, message).hint(language::HINT);
        }
    }

    fn wrong_arguments(&mut self, message: &str, argument: &Node, span: Span) -> Node {
        self.error(codes::ARGUMENTS, argument.span, message);
        Node::new(Value::Unresolved, span)
    }
}
