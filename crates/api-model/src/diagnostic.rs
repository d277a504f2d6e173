//! Findings about templates and configuration: all of them, each with its place.

use crate::source::Span;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// AWS refuses it, or some request cannot work as written. Nothing is served.
    Error,
    /// It works, but is unsafe, fragile or ignored here.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Stable code, such as `WSG-101`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; something missing is placed at the resource that lacks it.
    pub span: Span,
    /// The resource it belongs to.
    pub logical_id: Option<String>,
    /// Full property path, such as `Properties.RequestTemplates.$default`.
    pub property: Option<String>,
    /// One sentence: what is wrong and what follows from it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Findings in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    /// All findings.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds an error and returns it, for more detail.
    pub fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(code, Severity::Error, span, message.into())
    }

    /// Adds a warning and returns it, for more detail.
    pub fn warning(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.add(code, Severity::Warning, span, message.into())
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    fn add(
        &mut self,
        code: &'static str,
        severity: Severity,
        span: Span,
        message: String,
    ) -> &mut Diagnostic {
        self.list.push(Diagnostic {
            code,
            severity,
            span,
            logical_id: None,
            property: None,
            message,
            hint: None,
        });
        self.list.last_mut().expect("one was just added")
    }
}

impl Diagnostic {
    /// Names the resource and the property path.
    pub fn at(&mut self, logical_id: impl Into<String>, property: impl Into<String>) -> &mut Self {
        self.logical_id = Some(logical_id.into());
        let property = property.into();
        self.property = (!property.is_empty()).then_some(property);
        self
    }

    /// Says what to write instead.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
}
