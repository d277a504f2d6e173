//! `cargo xtask bench`: whole processes, under load and at their start.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine::{find, root, run, run_in, target};
use crate::tool::Tool;

/// The section of starts, which another bench has.
const LAMBDA: &str = "lambda";

/// The section of functions on this machine, which another bench has.
const FUNCTIONS: &str = "functions";

/// Measures all `sections`, or those named: the gateway under load, functions on this machine, and
/// the starts of the authorizer as a function.
pub(crate) fn run_bench(sections: &[&str]) -> Result<(), Failure> {
    let others = [FUNCTIONS, LAMBDA];
    let under_load: Vec<&str> =
        sections.iter().copied().filter(|name| !others.contains(name)).collect();
    if sections.is_empty() || !under_load.is_empty() {
        measure_load(&under_load)?;
    }
    if sections.is_empty() || sections.contains(&FUNCTIONS) {
        measure_functions()?;
    }
    if sections.is_empty() || sections.contains(&LAMBDA) {
        measure_starts()?;
    }
    Ok(())
}

/// Builds the gateway for release and measures it beside bare peers.
fn measure_load(sections: &[&str]) -> Result<(), Failure> {
    run(Command::new("cargo").args(["build", "--release", "--package", "wsgate"]))?;
    run(Command::new("cargo")
        .args(["bench", "--package", "wsgate-e2e", "--bench", "process", "--"])
        .args(sections)
        .env("WSGATE_BIN", target().join("release/wsgate")))
}

/// Builds the gateway for release and measures what functions behind it cost: native ones, and
/// those for Node.js, also beside another program that runs them, where these are installed.
fn measure_functions() -> Result<(), Failure> {
    run(Command::new("cargo").args(["build", "--release", "--package", "wsgate"]))?;
    let mut bench = Command::new("cargo");
    bench.args(["bench", "--package", "wsgate-e2e", "--bench", FUNCTIONS]);
    bench.env("WSGATE_BIN", target().join("release/wsgate"));
    let peer = "serverless-offline";
    set_or_tell(&mut bench, "NODE", found(Tool::Node));
    set_or_tell(&mut bench, "SERVERLESS_OFFLINE", packages(peer, peer));
    set_or_tell(&mut bench, Tool::Moto.variable(), found(Tool::Moto));
    run(&mut bench)
}

/// Builds `bootstrap` as it is shipped and measures its start beside a function that decides
/// nothing, and beside the same rules in Node.js where that is installed.
fn measure_starts() -> Result<(), Failure> {
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", "dist", "--package", "wsgate-authorizer-lambda"]);
    run(build.args(["--bin", "bootstrap", "--example", "bare"]))?;
    let mut bench = Command::new("cargo");
    bench.args(["bench", "--package", "wsgate-e2e", "--bench", LAMBDA]);
    bench.env("BOOTSTRAP_BIN", target().join("dist/bootstrap"));
    bench.env("BARE_BIN", target().join("dist/examples/bare"));
    set_or_tell(&mut bench, "NODE", node());
    run(&mut bench)
}

/// Tells `bench` where something is, or the caller why rows will be missing.
fn set_or_tell(bench: &mut Command, variable: &str, found: Result<PathBuf, Failure>) {
    match found {
        Ok(path) => bench.env(variable, path),
        Err(missing) => {
            println!("without {variable}: {missing}");
            bench.env_remove(variable)
        }
    };
}

/// The Node.js that can run the authorizer in `bench/node-authorizer`.
fn node() -> Result<PathBuf, Failure> {
    let node = found(Tool::Node)?;
    packages("node-authorizer", "aws-jwt-verify")?;
    Ok(node)
}

fn found(tool: Tool) -> Result<PathBuf, Failure> {
    tool.find().ok_or_else(|| format!("{} is not installed", tool.name()))
}

/// The packages of the folder `name` in `bench`, which are installed if `wanted` is not there.
fn packages(name: &str, wanted: &str) -> Result<PathBuf, Failure> {
    let folder = root().join("bench").join(name);
    let modules = folder.join("node_modules");
    if !modules.join(wanted).is_dir() {
        let npm = find(&["npm"]).ok_or_else(|| format!("no npm in PATH to install {wanted}"))?;
        run_in(&folder, Command::new(npm).args(["ci", "--no-audit", "--no-fund"]))?;
    }
    Ok(modules)
}
