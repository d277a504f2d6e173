//! Stacks: several in one gateway; and those that we ship, which would deploy as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::harness::gateway::{Gateway, Refused, Setup};
use crate::harness::secrets::Secrets;
use crate::harness::template;
use crate::harness::tool::tool;
use crate::harness::ws::{Client, Incoming};

#[test]
fn the_shipped_stacks_pass_the_linter_without_a_word() {
    lint(&[templates("demo/aws"), templates("deploy/aws")].concat());
}

/// Has the linter read templates; skipped when the caller leaves it out.
#[track_caller]
pub(crate) fn lint(files: &[PathBuf]) {
    let Some(linter) = tool("cfn-lint", "CFN_LINT") else { return };
    let output = Command::new(linter).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.trim().is_empty(), "{said}{complained}");
}

/// The templates of a folder, named from the root; there are some.
fn templates(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(path)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{folder} holds templates");
    files
}

/// Exports a greeting.
const FIRST: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Greeting: { Type: String, Default: hello }
Resources:
  Note: { Type: AWS::SSM::Parameter, Properties: { Type: String, Value: !Ref Greeting } }
Outputs:
  Greeting:
    Value: !Sub "${Greeting} from ${AWS::StackName}"
    Export: { Name: !Sub "${AWS::StackName}-greeting" }
"#;

/// Answers every message with what another stack exports as `name`.
fn importing(name: &str) -> String {
    let source = format!(
        "@integration Mock {{\"IntegrationType\":\"MOCK\"}}\n@route $default Mock two-way\n  Answer:\n    Type: AWS::ApiGatewayV2::IntegrationResponse\n    Properties:\n      ApiId: !Ref Api\n      IntegrationId: !Ref Mock\n      IntegrationResponseKey: $default\n      ResponseTemplates: {{ $default: !ImportValue {name} }}\n"
    );
    template::expand(&source).text
}

fn start(templates: &[(&str, &str)], arguments: &[&str]) -> Result<Gateway, Refused> {
    let setup = Setup {
        templates: templates
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        ..Setup::default()
    };
    Gateway::start(&setup, Arc::new(Secrets::default()))
}

#[test]
fn a_stack_imports_what_an_earlier_one_exports() {
    let second = importing("first-greeting");
    let both = [("first.yaml", FIRST), ("second.yaml", second.as_str())];
    for (arguments, want) in [
        ([].as_slice(), "hello from first"),
        (&["--parameter", "Greeting=good day"], "good day from first"),
    ] {
        let gateway = start(&both, arguments)
            .unwrap_or_else(|refused| panic!("wsgate did not start:\n{}", refused.stderr));
        let mut client = Client::open(gateway.listen, "/dev", &[]).unwrap().1.unwrap();
        client.send_text("{}").unwrap();
        assert_eq!(client.receive().unwrap(), Incoming::Text(want.to_owned()));
    }
}

#[test]
fn an_import_that_no_earlier_stack_exports_is_an_error_with_its_place() {
    let second = importing("first-greeting");
    let wrong_order = [("second.yaml", second.as_str()), ("first.yaml", FIRST)];
    let unknown = importing("first-greetings");
    let misspelt = [("first.yaml", FIRST), ("second.yaml", unknown.as_str())];
    for (templates, name) in [(wrong_order, "first-greeting"), (misspelt, "first-greetings")] {
        let refused = start(&templates, &[]).err().expect("an import without export is an error");
        assert_eq!(refused.code, Some(3));
        for part in ["second.yaml", "Answer", name] {
            assert!(refused.stderr.contains(part), "no {part} in:\n{}", refused.stderr);
        }
    }
}

#[test]
fn stacks_may_not_export_one_name_twice() {
    let export = FIRST.replace("${AWS::StackName}-greeting", "greeting");
    let templates = [("first.yaml", export.as_str()), ("second.yaml", export.as_str())];
    let refused = start(&templates, &[]).err().expect("two exports of one name are an error");
    assert_eq!(refused.code, Some(3));
    assert!(refused.stderr.contains("greeting"), "{}", refused.stderr);
}
