//! Case files: one behaviour each, read, played and compared.
//!
//! `cases/README.md` describes the format for those who write cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::function::{self, Exchange};
use super::gateway::{Gateway, Setup};
use super::script::{Script, play};
use super::secrets::Secrets;
use super::sign::Key;
use super::{backend, template, token};

/// A case file taken apart; the sections as they stand.
#[derive(Debug)]
pub(crate) struct Case {
    path: PathBuf,
    /// Everything before the section `session`, itself included.
    head: String,
    sections: BTreeMap<String, String>,
}

/// Reads the case `name`, without its ending.
pub(crate) fn load(name: &str) -> Case {
    let path = folder().join(format!("{name}.case"));
    let text = fs::read_to_string(&path).expect("the case file exists");
    parse(path, &text).unwrap_or_else(|error| panic!("{name}.case: {error}"))
}

/// Where the case files are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Takes a case file apart; the error says what is wrong with it.
pub(crate) fn parse(path: PathBuf, text: &str) -> Result<Case, String> {
    if !text.starts_with("source: ") {
        return Err("the first line must be `source: …`".to_owned());
    }
    let mut sections = BTreeMap::new();
    let mut head = String::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("==== ") {
            let known = ["template", "config", "functions", "backend", "keys", "serve", "session"];
            if !known.contains(&name) {
                return Err(format!("unknown section {name}"));
            }
            if sections.insert(name.to_owned(), String::new()).is_some() {
                return Err(format!("section {name} stands twice"));
            }
            current = Some(name.to_owned());
        } else if let Some(section) = current.as_ref().and_then(|name| sections.get_mut(name)) {
            section.push_str(line);
            section.push('\n');
        }
        if current.as_deref() != Some("session") || line == "==== session" {
            head.push_str(line);
            head.push('\n');
        }
    }
    for required in ["template", "session"] {
        if !sections.contains_key(required) {
            return Err(format!("section {required} is missing"));
        }
    }
    Ok(Case { path, head, sections })
}

impl Case {
    fn section(&self, name: &str) -> &str {
        self.sections.get(name).map_or("", String::as_str)
    }

    /// Plays the case and compares the transcript, or rewrites it under
    /// `UPDATE_EXPECT`.
    pub(crate) fn check(&self) {
        let secrets = Arc::new(Secrets::default());
        let talk = Arc::new(Exchange::default());
        let backend = backend::start(self.section("backend"));
        let local = |text: &str| text.replace("{{backend}}", &backend.address.to_string());
        let template = template::expand(&local(self.section("template")));
        let rules = function::parse_rules(self.section("functions"));
        let functions: BTreeMap<_, _> = template
            .functions
            .iter()
            .map(|name| (name.clone(), function::start(name, &rules, &talk)))
            .collect();
        let mut setup = Setup {
            templates: vec![("case.yaml".to_owned(), template.text)],
            config: local(self.section("config")),
            arguments: self.section("serve").split_whitespace().map(str::to_owned).collect(),
            ..Setup::default()
        };
        for (name, server) in &functions {
            setup.config += &format!("[functions.{name}]\nurl = \"http://{}\"\n", server.address);
        }
        let keys = add_keys(&mut setup, self.section("keys"), &secrets);
        let vars = add_secrets(&mut setup, &secrets);
        let gateway = Gateway::start(&setup, Arc::clone(&secrets)).unwrap_or_else(|refused| {
            panic!("wsgate did not start, exit {:?}:\n{}", refused.code, refused.stderr)
        });
        talk.lock().callback = Some((gateway.listen, keys["admin"].clone()));
        let script = Script { gateway, functions, backend, keys, talk, vars };
        let (transcript, stderr) = play(script, self.section("session"));
        let leaks = secrets.leaks();
        assert!(leaks.is_empty(), "secrets were seen: {leaks:#?}");
        self.compare(&transcript, &stderr);
    }

    fn compare(&self, transcript: &str, stderr: &str) {
        let want = self.section("session");
        if transcript.trim_end() == want.trim_end() {
            return;
        }
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let text = format!("{}{}\n", self.head, transcript.trim_end());
            return fs::write(&self.path, text).expect("the case file is writable");
        }
        panic!(
            "{} differs (UPDATE_EXPECT=1 rewrites it):\n{}\nwhat the gateway said:\n{stderr}",
            self.path.display(),
            difference(want.trim_end(), transcript.trim_end())
        );
    }
}

/// Adds the key `admin`, and those of a `keys` section: `NAME STATEMENTS-AS-JSON`.
fn add_keys(setup: &mut Setup, section: &str, secrets: &Secrets) -> BTreeMap<String, Key> {
    let admin = r#"admin [{"Effect":"Allow","Action":"execute-api:*","Resource":"*"}]"#;
    let lines = section.lines().filter(|line| !line.trim().is_empty()).chain([admin]);
    let mut keys = BTreeMap::new();
    for line in lines {
        let (name, statements) = line.split_once(' ').expect("NAME STATEMENTS");
        let statements: Value = serde_json::from_str(statements).expect("statements are JSON");
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": statements });
        let policy = toml::Value::try_from(policy).expect("a policy has no null");
        let id = format!("AKIA{}", name.to_uppercase());
        let variable = format!("HARNESS_KEY_{}", name.to_uppercase());
        let secret = secrets.register(&format!("secret of key {name}"), &token::random_hex());
        setup.config += &format!(
            "[[management.keys]]\nid = \"{id}\"\nsecret = \"env:{variable}\"\npolicy = {policy}\n"
        );
        setup.environment.push((variable, secret.clone()));
        keys.insert(name.to_owned(), Key { id, secret });
    }
    // A key that no gateway knows.
    let secret = secrets.register("secret of key stranger", &token::random_hex());
    keys.insert("stranger".to_owned(), Key { id: "AKIASTRANGER".to_owned(), secret });
    keys
}

/// Makes the secrets `jwt` and `csrf`, in the environment as `HARNESS_JWT` and `HARNESS_CSRF`.
fn add_secrets(setup: &mut Setup, secrets: &Secrets) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    for name in ["jwt", "csrf"] {
        let value = secrets.register(&format!("{name} secret"), &token::random_hex());
        setup.environment.push((format!("HARNESS_{}", name.to_uppercase()), value.clone()));
        vars.insert(name.to_owned(), value);
    }
    vars
}

/// Both texts by line: `-` wanted, `+` seen, after the last equal line.
fn difference(want: &str, seen: &str) -> String {
    let (want, seen): (Vec<_>, Vec<_>) = (want.lines().collect(), seen.lines().collect());
    let same = want.iter().zip(&seen).take_while(|(a, b)| a == b).count();
    let tail = want[same..]
        .iter()
        .rev()
        .zip(seen[same..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut text = String::new();
    for line in &want[same.saturating_sub(3)..same] {
        text += &format!("  {line}\n");
    }
    for line in &want[same..want.len() - tail] {
        text += &format!("- {line}\n");
    }
    for line in &seen[same..seen.len() - tail] {
        text += &format!("+ {line}\n");
    }
    text
}
