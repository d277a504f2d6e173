//! Programs that the tests drive, and how to come by them.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::machine::{answers, confirm, find, has_apt, is_root, line_of, run};
use crate::venv::Venv;

/// The versions that the tests were written against; a newer one may know new rules.
const CFN_LINT: Venv =
    Venv { name: "cfn-lint", program: "cfn-lint", packages: &["cfn-lint==1.58.0"] };

/// Without zig, which it brings along and needs to build only, not to serve.
const CARGO_LAMBDA: Venv = Venv {
    name: "cargo-lambda",
    program: "cargo-lambda",
    packages: &["--no-deps", "cargo-lambda==1.9.2"],
};

const MOTO: Venv =
    Venv { name: "moto", program: "moto_server", packages: &["moto[server]==5.2.5"] };

/// Compiler and linker decide about the bytes of a release, so their versions are fixed.
pub(crate) const ZIGBUILD: Venv = Venv {
    name: "cargo-zigbuild",
    program: "cargo-zigbuild",
    packages: &["cargo-zigbuild==0.24.0", "ziglang==0.17.0"],
};

/// Reads licences and sources of the whole dependency tree.
const CARGO_DENY: &str = "0.20.2";

/// Where the browser lies on macOS, which has no command for it.
const CHROME_ON_MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// A program that some task needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    /// Another implementation of Lambda's Runtime API.
    CargoLambda,
    /// Makes the certificate store of the browser tests.
    Certutil,
    /// Checks that our stacks would deploy.
    CfnLint,
    /// The browser.
    Chromium,
    /// AWS's parameter and secret stores, on this machine.
    Moto,
    /// JavaScript outside a browser.
    Node,
    /// Python.
    Python,
    /// Builds for another machine and an older C library. No test needs it.
    Zigbuild,
}

impl Tool {
    /// Those that `cargo xtask test` provides.
    pub(crate) const OF_TESTS: [Self; 7] = [
        Self::CargoLambda,
        Self::Certutil,
        Self::CfnLint,
        Self::Chromium,
        Self::Moto,
        Self::Node,
        Self::Python,
    ];

    /// The word of `--without`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CargoLambda => "cargo-lambda",
            Self::Certutil => "certutil",
            Self::CfnLint => "cfn-lint",
            Self::Chromium => "chromium",
            Self::Moto => "moto",
            Self::Node => "node",
            Self::Python => "python3",
            Self::Zigbuild => "cargo-zigbuild",
        }
    }

    /// What cannot be done without it.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::CargoLambda => "the authorizer under another Runtime API",
            Self::Certutil => "browser tests over TLS",
            Self::CfnLint => "the stacks in this repository",
            Self::Chromium => "browser tests",
            Self::Moto => "parameters and secrets of AWS",
            Self::Node => "functions and back ends in JavaScript",
            Self::Python => "functions and back ends in Python",
            Self::Zigbuild => "releases for every machine",
        }
    }

    /// The variable by which tests find it, and the caller names another one.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::CargoLambda => "CARGO_LAMBDA",
            Self::Certutil => "CERTUTIL",
            Self::CfnLint => "CFN_LINT",
            Self::Chromium => "CHROME",
            Self::Moto => "MOTO_SERVER",
            Self::Node => "NODE",
            Self::Python => "PYTHON",
            Self::Zigbuild => "CARGO_ZIGBUILD",
        }
    }

    /// Where it is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        if let Some(told) = std::env::var_os(self.variable()) {
            return Some(PathBuf::from(told));
        }
        if let Some(venv) = self.venv() {
            return venv.find();
        }
        find(self.programs()).or_else(|| {
            let mac = PathBuf::from(CHROME_ON_MACOS);
            (self == Self::Chromium && mac.is_file()).then_some(mac)
        })
    }

    /// The environment that holds it, where one does.
    fn venv(self) -> Option<&'static Venv> {
        match self {
            Self::CargoLambda => Some(&CARGO_LAMBDA),
            Self::CfnLint => Some(&CFN_LINT),
            Self::Moto => Some(&MOTO),
            Self::Zigbuild => Some(&ZIGBUILD),
            Self::Certutil | Self::Chromium | Self::Node | Self::Python => None,
        }
    }

    /// Its names in `PATH`, best first.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Certutil => &["certutil"],
            Self::Chromium => {
                &["google-chrome", "google-chrome-stable", "chromium", "chromium-browser"]
            }
            Self::Node => &["node", "nodejs"],
            Self::Python => &["python3"],
            Self::CargoLambda | Self::CfnLint | Self::Moto | Self::Zigbuild => &[],
        }
    }

    /// The packages that bring it, where packages do.
    fn packages(self) -> &'static [&'static str] {
        match (self, has_apt()) {
            (Self::Certutil, true) => &["libnss3-tools"],
            (Self::Certutil, false) => &["nss"],
            (Self::Chromium, _) => &["chromium"],
            (Self::Node, true) => &["nodejs"],
            (Self::Node, false) => &["node"],
            (Self::Python, _) => &["python3"],
            (Self::CargoLambda | Self::CfnLint | Self::Moto | Self::Zigbuild, _) => &[],
        }
    }
}

/// Installs those of `tools` that are missing, if the caller agrees: by `yes`, by being root, or
/// on the terminal. `ways_on` are lines to copy for a caller who cannot have them this way.
pub(crate) fn provide(
    tools: &[Tool],
    yes: bool,
    ways_on: impl Fn(&[Tool]) -> String,
) -> Result<(), Failure> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| tool.find().is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let commands = installs(&missing);
    println!("missing:");
    for tool in &missing {
        println!("  {:<14} for {}", tool.name(), tool.purpose());
    }
    println!("to install:");
    for command in &commands {
        println!("  {}", line_of(command));
    }
    if !(yes || is_root() || confirm("install now?")) {
        return Err(format!("the tools above are missing\n{}", ways_on(&missing)));
    }
    install(&missing, commands).map_err(|failure| format!("{failure}\n{}", ways_on(&missing)))?;
    match missing.iter().find(|tool| tool.find().is_none()) {
        None => Ok(()),
        Some(tool) => Err(format!(
            "{} is still not found; name it by {}=/path\n{}",
            tool.name(),
            tool.variable(),
            ways_on(&missing)
        )),
    }
}

/// Commands that install `missing`, in order.
fn installs(missing: &[Tool]) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut packages: Vec<&str> =
        missing.iter().flat_map(|tool| tool.packages()).copied().collect();
    let needs_venv = missing.iter().any(|tool| tool.venv().is_some());
    if needs_venv && has_apt() && !answers("python3", &["-c", "import ensurepip, venv"]) {
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
    commands.extend(missing.iter().filter_map(|tool| tool.venv()).flat_map(Venv::installs));
    commands
}

/// Runs the commands of [`installs`] and notes what they brought.
fn install(missing: &[Tool], commands: Vec<Command>) -> Result<(), Failure> {
    for mut command in commands {
        run(&mut command)?;
    }
    missing.iter().filter_map(|tool| tool.venv()).try_for_each(Venv::note)
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

    fn lines(missing: &[Tool]) -> Vec<String> {
        installs(missing).iter().map(line_of).collect()
    }

    #[test]
    fn what_is_missing_comes_by_complete_lines() {
        let all = lines(&[Tool::Certutil, Tool::Chromium, Tool::Node, Tool::Python]).join("\n");
        assert!(all.contains("install"), "{all}");
        for package in ["chromium", "node", "python3"] {
            assert!(all.contains(package), "{all}");
        }
        assert!(installs(&[]).is_empty());
    }

    #[test]
    fn each_program_from_pypi_has_its_own_environment_and_version() {
        let tools = [Tool::CargoLambda, Tool::CfnLint, Tool::Moto, Tool::Zigbuild];
        let all = lines(&tools);
        for tool in tools {
            let line =
                all.iter().find(|line| line.contains("pip install") && line.contains(tool.name()));
            let line = line.unwrap_or_else(|| panic!("{} in {all:?}", tool.name()));
            assert!(line.contains(&format!("tools/{}", tool.venv().unwrap().name)), "{line}");
            assert!(line.contains("=="), "{line}");
        }
    }
}
