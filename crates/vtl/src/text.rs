//! Values as text.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::error::RenderError;
use crate::scope::{Host, Scope};
use crate::value::Value;

/// Lists inside lists deeper than this are not printed: a list may hold itself.
const DEPTH_MAX: usize = 256;

/// The text of `value` as Java's `toString` makes it.
pub(crate) fn java(value: &Value, bytes_max: usize) -> Result<Cow<'_, str>, RenderError> {
    if let Value::String(text) = value {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::new();
    write_java(value, None, bytes_max, DEPTH_MAX, &mut out)?;
    Ok(Cow::Owned(out))
}

/// The JSON text of `value`.
pub(crate) fn json(value: &Value, bytes_max: usize) -> Result<String, RenderError> {
    let mut out = String::new();
    write_json(value, bytes_max, DEPTH_MAX, &mut out)?;
    Ok(out)
}

/// Appends the text of `value`; `out` may grow to `bytes_max` bytes.
pub(crate) fn write_java(
    value: &Value,
    scope: Option<&dyn Scope>,
    bytes_max: usize,
    depth_max: usize,
    out: &mut String,
) -> Result<(), RenderError> {
    let host = |host: Host| scope.and_then(|scope| scope.text(host)).unwrap_or_default();
    write_nested(value, &host, bytes_max, depth_max, out)
}

fn write_nested(
    value: &Value,
    host: &dyn Fn(Host) -> String,
    bytes_max: usize,
    depth_left: usize,
    out: &mut String,
) -> Result<(), RenderError> {
    let depth_left = depth_left.checked_sub(1).ok_or(RenderError::Depth)?;
    match value {
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Entry(entry) => {
            let entry = entry.entries();
            for (index, item) in entry.values().enumerate() {
                if index != 0 {
                    out.push('=');
                }
                write_nested(item, host, bytes_max, depth_left, out)?;
            }
        }
        Value::Float(float) => write_double(*float, out),
        Value::Host(id) => out.push_str(&host(*id)),
        Value::Int(int) => write_int(*int, out),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                if index != 0 {
                    out.push_str(", ");
                }
                match item {
                    Value::List(inner) if inner.is_same(list) => out.push_str("(this Collection)"),
                    _ => write_nested(item, host, bytes_max, depth_left, out)?,
                }
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if index != 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push('=');
                match item {
                    Value::Map(inner) if inner.is_same(map) => out.push_str("(this Map)"),
                    _ => write_nested(item, host, bytes_max, depth_left, out)?,
                }
            }
            out.push('}');
        }
        Value::Null => out.push_str("null"),
        Value::String(text) => out.push_str(text),
    }
    check(out, bytes_max)
}

fn write_json(
    value: &Value,
    bytes_max: usize,
    depth_left: usize,
    out: &mut String,
) -> Result<(), RenderError> {
    let depth_left = depth_left.checked_sub(1).ok_or(RenderError::Depth)?;
    match value {
        Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Value::Float(float) if float.is_finite() => write_double(*float, out),
        Value::Float(_) | Value::Host(_) | Value::Null => out.push_str("null"),
        Value::Int(int) => write_int(*int, out),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.items().iter().enumerate() {
                if index != 0 {
                    out.push(',');
                }
                write_json(item, bytes_max, depth_left, out)?;
            }
            out.push(']');
        }
        Value::Entry(map) | Value::Map(map) => {
            out.push('{');
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if index != 0 {
                    out.push(',');
                }
                write_json_string(key, out);
                out.push(':');
                write_json(item, bytes_max, depth_left, out)?;
            }
            out.push('}');
        }
        Value::String(text) => write_json_string(text, out),
    }
    check(out, bytes_max)
}

fn check(out: &str, bytes_max: usize) -> Result<(), RenderError> {
    if bytes_max < out.len() { Err(RenderError::OutputLength) } else { Ok(()) }
}

fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

/// Appends a whole number.
pub(crate) fn write_int(int: i64, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{int}");
}

/// Appends a double as Java's [`Double.toString`] does: at least one digit
/// behind the point, scientific below 10⁻³ and from 10⁷ on.
///
/// [`Double.toString`]: https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/lang/Double.html#toString(double)
pub(crate) fn write_double(float: f64, out: &mut String) {
    if float.is_nan() {
        return out.push_str("NaN");
    }
    if float.is_infinite() {
        return out.push_str(if float < 0.0 { "-Infinity" } else { "Infinity" });
    }
    let size = float.abs();
    if float == 0.0 || (1e-3..1e7).contains(&size) {
        let _ = write!(out, "{float:?}");
        return;
    }
    // Rust's `1e-5` and `1.5e10` are Java's `1.0E-5` and `1.5E10`.
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    out.push_str(digits);
    if !digits.contains('.') {
        out.push_str(".0");
    }
    out.push('E');
    out.push_str(exponent);
}
