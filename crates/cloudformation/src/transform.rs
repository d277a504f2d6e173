//! Transforms: what AWS rewrites in a template before it reads it.
//!
//! The tree is rewritten between reading and checking, functions still in
//! place; every value keeps the place it came from, so that findings point
//! into the template as it is written.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use api_model::{Diagnostics, Entry, Node, Value};

use crate::document::excerpt;
use crate::physical::Names;
use crate::{Options, codes, function, parameter};

mod build;
pub(crate) mod language;
mod sam;

/// What is known while a template is rewritten.
pub(crate) struct Context {
    /// Where the stack lives.
    pub(crate) names: Names,
    /// Values of the template's parameters, given or default. Those that are
    /// secret (`NoEcho`) or come from SSM are left out, as names of resources
    /// may be made of these values; what has no usable value is unresolved.
    pub(crate) parameters: HashMap<String, Node>,
}

impl Context {
    /// What is known of the template `root` of the stack `stack`.
    pub(crate) fn new(root: &Node, stack: &str, options: &Options) -> Self {
        let entries = root.find("Parameters").map(Node::entries).unwrap_or_default();
        let is_open = |entry: &&Entry| {
            let text = |name: &str| entry.value.find(name).and_then(Node::as_text);
            let is_ssm = text("Type").is_some_and(|name| name.starts_with("AWS::SSM::"));
            !is_ssm && text("NoEcho").is_none_or(|flag| flag.eq_ignore_ascii_case("false"))
        };
        // Findings are made when the stack is built.
        let mut unused = Diagnostics::default();
        let values = parameter::evaluate(entries, options, &BTreeMap::new(), &mut unused);
        let parameters = (entries.iter().filter(is_open))
            .filter_map(|entry| {
                let value = values.by_name.get(entry.key.as_str())?;
                Some((entry.key.clone(), value.clone()))
            })
            .collect();
        Self { names: Names::new(stack, options), parameters }
    }

    /// The value of a `Ref` to a parameter or text pseudo parameter; any other
    /// value as it stands. `None` for other functions.
    pub(crate) fn known<'a>(&'a self, node: &'a Node) -> Option<Cow<'a, Node>> {
        let Some(call) = function::call(node) else {
            return Some(Cow::Borrowed(node));
        };
        let Value::String(name) = &call.argument.value else {
            return None;
        };
        if call.name != "Ref" {
            return None;
        }
        if let Some(value) = self.parameters.get(name) {
            return Some(Cow::Owned(Node::new(value.value.clone(), node.span)));
        }
        let text = self.names.pseudo_parameter(name)?;
        Some(Cow::Owned(Node::new(Value::String(text), node.span)))
    }
}

/// Where macros can be looked up after AWS has run them.
const PROCESSED_HINT: &str =
    "give the processed template: `aws cloudformation get-template --template-stage Processed`";

/// Runs the [transforms] that a template names, in the order of AWS: language
/// extensions first, then SAM. Macros that only AWS has are reported.
///
/// [transforms]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-section-structure.html
pub(crate) fn apply(root: &mut Node, context: &Context, diagnostics: &mut Diagnostics) {
    remove_transform_calls(root, diagnostics);
    let mut has_sam = false;
    for item in named(root) {
        match name_of(item).as_deref() {
            Some(language::NAME) => {}
            Some("AWS::Serverless-2016-10-31") => has_sam = true,
            name => report_macro(name.unwrap_or("macro"), item, diagnostics),
        }
    }
    if has_language_extensions(root) {
        language::expand(root, context, diagnostics);
    } else {
        language::refuse(root, diagnostics);
    }
    if has_sam {
        sam::expand(root, context, diagnostics);
    }
}

/// Whether a template names the transform `AWS::LanguageExtensions`.
pub(crate) fn has_language_extensions(root: &Node) -> bool {
    named(root).iter().any(|item| name_of(item).as_deref() == Some(language::NAME))
}

/// What stands in the section `Transform`.
fn named(root: &Node) -> &[Node] {
    match root.find("Transform") {
        Some(Node { value: Value::List(items), .. }) => items,
        Some(section) => std::slice::from_ref(section),
        None => &[],
    }
}

fn name_of(node: &Node) -> Option<Cow<'_, str>> {
    node.as_text().or_else(|| node.find("Name").and_then(Node::as_text))
}

fn report_macro(name: &str, at: &Node, diagnostics: &mut Diagnostics) {
    let name = excerpt(name);
    let message =
        format!("macro `{name}` runs on AWS only, so what the template becomes is not known here");
    diagnostics.error(codes::TRANSFORM, at.span, message).hint(PROCESSED_HINT);
}

/// Reports every `Fn::Transform` and leaves an unknown value, or nothing where
/// it stands beside other keys.
fn remove_transform_calls(node: &mut Node, diagnostics: &mut Diagnostics) {
    match &mut node.value {
        Value::List(items) => {
            items.iter_mut().for_each(|item| remove_transform_calls(item, diagnostics));
        }
        Value::Map(entries) => {
            let is_call = |entry: &Entry| entry.key == "Fn::Transform";
            for entry in entries.iter_mut() {
                if is_call(entry) {
                    let name = name_of(&entry.value).unwrap_or_else(|| "Fn::Transform".into());
                    report_macro(&name, &entry.value, diagnostics);
                } else {
                    remove_transform_calls(&mut entry.value, diagnostics);
                }
            }
            if let [entry] = entries.as_slice()
                && is_call(entry)
            {
                node.value = Value::Unresolved;
            } else {
                entries.retain(|entry| !is_call(entry));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Unresolved => {}
    }
}
