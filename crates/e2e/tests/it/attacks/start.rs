//! Configurations that would open a door: neither program starts with one, and both say where the
//! mistake is.

use crate::harness::gateway::{Gateway, Setup};
use crate::harness::runtime_api::Lambda;
use crate::harness::server::{Answer, Server};
use crate::harness::template;

use super::forge::World;

/// A shared secret, as a key set would publish it.
const OCT: &str =
    r#"{"kty":"oct","kid":"o1","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;

/// A mistake, and the place that both programs must name.
struct Mistake {
    name: &'static str,
    document: String,
    environment: Vec<(String, String)>,
    place: &'static str,
}

#[test]
fn configurations_that_would_open_a_door_are_refused() {
    let world = World::new();
    let secrets_only = Server::start(|_| Answer::json(format!("{{\"keys\":[{OCT}]}}")));
    let mut all = keys(&world);
    all.extend(rules(&world));
    let (from, to) = (world.jwks.address.to_string(), secrets_only.address.to_string());
    all.push(changed(&world, "published secrets", &from, &to, "authorizer.issuers[5].keys[0]"));
    for mistake in all {
        let Mistake { name, document, environment, place } = mistake;
        let template = template::expand(
            "@builtin Auth\n@authorizer Guard Auth\n@route $connect - auth=Guard\n",
        );
        let setup = Setup {
            templates: vec![("case.yaml".to_owned(), template.text)],
            config: document.clone(),
            environment: environment.clone(),
            ..Setup::default()
        };
        let Err(refused) = Gateway::start(&setup, world.secrets.clone()) else {
            panic!("wsgate started: {name}")
        };
        assert_eq!(refused.code, Some(3), "{name}:\n{}", refused.stderr);
        assert!(refused.stderr.contains(place), "{name}: no {place} in:\n{}", refused.stderr);
        world.secrets.capture("stderr", &refused.stderr);

        let mut environment = environment;
        environment.push(("WSGATE_AUTHORIZER_TOML".to_owned(), document));
        let Err(refused) = Lambda::start(&environment) else { panic!("bootstrap started: {name}") };
        let told = refused.body.to_string();
        assert!(told.contains(place), "{name}: no {place} in {told}");
        assert!(refused.code.is_some_and(|code| code != 0), "{name}: {:?}", refused.code);
        assert!(refused.others.is_empty(), "{name}: it asked for an event");
        world.secrets.capture("log of bootstrap", &refused.log);
        world.secrets.capture("init error", &told);
    }
    assert_eq!(world.secrets.leaks(), Vec::<String>::new());
}

/// What is a key and may not be one.
fn keys(world: &World) -> Vec<Mistake> {
    let place = "authorizer.issuers[0].keys[0]";
    let pem = world.rsa_pem();
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let secret = |name, value: &str| with(world, name, "ATTACK_HS", value, place);
    let strong = |name, algorithm: &str, value: &str| Mistake {
        document: world.document().replacen("\"HS256\"", &format!("{algorithm:?}"), 1),
        ..secret(name, value)
    };
    let text = String::from_utf8(world.hmac.clone()).expect("secrets are text");
    let short = world.secrets.register("short secret", &text[..31]);
    vec![
        secret("an empty secret", ""),
        secret("a secret of one line end", "\n"),
        secret("a short secret", &short),
        strong("32 bytes for HS384", "HS384", &text[..32]),
        strong("32 bytes for HS512", "HS512", &text[..32]),
        secret("a public key as a secret", &pem),
        secret("a public key as a secret, after a space", &format!(" {pem}")),
        secret("a public key as a secret, after line ends", &format!("\r\n\n{pem}")),
        secret("a public key as a secret, after a byte order mark", &format!("\u{feff}{pem}")),
        secret("a public key as a secret, in bare base64", &bare),
        with(
            world,
            "a secret as a public key",
            "ATTACK_RS",
            &text,
            "authorizer.issuers[1].keys[0]",
        ),
        with(world, "an empty CSRF secret", "ATTACK_CSRF", "", "authorizer.csrf.secret"),
        with(world, "a short CSRF secret", "ATTACK_CSRF", &short, "authorizer.csrf.secret"),
        with(world, "the token's secret for CSRF", "ATTACK_CSRF", &text, "authorizer.csrf.secret"),
    ]
}

/// What the document may not say.
fn rules(world: &World) -> Vec<Mistake> {
    let row = |name, from: &str, to: &str, place| changed(world, name, from, to, place);
    let origin = |name, origin: &str| {
        let line = format!("\norigin_wildcards = true\norigins = [{origin:?}]\nleeway = \"5s\"");
        row(
            name,
            "\norigins = [\"https://ui.example.com\", \"https://xn--bcher-kva.example\"]",
            &line,
            "authorizer.origins[0]",
        )
    };
    vec![
        origin("any origin", "*"),
        origin("no origin", "null"),
        origin("a wildcard above a public suffix", "https://*.com"),
        origin("a wildcard above a public suffix of two labels", "https://*.co.uk"),
        origin("a wildcard above a private suffix", "https://*.github.io"),
        origin("a wildcard above a suffix of another script", "https://*.xn--55qx5d.cn"),
        origin("a wildcard within a name", "https://ui*.example.com"),
        origin("a name that is not ASCII", "https://b\u{fc}cher.example"),
        origin("plain text on the network", "http://ui.example.com"),
        origin("a user in the origin", "https://ui@example.com"),
        row(
            "a wildcard nobody enabled",
            "https://ui.example.com",
            "https://*.example.com",
            "authorizer.origins[0]",
        ),
        row("none as an algorithm", "\"HS256\"", "\"none\"", "authorizer.issuers[0].algorithms"),
        row("HMAC for a public key", "\"RS256\"", "\"HS256\"", "authorizer.issuers[1]"),
        row(
            "HMAC beside a public key",
            "\"RS256\"",
            "\"RS256\", \"HS256\"",
            "authorizer.issuers[1]",
        ),
        row("two issuers, one prefix", "\"rs:\"", "\"hs:\"", "principal_prefix"),
        row("two issuers, no prefix", "\"rs:\"", "\"\"", "principal_prefix"),
        row("one issuer twice", "issuer = \"rs\"", "issuer = \"hs\"", "authorizer.issuers[1]"),
        row("no audience", "audience = [\"chat\"]\n", "", "authorizer.issuers[0].audience"),
        row("no key", "keys = [\"hmac:env:ATTACK_HS\"]", "keys = []", "authorizer.issuers[0].keys"),
        row(
            "keys over plain text",
            "http://127.0.0.1",
            "http://keys.example",
            "authorizer.issuers[5].keys[0]",
        ),
        row("an unknown rule", "\nsecret =", "\nsekret =", "authorizer.csrf.sekret"),
        row(
            "a token rule that only reports",
            "\ntoken_bytes_max",
            "\nreport_only = [\"token\"]\ntoken_bytes_max",
            "authorizer.report_only[0]",
        ),
    ]
}

fn with(
    world: &World,
    name: &'static str,
    variable: &str,
    value: &str,
    place: &'static str,
) -> Mistake {
    let mut environment = world.environment();
    environment.retain(|(name, _)| name != variable);
    environment.push((variable.to_owned(), value.to_owned()));
    Mistake { name, document: world.document(), environment, place }
}

#[track_caller]
fn changed(
    world: &World,
    name: &'static str,
    from: &str,
    to: &str,
    place: &'static str,
) -> Mistake {
    let whole = world.document();
    let document = whole.replacen(from, to, 1);
    assert_ne!(document, whole, "{name} changes nothing");
    Mistake { name, document, environment: world.environment(), place }
}
