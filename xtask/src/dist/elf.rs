//! What a program asks of the machine that starts it.

use std::collections::{BTreeMap, BTreeSet};

use object::elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, Machine, SHT_DYNSYM};
use object::read::elf::{FileHeader as _, Sym as _};
use object::{LittleEndian, SymbolIndex};

use super::Arch;

/// The C library of Lambda's `provided.al2023`, which is that of [Amazon Linux 2023].
///
/// [Amazon Linux 2023]: https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html
pub(super) const GLIBC_MAX: &str = "2.34";

/// Libraries that the runtime has.
const LIBRARIES: [&str; 8] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
];

/// What the dynamic loader must find.
#[derive(Debug)]
pub(super) struct Needs {
    machine: Machine,
    libraries: BTreeSet<String>,
    /// Symbol versions, and the imported symbols of each.
    versions: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the tables of the dynamic loader.
pub(super) fn read(program: &[u8]) -> Result<Needs, String> {
    let failed = |error| format!("cannot read the program: {error}");
    let header = FileHeader64::<LittleEndian>::parse(program).map_err(failed)?;
    let endian = header.endian().map_err(failed)?;
    let sections = header.sections(endian, program).map_err(failed)?;
    let mut needs = Needs {
        machine: header.e_machine(endian),
        libraries: BTreeSet::new(),
        versions: BTreeMap::new(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let dynamic = sections.dynamic_table(endian, program).map_err(failed)?;
    for entry in &dynamic {
        if entry.tag == DT_NEEDED {
            needs.libraries.insert(text(dynamic.string(entry).map_err(failed)?));
        }
    }
    // A version that no symbol asks for counts too: the loader looks for it.
    if let Some((mut libraries, link)) = sections.gnu_verneed(endian, program).map_err(failed)? {
        let strings = sections.strings(endian, program, link).map_err(failed)?;
        while let Some((_, versions)) = libraries.next().map_err(failed)? {
            for version in versions {
                let name = version.map_err(failed)?.name(endian, strings).map_err(failed)?;
                needs.versions.entry(text(name)).or_default();
            }
        }
    }
    let symbols = sections.symbols(endian, program, SHT_DYNSYM).map_err(failed)?;
    let versions = sections.versions(endian, program).map_err(failed)?.unwrap_or_default();
    for (index, symbol) in symbols.iter().enumerate().filter(|(_, it)| it.is_undefined(endian)) {
        let version = versions.version_index(endian, SymbolIndex(index)).index();
        if let Some(version) = versions.version(version).map_err(failed)? {
            let name = symbol.name(endian, symbols.strings()).map_err(failed)?;
            needs.versions.entry(text(version.name())).or_default().insert(text(name));
        }
    }
    Ok(needs)
}

impl Needs {
    /// The newest version of the C library that is asked for, if Lambda can start the program.
    pub(super) fn check(&self, arch: Arch) -> Result<String, String> {
        let machine = match arch {
            Arch::Arm64 => EM_AARCH64,
            Arch::X86_64 => EM_X86_64,
        };
        if self.machine != machine {
            return Err(format!("the program is for machine {:?}, not {machine:?}", self.machine));
        }
        if let Some(library) = self.libraries.iter().find(|it| !LIBRARIES.contains(&it.as_str())) {
            return Err(format!("the program needs {library}, which the runtime has not"));
        }
        let max = numbers(GLIBC_MAX);
        let mut newest = None;
        for (version, symbols) in &self.versions {
            let Some(glibc) = version.strip_prefix("GLIBC_") else { continue };
            // Names without numbers, like `GLIBC_ABI_DT_RELR`, came after this version.
            let number = numbers(glibc);
            if number.is_none() || number > max {
                let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
                let symbols = if symbols.is_empty() { "(no symbol)" } else { &symbols.join(", ") };
                return Err(format!("{symbols} needs {version}; the runtime has {GLIBC_MAX}"));
            }
            newest = newest.max(number.zip(Some(glibc)));
        }
        // A program without any is none that we built.
        newest.map(|(_, name)| name.to_owned()).ok_or_else(|| "no use of glibc found".to_owned())
    }
}

/// The numbers of a version, in order of weight.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(libraries: &[&str], versions: &[(&str, &[&str])]) -> Needs {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Needs {
            machine: EM_X86_64,
            libraries: set(libraries),
            versions: versions.iter().map(|(it, names)| ((*it).to_owned(), set(names))).collect(),
        }
    }

    #[test]
    fn the_newest_version_is_found_by_number() {
        let old = [("GLIBC_2.9", ["pipe2"].as_slice()), ("GLIBC_2.34", &[]), ("GLIBC_2.2.5", &[])];
        assert_eq!(needs(&["libc.so.6"], &old).check(Arch::X86_64).unwrap(), "2.34");
        let old = [("GCC_3.0", ["_Unwind_Resume"].as_slice()), ("GLIBC_2.2.5", &[])];
        assert_eq!(needs(&["libgcc_s.so.1"], &old).check(Arch::X86_64).unwrap(), "2.2.5");
    }

    #[test]
    fn a_newer_version_is_refused_with_the_symbol() {
        let rows: [(&str, &[&str], &str); 5] = [
            ("GLIBC_2.35", &["new_one"], "new_one needs GLIBC_2.35; the runtime has 2.34"),
            ("GLIBC_2.34.1", &["a", "b"], "a, b needs GLIBC_2.34.1"),
            ("GLIBC_3", &["three"], "three needs GLIBC_3"),
            ("GLIBC_ABI_DT_RELR", &[], "(no symbol) needs GLIBC_ABI_DT_RELR"),
            ("GLIBC_PRIVATE", &["inner"], "inner needs GLIBC_PRIVATE"),
        ];
        for (version, symbols, want) in rows {
            let needs = needs(&["libc.so.6"], &[("GLIBC_2.2.5", &[]), (version, symbols)]);
            let error = needs.check(Arch::X86_64).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn another_machine_a_foreign_library_and_no_c_library_are_refused() {
        let old = [("GLIBC_2.2.5", [].as_slice())];
        assert!(needs(&["libc.so.6"], &old).check(Arch::Arm64).is_err());
        let error = needs(&["libssl.so.3"], &old).check(Arch::X86_64).unwrap_err();
        assert!(error.contains("libssl.so.3"), "{error}");
        assert!(needs(&["libc.so.6"], &[]).check(Arch::X86_64).is_err());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for bytes in [b"".as_slice(), b"#!/bin/sh", &[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    /// This test itself is a program.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    mod real {
        use super::*;

        fn this_program() -> Vec<u8> {
            std::fs::read(std::env::current_exe().unwrap()).unwrap()
        }

        #[test]
        fn its_needs_are_read() {
            let needs = read(&this_program()).unwrap();
            assert!(needs.libraries.contains("libc.so.6"), "{:?}", needs.libraries);
            let symbols: Vec<&String> = needs.versions.values().flatten().collect();
            assert!(symbols.iter().any(|name| *name == "__libc_start_main"), "{symbols:?}");
        }

        #[test]
        fn a_version_from_the_future_is_found() {
            let mut program = this_program();
            let oldest = read(&program).unwrap();
            let version = oldest.versions.keys().find(|it| it.starts_with("GLIBC_2.")).unwrap();
            // The name in the string table, changed in place.
            let name = [b"\0".as_slice(), version.as_bytes(), b"\0"].concat();
            let at = program.windows(name.len()).position(|window| window == name).unwrap();
            program[at + "\0GLIBC_".len()] = b'9';
            let needs = read(&program).unwrap();
            let arch = if needs.machine == EM_X86_64 { Arch::X86_64 } else { Arch::Arm64 };
            let error = needs.check(arch).unwrap_err();
            assert!(error.contains(" needs GLIBC_9"), "{error}");
        }

        #[test]
        fn damage_is_an_error_and_no_panic() {
            let program = this_program();
            for kept in (0..program.len()).step_by(program.len() / 50) {
                let _ = read(&program[..kept]);
            }
            assert!(read(&program[..program.len() / 2]).is_err());
        }
    }
}
