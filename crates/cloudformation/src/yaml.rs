//! YAML events to a tree with places; short tags become long forms.

use std::collections::HashMap;

use api_model::{Diagnostics, Entry, Node, Position, Span, Value};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::document::{Budget, DEPTH_MAX, NODES_MAX, excerpt, report_duplicate, size};
use crate::nearest::suggest;
use crate::{codes, file_start, scalar};

/// Parses the one document of a text; nothing is returned after a syntax error.
pub(crate) fn parse(text: &str, file: u32, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut builder = Builder {
        file,
        frames: Vec::new(),
        root: None,
        documents: 0,
        anchors: HashMap::new(),
        budget: Budget::default(),
        alias_reported: false,
        diagnostics,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                let span = Span { file, start: position(span.start), end: position(span.end) };
                builder.handle(event, span).ok()?;
            }
            Err(error) => {
                builder.report_syntax(text, error.marker(), error.info());
                return None;
            }
        }
    }
    if builder.root.is_none() {
        let message = "the template is empty; nothing can be served";
        builder.diagnostics.error(codes::SYNTAX, file_start(file), message);
    }
    builder.root
}

/// The names behind `!Name`, and whether they take the prefix `Fn::`.
const SHORT_TAGS: [(&str, &str); 19] = [
    ("And", "Fn::And"),
    ("Base64", "Fn::Base64"),
    ("Cidr", "Fn::Cidr"),
    ("Condition", "Condition"),
    ("Equals", "Fn::Equals"),
    ("FindInMap", "Fn::FindInMap"),
    ("GetAZs", "Fn::GetAZs"),
    ("GetAtt", "Fn::GetAtt"),
    ("If", "Fn::If"),
    ("ImportValue", "Fn::ImportValue"),
    ("Join", "Fn::Join"),
    ("Length", "Fn::Length"),
    ("Not", "Fn::Not"),
    ("Or", "Fn::Or"),
    ("Ref", "Ref"),
    ("Select", "Fn::Select"),
    ("Split", "Fn::Split"),
    ("Sub", "Fn::Sub"),
    ("Transform", "Fn::Transform"),
];

/// Reading cannot go on; the reason has been reported.
struct Stop;

struct Builder<'a> {
    file: u32,
    frames: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    anchors: HashMap<usize, Anchored>,
    budget: Budget,
    alias_reported: bool,
    diagnostics: &'a mut Diagnostics,
}

/// A value that aliases may repeat, and its levels.
struct Anchored {
    node: Node,
    depth: usize,
}

/// A list or mapping under construction.
struct Frame {
    start: Span,
    anchor: usize,
    tag: Option<Tag>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashMap<String, Span>, key: Key, merged: Vec<Node> },
}

/// What the next value of a mapping belongs to.
enum Key {
    /// The next value is a key.
    Awaited,
    /// `<<`
    Merge,
    Name(String, Span),
    /// Not usable as a key; reported.
    Wrong,
}

impl Builder<'_> {
    fn handle(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document starts here; a template is one document";
                    self.diagnostics
                        .error(codes::SYNTAX, span, message)
                        .hint("put each template into a file of its own");
                    return Err(Stop);
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let is_key = self.awaits_key();
                if is_key && tag.is_none() && style == ScalarStyle::Plain && text == "<<" {
                    self.report_alias(span);
                    return self.set_key(Key::Merge);
                }
                let value = if is_key || style != ScalarStyle::Plain || tag.is_some() {
                    Value::String(text.into_owned())
                } else {
                    scalar::plain(&text)
                };
                let node = self.apply_tag(Node::new(value, span), tag.as_deref(), style);
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(span, anchor, tag.as_deref().cloned(), Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    key: Key::Awaited,
                    merged: Vec::new(),
                };
                self.start(span, anchor, tag.as_deref().cloned(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
        }
    }

    fn start(
        &mut self,
        start: Span,
        anchor: usize,
        tag: Option<Tag>,
        content: Content,
    ) -> Result<(), Stop> {
        if self.frames.len() >= DEPTH_MAX {
            return self.too_deep(start);
        }
        self.frames.push(Frame { start, anchor, tag, content });
        Ok(())
    }

    fn end(&mut self, span: Span) -> Result<(), Stop> {
        let frame = self.frames.pop().expect("the parser balances starts and ends");
        let (value, last) = match frame.content {
            Content::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Content::Map { mut entries, mut seen, merged, .. } => {
                let last = entries.last().map(|entry| entry.value.span.end);
                self.merge(&mut entries, &mut seen, merged)?;
                (Value::Map(entries), last)
            }
        };
        let end = last.unwrap_or(span.end).max(frame.start.end);
        let node = Node::new(value, Span { end, ..frame.start });
        let node = self.apply_tag(node, frame.tag.as_ref(), ScalarStyle::Plain);
        self.finish(node, frame.anchor)
    }

    /// Gives a complete value to what it belongs to.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let text_bytes = if let Value::String(text) = &node.value { text.len() } else { 0 };
        if !self.budget.take(1, text_bytes) {
            return self.too_large(node.span);
        }
        if anchor > 0 {
            if !self.budget.take_copy(&node) {
                return self.too_large(node.span);
            }
            let depth = size(&node).depth;
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth });
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Stop> {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, seen, key, merged } => {
                match std::mem::replace(key, Key::Awaited) {
                    Key::Awaited => *key = to_key(node, self.diagnostics),
                    Key::Wrong => {}
                    Key::Merge => merged.push(node),
                    Key::Name(name, span) => match seen.get(&name) {
                        Some(&first) => report_duplicate(&name, first, span, self.diagnostics),
                        None => {
                            seen.insert(name.clone(), span);
                            entries.push(Entry { key: name, key_span: span, value: node });
                        }
                    },
                }
            }
        }
        Ok(())
    }

    /// Adds the members of merged mappings that the mapping does not have itself.
    fn merge(
        &mut self,
        entries: &mut Vec<Entry>,
        seen: &mut HashMap<String, Span>,
        merged: Vec<Node>,
    ) -> Result<(), Stop> {
        for node in merged {
            let span = node.span;
            let sources = match node.value {
                Value::List(items) => items,
                _ => vec![node],
            };
            for source in sources {
                let Value::Map(members) = source.value else {
                    let message = "`<<` merges mappings, and this is none";
                    self.diagnostics.error(codes::YAML_FEATURE, span, message);
                    continue;
                };
                for member in members {
                    if !self.budget.take(1, member.key.len()) {
                        return self.too_large(span);
                    }
                    if !seen.contains_key(&member.key) {
                        seen.insert(member.key.clone(), member.key_span);
                        entries.push(member);
                    }
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        self.report_alias(span);
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias within the value that it names; it would have no end";
            self.diagnostics.error(codes::YAML_FEATURE, span, message);
            return self.place(Node::new(Value::Unresolved, span));
        };
        if self.frames.len() + anchored.depth > DEPTH_MAX {
            return self.too_deep(span);
        }
        if !self.budget.take_copy(&anchored.node) {
            return self.too_large(span);
        }
        let node = anchored.node.clone();
        self.place(node)
    }

    fn awaits_key(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|frame| matches!(&frame.content, Content::Map { key: Key::Awaited, .. }))
    }

    fn set_key(&mut self, new: Key) -> Result<(), Stop> {
        if let Some(Frame { content: Content::Map { key, .. }, .. }) = self.frames.last_mut() {
            *key = new;
        }
        Ok(())
    }

    /// `!Ref x` becomes `{Ref: x}`, and `!!str 1` becomes `"1"`.
    fn apply_tag(&mut self, node: Node, tag: Option<&Tag>, style: ScalarStyle) -> Node {
        let Some(tag) = tag else {
            return node;
        };
        let span = node.span;
        if tag.is_yaml_core_schema() {
            return match (tag.suffix.as_str(), node.value) {
                ("str", value @ Value::String(_))
                | ("seq", value @ Value::List(_))
                | ("map", value @ Value::Map(_)) => Node::new(value, span),
                ("int" | "float" | "bool" | "null", Value::String(text))
                    if style == ScalarStyle::Plain =>
                {
                    Node::new(scalar::plain(&text), span)
                }
                _ => self.unknown_tag(tag, span),
            };
        }
        if tag.handle == "!" {
            if tag.suffix.is_empty() {
                return node;
            }
            let short = SHORT_TAGS.iter().find(|(short, _)| *short == tag.suffix);
            if let Some((_, long)) = short {
                let entry = Entry { key: (*long).to_owned(), key_span: span, value: node };
                return Node::new(Value::Map(vec![entry]), span);
            }
        }
        self.unknown_tag(tag, span)
    }

    fn unknown_tag(&mut self, tag: &Tag, span: Span) -> Node {
        let message = format!("tag `{}` means nothing in a template", excerpt(&tag.to_string()));
        let short = SHORT_TAGS.iter().map(|(short, _)| *short);
        let near = suggest(self.diagnostics, &tag.suffix, short);
        let finding = self.diagnostics.error(codes::YAML_FEATURE, span, message);
        if let Some(name) = near {
            finding.hint(format!("write `!{name}`"));
        }
        Node::new(Value::Unresolved, span)
    }

    fn report_alias(&mut self, span: Span) {
        if !std::mem::replace(&mut self.alias_reported, true) {
            let message = "aliases and `<<` are expanded here, but CloudFormation does not promise to accept them";
            self.diagnostics
                .warning(codes::YAML_FEATURE, span, message)
                .hint("write the value out before deploying");
        }
    }

    fn report_syntax(&mut self, text: &str, marker: &Marker, info: &str) {
        let at = position(*marker);
        let span = Span { file: self.file, start: at, end: at };
        let message = format!("not valid YAML: {info}; nothing is read");
        let finding = self.diagnostics.error(codes::SYNTAX, span, message);
        // The scanner may notice a tab only on the line after the place it reports.
        let mut lines = text.lines().skip(marker.line().saturating_sub(1)).take(2);
        if lines.any(|line| line.trim_start_matches(' ').starts_with('\t')) {
            finding.hint("indent with spaces: YAML takes no tabs there");
        }
    }

    fn too_deep(&mut self, span: Span) -> Result<(), Stop> {
        let message =
            format!("the template is nested more than {DEPTH_MAX} levels deep; nothing is read");
        self.diagnostics.error(codes::TOO_LARGE, span, message);
        Err(Stop)
    }

    fn too_large(&mut self, span: Span) -> Result<(), Stop> {
        let message = format!(
            "the template, aliases expanded, holds more than {NODES_MAX} values or more text than is read"
        );
        self.diagnostics.error(codes::TOO_LARGE, span, message);
        Err(Stop)
    }
}

fn to_key(node: Node, diagnostics: &mut Diagnostics) -> Key {
    match node.value {
        Value::String(name) => Key::Name(name, node.span),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            let message = "the key of a mapping must be a string; the member is left out";
            diagnostics.error(codes::YAML_FEATURE, node.span, message);
            Key::Wrong
        }
        Value::Unresolved => Key::Wrong,
    }
}

fn position(marker: Marker) -> Position {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: number(marker.line()), column: number(marker.col()).saturating_add(1) }
}
