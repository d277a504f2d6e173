//! The gateway: sockets, TLS, integrations, `@connections`, and everything that
//! connections share.
//!
//! The ways through the house, by module:
//!
//! ```text
//! connect   listener → front → router → connect → authorize → socket
//! message   socket → session → client → socket
//! push      front → management → registry → socket
//! close     socket → connect::ask ($disconnect) → registry
//! ```

pub mod admin;
mod admission;
mod authorize;
mod aws;
pub mod ca;
pub mod cache;
pub mod client;
mod clock;
mod connect;
mod front;
pub mod function;
pub mod id;
pub mod journal;
pub mod listener;
pub mod local;
mod management;
pub mod provision;
mod queue;
mod registry;
mod renewal;
mod revocation;
pub mod router;
pub mod server;
pub mod settings;
pub mod sigv4;
pub mod snapshot;
mod socket;
mod ssm;
mod stream;
pub mod throttle;

pub use server::{Gateway, Server};
pub use settings::Settings;
pub use snapshot::{Lenders, Snapshot};
