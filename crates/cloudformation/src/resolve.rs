//! Intrinsic functions over the values of one template.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use api_model::{Diagnostic, Diagnostics, Entry, Node, Resource, Span, Value};

use crate::condition::is_condition_function;
use crate::document::{excerpt, size};
use crate::function::{self, FUNCTIONS};
use crate::lines::Lines;
use crate::nearest::{nearest, suggest};
use crate::physical::Names;
use crate::{codes, template};

/// What the names of a template mean, as far as it has been resolved.
pub(crate) struct Scope<'a> {
    pub(crate) names: Names,
    pub(crate) lines: Lines<'a>,
    pub(crate) parameters: HashMap<&'a str, Node>,
    /// Parameter values that no message may repeat.
    pub(crate) secrets: Vec<String>,
    pub(crate) mappings: HashMap<&'a str, Mapping<'a>>,
    /// `None`: not decided, and why has been reported.
    pub(crate) conditions: HashMap<&'a str, Option<bool>>,
    /// Resources by logical id.
    pub(crate) index: HashMap<&'a str, usize>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) exports: &'a BTreeMap<String, Node>,
    pub(crate) room: Room,
    /// Whether the template names `AWS::LanguageExtensions`.
    pub(crate) has_language_extensions: bool,
}

/// The members of a mapping: top key, second key, value.
pub(crate) type Mapping<'a> = HashMap<&'a str, HashMap<&'a str, &'a Node>>;

/// How many findings get what costs time: a search for secrets, or for their
/// place within a text.
const SHOWN_MAX: usize = 1000;

/// How far a resource is.
pub(crate) enum Slot {
    /// Its condition is false.
    Excluded,
    /// Not resolved yet; after its turn only if it is part of a circle.
    Pending,
    /// Boxed: the slots of a large template are pending at first.
    Ready(Box<Resource>),
}

/// How many bytes of resolved values a template may still make.
pub(crate) struct Room {
    bytes: Cell<usize>,
    reported: Cell<bool>,
}

impl Room {
    /// Most bytes per template, a value counting [`Room::NODE_BYTES`]: names
    /// that repeat each other can grow exponentially.
    const BYTES_MAX: usize = 128 << 20;

    /// What one value costs beside its text.
    const NODE_BYTES: usize = 64;

    pub(crate) fn new() -> Self {
        Self { bytes: Cell::new(Self::BYTES_MAX), reported: Cell::new(false) }
    }
}

/// Resolves values of one resource, output or condition.
pub(crate) struct Resolver<'s, 'a> {
    pub(crate) scope: &'s Scope<'a>,
    diagnostics: &'s mut Diagnostics,
    /// The resource that the values belong to.
    logical_id: Option<&'s str>,
    /// The property path of the value at hand.
    path: String,
    in_condition: bool,
}

impl<'s, 'a> Resolver<'s, 'a> {
    /// For values of a resource.
    pub(crate) fn for_resource(
        scope: &'s Scope<'a>,
        diagnostics: &'s mut Diagnostics,
        logical_id: &'s str,
        path: &str,
    ) -> Self {
        let (path, logical_id) = (path.to_owned(), Some(logical_id));
        Self { scope, diagnostics, logical_id, path, in_condition: false }
    }

    /// For the value of an output.
    pub(crate) fn for_output(
        scope: &'s Scope<'a>,
        diagnostics: &'s mut Diagnostics,
        path: String,
    ) -> Self {
        Self { scope, diagnostics, logical_id: None, path, in_condition: false }
    }

    /// For an expression that sees parameters, but no resources.
    pub(crate) fn for_condition(
        scope: &'s Scope<'a>,
        diagnostics: &'s mut Diagnostics,
        path: String,
    ) -> Self {
        Self { scope, diagnostics, logical_id: None, path, in_condition: true }
    }

    pub(crate) fn in_condition(&self) -> bool {
        self.in_condition
    }

    /// The value without intrinsic functions; `None` if it is `AWS::NoValue`.
    ///
    /// Recursion is bounded by the depth of the tree.
    pub(crate) fn resolve(&mut self, node: &Node) -> Option<Node> {
        let span = node.span;
        let value = match &node.value {
            Value::Null => {
                let what = self.path.rsplit('.').next().unwrap_or_default().to_owned();
                template::report_null(span, &what, self.diagnostics);
                self.place_last();
                Value::Unresolved
            }
            Value::Bool(_) | Value::Number(_) | Value::Unresolved => node.value.clone(),
            Value::String(text) => return Some(self.text_node(text, span)),
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.extend(self.within(&format!("[{index}]"), item));
                }
                Value::List(list)
            }
            Value::Map(entries) => {
                if let Some(call) = function::call(node) {
                    return self.call(call.name, call.argument, span);
                }
                if let Some(entry) = entries.iter().find(|entry| entry.key.starts_with("Fn::")) {
                    let message = format!(
                        "`{}` stands beside other keys, so CloudFormation refuses it",
                        excerpt(&entry.key)
                    );
                    self.error(codes::ARGUMENTS, entry.key_span, message)
                        .hint("a function must be the only key of its mapping");
                    return Some(Node::new(Value::Unresolved, span));
                }
                Value::Map(self.members(entries))
            }
        };
        Some(self.made(value, span, 0))
    }

    fn members(&mut self, entries: &[Entry]) -> Vec<Entry> {
        let mut members = Vec::with_capacity(entries.len());
        for entry in entries {
            if !self.take(entry.key.len(), entry.key_span) {
                break;
            }
            let separator = if self.path.is_empty() { "" } else { "." };
            if let Some(value) = self.within(&format!("{separator}{}", entry.key), &entry.value) {
                let key = entry.key.clone();
                members.push(Entry { key, key_span: entry.key_span, value });
            }
        }
        members
    }

    fn within(&mut self, step: &str, node: &Node) -> Option<Node> {
        let length = self.enter(step);
        let value = self.resolve(node);
        self.leave(length);
        value
    }

    /// Adds a step to the property path; the answer is for [`Self::leave`].
    pub(crate) fn enter(&mut self, step: &str) -> usize {
        let length = self.path.len();
        self.path.push_str(step);
        length
    }

    pub(crate) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    /// A resolved text as it may stand in a message: without secret values.
    pub(crate) fn shown(&self, text: &str) -> String {
        if !self.scope.secrets.is_empty() && self.diagnostics.list.len() > SHOWN_MAX {
            return "***".to_owned(); // Looking for secrets costs their number each time.
        }
        let is_secret = |secret: &String| !secret.is_empty() && text.contains(secret.as_str());
        if self.scope.secrets.iter().any(is_secret) { "***".to_owned() } else { excerpt(text) }
    }

    fn call(&mut self, name: &str, argument: &Node, span: Span) -> Option<Node> {
        if argument.is_unresolved() {
            return Some(argument.clone());
        }
        match name {
            "Ref" => self.call_ref(argument, span),
            "Fn::If" => self.call_if(argument, span),
            "Fn::Sub" => Some(self.call_sub(argument, span)),
            "Fn::GetAtt" => Some(self.call_get_att(argument, span)),
            "Fn::Join" => Some(self.call_join(argument, span)),
            "Fn::Select" => Some(self.call_select(argument, span)),
            "Fn::Split" => Some(self.call_split(argument, span)),
            "Fn::FindInMap" => self.call_find_in_map(argument, span),
            "Fn::ImportValue" => Some(self.call_import_value(argument, span)),
            "Fn::Base64" => Some(self.call_base64(argument, span)),
            "Fn::GetAZs" => Some(self.call_get_azs(argument, span)),
            "Fn::Length" => Some(self.call_length(argument, span)),
            "Fn::ToJsonString" => Some(self.call_to_json_string(argument, span)),
            name if is_condition_function(name) => {
                let message = format!(
                    "`{name}` decides a condition and gives no value, so it stands in `Conditions` only"
                );
                self.error(codes::UNKNOWN_FUNCTION, span, message)
                    .hint("name the condition there and use !If [Name, then, else] here");
                Some(Node::new(Value::Unresolved, span))
            }
            name => {
                let message = match name {
                    "Fn::Cidr" => {
                        format!("`{name}` is not supported, so the value is not known")
                    }
                    "Fn::Transform" => {
                        "`Fn::Transform` runs a macro on AWS, so the value is not known".to_owned()
                    }
                    _ => format!("there is no function `{}`", excerpt(name)),
                };
                let finding = self.error(codes::UNKNOWN_FUNCTION, span, message);
                match nearest(name, FUNCTIONS) {
                    Some(near) => finding.hint(format!("write `{near}`")),
                    None => finding.hint("write the value out"),
                };
                Some(Node::new(Value::Unresolved, span))
            }
        }
    }

    /// A value that counts against the room that is left.
    pub(crate) fn made(&mut self, value: Value, span: Span, text_bytes: usize) -> Node {
        let fits = self.take(text_bytes, span);
        Node::new(if fits { value } else { Value::Unresolved }, span)
    }

    /// A string value; copied only if there is room.
    pub(crate) fn text_node(&mut self, text: &str, span: Span) -> Node {
        let fits = self.take(text.len(), span);
        let value = if fits { Value::String(text.to_owned()) } else { Value::Unresolved };
        Node::new(value, span)
    }

    /// A copy of a resolved value at another place.
    pub(crate) fn copied(&mut self, node: &Node, span: Span) -> Node {
        let size = size(node);
        let fits = self.take(size.text_bytes + size.nodes * Room::NODE_BYTES, span);
        Node::new(if fits { node.value.clone() } else { Value::Unresolved }, span)
    }

    /// Takes room for a value; reports once that there is none.
    pub(crate) fn take(&mut self, text_bytes: usize, span: Span) -> bool {
        let room = &self.scope.room;
        let left = room.bytes.get().checked_sub(text_bytes.saturating_add(Room::NODE_BYTES));
        room.bytes.set(left.unwrap_or(0));
        if left.is_none() && !room.reported.replace(true) {
            let message = format!(
                "the resolved template is larger than {} MiB; the rest of it stays unresolved",
                Room::BYTES_MAX >> 20
            );
            self.error(codes::TOO_LARGE, span, message);
        }
        left.is_some()
    }

    /// The text of an argument; anything else is reported, `what` being its role.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        let resolved = self.resolve(node);
        let text = resolved.as_ref().and_then(Node::as_text);
        if let Some(text) = text {
            return Some(text.into_owned());
        }
        if !resolved.as_ref().is_some_and(Node::is_unresolved) {
            let kind = resolved.as_ref().map_or("nothing", template::kind);
            let message = format!("{what} must be a string, and this is {kind}");
            self.error(codes::ARGUMENTS, node.span, message);
        }
        None
    }

    /// The items of a list argument; anything else is reported.
    pub(crate) fn list(&mut self, node: &Node, what: &str) -> Option<Vec<Node>> {
        let resolved = self.resolve(node);
        match resolved {
            Some(Node { value: Value::List(items), .. }) => Some(items),
            Some(Node { value: Value::Unresolved, .. }) => None,
            other => {
                let kind = other.as_ref().map_or("nothing", template::kind);
                let message = format!("{what} must be a list, and this is {kind}");
                self.error(codes::ARGUMENTS, node.span, message);
                None
            }
        }
    }

    /// Whether the condition of that name holds; an unknown name is reported.
    pub(crate) fn look_up_condition(&mut self, name: &str, span: Span) -> Option<bool> {
        let scope = self.scope;
        if let Some(value) = scope.conditions.get(name) {
            return *value;
        }
        let message = format!("the template defines no condition `{}`", excerpt(name));
        let near = self.suggest(name, scope.conditions.keys().copied());
        let finding = self.error(codes::UNKNOWN_CONDITION, span, message);
        match near {
            Some(near) => finding.hint(format!("write `{near}`")),
            None => finding.hint("define it in the section `Conditions`"),
        };
        None
    }

    /// How many findings there are; for [`Self::move_findings`].
    pub(crate) fn findings(&self) -> usize {
        self.diagnostics.list.len()
    }

    /// Moves the findings made after the first `since` ones to where the
    /// occurrence number `nth` of `needle` stands in a text.
    pub(crate) fn move_findings(&mut self, since: usize, span: Span, needle: &str, nth: usize) {
        // Each costs a walk through the text, and nobody reads thousands.
        if self.diagnostics.list.len() <= SHOWN_MAX {
            for finding in &mut self.diagnostics.list[since..] {
                finding.span = self.scope.lines.find(span, needle, nth);
            }
        }
    }

    /// The name that was probably meant.
    pub(crate) fn suggest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        suggest(self.diagnostics, name, candidates)
    }

    /// Reports an error at the value at hand.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.diagnostics.error(code, span, message);
        self.place_last()
    }

    /// Reports a warning at the value at hand.
    pub(crate) fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.diagnostics.warning(code, span, message);
        self.place_last()
    }

    fn place_last(&mut self) -> &mut Diagnostic {
        let finding = self.diagnostics.list.last_mut().expect("one was just added");
        finding.logical_id = self.logical_id.map(str::to_owned);
        finding.property = (!self.path.is_empty()).then(|| self.path.clone());
        finding
    }
}
