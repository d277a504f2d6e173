//! Functions as processes of this machine, seen from outside.
#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod bounds;
mod crash;
mod files;
mod harness;
mod lifecycle;
mod node;
mod output;
mod python;
mod redirect;
mod runtime_api;
