//! Which messages of a batch failed, as the function reports ([page]).
//!
//! [page]: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting

use serde_json::Value;

/// Messages that must come again: those named; none for a result that names none; all for a result
/// that is not what it should be, or that names something else.
pub(super) fn failed<'a>(result: &[u8], ids: &[&'a str]) -> Vec<&'a str> {
    let all = || ids.to_vec();
    let Ok(result) = serde_json::from_slice::<Value>(result) else { return all() };
    let list = match &result {
        Value::Null => return Vec::new(),
        Value::Object(members) => match members.get("batchItemFailures") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => return all(),
        },
        _ => return all(),
    };
    let mut failed = Vec::new();
    for item in list {
        let named = item.get("itemIdentifier").and_then(Value::as_str);
        let Some(id) = ids.iter().find(|id| named == Some(**id)) else { return all() };
        failed.push(*id);
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(result: &str, want: &[&str]) {
        assert_eq!(failed(result.as_bytes(), &["a", "b"]), want, "{result}");
    }

    #[test]
    fn nothing_named_is_success() {
        for result in ["null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#]
        {
            check(result, &[]);
        }
    }

    #[test]
    fn named_messages_failed() {
        check(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, &["b"]);
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#,
            &["b", "a"],
        );
    }

    #[test]
    fn a_report_that_cannot_be_believed_fails_all() {
        for result in [
            "",
            "no",
            "\"a\"",
            "[]",
            r#"{"batchItemFailures":"b"}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"id":"b"}]}"#,
            r#"{"batchItemFailures":["b"]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"c"}]}"#,
        ] {
            check(result, &["a", "b"]);
        }
    }
}
