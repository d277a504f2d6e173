//! The text of `wsgate.toml` and the environment as one tree with places.

use api_model::{Diagnostics, Entry, Node, Position, Sources, Span, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::codes;

/// Parses the document and lays the environment's overrides over it:
/// `WSGATE_SECTION__KEY` sets `[section] key`, and `WSGATE_COMPAT` sets `compat`.
pub(super) fn parse(
    sources: &mut Sources,
    file: Option<(&str, &str)>,
    environment: &[(String, String)],
    out: &mut Diagnostics,
) -> Node {
    let mut root = match file {
        Some((name, text)) => parse_file(sources, name, text, out),
        None => Node::new(Value::Map(Vec::new()), Span::default()),
    };
    for (name, value) in environment {
        let is_key = |path: &&str| path.contains("__") || *path == "COMPAT";
        let Some(path) = name.strip_prefix("WSGATE_").filter(is_key) else { continue };
        if NOT_OVERRIDES.contains(&path) {
            continue;
        }
        let file = sources.add(format!("environment variable {name}"), "");
        let start = Position { line: 1, column: 1 };
        let span = Span { file, start, end: start };
        let path: Vec<String> = path.split("__").map(key_name).collect();
        set(&mut root, &path, override_value(value, span), span);
    }
    root
}

/// Shouted names are keys, which are lower case; any other is a name of the
/// user's own, such as a logical id.
fn key_name(segment: &str) -> String {
    let is_own = segment.bytes().any(|b| b.is_ascii_lowercase());
    if is_own { segment.to_owned() } else { segment.to_ascii_lowercase() }
}

/// These configure the deployed Lambda and are documents or names of their own.
const NOT_OVERRIDES: [&str; 2] = ["AUTHORIZER_TOML", "AUTHORIZER_SSM"];

fn parse_file(sources: &mut Sources, name: &str, text: &str, out: &mut Diagnostics) -> Node {
    let file = sources.add(name, text);
    let lines = Lines::new(text, file);
    match DeTable::parse(text) {
        Ok(table) => {
            let span = lines.span(&table.span());
            Node::new(table_value(table.get_ref(), &lines), span)
        }
        Err(error) => {
            let span = error.span().map_or_else(Span::default, |span| lines.span(&span));
            let message = format!("the file is not TOML: {}", error.message());
            out.error(codes::SYNTAX, span, message).hint("see https://toml.io for the syntax");
            Node::new(Value::Map(Vec::new()), span)
        }
    }
}

fn table_value(table: &DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: lines.span(&key.span()),
            value: node(value, lines),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    Value::Map(entries)
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let span = lines.span(&value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
            parsed.map_or_else(|| Value::String(number.to_string()), |n| Value::Number(n.into()))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            parsed.map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(table) => table_value(table, lines),
    };
    Node::new(value, span)
}

/// An override is TOML if it parses as such (numbers, booleans, lists), else text.
fn override_value(text: &str, span: Span) -> Node {
    let parsed = format!("value = {text}").parse::<toml::Table>().ok();
    match parsed.and_then(|mut table| table.remove("value")) {
        Some(value) => from_toml(&value, span),
        None => Node::new(Value::String(text.to_owned()), span),
    }
}

fn from_toml(value: &toml::Value, span: Span) -> Node {
    let value = match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::Number((*number).into()),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number)
        }
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => {
            Value::List(items.iter().map(|item| from_toml(item, span)).collect())
        }
        toml::Value::Table(table) => Value::Map(
            table
                .iter()
                .map(|(key, value)| Entry {
                    key: key.clone(),
                    key_span: span,
                    value: from_toml(value, span),
                })
                .collect(),
        ),
    };
    Node::new(value, span)
}

/// The tree as TOML again, for the parts that another crate reads.
pub(super) fn to_toml(node: &Node) -> toml::Value {
    match &node.value {
        Value::Null | Value::Unresolved => toml::Value::String(String::new()),
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => toml::Value::Integer(integer),
            None => toml::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::List(items) => toml::Value::Array(items.iter().map(to_toml).collect()),
        Value::Map(entries) => toml::Value::Table(
            entries.iter().map(|entry| (entry.key.clone(), to_toml(&entry.value))).collect(),
        ),
    }
}

fn set(node: &mut Node, path: &[String], value: Node, span: Span) {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return;
    };
    if !matches!(node.value, Value::Map(_)) {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else { return };
    let index = entries.iter().position(|entry| entry.key.eq_ignore_ascii_case(first));
    let index = index.unwrap_or_else(|| {
        let value = Node::new(Value::Map(Vec::new()), span);
        entries.push(Entry { key: first.clone(), key_span: span, value });
        entries.len() - 1
    });
    set(&mut entries[index].value, rest, value, span);
}

/// Byte offsets to lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    file: u32,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, file: u32) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1));
        Self { text, starts: starts.collect(), file }
    }

    fn span(&self, range: &std::ops::Range<usize>) -> Span {
        Span { file: self.file, start: self.position(range.start), end: self.position(range.end) }
    }

    fn position(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let column = self.text.get(self.starts[line - 1]..offset).map_or(0, |t| t.chars().count());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Position { line: number(line), column: number(column + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_keys_in_capitals_and_the_users_names_as_they_are() {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = [
            variable("WSGATE_COMPAT", "aws"),
            variable("WSGATE_LIMITS__IDLE", "30s"),
            variable("WSGATE_FUNCTIONS__MyFunction__URL", "http://127.0.0.1:1"),
            variable("WSGATE_AUTHORIZER_TOML", "[authorizer]"),
            variable("WSGATE_BIN", "x"),
        ];
        let mut out = Diagnostics::default();
        let root = parse(&mut Sources::default(), None, &environment, &mut out);
        let json = root.to_json();
        assert_eq!(json["compat"], "aws");
        assert_eq!(json["limits"]["idle"], "30s");
        assert_eq!(json["functions"]["MyFunction"]["url"], "http://127.0.0.1:1");
        assert_eq!(json.as_object().unwrap().len(), 3);
    }
}
