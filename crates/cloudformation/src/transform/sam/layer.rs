//! `AWS::Serverless::LayerVersion` ([page]).
//!
//! [page]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-layerversion.html

use api_model::{Entry, Node};

use super::shape::{self, Shape};
use super::{Expansion, Source, build, canonical, location};

const PROPERTIES: [&str; 8] = [
    "CompatibleArchitectures",
    "CompatibleRuntimes",
    "ContentUri",
    "Description",
    "LayerName",
    "LicenseInfo",
    "PublishLambdaVersion",
    "RetentionPolicy",
];

const SHAPES: [(&str, Shape); 7] = [
    ("CompatibleArchitectures", Shape::List),
    ("CompatibleRuntimes", Shape::List),
    ("Description", Shape::Text),
    ("LayerName", Shape::TextOrMap),
    ("LicenseInfo", Shape::Text),
    ("PublishLambdaVersion", Shape::Flag),
    ("RetentionPolicy", Shape::Text),
];

/// Properties in which SAM resolves parameters before it hashes.
const RESOLVED: [&str; 4] = ["Description", "LayerName", "LicenseInfo", "RetentionPolicy"];

/// Adds the layer under a logical id that changes with its properties, so that
/// old versions are kept.
pub(super) fn expand(source: &Source<'_>, out: &mut Expansion<'_>) {
    out.check_properties(source, &PROPERTIES);
    shape::check(source, &SHAPES, out);
    let span = source.span;
    let Some(uri) = source.property("ContentUri") else {
        let message = "a layer needs `ContentUri`";
        out.refuse(source, "ContentUri", span, message)
            .hint("write the path of a folder, or `s3://bucket/key`");
        return;
    };
    let Some(content) = location::location(source, "ContentUri", uri, out) else {
        return;
    };
    let mut properties = vec![build::entry("Content", content)];
    let mut retention = None;
    for entry in source.properties.entries() {
        match entry.key.as_str() {
            "ContentUri" | "PublishLambdaVersion" => {}
            "RetentionPolicy" => match retention_policy(&entry.value, out) {
                Some(policy) => retention = Some(policy),
                None => {
                    let message = "`RetentionPolicy` is `Retain` or `Delete`";
                    out.refuse(source, "RetentionPolicy", entry.value.span, message);
                }
            },
            _ => properties.push(entry.clone()),
        }
    }
    if source.given("LayerName").is_none() {
        properties.push(build::entry("LayerName", build::text(source.logical_id, span)));
    }
    let mut attributes = source.inherited();
    attributes.extend(source.attribute_entry("DependsOn").cloned());
    let is_policy = |entry: &Entry| entry.key == "DeletionPolicy";
    if retention.is_some() || !attributes.iter().any(is_policy) {
        attributes.retain(|entry| !is_policy(entry));
        let policy = build::text(retention.unwrap_or("Retain"), span);
        attributes.push(build::entry("DeletionPolicy", policy));
    }
    let id = format!("{}{}", source.logical_id, hash(source, out));
    out.rename(source, &id);
    out.add(source, &id, "AWS::Lambda::LayerVersion", properties, attributes);
}

fn retention_policy(node: &Node, out: &Expansion<'_>) -> Option<&'static str> {
    let known = out.context.known(node)?;
    let text = known.as_text()?;
    ["Retain", "Delete"].into_iter().find(|policy| policy.eq_ignore_ascii_case(&text))
}

/// The hash of the resource as it is written, without what says how to keep it.
fn hash(source: &Source<'_>, out: &Expansion<'_>) -> String {
    let span = source.span;
    let properties = source.properties.entries().iter().map(|entry| {
        let mut entry = entry.clone();
        if RESOLVED.contains(&entry.key.as_str()) {
            entry.value = canonical::resolve(&entry.value, out.context);
        }
        entry
    });
    let mut members = vec![
        build::entry("Type", build::text("AWS::Serverless::LayerVersion", span)),
        build::entry("Properties", build::map(properties, span)),
    ];
    for name in ["Condition", "DependsOn", "UpdatePolicy"] {
        members.extend(source.attribute_entry(name).cloned());
    }
    let resource = build::entry(source.logical_id, build::map(members, span));
    canonical::hash(&canonical::compact(&build::map([resource], span)))
}
