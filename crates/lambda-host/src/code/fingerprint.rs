//! Noticing that the code of a function changed.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::CodeError;
use crate::{Code, Spec};

/// Files and folders of one function that are looked at; a package may hold no more.
const FILES_MAX: usize = 100_000;

/// Python's compiled modules: they come from running the code, not from changing it.
const DERIVED: &str = "__pycache__";

/// A number that changes when a file of the function's code or of its layers appears, goes or
/// changes: path, time, size and mode of each, links followed. Reads no content. Folders named
/// `__pycache__` do not count.
///
/// Cost: one look at each file; fails when there are more than 100,000.
pub fn fingerprint(spec: &Spec) -> Result<u64, CodeError> {
    let mut walk = Walk { hasher: DefaultHasher::new(), visited: HashSet::new(), files: 0 };
    match &spec.code {
        Code::Inline(text) => text.hash(&mut walk.hasher),
        Code::Folder(path) | Code::Zip(path) => walk.add(path)?,
    }
    spec.layers.iter().try_for_each(|layer| walk.add(layer))?;
    Ok(walk.hasher.finish())
}

struct Walk {
    hasher: DefaultHasher,
    /// Folders by device and inode: links may make a circle.
    visited: HashSet<(u64, u64)>,
    files: usize,
}

impl Walk {
    fn add(&mut self, root: &Path) -> Result<(), CodeError> {
        let mut pending = vec![root.to_owned()];
        while let Some(path) = pending.pop() {
            self.files += 1;
            if FILES_MAX < self.files {
                return Err(CodeError::TooManyFiles { path: root.to_owned(), max: FILES_MAX });
            }
            path.hash(&mut self.hasher);
            match self.look(&path) {
                Ok(children) => pending.extend(children),
                // It may be gone by now, or forbidden: that it is so is what counts.
                Err(error) => error.kind().hash(&mut self.hasher),
            }
        }
        Ok(())
    }

    /// Adds what is at `path`; the result is what is in it, in order.
    fn look(&mut self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_dir() {
            self.add_metadata(&metadata);
            return Ok(Vec::new());
        }
        if !self.visited.insert((metadata.dev(), metadata.ino())) {
            return Ok(Vec::new());
        }
        let room = FILES_MAX.saturating_sub(self.files) + 1;
        let mut children = Vec::new();
        for entry in fs::read_dir(path)?.take(room) {
            let entry = entry?;
            if entry.file_name() != DERIVED {
                children.push(entry.path());
            }
        }
        children.sort_unstable();
        Ok(children)
    }

    fn add_metadata(&mut self, metadata: &Metadata) {
        let fields = (metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.mode());
        fields.hash(&mut self.hasher);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::code::tests::spec;

    #[test]
    fn any_change_of_any_file_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib/deep/app.py");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "a").unwrap();
        let layer = tempfile::tempdir().unwrap();
        let mut spec = spec("python3.12", "app.handler", Code::Folder(folder.path().to_owned()));
        spec.layers = vec![layer.path().to_owned()];
        let mut seen = vec![fingerprint(&spec).unwrap()];
        assert_eq!(fingerprint(&spec), Ok(seen[0]), "nothing changed");

        let mut changed = |what: &str| {
            let now = fingerprint(&spec).unwrap();
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        fs::write(&file, "ab").unwrap();
        changed("size");
        let time = SystemTime::now() - Duration::from_secs(100);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        changed("time");
        fs::write(folder.path().join("new"), "").unwrap();
        changed("another file");
        fs::write(layer.path().join("new"), "").unwrap();
        changed("a file of a layer");
        fs::remove_file(layer.path().join("new")).unwrap();
        fs::remove_file(&file).unwrap();
        changed("a file less");
        fs::remove_dir_all(folder.path()).unwrap();
        changed("no folder");
    }

    #[test]
    fn links_are_followed_and_may_go_in_circles() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(folder.path(), folder.path().join("circle")).unwrap();
        symlink(outside.path(), folder.path().join("outside")).unwrap();
        symlink("nowhere", folder.path().join("dangling")).unwrap();
        let spec = spec("nodejs22.x", "app.handler", Code::Folder(folder.path().to_owned()));
        let before = fingerprint(&spec).unwrap();
        fs::write(outside.path().join("x.js"), "1").unwrap();
        assert_ne!(fingerprint(&spec), Ok(before));
    }

    #[test]
    fn what_running_the_code_leaves_behind_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec("python3.12", "app.handler", Code::Folder(folder.path().to_owned()));
        let before = fingerprint(&spec).unwrap();
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        fs::write(folder.path().join("__pycache__/app.pyc"), "1").unwrap();
        assert_eq!(fingerprint(&spec), Ok(before));
    }

    #[test]
    fn inline_code_is_its_text() {
        let inline = |text: &str| {
            fingerprint(&spec("python3.12", "index.handler", Code::Inline(text.to_owned())))
        };
        assert_eq!(inline("a"), inline("a"));
        assert_ne!(inline("a"), inline("b"));
    }
}
