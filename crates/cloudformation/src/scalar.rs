//! What an unquoted scalar means.

use api_model::Value;
use serde_json::Number;

/// The value of a plain (unquoted, untagged) YAML scalar.
///
/// A number is one only if JSON spells it the same way: account ids with a
/// leading zero, versions such as `1.10`, hexadecimal, octal and sexagesimal
/// numbers and dates keep their spelling as strings.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// The number that JSON spells exactly as `text`.
pub(crate) fn number(text: &str) -> Option<Number> {
    if text.len() > NUMBER_BYTES_MAX || !text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
    {
        return None;
    }
    // The standard library reads fractions exactly, which the JSON reader does not.
    let number: Number = match text.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => match text.parse::<u64>() {
            Ok(number) => number.into(),
            Err(_) => Number::from_f64(text.parse().ok()?)?,
        },
    };
    (number.to_string() == text).then_some(number)
}

/// Longest spelling that a 64-bit number can have.
const NUMBER_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(format!("{:?}", plain(text)), want, "text: {text}");
    }

    #[test]
    fn numbers_and_booleans_are_recognised() {
        check("30", "Number(Number(30))");
        check("-1.5", "Number(Number(-1.5))");
        check("-113551.15802466395", "Number(Number(-113551.15802466395))");
        check("true", "Bool(true)");
        check("FALSE", "Bool(false)");
        check("~", "Null");
    }

    #[test]
    fn what_json_would_spell_otherwise_stays_text() {
        for text in ["012345678901", "2012-10-17", "1.10", "1e3", "0x1F", "1_000", "-0", "+1"] {
            check(text, &format!("String({text:?})"));
        }
        for text in ["yes", "no", "on", "off", "18446744073709551616", "12:30", ".5", ".inf"] {
            check(text, &format!("String({text:?})"));
        }
    }
}
