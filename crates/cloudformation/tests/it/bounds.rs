//! Nothing in a template panics, and its cost is bounded.

use std::fmt::Write;

use cloudformation::Options;
use proptest::prelude::*;

use crate::load_one;

/// Loads a text and tells the codes of its findings.
fn codes(text: &str) -> Vec<&'static str> {
    let (_, diagnostics) = load_one(text, &Options::default());
    for one in &diagnostics.list {
        assert!(one.span.start.line >= 1 && one.span.start.column >= 1, "{one:?}");
    }
    diagnostics.list.iter().map(|one| one.code).collect()
}

#[test]
fn a_template_above_the_size_limit_is_refused() {
    assert_eq!(codes(&"a: b\n".repeat(2_000_000)), ["WSG-002"]);
}

#[test]
fn nesting_is_refused_in_every_syntax() {
    let block: String = (0..2000).fold(String::new(), |mut text, depth| {
        writeln!(text, "{}a:", " ".repeat(depth)).unwrap();
        text
    });
    for text in [
        "[".repeat(2_000_000),
        "{\"a\":".repeat(500_000),
        "{\"a\":".repeat(150) + "1" + &"}".repeat(150),
        "{a: ".repeat(500_000),
        "{? ".repeat(500_000),
        "[a, ".repeat(500_000),
        "- ".repeat(1_000_000),
        "? ".repeat(1_000_000),
        "- !Sub ".repeat(300_000),
        "- &a ".repeat(300_000),
        "a: &x ".to_owned() + &"- ".repeat(1_000_000),
        block,
    ] {
        let found = codes(&text);
        assert!(found == ["WSG-002"] || found == ["WSG-001"], "{text:.20}: {found:?}");
    }
}

#[test]
fn the_deepest_template_that_is_read_is_resolved() {
    let levels = 96;
    for (open, close) in
        [("!If [Yes, ", ", x]"), ("!Select [0, [", "]]"), ("{a: ", "}"), ("!Join ['', [", "]]")]
    {
        let levels = if open.ends_with(", [") { levels / 2 } else { levels };
        let value = open.repeat(levels) + "deep" + &close.repeat(levels);
        let text = format!(
            "Conditions: {{Yes: !Equals [a, a]}}\nResources: {{R: {{Type: A::B::C, Properties: {{P: {value}}}}}}}\n"
        );
        assert_eq!(codes(&text), Vec::<&str>::new(), "{open}");
        let (stacks, _) = load_one(&text, &Options::default());
        let mut found = stacks[0].resources[0].properties.find("P");
        while let Some(inner) = found.and_then(|node| node.find("a")) {
            found = Some(inner);
        }
        assert_eq!(found.unwrap().as_text().unwrap(), "deep");
    }
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..60 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert!(codes(&bomb).contains(&"WSG-002"));

    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..200 {
        writeln!(deep, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert!(codes(&deep).contains(&"WSG-002"));

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), "*a, ".repeat(100));
    assert!(codes(&long).contains(&"WSG-002"));

    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for level in 1..50_000 {
        writeln!(merges, "a{level}: {{<<: *a0}}").unwrap();
    }
    assert!(codes(&merges).iter().all(|code| *code != "WSG-002"));
}

#[test]
fn names_that_repeat_each_other_cannot_grow_without_bound() {
    let mut text = "Resources:\n".to_owned();
    for n in 0..100 {
        let next = n + 1;
        let name = if n == 99 { "x".repeat(100) } else { format!("${{R{next}}}${{R{next}}}") };
        writeln!(
            text,
            "  R{n}: {{Type: AWS::Lambda::Function, Properties: {{FunctionName: !Sub '{name}'}}}}"
        )
        .unwrap();
    }
    assert_eq!(codes(&text), ["WSG-002"]);

    let list = "x, ".repeat(10_000);
    let join = format!(
        "Resources:\n  R: {{Type: A::B::C, Properties: {{P: !Join [{}, [{list}]]}}}}",
        "y".repeat(100_000)
    );
    assert_eq!(codes(&join), ["WSG-002"]);
}

#[test]
fn ten_thousand_resources_in_one_chain_load() {
    let mut text = "Conditions: {C0: !Equals [a, a]".to_owned();
    for n in 1..10_000 {
        write!(text, ", C{n}: !Not [!Condition C{}]", n - 1).unwrap();
    }
    text += "}\nResources:\n  R0: {Type: AWS::SNS::Topic}\n";
    for n in 1..10_000 {
        writeln!(
            text,
            "  R{n}:\n    Type: AWS::SNS::Topic\n    DependsOn: R{0}\n    Properties:\n      Name: !Sub '${{AWS::StackName}}-${{R{0}.TopicName}}'\n      Other: !If [C{n}, !Ref R{0}, !GetAtt R{0}.TopicArn]",
            n - 1
        )
        .unwrap();
    }
    let (stacks, diagnostics) = load_one(&text, &Options::default());
    assert_eq!(diagnostics.list, []);
    assert_eq!(stacks[0].resources.len(), 10_000);
    assert_eq!(stacks[0].resources[9_999].logical_id, "R9999");
}

#[test]
fn ten_thousand_wrong_names_are_all_reported() {
    let mut text = "Resources:\n".to_owned();
    for n in 0..10_000 {
        writeln!(text, "  R{n}: {{Type: AWS::SNS::Topic, Properties: {{Name: !Ref S{n}}}}}")
            .unwrap();
    }
    assert_eq!(codes(&text).len(), 10_000);
}

#[test]
fn ten_thousand_resources_in_a_circle_are_one_finding() {
    let mut text = "Resources:\n".to_owned();
    for n in 0..10_000 {
        let next = (n + 1) % 10_000;
        writeln!(text, "  R{n}: {{Type: AWS::SNS::Topic, DependsOn: R{next}}}").unwrap();
    }
    assert_eq!(codes(&text), ["WSG-019"]);
}

/// Pieces of templates, so that random texts reach the deeper readers.
const PIECES: [&str; 44] = [
    "Resources:\n",
    "Parameters:\n",
    "Conditions:\n",
    "Outputs:\n",
    "Mappings:\n",
    "  A:\n",
    "  B:\n",
    "    Type: AWS::ApiGatewayV2::Api\n",
    "    Type: AWS::Lambda::Function\n",
    "    Type: String\n",
    "    Properties:\n",
    "      Name: ",
    "    Value: ",
    "    Default: ",
    "    DependsOn: ",
    "    Condition: ",
    "!Ref ",
    "!Sub ",
    "!GetAtt ",
    "!Join ",
    "!Select ",
    "!Split ",
    "!If ",
    "!FindInMap ",
    "!Base64 ",
    "!Equals ",
    "!And ",
    "!Not ",
    "!ImportValue ",
    "[",
    "]",
    ", ",
    "{",
    "}",
    "A",
    "B.Arn",
    "'${A}${B.Arn}'",
    "\"",
    "&a ",
    "*a",
    "<<: ",
    "|\n",
    "{{resolve:ssm:x:1}}",
    "\n",
];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        codes(&text);
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in r#"[-a-c:{}\[\]!&*,?|>'"%@#<~0-9 \n\t\r]{0,80}"#) {
        codes(&text);
        codes(&format!("Resources:\n  A:\n    Type: A::B::C\n    Properties:\n      P: {text}"));
    }

    #[test]
    fn shuffled_template_pieces_never_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|at| PIECES[*at]).collect();
        codes(&text);
    }

    #[test]
    fn shuffled_expressions_never_panic(
        pieces in prop::collection::vec(16..PIECES.len(), 0..30),
        in_condition in any::<bool>(),
    ) {
        let value: String = pieces.iter().map(|at| PIECES[*at]).collect();
        let (condition, property) = if in_condition { (value, "x".into()) } else { ("!Equals [a, a]".into(), value) };
        codes(&format!(
            "Parameters: {{A: {{Type: CommaDelimitedList, Default: 'a,b'}}}}\nConditions: {{C: {condition}}}\nResources:\n  B:\n    Type: AWS::Lambda::Function\n    Properties: {{P: {property}}}\n"
        ));
    }

    #[test]
    fn json_strings_come_back_as_they_went_in(text in any::<String>()) {
        let json = serde_json::json!({"Resources": {"R": {"Type": "A::B::C", "Properties": {"P": text}}}});
        let (stacks, diagnostics) = load_one(&json.to_string(), &Options::default());
        if !text.contains("{{resolve:") {
            prop_assert!(diagnostics.list.is_empty());
            let value = stacks[0].resources[0].properties.find("P").unwrap();
            prop_assert_eq!(value.as_text().unwrap(), text);
        }
    }
}
