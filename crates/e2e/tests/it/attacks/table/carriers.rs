//! Attacks on the way a token travels: two of something, or half of it.

use super::super::forge::{UI, World, encode};
use super::{Attack, People, Want};

const EVIL: &str = "https://evil.example";

const AMBIGUOUS: Want = Want::Refused(401, "token_ambiguous");
const COOKIE_AMBIGUOUS: Want = Want::Refused(401, "cookie_ambiguous");
const MALFORMED: Want = Want::Refused(401, "token_malformed");
const MISSING: Want = Want::Refused(401, "token_missing");
const ORIGIN: Want = Want::Refused(403, "origin_not_allowed");

pub(in super::super) fn carriers(world: &World) -> Vec<Attack> {
    let people = People::of(world);
    let mut rows = vec![
        people.page("the page itself", Want::Granted("hs:ada")),
        Attack::bearer("a program", &people.ada, Want::Granted("hs:ada")),
        offer("a subprotocol", &format!("access_token, {}, chat", people.ada), OK),
        offer("another form", &format!("bearer.{}, chat", people.ada), OK),
        offer("that of Kubernetes", &format!("{}, chat", kubernetes(&people.ada)), OK),
        Attack::new("the query", OK).query("access_token", people.ada.as_str()),
    ];
    rows.extend(twice(&people));
    rows.extend(two_tokens(&people));
    rows.extend(subprotocols(&people));
    rows.extend(foreign_pages(&people));
    rows.extend(not_quite(&people));
    rows
}

const OK: Want = Want::Granted("hs:ada");

fn offer(name: &str, value: &str, want: Want) -> Attack {
    Attack::new(name, want).header("Sec-WebSocket-Protocol", value)
}

fn kubernetes(token: &str) -> String {
    format!("base64url.bearer.authorization.k8s.io.{}", encode(token))
}

/// One carrier with two values, equal or not: who reads the first is not who reads the last.
fn twice(people: &People) -> Vec<Attack> {
    let People { ada, eve, ada_csrf, eve_csrf } = people;
    let cookies = |name: &str, cookies: String| {
        Attack::new(name, COOKIE_AMBIGUOUS)
            .header("Cookie", cookies)
            .header("Origin", UI)
            .query("csrf_token", ada_csrf.as_str())
    };
    let own = people.cookies();
    let bearer = |token: &str| format!("Bearer {token}");
    let malformed = Want::Malformed(401, "token_ambiguous");
    vec![
        cookies("two cookies", format!("{own}; JWT={eve}")),
        cookies("two cookies, the other first", format!("JWT={eve}; {own}")),
        cookies("two equal cookies", format!("{own}; JWT={ada}")),
        cookies("two cookies, one empty", format!("JWT=; {own}")),
        cookies("two cookies, one quoted", format!("{own}; JWT=\"{ada}\"")),
        cookies("two CSRF cookies", format!("{own}; CSRF-TOKEN={eve_csrf}")),
        cookies("two equal CSRF cookies", format!("{own}; CSRF-TOKEN={ada_csrf}")),
        cookies("two lines of cookies", own.clone()).header("Cookie", format!("JWT={eve}")),
        cookies("two equal lines of cookies", own.clone()).header("Cookie", own.clone()),
        cookies("two lines in other letters", own).header("cOOKIE", format!("JWT={eve}")),
        Attack::new("two query values", AMBIGUOUS)
            .query("access_token", ada.as_str())
            .query("access_token", eve.as_str()),
        Attack::new("two equal query values", AMBIGUOUS)
            .query("access_token", ada.as_str())
            .query("access_token", ada.as_str()),
        Attack::new("two query values, one empty", AMBIGUOUS)
            .query("access_token", "")
            .query("access_token", ada.as_str()),
        Attack::bearer("two Authorization lines", ada, malformed)
            .header("Authorization", bearer(eve)),
        Attack::bearer("two equal Authorization lines", ada, malformed)
            .header("Authorization", bearer(ada)),
        Attack::bearer("two Authorization lines, one of another scheme", ada, malformed)
            .header("authorization", "Basic YWRhOmFkYQ=="),
        offer("two subprotocol lines", &format!("access_token, {ada}"), AMBIGUOUS)
            .header("Sec-WebSocket-Protocol", format!("bearer, {eve}")),
        offer("two equal subprotocol lines", &format!("access_token, {ada}"), AMBIGUOUS)
            .header("Sec-WebSocket-Protocol", format!("access_token, {ada}")),
        offer("two forms", &format!("access_token, {ada}, bearer.{eve}"), AMBIGUOUS),
        offer("two forms of one token", &format!("bearer, {ada}, bearer.{ada}"), AMBIGUOUS),
        offer(
            "two of Kubernetes",
            &format!("{}, {}, v", kubernetes(ada), kubernetes(eve)),
            AMBIGUOUS,
        ),
        offer("a bare token beside", &format!("access_token, {ada}, {eve}"), AMBIGUOUS),
    ]
}

/// Two carriers with different tokens.
fn two_tokens(people: &People) -> Vec<Attack> {
    let People { ada, eve, .. } = people;
    let page = |name: &str| people.page(name, AMBIGUOUS);
    vec![
        page("cookie and header").header("Authorization", format!("Bearer {eve}")),
        page("cookie and subprotocol")
            .header("Sec-WebSocket-Protocol", format!("access_token, {eve}")),
        page("cookie and query").query("access_token", eve.as_str()),
        Attack::bearer("header and query", ada, AMBIGUOUS).query("access_token", eve.as_str()),
        offer("subprotocol and query", &format!("bearer, {ada}"), AMBIGUOUS)
            .query("access_token", eve.as_str()),
        offer("subprotocol and header", &format!("bearer, {ada}"), AMBIGUOUS)
            .header("Authorization", format!("Bearer {eve}")),
    ]
}

fn subprotocols(people: &People) -> Vec<Attack> {
    let ada = &people.ada;
    let many = |count: usize| (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    let segments: Vec<_> = ada.split('.').collect();
    let mut rows = vec![
        offer("16 entries", &format!("access_token, {ada}, {}", many(14)), OK),
        offer("17 entries", &format!("access_token, {ada}, {}", many(15)), MALFORMED),
        offer("17 entries in two lines", &many(15), MALFORMED)
            .header("Sec-WebSocket-Protocol", format!("access_token, {ada}")),
        offer("1,000 entries", &format!("access_token, {ada}, {}", many(998)), MALFORMED),
    ];
    for value in [
        format!("access_token, chat, {ada}"),
        "access_token".to_owned(),
        "bearer".to_owned(),
        "chat, bearer".to_owned(),
        format!("{ada}, access_token"),
        format!("bearer, bearer.{ada}"),
        format!("access_token, bearer, {ada}"),
        format!("access_token, access_token, {ada}"),
        format!("access_token, {ada}, chat, chat"),
        format!("access_token, {ada}="),
        format!("access_token, {ada},"),
        format!("access_token,, {ada}"),
        format!("access_token {ada}"),
        format!("access_token, \"{ada}\""),
        format!("access_token, {}.{}", segments[0], segments[1]),
        format!("access_token, {ada}.{}", segments[2]),
        format!("access_token, {}..{}", segments[0], segments[2]),
        format!("bearer.{}.{}", segments[0], segments[1]),
        "bearer.".to_owned(),
        kubernetes(ada),
        format!("{}=, chat", kubernetes(ada)),
        format!("{}!, chat", kubernetes(ada)),
        "base64url.bearer.authorization.k8s.io., chat".to_owned(),
        format!("base64url.bearer.authorization.k8s.io.{}, chat", encode([0xff, 0xfe])),
        format!("base64url.bearer.authorization.k8s.io.{ada}, chat"),
    ] {
        let name = value.replace(ada.as_str(), "JWT");
        let name = name.replace(&encode(ada), "JWT").replace(segments[0], "HEADER");
        let name = name.replace(segments[1], "CLAIMS").replace(segments[2], "SIGNATURE");
        rows.push(offer(&name, &value, MALFORMED));
    }
    // Nobody said that a bare token, or another marker, may stand there.
    rows.push(offer("a bare token", ada, MISSING));
    rows.push(offer("a bare token and another entry", &format!("chat, {ada}"), MISSING));
    rows.push(offer("another marker", &format!("token.{ada}, chat"), MISSING));
    rows
}

/// The browser adds the victim's cookies, and the page chooses query and subprotocols.
fn foreign_pages(people: &People) -> Vec<Attack> {
    let People { eve, ada_csrf, .. } = people;
    let foreign = |name: &str, want| {
        Attack::new(name, want).header("Cookie", people.cookies()).header("Origin", EVIL)
    };
    let csrf_only = |name: &str| {
        Attack::new(name, ORIGIN)
            .header("Cookie", format!("CSRF-TOKEN={ada_csrf}"))
            .header("Origin", EVIL)
    };
    vec![
        foreign("a foreign page", ORIGIN),
        foreign("a foreign page with ?access_token=x", AMBIGUOUS).query("access_token", "x"),
        foreign("a foreign page with an empty token", ORIGIN).query("access_token", ""),
        foreign("a foreign page with its own token", AMBIGUOUS).query("access_token", eve.as_str()),
        foreign("a foreign page with its own subprotocol", AMBIGUOUS)
            .header("Sec-WebSocket-Protocol", format!("bearer, {eve}")),
        csrf_only("its own token beside the victim's other cookie")
            .query("access_token", eve.as_str()),
        csrf_only("its own subprotocol beside the victim's other cookie")
            .header("Sec-WebSocket-Protocol", format!("bearer, {eve}")),
    ]
}

/// What is near a carrier is none.
fn not_quite(people: &People) -> Vec<Attack> {
    let ada = &people.ada;
    let cookie = |cookie: String| {
        let name = cookie.replace(ada.as_str(), "JWT");
        Attack::new(name, MISSING).header("Cookie", cookie).header("Origin", UI)
    };
    let authorization = |value: String, want| {
        Attack::new(value.replace(ada.as_str(), "JWT"), want).header("Authorization", value)
    };
    vec![
        cookie(format!("jwt={ada}")),
        cookie(format!("XJWT={ada}; JWT2={ada}")),
        cookie(format!("JWT {ada}")),
        cookie(format!("JWT[]={ada}")),
        cookie(format!("__Host-JWT={ada}")),
        authorization(ada.clone(), MISSING),
        authorization(format!("Bearer{ada}"), MISSING),
        authorization(format!("Basic {ada}"), MISSING),
        authorization("Bearer".to_owned(), MALFORMED),
        Attack::new("another name in the query", MISSING).query("Access_Token", ada.as_str()),
        Attack::new("nothing", MISSING),
    ]
}
