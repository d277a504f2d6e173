//! References, as callers see them.

use std::fmt;

use crate::ast::{self, Expr};

/// A reference in a template: `$root.property['key'].method('argument')`.
#[derive(Clone, Copy)]
pub struct Reference<'t>(pub(crate) &'t ast::Reference);

impl<'t> Reference<'t> {
    /// The name behind `$`.
    pub fn root(&self) -> &'t str {
        &self.0.root
    }

    /// Whether the template assigns the root itself, by `#set` or `#foreach`.
    pub fn is_assigned(&self) -> bool {
        !matches!(self.0.home, ast::Home::Scope)
    }

    /// Whether it is a quiet one (`$!a`), which never prints its source.
    pub fn is_quiet(&self) -> bool {
        self.0.quiet
    }

    /// What follows the root.
    pub fn steps(&self) -> impl Iterator<Item = Step<'t>> + use<'t> {
        self.0.steps.iter().map(|step| match step {
            ast::Step::Property(name) => Step::Property(name),
            ast::Step::Index(index) => Step::Index(literal(index)),
            ast::Step::Call(name, args, _) => {
                Step::Call { name, args: args.len(), first: args.first().and_then(literal) }
            }
        })
    }

    /// The reference as it stands in the template.
    pub fn source(&self) -> &'t str {
        &self.0.source
    }

    /// Line of its `$`, from 1.
    pub fn line(&self) -> usize {
        self.0.place.line
    }

    /// Column of its `$`, in characters from 1.
    pub fn column(&self) -> usize {
        self.0.place.column
    }
}

impl fmt::Debug for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source())
    }
}

/// One step of a [`Reference`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'t> {
    /// `.name(…)`
    Call {
        /// The method.
        name: &'t str,
        /// How many arguments it gets.
        args: usize,
        /// The first argument, if it is a text that the template spells out.
        first: Option<&'t str>,
    },
    /// `['key']`, `[0]`, `[$i]`; the key if it is a text that the template spells out.
    Index(Option<&'t str>),
    /// `.name`
    Property(&'t str),
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::String(text) => Some(text),
        _ => None,
    }
}
