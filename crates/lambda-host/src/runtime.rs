//! How a function starts: its program, arguments and environment.

mod environment;
mod interpreter;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::code::Prepared;
use crate::{CodeError, Spec, Surroundings, shim};
use environment::Environment;
use interpreter::Interpreter;

/// All that a process of a function is started with. The host adds what differs from instance to
/// instance, `AWS_LAMBDA_RUNTIME_API` and `AWS_LAMBDA_LOG_STREAM_NAME`. Holds keys.
pub(crate) struct Launch {
    /// The program, absolute.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: Vec<(String, OsString)>,
    /// Its working directory: the folder of the code, as on Lambda.
    pub(crate) directory: PathBuf,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

/// What a runtime identifier asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    /// `provided*`: an executable `bootstrap`.
    Custom,
    /// `nodejs*`.
    Node,
    /// `python*`.
    Python,
}

impl Family {
    /// The family of a runtime that runs here.
    pub(crate) fn of(runtime: &str) -> Option<Self> {
        match runtime {
            "provided" | "provided.al2" | "provided.al2023" => Some(Self::Custom),
            _ if runtime.starts_with("nodejs") => Some(Self::Node),
            _ if runtime.starts_with("python") => Some(Self::Python),
            _ => None,
        }
    }
}

/// How to start an instance of `spec`. Blocks: an interpreter is asked once for its version.
pub(crate) fn launch(
    spec: &Spec,
    prepared: &Prepared,
    surroundings: &dyn Surroundings,
) -> Result<Launch, CodeError> {
    let mut warnings = Vec::new();
    let family = Family::of(&spec.runtime);
    let start = match (&spec.command, family) {
        (Some(command), _) => from_command(command, &prepared.task_root)?,
        (None, Some(Family::Custom)) => from_bootstrap(prepared)?,
        (None, Some(Family::Node)) => {
            let node = Interpreter::node(&spec.runtime)?;
            warnings.extend(node.warning.clone());
            from_node(spec, prepared, node)
        }
        (None, Some(Family::Python)) => {
            let python = Interpreter::python(&spec.runtime)?;
            warnings.extend(python.warning.clone());
            from_python(prepared, python)
        }
        (None, None) => return Err(CodeError::Runtime { runtime: spec.runtime.clone() }),
    };
    let environment = Environment::of(spec, prepared, surroundings, &start, &mut warnings);
    Ok(Launch {
        program: start.program,
        arguments: start.arguments,
        environment: environment.into_pairs(),
        directory: prepared.task_root.clone(),
        warnings,
    })
}

/// A program with its arguments, and where its interpreter looks for modules.
#[derive(Debug)]
struct Start {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Folders of modules that the machine has besides the function's and its layers'.
    modules: Vec<PathBuf>,
    /// Whether one of our shims is started.
    shim: bool,
}

impl Start {
    fn of_program(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, modules: Vec::new(), shim: false }
    }
}

fn from_command(command: &[String], task_root: &Path) -> Result<Start, CodeError> {
    let [program, arguments @ ..] = command else {
        return Err(CodeError::NoCommand { program: String::new() });
    };
    let missing = || CodeError::NoCommand { program: program.clone() };
    let own = task_root.join(program);
    let path = if own.is_file() {
        own
    } else if program.contains('/') {
        return Err(missing());
    } else {
        interpreter::find_on_path(program).ok_or_else(missing)?
    };
    let arguments = arguments.iter().map(OsString::from).collect();
    Ok(Start::of_program(executable(path)?, arguments))
}

/// The `bootstrap` of the function, else of its last layer that has one ([custom runtimes]).
///
/// [custom runtimes]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
fn from_bootstrap(prepared: &Prepared) -> Result<Start, CodeError> {
    let folders = std::iter::once(&prepared.task_root).chain(prepared.layers.iter().rev());
    let mut files = folders.map(|folder| folder.join("bootstrap")).filter(|path| path.is_file());
    let folder = prepared.task_root.clone();
    let path = files.next().ok_or(CodeError::NoBootstrap { folder })?;
    Ok(Start::of_program(executable(path)?, Vec::new()))
}

fn executable(path: PathBuf) -> Result<PathBuf, CodeError> {
    let metadata = path.metadata().map_err(|error| CodeError::unusable(&path, &error))?;
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(CodeError::NotExecutable { path });
    }
    Ok(path)
}

/// The flags are those that Lambda starts Node.js with ([experimental features], heap by memory),
/// unless the function's own `NODE_OPTIONS` decide.
///
/// [experimental features]: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html#nodejs-supported-runtimes
fn from_node(spec: &Spec, prepared: &Prepared, node: Interpreter) -> Start {
    let options = spec.environment.iter().find(|(name, _)| name == "NODE_OPTIONS");
    let options = options.map_or("", |(_, value)| value.as_str()).replace('_', "-");
    let mut arguments: Vec<OsString> = Vec::new();
    let sized = ["--max-semi-space-size", "--max-old-space-size"];
    if !sized.iter().any(|flag| options.contains(flag)) {
        // A tenth for young objects, in two halves; the rest for old ones.
        let young_mb = spec.memory_mb / 10;
        arguments.push(format!("--max-semi-space-size={}", (young_mb / 2).max(1)).into());
        arguments.push(format!("--max-old-space-size={}", spec.memory_mb - young_mb).into());
    }
    let asked = interpreter::node_major(&spec.runtime);
    let off: &[&str] = match asked {
        Some(..=20) => &["require-module"],
        Some(21..=22) => &["require-module", "detect-module"],
        Some(_) | None => &[],
    };
    for feature in off {
        let known = node.flags.iter().any(|flag| flag == feature);
        if known && !options.contains(&format!("--experimental-{feature}")) {
            arguments.push(format!("--no-experimental-{feature}").into());
        }
    }
    arguments.push("--require".into());
    arguments.push(prepared.runtime_dir.join(shim::NODE_PRELOAD).into());
    arguments.push(prepared.runtime_dir.join(shim::NODE).into());
    Start { program: node.program, arguments, modules: node.modules, shim: true }
}

/// `-B`: on Lambda the folder of the code cannot be written, so no compiled modules appear in it.
fn from_python(prepared: &Prepared, python: Interpreter) -> Start {
    let script = prepared.runtime_dir.join(shim::PYTHON).into();
    let arguments = vec!["-B".into(), "-X".into(), "utf8".into(), script];
    Start { program: python.program, arguments, modules: python.modules, shim: true }
}

#[cfg(test)]
mod tests;
