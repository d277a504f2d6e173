//! Noticing that a file changed, by its time and size.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How often files are looked at: soon enough for a person, and no load.
const INTERVAL: Duration = Duration::from_millis(200);

/// Some files and how they looked last.
#[derive(Debug)]
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Look>,
}

type Look = Option<(SystemTime, u64)>;

impl Watch {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = look(&paths);
        Self { paths, seen }
    }

    /// Resolves when a file changed and then kept still for one interval.
    pub(crate) async fn changed(&mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let mut now = look(&self.paths);
            if now == self.seen {
                continue;
            }
            loop {
                tokio::time::sleep(INTERVAL).await;
                let later = look(&self.paths);
                if later == now {
                    break;
                }
                now = later;
            }
            self.seen = now;
            return;
        }
    }
}

fn look(paths: &[PathBuf]) -> Vec<Look> {
    let one = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(one).collect()
}
