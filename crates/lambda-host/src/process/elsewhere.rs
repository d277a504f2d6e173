//! What there is instead of `/proc` on systems without it.

use std::net::SocketAddr;

use rustix::process::Pid;

/// A process that leaves its group stays.
pub(crate) fn sweep(_mark: &str) {}

/// Nothing tells who holds a socket.
pub(crate) fn is_held_by(_peer: SocketAddr, _local: SocketAddr, _leader: Pid) -> bool {
    true
}
