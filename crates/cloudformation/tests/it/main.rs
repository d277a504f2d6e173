//! Tests of the crate from outside: templates in, resources or findings out.

mod bounds;
mod cases;
mod language;
mod options;
mod sam;
mod syntax;

use api_model::{Diagnostics, Severity, Sources, Stack, Value};
use cloudformation::{Options, load};

/// Loads one template called `chat.yaml`.
fn load_one(text: &str, options: &Options) -> (Vec<Stack>, Diagnostics) {
    let mut sources = Sources::default();
    sources.add("chat.yaml", text);
    load(&sources, options)
}

/// Stacks, unless there are errors, then findings, one per line.
fn render(stacks: &[Stack], diagnostics: &Diagnostics) -> String {
    let mut out = String::new();
    if !diagnostics.has_errors() {
        stacks.iter().for_each(|stack| render_stack(stack, &mut out));
    }
    let many = stacks.len() > 1;
    for one in &diagnostics.list {
        let file = if many { format!("{}:", one.span.file) } else { String::new() };
        let severity = match one.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let start = one.span.start;
        out += &format!("{file}{}:{} {severity} {}", start.line, start.column, one.code);
        if let Some(logical_id) = &one.logical_id {
            out += &format!(" {logical_id}");
        }
        if let Some(property) = &one.property {
            out += &format!(" {property}");
        }
        out += &format!(": {}", one.message);
        if let Some(hint) = &one.hint {
            out += &format!(" / {hint}");
        }
        out.push('\n');
    }
    out
}

fn render_stack(stack: &Stack, out: &mut String) {
    *out += &format!("stack {}\n", stack.name);
    for resource in &stack.resources {
        let (id, physical_id) = (&resource.logical_id, &resource.physical_id);
        *out += &format!("{id} {} {physical_id}\n", resource.resource_type);
        for entry in resource.properties.entries() {
            *out += &format!("  {}: {}\n", entry.key, render_value(&entry.value.value));
        }
        if !matches!(resource.metadata.value, Value::Null) {
            *out += &format!("  (metadata) {}\n", render_value(&resource.metadata.value));
        }
        if !resource.depends_on.is_empty() {
            let names: Vec<_> = resource.depends_on.iter().map(|(name, _)| name.as_str()).collect();
            *out += &format!("  (depends on) {}\n", names.join(", "));
        }
    }
    for (name, value) in &stack.outputs {
        *out += &format!("output {name} = {}\n", render_value(&value.value));
    }
}

fn render_value(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| render_value(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|entry| format!("{}: {}", entry.key, render_value(&entry.value.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Unresolved => "?".to_owned(),
    }
}
