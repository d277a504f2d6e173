//! The code of a function, made ready to run: folders where they are, archives unpacked, inline
//! text written to a file.

mod archive;
mod error;
mod fingerprint;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub use error::{CodeError, EntryFault};
pub use fingerprint::fingerprint;

use crate::runtime::Family;
use crate::shim;
use crate::{Code, Spec};
use archive::{Budget, unpack};

/// The code of a function on disk.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The folder of the code, `LAMBDA_TASK_ROOT`.
    pub(crate) task_root: PathBuf,
    /// The folders of the layers in the order of the template; on Lambda they are one, `/opt`,
    /// where a later layer covers an earlier one.
    pub(crate) layers: Vec<PathBuf>,
    /// The folder of our shims, `LAMBDA_RUNTIME_DIR`.
    pub(crate) runtime_dir: PathBuf,
    /// The function's own `HOME` and `TMPDIR`, removed on drop.
    pub(crate) scratch: TempDir,
    /// What was unpacked or written, removed on drop.
    _unpacked: Vec<TempDir>,
}

/// Makes the code of `spec` ready below `workspace`, a folder of the host's own. Blocks.
pub(crate) fn prepare(spec: &Spec, workspace: &Path) -> Result<Prepared, CodeError> {
    prepare_within(spec, workspace, Budget::FULL)
}

fn prepare_within(
    spec: &Spec,
    workspace: &Path,
    mut budget: Budget,
) -> Result<Prepared, CodeError> {
    fs::create_dir_all(workspace).map_err(|error| CodeError::unusable(workspace, &error))?;
    let workspace =
        workspace.canonicalize().map_err(|error| CodeError::unusable(workspace, &error))?;
    let mut unpacked = Vec::new();
    let task_root = match &spec.code {
        Code::Inline(text) => {
            let folder = temporary(&workspace, "code-")?;
            write_inline(spec, text, folder.path())?;
            let path = folder.path().to_owned();
            unpacked.push(folder);
            path
        }
        Code::Folder(path) | Code::Zip(path) => {
            place(path, &workspace, &mut budget, &mut unpacked)?
        }
    };
    let layers = spec
        .layers
        .iter()
        .map(|layer| place(layer, &workspace, &mut budget, &mut unpacked))
        .collect::<Result<_, _>>()?;
    Ok(Prepared {
        task_root,
        layers,
        runtime_dir: shim::write(&workspace)?,
        scratch: temporary(&workspace, "home-")?,
        _unpacked: unpacked,
    })
}

/// The folder of what is at `path`: that folder itself, or what the archive there unpacks to.
fn place(
    path: &Path,
    workspace: &Path,
    budget: &mut Budget,
    unpacked: &mut Vec<TempDir>,
) -> Result<PathBuf, CodeError> {
    let absolute = path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CodeError::Missing { path: path.to_owned() },
        _ => CodeError::unusable(path, &error),
    })?;
    if absolute.is_dir() {
        return Ok(absolute);
    }
    // A jar is a zip archive too, and only a Java runtime knows what to do with it.
    if !absolute.is_file() || absolute.extension().is_some_and(|extension| extension == "jar") {
        return Err(CodeError::Format { path: path.to_owned() });
    }
    if !archive::is_archive(&absolute)? {
        return Err(CodeError::Format { path: path.to_owned() });
    }
    let folder = temporary(workspace, "code-")?;
    unpack(&absolute, folder.path(), budget)?;
    let path = folder.path().to_owned();
    unpacked.push(folder);
    Ok(path)
}

/// Inline code is `index.js` or `index.py` ([`ZipFile`]); Node.js takes the former for CommonJS.
///
/// [`ZipFile`]: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html
fn write_inline(spec: &Spec, text: &str, folder: &Path) -> Result<(), CodeError> {
    let name = match Family::of(&spec.runtime) {
        Some(Family::Node) => "index.js",
        Some(Family::Python) => "index.py",
        Some(Family::Custom) | None => {
            return Err(CodeError::InlineRuntime { runtime: spec.runtime.clone() });
        }
    };
    if spec.command.is_none() && spec.handler.split('.').next() != Some("index") {
        return Err(CodeError::InlineHandler { handler: spec.handler.clone() });
    }
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| CodeError::unusable(&path, &error))
}

fn temporary(workspace: &Path, prefix: &str) -> Result<TempDir, CodeError> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(workspace)
        .map_err(|error| CodeError::unusable(workspace, &error))
}

#[cfg(test)]
pub(crate) mod tests;
