//! Functions of Node.js.

use lambda_host::Code;
use serde_json::{Value, json};

use crate::files::{File, folder, invoke, kind, outcome, program};
use crate::harness::record;

const OLD: &str = "nodejs20.x";
const NEW: &str = "nodejs24.x";

async fn answer(runtime: &str, source: &str) -> Result<Value, Value> {
    outcome(runtime, "index.handler", &[("index.js", source)]).await
}

#[track_caller]
fn check_error(result: Result<Value, Value>, error_type: &str, message: &str) {
    let error = result.unwrap_err();
    assert_eq!(kind(&error), (error_type, message), "{error}");
    let trace = error["trace"].as_array().unwrap();
    assert!(trace.iter().all(Value::is_string));
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_as_on_lambda() {
    let module = r#"{"type":"module"}"#;
    let cases: [(&str, &[File<'_>]); 9] = [
        ("index.handler", &[("index.js", "exports.handler = async () => 'here'")]),
        ("index.handler", &[("index.cjs", "module.exports = { handler: async () => 'here' }")]),
        (
            "index.handler",
            &[(
                "index.mjs",
                "const x = await Promise.resolve('here');\nexport const handler = async () => x",
            )],
        ),
        (
            "app.main",
            &[("package.json", module), ("app.js", "export const main = async () => 'here'")],
        ),
        ("src/app.run", &[("src/app.js", "exports.run = async () => 'here'")]),
        ("src/app.a.b", &[("src/app.js", "exports.a = { b: async () => 'here' }")]),
        ("dir.run", &[("dir/index.js", "exports.run = async () => 'here'")]),
        (
            "index.handler",
            &[
                ("index.js", "const y = require('y'); exports.handler = async () => y"),
                ("node_modules/y/index.js", "module.exports = 'here'"),
            ],
        ),
        ("mod.x", &[("node_modules/mod/index.js", "exports.x = async () => 'here'")]),
    ];
    for (handler, files) in cases {
        assert_eq!(outcome(OLD, handler, files).await, Ok(json!("here")), "{files:?}");
    }
    let default = [("index.mjs", "export default { handler: async () => 'here' }")];
    assert_eq!(outcome(NEW, "index.handler", &default).await, Ok(json!("here")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_way_to_answer_counts() {
    let cases = [
        ("async () => ({ a: 1 })", json!({ "a": 1 })),
        ("async () => {}", json!(null)),
        ("(event, context, callback) => callback(null, 1)", json!(1)),
        ("(event, context, callback) => { setTimeout(() => callback(null, 1), 1) }", json!(1)),
        ("(event, context) => context.succeed(1)", json!(1)),
        ("(event, context) => context.done(null, 1)", json!(1)),
        ("() => 1", json!(null)),
        ("() => {}", json!(null)),
        ("(e, c, callback) => { callback(null, 1); callback(null, 2) }", json!(1)),
        ("async (e, c, callback) => { callback(null, 1); return 2 }", json!(1)),
        ("async () => new Promise(() => {})", json!(null)),
        ("() => { throw undefined }", json!(null)),
        ("() => ({ then: (resolve) => resolve(1) })", json!(1)),
    ];
    for (handler, expected) in cases {
        let source = format!("exports.handler = {handler}");
        assert_eq!(answer(OLD, &source).await, Ok(expected), "{handler}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_waits_for_the_event_loop_unless_told() {
    let source = r#"
        exports.handler = (event, context, callback) => {
          if (event.now) context.callbackWaitsForEmptyEventLoop = false;
          const result = { ticks: 0 };
          setTimeout(() => { result.ticks += 1 }, 20);
          callback(null, result);
        };"#;
    let function = program(OLD, "index.handler", &[("index.js", source)], |_| {});
    assert_eq!(invoke(&function, json!({})).await, Ok(json!({ "ticks": 1 })));
    assert_eq!(invoke(&function, json!({ "now": true })).await, Ok(json!({ "ticks": 0 })));
    assert_eq!(invoke(&function, json!({})).await, Ok(json!({ "ticks": 1 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_24_on_a_handler_returns_and_has_no_callback() {
    assert_eq!(answer(NEW, "exports.handler = () => 1").await, Ok(json!(1)));
    let callback = answer(NEW, "exports.handler = (event, context, callback) => {}").await;
    let error = callback.unwrap_err();
    let (error_type, message) = kind(&error);
    assert_eq!(error_type, "Runtime.CallbackHandlerDeprecated");
    assert!(message.starts_with("ERROR: AWS Lambda has removed support for callback-based"));
    let members =
        "exports.handler = async (e, context) => ['done' in context, 'xRayTraceId' in context]";
    assert_eq!(answer(NEW, members).await, Ok(json!([false, true])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_has_lambdas_members() {
    let source = r#"
        exports.handler = async (event, context) => ({
          ...context,
          left: context.getRemainingTimeInMillis(),
          waits: context.callbackWaitsForEmptyEventLoop,
          trace: process.env._X_AMZN_TRACE_ID,
          settings: Object.keys(process.env).filter((name) => name.includes("WSGATE")),
        });"#;
    let function = program(OLD, "index.handler", &[("index.js", source)], |spec| {
        spec.name = "chat".to_owned();
        spec.arn = "arn:aws:lambda:us-east-1:000000000000:function:chat".to_owned();
        spec.memory_mb = 256;
    });
    let context = invoke(&function, json!({})).await.unwrap();
    assert_eq!(context["functionName"], "chat");
    assert_eq!(context["functionVersion"], "$LATEST");
    assert_eq!(
        context["invokedFunctionArn"],
        "arn:aws:lambda:us-east-1:000000000000:function:chat"
    );
    assert_eq!(context["memoryLimitInMB"], "256");
    assert_eq!(context["logGroupName"], "/aws/lambda/chat");
    assert!(context["logStreamName"].as_str().unwrap().contains("[$LATEST]"), "{context}");
    assert_eq!(context["awsRequestId"].as_str().unwrap().len(), 36);
    assert!((1..=60_000).contains(&context["left"].as_i64().unwrap()));
    assert_eq!(context["waits"], true);
    assert!(context["trace"].as_str().unwrap().starts_with("Root=1-"));
    assert_eq!(context["settings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_errors_are_told_as_on_lambda() {
    let cases = [
        ("async () => { throw new TypeError('no') }", "TypeError", "no"),
        ("() => { throw new TypeError('no') }", "TypeError", "no"),
        ("(e, c, callback) => callback(new RangeError('no'))", "RangeError", "no"),
        ("(e, c, callback) => callback('Unauthorized')", "string", "Unauthorized"),
        ("(e, context) => context.fail('no')", "string", "no"),
        ("(e, context) => context.fail()", "string", "handled"),
        ("async () => { throw 'Unauthorized' }", "string", "Unauthorized"),
        ("async () => { throw undefined }", "string", "handled"),
        ("async () => { throw 7 }", "number", "7"),
        ("async () => { throw { a: 1 } }", "object", "[object Object]"),
        ("async () => Promise.reject(new Error('a\\x7fb'))", "Error", "a%7Fb"),
        (
            "async () => { const a = {}; a.a = a; return a }",
            "Error",
            "Unable to stringify response body",
        ),
        ("async () => 1n", "Error", "Unable to stringify response body"),
        (
            "async () => { throw Object.create(null) }",
            "handled",
            "callback called with Error argument, but there was a problem while retrieving one or \
             more of its message, name, and stack",
        ),
        (
            "async () => { Promise.reject(new Error('lost')); await new Promise(() => {}) }",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
        (
            "async () => { setTimeout(() => { throw new Error('late') }); await new Promise(() => {}) }",
            "Error",
            "late",
        ),
        (
            "async () => { const e = new Error('no'); e.name = 'A\\r\\nX: 1\\r\\n\\r\\n'; throw e }",
            "A\r\nX: 1\r\n\r\n",
            "no",
        ),
    ];
    for (handler, error_type, message) in cases {
        let source = format!("exports.handler = {handler}");
        check_error(answer(OLD, &source).await, error_type, message);
    }
    let circular = "exports.handler = async () => 1n";
    let message = "Unable to stringify response body";
    check_error(answer(NEW, circular).await, "Runtime.JSONStringifyError", message);
    check_error(
        answer(NEW, "exports.handler = async () => { throw undefined }").await,
        "undefined",
        "undefined",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_told_as_on_lambda() {
    let cases: [(&str, &[File<'_>], &str, &str); 8] = [
        (
            "index.handler",
            &[("index.js", "")],
            "Runtime.HandlerNotFound",
            "index.handler is undefined or not exported",
        ),
        (
            "index.handler",
            &[("index.js", "exports.handler = 1")],
            "Runtime.HandlerNotFound",
            "index.handler is not a function",
        ),
        ("index", &[("index.js", "")], "Runtime.MalformedHandlerName", "Bad handler"),
        (
            "../index.handler",
            &[("index.js", "")],
            "Runtime.MalformedHandlerName",
            "'../index.handler' is not a valid handler name. Use absolute paths when specifying \
             root directories in handler names.",
        ),
        (
            "index.handler",
            &[("index.js", "exports.handler = {")],
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Unexpected end of input",
        ),
        (
            "index.handler",
            &[("index.js", "import fs from 'fs'; export const handler = async () => 1")],
            "Runtime.UserCodeSyntaxError",
            "SyntaxError: Cannot use import statement outside a module",
        ),
        ("index.handler", &[("index.js", "throw new Error('too early')")], "Error", "too early"),
        ("index.handler", &[("index.js", "throw 'too early'")], "string", "too early"),
    ];
    for (handler, files, error_type, message) in cases {
        check_error(outcome(OLD, handler, files).await, error_type, message);
    }
    let missing = outcome(OLD, "app.handler", &[("index.js", "")]).await.unwrap_err();
    let (error_type, message) = kind(&missing);
    assert_eq!(error_type, "Runtime.ImportModuleError");
    assert!(
        message.starts_with("Error: Cannot find module 'app'\nRequire stack:\n- "),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_sdk_is_told_with_what_to_install_and_where() {
    let sources = [
        ("index.js", "require('aws-sdk-none/x')", None),
        ("index.js", "require('aws-sdk/nonesuch')", Some("aws-sdk")),
        ("index.js", "require('@aws-sdk/nonesuch')", Some("@aws-sdk/nonesuch")),
        ("index.mjs", "import '@aws-sdk/nonesuch'", Some("@aws-sdk/nonesuch")),
        (
            "index.js",
            "exports.handler = async () => { await import('@aws-sdk/nonesuch/deep') }",
            Some("@aws-sdk/nonesuch"),
        ),
    ];
    for (file, source, package) in sources {
        let function = program(OLD, "index.handler", &[(file, source)], |_| {});
        let error = invoke(&function, json!({})).await.unwrap_err();
        let folder = function.code.path().canonicalize().unwrap();
        let hint = package.map(|package| {
            let folder = folder.display();
            format!("brings {package}; on this machine run `npm install {package}` in {folder}")
        });
        let (_, message) = kind(&error);
        match hint {
            Some(hint) => assert!(message.ends_with(&hint), "{message}"),
            None => assert!(!message.contains("npm install"), "{message}"),
        }
    }
    let inline = program(OLD, "index.handler", &[], |spec| {
        spec.code = Code::Inline("require('@aws-sdk/nonesuch')".to_owned());
    });
    let error = invoke(&inline, json!({})).await.unwrap_err();
    assert!(kind(&error).1.ends_with("or `npm install -g @aws-sdk/nonesuch`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_file_and_cause() {
    let source = "exports.handler = async () => {\n  throw new Error('broken') }";
    let function = program(OLD, "index.handler", &[("index.js", source)], |_| {});
    let name = function.spec().name.clone();
    invoke(&function, json!({})).await.unwrap_err();
    let line = &record(&name, "Invoke Error")["message"];
    assert!(line.contains("broken") && line.contains("index.js:2:"), "{line}");

    let source = "exports.handler = async () => 1;\nrequire('./nonesuch')";
    let function = program(OLD, "index.handler", &[("index.js", source)], |_| {});
    let name = function.spec().name.clone();
    invoke(&function, json!({})).await.unwrap_err();
    let line = &record(&name, "Init Error")["message"];
    assert!(
        line.contains("Cannot find module './nonesuch'") && line.contains("/index.js"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_come_from_the_function_then_its_layers() {
    let package = |name: &str, value: &str| {
        let folder = format!("nodejs/node_modules/{name}");
        let manifest = r#"{"name":"p","exports":{"import":"./a.mjs","require":"./a.cjs"}}"#;
        [
            (format!("{folder}/package.json"), manifest.to_owned()),
            (format!("{folder}/a.mjs"), format!("export default 'esm {value}'")),
            (format!("{folder}/a.cjs"), format!("module.exports = 'cjs {value}'")),
        ]
    };
    let layer = |packages: &[(&str, &str)]| {
        let files: Vec<_> =
            packages.iter().flat_map(|(name, value)| package(name, value)).collect();
        let files: Vec<_> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        folder(&files)
    };
    let one = layer(&[("shared", "one"), ("first", "one"), ("own", "one")]);
    let two = layer(&[("shared", "two")]);
    let layers = || vec![one.path().to_owned(), two.path().to_owned()];
    let own = ("node_modules/own/index.js", "module.exports = 'own'");

    let required =
        "exports.handler = async () => ['own', 'shared', 'first'].map((name) => require(name))";
    let function = program(OLD, "index.handler", &[("index.js", required), own], |spec| {
        spec.layers = layers();
    });
    assert_eq!(invoke(&function, json!({})).await, Ok(json!(["own", "cjs two", "cjs one"])));

    let imported = "import own from 'own'; import shared from 'shared'; import first from 'first';
        export const handler = async () => [own, shared, first, (await import('first')).default]";
    for runtime in [OLD, NEW] {
        let function = program(runtime, "index.handler", &[("index.mjs", imported), own], |spec| {
            spec.layers = layers();
        });
        assert_eq!(
            invoke(&function, json!({})).await,
            Ok(json!(["own", "esm two", "esm one", "esm one"]))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_response_arrives_as_one() {
    let source = r#"
        exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
          stream.write('"a');
          await new Promise((resolve) => setTimeout(resolve, 1));
          stream.write(Buffer.from(context.functionName.length > 0 ? "b" : "c"));
          if (event.open) return;
          stream.end('"');
        });"#;
    for runtime in [OLD, NEW] {
        let function = program(runtime, "index.handler", &[("index.js", source)], |_| {});
        assert_eq!(invoke(&function, json!({})).await, Ok(json!("ab")));
        let open = invoke(&function, json!({ "open": true })).await;
        check_error(open, "Error", "Response stream is not finished.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_size_and_text_go_both_ways() {
    let function = program(
        OLD,
        "index.handler",
        &[("index.js", "exports.handler = async (event) => event")],
        |_| {},
    );
    for event in [
        json!(null),
        json!("é😀\u{2028}"),
        json!("x".repeat(5_000_000)),
        json!("é".repeat(2_500_000)),
        json!([]),
    ] {
        assert!(invoke(&function, event.clone()).await == Ok(event));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_invocations_share_a_process_where_that_is_set() {
    // Each waits for the other three.
    let source = r#"
        const waiting = [];
        exports.handler = async (event, context) => {
          await new Promise((resolve) => {
            waiting.push(resolve);
            if (waiting.length === 4) for (const go of waiting) go();
          });
          return process.pid;
        };"#;
    let function = program(OLD, "index.handler", &[("index.js", source)], |spec| {
        spec.invocations_per_instance = 4;
        spec.instances_max = 1;
    });
    let calls = (0..4).map(|_| invoke(&function, json!({})));
    let [one, two, three, four] = calls.collect::<Vec<_>>().try_into().ok().unwrap();
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    assert!(one.is_ok() && one == two && two == three && three == four);
}
