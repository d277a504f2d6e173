//! Attacks on the `Origin` rule: everything is as Ada's browser sends it, from another page.

use super::super::forge::{BOOKS, UI, World};
use super::{Attack, People, Want};

const ABSENT: Want = Want::Refused(403, "origin_absent");
const AMBIGUOUS: Want = Want::Refused(403, "origin_ambiguous");
const FETCH_MODE: Want = Want::Refused(403, "origin_fetch_mode");
const NOT_ALLOWED: Want = Want::Refused(403, "origin_not_allowed");
const OK: Want = Want::Granted("hs:ada");

/// Against a list of two origins.
pub(in super::super) fn origins(world: &World) -> Vec<Attack> {
    let people = People::of(world);
    let from = |origin: &str, want| people.browser(origin, want).header("Origin", origin);
    let mut rows = vec![from(UI, OK), from(BOOKS, OK)];
    for origin in [
        "null",
        "NULL",
        "https://evil.example",
        "https://example.com",
        "https://blog.example.com",
        "https://ui.example.com.evil.com",
        "https://evilui.example.com",
        "https://evil-ui.example.com",
        "https://ui-example.com",
        "https://uiXexample.com",
        "https://a.ui.example.com",
        "https://ui.example.co",
        "https://ui.example.comm",
        "https://ui.example.com@evil.example",
        "https://evil.example@ui.example.com",
        "https://user:password@ui.example.com",
        "https://ui.example.com:443",
        "https://ui.example.com:8443",
        "https://ui.example.com:",
        "https://ui.example.com/",
        "https://ui.example.com/chat",
        "https://ui.example.com?x",
        "https://ui.example.com#x",
        "https://ui.example.com\\evil.example",
        "https://ui.example.com.",
        "https://evil.example/https://ui.example.com",
        "https://evil.example#https://ui.example.com",
        "http://ui.example.com",
        "wss://ui.example.com",
        "https:ui.example.com",
        "//ui.example.com",
        "ui.example.com",
        "HTTPS://ui.example.com",
        "https://UI.EXAMPLE.COM",
        "https://ui.example.Com",
        "https://ui.example.com https://evil.example",
        "https://evil.example https://ui.example.com",
        "https://ui.example.com, https://ui.example.com",
        "https://ui.example.com,https://evil.example",
        "\"https://ui.example.com\"",
        "https://ui%2Eexample.com",
        "https://ui\u{3002}example\u{3002}com",
        // As people write it, in other letters, and with a letter that only looks alike.
        "https://b\u{fc}cher.example",
        "https://xn--BCHER-kva.example",
        "https://xn--bcher-kva.example.evil.com",
        "https://ui.ex\u{430}mple.com",
        "https://xn--ui-6kcd.example.com",
        "file://",
        "*",
    ] {
        rows.push(from(origin, NOT_ALLOWED));
    }
    let row = |name: &str, want| people.browser(name, want);
    let page = |name: &str, want| people.page(name, want);
    rows.extend([
        row("no Origin", ABSENT),
        row("no Origin, fetched by the same site", ABSENT).header("Sec-Fetch-Site", "same-origin"),
        row("no Origin, fetched as a WebSocket", ABSENT).header("Sec-Fetch-Mode", "websocket"),
        row("a Referer instead", ABSENT).header("Referer", format!("{UI}/")),
        row("another header of that name", ABSENT).header("X-Origin", UI),
        row("the old header", ABSENT).header("Sec-WebSocket-Origin", UI),
        page("as a browser fetches it", OK)
            .header("Sec-Fetch-Mode", "websocket")
            .header("Sec-Fetch-Site", "same-site")
            .header("Sec-Fetch-Dest", "websocket"),
        page("two lines", AMBIGUOUS).header("Origin", "https://evil.example"),
        page("two equal lines", AMBIGUOUS).header("Origin", UI),
        page("two allowed lines", AMBIGUOUS).header("origin", BOOKS),
        row("two lines, the other first", AMBIGUOUS)
            .header("Origin", "https://evil.example")
            .header("ORIGIN", UI),
        page("navigation", FETCH_MODE).header("Sec-Fetch-Mode", "navigate"),
        page("no-cors", FETCH_MODE).header("Sec-Fetch-Mode", "no-cors"),
        page("cors", FETCH_MODE).header("sec-fetch-mode", "cors"),
        page("a mode in other letters", FETCH_MODE).header("Sec-Fetch-Mode", "WebSocket"),
        page("two modes", FETCH_MODE)
            .header("Sec-Fetch-Mode", "websocket")
            .header("Sec-Fetch-Mode", "websocket"),
        page("two modes in one line", FETCH_MODE).header("Sec-Fetch-Mode", "websocket, navigate"),
    ]);
    rows
}

/// Against wildcards, and a rule that lets programs connect without an `Origin`.
pub(in super::super) fn lenient(world: &World) -> Vec<Attack> {
    let people = People::of(world);
    let from = |origin: &str, want| people.browser(origin, want).header("Origin", origin);
    let mut rows = vec![
        from("https://one.apps.example", OK),
        people.browser("a program without an Origin", OK),
    ];
    for (name, value) in [
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Site", "none"),
        ("sec-fetch-mode", "websocket"),
        ("Sec-Fetch-Dest", "websocket"),
        ("Sec-Fetch-Anything", "1"),
    ] {
        let name_of = format!("a browser without an Origin: {name}: {value}");
        rows.push(people.browser(name_of, ABSENT).header(name, value));
    }
    for origin in [
        "null",
        "https://apps.example",
        "https://.apps.example",
        "https://one.two.apps.example",
        "https://evilapps.example",
        "https://one.apps.example.evil.com",
        "https://one.apps.example:8443",
        "https://one.apps.example/",
        "https://one@apps.example",
        "https://evil.example/.apps.example",
        "https://evil.example#.apps.example",
        "https://ONE.apps.example",
        "https://*.apps.example",
        "http://one.apps.example",
        // Below a wildcard, and still anybody's.
        "https://s3.amazonaws.com",
    ] {
        rows.push(from(origin, NOT_ALLOWED));
    }
    rows
}
