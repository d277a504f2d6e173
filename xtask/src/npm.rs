//! Packages from npm, each set in a folder of its own below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::machine::{find, root, target};

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

    /// The command that installs them anew, with `node` and the programs of `folders`.
    pub(crate) fn install(&self, node: &Path, npm: Option<&Path>, folders: &[PathBuf]) -> Command {
        let mut install = match npm {
            // Some distributions have Node.js without npm.
            Some(script) => {
                let mut command = Command::new(node);
                command.arg(script);
                command
            }
            None => Command::new("npm"),
        };
        install.args(["clean-install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        install.arg(self.folder());
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let own = node.parent().map(Path::to_path_buf);
        let path = own.into_iter().chain(folders.iter().cloned());
        let path = std::env::join_paths(path.chain(std::env::split_paths(&inherited)));
        install.env("PATH", path.unwrap_or(inherited));
        // What compiles against Node.js would download its headers, where they are not beside it.
        let prefix = node.parent().and_then(Path::parent);
        if let Some(prefix) = prefix.filter(|it| it.join("include/node/node.h").is_file()) {
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

/// Whether `PATH` has npm.
pub(crate) fn has_npm() -> bool {
    find(&["npm"]).is_some()
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
        let command = SDK.install(Path::new("/opt/node/bin/node"), None, &[]);
        let line = line_of(&command);
        assert!(line.starts_with("npm clean-install"), "{line}");
        assert!(line.ends_with("tools/sdk"), "{line}");
    }

    #[test]
    fn npm_may_be_a_script_and_finds_the_same_node() {
        let script = Path::new("/opt/node/npm-cli.js");
        let command = SDK.install(Path::new("/opt/node/bin/node"), Some(script), &["/x".into()]);
        assert!(line_of(&command).starts_with("/opt/node/bin/node /opt/node/npm-cli.js clean-"));
        let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, it)| it);
        assert!(path.is_some_and(|it| it.to_string_lossy().starts_with("/opt/node/bin:/x:")));
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
