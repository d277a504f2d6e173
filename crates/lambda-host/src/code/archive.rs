//! Unpacking of zip archives that nobody vouches for.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::error::{CodeError, EntryFault};

/// What may still be unpacked for one function, its layers included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Budget {
    /// Bytes in files, as they come out and not as the archive declares them.
    pub(crate) bytes: u64,
    /// Entries.
    pub(crate) entries: usize,
}

impl Budget {
    /// Unpacked bytes of a function and its layers: [Lambda's 250 MB][quotas].
    ///
    /// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    pub(crate) const BYTES_MAX: u64 = 250 * 1024 * 1024;
    /// Entries: each costs a file of the machine; large `node_modules` hold half as many.
    pub(crate) const ENTRIES_MAX: usize = 100_000;

    /// All that Lambda grants.
    pub(crate) const FULL: Self = Self { bytes: Self::BYTES_MAX, entries: Self::ENTRIES_MAX };
}

/// Length of a link's target in bytes: more is no path on Linux.
const LINK_BYTES_MAX: u64 = 4096;

/// Unpacks `archive` into the empty folder `folder` and takes what it used from `budget`.
///
/// Nothing is written outside `folder`, whatever the archive says: names have neither `..` nor a
/// root, nothing is overwritten, and links are made when all files are there, so that no entry
/// goes through a link of the archive's own.
pub(crate) fn unpack(archive: &Path, folder: &Path, budget: &mut Budget) -> Result<(), CodeError> {
    let broken = |error: zip::result::ZipError| CodeError::Archive {
        path: archive.to_owned(),
        reason: error.to_string(),
    };
    let file = File::open(archive).map_err(|error| CodeError::unusable(archive, &error))?;
    // The archive's directory is read into memory, and it is never larger than the archive.
    let metadata = file.metadata().map_err(|error| CodeError::unusable(archive, &error))?;
    if Budget::BYTES_MAX < metadata.len() {
        return Err(too_large(archive));
    }
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    let Some(entries) = budget.entries.checked_sub(zip.len()) else {
        let path = archive.to_owned();
        return Err(CodeError::TooManyFiles { path, max: Budget::ENTRIES_MAX });
    };
    budget.entries = entries;
    if zip.has_duplicate_names() {
        return Err(CodeError::Archive {
            path: archive.to_owned(),
            reason: "a name is there twice".to_owned(),
        });
    }
    let mut unpacking = Unpacking { archive, folder, budget, seen: HashSet::new() };
    let mut links = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(broken)?;
        if let Some(link) = unpacking.entry(&mut entry)? {
            links.push(link);
        }
    }
    links.iter().try_for_each(|link| unpacking.link(link))
}

/// Whether the file begins as a zip archive does, an empty one included.
pub(crate) fn is_archive(path: &Path) -> Result<bool, CodeError> {
    let mut start = Vec::with_capacity(4);
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.map_err(|error| CodeError::unusable(path, &error))?;
    Ok(matches!(start.as_slice(), b"PK\x03\x04" | b"PK\x05\x06"))
}

struct Unpacking<'a> {
    archive: &'a Path,
    folder: &'a Path,
    budget: &'a mut Budget,
    /// Names of files and links; the zip reader compares them before `.` and `//` are gone.
    seen: HashSet<PathBuf>,
}

struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Unpacking<'_> {
    /// Writes a file or folder; a link is handed back for later.
    fn entry<R: Read + Seek>(
        &mut self,
        entry: &mut ZipFile<'_, R>,
    ) -> Result<Option<Link>, CodeError> {
        let name = entry.name().map_err(|error| CodeError::Archive {
            path: self.archive.to_owned(),
            reason: error.to_string(),
        })?;
        let name = name.into_owned();
        let path = inside(&name).ok_or_else(|| self.refused(&name, EntryFault::Name))?;
        let mode = entry.unix_mode().unwrap_or(0);
        match Kind::of(mode, entry.is_dir()) {
            Kind::Folder => self.make_folder(&path).map(|()| None),
            _ if path.as_os_str().is_empty() => Err(self.refused(&name, EntryFault::Name)),
            _ if !self.seen.insert(path.clone()) => Err(self.refused(&name, EntryFault::Duplicate)),
            Kind::File => self.write_file(&path, mode, entry).map(|()| None),
            Kind::Link => self.read_link(path, &name, entry).map(Some),
            Kind::Special => Err(self.refused(&name, EntryFault::Special)),
        }
    }

    fn make_folder(&self, path: &Path) -> Result<(), CodeError> {
        let path = self.folder.join(path);
        // Others may not read what a function is made of; its owner can always remove it.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| CodeError::unusable(&path, &error))
    }

    fn write_file(
        &mut self,
        path: &Path,
        mode: u32,
        content: &mut impl Read,
    ) -> Result<(), CodeError> {
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        let path = self.folder.join(path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode & 0o777 | 0o600)
            .open(&path)
            .map_err(|error| CodeError::unusable(&path, &error))?;
        // One byte more than there may be tells an archive that goes on.
        let mut limited = content.take(self.budget.bytes + 1);
        let written = io::copy(&mut limited, &mut file).map_err(|error| CodeError::Archive {
            path: self.archive.to_owned(),
            reason: error.to_string(),
        })?;
        self.budget.bytes =
            self.budget.bytes.checked_sub(written).ok_or_else(|| too_large(self.archive))?;
        Ok(())
    }

    fn read_link(
        &self,
        path: PathBuf,
        name: &str,
        content: &mut impl Read,
    ) -> Result<Link, CodeError> {
        let mut target = String::new();
        match content.take(LINK_BYTES_MAX).read_to_string(&mut target) {
            Ok(_) if stays_inside(&path, &target) => Ok(Link { path, target: target.into() }),
            _ => Err(self.refused(name, EntryFault::LinkOut)),
        }
    }

    fn link(&self, link: &Link) -> Result<(), CodeError> {
        if let Some(parent) = link.path.parent() {
            self.make_link_parent(parent)?;
        }
        let path = self.folder.join(&link.path);
        std::os::unix::fs::symlink(&link.target, &path)
            .map_err(|error| CodeError::unusable(&path, &error))
    }

    /// Makes the folders above a link. By now there may be links, so each step is looked at.
    fn make_link_parent(&self, parent: &Path) -> Result<(), CodeError> {
        let mut path = self.folder.to_owned();
        for part in parent {
            path.push(part);
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    let entry = parent.to_string_lossy();
                    return Err(self.refused(&entry, EntryFault::Duplicate));
                }
                Err(_) => {
                    let relative = path.strip_prefix(self.folder).unwrap_or(&path);
                    self.make_folder(relative)?;
                }
            }
        }
        Ok(())
    }

    fn refused(&self, name: &str, fault: EntryFault) -> CodeError {
        let entry = name.escape_debug().to_string();
        CodeError::ArchiveEntry { path: self.archive.to_owned(), entry, fault }
    }
}

fn too_large(archive: &Path) -> CodeError {
    CodeError::TooLarge { path: archive.to_owned(), max: Budget::BYTES_MAX }
}

enum Kind {
    File,
    Folder,
    Link,
    Special,
}

impl Kind {
    /// The kind by the file type bits of a Unix mode; archives of other systems have none.
    fn of(mode: u32, is_dir: bool) -> Self {
        match mode & 0o170_000 {
            0o120_000 => Self::Link,
            0o040_000 => Self::Folder,
            0 if is_dir => Self::Folder,
            0 => Self::File,
            0o100_000 if !is_dir => Self::File,
            _ => Self::Special,
        }
    }
}

/// The relative path that an entry's name stands for, without `.` and doubled slashes.
fn inside(name: &str) -> Option<PathBuf> {
    if name.contains('\0') {
        return None;
    }
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Whether a link at `path` stays within the archive. Its `..` must all come first: there they
/// count real folders, behind a name they could count from wherever another link leads.
fn stays_inside(path: &Path, target: &str) -> bool {
    if target.is_empty() || target.contains('\0') {
        return false;
    }
    let mut ups_left = path.components().count().saturating_sub(1);
    let mut names_seen = false;
    for component in Path::new(target).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => names_seen = true,
            Component::ParentDir if !names_seen && 0 < ups_left => ups_left -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
