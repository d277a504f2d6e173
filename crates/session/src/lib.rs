//! One WebSocket connection of an API: handshake, routing, mapping, replies,
//! timers and the failure table. No I/O, no clock, no task.
//!
//! The order of an operation is always the same: an [`Operation`] is made,
//! [`route::select`] finds its route, [`integration::call`] says what to ask,
//! the gateway asks, and [`integration::reply`] says what the answer means.
//! [`Session`] holds the state of an open connection between operations.

pub mod connection;
pub mod error;
pub mod event;
pub mod handshake;
pub mod identity;
pub mod integration;
pub mod mapping;
pub mod renewal;
pub mod route;
mod session;
pub mod text;
mod unique;

pub use connection::{Authorized, Connection, Handshake, Id, Kind, Operation, RouteKey};
pub use error::{CloseCause, Failure};
pub use renewal::{Renewal, Renewed};
pub use session::{Environment, Invocation, Limits, Session, Work};

#[cfg(test)]
mod tests;
