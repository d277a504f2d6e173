//! Handshakes with a distinct token each, next to handshakes without a verdict.

use std::cell::RefCell;

use super::peer::Process;
use super::report::{ROUNDS, Report, Row};
use super::{NO_THROTTLE, OPEN, load, machine, template, token};

/// Connects of a row and round: all rounds stay within the ephemeral ports of
/// one address.
const CONNECTS: usize = 8000;

pub(crate) fn rows(report: &mut Report) {
    machine::use_one_core();
    let (jwt, csrf) = (token::random_hex(), token::random_hex());
    let secrets = [("BENCH_JWT", jwt.as_str()), ("BENCH_CSRF", csrf.as_str())];
    let bare = Process::peer("bare");
    let open = Process::gateway(&template::expand(OPEN), NO_THROTTLE, &[]);
    let source = "@builtin Auth\n@authorizer Guard Auth route.request.header.Cookie\n@route $connect - auth=Guard\n";
    let guarded = Process::gateway(
        &template::expand(source),
        &format!("{NO_THROTTLE}{AUTHORIZER}"),
        &secrets,
    );

    let plain = vec![load::handshake("/dev", ""); CONNECTS];
    // Made before any clock runs; each is used once.
    let fresh: Vec<Vec<Vec<u8>>> = (0..ROUNDS)
        .map(|round| (0..CONNECTS).map(|n| guest(round * CONNECTS + n, &jwt, &csrf)).collect())
        .collect();
    let fresh = RefCell::new(fresh);
    let (plain, fresh, bare, open, guarded) = (&plain, &fresh, &bare, &open, &guarded);
    report.table(
        "Connects",
        vec![
            Row::new("hyper and our framing", move || load::connects(bare, plain)),
            Row::new("the gateway, no authorizer", move || load::connects(open, plain)).per_cpu(0),
            Row::new("the gateway, cookie + CSRF + HS256", move || {
                let handshakes = fresh.borrow_mut().pop().expect("one set for each round");
                load::connects(guarded, &handshakes)
            })
            .per_cpu(0),
        ],
    );
}

/// The handshake of a guest that nobody has seen before.
fn guest(number: usize, jwt: &str, csrf: &str) -> Vec<u8> {
    let session = format!("s{number}");
    let claims = serde_json::json!({
        "iss": "https://login.example", "aud": "chat", "sub": format!("user-{number}"),
        "sid": session, "iat": 1_700_000_000_u64, "exp": 4_000_000_000_u64,
    });
    let value = token::csrf(&session, csrf);
    let token = token::jwt(&claims, jwt);
    load::handshake(
        &format!("/dev?csrf_token={value}"),
        &format!(
            "Origin: http://ui.wsgate.localhost\r\nCookie: JWT={token}; CSRF-TOKEN={value}\r\n"
        ),
    )
}

const AUTHORIZER: &str = r#"[authorizer]
origins = ["http://ui.wsgate.localhost"]
[[authorizer.issuers]]
issuer = "https://login.example"
audience = ["chat"]
algorithms = ["HS256"]
keys = ["hmac:env:BENCH_JWT"]
[authorizer.csrf]
mode = "signed"
secret = "env:BENCH_CSRF"
"#;
