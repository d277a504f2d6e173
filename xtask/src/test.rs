//! `cargo xtask test`: everything that must hold, in one command.

use std::process::Command;

use crate::Failure;
use crate::machine::{self, answers, target};
use crate::tool::{self, Tool};

/// What the caller asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Install without asking.
    yes: bool,
    /// Tools whose tests the caller leaves out, by name.
    without: Vec<Tool>,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--yes" | "-y" => options.yes = true,
                "--without" => {
                    let name = words.next().ok_or("--without what?")?;
                    let tool = Tool::OF_TESTS.into_iter().find(|tool| tool.name() == *name);
                    options.without.push(tool.ok_or_else(|| format!("no tool is called {name}"))?);
                }
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(options)
    }
}

/// Sets up, builds once, and runs every test.
pub(crate) fn run_everything(options: &Options) -> Result<(), Failure> {
    set_up(options)?;
    machine::run(&mut cargo(&["build", "--package", "wsgate"]))?;
    // Apart from it: together, the gateway would have the features of the function.
    let function = ["build", "--package", "wsgate-authorizer-lambda", "--bin", "bootstrap"];
    machine::run(&mut cargo(&function))?;
    machine::run(&mut example())?;
    // The counts that matter come last.
    machine::run(prepare(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]), options))?;
    let mut tests = if answers("cargo", &["nextest", "--version"]) {
        cargo(&["nextest", "run", "--workspace", "--no-fail-fast"])
    } else {
        cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    machine::run(prepare(&mut tests, options))
}

/// [`run_everything`], and in any case a word on what was left out.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let done = run_everything(options);
    for tool in &options.without {
        println!("left out, as asked: {} ({})", tool.name(), tool.purpose());
    }
    done
}

fn set_up(options: &Options) -> Result<(), Failure> {
    let wanted = Tool::OF_TESTS.into_iter().filter(|tool| !options.without.contains(tool));
    tool::provide(&wanted.collect::<Vec<_>>(), options.yes, |missing| ways_on(options, missing))
}

/// Complete lines to copy.
fn ways_on(options: &Options, missing: &[Tool]) -> String {
    let without: String = options
        .without
        .iter()
        .chain(missing)
        .map(|tool| format!(" --without {}", tool.name()))
        .collect();
    format!(
        "to install them:   cargo xtask test --yes\nto leave them out: cargo xtask test{without}"
    )
}

/// Tells the tests what to run, and what not.
fn prepare<'a>(command: &'a mut Command, options: &Options) -> &'a mut Command {
    command.env("WSGATE_BIN", target().join("debug/wsgate"));
    command.env("BOOTSTRAP_BIN", target().join("debug/bootstrap"));
    for tool in Tool::OF_TESTS {
        if let Some(path) = tool.find() {
            command.env(tool.variable(), path);
        }
    }
    let without: Vec<&str> = options.without.iter().map(|tool| tool.name()).collect();
    command.env("WSGATE_TEST_WITHOUT", without.join(","))
}

/// Builds what the test of the example in Rust takes from there, with the same settings: beside
/// the tests it would take a minute.
fn example() -> Command {
    let mut build = cargo(&["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    build.arg("examples/rust-bootstrap/Cargo.toml");
    build.env("CARGO_TARGET_DIR", target().join("examples"));
    build.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    build
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_words() {
        let options = Options::parse(&["--yes", "--without", "chromium"]).unwrap();
        assert!(options.yes);
        assert_eq!(options.without, [Tool::Chromium]);
        for wrong in [["--without"].as_slice(), &["--without", "x"], &["--all"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_way_on_is_a_complete_line() {
        let options = Options { yes: false, without: vec![Tool::CfnLint] };
        let ways = ways_on(&options, &[Tool::Chromium, Tool::Certutil]);
        let line = "cargo xtask test --without cfn-lint --without chromium --without certutil";
        assert!(ways.contains(line), "{ways}");
    }
}
