//! The last refusals and failures, for `/refusals`, without secrets.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

/// Refusals that are kept.
pub const ENTRIES_MAX: usize = 1000;

/// Longest text of a client that is kept in an entry.
const TEXT_CHARS_MAX: usize = 256;

/// One refusal or failure.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Request id.
    pub request_id: String,
    /// When, milliseconds since 1970.
    pub time: u64,
    /// `Host` that the client used.
    pub host: String,
    /// Query parameter `attempt`, if any.
    pub attempt: Option<String>,
    /// HTTP status; 200 for a message on an open connection.
    pub status: u16,
    /// Stable code of the reason.
    pub code: &'static str,
    /// The rule in words.
    pub rule: String,
    /// The request's path through the house.
    pub path: Vec<String>,
}

/// A bounded list, newest first.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Mutex<VecDeque<Entry>>,
}

impl Journal {
    /// Adds an entry; the oldest goes when there are too many.
    pub fn add(&self, mut entry: Entry) {
        clip(&mut entry.host);
        if let Some(attempt) = &mut entry.attempt {
            clip(attempt);
        }
        let mut entries = self.entries.lock();
        if ENTRIES_MAX <= entries.len() {
            entries.pop_back();
        }
        entries.push_front(entry);
    }

    /// Entries, newest first, all or those of one attempt.
    pub fn list(&self, attempt: Option<&str>) -> Vec<Entry> {
        let entries = self.entries.lock();
        let wanted = |entry: &&Entry| attempt.is_none() || entry.attempt.as_deref() == attempt;
        entries.iter().filter(wanted).cloned().collect()
    }
}

fn clip(text: &mut String) {
    if let Some((index, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
        text.truncate(index);
    }
    text.retain(|c| !c.is_control());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_and_filters_by_attempt() {
        let journal = Journal::default();
        for index in 0..=ENTRIES_MAX {
            journal.add(Entry {
                request_id: index.to_string(),
                time: 0,
                host: "h\n".repeat(1000),
                attempt: (index == 7).then(|| "a".to_owned()),
                status: 401,
                code: "token_missing",
                rule: String::new(),
                path: Vec::new(),
            });
        }
        let all = journal.list(None);
        assert_eq!(all.len(), ENTRIES_MAX);
        assert_eq!(all[0].request_id, ENTRIES_MAX.to_string());
        assert!(all[0].host.len() <= TEXT_CHARS_MAX);
        assert_eq!(journal.list(Some("a")).len(), 1);
    }
}
