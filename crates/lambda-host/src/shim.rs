//! Our runtime clients for Node.js and Python, as the files that the interpreters read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::CodeError;

/// Variable by which a shim learns what only it needs, as JSON; it is gone when the function's
/// own code loads.
pub(crate) const VARIABLE: &str = "_WSGATE_SHIM";

/// What Node.js runs.
pub(crate) const NODE: &str = "node.cjs";
/// What Node.js preloads, in each of its threads.
pub(crate) const NODE_PRELOAD: &str = "node_preload.cjs";
/// What Python runs.
pub(crate) const PYTHON: &str = "python.py";

const FILES: [(&str, &str); 5] = [
    (NODE, include_str!("shim/node.cjs")),
    (NODE_PRELOAD, include_str!("shim/node_preload.cjs")),
    ("node_resolve.cjs", include_str!("shim/node_resolve.cjs")),
    ("node_resolve.mjs", include_str!("shim/node_resolve.mjs")),
    (PYTHON, include_str!("shim/python.py")),
];

/// Writes the shims below `workspace`; returns their folder. Any number of callers may do so at
/// once: each file appears as a whole.
pub(crate) fn write(workspace: &Path) -> Result<PathBuf, CodeError> {
    let folder = workspace.join("runtime");
    fs::create_dir_all(&folder).map_err(|error| CodeError::unusable(&folder, &error))?;
    for (name, text) in FILES {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
            continue;
        }
        tempfile::NamedTempFile::new_in(&folder)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                Ok(file.persist(&path)?)
            })
            .map_err(|error| CodeError::unusable(&path, &error))?;
    }
    Ok(folder)
}
