//! Tasks of this repository, run as `cargo xtask TASK`.
//!
//! It is built before anything else: few dependencies, and none of them large.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task speaks to a terminal")]

mod bench;
mod dist;
mod machine;
mod npm;
mod test;
mod tool;
mod venv;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [--yes] [--without TOOL]...   sets up what the tests need, and runs everything
cargo xtask bench [SECTION]...                 whole-process figures, release build
cargo xtask dist [--arch ARCH]... [--verify] [--yes]
                                               the authorizer as zips for AWS Lambda, in target/dist;
                                               --verify builds twice and compares
cargo xtask ci-tools                           installs what only .ci/run needs

TOOL is one of: aws-lambda-ric, awslambdaric, cargo-lambda, certutil, cfn-lint, chromium, moto, node,
                python3, sdk
ARCH is one of: x86_64, arm64; else both
SECTION is one of: connect, echo, http, growth, memory, functions, lambda; else all";

/// Why a task failed, for a person; more than a line where a line to copy helps.
type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if cfg!(windows) {
        eprintln!("Windows is not supported; use Linux, macOS or WSL");
        return ExitCode::FAILURE;
    }
    let done = match words.as_slice() {
        ["test", options @ ..] => match test::Options::parse(options) {
            Ok(options) => test::run(&options),
            Err(complaint) => return usage(&complaint),
        },
        ["dist", options @ ..] => match dist::Options::parse(options) {
            Ok(options) => dist::run(&options),
            Err(complaint) => return usage(&complaint),
        },
        ["bench", sections @ ..] => bench::run_bench(sections),
        ["ci-tools"] => tool::install_cargo_deny(),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => return usage("which task?"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn usage(complaint: &str) -> ExitCode {
    eprintln!("xtask: {complaint}\n\n{USAGE}");
    ExitCode::from(2)
}
