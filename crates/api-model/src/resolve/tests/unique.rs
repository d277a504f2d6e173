//! Names that two resources claim.

use serde_json::json;

use super::world::check;

#[test]
fn a_name_has_one_owner() {
    let function = json!({ "Role": "arn:aws:iam::111122223333:role/Role" });
    for (kind, properties) in [
        ("Lambda::Function", &function),
        ("IAM::Role", &json!({})),
        ("IAM::ManagedPolicy", &json!({})),
        ("SSM::Parameter", &json!({ "Type": "String", "Value": "x" })),
    ] {
        let both = |second: &str| {
            json!({
                "First": [kind, properties, [], "shared"],
                "Second": [kind, properties, [], second],
            })
        };
        check(both("shared"), &["error WSG-057 Second"]);
        check(both("other"), &[]);
    }
    // What is of different kinds may have one name.
    check(json!({ "Other": ["IAM::Role", {}, [], "Handler"] }), &[]);
}
