//! Places within the source text of a scalar.

use api_model::{Position, Span};

/// The lines of a template.
pub(crate) struct Lines<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { lines: text.split_inclusive('\n').collect() }
    }

    /// The place of the occurrence number `nth`, from 0, of `needle` within a
    /// span; the span itself if it does not stand there as it is.
    pub(crate) fn find(&self, span: Span, needle: &str, nth: usize) -> Span {
        self.occurrence(span, needle, nth).unwrap_or(span)
    }

    fn occurrence(&self, span: Span, needle: &str, nth: usize) -> Option<Span> {
        let first = span.start.line.checked_sub(1)? as usize;
        let count = (span.end.line.saturating_sub(span.start.line) as usize).saturating_add(1);
        let mut seen = 0;
        for (line, number) in self.lines.iter().skip(first).take(count).zip(span.start.line..) {
            let skipped =
                if number == span.start.line { span.start.column.saturating_sub(1) } else { 0 };
            let from = line.char_indices().nth(skipped as usize).map_or(line.len(), |(at, _)| at);
            for (at, _) in line[from..].match_indices(needle) {
                if seen == nth {
                    let column = 1 + chars(&line[..from + at]);
                    let start = Position { line: number, column };
                    let end = Position { line: number, column: column + chars(needle) };
                    return Some(Span { file: span.file, start, end });
                }
                seen += 1;
            }
        }
        None
    }
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}
