//! The contract of `wsgate serve`: ready line, exit codes, where text goes.

use std::sync::Arc;

use serde_json::Value;

use crate::harness::gateway::{Gateway, Refused, Setup, run};
use crate::harness::http::Wire;
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::ws::Client;

fn setup(template: &str, config: &str) -> Setup {
    Setup {
        templates: vec![("chat-dev.yaml".to_owned(), template.to_owned())],
        config: config.to_owned(),
        ..Setup::default()
    }
}

/// An API that answers every message by itself.
fn mock() -> String {
    template::expand("@integration Mock {\"IntegrationType\":\"MOCK\"}\n@route $default Mock\n")
        .text
}

fn start(setup: &Setup) -> Gateway {
    Gateway::start(setup, Arc::new(Secrets::default()))
        .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr))
}

#[track_caller]
fn refused(setup: &Setup) -> Refused {
    match Gateway::start(setup, Arc::new(Secrets::default())) {
        Ok(gateway) => panic!("wsgate started: {}", gateway.ready),
        Err(refused) => refused,
    }
}

#[test]
fn the_ready_line_says_where_everything_is() {
    let mut gateway = start(&setup(&mock(), ""));
    let listen = gateway.listen.to_string();
    assert_eq!(gateway.ready["ready"], true);
    let api = &gateway.ready["apis"][0];
    assert_eq!(api["apiId"], "a1b2c3d4e5");
    assert_eq!(api["logicalId"], "Api");
    assert_eq!(api["stage"], "dev");
    assert_eq!(api["url"], format!("ws://{listen}/dev"));
    assert_eq!(api["endpoint"], format!("http://{listen}/dev"));
    assert_eq!(api["domains"], serde_json::json!([]));
    assert_eq!(gateway.ready["apis"].as_array().unwrap().len(), 1);
    let ended = gateway.stop().unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn api_ids_survive_a_restart_and_differ_between_apis() {
    let own_id = mock().replace("wsgate:api-id", "other");
    let first = start(&setup(&own_id, "")).ready["apis"][0]["apiId"].clone();
    let second = start(&setup(&own_id, "")).ready["apis"][0]["apiId"].clone();
    assert_eq!(first, second);
    let text = first.as_str().unwrap();
    assert_eq!(text.len(), 10);
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{text}");
    let mut elsewhere = setup(&own_id, "");
    elsewhere.arguments = vec!["--stack-name".to_owned(), "other".to_owned()];
    assert_ne!(start(&elsewhere).ready["apis"][0]["apiId"], first);
}

#[test]
fn every_stage_has_its_entry() {
    let two = template::expand(
        "@integration Mock {\"IntegrationType\":\"MOCK\"}\n@route $default Mock\n@stage other\n",
    );
    let gateway = start(&setup(&two.text, ""));
    let mut stages: Vec<_> = gateway.ready["apis"]
        .as_array()
        .unwrap()
        .iter()
        .map(|api| api["stage"].as_str().unwrap())
        .collect();
    stages.sort_unstable();
    assert_eq!(stages, ["dev", "other"]);
}

#[test]
fn a_template_error_shows_its_place_and_nothing_listens() {
    let broken = format!(
        "{}  Broken:\n    Type: AWS::ApiGatewayV2::Route\n    Properties:\n      ApiId: !Ref Nowhere\n      RouteKey: x\n",
        mock()
    );
    let refused = refused(&setup(&broken, ""));
    assert_eq!(refused.code, Some(3));
    for part in ["chat-dev.yaml", "Broken", "Nowhere", "!Ref Nowhere"] {
        assert!(refused.stderr.contains(part), "no {part} in:\n{}", refused.stderr);
    }
}

#[test]
fn all_template_errors_are_shown_at_once() {
    let broken = format!(
        "{}  One:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: {{ ApiId: !Ref Lost, RouteKey: x }}\n  Two:\n    Type: AWS::ApiGatewayV2::Route\n    Properties: {{ ApiId: !Ref Api }}\n",
        mock()
    );
    let refused = refused(&setup(&broken, ""));
    assert_eq!(refused.code, Some(3));
    for part in ["Lost", "RouteKey"] {
        assert!(refused.stderr.contains(part), "no {part} in:\n{}", refused.stderr);
    }
}

#[test]
fn an_unknown_setting_is_refused_with_its_name() {
    let refused = refused(&setup(&mock(), "[limits]\nframes = 1\n"));
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("frames"), "{}", refused.stderr);
    assert!(refused.stderr.contains("wsgate.toml"), "{}", refused.stderr);
}

#[test]
fn an_authorizer_without_code_is_refused() {
    let guarded = template::expand(
        "@lambda Auth\n@authorizer Guard Auth\n@integration Mock {\"IntegrationType\":\"MOCK\"}\n@route $connect Mock auth=Guard\n",
    );
    let refused = refused(&setup(&guarded.text, ""));
    assert_eq!(refused.code, Some(3));
    for part in ["Auth", "builtin", "url"] {
        assert!(refused.stderr.contains(part), "no {part} in:\n{}", refused.stderr);
    }
}

#[test]
fn a_public_address_needs_a_certificate() {
    let mut public = setup(&mock(), "");
    public.arguments = vec!["--listen".to_owned(), "0.0.0.0:0".to_owned()];
    assert_eq!(refused(&public).code, Some(3));
}

#[test]
fn usage_errors_are_2_and_on_stderr() {
    for arguments in [["serve"].as_slice(), &["serve", "--no-such-flag"], &["no-such-verb"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    for argument in ["--help", "--version"] {
        let output = run(&[argument], &[("NO_COLOR", "1")]);
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(output.stderr.is_empty(), "{argument}");
        assert!(!output.stdout.contains(&0x1b), "{argument} has colour outside a terminal");
    }
}

#[test]
fn a_missing_template_is_named() {
    let output = run(&["serve", "no-such-template.yaml"], &[]);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no-such-template.yaml"), "{said}");
}

#[test]
fn the_search_for_secrets_sees_what_a_gateway_says() {
    // A folder name is said aloud by an error; here it plays the secret.
    let secrets = Arc::new(Secrets::default());
    let planted = secrets.register("planted", "9f8e7d6c-planted-secret");
    let broken =
        mock().replace("IntegrationType\":\"MOCK", &format!("IntegrationType\":\"{planted}"));
    let Err(refused) = Gateway::start(&setup(&broken, ""), Arc::clone(&secrets)) else {
        panic!("wsgate started with an unknown integration type");
    };
    secrets.capture("stderr", &refused.stderr);
    assert_eq!(secrets.leaks(), ["planted is readable in stderr"]);
}

#[test]
fn a_stopped_gateway_listens_no_more() {
    let mut gateway = start(&setup(&mock(), ""));
    let listen = gateway.listen;
    drop(Wire::connect(listen).unwrap());
    assert_eq!(gateway.stop().unwrap().code(), Some(0));
    assert!(Wire::connect(listen).is_err());
}

#[test]
fn refusals_say_when_who_and_why_newest_first() {
    let gateway = start(&setup(&mock(), ""));
    for target in ["/nope?attempt=one%21", "/nope?attempt=two", "/nope"] {
        assert!(Client::open(gateway.listen, target, &[]).unwrap().1.is_none());
    }
    let list = |target: &str| -> Value {
        let answer = gateway.ask_admin(target);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        serde_json::from_slice(&answer.body).unwrap()
    };
    let all = list("/refusals");
    let attempts: Vec<&Value> = all.as_array().unwrap().iter().map(|row| &row["attempt"]).collect();
    assert_eq!(attempts, [&Value::Null, &Value::from("two"), &Value::from("one!")]);
    let one = list("/refusals?attempt=one%21");
    assert_eq!(one.as_array().unwrap().len(), 1);
    let row = &one[0];
    assert_eq!(row["status"], 403);
    assert_eq!(row["code"], "address_unknown");
    assert_eq!(row["host"], gateway.listen.to_string());
    assert!(row["rule"].as_str().is_some_and(|rule| !rule.is_empty()), "{row}");
    assert!(row["path"].as_array().is_some_and(|path| !path.is_empty()), "{row}");
    assert!(row["requestId"].as_str().is_some_and(|id| id.len() == 16), "{row}");
    // Milliseconds since 1970.
    assert!(row["time"].as_u64().is_some_and(|time| 1_700_000_000_000 < time), "{row}");
    assert_eq!(list("/refusals?attempt=three"), Value::Array(Vec::new()));
}
