//! `AWS::Serverless::SimpleTable` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-simpletable.html

use api_model::{Entry, Node, Value};

use super::shape::{self, Shape};
use super::{Expansion, Source, build};
use crate::document::excerpt;

const PROPERTIES: [&str; 6] = [
    "PointInTimeRecoverySpecification",
    "PrimaryKey",
    "ProvisionedThroughput",
    "SSESpecification",
    "TableName",
    "Tags",
];

const SHAPES: [(&str, Shape); 5] = [
    ("PrimaryKey", Shape::Map),
    ("ProvisionedThroughput", Shape::Map),
    ("SSESpecification", Shape::Map),
    ("TableName", Shape::TextOrMap),
    ("Tags", Shape::Map),
];

/// Adds the table.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) {
    out.check_properties(source, &PROPERTIES);
    shape::check(source, &SHAPES, out);
    let span = source.span;
    let Some((name, kind)) = primary_key(source, out) else {
        return;
    };
    let definition =
        [build::entry("AttributeName", name.clone()), build::entry("AttributeType", kind)];
    let key =
        [build::entry("AttributeName", name), build::entry("KeyType", build::text("HASH", span))];
    let one = |members: [Entry; 2]| build::list([build::map(members, span)], span);
    let mut properties = vec![
        build::entry("AttributeDefinitions", one(definition)),
        build::entry("KeySchema", one(key)),
    ];
    if source.given("ProvisionedThroughput").is_none() {
        properties.push(build::entry("BillingMode", build::text("PAY_PER_REQUEST", span)));
    }
    for entry in source.properties.entries() {
        match entry.key.as_str() {
            "PrimaryKey" => {}
            name if source.given(name).is_none() => {}
            "Tags" => properties.push(build::entry("Tags", tags(&entry.value))),
            _ => properties.push(entry.clone()),
        }
    }
    let attributes = source.attributes.clone();
    out.add(source, source.logical_id, "AWS::DynamoDB::Table", properties, attributes);
}

/// Name and DynamoDB type of the key; `id`, a string, by default.
fn primary_key(source: &Source<'_>, out: &mut Expansion<'_>) -> Option<(Node, Node)> {
    let span = source.span;
    let Some(key) = source.given("PrimaryKey") else {
        return Some((build::text("id", span), build::text("S", span)));
    };
    let (Some(name), Some(kind)) = (key.find("Name"), key.find("Type")) else {
        if matches!(key.value, Value::Map(_)) {
            let message = "`PrimaryKey` needs `Name` and `Type`";
            out.refuse(source, "PrimaryKey", key.span, message)
                .hint("write `PrimaryKey: {Name: id, Type: String}`");
        }
        return None;
    };
    let letter = match kind.as_text().as_deref() {
        Some("String") => "S",
        Some("Number") => "N",
        Some("Binary") => "B",
        other => {
            if !kind.is_unresolved() {
                let shown = excerpt(other.unwrap_or("a function"));
                let message = format!("a key cannot have the type `{shown}`");
                out.refuse(source, "PrimaryKey.Type", kind.span, message)
                    .hint("write `String`, `Number` or `Binary`");
            }
            return None;
        }
    };
    Some((name.clone(), build::text(letter, kind.span)))
}

fn tags(node: &Node) -> Node {
    let tag = |entry: &Entry| {
        let key = build::text(&entry.key, entry.key_span);
        let members = [build::entry("Key", key), build::entry("Value", entry.value.clone())];
        build::map(members, entry.key_span)
    };
    match &node.value {
        Value::Map(entries) => build::list(entries.iter().map(tag), node.span),
        _ => node.clone(),
    }
}
