//! Keys from issuers and stores: read at start, refreshed without a restart, never from anybody
//! else.

mod stored;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::door::{self, Door, Handshake, Kind, Verdict};
use crate::harness::gateway::Gateway;
use crate::harness::http::DEADLINE;
use crate::harness::https::Authority;
use crate::harness::issuer::{Issuer, Signer, key_set};
use crate::harness::secrets::Secrets;
use crate::harness::server::{Answer, Server};

/// Far enough from now for every test, and not for a mistake of units.
pub(crate) const EXPIRY: u64 = 4_000_000_000;

/// Seconds between two fetches that unknown keys may ask for.
const COOLDOWN_SECONDS: u64 = 10;

/// An `[authorizer]` table whose tokens come as Bearer, from one issuer with `keys`; its verdicts
/// are not cached.
fn config(issuer: &Issuer, keys: &str) -> String {
    config_named(&issuer.name(), keys)
}

fn config_named(issuer: &str, keys: &str) -> String {
    format!("{UNCACHED}{}", entry(issuer, "chat", "ES256", keys))
}

const UNCACHED: &str =
    "[authorizer]\nsources = [\"header:Authorization\"]\n[authorizer.cache]\nttl = \"0s\"\n";

fn entry(issuer: &str, audience: &str, algorithm: &str, keys: &str) -> String {
    format!(
        "[[authorizer.issuers]]\nissuer = \"{issuer}\"\naudience = [\"{audience}\"]\n\
         algorithms = [\"{algorithm}\"]\nkeys = [\"{keys}\"]\n"
    )
}

fn claims(issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": "chat", "sub": "ada", "exp": EXPIRY })
}

fn ask(door: &Door, token: &str) -> Verdict {
    door.ask(&Handshake::bearer(token))
}

fn ada() -> Verdict {
    Verdict::Allowed("ada".to_owned())
}

/// Every door, each with both ways to name published keys.
fn everywhere(play: impl Fn(Kind, &Authority, fn(&Issuer) -> String)) {
    for kind in Kind::ALL {
        for keys in [Issuer::jwks as fn(&Issuer) -> String, Issuer::oidc] {
            play(kind, &Authority::new(), keys);
        }
    }
}

#[test]
fn published_keys_rotate_without_a_restart() {
    everywhere(|kind, authority, keys| {
        let (old, new) = (Signer::ecdsa("old"), Signer::ecdsa("new"));
        let issuer = Issuer::start(authority, &[&old]);
        let config = config(&issuer, &keys(&issuer));
        let door = Door::start(kind, &config, &[authority.trusted()]);
        let claims = claims(&issuer.name());
        assert_eq!(ask(&door, &old.token(&claims)), ada());
        assert_eq!(issuer.fetches(), 1, "once, at the start");
        issuer.publish(&[&new]);
        assert_eq!(ask(&door, &new.token(&claims)), ada());
        assert_eq!(issuer.fetches(), 2, "once more, at once, for the new name");
        assert_eq!(ask(&door, &old.token(&claims)), Verdict::Unauthorized);
        assert_eq!(ask(&door, &new.token_naming("old", &claims)), Verdict::Unauthorized);
        assert_eq!(ask(&door, &new.token(&claims)), ada());
    });
}

#[test]
fn a_flood_of_made_up_key_names_fetches_once() {
    everywhere(|kind, authority, keys| {
        let signer = Signer::ecdsa("known");
        let issuer = Issuer::start(authority, &[&signer]);
        let config = config(&issuer, &keys(&issuer));
        let door = Door::start(kind, &config, &[authority.trusted()]);
        let claims = claims(&issuer.name());
        let start = Instant::now();
        std::thread::scope(|scope| {
            for crowd in 0..8 {
                let (door, signer, claims) = (&door, &signer, &claims);
                scope.spawn(move || {
                    for one in 0..8 {
                        let token = signer.token_naming(&format!("{crowd}-{one}"), claims);
                        assert_eq!(ask(door, &token), Verdict::Unauthorized);
                    }
                });
            }
        });
        // On a machine that is slow enough, the next fetch is due meanwhile.
        let more = usize::try_from(start.elapsed().as_secs() / COOLDOWN_SECONDS).unwrap();
        let fetches = issuer.fetches();
        assert!((2..=2 + more).contains(&fetches), "{kind:?} fetched {fetches} times");
        assert_eq!(ask(&door, &signer.token(&claims)), ada());
    });
}

#[test]
fn keys_serve_on_while_their_server_is_down() {
    everywhere(|kind, authority, keys| {
        let signer = Signer::ecdsa("known");
        let issuer = Issuer::start(authority, &[&signer]);
        let config = config(&issuer, &keys(&issuer));
        let door = Door::start(kind, &config, &[authority.trusted()]);
        let claims = claims(&issuer.name());
        issuer.go_down();
        assert_eq!(ask(&door, &signer.token(&claims)), ada());
        let unknown = signer.token_naming("unknown", &claims);
        assert_eq!(ask(&door, &unknown), Verdict::Unauthorized, "the fetch failed");
        assert_eq!(ask(&door, &signer.token(&claims)), ada());
        drop(issuer);
        assert_eq!(ask(&door, &signer.token(&claims)), ada());
        eventually("a word about it", || door.log().contains("the old ones serve on"));
    });
}

/// A set without a usable key withdraws those before; what is no set says nothing.
#[test]
fn an_issuer_is_believed_about_its_keys_and_not_about_nonsense() {
    let signer = Signer::ecdsa("known");
    let rows = [
        (key_set(&[]), Verdict::Unauthorized),
        (key_set(&[Signer::shared("new").jwk()]), Verdict::Unauthorized),
        ("no JSON".to_owned(), ada()),
    ];
    for kind in Kind::ALL {
        for (set, want) in rows.clone() {
            let authority = Authority::new();
            let issuer = Issuer::start(&authority, &[&signer]);
            let config = config(&issuer, &issuer.jwks());
            let door = Door::start(kind, &config, &[authority.trusted()]);
            let claims = claims(&issuer.name());
            issuer.answer_keys(Answer::json(set));
            assert_eq!(ask(&door, &signer.token_naming("new", &claims)), Verdict::Unauthorized);
            assert_eq!(issuer.fetches(), 2);
            assert_eq!(ask(&door, &signer.token(&claims)), want);
        }
    }
}

/// Each start fails and names the entry, the source and the reason.
#[test]
fn what_publishes_no_keys_is_an_error_at_start() {
    let target = Arc::new(Server::start(|_| Answer::json(key_set(&[]))));
    let elsewhere = Answer::Reply {
        status: 302,
        headers: vec![("Location".to_owned(), format!("http://{}/", target.address))],
        body: Vec::new(),
    };
    let missing = Answer::Reply { status: 404, headers: Vec::new(), body: Vec::new() };
    let long = format!("{{\"keys\":[],\"more\":\"{}\"}}", "x".repeat(256 * 1024));
    let other = json!({ "issuer": "https://other.example.com", "jwks_uri": "https://localhost/" });
    let insecure =
        |name: &str| json!({ "issuer": name, "jwks_uri": "http://keys.example.com/" }).to_string();
    type Spoil<'s> = &'s dyn Fn(&Issuer);
    let rows: [(&str, Spoil<'_>, &str); 6] = [
        ("both", &|issuer| issuer.answer_keys(elsewhere.clone()), "redirects are not followed"),
        ("both", &|issuer| issuer.answer_keys(missing.clone()), "404"),
        ("both", &|issuer| issuer.answer_keys(Answer::json(long.clone())), "262144 bytes"),
        ("oidc", &|issuer| issuer.answer_metadata(elsewhere.clone()), "redirects"),
        ("oidc", &|issuer| issuer.answer_metadata(Answer::json(other.to_string())), "another"),
        (
            "oidc",
            &|issuer| issuer.answer_metadata(Answer::json(insecure(&issuer.name()))),
            "not at an https address",
        ),
    ];
    for (ways, spoil, reason) in rows {
        for kind in Kind::ALL {
            let authority = Authority::new();
            let issuer = Issuer::start(&authority, &[]);
            spoil(&issuer);
            let keys = if ways == "oidc" { issuer.oidc() } else { issuer.jwks() };
            refuses(kind, &config(&issuer, &keys), &[authority.trusted()], &[&keys, reason]);
        }
    }
    assert_eq!(target.connections(), 0, "nobody followed a redirect");
}

#[test]
fn a_set_without_a_usable_key_is_an_error_at_start() {
    let mut for_encryption = Signer::ecdsa("e").jwk();
    for_encryption["use"] = "enc".into();
    let many: Vec<_> = (0..65).map(|n| Signer::edwards(&n.to_string()).jwk()).collect();
    for set in [
        "no JSON".to_owned(),
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        "{\"keys\":[],\"keys\":[]}".to_owned(),
        "{\"keys\":{}}".to_owned(),
        key_set(&[]),
        key_set(&[Signer::shared("s").jwk()]),
        key_set(&[for_encryption]),
        key_set(&[json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" })]),
        key_set(&many),
        // Not of the algorithm that the issuer may use.
        key_set(&[Signer::edwards("other").jwk()]),
    ] {
        for kind in Kind::ALL {
            let authority = Authority::new();
            let issuer = Issuer::start(&authority, &[]);
            issuer.answer_keys(Answer::json(set.clone()));
            refuses(kind, &config(&issuer, &issuer.jwks()), &[authority.trusted()], &[]);
        }
    }
}

/// Asserts that the start fails, and that all of `words` are said.
#[track_caller]
fn refuses(kind: Kind, config: &str, environment: &[(String, String)], words: &[&str]) {
    let Err(refused) = Door::try_start(kind, config, environment) else {
        panic!("{kind:?} starts with {config}")
    };
    let place = "authorizer.issuers[0].keys[0]";
    for word in words.iter().chain([&place]) {
        assert!(refused.0.contains(word), "{kind:?} does not say {word}:\n{}", refused.0);
    }
}

#[test]
fn nobody_there_at_start_is_an_error_with_its_place() {
    // Nobody listens on the port of a listener that is gone.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for kind in Kind::ALL {
        for scheme in ["jwks", "oidc"] {
            let keys = format!("{scheme}:https://localhost:{}", gone.port());
            refuses(kind, &config_named("https://issuer", &keys), &[], &[&keys, "no connection"]);
        }
    }
}

#[test]
fn a_certificate_of_others_or_of_nobody_is_refused() {
    everywhere(|kind, authority, keys| {
        let signer = Signer::ecdsa("known");
        let issuer = Issuer::start_as(authority, "other.example.com", &[&signer]);
        let config_of = |issuer: &Issuer| config(issuer, &keys(issuer));
        refuses(kind, &config_of(&issuer), &[authority.trusted()], &["not for this host name"]);
        let issuer = Issuer::start(authority, &[&signer]);
        refuses(kind, &config_of(&issuer), &[], &["no trusted authority"]);
        let stranger = Authority::new();
        refuses(kind, &config_of(&issuer), &[stranger.trusted()], &["no trusted authority"]);
        assert_eq!(issuer.fetches(), 0);
    });
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    for kind in Kind::ALL {
        for keys in ["jwks:http://keys.example.com/", "oidc:http://192.0.2.1", "jwks:ftp://a/b"] {
            refuses(kind, &config_named("https://issuer", keys), &[], &["does not name a key"]);
        }
    }
}

#[test]
fn a_shared_secret_in_a_published_set_verifies_nothing() {
    for kind in Kind::ALL {
        let authority = Authority::new();
        let (signer, shared) = (Signer::ecdsa("known"), Signer::shared("shared"));
        let issuer = Issuer::start(&authority, &[&shared, &signer]);
        let trusted = [authority.trusted()];
        let door = Door::start(kind, &config(&issuer, &issuer.jwks()), &trusted);
        let claims = claims(&issuer.name());
        assert_eq!(ask(&door, &shared.token(&claims)), Verdict::Unauthorized);
        assert_eq!(ask(&door, &shared.token_naming("known", &claims)), Verdict::Unauthorized);
        assert_eq!(ask(&door, &signer.token(&claims)), ada());
        // Nor may a configuration ask for it.
        let hmac = format!("{UNCACHED}{}", entry(&issuer.name(), "chat", "HS256", &issuer.jwks()));
        assert!(Door::try_start(kind, &hmac, &trusted).is_err());
    }
}

#[test]
fn two_issuers_are_kept_apart() {
    for kind in Kind::ALL {
        let authority = Authority::new();
        // Names of keys are unique to their issuer and no further.
        let (one, two) = (Signer::ecdsa("1"), Signer::edwards("1"));
        let first = Issuer::start(&authority, &[&one]);
        let second = Issuer::start(&authority, &[&two]);
        let config = format!(
            "{UNCACHED}{}principal_prefix = \"one:\"\n{}principal_prefix = \"two:\"\n",
            entry(&first.name(), "chat", "ES256", &first.jwks()),
            entry(&second.name(), "talk", "EdDSA", &second.oidc()),
        );
        let door = Door::start(kind, &config, &[authority.trusted()]);
        let claims = |issuer: &str, audience: &str| json!({ "iss": issuer, "aud": audience, "sub": "ada", "exp": EXPIRY });
        let (of_one, of_two) = (claims(&first.name(), "chat"), claims(&second.name(), "talk"));
        let allowed = |principal: &str| Verdict::Allowed(principal.to_owned());
        assert_eq!(ask(&door, &one.token(&of_one)), allowed("one:ada"));
        assert_eq!(ask(&door, &two.token(&of_two)), allowed("two:ada"));
        for forged in [
            two.token(&of_one),
            one.token(&of_two),
            one.token(&claims(&first.name(), "talk")),
            two.token(&claims(&second.name(), "chat")),
            one.token(&claims("https://third.example.com", "chat")),
        ] {
            assert_eq!(ask(&door, &forged), Verdict::Unauthorized);
        }
        // A rotation of one touches the keys of the other as little as nonsense of the other does.
        second.answer_keys(Answer::json("no JSON".to_owned()));
        assert_eq!(ask(&door, &two.token_naming("2", &of_two)), Verdict::Unauthorized);
        assert_eq!(second.fetches(), 2);
        let new = Signer::ecdsa("2");
        first.publish(&[&new]);
        assert_eq!(ask(&door, &new.token(&of_one)), allowed("one:ada"));
        assert_eq!(ask(&door, &new.token(&of_two)), Verdict::Unauthorized);
        assert_eq!(ask(&door, &two.token(&of_two)), allowed("two:ada"));
        assert_eq!(first.fetches(), 2);
    }
}

#[test]
fn a_cached_verdict_does_not_outlive_its_key() {
    let authority = Authority::new();
    let (old, new) = (Signer::ecdsa("old"), Signer::ecdsa("new"));
    let issuer = Issuer::start(&authority, &[&old]);
    let config = config(&issuer, &issuer.jwks()).replace("ttl = \"0s\"", "ttl = \"300s\"");
    let door = Door::start(Kind::Gateway, &config, &[authority.trusted()]);
    let claims = claims(&issuer.name());
    let token = old.token(&claims);
    assert_eq!((ask(&door, &token), ask(&door, &token)), (ada(), ada()));
    issuer.publish(&[&new]);
    assert_eq!(ask(&door, &new.token(&claims)), ada());
    assert_eq!(ask(&door, &token), Verdict::Unauthorized);
}

/// Repeats `look` until it is true; each look is a round trip of its own.
#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let due = Instant::now() + DEADLINE;
    while !look() {
        assert!(Instant::now() < due, "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn a_reload_reads_the_keys_or_changes_nothing() {
    let authority = Authority::new();
    let signer = Signer::ecdsa("known");
    let issuer = Issuer::start(&authority, &[&signer]);
    let config = |audience: &str| {
        let entry = entry(&issuer.name(), audience, "ES256", &issuer.jwks());
        door::setup(&format!("{UNCACHED}{entry}"), vec![authority.trusted()])
    };
    let mut setup = config("chat");
    setup.arguments.push("--watch".to_owned());
    let gateway = Gateway::start(&setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate does not start:\n{}", refused.stderr));
    let token = |audience: &str| {
        signer.token(&json!({
            "iss": issuer.name(), "aud": audience, "sub": "ada", "exp": EXPIRY,
        }))
    };
    let knock = |audience: &str| door::knock(&gateway, &Handshake::bearer(&token(audience)));
    assert_eq!((knock("chat"), knock("talk")), (ada(), Verdict::Unauthorized));
    gateway.rewrite("wsgate.toml", &config("talk").config);
    eventually("the new audience", || knock("talk") == ada());
    assert_eq!(knock("chat"), Verdict::Unauthorized);
    issuer.go_down();
    gateway.rewrite("wsgate.toml", &config("chat").config);
    eventually("a word about the keys", || gateway.stderr().contains(&issuer.jwks()));
    assert_eq!((knock("chat"), knock("talk")), (Verdict::Unauthorized, ada()));
}
