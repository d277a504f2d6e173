//! Programs that the tests drive, and how to come by them.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine::{answers, find, has_apt, is_root, run, target};

/// The version that the tests were written against; a newer one may know new rules.
const CFN_LINT: &str = "cfn-lint==1.58.0";

/// Reads licences and sources of the whole dependency tree.
const CARGO_DENY: &str = "0.20.2";

/// Where the browser lies on macOS, which has no command for it.
const CHROME_ON_MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// A program that some tests need.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    /// Makes the certificate store of the browser tests.
    Certutil,
    /// Checks that our stacks would deploy.
    CfnLint,
    /// The browser.
    Chromium,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Certutil, Self::CfnLint, Self::Chromium];

    /// The word of `--without`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Certutil => "certutil",
            Self::CfnLint => "cfn-lint",
            Self::Chromium => "chromium",
        }
    }

    /// What cannot be tested without it.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Certutil => "browser tests over TLS",
            Self::CfnLint => "the stacks of demo/aws",
            Self::Chromium => "browser tests",
        }
    }

    /// The variable by which tests find it.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Certutil => "CERTUTIL",
            Self::CfnLint => "CFN_LINT",
            Self::Chromium => "CHROME",
        }
    }

    /// Where it is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        if let Some(told) = std::env::var_os(self.variable()) {
            return Some(PathBuf::from(told));
        }
        match self {
            Self::Certutil => find(&["certutil"]),
            Self::CfnLint => {
                let installed = venv().join("bin/cfn-lint");
                // Another version is no version: what it complains of differs.
                let stamp = std::fs::read_to_string(venv().join("installed")).unwrap_or_default();
                (stamp == CFN_LINT && installed.is_file()).then_some(installed)
            }
            Self::Chromium => {
                let mac = PathBuf::from(CHROME_ON_MACOS);
                find(&["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"])
                    .or_else(|| mac.is_file().then_some(mac))
            }
        }
    }

    /// The package that brings it, where a package does.
    fn package(self) -> Option<&'static str> {
        match (self, has_apt()) {
            (Self::Certutil, true) => Some("libnss3-tools"),
            (Self::Certutil, false) => Some("nss"),
            (Self::CfnLint, _) => None,
            (Self::Chromium, _) => Some("chromium"),
        }
    }
}

/// Commands that install `missing`, in order.
pub(crate) fn installs(missing: &[Tool]) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut packages: Vec<&str> = missing.iter().filter_map(|tool| tool.package()).collect();
    let python = missing.contains(&Tool::CfnLint);
    if python && has_apt() && !answers("python3", &["-c", "import ensurepip, venv"]) {
        packages.extend(["python3", "python3-venv"]);
    }
    if !packages.is_empty() {
        if has_apt() {
            commands.push(privileged("apt-get", &["update", "--quiet"]));
            let mut install =
                privileged("apt-get", &["install", "--yes", "--quiet", "--no-install-recommends"]);
            install.args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
            commands.push(install);
        } else {
            let mut install = Command::new("brew");
            install.arg("install").args(&packages);
            commands.push(install);
        }
    }
    if python {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(venv());
        let mut install = Command::new(venv().join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", CFN_LINT]);
        commands.extend([make, install]);
    }
    commands
}

/// Runs the commands of [`installs`] and notes what they brought.
pub(crate) fn install(commands: Vec<Command>) -> Result<(), Failure> {
    for mut command in commands {
        run(&mut command)?;
    }
    if venv().join("bin/cfn-lint").is_file() {
        std::fs::write(venv().join("installed"), CFN_LINT)
            .map_err(|error| format!("cannot write below {}: {error}", venv().display()))?;
    }
    Ok(())
}

/// Installs cargo-deny where cargo installs to, unless it is there.
pub(crate) fn install_cargo_deny() -> Result<(), Failure> {
    if answers("cargo", &["deny", "--version"]) {
        return Ok(());
    }
    let mut install = Command::new("cargo");
    install.args(["install", "--quiet", "--locked", "cargo-deny", "--version", CARGO_DENY]);
    // It runs for a second; optimising it would take minutes.
    install
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run(&mut install)
}

fn venv() -> PathBuf {
    target().join("tools/venv")
}

fn privileged(program: &str, arguments: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    };
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::line_of;

    #[test]
    fn what_is_missing_comes_by_complete_lines() {
        let lines: Vec<String> =
            installs(&[Tool::Certutil, Tool::Chromium]).iter().map(line_of).collect();
        let all = lines.join("\n");
        assert!(all.contains("install") && all.contains("chromium"), "{all}");
        assert!(installs(&[]).is_empty());
    }

    #[test]
    fn the_linter_lives_below_the_target_folder() {
        let commands = installs(&[Tool::CfnLint]);
        let last = line_of(commands.last().unwrap());
        assert!(last.contains("tools/venv") && last.ends_with(CFN_LINT), "{last}");
    }
}
