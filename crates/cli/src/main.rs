//! `wsgate`: serves Amazon API Gateway WebSocket APIs on machines you own.

mod arguments;
mod assembly;
mod ca;
mod demo;
mod directory;
mod load;
mod output;
mod serve;
mod token;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Verb};

/// Best memory per idle connection of the allocators that were measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.verb {
        Verb::Ca { verb } => ca::run(&verb),
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::Serve(arguments) => serve::run(&arguments),
        Verb::Token { verb } => token::run(verb),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(error) => {
            output::talk(&format!("error: {error:#}"));
            Exit::Failure.into()
        }
    }
}

/// How a verb ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exit {
    /// 0
    Success,
    /// 1
    Failure,
    /// 3: a template or the configuration was rejected.
    Rejected,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
            Exit::Rejected => Self::from(3),
        }
    }
}
