//! Every finding from a template that is otherwise sound, and what is served of it.

mod compat;
mod finding;
mod guard;
mod role;
mod served;
mod service;
mod unique;
mod world;
