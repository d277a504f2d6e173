//! Messages, replies, errors and the close handshake.

use expect_test::expect;
use websocket::Binary;

use super::play::{check, check_with, limits, play, stage_with_default};

#[test]
fn one_way_routes_are_silent_and_two_way_routes_answer() {
    check(
        "0s text {\"action\":\"one\"}
         1s answer 1 nobody sees this
         2s text {\"action\":\"two\"}
         3s answer 2 seen
         4s text {\"action\":\"mute\"}
         5s text {\"action\":\"mock\"}",
        expect![[r#"
            0s call one {"action":"one"}
            2s call two {"action":"two"}
            3s text seen
            5s text {"type":"pong","at":"1790294535120"}
        "#]],
    );
}

#[test]
fn a_two_way_route_without_a_body_sends_an_empty_message() {
    check(
        "0s text {\"action\":\"two\"}
         1s answer 1",
        expect![[r#"
            0s call two {"action":"two"}
            1s text
        "#]],
    );
}

#[test]
fn mock_replies_of_one_read_leave_in_one_output() {
    check(
        "0s batch {\"action\":\"mock\"} | ping p | {\"action\":\"two\"} | {\"action\":\"mock\"}",
        expect![[r#"
            0s text {"type":"pong","at":"1790294535120"} + pong p + text {"type":"pong","at":"1790294535120"}
            0s call two {"action":"two"}
        "#]],
    );
}

#[test]
fn replies_may_overtake_each_other() {
    check(
        "0s batch {\"action\":\"two\",\"n\":1} | {\"action\":\"two\",\"n\":2}
         1s answer 2 second
         2s answer 1 first",
        expect![[r#"
            0s call two {"action":"two","n":1}
            0s call two {"action":"two","n":2}
            1s text second
            2s text first
        "#]],
    );
}

#[test]
fn errors_come_in_the_services_spelling_and_leave_the_connection_open() {
    check(
        "0s text {\"action\":\"nope\"}
         1s text plain text
         2s text {\"action\":\"busy\"}
         3s text {\"action\":\"bad\"}
         4s text {\"action\":\"none\"}
         5s text {\"action\":\"big\"}
         6s text {\"action\":\"mock\"}",
        expect![[r#"
            0s failed route_unknown
            0s text {"message": "Forbidden", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAE="}
            1s failed route_unknown
            1s text {"message": "Forbidden", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
            2s failed throttled
            2s text {"message": "Too Many Requests", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAM="}
            3s failed integration_error
            3s text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAQ="}
            4s failed integration_error
            4s text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAU="}
            5s text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAY="}
            6s text {"type":"pong","at":"1790294535120"}
        "#]],
    );
}

#[test]
fn failures_of_integrations_reach_the_client_on_one_way_routes_too() {
    check(
        "0s batch {\"action\":\"one\"} | {\"action\":\"two\"}
         29s answer 1 !timeout
         30s answer 2 !error",
        expect![[r#"
            0s call one {"action":"one"}
            0s call two {"action":"two"}
            29s text {"message": "Endpoint request timed out", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAE="}
            30s text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
        "#]],
    );
}

#[test]
fn a_reply_may_have_128_kb_and_not_a_byte_more() {
    check(
        "0s text {\"action\":\"full\"}
         1s text {\"action\":\"big\"}",
        expect![[r#"
            0s text of 131072 bytes
            1s text {"message": "Internal server error", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAI="}
        "#]],
    );
}

#[test]
fn a_message_of_several_frames_is_one_message() {
    // `{"action":` and `"two"}` as a text frame and a continuation, masked with zeros.
    check(
        "0s bytes 01 8a 00 00 00 00 7b 22 61 63 74 69 6f 6e 22 3a
         1s ping between
         2s bytes 80 86 00 00 00 00 22 74 77 6f 22 7d",
        expect![[r#"
            1s pong between
            2s call two {"action":"two"}
        "#]],
    );
}

#[test]
fn the_clients_close_is_echoed() {
    check(
        "0s close 1000 bye
         1s text {\"action\":\"mock\"}
         2s push too late",
        expect![[r#"
            0s close 1000 bye
            0s closed 1000 bye
        "#]],
    );
    check(
        "0s close 4999",
        expect![[r#"
            0s close 4999
            0s closed 4999
        "#]],
    );
    check(
        "0s batch {\"action\":\"mock\"} | close 1001 leaving | {\"action\":\"mock\"}",
        expect![[r#"
            0s text {"type":"pong","at":"1790294535120"} + close 1001 leaving
            0s closed 1001 leaving
        "#]],
    );
}

#[test]
fn a_close_without_status_is_answered_in_kind_and_reported_as_1005() {
    check(
        "0s close",
        expect![[r#"
            0s close
            0s closed 1005 Client-side close frame status not set
        "#]],
    );
}

#[test]
fn a_delete_closes_with_1000_and_the_echo_ends_it() {
    check(
        "0s delete
         1s wait
         1s close 1000 Connection Closed Normally",
        expect![[r#"
            0s close 1000 Connection Closed Normally
            1s due 5s
            1s closed 1000 Connection Closed Normally
        "#]],
    );
}

#[test]
fn a_drain_closes_with_1001_and_waits_five_seconds_for_the_echo() {
    check(
        "0s drain
         4999ms wait
         5s wait",
        expect![[r#"
            0s close 1001 Going away
            4999ms due 5s
            5s closed 1001 Going away
        "#]],
    );
}

#[test]
fn the_first_reason_to_close_is_the_one_that_counts() {
    check(
        "0s drain
         1s delete
         2s close 4000 other",
        expect![[r#"
            0s close 1001 Going away
            2s closed 1001 Going away
        "#]],
    );
    check(
        "0s delete
         1s gone",
        expect![[r#"
            0s close 1000 Connection Closed Normally
            1s closed 1000 Connection Closed Normally
        "#]],
    );
}

#[test]
fn nothing_is_served_while_closing() {
    check(
        "0s text {\"action\":\"two\"}
         1s drain
         1s text {\"action\":\"mock\"}
         1s text {\"action\":\"two\"}
         1s ping x
         1s push y
         1s answer 1 z
         2s bytes c1 80 00 00 00 00",
        expect![[r#"
            0s call two {"action":"two"}
            1s close 1001 Going away
            2s closed 1001 Going away
        "#]],
    );
}

#[test]
fn a_transport_that_vanishes_is_1006() {
    check(
        "0s gone
         1s push x",
        expect![[r#"
            0s closed 1006 Connection Closed Abnormally
        "#]],
    );
}

#[test]
fn a_stage_that_is_served_no_more_closes_at_the_next_message() {
    check(
        "0s unserve
         1s push still open
         2s batch {\"action\":\"mock\"} | {\"action\":\"mock\"}",
        expect![[r#"
            1s text still open
            2s close 1001 Going away
        "#]],
    );
}

#[test]
fn violations_close_at_once_with_their_code() {
    check(
        "0s bytes 81 01 61",
        expect![[r#"
            0s close 1002 Protocol error
            0s closed 1002 Protocol error
        "#]],
    );
    check(
        "0s bytes 81 81 00 00 00 00 ff",
        expect![[r#"
            0s close 1007 Invalid UTF-8
            0s closed 1007 Invalid UTF-8
        "#]],
    );
    check(
        "0s bytes 81 fe 80 01 00 00 00 00",
        expect![[r#"
            0s close 1009 Message too big
            0s closed 1009 Message too big
        "#]],
    );
    check(
        "0s batch {\"action\":\"mock\"} | bytes f1 80 00 00 00 00",
        expect![[r#"
            0s text {"type":"pong","at":"1790294535120"} + close 1002 Protocol error
            0s closed 1002 Protocol error
        "#]],
    );
}

#[test]
fn binary_is_refused() {
    check(
        "0s binary abc",
        expect![[r#"
            0s close 1003 Binary is not supported
            0s closed 1003 Binary is not supported
        "#]],
    );
}

#[test]
fn binary_that_is_accepted_goes_to_the_default_route_as_base64() {
    let mut limits = limits();
    limits.framing.binary = Binary::Accept;
    let transcript = play("0s binary {\"action\":\"two\"}", &stage_with_default(), &limits);
    expect![[r#"
        0s call base64 $default eyJhY3Rpb24iOiJ0d28ifQ==
    "#]]
    .assert_eq(&transcript);
    check_with(
        &limits,
        "0s binary abc",
        expect![[r#"
            0s failed route_unknown
            0s text {"message": "Forbidden", "connectionId":"gbgBRs9dGQAYKEh7VA==", "requestId":"AAAAAAAAAAAAAAE="}
        "#]],
    );
}

#[test]
fn a_reply_is_binary_only_where_it_says_so() {
    check(
        "0s text {\"action\":\"two\"}
         1s answer 1 !binary ab
         2s answer 1 ab",
        expect![[r#"
            0s call two {"action":"two"}
            1s binary [97, 98]
            2s text ab
        "#]],
    );
}

#[test]
fn messages_wait_in_their_order_while_there_is_no_room() {
    check(
        "0s room 1
         0s batch {\"action\":\"one\"} | {\"action\":\"two\"} | {\"action\":\"mock\"} | close 1000 bye
         1s more
         2s room 2
         2s more
         3s room 9
         3s more",
        expect![[r#"
            0s call one {"action":"one"}
            0s more waits
            1s more waits
            2s call two {"action":"two"}
            2s more waits
            3s text {"type":"pong","at":"1790294535120"} + close 1000 bye
            3s closed 1000 bye
        "#]],
    );
}

#[test]
fn what_waits_does_not_outlive_a_close() {
    check(
        "0s room 1
         0s batch {\"action\":\"one\"} | {\"action\":\"two\"}
         1s drain
         2s room 9
         2s more
         3s close 1001 Going away",
        expect![[r#"
            0s call one {"action":"one"}
            0s more waits
            1s close 1001 Going away
            1s more waits
            3s closed 1001 Going away
        "#]],
    );
    check(
        "0s room 1
         0s batch {\"action\":\"one\"} | {\"action\":\"two\"}
         1s gone
         2s room 9
         2s more",
        expect![[r#"
            0s call one {"action":"one"}
            0s more waits
            1s closed 1006 Connection Closed Abnormally
        "#]],
    );
}

#[test]
fn asking_for_what_waits_is_not_hearing_from_the_client() {
    let mut limits = limits();
    limits.ping_interval = Some(std::time::Duration::from_secs(60));
    check_with(
        &limits,
        "59s more
         1m wait
         119s more
         2m wait",
        expect![[r#"
            1m ping
            1m due 2m
            2m closed 1006 Connection Closed Abnormally
        "#]],
    );
}
