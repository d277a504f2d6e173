//! Makes transcripts repeatable: what changes from run to run becomes a name.
//!
//! Equal values get equal names, so a transcript still shows which ids are the
//! same. Only values of the right shape are replaced; anything else stays and
//! fails the comparison.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use regex::{Captures, Regex};

/// How far a time may lie from now to count as a time of this run.
const CLOCK_SLACK_MS: u64 = 120_000;

/// Names given so far.
pub(crate) struct Normaliser {
    pattern: Regex,
    literals: Vec<(String, String)>,
    names: HashMap<String, String>,
    counts: HashMap<String, usize>,
}

impl Normaliser {
    pub(crate) fn new() -> Self {
        let pattern = [
            r#"(?P<latency>"integrationLatency": ?\d+)"#,
            r#"(?:"(?P<key>[A-Za-z]+)" ?: ?"?|\\n)?(?:"#,
            r"(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)",
            r"|(?P<clf>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)",
            r"|(?P<http>[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)",
            r"|(?P<trace>Root=1-[0-9a-f]{8}-[0-9a-f]{24})",
            r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
            r"|(?P<run>[A-Za-z0-9_-]+(?:=|%3D)*)",
            ")",
        ];
        let pattern = format!("{}|{}", pattern[0], pattern[1..].concat());
        Self {
            pattern: Regex::new(&pattern).expect("the pattern is a constant"),
            literals: Vec::new(),
            names: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Replaces `value` by `name` everywhere, before anything else.
    pub(crate) fn literal(&mut self, value: &str, name: &str) {
        self.literals.push((value.to_owned(), name.to_owned()));
    }

    /// `text` with names for what changes.
    pub(crate) fn apply(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.literals {
            text = text.replace(value, name);
        }
        let pattern = self.pattern.clone();
        pattern.replace_all(&text, |found: &Captures<'_>| self.name(found)).into_owned()
    }

    fn name(&mut self, found: &Captures<'_>) -> String {
        let whole = found[0].to_owned();
        if found.name("latency").is_some() {
            return "\"integrationLatency\": <ms>".to_owned();
        }
        let key = found.name("key").map(|key| key.as_str());
        for (group, fixed) in [("clf", "<requestTime>"), ("http", "<date>")] {
            if let Some(value) = found.name(group) {
                return whole.replace(value.as_str(), fixed);
            }
        }
        for group in ["iso", "trace", "uuid", "run"] {
            let Some(value) = found.name(group).map(|value| value.as_str()) else { continue };
            let Some(class) = class(group, key, value) else { return whole };
            let name = match class.as_str() {
                "requestTimeEpoch" | "epoch-ms" | "amz-date" | "amz-day" | "sha256" => {
                    format!("<{class}>")
                }
                _ => self.numbered(&class, &value.replace("%3D", "=")),
            };
            return whole.replace(value, &name);
        }
        whole
    }

    fn numbered(&mut self, class: &str, value: &str) -> String {
        // An id keeps the class of its first appearance; a time does not.
        let timely = ["connectedAt", "lastActiveAt", "iso"].contains(&class);
        let key = if timely { format!("{class} {value}") } else { value.to_owned() };
        if let Some(name) = self.names.get(&key) {
            return name.clone();
        }
        let count = self.counts.entry(class.to_owned()).or_default();
        *count += 1;
        let name = format!("<{class}-{count}>");
        self.names.insert(key, name.clone());
        name
    }
}

/// The kind of a value that changes; `None` for one that does not.
fn class(group: &str, key: Option<&str>, value: &str) -> Option<String> {
    let named = |fallback: &str| Some(key.unwrap_or(fallback).to_owned());
    match group {
        "iso" => named("iso"),
        "trace" => Some("trace".to_owned()),
        "uuid" => Some("uuid".to_owned()),
        _ => {
            let plain = value.replace("%3D", "=");
            match (plain.len(), plain.trim_end_matches('=').len()) {
                (20, 18) if key == Some("messageId") => Some("messageId".to_owned()),
                (20, 18) => Some("connectionId".to_owned()),
                (16, 15) => Some("requestId".to_owned()),
                (13, 13) if is_now(&plain) => match key {
                    Some("connectedAt" | "requestTimeEpoch") => key.map(str::to_owned),
                    _ => Some("epoch-ms".to_owned()),
                },
                (16, 16) if is_amz_date(&plain) => Some("amz-date".to_owned()),
                (8, 8) if is_digits(&plain) && plain.starts_with("20") => {
                    Some("amz-day".to_owned())
                }
                (64, 64) if plain.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    Some("sha256".to_owned())
                }
                _ => None,
            }
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// `20260925T000213Z`, as Signature Version 4 writes a time.
fn is_amz_date(text: &str) -> bool {
    let parts = text.strip_suffix('Z').and_then(|rest| rest.split_once('T'));
    parts.is_some_and(|(day, time)| day.len() == 8 && is_digits(day) && is_digits(time))
}

fn is_now(digits: &str) -> bool {
    let Ok(value) = digits.parse::<u64>() else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    value.abs_diff(now) < CLOCK_SLACK_MS
}

#[test]
fn equal_ids_get_equal_names_and_other_text_stays() {
    let mut normaliser = Normaliser::new();
    normaliser.literal("127.0.0.1:4711", "<host>");
    let text = r#"{"connectionId": "gbgBRs9dGQAYKEh7VA==", "messageId": "abgBRs9dGQAYKEh7VA==",
 "requestId": "EOoA7EugIAMEe1A=", "extendedRequestId": "EOoA7EugIAMEe1A="}
 /dev/@connections/gbgBRs9dGQAYKEh7VA%3D%3D at 127.0.0.1:4711, not 1000000000000 nor abc="#;
    assert_eq!(
        normaliser.apply(text),
        r#"{"connectionId": "<connectionId-1>", "messageId": "<messageId-1>",
 "requestId": "<requestId-1>", "extendedRequestId": "<requestId-1>"}
 /dev/@connections/<connectionId-1> at <host>, not 1000000000000 nor abc="#
    );
}
