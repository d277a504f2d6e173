//! Functions of Python.

use serde_json::{Value, json};

use crate::files::{folder, invoke, kind, outcome, program};
use crate::harness::record;

const RUNTIME: &str = "python3.12";

async fn answer(source: &str) -> Result<Value, Value> {
    outcome(RUNTIME, "app.handler", &[("app.py", source)]).await
}

#[track_caller]
fn check_error(result: Result<Value, Value>, error_type: &str, message: &str) -> Value {
    let error = result.unwrap_err();
    assert_eq!(kind(&error), (error_type, message), "{error}");
    assert!(error["stackTrace"].is_array() && error["requestId"].is_string(), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_are_found_as_on_lambda() {
    let source = "def run(event, context): return 'here'";
    let cases = [
        ("app.run", "app.py"),
        ("src/app.run", "src/app.py"),
        ("src.app.run", "src/app.py"),
        ("src/deep/app.run", "src/deep/app.py"),
    ];
    for (handler, file) in cases {
        assert_eq!(outcome(RUNTIME, handler, &[(file, source)]).await, Ok(json!("here")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_become_json_as_on_lambda() {
    let cases = [
        ("{'a': [1, 2.5, None, True]}", json!({ "a": [1, 2.5, null, true] })),
        ("None", json!(null)),
        ("'é\\u2028'", json!("é\u{2028}")),
        (
            "{'d': Decimal('1.10'), 'e': [Decimal('3'), Decimal('3')]}",
            json!({ "d": 1.10, "e": [3, 3] }),
        ),
        ("{'b': b'abc'}", json!({ "b": "abc" })),
        ("b'{\"raw\": 1}'", json!({ "raw": 1 })),
    ];
    for (result, expected) in cases {
        let source =
            format!("from decimal import Decimal\ndef handler(event, context): return {result}");
        assert_eq!(answer(&source).await, Ok(expected), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_has_lambdas_members() {
    let source = r#"
import os
def handler(event, context):
    return {
        "name": context.function_name, "version": context.function_version,
        "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
        "group": context.log_group_name, "stream": context.log_stream_name,
        "request": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
        "identity": context.identity.cognito_identity_id, "client": context.client_context,
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "settings": [name for name in os.environ if "WSGATE" in name],
        "cwd": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
    }"#;
    let function = program(RUNTIME, "app.handler", &[("app.py", source)], |spec| {
        spec.name = "chat".to_owned();
        spec.arn = "arn:aws:lambda:us-east-1:000000000000:function:chat".to_owned();
        spec.memory_mb = 256;
    });
    let context = invoke(&function, json!({})).await.unwrap();
    assert_eq!(context["name"], "chat");
    assert_eq!(context["version"], "$LATEST");
    assert_eq!(context["arn"], "arn:aws:lambda:us-east-1:000000000000:function:chat");
    assert_eq!(context["memory"], "256");
    assert_eq!(context["group"], "/aws/lambda/chat");
    assert!(context["stream"].as_str().unwrap().contains("[$LATEST]"));
    assert_eq!(context["request"].as_str().unwrap().len(), 36);
    assert!((1..=60_000).contains(&context["left"].as_i64().unwrap()));
    assert_eq!((&context["identity"], &context["client"]), (&Value::Null, &Value::Null));
    assert!(context["trace"].as_str().unwrap().starts_with("Root=1-"));
    assert_eq!((&context["settings"], &context["cwd"]), (&json!([]), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn raised_errors_are_told_as_on_lambda() {
    let source =
        "def inner():\n    raise ValueError('no')\ndef handler(event, context):\n    inner()\n";
    let error = check_error(answer(source).await, "ValueError", "no");
    let trace = error["stackTrace"].as_array().unwrap();
    assert_eq!(trace.len(), 2, "the shim's own frames are not in it: {error}");
    assert!(trace[0].as_str().unwrap().ends_with("app.py\", line 4, in handler\n    inner()\n"));

    let cases = [
        ("raise Exception('Unauthorized')", "Exception", "Unauthorized"),
        ("raise KeyError('k')", "KeyError", "'k'"),
        ("raise type('Own\\r\\nX', (Exception,), {})('no')", "Own\r\nX", "no"),
        (
            "return {1, 2}",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
        (
            "a = []; a.append(a); return a",
            "Runtime.MarshalError",
            "Unable to marshal response: Circular reference detected",
        ),
        (
            "return {(1, 2): 3}",
            "Runtime.MarshalError",
            "Unable to marshal response: keys must be str, int, float, bool or None, not tuple",
        ),
    ];
    for (body, error_type, message) in cases {
        let source = format!("def handler(event, context):\n    {body}");
        check_error(answer(&source).await, error_type, message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_loaded_is_told_as_on_lambda() {
    let cases = [
        (
            "nope.handler",
            "",
            "Runtime.ImportModuleError",
            "Unable to import module 'nope': No module named 'nope'",
        ),
        (
            "app.handler",
            "import nonesuch",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nonesuch'",
        ),
        ("app.handler", "", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        (
            "app",
            "",
            "Runtime.MalformedHandlerName",
            "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "sys.exit",
            "",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
        (
            "app.handler",
            "def handler(:\n",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': invalid syntax (app.py, line 1)",
        ),
        ("app.handler", "raise RuntimeError('too early')", "RuntimeError", "too early"),
    ];
    for (handler, source, error_type, message) in cases {
        check_error(outcome(RUNTIME, handler, &[("app.py", source)]).await, error_type, message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_ends_the_process() {
    for source in
        ["import sys\ndef handler(event, context): sys.exit(4)", "import sys\nsys.exit(4)"]
    {
        let error = answer(source).await.unwrap_err();
        assert!(kind(&error).1.ends_with("exit status 4"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_sdk_is_told_with_what_to_install_and_where() {
    // What the machine has is hidden behind a folder that has it not.
    let source = "import sys\nsys.modules['boto3'] = None\nimport boto3";
    let function = program(RUNTIME, "app.handler", &[("app.py", source)], |_| {});
    let error = invoke(&function, json!({})).await.unwrap_err();
    let folder = function.code.path().canonicalize().unwrap();
    let (error_type, message) = kind(&error);
    assert_eq!(error_type, "Runtime.ImportModuleError");
    let hint = format!("-m pip install boto3 -t {}`", folder.display());
    assert!(
        message.contains("brings boto3; on this machine run `") && message.ends_with(&hint),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_set_up_and_names_file_and_cause() {
    let source = "
import logging
logging.getLogger().setLevel('INFO')
def handler(event, context):
    logging.info('told %s', 1)
    logging.debug('not told')
    print('plain', end='')
    raise ValueError('broken')";
    let function = program(RUNTIME, "app.handler", &[("app.py", source)], |_| {});
    let name = function.spec().name.clone();
    invoke(&function, json!({})).await.unwrap_err();
    let line = &record(&name, "[INFO]")["message"];
    assert!(line.ends_with("Z\t") || line.ends_with("\ttold 1"), "{line}");
    let line = &record(&name, "plain")["message"];
    assert!(
        line.contains("[ERROR] ValueError: broken") && line.contains("app.py\", line 8"),
        "{line}"
    );
    assert!(
        !crate::harness::records(&name).iter().any(|record| record["message"].contains("not told"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_come_from_the_function_then_its_layers() {
    let one = folder(&[
        ("python/shared.py", "x = 'one'"),
        ("python/first.py", "x = 'one'"),
        ("python/own.py", "x = 'one'"),
    ]);
    let two = folder(&[
        ("python/shared.py", "x = 'two'"),
        ("python/lib/python3.12/site-packages/site.py", ""),
        ("python/lib/python3.12/site-packages/deep.py", "x = 'deep'"),
    ]);
    let source = "import own, shared, first, deep, json\n\
        def handler(event, context): return [own.x, shared.x, first.x, deep.x]";
    let function =
        program(RUNTIME, "app.handler", &[("app.py", source), ("own.py", "x = 'own'")], |spec| {
            spec.layers = vec![one.path().to_owned(), two.path().to_owned()];
        });
    assert_eq!(invoke(&function, json!({})).await, Ok(json!(["own", "two", "one", "deep"])));
    assert!(!function.code.path().join("__pycache__").exists(), "the folder stays as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_size_and_text_go_both_ways() {
    let source = "def handler(event, context): return event";
    let function = program(RUNTIME, "app.handler", &[("app.py", source)], |_| {});
    for event in [json!(null), json!("é😀\u{2028}"), json!("x".repeat(5_000_000)), json!([])] {
        assert!(invoke(&function, event.clone()).await == Ok(event));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_invocations_share_a_process_where_that_is_set() {
    let source = "
import os, threading
barrier = threading.Barrier(4, timeout=60)
def handler(event, context):
    barrier.wait()
    return os.getpid()";
    let function = program(RUNTIME, "app.handler", &[("app.py", source)], |spec| {
        spec.invocations_per_instance = 4;
        spec.instances_max = 1;
    });
    let calls = (0..4).map(|_| invoke(&function, json!({})));
    let [one, two, three, four] = calls.collect::<Vec<_>>().try_into().ok().unwrap();
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    assert!(one.is_ok() && one == two && two == three && three == four);
}
