//! The machine: cores, descriptors, names.

use std::fs::read_to_string;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// Descriptors of the generator and of every measured process.
const DESCRIPTORS: usize = 20_000;

/// Whether measured processes get the last core for themselves.
static ONE_CORE: AtomicBool = AtomicBool::new(false);

/// Prints what the figures depend on.
pub(crate) fn describe() {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let pins = if has_taskset() { "pinned by taskset" } else { "not pinned" };
    println!(
        "{} cores of {}, Linux {}, {pins}, load before: {}",
        cores(),
        model.unwrap_or("an unknown processor"),
        kernel.trim(),
        read_to_string("/proc/loadavg").unwrap_or_default().trim()
    );
}

/// Runs this program again where the limit of descriptors is known; `false` if
/// it is already.
///
/// A process cannot change its limits without a system library, a shell can.
pub(crate) fn restarted_with_descriptors() -> bool {
    const MARK: &str = "WSGATE_BENCH_DESCRIPTORS";
    if std::env::var_os(MARK).is_some() {
        return false;
    }
    let status = Command::new("sh")
        .args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(MARK, "set")
        .status()
        .unwrap();
    assert!(status.success(), "the bench ended early; it needs {DESCRIPTORS} descriptors");
    true
}

/// From here on measured processes share the last core, the generator has the first.
pub(crate) fn use_one_core() {
    ONE_CORE.store(1 < cores() && has_taskset(), Ordering::Relaxed);
    pin_generator("0");
}

/// From here on every process may use every core.
pub(crate) fn use_all_cores() {
    ONE_CORE.store(false, Ordering::Relaxed);
    pin_generator(&format!("0-{}", cores() - 1));
}

/// A command for a process to be measured.
pub(crate) fn measured(program: &std::path::Path) -> Command {
    if !ONE_CORE.load(Ordering::Relaxed) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &(cores() - 1).to_string()]).arg(program);
    command
}

fn pin_generator(list: &str) {
    if has_taskset() {
        let pid = std::process::id().to_string();
        let output = Command::new("taskset").args(["-acp", list, &pid]).output().unwrap();
        assert!(output.status.success(), "taskset pins the generator");
    }
}

fn has_taskset() -> bool {
    Command::new("taskset").arg("--version").output().is_ok()
}

fn cores() -> usize {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().filter(|line| line.starts_with("processor")).count().max(1)
}
