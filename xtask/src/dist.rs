//! `cargo xtask dist`: the authorizer as a Lambda function, one zip for each architecture.

mod archive;
mod build;
mod elf;
mod sbom;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::machine::target;
use crate::tool::{self, Tool};
use build::Checkout;

/// The package, its binary and the feature that brings it.
const PACKAGE: &str = "wsgate-authorizer-lambda";
const PROGRAM: &str = "bootstrap";
const FEATURES: &str = "bootstrap";

/// What the sums are written to, as `sha256sum --check` reads them.
const SUMS: &str = "SHA256SUMS";

/// What the caller asked for.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Options {
    /// What to build for; empty means all.
    archs: Vec<Arch>,
    /// Build everything a second time elsewhere and compare.
    verify: bool,
    /// Install without asking.
    yes: bool,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--arch" => {
                    let name = words.next().ok_or("--arch what?")?;
                    let arch = Arch::ALL.into_iter().find(|arch| arch.name() == *name);
                    let arch = arch.ok_or_else(|| format!("no architecture is called {name}"))?;
                    if !options.archs.contains(&arch) {
                        options.archs.push(arch);
                    }
                }
                "--verify" => options.verify = true,
                "--yes" | "-y" => options.yes = true,
                other => return Err(format!("unknown option {other}")),
            }
        }
        if options.archs.is_empty() {
            options.archs = Arch::ALL.to_vec();
        }
        Ok(options)
    }
}

/// An architecture of Lambda, by Lambda's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Arch {
    Arm64,
    X86_64,
}

impl Arch {
    const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// Rust's name of the target.
    fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// The name of a file that comes out.
    fn file(self, ending: &str) -> String {
        format!("wsgate-authorizer-{}.{ending}", self.name())
    }
}

/// What was built for one architecture.
struct Release {
    arch: Arch,
    program: Vec<u8>,
    zip: Vec<u8>,
    sbom: String,
    /// The newest version of the C library that it asks for.
    glibc: String,
}

/// Builds, checks, packs and says what came out.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    be_ready(options)?;
    let here = Checkout::here();
    let releases: Vec<Release> =
        options.archs.iter().map(|arch| release(&here, *arch)).collect::<Result<_, _>>()?;
    if options.verify {
        verify(&here, &releases)?;
    }
    let folder = target().join("dist");
    write(&folder, &releases)?;
    for release in &releases {
        println!("{}", describe(&folder, release));
    }
    println!("{}", folder.join(SUMS).display());
    Ok(())
}

/// Finds everything that is missing before anything is built.
fn be_ready(options: &Options) -> Result<(), Failure> {
    let targets: Vec<Arch> =
        options.archs.iter().copied().filter(|arch| !build::has_target(arch.target())).collect();
    if let Some(complaint) = complain(&targets, Tool::Zigbuild.find().is_none()) {
        return Err(complaint);
    }
    tool::provide(&[Tool::Zigbuild], options.yes, |_| {
        "to install them: cargo xtask dist --yes".to_owned()
    })
}

/// What a person must type when targets are missing, which only rustup can bring.
fn complain(targets: &[Arch], tool_is_missing: bool) -> Option<String> {
    if targets.is_empty() {
        return None;
    }
    let mut text = "missing:".to_owned();
    for arch in targets {
        text += &format!("\n  the standard library for {}", arch.name());
    }
    if tool_is_missing {
        text += &format!("\n  {}, for {}", Tool::Zigbuild.name(), Tool::Zigbuild.purpose());
    }
    let names: Vec<&str> = targets.iter().map(|arch| arch.target()).collect();
    text += &format!("\nto install:\n  rustup target add {}", names.join(" "));
    if tool_is_missing {
        text += "\n  cargo xtask dist --yes";
    }
    Some(text)
}

fn release(checkout: &Checkout, arch: Arch) -> Result<Release, Failure> {
    let program = checkout.build(arch)?;
    let needs = elf::read(&program).map_err(|error| format!("{}: {error}", arch.name()))?;
    let glibc = needs.check(arch).map_err(|error| format!("{}: {error}", arch.name()))?;
    let zip = archive::zip(&program)?;
    let sbom = sbom::of(checkout, arch, &archive::sha256(&program))?;
    Ok(Release { arch, program, zip, sbom, glibc })
}

/// Builds again in another folder; the same source must give the same bytes.
fn verify(here: &Checkout, releases: &[Release]) -> Result<(), Failure> {
    let folder = target().join("dist-verify");
    let there = here.copy(&folder)?;
    for first in releases {
        let second = release(&there, first.arch)?;
        for (what, same) in [
            (PROGRAM, first.program == second.program),
            ("zip", first.zip == second.zip),
            ("SBOM", first.sbom == second.sbom),
        ] {
            if !same {
                return Err(format!(
                    "{}: a second build in {} gives another {what}",
                    first.arch.name(),
                    folder.display()
                ));
            }
        }
    }
    println!("built twice, in two folders: the same bytes");
    fs::remove_dir_all(&folder)
        .map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}

/// Writes the files of this run, and removes those of runs before.
fn write(folder: &Path, releases: &[Release]) -> Result<(), Failure> {
    let failed = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut sums = String::new();
    for arch in Arch::ALL {
        let found = releases.iter().find(|release| release.arch == arch);
        for ending in ["zip", "cdx.json"] {
            let path = folder.join(arch.file(ending));
            let content = found.map(|release| match ending {
                "zip" => release.zip.as_slice(),
                _ => release.sbom.as_bytes(),
            });
            let done = match content {
                Some(content) => {
                    sums += &format!("{}  {}\n", archive::sha256(content), arch.file(ending));
                    fs::write(&path, content)
                }
                None if path.exists() => fs::remove_file(&path),
                None => Ok(()),
            };
            done.map_err(|error| failed(&path, error))?;
        }
    }
    let path = folder.join(SUMS);
    fs::write(&path, sums).map_err(|error| failed(&path, error))
}

fn describe(folder: &Path, release: &Release) -> String {
    let path = |ending| -> PathBuf { folder.join(release.arch.file(ending)) };
    let row = |name: &str, bytes: &[u8]| {
        format!("  {name:<9} {:>9} bytes  sha256 {}", bytes.len(), archive::sha256(bytes))
    };
    [
        path("zip").display().to_string(),
        row("zip", &release.zip),
        row(PROGRAM, &release.program),
        format!("  needs     glibc {} (at most {})", release.glibc, elf::GLIBC_MAX),
        format!("  SBOM      {}", path("cdx.json").display()),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_words() {
        let both = Options::parse(&[]).unwrap();
        assert_eq!(both.archs, Arch::ALL);
        let one = Options::parse(&["--arch", "arm64", "--verify", "--arch", "arm64"]).unwrap();
        assert_eq!(one, Options { archs: vec![Arch::Arm64], verify: true, yes: false });
        for wrong in [["--arch"].as_slice(), &["--arch", "riscv64"], &["x"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn all_that_is_missing_is_said_at_once_with_the_line_to_type() {
        assert_eq!(complain(&[], true), None, "the tool can be installed");
        let text = complain(&Arch::ALL, true).unwrap();
        let line = "\n  rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu\n";
        assert!(text.contains(line) && text.contains("cargo-zigbuild"), "{text}");
        let text = complain(&[Arch::Arm64], false).unwrap();
        assert!(text.ends_with("\n  rustup target add aarch64-unknown-linux-gnu"), "{text}");
    }

    #[test]
    fn sums_name_what_this_run_made_and_nothing_else() {
        let folder = target().join("test-of-dist-sums");
        let release = |arch| Release {
            arch,
            program: b"program".to_vec(),
            zip: b"zip".to_vec(),
            sbom: "{}".to_owned(),
            glibc: "2.34".to_owned(),
        };
        write(&folder, &[release(Arch::X86_64), release(Arch::Arm64)]).unwrap();
        write(&folder, &[release(Arch::Arm64)]).unwrap();
        let sums = fs::read_to_string(folder.join(SUMS)).unwrap();
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        fs::remove_dir_all(&folder).unwrap();
        let (json, zip) = ("wsgate-authorizer-arm64.cdx.json", "wsgate-authorizer-arm64.zip");
        assert_eq!(names, [SUMS, json, zip]);
        let lines: Vec<&str> = sums.lines().collect();
        assert_eq!(lines.len(), 2, "{sums}");
        assert_eq!(lines[0], format!("{}  {zip}", archive::sha256(b"zip")));
    }

    #[test]
    fn the_description_holds_sizes_sums_and_paths() {
        let release = Release {
            arch: Arch::X86_64,
            program: b"abc".to_vec(),
            zip: Vec::new(),
            sbom: String::new(),
            glibc: "2.28".to_owned(),
        };
        let text = describe(Path::new("/d"), &release);
        for part in [
            "/d/wsgate-authorizer-x86_64.zip",
            "3 bytes  sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "0 bytes  sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "glibc 2.28 (at most 2.34)",
            "/d/wsgate-authorizer-x86_64.cdx.json",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
