//! Scripts in, transcripts out, in simulated time.
//!
//! A script holds one `<time> <event>` per line. Before each event all timers
//! that are due by then fire, each exactly when it is due.

mod authorizer;
mod event;
mod integration;
mod invoke;
mod mapping;
mod play;
mod protocol;
mod proxy_result;
mod renewal;
mod route;
mod service;
mod target;
mod template;
mod total;
mod world;

use expect_test::expect;

use play::{check, check_with, limits};

#[test]
fn ten_minutes_of_silence_close_and_a_push_restarts_them() {
    check(
        "599999ms wait
         10m wait",
        expect![[r#"
            599999ms due 10m
            10m close 1001 Going away
            10m due 605s
        "#]],
    );
    check(
        "9m push still there?
         18m push and now?
         27m59s wait
         28m wait",
        expect![[r#"
            9m text still there?
            18m text and now?
            1679s due 28m
            28m close 1001 Going away
            28m due 1685s
        "#]],
    );
}

#[test]
fn a_message_of_the_client_restarts_the_ten_minutes_on_any_route() {
    check(
        "9m text {\"action\":\"one\"}
         18m59s wait
         19m wait",
        expect![[r#"
            9m call one {"action":"one"}
            1139s due 19m
            19m close 1001 Going away
            19m due 1145s
        "#]],
    );
}

#[test]
fn a_reply_restarts_the_ten_minutes_when_it_is_sent() {
    check(
        "1m text {\"action\":\"two\"}
         6m answer 1 done
         15m59s wait
         16m wait",
        expect![[r#"
            1m call two {"action":"two"}
            6m text done
            959s due 16m
            16m close 1001 Going away
            16m due 965s
        "#]],
    );
}

#[test]
fn a_reply_that_nobody_gets_restarts_nothing() {
    check(
        "1m text {\"action\":\"one\"}
         6m answer 1 done
         11m wait",
        expect![[r#"
            1m call one {"action":"one"}
            11m close 1001 Going away
            11m due 665s
        "#]],
    );
}

#[test]
fn two_hours_close_under_traffic() {
    let traffic: String = (1..=119).map(|minute| format!("{minute}m push tick\n")).collect();
    let pushes: String = (1..=119).map(|minute| format!("{minute}m text tick\n")).collect();
    let script = format!("{traffic}7199999ms text {{\"action\":\"mock\"}}\n120m wait");
    let want = format!(
        "{pushes}7199999ms text {{\"type\":\"pong\",\"at\":\"1790294535120\"}}\n\
         120m close 1001 Going away\n120m due 7205s\n"
    );
    assert_eq!(play::play(&script, &play::stage(), &limits()), want);
}

#[test]
fn the_clients_pings_restart_the_ten_minutes_and_its_pongs_do_not() {
    check(
        "5m ping a
         14m pong b
         15m wait",
        expect![[r#"
            5m pong a
            15m close 1001 Going away
            15m due 905s
        "#]],
    );
}

#[test]
fn a_silent_client_is_pinged_and_its_pongs_do_not_keep_it() {
    let mut limits = limits();
    limits.ping_interval = Some(std::time::Duration::from_secs(240));
    check_with(
        &limits,
        "4m wait
         241s pong
         481s wait
         482s pong
         10m wait",
        expect![[r#"
            4m ping
            4m due 8m
            481s ping
            481s due 10m
            10m close 1001 Going away
            10m due 605s
        "#]],
    );
}

#[test]
fn whoever_is_heard_is_not_pinged() {
    let mut limits = limits();
    limits.ping_interval = Some(std::time::Duration::from_secs(60));
    check_with(
        &limits,
        "59s text {\"action\":\"mute\"}
         118s push x
         119s wait",
        expect![[r#"
            118s text x
            119s ping
            119s due 179s
        "#]],
    );
}

#[test]
fn a_client_that_leaves_a_ping_unanswered_is_gone() {
    let mut limits = limits();
    limits.ping_interval = Some(std::time::Duration::from_secs(60));
    check_with(
        &limits,
        "60s push x
         2m wait
         3m push y",
        expect![[r#"
            1m ping
            1m text x
            2m closed 1006 Connection Closed Abnormally
        "#]],
    );
}

#[test]
fn a_session_ends_when_its_credentials_do() {
    check(
        "0s expires 5m
         299s text {\"action\":\"mock\"}
         5m wait",
        expect![[r#"
            299s text {"type":"pong","at":"1790294535120"}
            5m close 1008 session expired
            5m due 305s
        "#]],
    );
}
