//! What functions print: each line becomes a log record of target `function`.
//!
//! A function can neither be blocked by its own output nor slow the host with it: the pipe is
//! always read, a line is cut at [`LINE_BYTES_MAX`], and what exceeds [`LINES_MAX`] or
//! [`BYTES_MAX`] within a second is counted and dropped. Control characters are escaped, so that
//! a record cannot pretend to be another or steer a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// Longest line that is kept, in bytes; the rest is replaced by a mark.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;

/// Lines of one function that are logged per second: more than a person reads, less than a
/// disk fills with.
pub(crate) const LINES_MAX: u64 = 1000;

/// Bytes of one function that are logged per second.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;

/// The time over which lines and bytes are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Bytes taken from a pipe at once; each instance has two such buffers.
const CHUNK_BYTES: usize = 16 * 1024;

/// Stands at the end of a line that was cut.
const CUT_MARK: &str = "… [cut]";

/// Counts the lines of a function, over all its instances.
#[derive(Debug)]
pub(crate) struct Gate {
    function: String,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    lines: u64,
    bytes: usize,
    dropped: u64,
}

impl Gate {
    pub(crate) fn new(function: &str) -> Self {
        let window = Window { since: Instant::now(), lines: 0, bytes: 0, dropped: 0 };
        Self { function: function.to_owned(), window: Mutex::new(window) }
    }

    /// Whether a line of `bytes` may pass, and how many were dropped before it.
    fn admit(&self, bytes: usize, now: Instant) -> Option<u64> {
        let mut window = self.window.lock();
        window.turn(now);
        if window.is_full() {
            window.dropped += 1;
            return None;
        }
        window.lines += 1;
        window.bytes += bytes;
        Some(std::mem::take(&mut window.dropped))
    }

    /// Drops `lines` at once, if none may pass for now.
    fn drop_all(&self, lines: impl FnOnce() -> u64, now: Instant) -> bool {
        let mut window = self.window.lock();
        window.turn(now);
        let full = window.is_full();
        if full {
            window.dropped += lines();
        }
        full
    }

    /// When the dropped lines, if there are any, may be told.
    fn due(&self) -> Option<Instant> {
        let window = self.window.lock();
        (0 < window.dropped).then(|| window.since + WINDOW)
    }

    fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.window.lock().dropped)
    }

    fn tell_dropped(&self, dropped: u64) {
        if 0 < dropped {
            tracing::warn!(
                target: "function",
                function = self.function,
                "{dropped} lines of output dropped: more than {LINES_MAX} lines or {BYTES_MAX} bytes in a second"
            );
        }
    }
}

impl Window {
    fn turn(&mut self, now: Instant) {
        if self.since + WINDOW <= now {
            (self.since, self.lines, self.bytes) = (now, 0, 0);
        }
    }

    fn is_full(&self) -> bool {
        LINES_MAX <= self.lines || BYTES_MAX <= self.bytes
    }
}

/// Reads `pipe` to its end and logs its lines. `request_id` tells which invocation they belong to.
pub(crate) async fn pump(
    mut pipe: impl AsyncRead + Unpin,
    stream: &'static str,
    gate: Arc<Gate>,
    request_id: impl Fn() -> Option<Arc<str>>,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut lines = Lines::default();
    loop {
        let read = match gate.due() {
            None => pipe.read(&mut chunk).await,
            Some(due) => match tokio::time::timeout_at(due, pipe.read(&mut chunk)).await {
                Ok(read) => read,
                Err(_) => {
                    gate.tell_dropped(gate.take_dropped());
                    continue;
                }
            },
        };
        // A pipe that cannot be read is at its end.
        let read = read.unwrap_or(0);
        let chunk = &chunk[..read];
        let now = Instant::now();
        if gate.drop_all(|| lines.skip(chunk), now) {
            if read == 0 {
                break;
            }
            continue;
        }
        let request_id = request_id();
        let log = |line: &[u8], cut: bool| {
            let Some(dropped) = gate.admit(line.len(), now) else { return };
            gate.tell_dropped(dropped);
            let text = escape(line);
            let mark = if cut { CUT_MARK } else { "" };
            tracing::info!(
                target: "function",
                function = gate.function,
                request_id = request_id.as_deref(),
                stream,
                "{text}{mark}"
            );
        };
        if read == 0 {
            lines.finish(log);
            break;
        }
        lines.feed(chunk, log);
    }
    gate.tell_dropped(gate.take_dropped());
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    /// Begin of a line, at most [`LINE_BYTES_MAX`].
    partial: Vec<u8>,
    /// The rest of the current line goes nowhere: it was cut, or dropped.
    skipping: bool,
}

impl Lines {
    /// Calls `each` with every line that `chunk` ends, and whether it was cut.
    fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(&[u8], bool)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            self.append(&chunk[..end], &mut each);
            if !std::mem::take(&mut self.skipping) {
                let line = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
                each(line, false);
            }
            self.partial.clear();
            chunk = &chunk[end + 1..];
        }
        self.append(chunk, &mut each);
    }

    /// Calls `each` with a last line that nothing ended.
    fn finish(&mut self, mut each: impl FnMut(&[u8], bool)) {
        if !self.skipping && !self.partial.is_empty() {
            each(&self.partial, false);
        }
        self.partial.clear();
    }

    /// How many lines `chunk` ends, without looking at them.
    fn skip(&mut self, chunk: &[u8]) -> u64 {
        let lines = memchr::memchr_iter(b'\n', chunk).count();
        let begun = std::mem::take(&mut self.partial);
        match chunk.last() {
            Some(last) => self.skipping = *last != b'\n',
            None if !begun.is_empty() => return 1,
            None => {}
        }
        lines as u64
    }

    fn append(&mut self, part: &[u8], each: &mut impl FnMut(&[u8], bool)) {
        if self.skipping {
            return;
        }
        let room = LINE_BYTES_MAX - self.partial.len();
        if part.len() <= room {
            self.partial.extend_from_slice(part);
            return;
        }
        self.partial.extend_from_slice(&part[..room]);
        each(&self.partial, true);
        self.partial.clear();
        self.skipping = true;
    }
}

/// Text in which nothing moves a cursor, starts a line or turns the reading direction. Bytes that
/// are no UTF-8 become U+FFFD.
pub(crate) fn escape(line: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(line);
    if !text.contains(is_active) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_active(character) {
            let code = u32::from(character);
            let written = match code {
                ..0x100 => write!(escaped, "\\x{code:02x}"),
                _ => write!(escaped, "\\u{{{code:x}}}"),
            };
            written.expect("a String takes everything");
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn is_active(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.feed(chunk, |line, cut| seen.push((line.to_vec(), cut)));
        }
        lines.finish(|line, cut| seen.push((line.to_vec(), cut)));
        seen
    }

    #[test]
    fn lines_are_found_across_chunks() {
        let want = |texts: &[&str]| -> Vec<(Vec<u8>, bool)> {
            texts.iter().map(|text| (text.as_bytes().to_vec(), false)).collect()
        };
        assert_eq!(lines(&[b"a\nb", b"c\r\n\nd"]), want(&["a", "bc", "", "d"]));
        assert_eq!(lines(&[b""]), want(&[]));
        assert_eq!(lines(&[b"a\n"]), want(&["a"]));
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_BYTES_MAX * 3];
        let got = lines(&[&long, b"rest\nnext\n"]);
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].0.len(), got[0].1), (LINE_BYTES_MAX, true));
        assert_eq!(got[1], (b"next".to_vec(), false));
        let exact = lines(&[&long[..LINE_BYTES_MAX], b"\nnext"]);
        assert_eq!((exact[0].0.len(), exact[0].1), (LINE_BYTES_MAX, false));
        assert_eq!(exact[1].0, b"next");
    }

    #[test]
    fn nothing_active_is_left() {
        assert_eq!(escape(b"plain\ttext"), "plain\ttext");
        assert_eq!(escape(b"\x1b[31mred\x07\r"), "\\x1b[31mred\\x07\\x0d");
        assert_eq!(escape(b"a\xff\xfeb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(escape("\u{202e}evil\u{9b}".as_bytes()), "\\u{202e}evil\\x9b");
        assert_eq!(escape("\u{61c}".as_bytes()), "\\u{61c}");
    }

    #[test]
    fn what_exceeds_a_window_is_dropped_and_told_with_the_next_line() {
        let gate = Gate::new("f");
        let now = Instant::now();
        for _ in 0..LINES_MAX {
            assert_eq!(gate.admit(10, now), Some(0));
        }
        assert_eq!(gate.admit(10, now), None);
        assert!(gate.drop_all(|| 41, now));
        assert!(gate.due().is_some());
        assert_eq!(gate.admit(BYTES_MAX, now + WINDOW), Some(42));
        assert_eq!(gate.admit(1, now + WINDOW), None, "the bytes are used up");
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            at in 0usize..200,
        ) {
            let at = at.min(bytes.len());
            prop_assert_eq!(lines(&[&bytes]), lines(&[&bytes[..at], &bytes[at..]]));
        }

        #[test]
        fn any_bytes_become_text_without_control(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            prop_assert!(!escape(&bytes).contains(is_active));
        }
    }
}
