//! `AutoPublishAlias`: the version and the alias of a function ([page]).
//!
//! [page]: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/automating-updates-to-serverless-apps.html

use api_model::{Entry, Node, Value};

use super::{Expansion, Source, build, canonical};
use crate::document::excerpt;
use crate::transform::Context;

/// What a function publishes.
pub(super) struct Published {
    /// Logical id of the alias.
    pub(super) alias: String,
    /// Logical id of the version.
    version: String,
    /// `Name` of the alias.
    name: Node,
}

/// Longest name of an alias; Lambda's own limit.
const ALIAS_CHARS_MAX: usize = 128;

/// Names version and alias of a function with these Lambda properties; nothing
/// if it publishes none, or after a finding.
pub(super) fn publish(
    source: &Source<'_>,
    properties: &[Entry],
    out: &mut Expansion<'_>,
) -> Option<Published> {
    let node = source.given("AutoPublishAlias")?;
    let known = out.context.known(node).map(std::borrow::Cow::into_owned);
    let name = match known.as_ref().map(|node| &node.value) {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Unresolved) => return None,
        _ => {
            let message =
                "`AutoPublishAlias` must be a string, or `!Ref` of a parameter that is no secret";
            out.refuse(source, "AutoPublishAlias", node.span, message);
            return None;
        }
    };
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if name.is_empty()
        || name.len() > ALIAS_CHARS_MAX
        || !is_word
        || name.bytes().all(|b| b.is_ascii_digit())
    {
        let message = format!("`{}` is no name of an alias", excerpt(&name));
        out.refuse(source, "AutoPublishAlias", node.span, message)
            .hint("use up to 128 letters, digits, `-` and `_`, and not digits alone");
        return None;
    }
    if let Some(node) = source.given("AutoPublishCodeSha256")
        && out.context.known(node).is_none()
    {
        let message =
            "`AutoPublishCodeSha256` must be a string, or `!Ref` of a parameter that is no secret";
        out.refuse(source, "AutoPublishCodeSha256", node.span, message);
    }
    let id = source.logical_id;
    let alias = format!("{id}Alias{}", name.replace('-', "D").replace('_', "U"));
    let hash = content_hash(source, properties, out.context);
    let version = format!("{id}Version{hash}");
    out.refer(source, "Alias", &alias);
    out.refer(source, "Version", &version);
    Some(Published { alias, version, name: build::text(name, node.span) })
}

/// `AutoPublishCodeSha256` becomes part of the description, since Lambda makes
/// no version of a function that has not changed.
pub(super) fn describe(source: &Source<'_>, properties: &mut Vec<Entry>, context: &Context) {
    let sha = source.given("AutoPublishCodeSha256").and_then(|node| context.known(node));
    let (Some(sha), Some(_)) = (sha, source.given("AutoPublishAlias")) else {
        return;
    };
    let given = source.given("Description");
    let known = given.and_then(|node| context.known(node));
    let description = match (known.as_deref().and_then(Node::as_text), given) {
        (Some(text), _) if !text.is_empty() => {
            let sha = sha.as_text().unwrap_or_default();
            build::text(format!("{text} {sha}"), source.span)
        }
        (None, Some(given)) => {
            let parts = build::list([given.clone(), sha.into_owned()], given.span);
            let joined = build::list([build::text(" ", given.span), parts], given.span);
            build::call("Fn::Join", joined)
        }
        _ => sha.into_owned(),
    };
    properties.retain(|entry| entry.key != "Description");
    properties.push(build::entry("Description", description));
}

/// Changes when what is published does.
fn content_hash(source: &Source<'_>, properties: &[Entry], context: &Context) -> String {
    let given = source.given("AutoPublishCodeSha256").and_then(|node| context.known(node));
    if let Some(sha) = given.as_deref().and_then(Node::as_text) {
        return sha
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(canonical::HASH_CHARS)
            .collect();
    }
    let of = |name: &str| properties.iter().find(|entry| entry.key == name);
    let is_whole = source.given("AutoPublishAliasAllProperties").and_then(Node::as_text);
    if is_whole.is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
        let resolved = properties.iter().map(|entry| {
            let mut entry = entry.clone();
            if entry.key == "Code" {
                entry.value = canonical::resolve(&entry.value, context);
            }
            entry
        });
        let all = build::map(resolved, source.span);
        return canonical::hash(&canonical::compact(&all));
    }
    let mut members = match of("Code").map(|entry| entry.value.clone()) {
        Some(Node { value: Value::Map(members), .. }) => members,
        Some(path) => vec![build::entry("Path", path)],
        None => Vec::new(),
    };
    for member in &mut members {
        member.value = canonical::resolve(&member.value, context);
    }
    members
        .extend(of("Environment").map(|entry| entry.value.entries().to_vec()).unwrap_or_default());
    members.extend(of("MemorySize").filter(|_| source.given("MemorySize").is_some()).cloned());
    let snap_start = of("SnapStart").filter(|entry| {
        let on = entry.value.find("ApplyOn").and_then(Node::as_text);
        on.is_some_and(|on| on != "None")
    });
    members.extend(snap_start.cloned());
    canonical::hash(&canonical::compact(&build::map(members, source.span)))
}

impl Published {
    /// Adds version and alias to the template.
    pub(super) fn add_to(self, source: &Source<'_>, out: &mut Expansion<'_>) {
        let span = source.span;
        let function = || build::entry("FunctionName", build::reference(source.logical_id, span));
        let mut kept = source.inherited();
        if !kept.iter().any(|entry| entry.key == "DeletionPolicy") {
            let policy = source.given("VersionDeletionPolicy").cloned();
            let policy = policy.unwrap_or_else(|| build::text("Retain", span));
            kept.push(build::entry("DeletionPolicy", policy));
        }
        let mut version = vec![function()];
        let description = source.given("VersionDescription").cloned();
        version.extend(description.map(|node| build::entry("Description", node)));
        out.add(source, &self.version, "AWS::Lambda::Version", version, kept);
        let number = build::attribute(&self.version, "Version", span);
        let mut alias = vec![
            build::entry("Name", self.name),
            function(),
            build::entry("FunctionVersion", number),
        ];
        let provisioned = source.given("ProvisionedConcurrencyConfig").cloned();
        alias.extend(provisioned.map(|node| build::entry("ProvisionedConcurrencyConfig", node)));
        out.add(source, &self.alias, "AWS::Lambda::Alias", alias, source.inherited());
    }
}
