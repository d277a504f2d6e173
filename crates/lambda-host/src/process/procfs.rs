//! What `/proc` tells about processes and their sockets.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::LOG_STREAM;

/// Kills every process whose log stream, by its environment, has `mark` in its name. Reads every
/// process of this user once: a few milliseconds.
pub(crate) fn sweep(mark: &str) {
    let own = std::process::id();
    for pid in pids().filter(|pid| pid.as_raw_nonzero().get().unsigned_abs() != own) {
        // Opened before its environment is read, so that the signal reaches this very process.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let environment = environment(pid);
        let is_marked = |pair: &[u8]| {
            pair.strip_prefix(LOG_STREAM.as_bytes())
                .and_then(|value| value.strip_prefix(b"="))
                .is_some_and(|value| memchr::memmem::find(value, mark.as_bytes()).is_some())
        };
        if environment.split(|byte| *byte == 0).any(is_marked) {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// How long a process may be on its way into a program: the last steps of an `exec` take the
/// kernel microseconds, but whoever waits for them is woken first.
const EXEC_TIME_MAX: Duration = Duration::from_millis(200);

/// The environment of a process; empty if it has none, or is not to be read.
fn environment(pid: Pid) -> Vec<u8> {
    let due = Instant::now() + EXEC_TIME_MAX;
    loop {
        let text = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if !text.is_empty() || !is_in_exec(pid) || due <= Instant::now() {
            return text;
        }
        std::thread::yield_now();
    }
}

/// Whether a process has a program, whose environment is not in its place yet.
fn is_in_exec(pid: Pid) -> bool {
    let end = stat(pid, ENVIRONMENT_END);
    end.is_some_and(|end| end == "0") && fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

/// Whether the other end, `peer`, of a connection accepted at `local` is held by `leader` or by a
/// process that descends from it. Descent cannot be borrowed, whereas any process of one session
/// may join another's group.
pub(crate) fn is_held_by(peer: SocketAddr, local: SocketAddr, leader: Pid) -> bool {
    let Some(inode) = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        inode_of(&table, peer, local).map(str::to_owned)
    }) else {
        return false;
    };
    let link = format!("socket:[{inode}]");
    holds(leader, &link)
        || pids().any(|pid| pid != leader && descends(pid, leader) && holds(pid, &link))
}

/// The inode of the socket at `own` that is connected to `other`, from the text of
/// `/proc/net/tcp` or `/proc/net/tcp6`.
fn inode_of(table: &str, own: SocketAddr, other: SocketAddr) -> Option<&str> {
    let (own, other) = (address(own)?, address(other)?);
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is = |field: Option<&str>, (ip, port): &(String, String)| {
            field.and_then(|field| field.split_once(':')).is_some_and(|(field_ip, field_port)| {
                let ip_fits = field_ip == ip || field_ip.strip_prefix(MAPPED) == Some(ip);
                ip_fits && field_port == port
            })
        };
        (is(fields.next(), &own) && is(fields.next(), &other)).then(|| fields.nth(6))?
    })
}

/// `::ffff:0:0/96` as `/proc/net/tcp6` spells it on a little-endian machine.
const MAPPED: &str = if cfg!(target_endian = "little") {
    "0000000000000000FFFF0000"
} else {
    "00000000000000000000FFFF"
};

/// An IPv4 address and a port as `/proc/net/tcp` spells them.
fn address(address: SocketAddr) -> Option<(String, String)> {
    let SocketAddr::V4(address) = address else { return None };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some((format!("{ip:08X}"), format!("{:04X}", address.port())))
}

fn pids() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

fn holds(pid: Pid, link: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let wanted = OsStr::from_bytes(link.as_bytes());
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

/// Longest line of ancestors that is followed.
const ANCESTORS_MAX: usize = 256;

fn descends(pid: Pid, ancestor: Pid) -> bool {
    let mut pid = pid;
    for _ in 0..ANCESTORS_MAX {
        match parent(pid) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) => pid = parent,
            None => return false,
        }
    }
    false
}

fn parent(pid: Pid) -> Option<Pid> {
    Pid::from_raw(stat(pid, PARENT)?.parse().ok()?)
}

/// Fields of `/proc/PID/stat`, counted from the state.
const PARENT: usize = 1;
const ENVIRONMENT_END: usize = 48;

fn stat(pid: Pid, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(field).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_both_its_ends() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 111 1 0\n   \
            1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0\n";
        let server: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let client: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        let other: SocketAddr = "127.0.0.1:50001".parse().unwrap();
        assert_eq!(inode_of(table, client, server), Some("222"));
        assert_eq!(inode_of(table, server, client), Some("111"));
        assert_eq!(inode_of(table, other, server), None);
        let mapped = "   1: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:1F90 \
            01 00000000:00000000 00:00000000 00000000  1000        0 333 1 0\n";
        assert_eq!(inode_of(mapped, client, server), Some("333"));
        assert_eq!(inode_of("garbage\n\n: :\n", client, server), None);
    }

    #[test]
    fn only_a_program_on_its_way_has_no_place_for_its_environment() {
        let own = rustix::process::getpid();
        assert!(stat(own, ENVIRONMENT_END).unwrap().parse::<u64>().unwrap() > 0);
        assert!(!is_in_exec(own));
        let mut empty = std::process::Command::new("sleep").arg("60").env_clear().spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(empty.id()).unwrap()).unwrap();
        assert!(environment(pid).is_empty());
        assert!(!is_in_exec(pid), "an empty environment has a place");
        empty.kill().unwrap();
        empty.wait().unwrap();
    }

    #[test]
    fn this_process_holds_its_own_connection_and_no_child_does() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_accepted, peer) = listener.accept().unwrap();
        let local = client.peer_addr().unwrap();
        let own = rustix::process::getpid();
        assert!(is_held_by(peer, local, own));
        assert!(is_held_by(peer, local, parent(own).unwrap()), "by a descendant");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stranger = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!is_held_by(peer, local, stranger));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
