//! Finding Node.js and Python on this machine.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::CodeError;

/// An interpreter that fits a runtime.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    /// The program itself, behind the wrappers of version managers: those need variables of the
    /// user that a function does not get.
    pub(super) program: PathBuf,
    /// Folders of modules that the machine has.
    pub(super) modules: Vec<PathBuf>,
    /// Experimental features that it knows by a flag (Node.js).
    pub(super) flags: Vec<String>,
    /// What the user should know: another version than asked for.
    pub(super) warning: Option<String>,
}

/// What an interpreter says about itself.
#[derive(Clone, Debug)]
struct Probe {
    program: PathBuf,
    /// Major and minor version.
    version: (u64, u64),
    modules: Vec<PathBuf>,
    flags: Vec<String>,
}

/// Longest wait for an interpreter to say its version; a slow disk takes a second.
const PROBE_TIME: Duration = Duration::from_secs(10);

/// Longest answer of an interpreter about itself, in bytes; usual are some hundreds.
const PROBE_BYTES_MAX: u64 = 64 * 1024;

/// Answers by program: asking costs 20 to 100 ms, and instances start often.
static PROBES: LazyLock<Mutex<HashMap<PathBuf, Probe>>> = LazyLock::new(Mutex::default);

const NODE_QUESTION: &str = r#"
const flags = ["require-module", "detect-module"]
  .filter((name) => process.allowedNodeEnvironmentFlags.has(`--experimental-${name}`));
const [major, minor] = process.versions.node.split(".").map(Number);
const program = process.execPath;
const modules = [
  process.cwd() + "/node_modules",
  require("path").resolve(program, "../../lib/node_modules"),
  "/usr/local/lib/node_modules", "/usr/lib/node_modules", "/usr/share/nodejs",
];
console.log(JSON.stringify({ program, major, minor, modules, flags }));
"#;

/// Modules of the folder where the gateway runs are left alone: that may be a project's.
const PYTHON_QUESTION: &str = r#"
import sys
sys.path = [folder for folder in sys.path if folder]
import json, site
modules = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
print(json.dumps({"program": sys.executable, "major": sys.version_info[0],
                  "minor": sys.version_info[1], "modules": modules, "flags": []}))
"#;

impl Interpreter {
    /// Node.js for `runtime`, at least 18.
    pub(super) fn node(runtime: &str) -> Result<Self, CodeError> {
        let probe = find_on_path("node").and_then(|path| ask(&path, &["-e", NODE_QUESTION]));
        let probe = accept(runtime, "node", (18, 0), "18", probe)?;
        let warning = node_major(runtime).filter(|asked| *asked != probe.version.0).map(|asked| {
            format!(
                "{runtime} runs on Node.js {}, not {asked}: no other is on PATH",
                probe.version.0
            )
        });
        Ok(Self::of(probe, warning))
    }

    /// Python for `runtime`, at least 3.9: that of the asked version, else `python3`.
    pub(super) fn python(runtime: &str) -> Result<Self, CodeError> {
        let question = ["-c", PYTHON_QUESTION];
        let is_version =
            |version: &&str| version.bytes().all(|byte| b"0123456789.".contains(&byte));
        let exact = runtime.strip_prefix("python").filter(is_version);
        let exact = exact.and_then(|version| find_on_path(&format!("python{version}")));
        if let Some(probe) = exact.and_then(|path| ask(&path, &question))
            && format!("python{}.{}", probe.version.0, probe.version.1) == runtime
        {
            return Ok(Self::of(probe, None));
        }
        let probe = find_on_path("python3").and_then(|path| ask(&path, &question));
        let probe = accept(runtime, "python3", (3, 9), "3.9", probe)?;
        let (major, minor) = probe.version;
        let warning = (format!("python{major}.{minor}") != runtime)
            .then(|| format!("{runtime} runs on Python {major}.{minor}: no other is on PATH"));
        Ok(Self::of(probe, warning))
    }

    fn of(probe: Probe, warning: Option<String>) -> Self {
        let modules = probe.modules.into_iter().filter(|path| path.is_dir()).collect();
        Self { program: probe.program, modules, flags: probe.flags, warning }
    }
}

fn accept(
    runtime: &str,
    program: &str,
    minimum: (u64, u64),
    minimum_text: &'static str,
    probe: Option<Probe>,
) -> Result<Probe, CodeError> {
    let found = match probe {
        Some(probe) if minimum <= probe.version => return Ok(probe),
        Some(probe) => Some(format!("{}.{}", probe.version.0, probe.version.1)),
        None => None,
    };
    Err(CodeError::Interpreter {
        runtime: runtime.to_owned(),
        program: program.to_owned(),
        minimum: minimum_text,
        found,
    })
}

/// The version in `nodejs22.x`.
pub(super) fn node_major(runtime: &str) -> Option<u64> {
    let version = runtime.strip_prefix("nodejs")?;
    version.split('.').next()?.parse().ok()
}

/// The first executable file `program` on this process's `PATH`.
pub(super) fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn ask(path: &Path, question: &[&str]) -> Option<Probe> {
    if let Some(probe) = PROBES.lock().get(path).cloned() {
        return Some(probe);
    }
    let probe = run(path, question).and_then(|answer| read(&answer))?;
    PROBES.lock().insert(path.to_owned(), probe.clone());
    Some(probe)
}

/// Standard output of the program, which runs in this process's environment: wrappers of version
/// managers need it.
fn run(path: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut child = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + PROBE_TIME;
    // The answer fits in a pipe, so the program ends without anybody reading.
    let finished = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => {
                // It is over either way; there is nobody to tell.
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let mut answer = Vec::new();
    let output = child.stdout.take().filter(|_| finished)?;
    output.take(PROBE_BYTES_MAX).read_to_end(&mut answer).ok()?;
    Some(answer)
}

fn read(answer: &[u8]) -> Option<Probe> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let texts = |name: &str| -> Vec<String> {
        let items = value[name].as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    Some(Probe {
        program: value["program"].as_str().map(PathBuf::from).filter(|path| path.is_absolute())?,
        version: (value["major"].as_u64()?, value["minor"].as_u64()?),
        modules: texts("modules").into_iter().map(PathBuf::from).collect(),
        flags: texts("flags"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_in_the_current_folder_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        for module in ["json.py", "site.py"] {
            std::fs::write(folder.path().join(module), "raise SystemExit(1)").unwrap();
        }
        let output = Command::new(find_on_path("python3").unwrap())
            .args(["-c", PYTHON_QUESTION])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let probe = read(&output.stdout).unwrap();
        assert_eq!(probe.version.0, 3);
    }
}
