//! Attacks on the token itself ([RFC 8725] and the advisories since).
//!
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::forge::{Signer, World, claims, ec_jwk, encode, now};
use super::{Attack, Want};

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const ALGORITHM: Want = Want::Refused(401, "token_algorithm");
const CRITICAL: Want = Want::Refused(401, "token_critical");
const KEY: Want = Want::Refused(401, "token_key");
const MALFORMED: Want = Want::Refused(401, "token_malformed");
const SIGNATURE: Want = Want::Refused(401, "token_signature");

/// `trap` is an address at which nobody may ever ask.
pub(in super::super) fn tokens(world: &World, trap: &str) -> Vec<Attack> {
    [
        honest(world),
        none(world),
        confusion(world),
        keys_in_the_token(world, trap),
        key_names(world),
        signatures(world),
        extensions(world),
        strict_json(world),
        times(world),
        spellings(world),
        meant_for_others(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn text(issuer: &str) -> String {
    claims(issuer, &json!({})).to_string()
}

/// `claims` with `member` as further text, which no JSON library would write.
fn with_member(issuer: &str, without: &str, member: &str) -> String {
    let claims = claims(issuer, &json!({ without: null })).to_string();
    format!("{},{member}}}", &claims[..claims.len() - 1])
}

fn honest(world: &World) -> Vec<Attack> {
    let (ec, rsa) = (Signer::Ec(&world.ec), Signer::Rsa(&world.rsa));
    let published = Signer::Ec(&world.published);
    let typed = Signer::Hmac(&world.hmac_typed);
    let row = |name: &str, principal, issuer: &str, header: &str, signer: &Signer<'_>| {
        let token = world.jws(header, &text(issuer), signer);
        Attack::bearer(name, &token, Want::Granted(principal))
    };
    // One `sub` at six issuers is six principals.
    vec![
        row("HMAC", "hs:ada", "hs", r#"{"alg":"HS256"}"#, &Signer::Hmac(&world.hmac)),
        row("RSA", "rs:ada", "rs", r#"{"alg":"RS256"}"#, &rsa),
        row("ECDSA", "es:ada", "es", r#"{"alg":"ES256"}"#, &ec),
        row("one key of 64", "many:ada", "many", r#"{"alg":"HS256","kid":"k63"}"#, &world.many(63)),
        row("typed", "typed:ada", "typed", r#"{"alg":"HS256","typ":"at+jwt"}"#, &typed),
        row("published", "jwks:ada", "jwks", r#"{"alg":"ES256","kid":"e1"}"#, &published),
        Attack::bearer(
            "a subject that poses as another issuer's",
            &world.hs(&claims("hs", &json!({ "sub": "rs:ada" }))),
            Want::Granted("hs:rs:ada"),
        ),
    ]
}

/// CVE-2015-9235, CVE-2015-2951 and every spelling since.
fn none(world: &World) -> Vec<Attack> {
    let mut rows = Vec::new();
    let spellings = ["none", "None", "NONE", "nOnE", "noNE", " none", "none ", "none\u{0}", "null"];
    for alg in spellings.into_iter().chain(["", "HS257", "hs256", "RS512", "HS384"]) {
        let header = json!({ "alg": alg }).to_string();
        for issuer in ["hs", "rs", "es", "jwks"] {
            let unsigned = world.jws(&header, &text(issuer), &Signer::Bytes(Vec::new()));
            rows.push(Attack::bearer(format!("{alg:?} at {issuer}"), &unsigned, ALGORITHM));
        }
        let signed = world.hs_text(&header, &text("hs"));
        rows.push(Attack::bearer(format!("{alg:?}, signed"), &signed, ALGORITHM));
    }
    for header in [r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#, r#"{"alg":false}"#, "{}"] {
        rows.push(Attack::bearer(header, &world.hs_text(header, &text("hs")), MALFORMED));
    }
    rows
}

/// CVE-2016-10555, CVE-2023-48223 and its incomplete mend: the public key as a shared secret, in
/// every form in which a library might hold it.
fn confusion(world: &World) -> Vec<Attack> {
    let pem = world.rsa_pem();
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let secrets = [
        ("the PEM", pem.clone().into_bytes()),
        ("the PEM without its last line end", pem.trim_end().as_bytes().to_vec()),
        ("the PEM after a space", format!(" {pem}").into_bytes()),
        ("the PEM after a line end", format!("\n{pem}").into_bytes()),
        ("the PEM after a byte order mark", format!("\u{feff}{pem}").into_bytes()),
        ("the PEM with other line ends", pem.replace('\n', "\r\n").into_bytes()),
        ("bare base64", bare.into_bytes()),
        ("its bytes", world.rsa_der()),
    ];
    let mut rows = Vec::new();
    for (name, secret) in &secrets {
        for (alg, want) in [("HS256", ALGORITHM), ("RS256", SIGNATURE)] {
            let header = json!({ "alg": alg }).to_string();
            let token = world.jws(&header, &text("rs"), &Signer::Hmac(secret));
            rows.push(Attack::bearer(format!("{name} as a secret, {alg}"), &token, want));
        }
    }
    let jwk = ec_jwk(&world.published, "e1").to_string();
    let header = r#"{"alg":"HS256","kid":"e1"}"#;
    let token = world.jws(header, &text("jwks"), &Signer::Hmac(jwk.as_bytes()));
    rows.push(Attack::bearer("a published key as a secret", &token, ALGORITHM));
    // The set holds a shared secret: everybody can read it there.
    for header in [r#"{"alg":"HS256","kid":"o1"}"#, r#"{"alg":"HS256"}"#] {
        let token = world.jws(header, &text("jwks"), &Signer::Hmac(&world.published_secret));
        rows.push(Attack::bearer(format!("a published secret, {header}"), &token, ALGORITHM));
    }
    rows
}

/// CVE-2018-0114 and the addresses a careless verifier would ask.
fn keys_in_the_token(world: &World, trap: &str) -> Vec<Attack> {
    let own = ec_jwk(&world.evil, "k");
    let mut rows = Vec::new();
    for (member, value) in [
        ("jwk", own),
        ("jku", json!(format!("http://{trap}/jku"))),
        ("x5u", json!(format!("http://{trap}/x5u"))),
        ("x5c", json!(["MIIB"])),
    ] {
        for (issuer, kid) in [("es", json!("k")), ("jwks", json!(format!("http://{trap}/kid")))] {
            let header = json!({ "alg": "ES256", "kid": kid, member: value }).to_string();
            let token = world.jws(&header, &text(issuer), &Signer::Ec(&world.evil));
            rows.push(Attack::bearer(format!("{member} at {issuer}"), &token, KEY));
        }
    }
    let issuer = claims(&format!("http://{trap}"), &json!({})).to_string();
    let token = world.jws(r#"{"alg":"ES256"}"#, &issuer, &Signer::Ec(&world.evil));
    rows.push(Attack::bearer("an issuer to ask", &token, Want::Refused(401, "token_issuer")));
    rows
}

fn key_names(world: &World) -> Vec<Attack> {
    let mut rows = Vec::new();
    let long = "k".repeat(10 * 1024);
    for kid in [
        "../../../../../../dev/null",
        "/proc/self/environ",
        "x' UNION SELECT 'secret' --",
        "k63' OR '1'='1",
        "k63\u{0}",
        "K63",
        "",
        long.as_str(),
    ] {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        let name = format!("kid {kid:.30}");
        for secret in [Signer::Hmac(b""), Signer::Hmac(b"secret"), world.many(63)] {
            let token = world.jws(&header, &text("many"), &secret);
            rows.push(Attack::bearer(name.clone(), &token, KEY));
        }
        let header = json!({ "alg": "ES256", "kid": kid }).to_string();
        let token = world.jws(&header, &text("jwks"), &Signer::Ec(&world.evil));
        rows.push(Attack::bearer(format!("{name} at published keys"), &token, KEY));
    }
    let with = |header: &str| world.jws(header, &text("many"), &world.many(63));
    let row = |name: &str, header: &str, want| Attack::bearer(name, &with(header), want);
    rows.extend([
        row("kid twice", r#"{"alg":"HS256","kid":"k63","kid":"k63"}"#, MALFORMED),
        row("kid twice, escaped", r#"{"alg":"HS256","kid":"k63","\u006bid":"k0"}"#, MALFORMED),
        row("kid a number", r#"{"alg":"HS256","kid":63}"#, MALFORMED),
        row("kid a list", r#"{"alg":"HS256","kid":["k63"]}"#, MALFORMED),
        row("no kid with 64 keys", r#"{"alg":"HS256"}"#, KEY),
        row("the kid of another key", r#"{"alg":"HS256","kid":"k62"}"#, SIGNATURE),
    ]);
    rows
}

/// CVE-2020-28042, CVE-2022-21449 and other signatures that sign nothing.
fn signatures(world: &World) -> Vec<Attack> {
    let mut rows = Vec::new();
    let bytes = |name: &str, issuer: &str, alg: &str, bytes: Vec<u8>| {
        let header = json!({ "alg": alg }).to_string();
        let token = world.jws(&header, &text(issuer), &Signer::Bytes(bytes));
        Attack::bearer(format!("{name}, {alg}"), &token, SIGNATURE)
    };
    for (issuer, alg, length) in [("hs", "HS256", 32), ("rs", "RS256", 256), ("es", "ES256", 64)] {
        rows.push(bytes("empty signature", issuer, alg, Vec::new()));
        rows.push(bytes("all zero", issuer, alg, vec![0; length]));
        rows.push(bytes("all ones", issuer, alg, vec![0xff; length]));
        rows.push(bytes("one byte", issuer, alg, vec![0]));
    }
    let one = [vec![0; 31], vec![1]].concat();
    rows.push(bytes("r and s are one", "es", "ES256", [one.clone(), one].concat()));
    let asn1 = world.asn1(r#"{"alg":"ES256"}"#, &text("es"));
    rows.push(Attack::bearer("a signature in the other form", &asn1, SIGNATURE));
    let evil = world.jws(r#"{"alg":"ES256"}"#, &text("es"), &Signer::Ec(&world.evil));
    rows.push(Attack::bearer("another's signature", &evil, SIGNATURE));
    let stolen = world.hs_text(r#"{"alg":"HS256"}"#, &text("typed"));
    rows.push(Attack::bearer("no type", &stolen, Want::Refused(401, "token_type")));
    let stolen = world.hs_text(r#"{"alg":"HS256","typ":"at+jwt"}"#, &text("typed"));
    rows.push(Attack::bearer("another issuer's signature", &stolen, SIGNATURE));
    let good = world.hs_text(r#"{"alg":"HS256"}"#, &text("hs"));
    let (signed, signature) = good.rsplit_once('.').expect("a token has dots");
    let cut = world.register(&format!("{signed}.{}", &signature[..20]));
    rows.push(Attack::bearer("half a signature", &cut, SIGNATURE));
    let other = claims("hs", &json!({ "sub": "eve" })).to_string();
    let header = signed.split('.').next().expect("a token has dots");
    let moved = world.register(&format!("{header}.{}.{signature}", encode(other)));
    rows.push(Attack::bearer("the signature of other claims", &moved, SIGNATURE));
    rows
}

fn extensions(world: &World) -> Vec<Attack> {
    let headers = [
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["urn:x"],"urn:x":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":"true"}"#,
    ];
    let row =
        |header: &&str| Attack::bearer(*header, &world.hs_text(header, &text("hs")), CRITICAL);
    headers.iter().map(row).collect()
}

fn strict_json(world: &World) -> Vec<Attack> {
    const HEADER: &str = r#"{"alg":"HS256"}"#;
    let mut rows = Vec::new();
    for header in [
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"HS256"} {}"#,
        r#"["HS256"]"#,
        r#""HS256""#,
    ] {
        rows.push(Attack::bearer(header, &world.hs_text(header, &text("hs")), MALFORMED));
    }
    for member in [
        r#""sub":"ada","sub":"eve""#,
        r#""sub":"ada","s\u0075b":"eve""#,
        r#""sub":"ada","x":{"a":1,"a":2}"#,
        r#""sub":"ada","aud":"chat""#,
        r#""sub":"ada","exp":99999999999"#,
        r#""sub":"ada","x":NaN"#,
        r#""sub":"ada","x":01"#,
        r#""sub":"ada",}{"x":1"#,
    ] {
        let token = world.hs_text(HEADER, &with_member("hs", "sub", member));
        rows.push(Attack::bearer(member, &token, MALFORMED));
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let claims = with_member("hs", "x", &format!("\"x\":{deep}"));
    rows.push(Attack::bearer("10,000 arrays", &world.hs_text(HEADER, &claims), MALFORMED));
    let header = format!("{{\"alg\":\"HS256\",\"x\":{deep}}}");
    let token = world.hs_text(&header, &text("hs"));
    rows.push(Attack::bearer("10,000 arrays in the header", &token, MALFORMED));
    let long = world.register(&"a".repeat(28 * 1024 + 1));
    rows.push(Attack::bearer("too long", &long, Want::Refused(401, "token_too_long")));
    rows
}

fn times(world: &World) -> Vec<Attack> {
    let with = |member: String| {
        let name = member.split('"').nth(1).unwrap_or_default().to_owned();
        world.hs_text(r#"{"alg":"HS256"}"#, &with_member("hs", &name, &member))
    };
    let mut rows = Vec::new();
    let now = now();
    for value in [
        format!("\"{}\"", now + 600),
        "1e30".to_owned(),
        "1E400".to_owned(),
        "-1".to_owned(),
        "-0.5".to_owned(),
        "9007199254740992".to_owned(),
        "18446744073709551616".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
    ] {
        for name in ["exp", "nbf", "iat"] {
            let token = with(format!("\"{name}\":{value}"));
            rows.push(Attack::bearer(format!("{name} {value}"), &token, MALFORMED));
        }
    }
    let none = world.hs(&claims("hs", &json!({ "exp": null })));
    rows.push(Attack::bearer("no exp", &none, MALFORMED));
    let row = |member: String, want| Attack::bearer(member.clone(), &with(member), want);
    rows.extend([
        // Half a second before its end it is as good as a second before.
        row(format!("\"exp\":{}.5", now + 600), Want::Granted("hs:ada")),
        row(format!("\"exp\":{}.999", now - 60), Want::Refused(401, "token_expired")),
        row(format!("\"exp\":{}", now - 60), Want::Refused(401, "token_expired")),
        row("\"exp\":0".to_owned(), Want::Refused(401, "token_expired")),
        row(format!("\"nbf\":{}", now + 600), Want::Refused(401, "token_not_yet_valid")),
        row(format!("\"iat\":{}", now + 600), Want::Refused(401, "token_not_yet_valid")),
    ]);
    rows
}

/// One token has one spelling, three segments, and nothing around them.
fn spellings(world: &World) -> Vec<Attack> {
    let token = world.hs_text(r#"{"alg":"HS256"}"#, &text("hs"));
    let (signed, signature) = token.rsplit_once('.').expect("a token has dots");
    let (header, body) = signed.split_once('.').expect("a token has dots");
    let last = signature.chars().last().and_then(|last| ALPHABET.find(last));
    let next = last.and_then(|last| ALPHABET.get(last + 1..last + 2)).unwrap_or("A");
    let fancy = fancy_token(world);
    let mut rows = Vec::new();
    for (name, token) in [
        ("five segments", format!("{token}.{body}.{signature}")),
        ("four segments", format!("{token}.{body}")),
        ("encrypted", format!("{header}..{body}.{body}.{signature}")),
        ("two segments", signed.to_owned()),
        ("no claims", format!("{header}..{signature}")),
        ("no header", format!(".{body}.{signature}")),
        ("a dot behind", format!("{token}.")),
        ("other padding bits", format!("{signed}.{}{next}", &signature[..42])),
        ("padding", format!("{token}=")),
        ("padding in the header", format!("{header}=.{body}.{signature}")),
        ("the other alphabet", fancy.replace('-', "+").replace('_', "/")),
        ("a space inside", format!("{header}. {body}.{signature}")),
        ("a tab inside", format!("{signed}.\t{signature}")),
        ("two tokens", format!("{token} {token}")),
        ("two tokens with a comma", format!("{token}, {token}")),
        ("quotes", format!("\"{token}\"")),
        ("escaped", token.replace('.', "%2E")),
    ] {
        rows.push(Attack::bearer(name, &world.register(&token), MALFORMED));
    }
    let standard = [STANDARD.encode(r#"{"alg":"HS256"}"#), STANDARD.encode(text("hs"))].join(".");
    let standard = world.register(&format!("{standard}.{}", STANDARD.encode([0; 32])));
    rows.push(Attack::bearer("all in the other alphabet", &standard, MALFORMED));
    rows
}

/// A good token that has a character in which the two alphabets differ.
fn fancy_token(world: &World) -> String {
    let token = |n: u32| world.hs(&claims("hs", &json!({ "jti": n })));
    (0..).map(token).find(|token| token.contains(['-', '_'])).unwrap_or_default()
}

/// Tokens of the right issuer that were made for something else.
fn meant_for_others(world: &World) -> Vec<Attack> {
    let hs = |name: &str, changes: Value, want| {
        Attack::bearer(name, &world.hs(&claims("hs", &changes)), want)
    };
    let audience = Want::Refused(401, "token_audience");
    let required = Want::Refused(403, "claim_required");
    let principal = Want::Refused(403, "claim_principal");
    let mut rows = vec![
        hs("another audience", json!({ "aud": "mail" }), audience),
        hs("an audience that begins so", json!({ "aud": "chatter" }), audience),
        hs("an audience in another case", json!({ "aud": "Chat" }), audience),
        hs("no audience", json!({ "aud": null }), audience),
        hs("an empty list of audiences", json!({ "aud": [] }), audience),
        // CVE-2020-26160.
        hs("an audience that is an object", json!({ "aud": { "chat": true } }), MALFORMED),
        hs("an audience within a list", json!({ "aud": [["chat"]] }), MALFORMED),
        hs("another issuer", json!({ "iss": "HS" }), Want::Refused(401, "token_issuer")),
        hs("no issuer", json!({ "iss": null }), Want::Refused(401, "token_issuer")),
        hs("an ID token", json!({ "token_use": "id" }), required),
        hs("a token without a use", json!({ "token_use": null }), required),
        hs("a list of uses", json!({ "token_use": ["access"] }), required),
        hs("nobody", json!({ "sub": null }), principal),
        hs("an empty subject", json!({ "sub": "" }), principal),
        hs("a list of subjects", json!({ "sub": ["ada"] }), principal),
    ];
    for typ in ["JWT", "id+jwt", "at+jwt2", "text/at+jwt", ""] {
        let header = json!({ "alg": "HS256", "typ": typ }).to_string();
        let token = world.jws(&header, &text("typed"), &Signer::Hmac(&world.hmac_typed));
        let want = Want::Refused(401, "token_type");
        rows.push(Attack::bearer(format!("an ID token by its type {typ:?}"), &token, want));
    }
    rows
}
