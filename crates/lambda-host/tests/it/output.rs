//! What functions print.

use serde_json::{Value, json};

use crate::harness::{ask, call, eventually, function, record, records};

fn print(stream: &str, bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "do": "print", "stream": stream, "hex": hex })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_line_is_a_record_with_function_invocation_and_stream() {
    let function = function("prints", |_| {});
    let request = ask(&function, "who").await["request"].clone();
    call(&function, print("stdout", b"to stdout\n")).await.unwrap();
    call(&function, print("stderr", b"to stderr\n")).await.unwrap();
    let out = record("prints", "to stdout");
    assert_eq!((out["stream"].as_str(), out["level"].as_str()), ("stdout", "INFO"));
    assert_eq!(record("prints", "to stderr")["stream"], "stderr");
    assert!(out.contains_key("request_id"));
    assert_ne!(out["request_id"], request.as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn escapes_and_broken_text_cannot_touch_the_log() {
    let function = function("escapes", |_| {});
    call(&function, print("stdout", b"\x1b[2Jgone\rover\xff\xfe\n")).await.unwrap();
    call(&function, print("stdout", "\u{202e}turned\n".as_bytes())).await.unwrap();
    record("escapes", "\\x1b[2Jgone\\x0dover\u{fffd}\u{fffd}");
    record("escapes", "\\u{202e}turned");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_line_needs_no_end() {
    let function = function("last-line", |_| {});
    call(&function, print("stdout", b"no newline")).await.unwrap();
    call(&function, json!({ "do": "exit", "code": 1 })).await.unwrap_err();
    record("last-line", "no newline");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_neither_blocks_the_function_nor_fills_the_log() {
    let function = function("flood", |_| {});
    call(&function, json!({ "do": "flood", "megabytes": 50 })).await.unwrap();
    let notice = |record: &std::collections::BTreeMap<String, String>| {
        record["message"].contains("lines of output dropped")
    };
    eventually("the notice", || records("flood").iter().any(notice));
    let lines = records("flood").iter().filter(|record| record["message"].starts_with('y')).count();
    assert!(0 < lines && lines < 50 * 16384 / 4, "{lines} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_is_cut_with_a_mark() {
    let function = function("long-line", |_| {});
    let mut line = vec![b'z'; 20_000];
    line.push(b'\n');
    call(&function, print("stdout", &line)).await.unwrap();
    let text = record("long-line", "zzz")["message"].clone();
    assert!(text.ends_with("[cut]"));
    assert_eq!(text.matches('z').count(), 16 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_invocation_is_reported_and_the_first_one_is_cold() {
    let function = function("report", |_| {});
    for cold in ["true", "false"] {
        let request = ask(&function, "who").await["request"].clone();
        let is_its = |record: &std::collections::BTreeMap<String, String>| {
            record["message"] == "REPORT" && record["request_id"] == request.as_str().unwrap()
        };
        let report = records("report").into_iter().find(is_its).unwrap();
        assert_eq!(report["cold"], cold);
        assert_eq!(report.contains_key("init_ms"), cold == "true");
        assert!(report.contains_key("duration_ms"));
    }
}
