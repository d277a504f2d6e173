//! Functions as processes of this machine, seen from outside.

mod bounds;
mod crash;
mod harness;
mod lifecycle;
mod output;
mod runtime_api;
