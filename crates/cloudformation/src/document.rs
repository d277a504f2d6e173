//! Text to tree: chooses the syntax and holds the bounds of both.

use api_model::{Diagnostics, Node, Span, Value};

use crate::{codes, file_start, json, yaml};

/// Largest template, in bytes: four times what AWS takes from S3.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 4 << 20;

/// Deepest nesting of lists and mappings; the readers of the tree recurse.
pub(crate) const DEPTH_MAX: usize = 100;

/// Most values of one template after aliases are expanded: about 50 MB.
pub(crate) const NODES_MAX: usize = 500_000;

/// Most text of one template after aliases are expanded, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 32 << 20;

/// Most brackets open at once in text given to the YAML scanner. Brackets in
/// strings count, so it is generous.
const BRACKETS_MAX: usize = 200;

/// Most work for the YAML scanner, which looks at every open bracket for every
/// token: the sum of both over the text, about half a second.
const BRACKET_STEPS_MAX: usize = 20_000_000;

/// Reads a template as JSON if it begins like JSON, else as YAML.
pub(crate) fn parse(text: &str, file: u32, diagnostics: &mut Diagnostics) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > TEMPLATE_BYTES_MAX {
        let message = format!(
            "the template has {} bytes, more than the {TEMPLATE_BYTES_MAX} that are read",
            text.len()
        );
        diagnostics
            .error(codes::TOO_LARGE, file_start(file), message)
            .hint("AWS accepts 1 MB at most: split it into several templates");
        return None;
    }
    // `{` alone may also begin a YAML flow mapping with plain keys.
    let is_json = text
        .trim_start()
        .strip_prefix('{')
        .is_some_and(|rest| rest.trim_start().starts_with(['"', '}']));
    if is_json {
        return json::parse(text, file, diagnostics);
    }
    if has_too_many_brackets(text) {
        let message = "too many brackets are open at once; nothing is read";
        diagnostics
            .error(codes::TOO_LARGE, file_start(file), message)
            .hint("write the template in block style, or as JSON");
        return None;
    }
    yaml::parse(text, file, diagnostics)
}

fn has_too_many_brackets(text: &str) -> bool {
    let mut open = 0usize;
    let mut steps = 0usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b',' | b':' => steps += 2 * open,
            _ => {}
        }
        if open > BRACKETS_MAX || steps > BRACKET_STEPS_MAX {
            return true;
        }
    }
    false
}

/// What has been built so far, against the bounds.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    nodes: usize,
    text_bytes: usize,
}

impl Budget {
    /// Takes room for values and text; false when there is none left.
    pub(crate) fn take(&mut self, nodes: usize, text_bytes: usize) -> bool {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        self.nodes <= NODES_MAX && self.text_bytes <= TEXT_BYTES_MAX
    }

    /// Takes room for a copy of `node`.
    pub(crate) fn take_copy(&mut self, node: &Node) -> bool {
        let size = size(node);
        self.take(size.nodes, size.text_bytes)
    }
}

/// How large a tree is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    /// Values.
    pub(crate) nodes: usize,
    /// Keys and strings.
    pub(crate) text_bytes: usize,
    /// Levels: 1 for a scalar.
    pub(crate) depth: usize,
}

/// Measures a tree; recursion is bounded by [`DEPTH_MAX`].
pub(crate) fn size(node: &Node) -> Size {
    let mut total = Size { nodes: 1, text_bytes: 0, depth: 0 };
    match &node.value {
        Value::String(text) => total.text_bytes += text.len(),
        Value::List(items) => items.iter().for_each(|item| total.add(size(item))),
        Value::Map(entries) => {
            for entry in entries {
                total.text_bytes += entry.key.len();
                total.add(size(&entry.value));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Unresolved => {}
    }
    total.depth += 1;
    total
}

impl Size {
    fn add(&mut self, child: Self) {
        self.nodes += child.nodes;
        self.text_bytes += child.text_bytes;
        self.depth = self.depth.max(child.depth);
    }
}

/// Reports a key that stands twice.
pub(crate) fn report_duplicate(
    key: &str,
    first: Span,
    second: Span,
    diagnostics: &mut Diagnostics,
) {
    let message = format!(
        "key `{}` stands twice: first at line {}, column {}, and again here; only one of them can be meant",
        excerpt(key),
        first.start.line,
        first.start.column,
    );
    diagnostics
        .error(codes::DUPLICATE_KEY, second, message)
        .hint("remove or rename one of the two");
}

/// A name as it may stand in a message: bounded, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(EXCERPT_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// Longest quotation from a template in a message.
const EXCERPT_CHARS_MAX: usize = 80;
