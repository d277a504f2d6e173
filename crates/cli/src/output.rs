//! What the user sees: data on standard output, talk on standard error.

use std::io::{IsTerminal as _, Write as _};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use api_model::{Diagnostic, Diagnostics, Position, Severity, Sources, Span};

/// Writes a line of data. A reader that went away is not an error.
pub(crate) fn data(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Writes a line of talk.
pub(crate) fn talk(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Writes all findings with their source lines, then their count.
pub(crate) fn findings(sources: &Sources, diagnostics: &Diagnostics) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    for diagnostic in &diagnostics.list {
        talk(&render(sources, diagnostic, &renderer));
    }
    let count = |severity| diagnostics.list.iter().filter(|d| d.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if 0 < errors + warnings {
        talk(&format!("{errors} errors, {warnings} warnings"));
    }
}

fn render(sources: &Sources, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = Group::with_title(title);
    let place = Place::new(sources, diagnostic.span);
    if let Some(place) = &place {
        let label = match (&diagnostic.logical_id, &diagnostic.property) {
            (Some(id), Some(property)) => format!("{id}: {property}"),
            (Some(text), None) | (None, Some(text)) => text.clone(),
            (None, None) => String::new(),
        };
        let annotation = AnnotationKind::Primary.span(place.range.clone()).label(label);
        let snippet = Snippet::source(place.text)
            .line_start(place.line_start)
            .path(place.name)
            .annotation(annotation);
        group = group.element(snippet);
    } else if let Some(source) = sources.files.get(diagnostic.span.file as usize) {
        group = group.element(Level::NOTE.message(source.name.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    renderer.render(&[group])
}

/// The line of a finding, cut out so that long files stay cheap to show.
struct Place<'s> {
    name: &'s str,
    text: &'s str,
    line_start: usize,
    range: std::ops::Range<usize>,
}

impl<'s> Place<'s> {
    fn new(sources: &'s Sources, span: Span) -> Option<Self> {
        let source = sources.files.get(span.file as usize)?;
        let line = (span.start.line as usize).checked_sub(1)?;
        let text = source.text.lines().nth(line)?;
        let offset = |position: Position| {
            let column = (position.column as usize).saturating_sub(1);
            text.char_indices().nth(column).map_or(text.len(), |(index, _)| index)
        };
        let start = offset(span.start);
        let end = if span.end.line == span.start.line { offset(span.end) } else { text.len() };
        Some(Self { name: &source.name, text, line_start: line + 1, range: start..end.max(start) })
    }
}
