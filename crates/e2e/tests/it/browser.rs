//! The main job in a real browser: login, connect, chat, push, logout, and four refusals.
//!
//! Chromium is driven by clicks and keys on the page that `wsgate demo` serves. Pictures of each
//! step lie below the target folder, in `tmp/browser`.

mod chromium;
mod demo;
mod devtools;
mod tab;

use serde_json::{Value, json};

use self::chromium::{Browser, Trust, certutil, chromium};
use self::demo::{Apart, Demo, file, wsgate};
use self::tab::Tab;
use crate::harness::gateway::{Gateway, run};
use crate::harness::secrets::Secrets;
use crate::harness::ws::{Client, Incoming};

/// The buttons of "Be refused", each with what the gateway says unless told otherwise.
const REFUSALS: [(&str, &str); 4] = [
    ("csrf", "403 csrf_missing"),
    ("origin", "403 origin_not_allowed"),
    ("expired", "401 token_expired"),
    ("execute-api", "401 identity_source_missing"),
];

#[test]
fn the_demo_works_on_plain_localhost_names() {
    let Some(chromium) = chromium() else { return };
    let mut demo = Demo::start(&[]);
    assert!(demo.page.starts_with("http://ui.wsgate.localhost:"), "{}", demo.page);
    let browser = Browser::start(&chromium, Trust::Nobody);
    the_main_job(&browser, &demo, "plain");
    browser.hand_over_speech(&demo.secrets);
    demo.capture_refusals();
    demo.stop();
    assert_eq!(demo.secrets.leaks(), Vec::<String>::new());
}

#[test]
fn the_demo_works_over_tls_in_a_browser_that_trusts_the_local_authority() {
    let (Some(chromium), Some(certutil)) = (chromium(), certutil()) else { return };
    let mut demo = Demo::start(&["--tls"]);
    assert!(demo.page.starts_with("https://ui.wsgate.localhost:"), "{}", demo.page);
    let authority = demo.authority();
    let trust = Trust::Authority { certutil: &certutil, pem: &authority };
    let browser = Browser::start(&chromium, trust);
    the_main_job(&browser, &demo, "tls");
    browser.hand_over_speech(&demo.secrets);
    demo.capture_refusals();
    demo.stop();
    assert_eq!(demo.secrets.leaks(), Vec::<String>::new());
}

#[test]
fn a_browser_that_does_not_trust_the_local_authority_opens_nothing() {
    let Some(chromium) = chromium() else { return };
    let demo = Demo::start(&["--tls"]);
    let browser = Browser::start(&chromium, Trust::Nobody);
    let error = browser.tab("untrusting").navigate(&demo.page);
    assert_eq!(error.as_deref(), Some("net::ERR_CERT_AUTHORITY_INVALID"));
}

#[test]
fn a_browser_without_secure_cookies_on_plain_localhost_is_told_of_tls() {
    let Some(chromium) = chromium() else { return };
    let demo = Demo::start(&[]);
    let browser = Browser::start(&chromium, Trust::Nobody);
    let tab = browser.tab("cookieless");
    tab.open(&demo.page);
    // What such a browser shows to the page: no cookie.
    browser.run(&tab.session, "Emulation.setDocumentCookieDisabled", &json!({ "disabled": true }));
    tab.click("login-ada");
    tab.wait_for_text("notice", "Start with --tls");
    tab.wait("!document.getElementById('notice').hidden");
}

#[test]
fn each_refusal_ends_when_its_rule_is_switched_off_and_no_other_does() {
    let Some(chromium) = chromium() else { return };
    let apart = Apart::start();
    let browser = Browser::start(&chromium, Trust::Nobody);
    let tab = browser.tab("rules");
    tab.open(&apart.demo.page);
    log_in(&tab, "ada", "Ada");
    // The back end learns the API's own address from the first connection.
    connect(&tab, "Ada");
    let secrets = &apart.demo.secrets;
    expect_refused_but(&tab, &[], secrets);

    apart.with_config(|own| format!("{own}\n[authorizer.csrf]\nmode = \"off\"\n"));
    expect_refused_but(&tab, &["csrf"], secrets);

    let sibling = apart.demo.page.replace("//ui.", "//other.");
    apart.with_config(|own| own.replace("origins = [", &format!("origins = [\"{sibling}\", ")));
    expect_refused_but(&tab, &["origin"], secrets);

    apart.with_config(|own| own.replace("[authorizer]\n", "[authorizer]\nleeway = \"60s\"\n"));
    expect_refused_but(&tab, &["expired"], secrets);

    apart.with_own_config();
    expect_refused_but(&tab, &[], secrets);

    // Without its identity source the authorizer is asked, and finds no token; with the cookies,
    // which this browser never sends there by itself, that host is as good as the other.
    let source = "        - route.request.header.Cookie";
    let api = file("demo/aws/api.yaml");
    let asked = api.replace(source, "        - route.request.header.Origin");
    assert_ne!(asked, api);
    apart.replace("api.yaml", &asked);
    assert_eq!(press(&tab, "execute-api"), "401 token_missing");
    apart.replace("api.yaml", &api);
    give_cookies_to_execute_api(&browser, &tab);
    assert_eq!(press(&tab, "execute-api"), "connected");

    browser.hand_over_speech(secrets);
    apart.stop();
}

#[test]
fn logging_out_closes_every_tab_even_when_the_gateway_cannot_be_told() {
    let Some(chromium) = chromium() else { return };
    let apart = Apart::start();
    let browser = Browser::start(&chromium, Trust::Nobody);
    let (first, second) = (browser.tab("untold"), browser.tab("untold-second"));
    first.open(&apart.demo.page);
    log_in(&first, "ada", "Ada");
    connect(&first, "Ada");
    second.open(&apart.demo.page);
    connect(&second, "Ada");
    apart.with_config(|own| own.replace("AKIDDEMODEVELOPMENT", "AKIDSOMEBODYELSE"));
    first.click("logout");
    for tab in [&first, &second] {
        tab.wait_for_data("user", "user", "");
        tab.wait_for_text("status", "closed: 1000 logged out");
    }
    first.wait_for_text("notice", "connections may still be open");
    browser.hand_over_speech(&apart.demo.secrets);
    apart.stop();
}

#[test]
fn back_end_and_gateway_apart_serve_any_client_with_a_minted_token() {
    let apart = Apart::start();
    // A name that would turn into a role, were it pasted into JSON as it stands.
    let name = r#"x","role":"admin"#;
    let minted = wsgate(&[
        "token",
        "mint",
        "--config=demo/wsgate.toml",
        "--template=demo/aws/authorizer.yaml",
        "--json",
        "--subject",
        name,
    ]);
    let minted: Value = serde_json::from_str(&minted).expect("the minted token is JSON");
    let text = |member: &str| minted[member].as_str().expect("text").to_owned();
    let secrets = &apart.demo.secrets;
    let token = secrets.register("minted token", &text("jwt"));
    let csrf = secrets.register("minted CSRF value", &text("csrf"));

    // As a browser does: cookies, the page's origin, the CSRF value as a subprotocol.
    let offered = format!("wsgate.demo, csrf.{csrf}");
    let page = apart.demo.page.clone();
    let mut client = open(
        &apart.gateway,
        &[
            ("Host", "ws.wsgate.localhost"),
            ("Cookie", &text("cookie")),
            ("Origin", &page),
            ("Sec-WebSocket-Protocol", &offered),
        ],
    );
    let you = who(&mut client)["you"].take();
    assert_eq!(you["principal"], name);
    assert_eq!(you["role"], "");
    assert_eq!(you["tokenSource"], "cookie:JWT");

    // As a program does: the token in a header, no cookie, no origin.
    let bearer = format!("Bearer {token}");
    let refused =
        Client::open(apart.gateway.listen, "/prod", &[("Authorization".to_owned(), bearer)]);
    assert_eq!(refused.expect("the gateway answers").0.status(), 401, "no Cookie header, no call");
    apart.stop();
}

#[test]
fn a_back_end_alone_must_be_told_the_gateways_port() {
    let output = run(&["demo", "--backend-only", "--listen", "127.0.0.1:0"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--listen"), "{said}");
}

/// Everything that the demo promises, on one of its two faces.
fn the_main_job(browser: &Browser, demo: &Demo, face: &str) {
    let secrets = &demo.secrets;
    let grace = browser.tab(&format!("{face}-grace"));
    grace.open(&demo.page);
    assert_eq!(grace.text("user"), "nobody");
    assert_eq!(grace.evaluate("document.getElementById('connect').disabled"), true);
    log_in(&grace, "grace", "Grace");
    check_cookies(browser);
    register_cookies(browser, secrets, "grace");
    connect(&grace, "Grace");
    grace.wait_for_text(
        "verdict",
        "principal grace, role guest, token from cookie:JWT, CSRF signed",
    );
    join(&grace, "lobby");

    // A second tab of the same browser: the cookies change hands, the open socket does not.
    let ada = browser.tab(&format!("{face}-ada"));
    ada.open(&demo.page);
    assert_eq!(ada.text("user"), "Grace");
    log_in(&ada, "ada", "Ada");
    grace.wait_for_data("user", "user", "ada");
    register_cookies(browser, secrets, "ada");
    connect(&ada, "Ada");
    join(&ada, "lobby");
    grace.wait_for_text("log", "Ada joined lobby");
    grace.wait_for_text("members", "Ada, Grace");
    assert_eq!(grace.text("status"), "connected as Grace");
    chat(&ada, &grace);
    grace.picture("chat");

    the_four_refusals(demo, &ada);
    ada.picture("refusals");
    logging_out(browser, demo, &ada, &grace, face);
}

/// What one says is a push to both.
fn chat(ada: &Tab<'_>, grace: &Tab<'_>) {
    let spoken = r#"<b>hello</b> & "welcome", it's ☕ \ $context ${x}"#;
    say(ada, spoken);
    for tab in [ada, grace] {
        tab.wait_for_text("log", &format!("Ada{spoken}"));
    }
    assert_eq!(grace.evaluate("document.querySelectorAll('#log b').length"), 0);
    say(grace, "hello Ada");
    ada.wait_for_text("log", "Gracehello Ada");
    // Who left the room hears nothing more of it.
    ada.click("leave");
    ada.wait_for_data("current-room", "room", "");
    grace.wait_for_text("log", "Ada left lobby");
    say(grace, "are you gone?");
    grace.wait_for_text("log", "Graceare you gone?");
    join(ada, "lobby");
    assert!(!ada.text("log").contains("are you gone?"), "{}", ada.text("log"));
}

fn the_four_refusals(demo: &Demo, ada: &Tab<'_>) {
    expect_refused_but(ada, &[], &demo.secrets);
    // They harm nothing: she is logged in, connected and in the room as before.
    assert_eq!(ada.text("user"), "Ada");
    assert_eq!(ada.text("status"), "connected as Ada");
    assert_eq!(ada.data("current-room", "room"), "lobby");
}

fn logging_out(browser: &Browser, demo: &Demo, ada: &Tab<'_>, grace: &Tab<'_>, face: &str) {
    let second = browser.tab(&format!("{face}-ada-second"));
    second.open(&demo.page);
    assert_eq!(second.text("user"), "Ada");
    connect(&second, "Ada");
    let old = our_cookies(browser);
    assert_eq!(handshake(&second), "connected");

    second.click("logout");
    for tab in [ada, &second] {
        tab.wait_for_data("user", "user", "");
        tab.wait_for_data("status", "state", "closed");
        tab.wait_for_text("status", "closed: 1000");
    }
    assert_eq!(our_cookies(browser), Vec::<Value>::new());
    grace.wait_for_text("log", "Ada left lobby");
    say(grace, "still here");
    grace.wait_for_text("log", "Gracestill here");
    assert_eq!(grace.text("status"), "connected as Grace");
    ada.picture("logged-out");

    // The old cookies, back in the jar, open nothing more.
    browser.plant(&old);
    assert_eq!(handshake(&second), "401 token_revoked");

    // A new login does, even within the second of the logout.
    log_in(&second, "ada", "Ada");
    register_cookies(browser, &demo.secrets, "ada at last");
    connect(&second, "Ada");
}

// --- what a person does

fn log_in(tab: &Tab<'_>, id: &str, name: &str) {
    tab.click(&format!("login-{id}"));
    tab.wait_for_data("user", "user", id);
    assert_eq!(tab.text("user"), name);
}

fn connect(tab: &Tab<'_>, name: &str) {
    tab.click("connect");
    tab.wait_for_text("status", &format!("connected as {name}"));
    assert_eq!(tab.data("status", "state"), "open");
}

fn join(tab: &Tab<'_>, room: &str) {
    tab.write("room", room);
    tab.click("join");
    tab.wait_for_data("current-room", "room", room);
}

fn say(tab: &Tab<'_>, text: &str) {
    tab.write("text", text);
    tab.click("say");
}

/// Presses a button of "Be refused": "connected", or status and code of the refusal.
#[track_caller]
fn press(tab: &Tab<'_>, button: &str) -> String {
    let result = format!("result-{button}");
    // What an earlier press left behind must not be taken for the answer.
    tab.evaluate(&format!("delete document.getElementById('{result}').dataset.outcome"));
    tab.click(&format!("refuse-{button}"));
    tab.wait(&format!(
        "['connected', 'refused', 'unknown'].includes(document.getElementById('{result}').dataset.outcome)"
    ));
    let text = tab.text(&result);
    if tab.data(&result, "outcome") == "refused" {
        let code = tab.data(&result, "code");
        let said = text.strip_prefix("refused: ").and_then(|text| text.split(" (").next());
        assert!(said.is_some_and(|said| said.ends_with(&format!(" {code}"))), "{text}, {code}");
        said.unwrap_or_default().to_owned()
    } else {
        text
    }
}

/// Presses all four buttons; those of `open` must connect, the others be refused as ever.
#[track_caller]
fn expect_refused_but(tab: &Tab<'_>, open: &[&str], secrets: &Secrets) {
    for (button, refusal) in REFUSALS {
        let wanted = if open.contains(&button) { "connected" } else { refusal };
        assert_eq!(press(tab, button), wanted, "{button} while {open:?} should connect");
        // The expired token was followed by a new login.
        register_cookies(tab.browser, secrets, &format!("after {button}"));
    }
}

/// One handshake of the page's own script with whatever cookies there are: "connected", or status
/// and code of the refusal.
fn handshake(tab: &Tab<'_>) -> String {
    let outcome = tab.evaluate(
        "(async () => {
            const { protocols, randomName, tryHandshake } = await import('/attempt.js');
            const { wsUrl } = await (await fetch('/config')).json();
            const name = randomName();
            const outcome = await tryHandshake(wsUrl, name, protocols());
            if (outcome !== 'refused') return outcome;
            const found = await (await fetch(`/attempts/${name}`)).json();
            return `${found.status} ${found.code}`;
        })()",
    );
    outcome.as_str().unwrap_or_default().to_owned()
}

// --- cookies

/// The cookies that the back end set; a browser that was never used has no other.
fn our_cookies(browser: &Browser) -> Vec<Value> {
    let mut cookies = browser.cookies();
    cookies.retain(|cookie| cookie["domain"] == ".wsgate.localhost");
    cookies
}

fn register_cookies(browser: &Browser, secrets: &Secrets, whose: &str) {
    let cookies = our_cookies(browser);
    assert_eq!(cookies.len(), 2);
    for cookie in cookies {
        let name = cookie["name"].as_str().unwrap_or_default();
        secrets.register(&format!("{name} of {whose}"), cookie["value"].as_str().expect("a value"));
    }
}

fn check_cookies(browser: &Browser) {
    let mut seen = Vec::new();
    for cookie in browser.cookies() {
        let name = cookie["name"].as_str().unwrap_or_default().to_owned();
        assert_eq!(cookie["domain"], ".wsgate.localhost", "{name}");
        assert_eq!(cookie["path"], "/", "{name}");
        assert_eq!(cookie["secure"], true, "{name}");
        assert_eq!(cookie["sameSite"], "Lax", "{name}");
        assert_eq!(cookie["httpOnly"], name == "JWT", "{name}");
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["CSRF-TOKEN", "JWT"]);
}

/// Sets both cookies on the API's own host too. That host is another site, hence `SameSite=None`.
fn give_cookies_to_execute_api(browser: &Browser, tab: &Tab<'_>) {
    let url = tab
        .evaluate("fetch('/config').then((answer) => answer.json()).then((c) => c.executeApiUrl)");
    let url = url.as_str().expect("the back end knows the address").replacen("ws", "http", 1);
    let cookies: Vec<Value> = our_cookies(browser)
        .iter()
        .map(|cookie| {
            json!({
                "name": cookie["name"],
                "value": cookie["value"],
                "url": url,
                "path": "/",
                "secure": true,
                "sameSite": "None",
            })
        })
        .collect();
    browser.plant(&cookies);
}

// --- other clients

fn open(gateway: &Gateway, headers: &[(&str, &str)]) -> Client {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (answer, client) =
        Client::open(gateway.listen, "/prod", &headers).expect("the gateway answers");
    client.unwrap_or_else(|| panic!("refused: {} {}", answer.start, answer.text()))
}

fn who(client: &mut Client) -> Value {
    client.send_text(r#"{"action":"who"}"#).expect("the gateway reads");
    match client.receive().expect("the gateway answers") {
        Incoming::Text(text) => serde_json::from_str(&text).expect("the answer is JSON"),
        other => panic!("no text: {other:?}"),
    }
}
