//! The SAM transform: every `tests/sam/NAME.yaml` becomes what SAM itself makes of it, which is
//! kept in `NAME.json`; `translate.py` beside them writes those files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use api_model::{Resource, Sources, Stack};
use cloudformation::{Options, load};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{load_one, render};

/// What SAM makes for services that are not served, and nothing here needs.
const LEFT_OUT: [&str; 0] = [];

#[test]
fn sam_templates_become_what_sam_makes_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sam");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            count += 1;
            let (got, want) = (stack(&path), stack(&path.with_extension("json")));
            let (got, want) = (resources(&got), resources(&want));
            let ids = |all: &BTreeMap<String, Value>| all.keys().cloned().collect::<Vec<_>>();
            assert_eq!(ids(&got), ids(&want), "{}", path.display());
            for (id, want) in want {
                assert_eq!(got[&id], want, "{id} of {}", path.display());
            }
        }
    }
    assert!(count > 0);
}

fn stack(path: &Path) -> Stack {
    #[expect(clippy::disallowed_methods, reason = "tests read their cases")]
    let text = std::fs::read_to_string(path).expect("the file is there");
    let mut sources = Sources::default();
    sources.add("chat.yaml", text);
    let ssm_parameters = [("name".to_owned(), "value".to_owned())].into();
    let (stacks, diagnostics) = load(&sources, &Options { ssm_parameters, ..Options::default() });
    assert!(!diagnostics.has_errors(), "{}", render(&stacks, &diagnostics));
    stacks.into_iter().next().expect("one template is one stack")
}

/// Everything that a stack has, by name.
fn resources(stack: &Stack) -> BTreeMap<String, Value> {
    let kept = stack.resources.iter().filter(|one| !LEFT_OUT.contains(&&*one.resource_type));
    let resources = kept.map(|one| (one.logical_id.clone(), describe(one)));
    let outputs =
        stack.outputs.iter().map(|(name, node)| (format!("output {name}"), node.to_json()));
    resources.chain(outputs).collect()
}

fn describe(resource: &Resource) -> Value {
    let mut properties = resource.properties.to_json();
    if let Some(policies) = properties.get_mut("Policies").and_then(Value::as_array_mut) {
        // Others grant nothing that is evaluated here, and are not made.
        let is_evaluated = |policy: &Value| {
            let text = policy.to_string();
            text.contains("ssm:") || text.contains("execute-api:")
        };
        policies.retain(is_evaluated);
        if policies.is_empty() {
            properties.as_object_mut().expect("a mapping").remove("Policies");
        }
    }
    // SAM breaks the lines of definitions.
    if let Some(definition) = properties.get_mut("DefinitionString") {
        let text = definition.as_str().expect("a text");
        *definition = text.parse().expect("JSON");
    }
    let depends_on: Vec<_> = resource.depends_on.iter().map(|(name, _)| name).collect();
    json!({
        "type": resource.resource_type,
        "id": resource.physical_id,
        "properties": properties,
        "metadata": resource.metadata.to_json(),
        "depends on": depends_on,
    })
}

/// The codes of the findings about a template.
fn codes(text: &str) -> Vec<&'static str> {
    let (_, diagnostics) = load_one(text, &Options::default());
    diagnostics.list.iter().map(|one| one.code).collect()
}

const HEAD: &str = "Transform: AWS::Serverless-2016-10-31\n";

#[test]
fn globals_cannot_multiply_without_bound() {
    let mut text = format!(
        "{HEAD}Globals: {{Function: {{Description: {}}}}}\nResources:\n",
        "x".repeat(1_000_000)
    );
    for n in 0..1000 {
        writeln!(
            text,
            "  F{n}: {{Type: AWS::Serverless::Function, Properties: {{Handler: h, Runtime: r}}}}"
        )
        .unwrap();
    }
    assert!(codes(&text).contains(&"WSG-002"));
}

#[test]
fn what_a_resource_hands_down_cannot_multiply_without_bound() {
    let events: String = (0..20_000).fold(String::new(), |mut events, n| {
        write!(events, "E{n}: {{Type: SQS, Properties: {{Queue: q}}}}, ").unwrap();
        events
    });
    let text = format!(
        "{HEAD}Resources: {{F: {{Type: AWS::Serverless::Function, UpdateReplacePolicy: {}, Properties: {{Handler: h, Runtime: r, Events: {{{events}}}}}}}}}\n",
        "x".repeat(1_000_000)
    );
    assert!(codes(&text).contains(&"WSG-002"));
}

#[test]
fn references_cannot_grow_without_bound() {
    let text = format!(
        "{HEAD}Resources: {{F: {{Type: AWS::Serverless::Function, Properties: {{Handler: h, Runtime: r, AutoPublishAlias: {}}}}}}}\nOutputs: {{O: {{Value: !Sub '{}'}}}}\n",
        "x".repeat(128),
        "${F.Alias}".repeat(300_000)
    );
    assert!(codes(&text).contains(&"WSG-002"));
}

#[test]
fn two_thousand_functions_load() {
    let mut text = format!("{HEAD}Resources:\n");
    for n in 0..2000 {
        writeln!(
            text,
            "  F{n}: {{Type: AWS::Serverless::Function, Properties: {{CodeUri: f, Handler: h, Runtime: nodejs22.x, Policies: [AmazonSSMReadOnlyAccess]}}}}"
        )
        .unwrap();
    }
    let (stacks, diagnostics) = load_one(&text, &Options::default());
    assert_eq!(diagnostics.list, []);
    assert_eq!(stacks[0].resources.len(), 4000);
}

/// Keys that mean something to SAM.
const KEYS: [&str; 30] = [
    "Ref",
    "Fn::If",
    "Fn::Sub",
    "Fn::GetAtt",
    "Type",
    "Properties",
    "Statement",
    "SSMParameterReadPolicy",
    "ParameterName",
    "Bucket",
    "Key",
    "Queue",
    "Name",
    "TargetArn",
    "AuthType",
    "Enabled",
    "ApplyOn",
    "Condition",
    "DestinationConfig",
    "StartingPosition",
    "Stream",
    "BatchSize",
    "$connect",
    "FunctionArn",
    "DomainName",
    "CertificateArn",
    "BasePath",
    "Route53",
    "InvokeRole",
    "x",
];

const PROPERTIES: [&str; 34] = [
    "Runtime",
    "Handler",
    "CodeUri",
    "InlineCode",
    "PackageType",
    "ImageUri",
    "Policies",
    "Role",
    "Events",
    "Tags",
    "AutoPublishAlias",
    "AutoPublishCodeSha256",
    "AutoPublishAliasAllProperties",
    "Environment",
    "SnapStart",
    "DeadLetterQueue",
    "FunctionUrlConfig",
    "DeploymentPreference",
    "Tracing",
    "SourceKMSKeyArn",
    "AssumeRolePolicyDocument",
    "Description",
    "PrimaryKey",
    "ContentUri",
    "RetentionPolicy",
    "LayerName",
    "Definition",
    "DefinitionUri",
    "DefinitionSubstitutions",
    "StageName",
    "Routes",
    "RouteSelectionExpression",
    "Auth",
    "Domain",
];

const KINDS: [&str; 8] = [
    "Function",
    "LayerVersion",
    "SimpleTable",
    "StateMachine",
    "WebSocketApi",
    "Api",
    "HttpApi",
    "Application",
];

fn values() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![
        "",
        "A",
        "B",
        "P",
        "A.Alias",
        "${A.Alias}",
        "${",
        "SQS",
        "SNS",
        "Api",
        "HttpApi",
        "Image",
        "Zip",
        "AWS::NoValue",
        "s3://b/k?versionId=1",
        "s3://",
        "Yes",
        "AWSLambdaRole",
        "String",
        "$default",
        "NONE",
        "CUSTOM",
        "é😀",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let key = prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn properties() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(PROPERTIES.to_vec()).prop_map(str::to_owned);
    prop::collection::btree_map(name, values(), 0..8)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn no_property_of_a_sam_resource_panics(
        kinds in prop::collection::vec(prop::sample::select(KINDS.to_vec()), 2),
        properties in prop::collection::vec(properties(), 3),
        attribute in values(),
        complete in any::<bool>(),
    ) {
        let mut template = json!({
            "Transform": "AWS::Serverless-2016-10-31",
            "Parameters": {"P": {"Type": "String", "Default": "p"}},
            "Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}},
            "Globals": {"Function": properties[2]},
            "Resources": {
                "A": {"Type": format!("AWS::Serverless::{}", kinds[0]), "Properties": properties[0]},
                "B": {"Type": format!("AWS::Serverless::{}", kinds[1]), "Properties": properties[1], "DependsOn": "A", "Metadata": attribute, "IgnoreGlobals": attribute},
            },
            "Outputs": {"O": {"Value": {"Ref": "A.Alias"}}},
        });
        if complete {
            for id in ["A", "B"] {
                let given = template["Resources"][id]["Properties"].as_object_mut().unwrap();
                given.entry("Runtime").or_insert("nodejs22.x".into());
                given.entry("Handler").or_insert("a.b".into());
            }
        }
        codes(&template.to_string());
    }
}
