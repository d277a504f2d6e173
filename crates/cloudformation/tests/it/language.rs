//! Bounds of the language extensions.

use cloudformation::Options;
use proptest::prelude::*;

use crate::{load_one, render};

#[track_caller]
fn check_refused(text: &str, want: &str) {
    let (stacks, diagnostics) = load_one(text, &Options::default());
    let got = render(&stacks, &diagnostics);
    assert!(got.contains(want), "want {want}, got {}", &got[..got.len().min(2000)]);
    assert!(diagnostics.list.len() < 10, "{} findings", diagnostics.list.len());
}

fn collection(items: usize) -> String {
    (0..items).map(|item| format!("i{item}, ")).collect()
}

/// A loop in a loop in a loop, the innermost with this fragment.
fn nested(depth: usize, items: &str, fragment: &str) -> String {
    let mut text = fragment.to_owned();
    for level in 0..depth {
        text = format!("{{Fn::ForEach::L{level}: [X{level}, [{items}], {text}]}}");
    }
    format!("Transform: AWS::LanguageExtensions\nResources: {text}\n")
}

#[test]
fn five_hundred_resources_are_made_and_not_one_more() {
    let text = |items| nested(1, &collection(items), "{\"T${X0}\": {Type: AWS::SNS::Topic}}");
    let (stacks, diagnostics) = load_one(&text(500), &Options::default());
    assert!(diagnostics.list.is_empty());
    assert_eq!(stacks[0].resources.len(), 500);
    check_refused(&text(501), "WSG-002 Resources: loops make more than 500 members of `Resources`");
}

#[test]
fn loops_that_make_nothing_end() {
    check_refused(&nested(5, &collection(300), "{}"), "WSG-002");
}

#[test]
fn loops_that_make_much_end() {
    let fragment = "{\"T${X0}${X1}${X2}${X3}${X4}\": {Type: AWS::SNS::Topic}}";
    check_refused(&nested(5, &collection(300), fragment), "WSG-002");
}

#[test]
fn inserted_text_cannot_grow_without_bound() {
    let item = "x".repeat(4000);
    let placeholders = "${X0}".repeat(4000);
    let text = format!(
        "Transform: AWS::LanguageExtensions\nResources:\n  T:\n    Type: AWS::SNS::Topic\n    \
         Properties:\n      Fn::ForEach::L: [X0, [{item}], {{\"${{X0}}\": [{}]}}]\n",
        format!("\"{placeholders}\", ").repeat(100)
    );
    check_refused(&text, "WSG-002");
}

/// Values with every function of the extensions, right and wrong.
fn values() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "\"${X}\"",
        "\"&{Y}\"",
        "[a, b]",
        "[]",
        "{}",
        "!Ref X",
        "!Ref Y",
        "!Ref Names",
        "!Ref Secret",
        "!Ref Topic",
        "!Ref AWS::NoValue",
        "!Sub \"${X}${Y}${Names}\"",
        "!FindInMap [Map, !Ref X, Key]",
        "!If [Yes, [a], b]",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| format!("!Ref {{Fn::Sub: {value}}}")),
            inner.clone().prop_map(|value| format!("{{Fn::Length: {value}}}")),
            inner.clone().prop_map(|value| format!("{{Fn::ToJsonString: {value}}}")),
            inner.clone().prop_map(|value| format!("!GetAtt [{value}, TopicName]")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("[{one}, {two}]")),
            (inner.clone(), inner.clone())
                .prop_map(|(text, own)| format!("!Sub [{text}, {{X: {own}}}]")),
            ("[XY]", inner.clone(), inner).prop_map(|(name, collection, value)| {
                format!(
                    "{{Fn::ForEach::L{name}: [{name}, {collection}, {{\"k${{{name}}}\": {value}, \
                     Fn::ForEach::In: [Y, [1, 2], {{\"&{{Y}}x\": {value}}}]}}]}}"
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_value_panics_and_no_loop_is_left(
        value in values(),
        condition in values(),
        resource in values(),
    ) {
        let text = format!(
            "Transform: AWS::LanguageExtensions\n\
             Parameters:\n  Names: {{Type: CommaDelimitedList, Default: \"a,b\"}}\n  \
             Secret: {{Type: String, NoEcho: true, Default: s}}\n\
             Mappings: {{Map: {{a: {{Key: [c]}}}}}}\n\
             Conditions: {{Yes: !Equals [a, a], Maybe: {condition}}}\n\
             Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: {value}\n    \
             Condition: {condition}\n    Properties: {{Value: {value}, Other: {resource}}}\n  \
             Fn::ForEach::R: [X, {value}, {{\"R${{X}}\": {{Type: AWS::SNS::Topic, Properties: {{P: {resource}}}}}}}]\n"
        );
        let (stacks, diagnostics) = load_one(&text, &Options::default());
        let got = render(&stacks, &diagnostics);
        prop_assert!(!got.contains("Fn::ForEach::") || diagnostics.has_errors(), "{text}\n{got}");
    }
}
