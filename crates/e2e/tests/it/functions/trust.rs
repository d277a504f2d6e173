//! Whose certificates functions believe: the machine's authorities and the gateway's, no others.

use super::{application, ask, open, start};
use crate::harness::gateway::Setup;
use crate::harness::https::Authority;
use crate::harness::server::Answer;

/// Fetches the address that a message holds.
const JAVASCRIPT: &str = "
exports.handler = async ({ body }) => {
  try {
    return { statusCode: 200, body: await (await fetch(body)).text() };
  } catch (error) {
    return { statusCode: 200, body: `refused: ${error.cause?.code ?? error}` };
  }
};
";

const PYTHON: &str = "
import urllib.request

def handler(event, context):
    try:
        with urllib.request.urlopen(event['body']) as answer:
            return {'statusCode': 200, 'body': answer.read().decode()}
    except OSError as error:
        return {'statusCode': 200, 'body': f'refused: {error}'}
";

#[track_caller]
fn check(runtime: &str, file: &str, code: &str) {
    let source = format!(
        "@function Worker {{\"Runtime\":\"{runtime}\",\"Handler\":\"app.handler\"}}\n\
         @route $default Worker two-way\n"
    );
    let Some(mut setup) = application(&source, &[(file, code)]) else { return };
    // This is where a machine keeps its roots, as far as programs ask.
    let machine = Authority::new();
    setup.environment.push(machine.trusted());
    let stranger = Authority::new();
    let hello = |_: &_| Answer::json("hello");
    let (known, unknown) = (machine.serve("localhost", hello), stranger.serve("localhost", hello));
    let gateway = start(&Setup { ..setup });
    let mut client = open(&gateway, "/dev");
    let address = |port: u16| format!("https://localhost:{port}/");
    let answer = ask(&gateway, &mut client, &address(known.address.port()));
    assert_eq!(answer, "hello", "a service of the machine's authorities\n{}", gateway.stderr());
    let answer = ask(&gateway, &mut client, &address(unknown.address.port()));
    assert!(answer.starts_with("refused: "), "{answer}");
    assert!(answer.to_lowercase().contains("cert") || answer.contains("ISSUER"), "{answer}");
    // The gateway itself, by a name of its certificate.
    let answer = ask(&gateway, &mut client, &format!("https://{}/dev", gateway.listen));
    assert!(!answer.to_lowercase().contains("cert"), "{answer}");
}

#[test]
fn javascript_believes_the_machine_and_no_stranger() {
    check("nodejs22.x", "src/app.js", JAVASCRIPT);
}

#[test]
fn python_believes_the_machine_and_no_stranger() {
    check("python3.12", "src/app.py", PYTHON);
}
