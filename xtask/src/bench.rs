//! `cargo xtask bench`: the whole process under load.

use std::process::Command;

use crate::Failure;
use crate::machine::{run, target};

/// Builds the gateway for release and measures it beside bare peers: all
/// `sections`, or those named.
pub(crate) fn run_bench(sections: &[&str]) -> Result<(), Failure> {
    run(Command::new("cargo").args(["build", "--release", "--package", "wsgate"]))?;
    run(Command::new("cargo")
        .args(["bench", "--package", "wsgate-e2e", "--bench", "process", "--"])
        .args(sections)
        .env("WSGATE_BIN", target().join("release/wsgate")))
}
