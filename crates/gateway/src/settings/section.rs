//! Reading one table of the configuration; every mistake is reported.

use std::time::Duration;

use api_model::{Diagnostics, Entry, Node, Span, Value};

use super::codes;

/// One table: its members are read by name, then [`Section::finish`] reports the rest.
pub(super) struct Section<'a> {
    node: Option<&'a Node>,
    path: String,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node: Some(node), path: String::new(), known: Vec::new() }
    }

    /// The table `name` below this one; an absent one reads as empty.
    pub(super) fn table(&mut self, name: &'static str, out: &mut Diagnostics) -> Self {
        let node = self.find(name);
        let path = self.path_of(name);
        Self::at(node, path, out)
    }

    pub(super) fn at(node: Option<&'a Node>, path: String, out: &mut Diagnostics) -> Self {
        let node = node.filter(|node| {
            let is_map = matches!(node.value, Value::Map(_));
            if !is_map {
                wrong(out, node.span, &path, "must be a table");
            }
            is_map
        });
        Self { node, path, known: Vec::new() }
    }

    /// Members with names that the user chose.
    pub(super) fn entries(&self) -> &'a [Entry] {
        self.node.map(Node::entries).unwrap_or_default()
    }

    pub(super) fn find(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        self.node.and_then(|node| node.find(name))
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn span(&self) -> Span {
        self.node.map_or_else(Span::default, |node| node.span)
    }

    pub(super) fn text(&mut self, name: &'static str, out: &mut Diagnostics) -> Option<&'a str> {
        let node = self.find(name)?;
        match &node.value {
            Value::String(text) => Some(text),
            _ => {
                wrong(out, node.span, &self.path_of(name), "must be a string");
                None
            }
        }
    }

    pub(super) fn texts(
        &mut self,
        name: &'static str,
        out: &mut Diagnostics,
    ) -> Vec<(&'a str, Span)> {
        let Some(node) = self.find(name) else { return Vec::new() };
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::String(_) => std::slice::from_ref(node),
            _ => {
                wrong(out, node.span, &self.path_of(name), "must be a list of strings");
                return Vec::new();
            }
        };
        let mut list = Vec::new();
        for item in items {
            match &item.value {
                Value::String(text) => list.push((text.as_str(), item.span)),
                _ => wrong(out, item.span, &self.path_of(name), "must hold strings only"),
            }
        }
        list
    }

    pub(super) fn flag(&mut self, name: &'static str, out: &mut Diagnostics) -> Option<bool> {
        let node = self.find(name)?;
        match node.value {
            Value::Bool(flag) => Some(flag),
            _ => {
                wrong(out, node.span, &self.path_of(name), "must be true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
        out: &mut Diagnostics,
    ) -> Option<T> {
        let text = self.text(name, out)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let span =
                self.node.and_then(|node| node.find(name)).map_or_else(|| self.span(), |n| n.span);
            wrong(out, span, &self.path_of(name), &format!("must be {}", names.join(" or ")));
        }
        found
    }

    /// A whole number within `range`.
    pub(super) fn count(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<u64>,
        out: &mut Diagnostics,
    ) -> Option<u64> {
        let node = self.find(name)?;
        let number = match &node.value {
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        self.within(node, name, number, range, "a whole number", out)
    }

    /// A size in bytes: a number, or text such as `"64MiB"`.
    pub(super) fn bytes(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<u64>,
        out: &mut Diagnostics,
    ) -> Option<u64> {
        let node = self.find(name)?;
        let bytes = match &node.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => parse_bytes(text),
            _ => None,
        };
        self.within(node, name, bytes, range, "a size such as \"32KiB\"", out)
    }

    /// A duration such as `"5s"`; whole numbers are seconds.
    pub(super) fn duration(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<Duration>,
        out: &mut Diagnostics,
    ) -> Option<Duration> {
        let node = self.find(name)?;
        let duration = match &node.value {
            Value::Number(number) => number.as_u64().map(Duration::from_secs),
            Value::String(text) => parse_duration(text),
            _ => None,
        };
        let duration = duration.filter(|duration| range.contains(duration));
        if duration.is_none() {
            let expected = format!(
                "must be a duration from {:?} to {:?}, such as \"5s\"",
                range.start(),
                range.end()
            );
            wrong(out, node.span, &self.path_of(name), &expected);
        }
        duration
    }

    /// Whether the value is the word `"off"`.
    pub(super) fn is_off(&self, name: &str) -> bool {
        let node = self.node.and_then(|node| node.find(name));
        matches!(node.map(|node| &node.value), Some(Value::String(text)) if text == "off")
    }

    fn within(
        &self,
        node: &Node,
        name: &str,
        value: Option<u64>,
        range: std::ops::RangeInclusive<u64>,
        what: &str,
        out: &mut Diagnostics,
    ) -> Option<u64> {
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let expected = format!("must be {what} from {} to {}", range.start(), range.end());
            wrong(out, node.span, &self.path_of(name), &expected);
        }
        value
    }

    /// Reports members that nobody read.
    pub(super) fn finish(self, out: &mut Diagnostics) {
        for entry in self.entries() {
            if !self.known.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}`", self.path_of(&entry.key));
                let hint = format!("known here are {}", self.known.join(", "));
                out.error(codes::UNKNOWN_KEY, entry.key_span, message).hint(hint).property =
                    Some(self.path_of(&entry.key));
            }
        }
    }
}

pub(super) fn wrong(out: &mut Diagnostics, span: Span, path: &str, expected: &str) {
    out.error(codes::VALUE, span, format!("`{path}` {expected}")).property = Some(path.to_owned());
}

fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 4] =
        [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(unit)
}

fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))?;
    Some(Duration::from_millis(number.trim().parse::<u64>().ok()?.checked_mul(unit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_carry_their_unit() {
        assert_eq!(parse_bytes("32KiB"), Some(32 * 1024));
        assert_eq!(parse_bytes("7B"), Some(7));
        assert_eq!(parse_bytes("7"), None);
        assert_eq!(parse_duration("300s"), Some(Duration::from_secs(300)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(parse_duration("5"), None);
        assert_eq!(parse_duration("99999999999999999999s"), None);
    }
}
