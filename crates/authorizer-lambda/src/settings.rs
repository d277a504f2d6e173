//! Configuration and keys, from the layers in which an operator writes them.
//!
//! The environment of the function comes first: `WSGATE_AUTHORIZER_TOML` (a document with
//! `[authorizer…]` tables) or `WSGATE_AUTHORIZER_SSM` (the name of a parameter that holds one),
//! then `WSGATE_AUTHORIZER__SECTION__KEY` (lists and tables as JSON). Layers of a gateway override
//! it: tables are merged, anything else is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use authorizer::config::{KeySpec, Source};
use authorizer::key::KEYS_MAX;
use authorizer::{Config, ConfigError, Warning};
use serde_json::{Map, Value};

use crate::handler::Handler;
use crate::source::{self, Sources};

/// What [`load`] made.
#[derive(Debug)]
pub struct Loaded {
    /// The function, ready.
    pub handler: Handler,
    /// What the operator should know, although it is allowed.
    pub warnings: Vec<Warning>,
}

/// Reads configuration and keys, and reports every error at once.
///
/// `environment` is that of the function; variables that do not begin with `WSGATE_AUTHORIZER` are
/// not looked at. `layers` are the contents of `[authorizer]` tables, each overriding those before.
/// `now` in epoch seconds.
pub async fn load(
    environment: &BTreeMap<String, String>,
    layers: &[&toml::Table],
    sources: Arc<dyn Sources>,
    now: u64,
) -> Result<Loaded, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut tree = read_document(environment, &*sources, &mut errors).await;
    apply_variables(environment, &mut tree, &mut errors);
    for layer in layers {
        merge(&mut tree, from_toml_table(layer));
    }
    if !errors.is_empty() {
        // What the document says may be missing in the tree: only what is surely wrong is told.
        return Err(errors);
    }
    let tree = Value::Object(tree);
    let (config, mut warnings) = match Config::read(&tree) {
        Ok(read) => read,
        Err(mut errors) => {
            errors.extend(unreadable(&tree, &*sources).await);
            return Err(errors);
        }
    };
    let (handler, more) = Handler::load(config, sources, now).await?;
    warnings.extend(more);
    Ok(Loaded { handler, warnings })
}

/// What cannot be read of what a broken configuration names, so that one start tells that too.
/// Nothing is fetched from issuers.
async fn unreadable(tree: &Value, sources: &dyn Sources) -> Vec<ConfigError> {
    let mut named = Vec::new();
    let issuers = tree.get("issuers").and_then(Value::as_array).into_iter().flatten();
    for (n, issuer) in issuers.enumerate() {
        let keys = issuer.get("keys").and_then(Value::as_array).into_iter().flatten();
        for (m, key) in keys.enumerate() {
            if let Some(KeySpec::Static(_, source)) = key.as_str().and_then(KeySpec::parse) {
                named.push((format!("authorizer.issuers[{n}].keys[{m}]"), source));
            }
        }
    }
    let secret = tree.pointer("/csrf/secret").and_then(Value::as_str).and_then(Source::parse);
    named.extend(secret.map(|source| ("authorizer.csrf.secret".to_owned(), source)));
    let mut errors = Vec::new();
    // As many as a valid configuration could name.
    for (path, source) in named.into_iter().take(2 * KEYS_MAX) {
        if let Err(message) = source::read(&source, sources).await {
            errors.push(ConfigError::new(path, message));
        }
    }
    errors
}

const PREFIX: &str = "WSGATE_AUTHORIZER";
const DOCUMENT: &str = "WSGATE_AUTHORIZER_TOML";
const DOCUMENT_PARAMETER: &str = "WSGATE_AUTHORIZER_SSM";

async fn read_document(
    environment: &BTreeMap<String, String>,
    sources: &dyn Sources,
    errors: &mut Vec<ConfigError>,
) -> Map<String, Value> {
    let (path, text) = match (environment.get(DOCUMENT), environment.get(DOCUMENT_PARAMETER)) {
        (None, None) => return Map::new(),
        (Some(text), None) => (DOCUMENT, text.clone()),
        (None, Some(name)) => match read_parameter(name, sources).await {
            Ok(text) => (DOCUMENT_PARAMETER, text),
            Err(message) => {
                errors.push(ConfigError::new(DOCUMENT_PARAMETER, message));
                return Map::new();
            }
        },
        (Some(_), Some(_)) => {
            let message = format!("{DOCUMENT} and {DOCUMENT_PARAMETER} are both set");
            errors.push(ConfigError::new(DOCUMENT_PARAMETER, message).with_hint("one of them"));
            return Map::new();
        }
    };
    parse_document(path, &text).unwrap_or_else(|wrong| {
        errors.extend(wrong);
        Map::new()
    })
}

async fn read_parameter(name: &str, sources: &dyn Sources) -> Result<String, String> {
    let content = source::read(&Source::Ssm(name.to_owned()), sources).await?;
    String::from_utf8(content.bytes.expose().to_vec()).map_err(|_| "is not text".to_owned())
}

/// The `[authorizer]` table of a document, which must hold nothing else.
fn parse_document(path: &str, text: &str) -> Result<Map<String, Value>, Vec<ConfigError>> {
    let document: toml::Table = toml::from_str(text).map_err(|error| {
        // Not `Display`, which quotes the line.
        let line = error.span().map_or(0, |span| {
            text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
        });
        vec![ConfigError::new(path, format!("is not TOML, line {line}"))]
    })?;
    let mut tree = from_toml_table(&document);
    let authorizer = tree.shift_remove("authorizer");
    let errors: Vec<_> = tree
        .keys()
        .map(|key| {
            ConfigError::new(key, format!("unknown key in {path}"))
                .with_hint("the document holds [authorizer] tables and nothing else")
        })
        .collect();
    match authorizer {
        _ if !errors.is_empty() => Err(errors),
        Some(Value::Object(table)) => Ok(table),
        Some(_) => Err(vec![ConfigError::new("authorizer", "must be a table")]),
        None => Ok(Map::new()),
    }
}

/// Keys whose values are lists or tables.
const STRUCTURED: [&str; 11] = [
    "context_claims",
    "cookies",
    "issuers",
    "origins",
    "protocol_markers",
    "protocol_prefixes",
    "report_only",
    "required_claims",
    "required_scopes",
    "sources",
    "submit",
];
/// Keys whose values are true or false.
const FLAGS: [&str; 2] = ["origin_wildcards", "protocol_bare"];

fn apply_variables(
    environment: &BTreeMap<String, String>,
    tree: &mut Map<String, Value>,
    errors: &mut Vec<ConfigError>,
) {
    // Keys have no case, names of variables do: two of them may mean one setting.
    let mut seen = BTreeSet::new();
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if name == DOCUMENT || name == DOCUMENT_PARAMETER {
            continue;
        }
        let Some(keys) = rest.strip_prefix("__").map(str::to_ascii_lowercase) else {
            errors.push(
                ConfigError::new(name, "unknown variable").with_hint(format!(
                    "{DOCUMENT}, {DOCUMENT_PARAMETER} or {PREFIX}__SECTION__KEY"
                )),
            );
            continue;
        };
        let keys: Vec<_> = keys.split("__").collect();
        let path = format!("authorizer.{}", keys.join("."));
        if !seen.insert(path.clone()) {
            let error = ConfigError::new(path, "is set by two variables");
            errors.push(error.with_hint(format!("{name} is one of them")));
            continue;
        }
        let set = typed(keys[keys.len() - 1], text)
            .and_then(|value| place(tree, &keys, value).ok_or("is not a table"));
        if let Err(message) = set {
            let hint = format!("set by the variable {name}");
            errors.push(ConfigError::new(path, message).with_hint(hint));
        }
    }
}

/// The value that the text of a variable stands for, by its key.
fn typed(key: &str, text: &str) -> Result<Value, &'static str> {
    if STRUCTURED.contains(&key) {
        let value: Value = serde_json::from_str(text).map_err(|_| "must be JSON")?;
        return if value.is_array() || value.is_object() {
            Ok(value)
        } else {
            Err("must be a list")
        };
    }
    if FLAGS.contains(&key) {
        return text.parse::<bool>().map(Value::from).map_err(|_| "must be true or false");
    }
    match text.parse::<u64>() {
        Ok(number) if key.ends_with("bytes_max") => Ok(number.into()),
        _ => Ok(text.into()),
    }
}

fn place(tree: &mut Map<String, Value>, keys: &[&str], value: Value) -> Option<()> {
    let (last, sections) = keys.split_last()?;
    let mut table = tree;
    for section in sections {
        let entry = table.entry(*section).or_insert_with(|| Value::Object(Map::new()));
        table = entry.as_object_mut()?;
    }
    table.insert((*last).to_owned(), value);
    Some(())
}

fn merge(tree: &mut Map<String, Value>, layer: Map<String, Value>) {
    for (key, value) in layer {
        match (tree.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => drop(tree.insert(key, value)),
        }
    }
}

fn from_toml_table(table: &toml::Table) -> Map<String, Value> {
    table.iter().map(|(key, value)| (key.clone(), from_toml(value))).collect()
}

/// The same tree in JSON. Dates become lists with an object and non-finite numbers null: no setting
/// is like that, so that they end as errors.
fn from_toml(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => serde_json::json!([{ "date": date.to_string() }]),
        toml::Value::Array(items) => items.iter().map(from_toml).collect(),
        toml::Value::Table(table) => Value::Object(from_toml_table(table)),
    }
}

#[cfg(test)]
mod tests;
