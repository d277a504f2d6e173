//! The back end over real HTTP, with a gateway that only takes notes.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod account;
mod edge;
mod hook;
mod world;
