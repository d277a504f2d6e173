//! Which route a message takes.

use super::world::{Way, route, stage};

/// The keys that have a route, beside `$default` and the lifecycle routes.
const KEYS: [&str; 10] =
    ["join", "chat/join", "join-", "[a, b]", "7", "1.5", "true", "null", "é\"", "$x"];

#[track_caller]
fn check(expression: &str, message: &str, want: &str) {
    let keys = KEYS.iter().chain(&["$default", "$connect", "$disconnect"]);
    let stage = stage(expression, keys.map(|key| route(key, Way::One, None)).collect());
    let found = crate::route::select(&stage, message).route.map(|route| route.key.as_str());
    assert_eq!(found, Some(want), "{expression} on {message}");
}

#[test]
fn the_member_selects_by_exact_text() {
    for expression in [
        "$request.body.action",
        "${request.body.action}",
        "${request.body.action}${request.body.nope}",
        "$request.body['action']",
    ] {
        check(expression, r#"{"action":"join"}"#, "join");
        check(expression, r#"{"action":"Join"}"#, "$default");
        check(expression, r#"{"action":"join "}"#, "$default");
        check(expression, r#"{"action":"zzz"}"#, "$default");
        check(expression, r#"{"Action":"join"}"#, "$default");
        check(expression, r#"{"other":1}"#, "$default");
        check(expression, "{}", "$default");
        check(expression, r#"{"action":["a","b"]}"#, "[a, b]");
        check(expression, r#"{"action": [ "a" , "b" ] }"#, "[a, b]");
        check(expression, r#"{"action":7}"#, "7");
        check(expression, r#"{"action":1.50}"#, "1.5");
        check(expression, r#"{"action":true}"#, "true");
        check(expression, r#"{"action":null}"#, "null");
        check(expression, r#"{"action":{}}"#, "$default");
    }
}

#[test]
fn what_is_not_json_takes_the_default() {
    for expression in ["$request.body.action", "${request.body.action}/${request.body.b}", "join"] {
        for message in [
            "",
            " ",
            "hello",
            "{\"action\":\"join\"",
            "{\"action\":\"join\"} x",
            "{action:\"join\"}",
            "{\"action\":\"join\",}",
            "\u{feff}{\"action\":\"join\"}",
            "{\"action\":\"join\"}{}",
        ] {
            check(expression, message, "$default");
        }
    }
}

#[test]
fn json_that_is_no_object_takes_the_default() {
    for message in ["\"x\"", "\"join\"", "5", "[1]", "[\"join\"]", "null", "true"] {
        check("$request.body.action", message, "$default");
    }
    check("join", "5", "join");
}

#[test]
fn lifecycle_routes_cannot_be_selected() {
    for key in ["$default", "$connect", "$disconnect", "$x"] {
        check("$request.body.action", &format!(r#"{{"action":"{key}"}}"#), "$default");
        check("${request.body.a}${request.body.b}", &format!(r#"{{"a":"{key}"}}"#), "$default");
    }
    check(r"\$connect", "{}", "$default");
    check("$request.body.action", r#"{"action":"\u0024connect"}"#, "$default");
}

#[test]
fn of_equal_members_the_last_counts() {
    check("$request.body.action", r#"{"action":"join","action":"7"}"#, "7");
    check("$request.body.action", r#"{"action":"join","action":null}"#, "null");
    check("${request.body.action}-", r#"{"action":"x","action":"join"}"#, "join-");
    check("$request.body.a.b", r#"{"a":{"b":"join"},"a":{}}"#, "$default");
    check("$request.body.a.b", r#"{"a":{"b":"join"},"a":7}"#, "$default");
}

#[test]
fn escapes_mean_what_they_stand_for() {
    check("$request.body.action", r#"{"action":"\u006aoin"}"#, "join");
    check("$request.body.action", r#"{"\u0061ction":"join"}"#, "join");
    check("$request.body.action", r#"{"action":"\u00e9\""}"#, "é\"");
    check("$request.body.action", r#"{"action":"chat\/join"}"#, "chat/join");
    check("$request.body.action", r#"{"action":"\ud800"}"#, "$default");
    check("$request.body.action", r#"{"note":"\"action\":\"7\"","action":"join"}"#, "join");
}

#[test]
fn expressions_of_several_variables_are_joined() {
    check(
        "${request.body.service}/${request.body.action}",
        r#"{"service":"chat","action":"join"}"#,
        "chat/join",
    );
    check("${request.body.action}-${request.body.nope}", r#"{"action":"join"}"#, "join-");
    check("$request.body.action", r#"{"action":"$request.body.b","b":"join"}"#, "$default");
}

#[test]
fn nesting_without_bound_is_survived() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 10_000] {
            let middle = if open == "[" { "" } else { "1" };
            let deep = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
            check("$request.body.action", &format!(r#"{{"action":"join","x":{deep}}}"#), "join");
            check("$request.body.action", &format!(r#"{{"action":{deep}}}"#), "$default");
            check("$request.body.action", &deep, "$default");
            check("$request.body.action", &open.repeat(depth), "$default");
        }
    }
}

#[test]
fn without_a_default_nothing_is_selected() {
    let stage = stage("$request.body.action", vec![route("join", Way::One, None)]);
    assert!(crate::route::select(&stage, r#"{"action":"join"}"#).route.is_some());
    assert!(crate::route::select(&stage, r#"{"action":"zzz"}"#).route.is_none());
    assert!(crate::route::select(&stage, "hello").route.is_none());
}

#[test]
fn the_key_of_renewal_is_seen_whatever_the_expression_is() {
    #[track_caller]
    fn check_session(expression: &str, message: &str, want: bool) {
        let stage = stage(expression, vec![route("$default", Way::One, None)]);
        let selected = crate::route::select(&stage, message);
        assert_eq!(selected.is_session, want, "{expression} on {message}");
        assert_eq!(selected.route.map(|route| route.key.as_str()), Some("$default"));
    }
    check_session("$request.body.action", r#"{"action":"$session"}"#, true);
    check_session("$request.body.action", r#"{"action":"\u0024session"}"#, true);
    check_session("$request.body.a.b", r#"{"a":{"b":"$session"}}"#, true);
    check_session("${request.body.a}${request.body.b}", r#"{"a":"$ses","b":"sion"}"#, true);
    check_session(r"\$session", "7", true);
    for message in [
        r#"{"action":"$Session"}"#,
        r#"{"action":"$session "}"#,
        r#"{"action":["$session"]}"#,
        r#"{"action":"session"}"#,
        r#"{"action":"$session","action":"join"}"#,
        r#"{"other":"$session"}"#,
        r#"{"action":"$session"} x"#,
        "$session",
        "\"$session\"",
    ] {
        check_session("$request.body.action", message, false);
    }
}
