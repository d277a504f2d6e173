//! Every `tests/sam/NAME.yaml` becomes what SAM itself makes of it, which is
//! kept in `NAME.json`; `translate.py` beside them writes those files.

use std::collections::BTreeMap;
use std::path::Path;

use api_model::{Resource, Sources, Stack};
use cloudformation::{Options, load};
use serde_json::{Value, json};

use crate::render;

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
    let text = std::fs::read_to_string(path).unwrap();
    let mut sources = Sources::default();
    sources.add("chat.yaml", text);
    let ssm_parameters = [("name".to_owned(), "value".to_owned())].into();
    let (stacks, diagnostics) = load(&sources, &Options { ssm_parameters, ..Options::default() });
    assert!(!diagnostics.has_errors(), "{}", render(&stacks, &diagnostics));
    stacks.into_iter().next().unwrap()
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
            properties.as_object_mut().unwrap().remove("Policies");
        }
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
