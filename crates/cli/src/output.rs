//! What the user sees: data on standard output, talk on standard error.

use std::borrow::Cow;
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
        let snippet = Snippet::source(&*place.text)
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

/// A line of the configuration without its values: any of them may be a secret.
/// Every character keeps its place, so that the underline fits.
fn without_values(line: &str) -> String {
    let mut is_value = !line.contains('=') && !line.trim_start().starts_with('[');
    line.chars()
        .map(|c| {
            let shown = if is_value && c.is_alphanumeric() { '*' } else { c };
            is_value |= c == '=';
            shown
        })
        .collect()
}

/// The line of a finding, cut out so that long files stay cheap to show.
struct Place<'s> {
    name: &'s str,
    text: Cow<'s, str>,
    line_start: usize,
    range: std::ops::Range<usize>,
}

impl<'s> Place<'s> {
    fn new(sources: &'s Sources, span: Span) -> Option<Self> {
        let source = sources.files.get(span.file as usize)?;
        let line = (span.start.line as usize).checked_sub(1)?;
        let text = source.text.lines().nth(line)?;
        let text = match source.name.ends_with(".toml") {
            true => Cow::Owned(without_values(text)),
            false => Cow::Borrowed(text),
        };
        let offset = |position: Position| {
            let column = (position.column as usize).saturating_sub(1);
            text.char_indices().nth(column).map_or(text.len(), |(index, _)| index)
        };
        let start = offset(span.start);
        let end = if span.end.line == span.start.line { offset(span.end) } else { text.len() };
        Some(Self { name: &source.name, text, line_start: line + 1, range: start..end.max(start) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_configuration_are_not_shown() {
        assert_eq!(without_values(r#""/a" = ["SECRET", 1]"#), r#""/a" = ["******", *]"#);
        assert_eq!(without_values("[[management.keys]]"), "[[management.keys]]");
        assert_eq!(without_values(r#"  "SECRET","#), r#"  "******","#);
    }
}
