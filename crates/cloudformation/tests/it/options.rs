//! What the options decide.

use api_model::Sources;
use cloudformation::{Destination, Options, load, stack_name};

use crate::{load_one, render};

#[test]
fn stack_names_come_from_file_names() {
    for (file, want) in [
        ("demo/aws/api.yaml", "api"),
        ("api.v2.template.json", "api-v2-template"),
        ("1 chat.yaml", "s1-chat"),
        (".yaml", "s-yaml"),
        ("C:\\x\\über.yaml", "s-ber"),
        ("", "s"),
    ] {
        assert_eq!(stack_name(file), want, "file: {file}");
    }
}

#[test]
fn ids_depend_on_stack_and_logical_id_alone_and_never_change() {
    let ids = |stack: &str, extra: &str| {
        let options = Options { stack_names: vec![stack.to_owned()], ..Options::default() };
        let text = format!("Resources:\n  Chat: {{Type: AWS::ApiGatewayV2::Api}}\n{extra}");
        load_one(&text, &options).0[0].resources[0].physical_id.clone()
    };
    assert_eq!(ids("chat", ""), ids("chat", "  Other: {Type: AWS::SNS::Topic}\n"));
    assert_ne!(ids("chat", ""), ids("chat2", ""));
    assert_eq!(ids("chat", ""), "xzcslgm3vx");
}

#[test]
fn debug_shows_names_but_no_values() {
    let options = Options {
        parameters: vec![("Key".to_owned(), "hunter2".to_owned())],
        ssm_parameters: [("/key".to_owned(), "hunter3".to_owned())].into(),
        ..Options::default()
    };
    let debug = format!("{options:?}");
    assert!(debug.contains("Key") && debug.contains("/key") && !debug.contains("hunter"));
}

#[test]
fn no_finding_repeats_a_parameter_value() {
    let text = "
Parameters:
  A: {Type: String, NoEcho: true, AllowedPattern: '[0-9]+', MinLength: 30, AllowedValues: [x]}
  B: {Type: Number}
  C: {Type: String, NoEcho: true}
Mappings: {M: {Top: {Key: value}}}
Resources:
  T: {Type: AWS::SNS::Topic}
  R:
    Type: A::B::C
    Properties:
      Index: !Select [!Ref C, [a]]
      Map: !FindInMap [!Ref C, Top, Key]
      Top: !FindInMap [M, !Ref C, Key]
      Second: !FindInMap [M, Top, !Sub 'x${C}x']
      Import: !ImportValue {Ref: C}
      Attribute: !GetAtt [T, !Ref C]
      Secret: !Sub '{{resolve:secretsmanager:${C}:x}}'
      Parameter: !Join ['', ['{{resolve:ssm:', !Ref C, '}}']]
      Service: !Sub '{{resolve:${C}}}'
Outputs:
  One: {Value: a, Export: {Name: !Ref C}}
  Two: {Value: a, Export: {Name: !Ref C}}
";
    let options = Options {
        parameters: ["A", "B", "C", "Unknown"]
            .map(|name| (name.to_owned(), "hunter2".to_owned()))
            .into(),
        ..Options::default()
    };
    let (stacks, diagnostics) = load_one(text, &options);
    assert!(diagnostics.list.len() >= 14, "{}", render(&stacks, &diagnostics));
    assert!(!render(&stacks, &diagnostics).contains("hunter"));
}

#[test]
fn a_parameter_goes_to_every_template_that_declares_it() {
    let text = "
Parameters: {Env: {Type: String}}
Resources: {T: {Type: AWS::SNS::Topic, Properties: {TopicName: !Ref Env}}}
";
    let mut sources = Sources::default();
    sources.add("a.yaml", text);
    sources.add("b.yaml", text);
    let parameters = vec![("Env".to_owned(), "dev".to_owned())];
    let (stacks, diagnostics) = load(&sources, &Options { parameters, ..Options::default() });
    assert_eq!(diagnostics.list, []);
    let arn = "arn:aws:sns:us-east-1:000000000000:dev";
    assert!(stacks.iter().all(|stack| stack.resources[0].physical_id == arn));
}

#[test]
fn each_template_may_have_its_own_destination() {
    let mut sources = Sources::default();
    let text =
        "Resources: {}\nOutputs: {Here: {Value: !Sub \"${AWS::Region} ${AWS::AccountId}\"}}\n";
    for name in ["a.yaml", "b.yaml", "c.yaml"] {
        sources.add(name, text);
    }
    let region = |region: &str| Destination { region: Some(region.into()), account_id: None };
    let account_id = Destination { region: None, account_id: Some("111122223333".into()) };
    let options =
        Options { destinations: vec![region("eu-west-1"), account_id], ..Options::default() };
    let (stacks, diagnostics) = load(&sources, &options);
    assert_eq!(diagnostics.list, []);
    let here: Vec<_> = stacks.iter().map(|one| one.outputs[0].1.as_text().unwrap()).collect();
    assert_eq!(
        here,
        ["eu-west-1 000000000000", "us-east-1 111122223333", "us-east-1 000000000000"]
    );
    let regions: Vec<_> = stacks.iter().map(|one| one.region.as_str()).collect();
    assert_eq!(regions, ["eu-west-1", "us-east-1", "us-east-1"]);
    assert_eq!(stacks[1].account_id, "111122223333");
}
