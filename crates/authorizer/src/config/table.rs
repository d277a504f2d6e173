//! Reading of a configuration tree: every mistake is noted with its path, none stops the reading.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{ConfigError, Warning};

/// What was found wrong or doubtful so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
}

impl Report {
    pub(crate) fn error(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path, message));
    }

    pub(crate) fn hint(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.errors.push(ConfigError::new(path, message).with_hint(hint));
    }

    pub(crate) fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning { path: path.into(), message: message.into() });
    }
}

/// One table of the tree, with its path.
pub(crate) struct Table<'v> {
    pub(crate) path: String,
    map: Option<&'v Map<String, Value>>,
}

impl<'v> Table<'v> {
    /// Opens `value` as a table with the keys `known`; other keys are errors.
    pub(crate) fn open(
        report: &mut Report,
        path: String,
        value: Option<&'v Value>,
        known: &[&str],
    ) -> Self {
        let map = match value {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                report.error(&path, format!("must be a table, not {}", kind(other)));
                None
            }
        };
        for key in map.into_iter().flat_map(Map::keys) {
            if !known.contains(&key.as_str()) {
                let path = format!("{path}.{key}");
                report.hint(path, "unknown key", format!("known here: {}", known.join(", ")));
            }
        }
        Self { path, map }
    }

    /// The path of `key` in this table.
    pub(crate) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(crate) fn value(&self, key: &str) -> Option<&'v Value> {
        self.map?.get(key)
    }

    pub(crate) fn text(&self, report: &mut Report, key: &str) -> Option<&'v str> {
        match self.value(key)? {
            Value::String(text) => Some(text),
            other => {
                report.error(self.at(key), format!("must be a string, not {}", kind(other)));
                None
            }
        }
    }

    /// A string that is one of `choices`, as its position there.
    pub(crate) fn choice(&self, report: &mut Report, key: &str, choices: &[&str]) -> Option<usize> {
        let text = self.text(report, key)?;
        let found = choices.iter().position(|choice| *choice == text);
        if found.is_none() {
            let message = format!("{text:?} is not one of the choices");
            report.hint(self.at(key), message, format!("one of {}", choices.join(", ")));
        }
        found
    }

    /// An array of strings without repetition, as pairs of path and text.
    pub(crate) fn texts(&self, report: &mut Report, key: &str) -> Option<Vec<(String, &'v str)>> {
        let Value::Array(items) = self.value(key)? else {
            report.error(self.at(key), "must be an array of strings");
            return None;
        };
        let mut texts: Vec<(String, &str)> = Vec::with_capacity(items.len());
        for (n, item) in items.iter().enumerate() {
            let path = format!("{}[{n}]", self.at(key));
            match item {
                // The text is not repeated: it may be a secret, put in the wrong place.
                Value::String(text) if texts.iter().any(|(_, seen)| seen == text) => {
                    report.error(path, "is listed twice");
                }
                Value::String(text) => texts.push((path, text)),
                other => report.error(path, format!("must be a string, not {}", kind(other))),
            }
        }
        Some(texts)
    }

    pub(crate) fn flag(&self, report: &mut Report, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            other => {
                report.error(self.at(key), format!("must be true or false, not {}", kind(other)));
                None
            }
        }
    }

    /// Whole seconds, written with a unit, from `min` to `max`.
    pub(crate) fn seconds(
        &self,
        report: &mut Report,
        key: &str,
        min: u64,
        max: u64,
    ) -> Option<u64> {
        let value = self.value(key)?;
        let found = value.as_str().and_then(parse_seconds);
        let Some(seconds) = found else {
            report.hint(
                self.at(key),
                "must be a duration in whole seconds, minutes or hours",
                "a string such as \"5s\", \"2m\" or \"1h\"",
            );
            return None;
        };
        if (min..=max).contains(&seconds) {
            return Some(seconds);
        }
        report.error(self.at(key), format!("must be from {min} s to {max} s"));
        None
    }

    /// Whole milliseconds, written with a unit, within `range`.
    pub(crate) fn millis(
        &self,
        report: &mut Report,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let found = self.value(key)?.as_str().and_then(parse_millis);
        let found = found.filter(|millis| range.contains(millis));
        if found.is_none() {
            let message =
                format!("must be a duration from {} ms to {} ms", range.start(), range.end());
            report.hint(self.at(key), message, "a string such as \"500ms\" or \"1s\"");
        }
        found
    }

    /// Bytes, as a whole number or with one of the units KiB and MiB, from `min` to `max`.
    pub(crate) fn bytes(&self, report: &mut Report, key: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.value(key)?;
        let found = value.as_u64().or_else(|| value.as_str().and_then(parse_bytes));
        let found = found.filter(|bytes| (min..=max).contains(bytes));
        if found.is_none() {
            report.hint(
                self.at(key),
                format!("must be a size from {min} to {max} bytes"),
                "a whole number, or a string such as \"8KiB\" or \"64MiB\"",
            );
        }
        found
    }
}

/// `5s`, `2m`, `1h`.
fn parse_seconds(text: &str) -> Option<u64> {
    let (digits, unit) = [("s", 1), ("m", 60), ("h", 3600)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    whole(digits)?.checked_mul(unit)
}

/// `500ms`, and what [`parse_seconds`] takes.
fn parse_millis(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(digits) => whole(digits),
        None => parse_seconds(text)?.checked_mul(1000),
    }
}

/// `512B`, `8KiB`, `64MiB`.
fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("B", 1)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    whole(digits)?.checked_mul(unit)
}

fn whole(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// What kind of value it is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_carry_units() {
        for (text, want) in [
            ("5s", Some(5)),
            ("2m", Some(120)),
            ("1h", Some(3600)),
            ("0s", Some(0)),
            ("5", None),
            ("s", None),
            ("+5s", None),
            ("5ms", None),
            ("1.5s", None),
            ("99999999999999999999h", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse_seconds(text), want, "{text}");
        }
        for (text, want) in [
            ("500ms", Some(500)),
            ("1s", Some(1000)),
            ("ms", None),
            ("1.5ms", None),
            ("18446744073709551s", Some(18_446_744_073_709_551_000)),
            ("18446744073709552s", None),
        ] {
            assert_eq!(parse_millis(text), want, "{text}");
        }
        for (text, want) in [
            ("8KiB", Some(8192)),
            ("64MiB", Some(64 << 20)),
            ("12B", Some(12)),
            ("12", None),
            ("1GB", None),
        ] {
            assert_eq!(parse_bytes(text), want, "{text}");
        }
    }
}
