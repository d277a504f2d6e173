//! Keeps `docs/configuration.md` and the reader of `wsgate.toml` equal.
//!
//! The readers name the keys they know when they meet one that they do not. So
//! each table of the document gets a key that does not exist, and what the
//! finding lists must be in the document.

use std::collections::BTreeSet;

use api_model::{Diagnostics, Sources};
use authorizer::Config;
use gateway::Settings;
use gateway::settings::{SecretSources, codes};
use toml::{Table, Value};

const DOCUMENT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md"));

/// Stands for every name that the user chooses.
const NAME: &str = "NAME";

/// A key that no table has.
const STRANGER: &str = "no-such-key";

#[test]
fn every_default_shown_is_the_default() {
    let shown = defaults();
    let mut settings = accepted(&shown.to_string());
    let mut built_in = Settings::default();
    // Read by the authorizer itself, and compared there.
    settings.authorizer = Table::new();
    built_in.authorizer = Table::new();
    assert_eq!(format!("{settings:?}"), format!("{built_in:?}"));
}

#[test]
fn every_default_shown_of_the_authorizer_is_the_default() {
    let needed = authorizer_table(&needed_by_the_authorizer());
    let mut shown = authorizer_table(&defaults());
    merge(&mut shown, needed.clone());
    assert_eq!(without_source(&config(shown)), without_source(&config(needed)));
}

#[test]
fn every_example_is_accepted() {
    accepted(&examples().to_string());
    let mut authorizer = authorizer_table(&defaults());
    merge(&mut authorizer, authorizer_table(&examples()));
    config(authorizer);
    let mut delegated = authorizer_table(&delegate());
    delegated.insert("csrf".to_owned(), authorizer_table(&examples())["csrf"].clone());
    config(delegated);
}

#[test]
fn every_key_is_documented() {
    let mut missing = BTreeSet::new();
    for (path, keys) in known_keys() {
        for key in keys {
            let path = join(&path, &key);
            let is_table = tables(&everything()).iter().any(|(table, _)| *table == path);
            let is_listed = is_table || DOCUMENT.contains(&format!("\n| `{path}` |"));
            let is_reserved = not_in_this_version().contains(&format!("`{path}`"));
            if !is_listed && !is_reserved {
                missing.insert(path);
            }
        }
    }
    assert_eq!(missing, BTreeSet::new(), "docs/configuration.md does not explain these");
}

#[test]
fn every_documented_key_exists() {
    let known: BTreeSet<String> = known_keys()
        .into_iter()
        .flat_map(|(path, keys)| keys.into_iter().map(move |key| join(&path, &key)))
        .collect();
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // The table of `csrf.mode` explains values.
    let keys: Vec<&str> = rows.filter(|row| row.contains('.') && *row != "csrf.mode").collect();
    assert!(40 < keys.len(), "the tables were not found");
    for key in keys {
        assert!(known.contains(key), "there is no key `{key}`");
    }
}

/// Every table that a reader checks, with the keys it knows.
fn known_keys() -> Vec<(String, BTreeSet<String>)> {
    let whole = everything();
    let mut list = Vec::new();
    for (path, keys) in tables(&whole) {
        let mut changed = whole.clone();
        set(&mut changed, &keys, STRANGER);
        let (_, findings) = parse(&changed.to_string());
        let told = findings.list.iter().find(|finding| finding.code == codes::UNKNOWN_KEY);
        let own = told.and_then(|finding| finding.hint.as_deref()?.strip_prefix("known here are "));
        let of_authorizer = || {
            let tree = serde_json::to_value(authorizer_table(&changed)).expect("TOML is JSON here");
            let errors = Config::read(&tree).err()?;
            let told = errors.into_iter().find(|error| error.message == "unknown key")?;
            Some(told.hint?.strip_prefix("known here: ")?.to_owned())
        };
        if let Some(keys) = own.map(str::to_owned).or_else(of_authorizer) {
            list.push((path, keys.split(", ").map(str::to_owned).collect()));
        }
    }
    let checked: Vec<&str> = list.iter().map(|(path, _)| path.as_str()).collect();
    for path in ["", "limits", "authorizer", "authorizer.csrf", "functions.NAME", "management.keys"]
    {
        assert!(checked.contains(&path), "{path} is not checked, only {checked:?}");
    }
    list
}

/// Path and place of every table, the root included. Names that the user
/// chooses become [`NAME`].
fn tables(root: &Table) -> Vec<(String, Vec<String>)> {
    let mut found = vec![(String::new(), Vec::new())];
    let mut next = 0;
    while let Some((path, keys)) = found.get(next).cloned() {
        next += 1;
        for (key, value) in table_at(root, &keys) {
            let is_own = matches!(path.as_str(), "authorizers" | "functions");
            let inner = match value {
                Value::Table(_) => true,
                Value::Array(items) => items.first().is_some_and(Value::is_table),
                _ => false,
            };
            if inner {
                let place = keys.iter().chain([key]).cloned().collect();
                found.push((join(&path, if is_own { NAME } else { key }), place));
            }
        }
    }
    found
}

fn table_at<'t>(root: &'t Table, keys: &[String]) -> &'t Table {
    keys.iter().fold(root, |table, key| match &table[key.as_str()] {
        Value::Array(items) => items[0].as_table().expect("a list of tables"),
        value => value.as_table().expect("a table"),
    })
}

fn set(root: &mut Table, keys: &[String], name: &str) {
    let table = keys.iter().fold(root, |table, key| match &mut table[key.as_str()] {
        Value::Array(items) => items[0].as_table_mut().expect("a list of tables"),
        value => value.as_table_mut().expect("a table"),
    });
    table.insert(name.to_owned(), Value::Integer(1));
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Defaults and examples in one.
fn everything() -> Table {
    let mut whole = defaults();
    merge(&mut whole, examples());
    merge(&mut whole, delegate());
    whole
}

/// What cannot stand beside issuers.
fn delegate() -> Table {
    block("With a delegate there are no issuers:")
}

fn defaults() -> Table {
    block("## Defaults")
}

fn examples() -> Table {
    block("## Keys without a default")
}

/// The TOML block below a heading.
fn block(heading: &str) -> Table {
    let (_, rest) = DOCUMENT.split_once(heading).expect("the heading exists");
    let (_, rest) = rest.split_once("```toml\n").expect("a TOML block follows");
    let (text, _) = rest.split_once("```").expect("the block ends");
    text.parse().unwrap_or_else(|error| panic!("{heading}: {error}"))
}

fn not_in_this_version() -> &'static str {
    DOCUMENT.split_once("### Not in this version").expect("the heading exists").1
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// What no authorizer can do without.
fn needed_by_the_authorizer() -> Table {
    let mut authorizer = Table::new();
    let examples = authorizer_table(&examples());
    authorizer.insert("issuers".to_owned(), examples["issuers"].clone());
    let secret = examples["csrf"]["secret"].clone();
    authorizer.insert("csrf".to_owned(), Table::from_iter([("secret".to_owned(), secret)]).into());
    Table::from_iter([("authorizer".to_owned(), authorizer.into())])
}

fn authorizer_table(document: &Table) -> Table {
    document["authorizer"].as_table().expect("[authorizer] is a table").clone()
}

#[track_caller]
fn config(table: Table) -> Config {
    let tree = serde_json::to_value(table).expect("TOML is JSON here");
    let (config, _) = Config::read(&tree).unwrap_or_else(|errors| panic!("{errors:#?}"));
    config
}

/// Without the text it was read from.
fn without_source(config: &Config) -> String {
    let shown = format!("{config:?}");
    let (settings, _) = shown.split_once(", text: ").expect("the text is shown");
    settings.to_owned()
}

#[track_caller]
fn accepted(text: &str) -> Settings {
    let (settings, findings) = parse(text);
    assert!(!findings.has_errors(), "{:#?}", findings.list);
    settings
}

fn parse(text: &str) -> (Settings, Diagnostics) {
    struct Nothing;
    impl SecretSources for Nothing {
        fn environment(&self, _: &str) -> Option<String> {
            None
        }
        fn file(&self, _: &str) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }
    Settings::parse(&mut Sources::default(), Some(("wsgate.toml", text)), &[], &Nothing)
}
