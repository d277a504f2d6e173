//! Java's methods on texts. Places count UTF-16 units, as in Java.

use std::borrow::Cow;

use super::method::int;
use super::{Render, argument};
use crate::ast::Reference;
use crate::error::RenderError;
use crate::pattern::{self, Match, Pattern};
use crate::value::Value;

/// What compiling a regular expression costs, in steps.
const COMPILE_STEPS: usize = 500;

/// Bytes still to be searched that count as one step for each match of an
/// expression that can look at all of them.
const SEARCH_BYTES_PER_STEP: usize = 2048;

impl Render<'_> {
    pub(super) fn call_string(
        &mut self,
        text: &str,
        name: &str,
        args: &[Value],
        pattern: Option<&Pattern>,
        reference: &Reference,
    ) -> Result<Value, RenderError> {
        self.work_on_text(text.len())?;
        if args.iter().any(Value::is_null) {
            // Java throws for a null text and finds no method for a null number.
            return Err(argument(name, reference));
        }
        if let (true, Some(first)) = (is_pattern_method(name, args.len()), args.first()) {
            return match pattern {
                Some(pattern) => self.call_pattern(text, name, args, pattern, reference),
                None => {
                    self.work(COMPILE_STEPS)?;
                    let source = self.text(first)?;
                    let pattern = Pattern::new(&source).map_err(RenderError::Regex)?;
                    self.call_pattern(text, name, args, &pattern, reference)
                }
            };
        }
        let fail = || argument(name, reference);
        let other = |index: usize| args.get(index).and_then(Value::as_str).ok_or_else(fail);
        Ok(match (name, args) {
            ("length", []) => int(units(text)),
            ("isEmpty", []) => Value::Bool(text.is_empty()),
            ("isBlank", []) => Value::Bool(text.trim().is_empty()),
            ("toLowerCase", []) => self.string(text.to_lowercase())?,
            ("toUpperCase", []) => self.string(text.to_uppercase())?,
            // Java's trim cuts everything up to the space.
            ("trim", []) => self.string(text.trim_matches(|char| char <= ' ').to_owned())?,
            ("strip", []) => self.string(text.trim().to_owned())?,
            ("charAt", [Value::Int(at)]) => {
                let end = at.checked_add(1).ok_or_else(fail)?;
                let unit = slice(text, *at, end).ok_or_else(fail)?;
                self.string(unit.into_owned())?
            }
            ("substring", [Value::Int(from)]) => {
                let end = i64::try_from(units(text)).map_err(|_| fail())?;
                let part = slice(text, *from, end).ok_or_else(fail)?;
                self.string(part.into_owned())?
            }
            ("substring", [Value::Int(from), Value::Int(to)]) => {
                let part = slice(text, *from, *to).ok_or_else(fail)?;
                self.string(part.into_owned())?
            }
            ("indexOf", [_]) => position(text, text.find(other(0)?)),
            ("indexOf", [_, Value::Int(from)]) => {
                let from = usize::try_from(*from).unwrap_or(0).min(units(text));
                let start = byte_at(text, from);
                position(text, text[start..].find(other(0)?).map(|at| start + at))
            }
            ("lastIndexOf", [_]) => position(text, text.rfind(other(0)?)),
            ("contains", [_]) => Value::Bool(text.contains(other(0)?)),
            ("startsWith", [_]) => Value::Bool(text.starts_with(other(0)?)),
            ("endsWith", [_]) => Value::Bool(text.ends_with(other(0)?)),
            ("equalsIgnoreCase", [_]) => {
                let fold = |text: &str| text.to_uppercase().to_lowercase();
                Value::Bool(fold(text) == fold(other(0)?))
            }
            ("compareTo", [_]) => Value::Int(compare(text, other(0)?)),
            ("concat", [_]) => {
                let other = other(0)?;
                self.fits(text.len().saturating_add(other.len()))?;
                self.string([text, other].concat())?
            }
            ("repeat", [Value::Int(count)]) => {
                let count = usize::try_from(*count).map_err(|_| fail())?;
                self.fits(text.len().saturating_mul(count))?;
                self.string(text.repeat(count))?
            }
            ("replace", [_, _]) => self.replace(text, other(0)?, other(1)?)?,
            _ => Value::Null,
        })
    }

    fn fits(&self, bytes: usize) -> Result<(), RenderError> {
        if self.limits.output_bytes < bytes { Err(RenderError::OutputLength) } else { Ok(()) }
    }

    fn replace(&mut self, text: &str, from: &str, to: &str) -> Result<Value, RenderError> {
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (at, found) in text.match_indices(from) {
            out.push_str(&text[copied..at]);
            out.push_str(to);
            copied = at + found.len();
            self.fits(out.len())?;
        }
        out.push_str(&text[copied..]);
        self.string(out)
    }

    fn call_pattern(
        &mut self,
        text: &str,
        name: &str,
        args: &[Value],
        pattern: &Pattern,
        reference: &Reference,
    ) -> Result<Value, RenderError> {
        if name == "matches" {
            return Ok(Value::Bool(pattern.is_whole(text)));
        }
        if pattern.differs_on(text) {
            return Err(RenderError::Regex("`$` before a last line break".to_owned()));
        }
        match (name, args) {
            ("replaceAll", [_, Value::String(to)]) => {
                self.replace_all(text, pattern, to, usize::MAX)
            }
            ("replaceFirst", [_, Value::String(to)]) => self.replace_all(text, pattern, to, 1),
            ("split", [_]) => self.split(text, pattern, 0),
            ("split", [_, Value::Int(limit)]) => self.split(text, pattern, *limit),
            _ => Err(argument(name, reference)),
        }
    }

    /// The next match, as Java's `Matcher.find` gives them.
    fn find<'t>(
        &mut self,
        text: &'t str,
        pattern: &Pattern,
        from: Option<usize>,
    ) -> Result<Option<Match<'t>>, RenderError> {
        let Some(from) = from else { return Ok(None) };
        self.work(1)?;
        if pattern.is_unbounded {
            self.work((text.len() - from) / SEARCH_BYTES_PER_STEP)?;
        }
        Ok(pattern.find_at(text, from))
    }

    fn replace_all(
        &mut self,
        text: &str,
        pattern: &Pattern,
        to: &str,
        count_max: usize,
    ) -> Result<Value, RenderError> {
        let mut out = String::new();
        let mut copied = 0;
        let mut from = Some(0);
        let mut count = 0;
        while count < count_max
            && let Some(found) = self.find(text, pattern, from)?
        {
            out.push_str(&text[copied..found.start]);
            pattern::push_replacement(to, text, &found, &mut out)
                .map_err(|reason| RenderError::Regex(reason.to_owned()))?;
            self.fits(out.len())?;
            copied = found.end;
            from = pattern::next_from(text, &found);
            count += 1;
        }
        out.push_str(&text[copied..]);
        self.string(out)
    }

    /// Java's `split`: a limit above zero bounds the parts; with zero, empty parts
    /// at the end are dropped.
    fn split(&mut self, text: &str, pattern: &Pattern, limit: i64) -> Result<Value, RenderError> {
        let parts_max = usize::try_from(limit).ok().filter(|limit| 0 < *limit);
        let mut parts = Vec::new();
        let mut copied = 0;
        let mut from = Some(0);
        while parts_max.is_none_or(|max| parts.len() + 1 < max)
            && let Some(found) = self.find(text, pattern, from)?
        {
            from = pattern::next_from(text, &found);
            if found.end == 0 {
                continue; // An empty match at the start makes no part.
            }
            if found.start == found.end && found.start == text.len() {
                break;
            }
            parts.push(&text[copied..found.start]);
            copied = found.end;
        }
        if copied == 0 && parts.is_empty() {
            return Ok(Value::List([Value::from(text)].into_iter().collect()));
        }
        parts.push(&text[copied..]);
        if limit == 0 {
            while parts.last().is_some_and(|part| part.is_empty()) {
                parts.pop();
            }
        }
        Ok(Value::List(parts.into_iter().map(Value::from).collect()))
    }
}

fn is_pattern_method(name: &str, args: usize) -> bool {
    matches!((name, args), ("matches", 1) | ("replaceAll" | "replaceFirst", 2) | ("split", 1 | 2))
}

/// How many UTF-16 units `text` has.
fn units(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char::len_utf16).sum() }
}

/// The byte at which unit `at` begins, or the next character if it is inside one.
fn byte_at(text: &str, at: usize) -> usize {
    let mut unit = 0;
    for (byte, char) in text.char_indices() {
        if at <= unit {
            return byte;
        }
        unit += char.len_utf16();
    }
    text.len()
}

/// A byte place as the unit that Java counts; -1 for none.
fn position(text: &str, byte: Option<usize>) -> Value {
    byte.map_or(Value::Int(-1), |byte| int(units(&text[..byte])))
}

/// Units `from` to `to`; half of a pair becomes `?`, as when Java encodes it.
fn slice(text: &str, from: i64, to: i64) -> Option<Cow<'_, str>> {
    let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
    if to < from || units(text) < to {
        return None;
    }
    if text.is_ascii() {
        return text.get(from..to).map(Cow::Borrowed);
    }
    let units = text.encode_utf16().skip(from).take(to - from);
    let chars = char::decode_utf16(units).map(|char| char.unwrap_or('?'));
    Some(Cow::Owned(chars.collect()))
}

/// Java's `compareTo`: the difference at the first unlike unit, else of lengths.
fn compare(left: &str, right: &str) -> i64 {
    let unlike = left.encode_utf16().zip(right.encode_utf16()).find(|(left, right)| left != right);
    let length = |text: &str| i64::try_from(units(text)).unwrap_or(i64::MAX);
    match unlike {
        Some((left, right)) => i64::from(left) - i64::from(right),
        None => length(left) - length(right),
    }
}
