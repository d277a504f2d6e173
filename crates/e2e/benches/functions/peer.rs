//! Measured processes and those that they start: the gateway, the bare loops, the peer.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What every gateway is given: nothing here is about throttles.
const CONFIG: &str = "[throttle]\nconnects = \"off\"\nrequests = \"off\"\n";

/// The files that a folder of code is made of.
const CODE: [(&str, &str); 3] = [
    ("echo.js", include_str!("code/echo.js")),
    ("loop.cjs", include_str!("code/loop.cjs")),
    ("serverless.yml", include_str!("code/serverless.yml")),
];

/// Nothing takes this long to get ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process under load with all that it started; killed, by its own id, when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first line.
    pub(crate) ready_after: Duration,
    _folder: TempDir,
}

impl Process {
    /// Starts `wsgate serve` on `template`, which finds its code in `src`.
    pub(crate) fn gateway(template: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("bench.yaml"), template).unwrap();
        let code = folder.path().join("src");
        std::fs::create_dir(&code).unwrap();
        write_code(&code);
        Self::serve(&["bench.yaml".to_owned()], &[], folder)
    }

    /// Starts `wsgate serve` with `arguments` in `folder`.
    pub(crate) fn serve(
        arguments: &[String],
        environment: &[(&str, String)],
        folder: TempDir,
    ) -> Self {
        std::fs::write(folder.path().join("wsgate.toml"), CONFIG).unwrap();
        let mut command = Command::new(named("WSGATE_BIN").expect("run `cargo xtask bench`"));
        command
            .arg("serve")
            .args(arguments)
            .args(["--config", "wsgate.toml", "--ready-json"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("PATH", path())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::null());
        Self::start(command, folder, |line| {
            let ready: serde_json::Value = serde_json::from_str(line).unwrap();
            ready["listen"][0].as_str().unwrap().parse().unwrap()
        })
    }

    /// Starts this program in another [role](super::native).
    pub(crate) fn role(role: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--role", role]);
        Self::start(command, TempDir::new().unwrap(), |line| line.trim().parse().unwrap())
    }

    /// Starts the echo handler in a bare request loop.
    pub(crate) fn node_loop(node: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        write_code(folder.path());
        let mut command = Command::new(node);
        command.arg("loop.cjs").current_dir(folder.path());
        Self::start(command, folder, |line| line.trim().parse().unwrap())
    }

    /// Starts `serverless offline`, whose packages lie in `packages`, on the echo handler.
    pub(crate) fn serverless_offline(node: &Path, packages: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        write_code(folder.path());
        std::os::unix::fs::symlink(packages, folder.path().join("node_modules")).unwrap();
        let addresses = free_addresses::<3>();
        let mut command = Command::new(node);
        command.arg("node_modules/serverless/bin/serverless.js").args(["offline", "start"]);
        for (option, address) in
            ["--httpPort", "--lambdaPort", "--websocketPort"].iter().zip(addresses)
        {
            command.args([(*option).to_owned(), address.port().to_string()]);
        }
        command
            .args(["--host", "127.0.0.1"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("PATH", path())
            .env("SLS_TELEMETRY_DISABLED", "1")
            .env("SLS_TRACKING_DISABLED", "1")
            .env("SLS_NOTIFICATIONS_MODE", "off");
        Self::listener(command, folder, addresses[2])
    }

    /// Starts the services of AWS that `moto_server` plays.
    pub(crate) fn moto(program: &Path) -> Self {
        let [address] = free_addresses::<1>();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        Self::listener(command, TempDir::new().unwrap(), address)
    }

    /// Starts what will listen on `address` and does not say when.
    fn listener(mut command: Command, folder: TempDir, address: SocketAddr) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (started, child) = (Instant::now(), command.spawn().unwrap());
        let mut process = Self { child, address, ready_after: Duration::ZERO, _folder: folder };
        while TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < PATIENCE, "a measured process did not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        process.ready_after = started.elapsed();
        process
    }

    fn start(
        mut command: Command,
        folder: TempDir,
        address: impl FnOnce(&str) -> SocketAddr,
    ) -> Self {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready_after = started.elapsed();
        assert!(!line.is_empty(), "a measured process did not get ready");
        Self { child, address: address(&line), ready_after, _folder: folder }
    }

    /// CPU time used so far, user and system, by the process, its living descendants, and those
    /// that they have waited for.
    pub(crate) fn cpu_time(&self) -> Duration {
        let processes = processes();
        let belongs = |mut pid: u32| {
            while let Some(process) = processes.get(&pid) {
                if pid == self.child.id() {
                    return true;
                }
                pid = process.parent;
            }
            false
        };
        let own = processes.iter().filter(|(pid, _)| belongs(**pid));
        // Ticks of 10 ms.
        Duration::from_millis(own.map(|(_, process)| process.ticks * 10).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Addresses where nobody listens; held all at once, so that they differ.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    [(); N]
        .map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
        .map(|listener| listener.local_addr().unwrap())
}

/// A line of the process table.
struct Entry {
    parent: u32,
    ticks: u64,
}

fn processes() -> HashMap<u32, Entry> {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    folders
        .filter_map(|folder| {
            let pid: u32 = folder.file_name().to_str()?.parse().ok()?;
            // It may have ended meanwhile.
            let stat = std::fs::read_to_string(folder.path().join("stat")).ok()?;
            // The name, in parentheses, may hold blanks. Then: state, parent, …
            let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            // Own user and system time (fields 14 and 15), then those of ended children.
            let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap()).sum();
            Some((pid, Entry { parent: fields[1].parse().ok()?, ticks }))
        })
        .collect()
}

/// A path that `cargo xtask bench` gives in a variable.
pub(crate) fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// A `PATH` on which the measured Node.js comes first.
fn path() -> std::ffi::OsString {
    let own = named("NODE").and_then(|node| node.parent().map(Path::to_path_buf));
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&inherited))).unwrap()
}

/// Puts the handler in both languages into `folder`.
pub(crate) fn write_code(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for (name, text) in CODE {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let bootstrap = folder.join("bootstrap");
    let program = std::env::current_exe().unwrap();
    std::fs::write(
        &bootstrap,
        format!("#!/bin/sh\nexec '{}' --role bootstrap\n", program.display()),
    )
    .unwrap();
    std::fs::set_permissions(bootstrap, std::fs::Permissions::from_mode(0o755)).unwrap();
}
