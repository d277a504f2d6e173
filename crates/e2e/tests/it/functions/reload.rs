//! `--watch` and code: the next invocation runs what the file says now, open sockets stay.

use super::{application, ask, eventually, open, start};

const SOURCE: &str = "@function Worker {\"Runtime\":\"RUNTIME\",\"Handler\":\"app.handler\"}\n\
                      @route $default Worker two-way\n";

#[track_caller]
fn check(runtime: &str, file: &str, code: &str, broken: &str) {
    let code = |answer: &str| code.replace("ANSWER", answer);
    let source = SOURCE.replace("RUNTIME", runtime);
    let Some(mut setup) = application(&source, &[(file, &code("one"))]) else { return };
    setup.arguments = vec!["--watch".to_owned()];
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    assert_eq!(ask(&gateway, &mut client, "x"), "one");
    gateway.rewrite(file, &code("two"));
    eventually(&gateway, "the new code", || ask(&gateway, &mut client, "x") == "two");
    gateway.rewrite(file, broken);
    eventually(&gateway, "the error", || ask(&gateway, &mut client, "x").contains("Internal"));
    gateway.rewrite(file, &code("three"));
    eventually(&gateway, "the mended code", || ask(&gateway, &mut client, "x") == "three");
}

#[test]
fn javascript_is_read_again() {
    let code = "exports.handler = async () => ({ statusCode: 200, body: 'ANSWER' });\n";
    check("nodejs22.x", "src/app.js", code, "exports.handler = (\n");
}

#[test]
fn python_is_read_again() {
    let code = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ANSWER'}\n";
    check("python3.12", "src/app.py", code, "def handler(:\n");
}

/// What a handler imports is code as well.
#[test]
fn a_file_that_is_only_imported_counts() {
    let source = SOURCE.replace("RUNTIME", "nodejs22.x");
    let text = |answer: &str| format!("export const answer = '{answer}';\n");
    let handler = "import { answer } from './deep/answer.mjs';\n\
                   export const handler = async () => ({ statusCode: 200, body: answer });\n";
    let files = [("src/app.mjs", handler), ("src/deep/answer.mjs", &text("one"))];
    let Some(mut setup) = application(&source, &files) else { return };
    setup.arguments = vec!["--watch".to_owned()];
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    assert_eq!(ask(&gateway, &mut client, "x"), "one");
    gateway.rewrite("src/deep/answer.mjs", &text("two"));
    eventually(&gateway, "the new answer", || ask(&gateway, &mut client, "x") == "two");
}
