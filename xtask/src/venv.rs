//! Programs from PyPI, each in a virtual environment of its own below the target folder.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine::target;

/// A virtual environment and what is installed into it.
#[derive(Debug)]
pub(crate) struct Venv {
    /// The name of its folder.
    pub(crate) name: &'static str,
    /// The program that is wanted from it; with a slash, a file below its `site-packages`.
    pub(crate) program: &'static str,
    /// Arguments of `pip install`: requirements with their versions, and options.
    pub(crate) packages: &'static [&'static str],
}

impl Venv {
    /// The program, if exactly these packages were installed.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let program = self.file(self.program)?;
        // Another version is no version: what it does differs.
        let installed = std::fs::read_to_string(self.stamp()).unwrap_or_default();
        (installed == self.packages.join(" ") && program.is_file()).then_some(program)
    }

    /// Commands that make it anew.
    pub(crate) fn installs(&self) -> [Command; 2] {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(self.folder());
        // Half of the time would go into compiling modules that nothing imports.
        let mut install = Command::new(self.bin("python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.arg("--no-compile").args(self.packages);
        [make, install]
    }

    /// Notes that the commands of [`Self::installs`] succeeded.
    pub(crate) fn note(&self) -> Result<(), Failure> {
        std::fs::write(self.stamp(), self.packages.join(" "))
            .map_err(|error| format!("cannot write {}: {error}", self.stamp().display()))
    }

    /// A program of it, there or not; with a slash, a file below its `site-packages`.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        if !name.contains('/') {
            return Some(self.bin(name));
        }
        let versions = std::fs::read_dir(self.folder().join("lib")).ok()?.flatten();
        let mut files = versions.map(|version| version.path().join("site-packages").join(name));
        files.find(|file| file.is_file())
    }

    /// A program of it, there or not.
    pub(crate) fn bin(&self, program: &str) -> PathBuf {
        self.folder().join("bin").join(program)
    }

    /// Where it lies.
    pub(crate) fn folder(&self) -> PathBuf {
        target().join("tools").join(self.name)
    }

    fn stamp(&self) -> PathBuf {
        self.folder().join("installed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_version_is_not_found() {
        let name = "test-of-a-changed-version";
        let first = Venv { name, program: "it", packages: &["it==1"] };
        let second = Venv { name, program: "it", packages: &["it==2"] };
        std::fs::create_dir_all(first.folder().join("bin")).unwrap();
        std::fs::write(first.bin("it"), "").unwrap();
        assert_eq!(first.find(), None, "not noted yet");
        first.note().unwrap();
        assert_eq!(first.find(), Some(first.bin("it")));
        assert_eq!(second.find(), None);
        std::fs::remove_dir_all(first.folder()).unwrap();
    }

    #[test]
    fn it_lives_below_the_target_folder() {
        let venv = Venv { name: "it", program: "it", packages: &["it==1", "other==2"] };
        let [make, install] = venv.installs().map(|command| crate::machine::line_of(&command));
        assert!(make.ends_with("tools/it"), "{make}");
        assert!(install.contains("tools/it/bin/python"), "{install}");
        assert!(install.ends_with("it==1 other==2"), "{install}");
    }
}
