//! Parameters and secrets of AWS.

use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::EXPIRY;
use crate::harness::door::{Door, Handshake, Kind, Verdict};
use crate::harness::moto::Moto;
use crate::harness::runtime_api::Lambda;
use crate::harness::server::{Answer, Server};
use crate::harness::token;

/// Cookies, CSRF, one issuer; `hmac` and `csrf` are sources.
fn config(hmac: &str, csrf: &str) -> String {
    format!(
        "[authorizer]\norigins = [\"https://ui.example.com\"]\n\
         [[authorizer.issuers]]\nissuer = \"https://login.example.com\"\naudience = [\"chat\"]\n\
         algorithms = [\"HS256\"]\nkeys = [\"hmac:{hmac}\"]\n\
         [authorizer.csrf]\nsecret = \"{csrf}\"\n"
    )
}

/// A page's handshake with both cookies, signed with these secrets.
fn handshake(hmac: &str, csrf: &str) -> Handshake {
    let claims = json!({
        "iss": "https://login.example.com", "aud": "chat", "sub": "ada", "sid": "s",
        "exp": EXPIRY,
    });
    let (jwt, csrf) = (token::jwt(&claims, hmac), token::csrf("s", csrf));
    Handshake::default()
        .header("Origin", "https://ui.example.com")
        .header("Cookie", &format!("JWT={jwt}; CSRF-TOKEN={csrf}"))
        .query("csrf_token", &csrf)
}

fn ada() -> Verdict {
    Verdict::Allowed("ada".to_owned())
}

/// Asserts that `door` verifies with both secrets.
#[track_caller]
fn verifies(door: &Door, hmac: &str, csrf: &str) {
    assert_eq!(door.ask(&handshake(hmac, csrf)), ada());
    assert_eq!(door.ask(&handshake(&token::random_hex(), csrf)), Verdict::Unauthorized);
    assert_eq!(door.ask(&handshake(hmac, &token::random_hex())), Verdict::Denied);
}

#[test]
fn keys_come_from_parameters_and_secrets() {
    let Some(moto) = Moto::start() else { return };
    let (hmac, csrf) = (token::random_hex(), token::random_hex());
    moto.put_parameter("/chat/jwt", &hmac);
    moto.put_secret("chat/csrf", &csrf);
    moto.put_secret_bytes("chat/jwt", &STANDARD.encode(&hmac));
    for (of_hmac, of_csrf) in [
        ("ssm:/chat/jwt", "secretsmanager:chat/csrf"),
        ("secretsmanager:chat/jwt", "secretsmanager:chat/csrf"),
        ("ssm:/chat/jwt:1", "secretsmanager:chat/csrf"),
    ] {
        let door = Door::start(Kind::Lambda, &config(of_hmac, of_csrf), &moto.environment());
        verifies(&door, &hmac, &csrf);
    }
}

#[test]
fn the_configuration_itself_comes_from_a_parameter() {
    let Some(moto) = Moto::start() else { return };
    let (hmac, csrf) = (token::random_hex(), token::random_hex());
    moto.put_parameter("/chat/jwt", &hmac);
    moto.put_parameter("/chat/csrf", &csrf);
    moto.put_parameter("/chat/authorizer", &config("ssm:/chat/jwt", "ssm:/chat/csrf"));
    let mut environment = moto.environment();
    environment.push(("WSGATE_AUTHORIZER_SSM".to_owned(), "/chat/authorizer".to_owned()));
    let lambda = Lambda::start(&environment).unwrap();
    verifies(&Door::Lambda(lambda.into()), &hmac, &csrf);
    // Variables override the document.
    environment.push(("WSGATE_AUTHORIZER__PRINCIPAL_PREFIX".to_owned(), "chat:".to_owned()));
    let door = Door::Lambda(Lambda::start(&environment).unwrap().into());
    let prefixed = Verdict::Allowed("chat:ada".to_owned());
    assert_eq!(door.ask(&handshake(&hmac, &csrf)), prefixed);
}

#[test]
fn what_is_not_in_the_stores_is_named_all_at_once() {
    let Some(moto) = Moto::start() else { return };
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let refused = Door::try_start(Kind::Lambda, &config, &moto.environment()).unwrap_err().0;
    for words in [
        "authorizer.issuers[0].keys[0]: ssm:/chat/jwt does not exist",
        "authorizer.csrf.secret: secretsmanager:chat/csrf does not exist",
    ] {
        assert!(refused.contains(words), "{refused}");
    }
    let mut environment = moto.environment();
    environment.push(("WSGATE_AUTHORIZER_SSM".to_owned(), "/chat/none".to_owned()));
    let error = Lambda::start(&environment).err().unwrap();
    let message = error.body["errorMessage"].as_str().unwrap();
    assert_eq!(message, "WSGATE_AUTHORIZER_SSM: ssm:/chat/none does not exist");
}

#[test]
fn a_store_without_credentials_is_named_with_what_is_missing() {
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let refused = Door::try_start(Kind::Lambda, &config, &[]).unwrap_err().0;
    for words in ["AWS_ACCESS_KEY_ID is not set", "AWS_SECRET_ACCESS_KEY is not set"] {
        assert_eq!(refused.matches(words).count(), 2, "{refused}");
    }
}

#[test]
fn a_gateway_takes_secrets_from_its_parameters() {
    let (hmac, csrf) = (token::random_hex(), token::random_hex());
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let values = format!(
        "[parameters]\n\"/chat/jwt\" = \"{hmac}\"\n\
         \"/aws/reference/secretsmanager/chat/csrf\" = \"{csrf}\"\n"
    );
    let door = Door::start(Kind::Gateway, &format!("{config}{values}"), &[]);
    verifies(&door, &hmac, &csrf);
    let refused = Door::try_start(Kind::Gateway, &config, &[]).unwrap_err().0;
    for words in ["\"/chat/jwt\" = ", "\"/aws/reference/secretsmanager/chat/csrf\" = "] {
        assert!(refused.contains(words), "{refused}");
    }
}

/// Lets a gateway ask AWS.
const AMBIENT: &str = "[integrations]\ncredentials = \"environment\"\n";

/// `[integrations]` that names where both stores listen.
fn endpoints(url: &str) -> String {
    format!("{AMBIENT}endpoints = {{ ssm = \"{url}\", secretsmanager = \"{url}\" }}\n")
}

/// The variables of `environment` that do not say where a store listens.
fn without_endpoints(environment: &[(String, String)]) -> Vec<(String, String)> {
    let is_other = |(name, _): &&(String, String)| !name.starts_with("AWS_ENDPOINT_URL");
    environment.iter().filter(is_other).cloned().collect()
}

/// The variables that say that both stores listen at `url`.
fn listening_at(url: &str) -> [(String, String); 2] {
    ["AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_SECRETS_MANAGER"]
        .map(|name| (name.to_owned(), url.to_owned()))
}

fn region(name: &str) -> (String, String) {
    ("AWS_REGION".to_owned(), name.to_owned())
}

#[test]
fn a_gateway_with_credentials_reads_the_stores() {
    let Some(moto) = Moto::start() else { return };
    let (hmac, csrf) = (token::random_hex(), token::random_hex());
    moto.put_parameter("/chat/jwt", &hmac);
    moto.put_secret("chat/csrf", &csrf);
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let by_variables = moto.environment();
    let alone = without_endpoints(&by_variables);
    let nobody = Server::start(|_| Answer::json("{}"));
    let elsewhere = listening_at(&format!("http://{}", nobody.address));
    let by_configuration = endpoints(&moto.url());
    let here = region("us-east-1");
    for (integrations, environment) in [
        (AMBIENT, [by_variables.as_slice(), slice::from_ref(&here)].concat()),
        // The region of the function's own ARN.
        (AMBIENT, by_variables.clone()),
        (&by_configuration, [alone.as_slice(), slice::from_ref(&here)].concat()),
        (&by_configuration, [alone.as_slice(), &elsewhere].concat()),
    ] {
        let door = Door::start(Kind::Gateway, &format!("{config}{integrations}"), &environment);
        verifies(&door, &hmac, &csrf);
    }
    assert_eq!(nobody.connections(), 0, "the configuration goes first");
    let config = format!("{config}{by_configuration}");
    // There is nothing in other regions.
    let abroad = [alone.as_slice(), &[region("eu-central-1")]].concat();
    let refused = Door::try_start(Kind::Gateway, &config, &abroad).unwrap_err().0;
    for words in ["ssm:/chat/jwt does not exist", "secretsmanager:chat/csrf does not exist"] {
        assert!(refused.contains(words), "{refused}");
    }
    let refused = Door::try_start(Kind::Gateway, &config, &[here]).unwrap_err().0;
    for words in ["AWS_ACCESS_KEY_ID is not set", "AWS_SECRET_ACCESS_KEY is not set"] {
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn the_parameters_of_a_gateway_go_before_the_stores() {
    let Some(moto) = Moto::start() else { return };
    let (hmac, csrf) = (token::random_hex(), token::random_hex());
    moto.put_parameter("/chat/jwt", &token::random_hex());
    moto.put_secret("chat/csrf", &csrf);
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let values = format!("{AMBIENT}[parameters]\n\"/chat/jwt\" = \"{hmac}\"\n");
    let door = Door::start(Kind::Gateway, &format!("{config}{values}"), &moto.environment());
    verifies(&door, &hmac, &csrf);
}

#[test]
fn a_gateway_without_leave_asks_no_store_and_names_both_ways() {
    let store = Server::start(|_| Answer::json("{}"));
    let url = format!("http://{}", store.address);
    let mut environment = vec![region("us-east-1")];
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        environment.push((name.to_owned(), "AKIATEST".to_owned()));
    }
    environment.extend(listening_at(&url));
    let config = config("ssm:/chat/jwt", "secretsmanager:chat/csrf");
    let refused = Door::try_start(Kind::Gateway, &config, &environment).unwrap_err().0;
    for words in ["\"/chat/jwt\" = ", "\"/aws/reference/secretsmanager/chat/csrf\" = "] {
        assert!(refused.contains(words), "{refused}");
    }
    let way = "`[integrations] credentials = \"environment\"`";
    assert_eq!(refused.matches(way).count(), 2, "{refused}");
    // An address alone is no leave.
    let config = format!("{config}{}", endpoints(&url).replace("credentials", "# credentials"));
    let refused = Door::try_start(Kind::Gateway, &config, &environment).unwrap_err().0;
    assert_eq!(refused.matches(way).count(), 2, "{refused}");
    assert_eq!(store.connections(), 0);
}
