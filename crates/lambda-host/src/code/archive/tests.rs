use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// An entry by its name, Unix mode with file type, and content.
type Entry<'a> = (&'a str, u32, &'a [u8]);

const FILE: u32 = 0o100_644;
const FOLDER: u32 = 0o040_755;
const LINK: u32 = 0o120_777;

/// An archive in a folder of its own, with an empty folder `out` beside it.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn of(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        fs::write(folder.path().join("code.zip"), bytes).unwrap();
        Self { folder }
    }

    fn out(&self, path: &str) -> PathBuf {
        self.folder.path().join("out").join(path)
    }

    fn unpack(&self) -> Result<Budget, CodeError> {
        self.unpack_within(Budget { bytes: 1 << 20, entries: 100 })
    }

    fn unpack_within(&self, mut budget: Budget) -> Result<Budget, CodeError> {
        unpack(&self.folder.path().join("code.zip"), &self.out(""), &mut budget)?;
        Ok(budget)
    }

    /// Names beside the archive: nothing may appear there.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }
}

/// An archive of these entries, deflated, as they are: a writer that checks would refuse them.
fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, mode, content) in entries {
        let offset = bytes.len() as u32;
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(content).unwrap();
        let deflated = deflated.finish().unwrap();
        // Version, flags, method, time, date; checksum, sizes; lengths of name and extra field.
        let mut fields: Vec<u8> =
            [20u16, 0, 8, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let sizes = [crc.sum(), deflated.len() as u32, content.len() as u32];
        fields.extend(sizes.iter().flat_map(|n| n.to_le_bytes()));
        fields.extend([name.len() as u16, 0].iter().flat_map(|n| n.to_le_bytes()));
        bytes.extend([b"PK\x03\x04", fields.as_slice(), name.as_bytes(), &deflated].concat());
        // Made on Unix; no comment, disk or internal attributes; mode and offset.
        let ends = [[0; 6].as_slice(), &[0, 0], &(mode << 16).to_le_bytes(), &offset.to_le_bytes()];
        let entry =
            [b"PK\x01\x02", [20, 3].as_slice(), &fields, &ends.concat()[2..], name.as_bytes()];
        directory.extend(entry.concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    let start = (bytes.len() as u32).to_le_bytes();
    bytes.extend(directory);
    bytes
        .extend([b"PK\x05\x06\0\0\0\0", count.as_slice(), &count, &size, &start, &[0, 0]].concat());
    bytes
}

#[track_caller]
fn check_refused(entries: &[Entry<'_>], fault: EntryFault) {
    let fixture = Fixture::of(&zip(entries));
    match fixture.unpack() {
        Err(CodeError::ArchiveEntry { fault: found, .. }) => assert_eq!(found, fault),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.beside(), ["code.zip", "out"]);
}

#[test]
fn files_folders_links_and_modes_come_out_as_they_went_in() {
    let fixture = Fixture::of(&zip(&[
        ("bin/run", 0o100_755, b"#!/bin/sh"),
        ("lib/a.js", 0o100_444, b"a"),
        ("lib/b.js", 0, b"b"),
        ("empty/", FOLDER, b""),
        ("bin/up", LINK, b"../lib/a.js"),
        ("latest", LINK, b"lib"),
        ("setuid", 0o104_755, b""),
    ]));
    let budget = fixture.unpack().unwrap();
    assert_eq!(budget, Budget { bytes: (1 << 20) - 25, entries: 91 });
    let mode = |path| fixture.out(path).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(fs::read(fixture.out("bin/run")).unwrap(), b"#!/bin/sh");
    assert_eq!(mode("bin/run"), 0o755);
    assert_eq!(mode("lib/a.js"), 0o644, "its owner can remove it");
    assert_eq!(mode("setuid"), 0o755);
    assert!(fixture.out("empty").is_dir());
    assert_eq!(fs::read_to_string(fixture.out("bin/up")).unwrap(), "a");
    assert_eq!(fs::read_to_string(fixture.out("latest/b.js")).unwrap(), "b");
}

#[test]
fn no_name_leads_out() {
    for name in ["../x", "a/../../x", "a/..", "/etc/x", "/", "..", "a/../x"] {
        check_refused(&[("ok", FILE, b""), (name, FILE, b"x")], EntryFault::Name);
    }
    check_refused(&[("../", FOLDER, b"")], EntryFault::Name);
}

#[test]
fn no_link_leads_out() {
    let targets: [&[u8]; 9] =
        [b"/etc/passwd", b"..", b"../x", b"d/../../x", b"d/..", b"./../x", b"", b"a\0b", b"\xff"];
    for target in targets {
        check_refused(&[("link", LINK, target)], EntryFault::LinkOut);
    }
    check_refused(&[("a/b/link", LINK, b"../../../x")], EntryFault::LinkOut);
    // Lexically inside, but `l` leads up on the way.
    let through = b"a/b/l/../..";
    check_refused(
        &[("a/b/l", LINK, b"../../d"), ("d/x", FILE, b""), ("m", LINK, through)],
        EntryFault::LinkOut,
    );
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let fixture = Fixture::of(&zip(&[("d/x", FILE, b"1"), ("l", LINK, b"d"), ("l/x", FILE, b"2")]));
    assert!(matches!(fixture.unpack(), Err(CodeError::Unusable { .. })), "`l` is a folder by now");
    check_refused(
        &[("d/x", FILE, b"1"), ("l", LINK, b"d"), ("l/y", LINK, b"x")],
        EntryFault::Duplicate,
    );
}

#[test]
fn nothing_is_there_twice() {
    check_refused(&[("a/x", FILE, b"1"), ("a/./x", FILE, b"2")], EntryFault::Duplicate);
    check_refused(&[("x", FILE, b"1"), ("./x", LINK, b"a")], EntryFault::Duplicate);
    let bytes = zip(&[("x", FILE, b"1"), ("x", FILE, b"2")]);
    assert!(matches!(Fixture::of(&bytes).unpack(), Err(CodeError::Archive { .. })));
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [0o010_000, 0o020_000, 0o060_000, 0o140_000] {
        check_refused(&[("x", kind | 0o644, b"")], EntryFault::Special);
    }
}

#[test]
fn bytes_are_counted_as_they_come_out() {
    let bomb = vec![0; 4096];
    let mut bytes = zip(&[("a", FILE, b"123"), ("b", FILE, &bomb)]);
    let fixture = Fixture::of(&bytes);
    let budget = |bytes| Budget { bytes, entries: 2 };
    assert_eq!(fixture.unpack_within(budget(4099)), Ok(Budget { bytes: 0, entries: 0 }));

    let fixture = Fixture::of(&bytes);
    assert!(matches!(fixture.unpack_within(budget(4098)), Err(CodeError::TooLarge { .. })));
    assert!(fixture.out("b").metadata().unwrap().len() <= 4096, "and it stops in time");

    // The size that the archive declares changes nothing.
    let header = memchr::memmem::rfind(&bytes, b"PK\x01\x02").unwrap();
    bytes[header + 24..header + 28].copy_from_slice(&1u32.to_le_bytes());
    assert!(Fixture::of(&bytes).unpack_within(budget(4098)).is_err());
}

#[test]
fn entries_are_counted() {
    let bytes = zip(&[("a", FILE, b""), ("b/", FOLDER, b"")]);
    let within = |entries| Fixture::of(&bytes).unpack_within(Budget { bytes: 0, entries });
    assert!(within(2).is_ok());
    assert!(matches!(within(1), Err(CodeError::TooManyFiles { .. })));
}

#[test]
fn folders_that_only_names_tell_of_are_counted() {
    for deep in
        [("a/b/c/d", FILE, b"".as_slice()), ("a/b/c/d/", FOLDER, b""), ("a/b/c/d", LINK, b"x")]
    {
        let bytes = zip(&[deep]);
        let within = |entries| Fixture::of(&bytes).unpack_within(Budget { bytes: 1, entries });
        assert_eq!(within(4).map(|left| left.entries), Ok(0), "{deep:?}");
        assert!(matches!(within(3), Err(CodeError::TooManyFiles { .. })), "{deep:?}");
    }
    let shared = zip(&[("a/b/c", FILE, b""), ("a/b/d", FILE, b""), ("a/b/", FOLDER, b"")]);
    let left = Fixture::of(&shared).unpack_within(Budget { bytes: 0, entries: 4 });
    assert_eq!(left.map(|left| left.entries), Ok(0), "each folder once");
}

#[test]
fn targets_of_links_are_counted() {
    let bytes = zip(&[("a", LINK, b"1234"), ("b", LINK, b"12345")]);
    let within =
        |bytes_left| Fixture::of(&bytes).unpack_within(Budget { bytes: bytes_left, entries: 2 });
    assert_eq!(within(9), Ok(Budget { bytes: 0, entries: 0 }));
    assert!(matches!(within(8), Err(CodeError::TooLarge { .. })));
}

/// Else it would have found the damaged one.
#[test]
fn an_archive_of_too_many_entries_is_refused_before_they_are_read() {
    let names: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let entries: Vec<Entry<'_>> =
        names.iter().map(|name| (name.as_str(), FILE, b"".as_slice())).collect();
    let mut bytes = zip(&entries);
    let last = memchr::memmem::rfind(&bytes, HEADER).unwrap();
    bytes[last] = b'!';
    let within = |entries| Fixture::of(&bytes).unpack_within(Budget { bytes: 0, entries });
    assert!(matches!(within(4998), Err(CodeError::TooManyFiles { .. })));
    assert!(matches!(within(4999), Err(CodeError::Archive { .. })), "each is counted once");
}

#[test]
fn a_damaged_archive_is_an_error() {
    let bytes = zip(&[("a", FILE, b"content that is compressed, compressed, compressed")]);
    assert!(matches!(Fixture::of(b"").unpack(), Err(CodeError::Archive { .. })));
    assert!(matches!(
        Fixture::of(&bytes[..bytes.len() / 2]).unpack(),
        Err(CodeError::Archive { .. })
    ));
    let mut wrong = bytes;
    wrong[60] ^= 0x55;
    assert!(matches!(Fixture::of(&wrong).unpack(), Err(CodeError::Archive { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_in_an_archive_stays_in_its_folder(
        entries in proptest::collection::vec(
            (
                "(a|b|c|\\.\\.|\\.|/)(/(a|b|c|\\.\\.|\\.)){0,4}/?",
                prop_oneof![Just(FILE), Just(LINK), Just(FOLDER)],
                "(a|b|c|\\.\\.|/)(/(a|b|c|\\.\\.|\\.)){0,4}",
            ),
            1..8,
        )
    ) {
        let mut seen = BTreeMap::new();
        for (name, mode, content) in &entries {
            seen.insert(name.as_str(), (*mode, content.as_bytes()));
        }
        let entries: Vec<Entry<'_>> = seen.iter().map(|(n, (m, c))| (*n, *m, *c)).collect();
        let fixture = Fixture::of(&zip(&entries));
        // Refused or not, it is the same for what is outside.
        let _ = fixture.unpack();
        prop_assert_eq!(fixture.beside(), ["code.zip", "out"]);
        let root = fixture.out("").canonicalize().unwrap();
        let mut pending = vec![root.clone()];
        while let Some(path) = pending.pop() {
            if let Ok(real) = path.canonicalize() {
                prop_assert!(real.starts_with(&root), "{} leads to {}", path.display(), real.display());
            }
            if path.symlink_metadata().unwrap().is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }

    #[test]
    fn any_bytes_are_an_archive_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let _ = Fixture::of(&bytes).unpack();
        let mut bytes = zip(&[("a/b", FILE, b"abc"), ("l", LINK, b"a")]);
        let at = at.index(bytes.len());
        bytes[at] = value;
        let fixture = Fixture::of(&bytes);
        let _ = fixture.unpack();
        prop_assert_eq!(fixture.beside(), ["code.zip", "out"]);
    }
}
