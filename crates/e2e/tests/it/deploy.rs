//! The stacks of `deploy/aws`, served by the lines that their README gives, with real handshakes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::gateway::{Gateway, Refused, Setup, binary, isolate};
use crate::harness::secrets::Secrets;
use crate::harness::token;
use crate::harness::ws::{Client, Incoming};

/// What `wsgate.toml` holds in the open, for development.
const JWT_KEY: &str = "development-only-jwt-key-0123456789abcdef";
const CSRF_KEY: &str = "development-only-csrf-secret-0123456789abcdef";

/// Where the API with cookies answers, and from which page.
const HOST: &str = "ws.example.com";
const ORIGIN: &str = "https://ui.example.com";

/// A subject that breaks whatever does not escape it.
const ADA: &str = r#"ada"o'hara\","role":"admin"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/aws")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the README's line for a transport starts.
fn setup(transport: &str) -> Setup {
    let readme = file("README.md");
    let api = format!("deploy/aws/api-{transport}.yaml");
    let line = readme.lines().find(|line| line.starts_with("wsgate serve") && line.contains(&api));
    let line = line.unwrap_or_else(|| panic!("README.md has no line that serves {api}"));
    let mut setup = Setup::default();
    let mut words = line.split_whitespace().skip(2);
    while let Some(word) = words.next() {
        match word {
            "--config" => {
                let path = words.next().and_then(|path| path.strip_prefix("deploy/aws/"));
                setup.config = file(path.expect("the configuration lies beside the stacks"));
            }
            "--parameter" => {
                setup.arguments.push(word.to_owned());
                setup.arguments.extend(words.next().map(str::to_owned));
            }
            path => {
                let name = path.strip_prefix("deploy/aws/").expect("the stacks lie in one folder");
                setup.templates.push((name.to_owned(), file(name)));
            }
        }
    }
    setup
}

#[track_caller]
fn start(setup: &Setup) -> Gateway {
    Gateway::start(setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

/// The gateway in both manners: a missing permission, a subprotocol that the integration does not
/// answer and a route without deployment matter in the second only.
fn in_both_manners(transport: &str, check: impl Fn(&Gateway, bool)) {
    for compat in ["wsgate", "aws"] {
        let mut setup = setup(transport);
        setup.config = format!("compat = \"{compat}\"\n{}", setup.config);
        let gateway = start(&setup);
        check(&gateway, compat == "aws");
        // Tokens in addresses are warned of, and nothing else.
        let warnings = usize::from(matches!(transport, "any" | "query"));
        let said = gateway.stderr();
        let counts = (said.matches("warning[").count(), said.matches("warning[WSG-907]").count());
        assert_eq!(counts, (warnings, warnings), "{transport} under {compat}:\n{said}");
    }
}

fn claims(life: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": ADA, "sid": "s1",
        "iat": now, "exp": now.checked_add_signed(life).unwrap(),
    })
}

fn good() -> String {
    token::jwt(&claims(900), JWT_KEY)
}

/// Tokens that nobody may come in on.
fn bad() -> [(&'static str, String); 4] {
    let mut foreign = claims(900);
    foreign["iss"] = "https://login.example.net".into();
    let mut other = claims(900);
    other["aud"] = "mail".into();
    [
        ("another key", token::jwt(&claims(900), &JWT_KEY.replace("dev", "DEV"))),
        ("expired", token::jwt(&claims(-60), JWT_KEY)),
        ("another issuer", token::jwt(&foreign, JWT_KEY)),
        ("another audience", token::jwt(&other, JWT_KEY)),
    ]
}

/// Status of a handshake, and the subprotocol that was answered.
type Answer = (u16, Option<String>);

fn open(gateway: &Gateway, query: &str, headers: &[(&str, &str)]) -> (Answer, Option<Client>) {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let target = format!("/prod{query}");
    let (answer, client) = Client::open(gateway.listen, &target, &headers).unwrap();
    let protocol = answer.header("sec-websocket-protocol").map(str::to_owned);
    ((answer.status(), protocol), client)
}

/// A handshake that opens, answers this subprotocol, and says who connected.
#[track_caller]
fn expect_open(
    gateway: &Gateway,
    query: &str,
    headers: &[(&str, &str)],
    protocol: Option<&str>,
    source: &str,
) {
    let (answer, client) = open(gateway, query, headers);
    assert_eq!(answer, (101, protocol.map(str::to_owned)), "{source}\n{}", gateway.stderr());
    let mut client = client.expect("101 opens");
    client.send_text(r#"{"action":"who"}"#).unwrap();
    let Incoming::Text(text) = client.receive().unwrap() else { panic!("no text") };
    let who: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(who["principal"], ADA);
    assert_eq!(who["tokenSource"], source);
    let ends = who["expiresAt"].as_str().and_then(|text| text.parse::<u64>().ok());
    assert!(ends.is_some_and(|ends| 1_700_000_000 < ends), "{who}");
}

#[track_caller]
fn expect_refused(
    gateway: &Gateway,
    status: u16,
    query: &str,
    headers: &[(&str, &str)],
    why: &str,
) {
    let (answer, _) = open(gateway, query, headers);
    assert_eq!(answer, (status, None), "{why}\n{}", gateway.stderr());
}

#[test]
fn a_cookie_opens_with_its_csrf_value_from_the_page_on_the_domain_alone() {
    in_both_manners("cookie", |gateway, _| {
        let (token, csrf) = (good(), token::csrf("s1", CSRF_KEY));
        let cookies = format!("CSRF-TOKEN={csrf}; theme=dark; JWT={token}");
        let offered = format!("chat, csrf.{csrf}");
        let base = [("Host", HOST), ("Origin", ORIGIN), ("Cookie", &cookies)];
        let with = |protocols| [base.as_slice(), &[("Sec-WebSocket-Protocol", protocols)]].concat();
        expect_open(gateway, "", &with(&offered), Some("chat"), "cookie:JWT");
        expect_open(gateway, &format!("?csrf_token={csrf}"), &base, None, "cookie:JWT");

        expect_refused(gateway, 403, "", &with("chat"), "no CSRF value");
        let other = token::csrf("s2", CSRF_KEY);
        let swapped = format!("JWT={token}; CSRF-TOKEN={other}");
        let headers = [("Host", HOST), ("Origin", ORIGIN), ("Cookie", &swapped)];
        let query = format!("?csrf_token={other}");
        expect_refused(gateway, 403, &query, &headers, "CSRF value of another session");
        let query = format!("?csrf_token={csrf}");
        for origin in ["https://blog.example.com", "http://ui.example.com", "null", ""] {
            let headers = [("Host", HOST), ("Origin", origin), ("Cookie", &cookies)];
            expect_refused(gateway, 403, &query, &headers, origin);
        }
        for (why, token) in bad() {
            let cookies = format!("JWT={token}; CSRF-TOKEN={csrf}");
            let headers = [("Host", HOST), ("Origin", ORIGIN), ("Cookie", &cookies)];
            expect_refused(gateway, 401, &query, &headers, why);
        }
        let headers = [("Host", HOST), ("Origin", ORIGIN)];
        expect_refused(gateway, 401, &query, &headers, "no cookie");
        let (bearer, in_query) = (format!("Bearer {token}"), format!("?access_token={token}"));
        let headers = [("Host", HOST), ("Origin", ORIGIN), ("Authorization", bearer.as_str())];
        expect_refused(gateway, 401, "", &headers, "token in a header");
        let headers = [("Host", HOST), ("Origin", ORIGIN), ("Cookie", "theme=dark")];
        expect_refused(gateway, 401, &in_query, &headers, "token in the query");
        // The API's own host is closed.
        let headers = [("Origin", ORIGIN), ("Cookie", cookies.as_str())];
        expect_refused(gateway, 403, &query, &headers, "the address of the listener");
    });
}

#[test]
fn a_token_in_the_query_opens_and_nowhere_else() {
    in_both_manners("query", |gateway, _| {
        let token = good();
        expect_open(gateway, &format!("?access_token={token}"), &[], None, "query:access_token");
        expect_refused(gateway, 401, "", &[], "none");
        expect_refused(gateway, 401, "?access_token=", &[], "an empty one");
        for (why, token) in bad() {
            expect_refused(gateway, 401, &format!("?access_token={token}"), &[], why);
        }
        let long = token::jwt(&claims(2 * 3600), JWT_KEY);
        expect_refused(gateway, 401, &format!("?access_token={long}"), &[], "a long life");
        let twice = format!("?access_token={token}&access_token={token}");
        expect_refused(gateway, 401, &twice, &[], "two of them");
        expect_refused_elsewhere(gateway, &token, &["Authorization", "Cookie", "protocol"]);
    });
}

#[test]
fn a_token_in_the_subprotocol_opens_and_nowhere_else() {
    in_both_manners("subprotocol", |gateway, is_aws| {
        let token = good();
        for (offered, aws, wsgate) in [
            (format!("chat, bearer.{token}"), Some("chat"), Some("chat")),
            (format!("bearer.{token},chat"), Some("chat"), Some("chat")),
            (format!("chat, access_token, {token}"), Some("chat"), Some("chat")),
            (format!("chats, bearer.{token}"), None, Some("chats")),
            // Without one of its own the page gets the marker back, from wsgate.
            (format!("access_token, {token}"), None, Some("access_token")),
        ] {
            let headers = [("Sec-WebSocket-Protocol", offered.as_str())];
            expect_open(gateway, "", &headers, if is_aws { aws } else { wsgate }, "protocol");
        }
        expect_refused(gateway, 401, "", &[], "none");
        let headers = [("Sec-WebSocket-Protocol", "chat")];
        expect_refused(gateway, 401, "", &headers, "no token");
        for (why, token) in bad() {
            let offered = format!("chat, bearer.{token}");
            expect_refused(gateway, 401, "", &[("Sec-WebSocket-Protocol", &offered)], why);
        }
        expect_refused_elsewhere(gateway, &token, &["Authorization", "Cookie", "query"]);
    });
}

#[test]
fn any_of_three_carriers_opens_alone() {
    in_both_manners("any", |gateway, is_aws| {
        let token = good();
        let query = format!("?access_token={token}");
        expect_open(gateway, &query, &[], None, "query:access_token");
        let offered = format!("chat, bearer.{token}");
        let protocol = [("Sec-WebSocket-Protocol", offered.as_str())];
        expect_open(gateway, "", &protocol, Some("chat"), "protocol");
        let bearer = format!("Bearer {token}");
        let header = [("Authorization", bearer.as_str())];
        expect_open(gateway, "", &header, None, "header:Authorization");
        // The integration answers what was offered, wherever the token travelled.
        let both = [header[0], ("Sec-WebSocket-Protocol", "superchat, chat")];
        expect_open(gateway, "", &both, Some("chat"), "header:Authorization");
        let own = [header[0], ("Sec-WebSocket-Protocol", "superchat")];
        expect_open(gateway, "", &own, None, "header:Authorization");
        let marker = format!("access_token, {token}");
        let marker = [("Sec-WebSocket-Protocol", marker.as_str())];
        expect_open(gateway, "", &marker, (!is_aws).then_some("access_token"), "protocol");

        expect_refused(gateway, 401, "", &[], "none");
        expect_refused(gateway, 401, &query.replace('.', "x"), &[], "no token");
        for (why, bad) in bad() {
            let (query, bearer) = (format!("?access_token={bad}"), format!("Bearer {bad}"));
            let offered = format!("chat, bearer.{bad}");
            expect_refused(gateway, 401, &query, &[], why);
            expect_refused(gateway, 401, "", &[("Authorization", &bearer)], why);
            expect_refused(gateway, 401, "", &[("Sec-WebSocket-Protocol", &offered)], why);
            expect_refused(gateway, 401, &query, &header, "two different tokens");
        }
        expect_refused_elsewhere(gateway, &token, &["Cookie"]);
    });
}

/// The token where nobody looks for it, with everything that an identity source may ask for.
#[track_caller]
fn expect_refused_elsewhere(gateway: &Gateway, token: &str, places: &[&str]) {
    let bearer = format!("Bearer {token}");
    let cookie = format!("JWT={token}");
    let protocol = format!("chat, bearer.{token}");
    for place in places {
        let there = |own: &str| *place == own;
        let query = if there("query") { format!("?access_token={token}") } else { String::new() };
        let headers: &[(&str, &str)] = match *place {
            "Authorization" => &[("Authorization", &bearer)],
            "Cookie" => &[("Cookie", &cookie), ("Origin", ORIGIN)],
            "protocol" => &[("Sec-WebSocket-Protocol", &protocol)],
            _ => &[],
        };
        expect_refused(gateway, 401, &query, headers, place);
    }
}

#[test]
fn the_readme_mints_a_token_that_opens() {
    let readme = file("README.md");
    let line = readme.lines().find(|line| line.starts_with("wsgate token mint"));
    let words = line.expect("README.md mints a token").split_whitespace().skip(1);
    let home = TempDir::new().unwrap();
    let mut command = Command::new(binary());
    isolate(&mut command, home.path());
    let output = command.args(words).current_dir(folder().join("../..")).output().unwrap();
    let minted: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let (cookie, csrf) = (minted["cookie"].as_str().unwrap(), minted["csrf"].as_str().unwrap());
    let gateway = start(&setup("cookie"));
    let headers = [("Host", HOST), ("Origin", ORIGIN), ("Cookie", cookie)];
    let (answer, _) = open(&gateway, &format!("?csrf_token={csrf}"), &headers);
    assert_eq!(answer, (101, None), "{}", gateway.stderr());
}

#[test]
fn an_api_does_not_start_on_an_authorizer_of_another_transport() {
    let mut mixed = setup("query");
    mixed.arguments.clear();
    let Err(Refused { code, stderr }) = Gateway::start(&mixed, Arc::new(Secrets::default())) else {
        panic!("the query's API started on the authorizer for cookies");
    };
    assert_eq!(code, Some(3));
    assert!(stderr.contains("authorizer-query"), "{stderr}");
}

#[test]
fn a_version_named_after_its_code_is_published_as_the_readme_says() {
    let readme = file("README.md");
    let command = "sed \"s/AuthorizerVersion1/AuthorizerVersion$HASH/\" deploy/aws/authorizer.yaml";
    assert!(readme.contains(command), "the README renames the version");
    let mut renamed = setup("query");
    let (_, text) = &mut renamed.templates[0];
    let twice = text.matches("AuthorizerVersion1").count();
    let lines = text.lines().filter(|line| line.contains("AuthorizerVersion1")).count();
    assert_eq!((twice, lines), (2, 2), "sed replaces the first of each line");
    *text = text.replace("AuthorizerVersion1", "AuthorizerVersion0123456789ab");
    let gateway = start(&renamed);
    let query = format!("?access_token={}", good());
    expect_open(&gateway, &query, &[], None, "query:access_token");
}

#[test]
fn several_pages_may_be_named_and_nothing_slips_through_the_list() {
    let mut two = setup("cookie");
    let pages = "PageOrigins=https://ui.example.com,http://ui.wsgate.localhost:3000";
    let domain = "DomainName=ws.wsgate.localhost";
    two.arguments = ["--parameter", pages, "--parameter", domain].map(str::to_owned).into();
    let gateway = start(&two);
    let (token, csrf) = (good(), token::csrf("s1", CSRF_KEY));
    let cookies = format!("JWT={token}; CSRF-TOKEN={csrf}");
    let query = format!("?csrf_token={csrf}");
    for origin in [ORIGIN, "http://ui.wsgate.localhost:3000"] {
        let headers = [("Host", "ws.wsgate.localhost"), ("Origin", origin), ("Cookie", &cookies)];
        expect_open(&gateway, &query, &headers, None, "cookie:JWT");
    }
    let headers = [
        ("Host", "ws.wsgate.localhost"),
        ("Origin", "http://ui.wsgate.localhost"),
        ("Cookie", &cookies),
    ];
    expect_refused(&gateway, 403, &query, &headers, "another port");

    for parameter in
        ["PageOrigins=https://a.example\"]\norigin_absent=\"allow", "Issuer=x\"\naudience=[\"any"]
    {
        two.arguments = vec!["--parameter".to_owned(), parameter.to_owned()];
        let refused = Gateway::start(&two, Arc::new(Secrets::default())).err();
        assert_eq!(refused.and_then(|refused| refused.code), Some(3), "{parameter}");
    }
}
