//! Packages from npm, each set in a folder of its own below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::machine::{root, target};

/// A manifest with its lock file, and what is wanted from the packages they name.
#[derive(Debug)]
pub(crate) struct Packages {
    /// The name of its folder, and of the manifest's folder in `crates/e2e/npm`.
    pub(crate) name: &'static str,
    /// A path that its installation brings.
    pub(crate) wanted: &'static str,
}

impl Packages {
    /// What is wanted, if exactly the locked packages were installed.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let wanted = self.folder().join(self.wanted);
        let installed = std::fs::read(self.stamp()).ok()?;
        let locked = std::fs::read(self.manifest().join(LOCK)).ok()?;
        (installed == locked && wanted.exists()).then_some(wanted)
    }

    /// The command that installs them anew by `npm`, which finds the programs of `folders`
    /// first. `prefix` is where Node.js lies.
    pub(crate) fn install(&self, npm: &Path, folders: &[PathBuf], prefix: &Path) -> Command {
        let mut install = Command::new(npm);
        install.args(["clean-install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        install.arg(self.folder());
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = folders.iter().cloned().chain(std::env::split_paths(&inherited));
        install.env("PATH", std::env::join_paths(path).unwrap_or(inherited));
        // What compiles against Node.js would download its headers, where they are not beside it.
        if prefix.join("include/node/node.h").is_file() {
            install.env("npm_config_nodedir", prefix);
        }
        install
    }

    /// Puts manifest and lock file where the command of [`Self::install`] reads them.
    pub(crate) fn prepare(&self) -> Result<(), Failure> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let _ = std::fs::remove_file(self.stamp());
        [MANIFEST, LOCK].into_iter().try_for_each(|name| {
            let from = self.manifest().join(name);
            std::fs::copy(&from, folder.join(name))
                .map(drop)
                .map_err(|error| format!("cannot copy {}: {error}", from.display()))
        })
    }

    /// Notes that the command of [`Self::install`] succeeded.
    pub(crate) fn note(&self) -> Result<(), Failure> {
        std::fs::copy(self.manifest().join(LOCK), self.stamp())
            .map(drop)
            .map_err(|error| format!("cannot write {}: {error}", self.stamp().display()))
    }

    /// Where they lie.
    fn folder(&self) -> PathBuf {
        target().join("tools").join(self.name)
    }

    fn manifest(&self) -> PathBuf {
        root().join("crates/e2e/npm").join(self.name)
    }

    fn stamp(&self) -> PathBuf {
        self.folder().join("installed")
    }
}

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::line_of;

    const SDK: Packages = Packages { name: "sdk", wanted: "node_modules" };

    #[test]
    fn exactly_what_is_locked_goes_below_the_target_folder() {
        let folders = ["/x".into(), "/y".into()];
        let command = SDK.install(Path::new("/opt/npm"), &folders, Path::new("/nowhere"));
        let line = line_of(&command);
        assert!(line.starts_with("/opt/npm clean-install"), "{line}");
        assert!(line.ends_with("tools/sdk"), "{line}");
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, it)| it);
        assert!(path.is_some_and(|it| it.to_string_lossy().starts_with("/x:/y:")));
    }

    #[test]
    fn every_lock_file_is_there_and_names_no_registry() {
        for name in ["sdk", "aws-lambda-ric"] {
            let packages = Packages { name, wanted: "" };
            let text = std::fs::read_to_string(packages.manifest().join(LOCK)).unwrap();
            assert!(text.contains("\"integrity\"") && !text.contains("\"resolved\""), "{name}");
        }
    }
}
