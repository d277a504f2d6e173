//! How the same template may be spelled, and where findings say they are.

use cloudformation::Options;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{load_one, render};

const TEMPLATE: &str = "Resources:
  R:
    Type: Some::Other::Thing
    Properties:
      # ünï
      Text: |
        line one
        line two
      Wörter: [é, !Ref \"AWS::Region\"]
";

/// What a template without findings comes to.
fn check(text: &str) -> String {
    let (stacks, diagnostics) = load_one(text, &Options::default());
    assert_eq!(diagnostics.list, [], "{text}");
    render(&stacks, &diagnostics)
}

/// Place of the only finding.
fn place(text: &str) -> (u32, u32) {
    let (stacks, diagnostics) = load_one(text, &Options::default());
    assert_eq!(diagnostics.list.len(), 1, "{}", render(&stacks, &diagnostics));
    let start = diagnostics.list[0].span.start;
    (start.line, start.column)
}

#[test]
fn byte_order_mark_and_line_ends_change_nothing() {
    let plain = check(TEMPLATE);
    assert!(plain.contains("line one\\nline two\\n") && plain.contains("us-east-1"));
    assert_eq!(check(&format!("\u{feff}{TEMPLATE}")), plain);
    assert_eq!(check(&TEMPLATE.replace('\n', "\r\n")), plain);
    assert_eq!(check(&format!("---\n{TEMPLATE}...\n")), plain);
    assert_eq!(check(&format!("%YAML 1.1\n---\n{TEMPLATE}")), plain);
}

#[test]
fn places_count_lines_and_characters_from_one() {
    for ending in ["\n", "\r\n"] {
        let lf = TEMPLATE.replace("AWS::Region", "AWS::Regon").replace('\n', ending);
        assert_eq!(place(&lf), (9, 19));
        assert_eq!(place(&format!("\u{feff}{lf}")), (9, 19));
    }
    let json = "{\n\t\"Resources\": {\"é\": 1, \"R\": {}}}";
    let (_, diagnostics) = load_one(json, &Options::default());
    let places: Vec<_> =
        diagnostics.list.iter().map(|one| (one.span.start.line, one.span.start.column)).collect();
    assert_eq!(places, [(2, 21), (2, 24)]);
}

#[test]
fn every_json_escape_is_read_and_half_a_surrogate_pair_is_refused() {
    let json = |text: &str| {
        format!(
            r#"{{"Resources": {{"R": {{"Type": "A::B::C", "Properties": {{"P": "{text}"}}}}}}}}"#
        )
    };
    assert!(check(&json(r#"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"#)).contains('😀'));
    for wrong in [r"\ud83d", r"\ude00", r"\ud83dx", r"\x", r"\u12", "\t"] {
        place(&json(wrong));
    }
}

/// JSON values without nulls, which templates do not have, and without keys
/// that mean something.
fn values() -> impl Strategy<Value = Value> {
    let text = r#"[ -~äé😀\n\t]{0,12}"#;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text.prop_map(|key| format!("k{key}")), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_and_yaml_readers_agree(value in values()) {
        let template = json!({"Resources": {"R": {"Type": "A::B::C", "Properties": {"P": value}}}});
        for json in [template.to_string(), format!("{template:#}")] {
            // The comment makes it YAML.
            prop_assert_eq!(check(&format!("# YAML\n{json}")), check(&json));
            let (stacks, _) = load_one(&json, &Options::default());
            prop_assert_eq!(&stacks[0].resources[0].properties.find("P").unwrap().to_json(), &value);
        }
    }
}
