//! The resolved template: a JSON-like tree in which every value knows its place.

use crate::source::Span;

/// A value of a template after intrinsic functions were resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, or nothing.
    Null,
    /// `true` or `false`, as YAML 1.1 reads them.
    Bool(bool),
    /// A number, in its JSON spelling.
    Number(serde_json::Number),
    /// Text.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in source order, keys unique.
    Map(Vec<Entry>),
    /// An intrinsic function whose value cannot be known here. The reason has
    /// already been reported; readers skip it without a second finding.
    Unresolved,
}

/// One member of a mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, span: Span) -> Self {
        Self { value, span }
    }

    /// The member `key` of a mapping.
    pub fn find(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The members of a mapping; nothing for any other value.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; nothing for any other value.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a string; numbers and booleans in their JSON spelling, as
    /// CloudFormation coerces them.
    pub fn as_text(&self) -> Option<std::borrow::Cow<'_, str>> {
        match &self.value {
            Value::String(text) => Some(text.as_str().into()),
            Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
            Value::Number(number) => Some(number.to_string().into()),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Unresolved => None,
        }
    }

    /// Whether the value cannot be known here; see [`Value::Unresolved`].
    pub fn is_unresolved(&self) -> bool {
        matches!(self.value, Value::Unresolved)
    }

    /// Whether this value, or any value inside it, cannot be known here.
    pub fn holds_unresolved(&self) -> bool {
        match &self.value {
            Value::Unresolved => true,
            Value::List(items) => items.iter().any(Self::holds_unresolved),
            Value::Map(entries) => entries.iter().any(|entry| entry.value.holds_unresolved()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// The value as plain JSON; what is unresolved becomes `null`.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null | Value::Unresolved => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
            ),
        }
    }
}

/// One resource of a stack, its properties resolved.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Where that name stands.
    pub span: Span,
    /// `AWS::ApiGatewayV2::Route` and so on.
    pub resource_type: String,
    /// What `Ref` of it gives: an id, a name or an ARN, as its type has it.
    pub physical_id: String,
    /// `Properties`: always a mapping, empty if absent.
    pub properties: Node,
    /// `Metadata`: a mapping, or `Null` if absent.
    pub metadata: Node,
    /// `DependsOn`, with places.
    pub depends_on: Vec<(String, Span)>,
}

/// One template after loading: the resources whose conditions hold.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Stack name.
    pub name: String,
    /// Region, such as `us-east-1`.
    pub region: String,
    /// Account id, twelve digits.
    pub account_id: String,
    /// `AWS::Partition`, such as `aws`.
    pub partition: String,
    /// Which text it came from.
    pub file: u32,
    /// Resources in source order.
    pub resources: Vec<Resource>,
    /// Outputs by name, resolved.
    pub outputs: Vec<(String, Node)>,
}
