//! Attacks on the CSRF value: cookies that were planted, values that were borrowed or bent.

use serde_json::{Value, json};

use super::super::forge::{UI, World, claims};
use super::{Attack, People, Want};

const AMBIGUOUS: Want = Want::Refused(403, "csrf_ambiguous");
const MISMATCH: Want = Want::Refused(403, "csrf_mismatch");
const MISSING: Want = Want::Refused(403, "csrf_missing");
const SESSION: Want = Want::Refused(403, "csrf_session_missing");
const SIGNATURE: Want = Want::Refused(403, "csrf_signature");

pub(in super::super) fn csrf(world: &World) -> Vec<Attack> {
    let people = People::of(world);
    let mut rows = absent(&people);
    rows.extend(unequal(&people));
    rows.extend(forged(world, &people));
    rows.extend(other_sessions(world, &people));
    rows.extend(planted(&people));
    rows
}

/// Ada's page with another readable cookie; nothing is submitted yet.
fn page(people: &People, name: &str, csrf_cookie: &str, want: Want) -> Attack {
    Attack::new(name, want)
        .header("Cookie", format!("JWT={}; CSRF-TOKEN={csrf_cookie}", people.ada))
        .header("Origin", UI)
}

/// The same value in the cookie and submitted.
fn both(people: &People, name: &str, value: &str, want: Want) -> Attack {
    page(people, name, value, want).query("csrf_token", value)
}

fn absent(people: &People) -> Vec<Attack> {
    let value = people.ada_csrf.as_str();
    let bare = |name: &str| {
        Attack::new(name, MISSING)
            .header("Cookie", format!("JWT={}", people.ada))
            .header("Origin", UI)
    };
    vec![
        people.page("in the query", Want::Granted("hs:ada")),
        page(people, "as a subprotocol", value, Want::Granted("hs:ada"))
            .header("Sec-WebSocket-Protocol", format!("chat, csrf.{value}")),
        page(people, "cookies alone", value, MISSING),
        bare("no cookie").query("csrf_token", value),
        bare("neither"),
        both(people, "empty on both sides", "", MISSING),
        page(people, "empty on both sides, as a subprotocol", "", MISSING)
            .header("Sec-WebSocket-Protocol", "chat, csrf."),
        page(people, "empty cookie", "", MISSING).query("csrf_token", value),
        page(people, "empty quoted cookie", "\"\"", MISSING).query("csrf_token", ""),
        page(people, "empty submission", value, MISSING).query("csrf_token", ""),
        page(people, "under another name", value, MISSING).query("CSRF_TOKEN", value),
        page(people, "in a header that nobody reads", value, MISSING).header("X-CSRF-Token", value),
    ]
}

fn unequal(people: &People) -> Vec<Attack> {
    let (value, other) = (people.ada_csrf.as_str(), people.eve_csrf.as_str());
    let page = |name: &str| page(people, name, value, MISMATCH);
    vec![
        page("another value").query("csrf_token", other),
        page("in other letters").query("csrf_token", value.to_uppercase()),
        page("a beginning").query("csrf_token", &value[..value.len() - 1]),
        page("the first half").query("csrf_token", value.split('.').next().unwrap_or_default()),
        page("an end").query("csrf_token", &value[1..]),
        page("longer").query("csrf_token", format!("{value}0")),
        page("with a space").query("csrf_token", format!("{value} ")),
        page("with a zero byte").query("csrf_token", format!("{value}\u{0}")),
        page("two places that differ")
            .query("csrf_token", value)
            .header("Sec-WebSocket-Protocol", format!("csrf.{other}")),
        Attack { want: AMBIGUOUS, ..page("twice in the query") }
            .query("csrf_token", value)
            .query("csrf_token", other),
        Attack { want: AMBIGUOUS, ..page("twice in the query, equal") }
            .query("csrf_token", value)
            .query("csrf_token", value),
        Attack { want: AMBIGUOUS, ..page("twice as a subprotocol") }
            .header("Sec-WebSocket-Protocol", format!("csrf.{value}, csrf.{other}")),
    ]
}

/// Equal on both sides, and not what the login made for this session.
fn forged(world: &World, people: &People) -> Vec<Attack> {
    let value = people.ada_csrf.as_str();
    let (mac, random) = value.split_once('.').expect("a value has a dot");
    let by_token_secret = world.csrf_with(&world.hmac, "s-1", random);
    // Without the lengths, `a` + `!` + `b!c` and `a!b` + `!` + `c` would be signed alike.
    let tail = "0123456789abcdef0123456789abcdef";
    let shifted = world.csrf_with(&world.csrf_secret, &format!("s-1!{random}"), tail);
    let shifted_mac = shifted.split('.').next().expect("a value has a dot");
    let lengths = world.csrf_with(&world.csrf_secret, "s-1!32", random);
    let short = world.csrf_with(&world.csrf_secret, "s-1", &"a".repeat(30));
    let odd = world.csrf_with(&world.csrf_secret, "s-1", &"a".repeat(33));
    let long = world.csrf_with(&world.csrf_secret, "s-1", &"a".repeat(130));
    let upper = world.csrf_with(&world.csrf_secret, "s-1", &"A".repeat(32));
    let no_hex = world.csrf_with(&world.csrf_secret, "s-1", &"g".repeat(32));
    let no_random = world.csrf_with(&world.csrf_secret, "s-1", "");
    [
        ("unsigned", "x".to_owned()),
        ("unsigned and long", "a".repeat(97)),
        ("upper-case hexadecimal", value.to_uppercase()),
        ("upper-case signature", format!("{}.{random}", mac.to_uppercase())),
        ("upper-case random part, signed so", upper),
        ("no hexadecimal, signed so", no_hex),
        ("no random part", no_random),
        ("short random part", short),
        ("odd random part", odd),
        ("long random part", long),
        ("a beginning on both sides", value[..value.len() - 1].to_owned()),
        ("signature alone", format!("{mac}.")),
        ("signature without a dot", mac.to_owned()),
        ("another random part", format!("{mac}.{}", "0".repeat(32))),
        ("a third part", format!("{value}.{random}")),
        ("signed by the token's secret", by_token_secret),
        ("the a!b shift", format!("{shifted_mac}.{random}{tail}")),
        ("the a!b shift with its mark", format!("{shifted_mac}.{random}!{tail}")),
        ("the a!b shift of the lengths", lengths),
    ]
    .map(|(name, value)| both(people, name, &value, SIGNATURE))
    .into()
}

fn other_sessions(world: &World, people: &People) -> Vec<Attack> {
    let with = |name: &str, changes: Value, session: &str, want| {
        let value = world.csrf(session);
        let token = world.hs(&claims("hs", &changes));
        Attack::new(name, want)
            .header("Cookie", format!("JWT={token}; CSRF-TOKEN={value}"))
            .header("Origin", UI)
            .query("csrf_token", value)
    };
    vec![
        both(people, "another session's", &people.eve_csrf, SIGNATURE),
        with(
            "jti instead of sid",
            json!({ "sid": null, "jti": "j" }),
            "j",
            Want::Granted("hs:ada"),
        ),
        with("jti beside sid", json!({ "jti": "j" }), "j", SIGNATURE),
        with("no sid and no jti", json!({ "sid": null }), "", SESSION),
        with("an empty sid", json!({ "sid": "", "jti": "j" }), "", SESSION),
        with("a sid that is a number", json!({ "sid": 1 }), "1", SESSION),
        with("a sid that is a list", json!({ "sid": ["s-1"] }), "s-1", SESSION),
        with("a sid that is true", json!({ "sid": true, "jti": "j" }), "j", SESSION),
    ]
}

/// A sibling subdomain can write cookies that the right page's requests carry.
fn planted(people: &People) -> Vec<Attack> {
    let People { ada, eve, ada_csrf, eve_csrf } = people;
    let ambiguous = Want::Refused(401, "cookie_ambiguous");
    let row = |name: &str, cookies: String, want| {
        Attack::new(name, want)
            .header("Cookie", cookies)
            .header("Origin", UI)
            .query("csrf_token", eve_csrf.as_str())
    };
    let sibling =
        Attack::new("a sibling with its own pair", Want::Refused(403, "origin_not_allowed"))
            .header("Cookie", format!("JWT={eve}; CSRF-TOKEN={eve_csrf}"))
            .header("Origin", "https://blog.example.com")
            .query("csrf_token", eve_csrf.as_str());
    vec![
        row(
            "the attacker's pair with the victim's token",
            format!("JWT={ada}; CSRF-TOKEN={eve_csrf}"),
            SIGNATURE,
        ),
        row(
            "a planted CSRF cookie in front",
            format!("CSRF-TOKEN={eve_csrf}; JWT={ada}; CSRF-TOKEN={ada_csrf}"),
            ambiguous,
        ),
        row(
            "a planted CSRF cookie behind",
            format!("JWT={ada}; CSRF-TOKEN={ada_csrf}; CSRF-TOKEN={eve_csrf}"),
            ambiguous,
        ),
        row(
            "a planted pair beside",
            format!("JWT={eve}; CSRF-TOKEN={eve_csrf}; JWT={ada}; CSRF-TOKEN={ada_csrf}"),
            ambiguous,
        ),
        row(
            "a planted cookie within quotes",
            format!("x=\"; JWT={eve}; y=\"; JWT={ada}; CSRF-TOKEN={eve_csrf}"),
            ambiguous,
        ),
        sibling,
    ]
}
