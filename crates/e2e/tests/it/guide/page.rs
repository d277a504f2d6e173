//! `page.md`: the page's scripts run in Node.js, and what they ask for is asked of a gateway.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Keys, block, gateway, node, open, run};
use crate::harness::secrets::Secrets;
use crate::harness::token;

/// What a page finds, as strict as a browser about subprotocols.
const BROWSER: &str = r#"
    const opened = [];
    globalThis.document = { cookie: process.env.COOKIE };
    globalThis.WebSocket = class {
      constructor(url, protocols = []) {
        const list = [].concat(protocols);
        const fits = (entry) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(entry);
        if (!list.every(fits) || new Set(list).size !== list.length) throw new SyntaxError(list);
        opened.push({ url: new URL(url).href, protocols: list });
      }
    };
    const { connect } = await import("./page.mjs");
    connect(process.env.ADDRESS, process.env.TOKEN);
    console.log(JSON.stringify(opened));
"#;

/// Claims of a session that has just begun.
pub(super) fn claims(principal: &str, sid: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": principal, "sid": sid,
        "iat": now, "exp": now + 900,
    })
}

/// Runs the block, and connects as it does; `has_cookie` says where the token is.
#[track_caller]
fn check(marker: &str, has_cookie: bool, protocol: Option<&str>) {
    let Some(node) = node() else { return };
    let keys = Keys::new();
    let sources =
        "[authorizer]\nsources = [\"cookie:JWT\", \"protocol\", \"query:access_token\"]\n";
    let config = block("backend.md", "config").replace("[authorizer]\n", sources);
    let gateway = gateway(&keys, &config, &Arc::new(Secrets::default()));
    let (jwt, csrf) = (token::jwt(&claims("ada", "s1"), &keys.jwt), token::csrf("s1", &keys.csrf));
    let (script, cookies) = match has_cookie {
        true => ("", format!("JWT={jwt}; theme=dark; CSRF-TOKEN={csrf}")),
        false => (jwt.as_str(), String::new()),
    };
    let address = format!("ws://{}/dev", gateway.listen);
    // What a script may read: `JWT` is HttpOnly.
    let readable = format!("theme=dark; CSRF-TOKEN={csrf}; XCSRF-TOKEN=no");
    let variables = [("ADDRESS", address.as_str()), ("TOKEN", script), ("COOKIE", &readable)];
    let page = block("page.md", marker);
    let said = run(&node, &[("page.mjs", &page), ("run.mjs", BROWSER)], &variables);
    let opened: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(opened.as_array().map(Vec::len), Some(1), "{marker}");
    let target = opened[0]["url"].as_str().and_then(|url| url.strip_prefix("ws://"));
    let target = target.and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap();
    let protocols: Vec<&str> =
        opened[0]["protocols"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let (status, answered, _) = open(&gateway, target, &cookies, &protocols.join(", "));
    assert_eq!((status, answered.as_deref()), (101, protocol), "{marker}: {}", gateway.stderr());
    // Without what the script added, nobody gets in.
    let (status, _, _) = open(&gateway, "/dev", &cookies, "chat");
    assert_eq!(status, if has_cookie { 403 } else { 401 }, "{marker}");
}

#[test]
fn a_page_with_cookies_repeats_the_csrf_value_as_a_subprotocol() {
    check("page cookie", true, Some("chat"));
}

#[test]
fn a_page_with_cookies_repeats_the_csrf_value_in_the_query() {
    check("page cookie-query", true, None);
}

#[test]
fn a_page_sends_its_token_in_one_subprotocol() {
    check("page bearer", false, Some("chat"));
}

#[test]
fn a_page_sends_its_token_after_a_marker() {
    check("page pair", false, Some("chat"));
}

#[test]
fn a_page_sends_its_token_in_the_query() {
    check("page query", false, None);
}

#[test]
fn a_page_renews_before_each_attempt_waits_longer_and_ends_with_the_login() {
    let Some(node) = node() else { return };
    let caller = r#"
        import { stayConnected } from "./page.mjs";
        const [pauses, heard] = [[], []];
        let renewals = 0;
        let connects = 0;
        globalThis.setTimeout = (wake, pause) => (pauses.push(pause), queueMicrotask(wake));
        Math.random = () => 1;
        const renew = async () => {
          renewals += 1;
          if (renewals === 2) throw new TypeError("no network");
          return renewals < 12;
        };
        const connect = () => {
          const ws = {};
          connects += 1;
          queueMicrotask(() => {
            if (renewals === 3) {
              ws.onopen();
              ws.onmessage({ data: "hello" });
            }
            ws.onclose({ code: 1006 });
          });
          return ws;
        };
        await stayConnected(renew, connect, ({ data }) => heard.push(data));
        console.log(JSON.stringify({ renewals, connects, pauses, heard }));
    "#;
    let page = block("page.md", "page reconnect");
    let said = run(&node, &[("page.mjs", &page), ("run.mjs", caller)], &[]);
    let seen: Value = serde_json::from_str(&said).unwrap();
    let pauses = [1000, 2000, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000];
    let want = json!({ "renewals": 12, "connects": 11, "pauses": pauses, "heard": ["hello"] });
    assert_eq!(seen, want);
}
