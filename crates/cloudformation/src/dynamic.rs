//! Dynamic references: `{{resolve:service:reference}}` within strings.

use std::collections::BTreeMap;

use api_model::{Node, Value};

use crate::codes;
use crate::resolve::Resolver;

const START: &str = "{{resolve:";

/// Where the values of SSM parameters come from, first map first.
pub(crate) type SsmParameters<'a> = [&'a BTreeMap<String, String>; 2];

impl Resolver<'_, '_> {
    /// Replaces the [dynamic references] in a resolved value, as CloudFormation
    /// does after all intrinsic functions.
    ///
    /// [dynamic references]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
    pub(crate) fn replace_dynamic(&mut self, node: &mut Node, ssm: &SsmParameters<'_>) {
        match &mut node.value {
            Value::String(text) => {
                if text.contains(START) {
                    let text = std::mem::take(text);
                    *node = self.dynamic_text(&text, node, ssm);
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = self.enter(&format!("[{index}]"));
                    self.replace_dynamic(item, ssm);
                    self.leave(length);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    let length = self.enter(&format!(".{}", entry.key));
                    self.replace_dynamic(&mut entry.value, ssm);
                    self.leave(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Unresolved => {}
        }
    }

    fn dynamic_text(&mut self, text: &str, node: &Node, ssm: &SsmParameters<'_>) -> Node {
        let unknown = Node::new(Value::Unresolved, node.span);
        let mut result = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(START) {
            let inside = &rest[start + START.len()..];
            let Some(length) = inside.find("}}") else {
                break;
            };
            let (service, reference) =
                inside[..length].split_once(':').unwrap_or((&inside[..length], ""));
            // `name` or `name:version`; only the newest version is known here.
            let name = reference.rsplit_once(':').map_or(reference, |(name, _)| name);
            let value = match service {
                "ssm" => ssm.iter().find_map(|map| map.get(name)),
                _ => None,
            };
            let Some(value) = value else {
                self.report_dynamic(service, name, node);
                return unknown;
            };
            if !self.take(start + value.len(), node.span) {
                return unknown;
            }
            result.push_str(&rest[..start]);
            result.push_str(value);
            rest = &inside[length + 2..];
        }
        result.push_str(rest);
        self.text_node(&result, node.span)
    }

    fn report_dynamic(&mut self, service: &str, name: &str, node: &Node) {
        let message = format!(
            "the dynamic reference to `{}` of {} has no value here; what uses it stays unknown",
            self.shown(name),
            self.shown(service)
        );
        let finding = self.warning(codes::DYNAMIC_REFERENCE, node.span, message);
        if service == "ssm" {
            finding.hint("add the parameter to [parameters] in wsgate.toml");
        } else {
            finding.hint("take the value from a parameter, so that it can be given here");
        }
    }
}
