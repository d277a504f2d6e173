//! Noticing that a file changed, or anything in a folder, by times and sizes.

use std::collections::hash_map::DefaultHasher;
use std::fs::{DirEntry, Metadata};
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often files are looked at: soon enough for a person, and no load.
const INTERVAL: Duration = Duration::from_millis(200);
/// A look takes at most this part of the time between two looks: large folders are looked at
/// less often.
const SHARE: u32 = 20;
/// Files that are looked at in one folder; what lies beyond is not noticed.
const FILES_MAX: usize = 100_000;

/// Some files and folders, and how they looked last.
#[derive(Debug)]
pub(crate) struct Watch {
    first: Vec<PathBuf>,
    also: Vec<PathBuf>,
    seen: Look,
}

/// A hash of everything that was seen.
type Look = u64;

impl Watch {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = look(&paths);
        Self { first: paths, also: Vec::new(), seen }
    }

    /// Watches `paths` too, in place of those that were added before.
    pub(crate) fn also(&mut self, paths: Vec<PathBuf>) {
        if self.also != paths {
            self.also = paths;
            self.seen = look(&self.paths());
        }
    }

    /// Resolves when something changed and then kept still for one interval.
    pub(crate) async fn changed(&mut self) {
        loop {
            let mut now = self.later_look().await;
            if now == self.seen {
                continue;
            }
            loop {
                let later = self.later_look().await;
                if later == now {
                    break;
                }
                now = later;
            }
            self.seen = now;
            return;
        }
    }

    /// A look after a while; not on a worker thread, since a folder may be large.
    async fn later_look(&self) -> Look {
        let paths = self.paths();
        let looked = tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            (look(&paths), start.elapsed())
        });
        match looked.await {
            Ok((look, took)) => {
                tokio::time::sleep(INTERVAL.max(took * SHARE)).await;
                look
            }
            Err(_) => {
                tokio::time::sleep(INTERVAL).await;
                self.seen
            }
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.first.iter().chain(&self.also).cloned().collect()
    }
}

fn look(paths: &[PathBuf]) -> Look {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let Ok(metadata) = std::fs::metadata(path) else {
            false.hash(&mut hasher);
            continue;
        };
        add(path, &metadata, &mut hasher);
        if metadata.is_dir() {
            walk(path, &mut hasher);
        }
    }
    hasher.finish()
}

/// Everything below a folder, links not followed.
fn walk(folder: &Path, hasher: &mut DefaultHasher) {
    let mut folders = vec![folder.to_owned()];
    let mut left = FILES_MAX;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        // Python writes there whenever it runs.
        let is_code = |entry: &DirEntry| entry.file_name() != "__pycache__";
        let mut entries: Vec<_> = entries.filter_map(Result::ok).filter(is_code).collect();
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            if left == 0 {
                return;
            }
            left -= 1;
            let Ok(metadata) = entry.metadata() else { continue };
            add(&entry.path(), &metadata, hasher);
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
}

/// A folder's own time says nothing that its entries do not.
fn add(path: &Path, metadata: &Metadata, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    if !metadata.is_dir() {
        metadata.modified().ok().hash(hasher);
        metadata.len().hash(hasher);
    }
}
