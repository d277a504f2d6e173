//! Bounds of the language extensions.

use cloudformation::Options;

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
