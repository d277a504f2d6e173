//! Session renewal: who is asked how often, and what moves.

use expect_test::expect;

use super::play::{check, check_with, limits, play, stage, stage_with_default};
use crate::connection::Id;
use crate::renewal::Renewal;

#[track_caller]
fn check_token(message: &str, want: Option<&str>) {
    let renewal = Renewal::parse(message, Id::request([0; 11]));
    assert_eq!(renewal.token.as_deref(), want, "{message}");
}

#[test]
fn a_fresh_token_moves_the_end_later_and_nothing_else() {
    check(
        "0s expires 5m
         0s renewal on
         4m text {\"action\":\"$session\",\"token\":\"a.b.c\"}
         241s renewed 1 until 9m
         539999ms wait
         9m wait",
        expect![[r#"
            4m verify a.b.c
            241s text {"session":"renewed","expiresAt":1790295075}
            539999ms due 9m
            9m close 1008 session expired
            9m due 545s
        "#]],
    );
}

#[test]
fn a_fresh_token_moves_the_end_earlier_too() {
    check(
        "0s expires 30m
         0s renewal on
         1m text {\"action\":\"$session\",\"token\":\"t\"}
         1m renewed 1 until 2m
         2m wait",
        expect![[r#"
            1m verify t
            1m text {"session":"renewed","expiresAt":1790294655}
            2m close 1008 session expired
            2m due 125s
        "#]],
    );
}

#[test]
fn an_end_that_has_passed_already_closes_at_once() {
    check(
        "0s expires 30m
         0s renewal on
         1m text {\"action\":\"$session\",\"token\":\"t\"}
         3m renewed 1 until 2m
         181s wait",
        expect![[r#"
            1m verify t
            3m text {"session":"renewed","expiresAt":1790294655}
            3m close 1008 session expired
            181s due 185s
        "#]],
    );
}

#[test]
fn no_renewal_outlives_the_age_of_the_connection() {
    let mut limits = limits();
    limits.age = std::time::Duration::from_secs(60);
    check_with(
        &limits,
        "0s expires 50s
         0s renewal on
         49s text {\"action\":\"$session\",\"token\":\"t\"}
         49s renewed 1 until 90m
         59s text {\"action\":\"$session\",\"token\":\"t\"}
         59s renewed 2 until 90m
         59999ms wait
         1m wait",
        expect![[r#"
            49s verify t
            49s text {"session":"renewed","expiresAt":1790299935}
            59s verify t
            59s text {"session":"renewed","expiresAt":1790299935}
            59999ms due 1m
            1m close 1001 Going away
            1m due 65s
        "#]],
    );
}

#[test]
fn a_renewal_is_a_message_that_counts_as_activity_and_so_is_its_answer() {
    check(
        "0s renewal on
         9m text {\"action\":\"$session\",\"token\":\"t\"}
         10m renewed 1 until 90m
         10m wait
         20m wait",
        expect![[r#"
            9m verify t
            10m text {"session":"renewed","expiresAt":1790299935}
            10m due 20m
            20m close 1001 Going away
            20m due 1205s
        "#]],
    );
}

#[test]
fn ten_seconds_lie_between_two_attempts() {
    check(
        "0s renewal on
         0s text {\"action\":\"$session\",\"token\":\"a\"}
         1s renewed 1 until 9m
         9999ms text {\"action\":\"$session\",\"token\":\"b\"}
         10s text {\"action\":\"$session\",\"token\":\"c\"}
         10s renewed 2 !invalid
         19s text {\"action\":\"$session\",\"token\":\"d\"}
         20s text {\"action\":\"$session\",\"token\":\"e\"}",
        expect![[r#"
            0s verify a
            1s text {"session":"renewed","expiresAt":1790295075}
            9999ms failed throttled
            9999ms text {"message": "Too Many Requests", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
            10s verify c
            10s text {"message": "Unauthorized", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAM="}
            19s failed throttled
            19s text {"message": "Too Many Requests", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAQ="}
            20s verify e
        "#]],
    );
}

#[test]
fn of_two_at_once_one_is_verified() {
    check(
        "0s renewal on
         1s batch {\"action\":\"$session\",\"token\":\"a\"} | {\"action\":\"$session\",\"token\":\"b\"}",
        expect![[r#"
            1s failed throttled
            1s text {"message": "Too Many Requests", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
            1s verify a
        "#]],
    );
}

#[test]
fn while_an_attempt_is_under_way_there_is_no_other() {
    check(
        "0s renewal on
         1s text {\"action\":\"$session\",\"token\":\"slow\"}
         25s text {\"action\":\"$session\",\"token\":\"b\"}
         26s renewed 1 until 5m
         26s text {\"action\":\"$session\",\"token\":\"c\"}
         5m text {\"action\":\"mock\"}",
        expect![[r#"
            1s verify slow
            25s failed throttled
            25s text {"message": "Too Many Requests", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
            26s text {"session":"renewed","expiresAt":1790294835}
            26s verify c
            5m close 1008 session expired
        "#]],
    );
}

#[test]
fn other_messages_pass_while_a_token_is_verified() {
    check(
        "0s renewal on
         1s batch {\"action\":\"$session\",\"token\":\"a\"} | {\"action\":\"mock\"} | {\"action\":\"one\"}",
        expect![[r#"
            1s text {"type":"pong","at":"1790294535120"}
            1s verify a
            1s call one {"action":"one"}
        "#]],
    );
}

#[test]
fn a_renewal_waits_for_room_like_any_message() {
    check(
        "0s renewal on
         0s room 0
         1s text {\"action\":\"$session\",\"token\":\"a\"}
         2s room 2
         2s more",
        expect![[r#"
            1s more waits
            2s verify a
        "#]],
    );
}

#[test]
fn a_token_that_is_not_valid_leaves_the_end_where_it_was() {
    check(
        "0s expires 5m
         0s renewal on
         1m text {\"action\":\"$session\",\"token\":\"t\"}
         1m renewed 1 !invalid
         2m text {\"action\":\"$session\"}
         2m renewed 2 !invalid
         3m text {\"action\":\"$session\",\"token\":\"t\"}
         3m renewed 3 !error
         5m wait",
        expect![[r#"
            1m verify t
            1m text {"message": "Unauthorized", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAE="}
            2m verify nothing
            2m text {"message": "Unauthorized", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
            3m verify t
            3m text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAM="}
            5m close 1008 session expired
            5m due 305s
        "#]],
    );
}

#[test]
fn the_token_of_another_session_closes() {
    check(
        "0s renewal on
         1m text {\"action\":\"$session\",\"token\":\"t\"}
         1m renewed 1 !changed
         61s close 1008 session changed",
        expect![[r#"
            1m verify t
            1m close 1008 session changed
            61s closed 1008 session changed
        "#]],
    );
}

#[test]
fn a_revoked_session_closes_as_by_its_revocation() {
    check(
        "0s renewal on
         1m text {\"action\":\"$session\",\"token\":\"t\"}
         1m renewed 1 !revoked
         61s close 1000 Connection Closed Normally",
        expect![[r#"
            1m verify t
            1m close 1000 Connection Closed Normally
            61s closed 1000 Connection Closed Normally
        "#]],
    );
}

#[test]
fn a_renewal_that_comes_too_late_opens_nothing_again() {
    check(
        "0s expires 5m
         0s renewal on
         299s text {\"action\":\"$session\",\"token\":\"t\"}
         301s renewed 1 until 9m
         305s wait",
        expect![[r#"
            299s verify t
            5m close 1008 session expired
            305s closed 1008 session expired
        "#]],
    );
}

#[test]
fn where_nothing_is_renewed_the_message_takes_the_ordinary_way() {
    let script = "1s text {\"action\":\"$session\",\"token\":\"t\"}";
    expect![[r#"
        1s failed route_unknown
        1s text {"message": "Forbidden", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAE="}
    "#]]
    .assert_eq(&play(script, &stage(), &limits()));
    expect![[r#"
        1s call $default {"action":"$session","token":"t"}
    "#]]
    .assert_eq(&play(script, &stage_with_default(), &limits()));
}

#[test]
fn a_binary_message_renews_nothing() {
    let mut limits = limits();
    limits.framing.binary = websocket::Binary::Accept;
    let script = "0s renewal on\n1s binary {\"action\":\"$session\",\"token\":\"t\"}";
    let transcript = play(script, &stage_with_default(), &limits);
    assert!(transcript.starts_with("1s call base64 $default "), "{transcript}");
}

#[test]
fn the_token_is_the_one_string_of_that_name() {
    check_token(r#"{"action":"$session","token":"a.b.c"}"#, Some("a.b.c"));
    check_token(" {\"x\":[{\"token\":1}],\"token\" : \"a\\u002eb\" } ", Some("a.b"));
    check_token(r#"{"token":""}"#, Some(""));
    for message in [
        "",
        "{}",
        "\"a.b.c\"",
        r#"["a.b.c"]"#,
        r#"{"Token":"a"}"#,
        r#"{"token":7}"#,
        r#"{"token":null}"#,
        r#"{"token":["a"]}"#,
        r#"{"token":"a","token":"a"}"#,
        r#"{"token":"a","\u0074oken":"b"}"#,
        r#"{"nested":{"token":"a"}}"#,
        r#"{"token":"a"} x"#,
        r#"{"token":"\ud800"}"#,
    ] {
        check_token(message, None);
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    check_token(&format!(r#"{{"deep":{deep},"token":"a"}}"#), Some("a"));
}
