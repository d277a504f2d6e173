//! Where code may be, and every form that a handler may have.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::{application, ask, open, start};
use crate::harness::tool::tool;

/// Properties of a function, and the answer that shows that it runs.
struct Case {
    name: &'static str,
    runtime: &'static str,
    handler: &'static str,
    /// `Code` of the template, in JSON.
    code: &'static str,
    answer: &'static str,
}

const NODE: &str = "nodejs22.x";
const PYTHON: &str = "python3.12";

const fn case(
    name: &'static str,
    runtime: &'static str,
    handler: &'static str,
    code: &'static str,
    answer: &'static str,
) -> Case {
    Case { name, runtime, handler, code, answer }
}

const CASES: [Case; 11] = [
    case(
        "InlineJs",
        NODE,
        "index.handler",
        r#"{"ZipFile":"exports.handler = async () => ({ statusCode: 200, body: 'inline' });"}"#,
        "inline",
    ),
    case(
        "InlinePy",
        PYTHON,
        "index.handler",
        r#"{"ZipFile":"def handler(event, context):\n    return {'statusCode': 200, 'body': 'inline'}"}"#,
        "inline",
    ),
    case("Callback", NODE, "callback.handler", r#""code/""#, "called back"),
    case("Deep", NODE, "lib/deep.handlers.one", r#""code/""#, "deep"),
    case("Module", NODE, "module.handler", r#""code/""#, "a module that waited"),
    case("Package", NODE, "package/index.handler", r#""code/""#, "type: module"),
    case("DeepPy", PYTHON, "pack.app.handler", r#""code/""#, "deep"),
    case("SlashPy", PYTHON, "pack/app.handler", r#""code/""#, "deep"),
    case("ZipPy", PYTHON, "app.handler", r#""code.zip""#, "zipped"),
    case("LayerJs", NODE, "layered.handler", r#""code/""#, "a layer's hello"),
    case("LayerPy", PYTHON, "layered.handler", r#""code/""#, "a layer's hello"),
];

const FILES: [(&str, &str); 9] = [
    (
        "code/callback.js",
        "exports.handler = (event, context, callback) => {\n  \
         setImmediate(() => callback(null, { statusCode: 200, body: 'called back' }));\n};\n",
    ),
    (
        "code/lib/deep.js",
        "exports.handlers = { one: async () => ({ statusCode: 200, body: 'deep' }) };\n",
    ),
    (
        "code/module.mjs",
        "const waited = await new Promise((done) => setImmediate(done, 'waited'));\n\
         export const handler = async () => ({ statusCode: 200, body: `a module that ${waited}` });\n",
    ),
    ("code/package/package.json", r#"{"type":"module"}"#),
    (
        "code/package/index.js",
        "export const handler = async () => ({ statusCode: 200, body: 'type: module' });\n",
    ),
    (
        "code/pack/app.py",
        "def handler(event, context):\n    return {'statusCode': 200, 'body': 'deep'}\n",
    ),
    (
        "code/layered.js",
        "const { hello } = require('greeting');\n\
         exports.handler = async () => ({ statusCode: 200, body: hello });\n",
    ),
    (
        "code/layered.py",
        "import greeting\n\ndef handler(event, context):\n    \
         return {'statusCode': 200, 'body': greeting.hello}\n",
    ),
    ("layer/python/greeting.py", "hello = \"a layer's hello\"\n"),
];

/// The layer's other half.
const LAYER: (&str, &str) =
    ("layer/nodejs/node_modules/greeting/index.js", "exports.hello = \"a layer's hello\";\n");

#[test]
fn code_runs_from_text_folders_zips_and_layers() {
    let mut source = String::new();
    for Case { name, runtime, handler, code, .. } in CASES {
        let code: serde_json::Value = serde_json::from_str(code).unwrap();
        let mut properties = json!({ "Runtime": runtime, "Handler": handler, "Code": code });
        if name.starts_with("Layer") {
            properties["Layers"] = json!([{ "Ref": "Greeting" }]);
        }
        source += &format!("@function {name} {properties}\n@route {name} {name} two-way\n");
    }
    source += "  Greeting:\n    Type: AWS::Serverless::LayerVersion\n    Properties:\n      \
               ContentUri: layer/\n";
    let files: Vec<(&str, &str)> = FILES.into_iter().chain([LAYER]).collect();
    let Some(mut setup) = application(&source, &files) else { return };
    let text = &mut setup.templates[0].1;
    *text = text.replacen("Resources:", "Transform: AWS::Serverless-2016-10-31\nResources:", 1);
    let Some(python) = tool("python3", "PYTHON") else { return };
    let zipped = TempDir::new().unwrap();
    let code = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'zipped'}\n";
    std::fs::write(zipped.path().join("app.py"), code).unwrap();
    let mut zip = Command::new(python);
    zip.args(["-m", "zipfile", "-c", "code.zip", "app.py"]).current_dir(zipped.path());
    assert!(zip.status().unwrap().success());
    setup.links.push(("code.zip".to_owned(), zipped.path().join("code.zip")));

    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    for Case { name, answer, .. } in CASES {
        let message = json!({ "action": name }).to_string();
        assert_eq!(ask(&gateway, &mut client, &message), answer, "{name}\n{}", gateway.stderr());
    }
}

#[test]
fn an_alias_and_a_version_are_the_function() {
    let uri = |qualified: &str| {
        json!({
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": { "Fn::Sub": format!(
                "arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{qualified}/invocations"
            ) },
        })
    };
    let source = format!(
        r#"@function Worker {{"Runtime":"nodejs22.x","Handler":"app.handler"}}
@integration ByAlias {}
@integration ByVersion {}
@route alias ByAlias two-way
@route version ByVersion two-way
  Version:
    Type: AWS::Lambda::Version
    Properties: {{ FunctionName: !Ref Worker }}
  Live:
    Type: AWS::Lambda::Alias
    Properties: {{ FunctionName: !Ref Worker, FunctionVersion: !GetAtt Version.Version, Name: live }}
  AliasPermission:
    Type: AWS::Lambda::Permission
    Properties: {{ Action: lambda:InvokeFunction, FunctionName: !Ref Live, Principal: apigateway.amazonaws.com }}
  VersionPermission:
    Type: AWS::Lambda::Permission
    Properties: {{ Action: lambda:InvokeFunction, FunctionName: !Ref Version, Principal: apigateway.amazonaws.com }}
"#,
        uri("${Live}"),
        uri("${Version}")
    );
    let code = "exports.handler = async () => ({ statusCode: 200, body: 'here' });\n";
    let Some(setup) = application(&source, &[("src/app.js", code)]) else { return };
    let gateway = start(&setup);
    let mut client = open(&gateway, "/dev");
    for action in ["alias", "version"] {
        let message = json!({ "action": action }).to_string();
        assert_eq!(ask(&gateway, &mut client, &message), "here", "{action}");
    }
}
