//! What build tools write, served as it stands: `cdk.out` of the AWS CDK, `.serverless` of the
//! Serverless Framework.

use std::path::Path;

use super::{UNTHROTTLED, ask, interpreters, path_to, start};
use crate::harness::gateway::{Gateway, Setup};
use crate::harness::http::Wire;
use crate::harness::ws::Client;

/// The identity source of both.
const COOKIE: Option<(&str, &str)> = Some(("Cookie", "who=me"));

/// Serves output of the real tool.
#[track_caller]
fn serve(fixture: &str) -> Option<Gateway> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/assembly").join(fixture);
    let setup = Setup {
        config: UNTHROTTLED.to_owned(),
        arguments: vec![folder.to_str().expect("a path in UTF-8").to_owned()],
        environment: vec![path_to(&interpreters()?)],
        ..Setup::default()
    };
    Some(start(&setup))
}

/// Connects with what the function that guards the door wants to see.
#[track_caller]
fn open(gateway: &Gateway, header: Option<(&str, &str)>) -> (u16, Option<Client>) {
    let wire = Wire::connect(gateway.listen).unwrap();
    let headers: Vec<(String, String)> =
        header.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let (answer, client) = Client::open_over(wire, gateway.listen, "/dev", &headers).unwrap();
    (answer.status(), client)
}

#[test]
fn the_cdks_output_runs_with_layer_authorizer_and_code() {
    for fixture in ["cdk-stacks", "cdk-stage", "cdk-legacy"] {
        let Some(gateway) = serve(fixture) else { return };
        assert_eq!(open(&gateway, None).0, 401, "{fixture}");
        let (status, client) = open(&gateway, COOKIE);
        assert_eq!(status, 101, "{fixture}\n{}", gateway.stderr());
        let mut client = client.unwrap();
        let message = r#"{"action":"sendMessage"}"#;
        assert_eq!(ask(&gateway, &mut client, message), format!("hello {message}"), "{fixture}");
    }
}

#[test]
fn the_serverless_frameworks_output_runs_from_its_archive() {
    let Some(gateway) = serve("serverless/.serverless") else { return };
    assert_eq!(open(&gateway, None).0, 401);
    let (status, client) = open(&gateway, COOKIE);
    assert_eq!(status, 101, "{}", gateway.stderr());
    let mut client = client.unwrap();
    assert_eq!(ask(&gateway, &mut client, "hello"), "hello");
}
