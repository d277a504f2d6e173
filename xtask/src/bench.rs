//! `cargo xtask bench`: whole processes, under load and at their start.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine::{find, root, run, run_in, target};
use crate::tool::Tool;

/// The section that another bench has.
const LAMBDA: &str = "lambda";

/// Measures all `sections`, or those named: the gateway under load, and the starts of the
/// authorizer as a function.
pub(crate) fn run_bench(sections: &[&str]) -> Result<(), Failure> {
    let under_load: Vec<&str> = sections.iter().copied().filter(|name| *name != LAMBDA).collect();
    if sections.is_empty() || !under_load.is_empty() {
        measure_load(&under_load)?;
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
    match node() {
        Ok(node) => bench.env("NODE", node),
        Err(missing) => {
            println!("without Node.js: {missing}");
            bench.env_remove("NODE")
        }
    };
    run(&mut bench)
}

/// The Node.js that can run the authorizer in `bench/node-authorizer`, whose package is installed
/// if it is not.
fn node() -> Result<PathBuf, Failure> {
    let node = Tool::Node.find().ok_or("there is no node in PATH")?;
    let folder = root().join("bench/node-authorizer");
    if !folder.join("node_modules/aws-jwt-verify").is_dir() {
        let npm = find(&["npm"]).ok_or("there is no npm in PATH to install aws-jwt-verify")?;
        run_in(&folder, Command::new(npm).args(["ci", "--no-audit", "--no-fund"]))?;
    }
    Ok(node)
}
