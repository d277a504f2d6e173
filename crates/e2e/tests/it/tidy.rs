//! Repository rules that the compiler cannot see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

use crate::harness::case;

/// Crates by floor, lowest first; a crate may depend on lower floors only.
///
/// `e2e` and `xtask` are tools: nothing depends on them, they on no floor.
const FLOORS: [&[&str]; 5] = [
    &["authorizer", "jsonpath", "vtl", "websocket"],
    &["api-model", "lambda-host"],
    &["authorizer-lambda", "cloudformation", "demo", "session"],
    &["gateway"],
    &["cli"],
];

/// Crates without I/O, clock or environment: time, bytes and randomness arrive as arguments.
const PURE: [&str; 7] =
    ["api-model", "authorizer", "cloudformation", "jsonpath", "session", "vtl", "websocket"];

/// Dependencies that bring I/O, a runtime, a clock or the environment.
const IMPURE: [&str; 17] = [
    "axum",
    "clap",
    "futures-util",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "mio",
    "moka",
    "notify",
    "rand",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-rustls",
    "tracing",
    "uuid",
];

/// Longest file a reader can hold in mind.
const LINES_MAX: usize = 800;

/// Files that are made, or data: their length is no one's reading.
const LONG_BY_NATURE: [&str; 4] = [
    "Cargo.lock",
    "package-lock.json",
    // What the CDK and SAM's translator made of something short.
    "Chat.template.json",
    "functions.json",
];

#[test]
fn dependencies_only_point_down() {
    for (name, manifest) in manifests() {
        if name == "e2e" || name == "xtask" {
            continue;
        }
        for table in dependency_tables(&manifest, &["dependencies", "build-dependencies"]) {
            for dependency in table.keys().filter_map(|key| own_crate(key)) {
                assert!(floor(dependency) < floor(&name), "{name} must not use {dependency}");
            }
        }
        for table in dependency_tables(&manifest, &["dev-dependencies"]) {
            for dependency in table.keys().filter_map(|key| own_crate(key)) {
                assert!(
                    floor(dependency) <= floor(&name),
                    "{name}'s tests reach up to {dependency}"
                );
            }
        }
    }
}

#[test]
fn nothing_depends_on_the_tools() {
    for (name, manifest) in manifests() {
        for table in dependency_tables(&manifest, &["dependencies", "dev-dependencies"]) {
            for tool in ["wsgate-e2e", "e2e", "xtask"] {
                assert!(!table.contains_key(tool), "{name} depends on {tool}");
            }
        }
    }
}

#[test]
fn pure_crates_depend_on_nothing_impure() {
    let manifests = manifests();
    for name in PURE {
        let manifest = &manifests[name];
        for table in dependency_tables(manifest, &["dependencies", "build-dependencies"]) {
            for dependency in table.keys() {
                assert!(!IMPURE.contains(&dependency.as_str()), "{name} must not use {dependency}");
                if let Some(own) = own_crate(dependency) {
                    assert!(PURE.contains(&own), "{name} must not use {own}, which is not pure");
                }
            }
        }
        let lints = root().join("crates").join(name).join("clippy.toml");
        let lints = fs::read_to_string(&lints).unwrap_or_default();
        assert!(lints.contains("std::time::Instant::now"), "{name} has no clippy.toml of its own");
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for (name, manifest) in manifests() {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(lints.and_then(Value::as_bool), Some(true), "{name} has its own lints");
    }
}

#[test]
fn versions_stand_in_the_workspace_only() {
    for (name, manifest) in manifests() {
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        for table in dependency_tables(&manifest, &kinds) {
            for (dependency, value) in table {
                let shared = value.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(shared, "{name}: write `{dependency}.workspace = true`");
            }
        }
    }
}

#[test]
fn files_are_short() {
    for (path, text) in texts() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !LONG_BY_NATURE.contains(&name) {
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn nothing_is_left_undone() {
    let marks: Vec<String> = [["to", "do!("], ["unimpl", "emented!("], ["db", "g!("]]
        .iter()
        .map(|parts| parts.concat())
        .chain([["#[ig", "nore"].concat(), ["#[should_", "panic"].concat()])
        .collect();
    for (path, text) in rust_texts() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} contains {mark}", path.display());
        }
    }
}

/// Paths of one machine and hosts of package registries make a clone depend on where it is.
#[test]
fn no_place_of_one_machine_is_named() {
    let marks: Vec<String> = [
        ["/wo", "rk/"],
        ["/home", "/runner"],
        ["/root", "/."],
        ["/Use", "rs/"],
        ["static.crates", ".io"],
        ["index.crates", ".io"],
        ["registry.npm", "js.org"],
        ["files.python", "hosted.org"],
        ["deb.deb", "ian.org"],
        ["../sha", "red/"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    for (path, text) in texts() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} names {mark}", path.display());
        }
    }
}

#[test]
fn workspace_crates_have_a_description() {
    for (name, manifest) in manifests() {
        let described = manifest
            .get("package")
            .and_then(|package| package.get("description"))
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty());
        assert!(described || name == "xtask", "{name} has no description");
    }
}

#[test]
fn the_ledger_is_complete() {
    let index = fs::read_to_string(case::folder().join("index.toml")).unwrap();
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(case::folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".case") {
            let text = fs::read_to_string(case::folder().join(&name)).unwrap();
            case::parse(case::folder().join(&name), &text)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            files.insert(name);
        } else {
            assert!(["index.toml", "README.md"].contains(&name.as_str()), "{name} is no case");
        }
    }
    assert_eq!(ledger_errors(&index, &files, has_test), Vec::<String>::new());
}

#[test]
fn the_ledger_check_finds_what_is_wrong() {
    let files = BTreeSet::from(["one.case".to_owned(), "two.case".to_owned()]);
    let index = r#"
        good = { title = "t", evidence = "I", case = "one.case" }
        lost = { title = "t", evidence = "I", case = "three.case" }
        both = { title = "t", evidence = "I", case = "one.case", open = "x" }
        none = { title = "t", evidence = "I" }
        typo = { title = "t", evidence = "I", opne = "x" }
        empty = { title = "t", evidence = "", open = "x" }
        test = { title = "t", evidence = "I", test = "crates/no/such.rs::f" }
        Bad_Id = { title = "t", evidence = "I", open = "x" }
    "#;
    assert_eq!(
        ledger_errors(index, &files, |_| false),
        [
            "Bad_Id: an id is lower-case words joined by hyphens",
            "both: exactly one of case, not_applicable, open, test",
            "empty: evidence is missing",
            "lost: there is no three.case",
            "none: exactly one of case, not_applicable, open, test",
            "test: there is no test crates/no/such.rs::f",
            "typo: unknown key opne",
            "typo: exactly one of case, not_applicable, open, test",
            "two.case: no entry names it",
        ]
    );
}

fn ledger_errors(
    index: &str,
    files: &BTreeSet<String>,
    has_test: impl Fn(&str) -> bool,
) -> Vec<String> {
    let kinds = ["case", "not_applicable", "open", "test"];
    let table: Table = index.parse().unwrap_or_else(|error| panic!("index.toml: {error}"));
    let entries: BTreeMap<_, _> = table.iter().collect();
    let mut errors = Vec::new();
    let mut named = BTreeSet::new();
    for (id, entry) in entries {
        let mut complain = |what: &str| errors.push(format!("{id}: {what}"));
        if !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            complain("an id is lower-case words joined by hyphens");
        }
        let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        for key in entry.as_table().map(Table::keys).into_iter().flatten() {
            if !kinds.contains(&key.as_str()) && key != "title" && key != "evidence" {
                complain(&format!("unknown key {key}"));
            }
        }
        for key in ["title", "evidence"] {
            if text(key).is_none() {
                complain(&format!("{key} is missing"));
            }
        }
        if kinds.iter().filter(|kind| text(kind).is_some()).count() != 1 {
            complain("exactly one of case, not_applicable, open, test");
        }
        if let Some(file) = text("case") {
            named.insert(file.to_owned());
            if !files.contains(file) {
                complain(&format!("there is no {file}"));
            }
        }
        if let Some(test) = text("test").filter(|test| !has_test(test)) {
            complain(&format!("there is no test {test}"));
        }
    }
    errors.extend(files.difference(&named).map(|file| format!("{file}: no entry names it")));
    errors
}

/// Whether `path::name` is a test function of that file.
fn has_test(place: &str) -> bool {
    let Some((path, name)) = place.split_once("::") else { return false };
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = format!("fn {name}(");
    let is_it = |line: &&str| line.trim_start_matches("async ").starts_with(&starts);
    lines.iter().position(is_it).is_some_and(|at| {
        lines[..at].iter().rev().take_while(|line| !line.is_empty()).any(|l| l.contains("test"))
    })
}

fn manifests() -> BTreeMap<String, Table> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.push(root().join("xtask"));
    folders
        .iter()
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            (name, text.parse().unwrap())
        })
        .collect()
}

/// Dependency tables of the named kinds, those of single targets included.
fn dependency_tables<'a>(manifest: &'a Table, kinds: &[&str]) -> Vec<&'a Table> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let places = targets.into_iter().flat_map(|all| all.values()).filter_map(Value::as_table);
    let places: Vec<&Table> = places.chain([manifest]).collect();
    places
        .iter()
        .flat_map(|place| kinds.iter().filter_map(|kind| place.get(*kind)?.as_table()))
        .collect()
}

/// The folder of one of our own crates, whatever form its dependency has.
fn own_crate(dependency: &str) -> Option<&'static str> {
    let name = match dependency {
        "wsgate" => "cli",
        other => other.strip_prefix("wsgate-").unwrap_or(other),
    };
    FLOORS.iter().copied().flatten().copied().find(|own| *own == name)
}

fn floor(name: &str) -> usize {
    let found = FLOORS.iter().position(|floor| floor.contains(&name));
    found.unwrap_or_else(|| panic!("crate {name} has no floor; add it to FLOORS"))
}

fn rust_texts() -> impl Iterator<Item = (PathBuf, String)> {
    texts().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "rs"))
}

/// Every tracked text file with its path from the root.
fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "git lists the tracked files");
    let names = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
    assert!(!names.is_empty(), "there are tracked files");
    names.into_iter().filter_map(|name| {
        let text = fs::read_to_string(root().join(&name)).ok()?;
        Some((PathBuf::from(name), text))
    })
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
