//! Measured processes: the gateway, and the bare peers beside it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::machine;
use super::template::Template;

/// A process under load; killed, by its own id, when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: Option<TempDir>,
}

impl Process {
    /// Starts `wsgate serve`.
    pub(crate) fn gateway(template: &Template, config: &str, environment: &[(&str, &str)]) -> Self {
        assert!(template.functions.is_empty(), "nobody plays functions here");
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("bench.yaml"), &template.text).unwrap();
        std::fs::write(folder.path().join("wsgate.toml"), config).unwrap();
        let mut command = machine::measured(&binary());
        command
            .args(["serve", "bench.yaml", "--config", "wsgate.toml", "--ready-json"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .envs(environment.iter().copied())
            .stderr(Stdio::null());
        let (child, line) = start(&mut command);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = ready["listen"][0].as_str().unwrap().parse().unwrap();
        Self { child, address, _folder: Some(folder) }
    }

    /// Starts this program in another [role](super::role).
    pub(crate) fn peer(role: &str) -> Self {
        let mut command = machine::measured(&std::env::current_exe().unwrap());
        command.args(["--role", role]);
        let (child, line) = start(&mut command);
        Self { child, address: line.trim().parse().unwrap(), _folder: None }
    }

    /// CPU time used so far, user and system.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Fields 14 and 15, in ticks of 10 ms; the name before them may hold blanks.
        let after_name = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory once it no longer changes: the allocator gives back what
    /// the handshakes took over some seconds.
    pub(crate) fn settled_kib(&self) -> u64 {
        const PAUSE: Duration = Duration::from_secs(3);
        const TRIES: usize = 8;
        let mut last = self.resident_kib();
        for _ in 0..TRIES {
            std::thread::sleep(PAUSE);
            let now = self.resident_kib();
            if now.abs_diff(last) * 500 <= last {
                return now;
            }
            last = now;
        }
        last
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command) -> (Child, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Its environment holds secrets, so the command is not shown.
    assert!(!line.is_empty(), "a measured process did not get ready");
    (child, line)
}

/// `$WSGATE_BIN`, which `cargo xtask bench` sets.
fn binary() -> PathBuf {
    std::env::var_os("WSGATE_BIN").expect("run `cargo xtask bench`").into()
}
