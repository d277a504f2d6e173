//! Building one program so that the same source gives the same bytes in any folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Arch, FEATURES, PACKAGE, PROGRAM, elf};
use crate::Failure;
use crate::machine::{line_of, root, run_in, target};
use crate::tool::{Tool, ZIGBUILD};

/// Time for compilers that ask: 1 January 1980, like the time stamp in the zip.
const SOURCE_DATE_EPOCH: &str = "315532800";

/// Beginnings of variables by which a caller steers a build; none may change the bytes.
const STEERING: [&str; 14] = [
    "AR",
    "AWS_LC_",
    "CARGO_BUILD_",
    "CARGO_ENCODED_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CC",
    "CFLAGS",
    "CPPFLAGS",
    "CXX",
    "LDFLAGS",
    "RUSTC_",
    "RUSTFLAGS",
    "TARGET_",
];

/// A copy of the source, and where it is built to.
#[derive(Debug)]
pub(super) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

/// Whether the standard library of `target` is installed.
pub(super) fn has_target(target: &str) -> bool {
    rustc(&["--print", "target-libdir", "--target", target])
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

impl Checkout {
    /// The source that this task belongs to. What cargo leaves behind has its own folder:
    /// `target/dist` is where it would mix with what comes out.
    pub(super) fn here() -> Self {
        Self { root: root().to_owned(), target: target().join("dist-build") }
    }

    /// A copy in `folder` of what git knows or would add, to be built from nothing.
    pub(super) fn copy(&self, folder: &Path) -> Result<Self, Failure> {
        let failed = |path: &Path, error| format!("cannot copy to {}: {error}", path.display());
        let there = Self { root: folder.join("source"), target: folder.join("built") };
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let list = answer(Command::new("git").args(arguments).current_dir(&self.root))?;
        for name in list.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (self.root.join(name), there.root.join(name));
            // A file that was deleted is still known; a link to a folder is not needed.
            if from.is_file() {
                let parent = to.parent().expect("it lies below a folder");
                fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
                fs::copy(&from, &to).map_err(|error| failed(&to, error))?;
            }
        }
        Ok(there)
    }

    /// Builds the program and reads it.
    pub(super) fn build(&self, arch: Arch) -> Result<Vec<u8>, Failure> {
        let tool = Tool::Zigbuild.find().ok_or("cargo-zigbuild has gone")?;
        // One that the caller named has its own zig.
        let ours = tool.starts_with(ZIGBUILD.folder());
        let mut command = Command::new(tool);
        command
            .args(["zigbuild", "--locked", "--profile", "dist"])
            .args(["--package", PACKAGE, "--bin", PROGRAM, "--features", FEATURES])
            .args(["--target", &format!("{}.{}", arch.target(), elf::GLIBC_MAX)])
            .arg("--target-dir")
            .arg(&self.target);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if STEERING.iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        let places = self.places()?;
        command
            .env("CARGO_ENCODED_RUSTFLAGS", flags(&places, "--remap-path-prefix=").join("\u{1f}"))
            .env("CFLAGS", c_flags(&places))
            .env("CC_SHELL_ESCAPED_FLAGS", "1")
            .env("CARGO_INCREMENTAL", "0")
            .env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH)
            .env("CARGO_ZIGBUILD_CACHE_DIR", ZIGBUILD.folder().join("cache"))
            .env("ZIG_GLOBAL_CACHE_DIR", ZIGBUILD.folder().join("cache/zig"));
        if ours {
            command.env("CARGO_ZIGBUILD_PYTHON_PATH", ZIGBUILD.bin("python"));
        }
        run_in(&self.root, &mut command)?;
        let program = self.target.join(arch.target()).join("dist").join(PROGRAM);
        fs::read(&program).map_err(|error| format!("cannot read {}: {error}", program.display()))
    }

    /// One line for each package in the program: `DEPTH|NAME vVERSION …|LICENCE`, a package below
    /// the one that needs it.
    pub(super) fn packages(&self, arch: Arch) -> Result<String, Failure> {
        let mut command = Command::new("cargo");
        command
            .args(["tree", "--locked", "--package", PACKAGE, "--features", FEATURES])
            .args(["--target", arch.target(), "--edges", "normal,no-proc-macro"])
            .args(["--prefix", "depth", "--format", "|{p}|{l}"])
            .current_dir(&self.root);
        answer(&mut command)
    }

    /// The content of `Cargo.lock`.
    pub(super) fn lock(&self) -> Result<String, Failure> {
        let path = self.root.join("Cargo.lock");
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// Folders of this machine that compilers may write into a program, and what they become. Of
    /// two that hold a file the compilers take the later, so the inner one must come last.
    fn places(&self) -> Result<Vec<(PathBuf, String)>, Failure> {
        let version = rustc(&["--version", "--verbose"])?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = cargo.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
        let cargo = cargo.ok_or("there is no home folder: set CARGO_HOME")?;
        let mut places = vec![
            (cargo, "/cargo".to_owned()),
            (ZIGBUILD.folder(), "/zig".to_owned()),
            // What the standard library was built with, whether or not its source is here.
            (sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", commit.unwrap_or("std"))),
            (self.root.clone(), "/wsgate".to_owned()),
            (self.target.clone(), "/built".to_owned()),
        ];
        places.sort_by_key(|(from, _)| from.as_os_str().len());
        Ok(places)
    }
}

/// The version of the compiler.
pub(super) fn rustc_version() -> Result<String, Failure> {
    Ok(rustc(&["--version"])?.trim().trim_start_matches("rustc ").to_owned())
}

fn rustc(arguments: &[&str]) -> Result<String, Failure> {
    answer(Command::new("rustc").args(arguments))
}

/// What a command prints.
fn answer(command: &mut Command) -> Result<String, Failure> {
    let line = line_of(command);
    let output = command.output().map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{line}` failed with {}\n{text}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{line}` printed no text"))
}

fn flags(places: &[(PathBuf, String)], flag: &str) -> Vec<String> {
    places.iter().map(|(from, to)| format!("{flag}{}={to}", from.display())).collect()
}

/// The same for C, where a shell's rules split the variable.
fn c_flags(places: &[(PathBuf, String)]) -> OsString {
    let quoted = |flag: &String| format!("'{}'", flag.replace('\'', r"'\''"));
    flags(places, "-ffile-prefix-map=").iter().map(quoted).collect::<Vec<_>>().join(" ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_there_or_not() {
        assert!(!has_target("pdp11-unknown-linux-gnu"));
    }

    #[test]
    fn folders_become_names_and_the_inner_one_counts() {
        let root = "/home/ada/it's mine".to_owned() + &"/deep".repeat(50);
        let checkout = Checkout { root: root.clone().into(), target: format!("{root}/t").into() };
        let places = checkout.places().unwrap();
        let flags = flags(&places, "--remap-path-prefix=");
        let want = [
            format!("--remap-path-prefix={root}=/wsgate"),
            format!("--remap-path-prefix={root}/t=/built"),
        ];
        assert_eq!(flags[flags.len() - 2..], want);
        assert!(flags.iter().any(|flag| flag.ends_with("=/cargo")), "{flags:?}");
        let text = c_flags(&places).into_string().unwrap();
        assert!(text.contains(r" '-ffile-prefix-map=/home/ada/it'\''s mine/deep"), "{text}");
        assert!(text.ends_with("/t=/built'"), "{text}");
    }

    #[test]
    fn a_copy_holds_the_source_and_not_what_was_built() {
        let folder = target().join("test-of-dist-copy");
        let copy = Checkout::here().copy(&folder).unwrap();
        let here = fs::read(root().join("Cargo.lock")).unwrap();
        let there = fs::read(copy.root.join("Cargo.lock")).unwrap();
        let has_target = copy.root.join("target").exists();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(here, there);
        assert!(!has_target);
    }
}
