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
    /// Files, links and folders.
    pub(crate) entries: usize,
}

impl Budget {
    /// Unpacked bytes of a function and its layers: [Lambda's 250 MB][quotas].
    ///
    /// [quotas]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    pub(crate) const BYTES_MAX: u64 = 250 * 1024 * 1024;
    /// Files, links and folders, also those that only a longer name tells of: each costs an inode
    /// of the machine; large `node_modules` hold half as many.
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
    let metadata = file.metadata().map_err(|error| CodeError::unusable(archive, &error))?;
    if Budget::BYTES_MAX < metadata.len() {
        return Err(too_large(archive));
    }
    // The reader keeps all headers in memory, so they are counted before.
    let unusable = |error: io::Error| CodeError::unusable(archive, &error);
    let is_short = metadata.len() / HEADER_BYTES_MIN <= budget.entries as u64;
    if !is_short && budget.entries < count_headers(&file).map_err(unusable)? {
        return Err(too_many(archive));
    }
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    let mut unpacking = Unpacking { archive, folder, budget, seen: HashSet::new() };
    if zip.has_duplicate_names() {
        return Err(CodeError::Archive {
            path: archive.to_owned(),
            reason: "a name is there twice".to_owned(),
        });
    }
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

/// What each entry in the directory of an archive begins with ([APPNOTE], 4.3.12).
///
/// [APPNOTE]: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
const HEADER: &[u8; 4] = b"PK\x01\x02";

/// Length of such an entry without its name.
const HEADER_BYTES_MIN: u64 = 46;

/// Bytes of an archive that are looked at in one go.
const SCAN_BYTES: usize = 64 * 1024;

/// How many entries the archive has, at most: what is stored in it may look like an entry.
fn count_headers(mut file: &File) -> io::Result<usize> {
    let mut buffer = vec![0; SCAN_BYTES];
    let (mut count, mut kept) = (0, 0);
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(count);
        }
        let end = kept + read;
        count += memchr::memmem::find_iter(&buffer[..end], HEADER).count();
        // A header may begin in its last bytes, too few to be counted twice.
        kept = end.min(HEADER.len() - 1);
        buffer.copy_within(end - kept..end, 0);
    }
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

    /// Makes a folder and those above it.
    fn make_folder(&mut self, path: &Path) -> Result<(), CodeError> {
        let mut missing = Vec::new();
        let mut above = Some(path);
        while let Some(path) = above.filter(|path| !path.as_os_str().is_empty()) {
            if self.folder.join(path).is_dir() {
                break;
            }
            missing.push(path);
            above = path.parent();
        }
        for path in missing.into_iter().rev() {
            self.take_entry()?;
            let path = self.folder.join(path);
            // Others may not read what a function is made of; its owner can always remove it.
            DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .map_err(|error| CodeError::unusable(&path, &error))?;
        }
        Ok(())
    }

    /// Counts a file, link or folder that is about to be made.
    fn take_entry(&mut self) -> Result<(), CodeError> {
        let Some(left) = self.budget.entries.checked_sub(1) else {
            return Err(too_many(self.archive));
        };
        self.budget.entries = left;
        Ok(())
    }

    /// Counts bytes of a file or of a link's target.
    fn take_bytes(&mut self, bytes: u64) -> Result<(), CodeError> {
        let left = self.budget.bytes.checked_sub(bytes);
        self.budget.bytes = left.ok_or_else(|| too_large(self.archive))?;
        Ok(())
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
        self.take_entry()?;
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
        self.take_bytes(written)
    }

    fn read_link(
        &mut self,
        path: PathBuf,
        name: &str,
        content: &mut impl Read,
    ) -> Result<Link, CodeError> {
        let mut target = String::new();
        match content.take(LINK_BYTES_MAX).read_to_string(&mut target) {
            Ok(_) if stays_inside(&path, &target) => {
                self.take_entry()?;
                self.take_bytes(target.len() as u64)?;
                Ok(Link { path, target: target.into() })
            }
            _ => Err(self.refused(name, EntryFault::LinkOut)),
        }
    }

    fn link(&mut self, link: &Link) -> Result<(), CodeError> {
        if let Some(parent) = link.path.parent() {
            self.make_link_parent(parent)?;
        }
        let path = self.folder.join(&link.path);
        std::os::unix::fs::symlink(&link.target, &path)
            .map_err(|error| CodeError::unusable(&path, &error))
    }

    /// Makes the folders above a link. By now there may be links, so each step is looked at.
    fn make_link_parent(&mut self, parent: &Path) -> Result<(), CodeError> {
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
                    let relative = path.strip_prefix(self.folder).unwrap_or(&path).to_owned();
                    self.make_folder(&relative)?;
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

fn too_many(archive: &Path) -> CodeError {
    CodeError::TooManyFiles { path: archive.to_owned(), max: Budget::ENTRIES_MAX }
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
