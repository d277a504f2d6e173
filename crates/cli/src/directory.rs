//! Folders and small files of the user: the CA, the id key, the admin address.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// `$XDG_DATA_HOME/wsgate`, else `~/.local/share/wsgate`.
pub(crate) fn data() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_DATA_HOME").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder).join("wsgate"));
    }
    let home = std::env::home_dir().context("there is no home folder; set XDG_DATA_HOME")?;
    Ok(home.join(".local/share/wsgate"))
}

/// `$XDG_RUNTIME_DIR/wsgate`, else the folder `run` below [`data`].
pub(crate) fn runtime() -> anyhow::Result<PathBuf> {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(PathBuf::from(folder).join("wsgate")),
        None => Ok(data()?.join("run")),
    }
}

fn create(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file that only the user can read, in one step.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    // A leftover of a crashed process with this id must not lend its mode.
    drop(fs::remove_file(&temporary));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// The key of connection ids, made on first need. It outlives restarts so that
/// ids of before are gone, not malformed.
pub(crate) fn id_key() -> anyhow::Result<[u8; 32]> {
    let folder = data()?;
    let path = folder.join("connection-id.key");
    if let Ok(bytes) = fs::read(&path)
        && let Ok(key) = bytes.try_into()
    {
        return Ok(key);
    }
    let key = gateway::id::random();
    create(&folder)
        .and_then(|()| write_private(&path, &key))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}

/// Address and token of an admin listener, in the user's runtime folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct AdminFile {
    pub(crate) address: String,
    pub(crate) token: String,
}

/// Removes the file when the gateway ends.
#[derive(Debug)]
pub(crate) struct AdminFileGuard(PathBuf);

impl AdminFileGuard {
    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for AdminFileGuard {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl AdminFile {
    /// Writes the file of this process.
    pub(crate) fn write(&self) -> anyhow::Result<AdminFileGuard> {
        let folder = runtime()?;
        let path = folder.join(format!("admin-{}.json", std::process::id()));
        let content = serde_json::to_vec(self).expect("text serialises");
        create(&folder)
            .and_then(|()| write_private(&path, &content))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(AdminFileGuard(path))
    }

    /// The file of the gateway that started last, if any runs.
    pub(crate) fn newest() -> Option<Self> {
        let mut files: Vec<_> = fs::read_dir(runtime().ok()?)
            .ok()?
            .filter_map(Result::ok)
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("admin-") && name.ends_with(".json")
            })
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let (_, path) = files.pop()?;
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}
