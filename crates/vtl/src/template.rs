//! The compiled template and its rendering.

use crate::ast::{Block, Expr, Node, Step};
use crate::error::{Error, RenderError};
use crate::limits::Limits;
use crate::reference::Reference;
use crate::scope::Scope;

/// Longest accepted source, in bytes; [API Gateway's quota].
///
/// [API Gateway's quota]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
pub(crate) const SOURCE_BYTES_MAX: usize = 300 * 1024;

/// A compiled template.
///
/// Known are references with properties, `[…]` and methods; `#set`, `#if`,
/// `#elseif`, `#else`, `#foreach`, `#break`, `#stop`, `#end`; comments,
/// `#[[…]]#`, escapes, and white space as Velocity 1.7 treats it. Refused are
/// `#macro`, calls of macros, `#define`, `#include`, `#parse`, `#evaluate`,
/// `class` and `getClass()`.
///
/// Where it deviates from the engine:
///
/// - A `#foreach` ends after [`Limits::iterations`] rounds.
/// - Keys of maps are texts: `{1: "a"}` has the key `1`.
/// - `keySet()`, `values()`, `entrySet()` and `subList()` are copies, and `split()`
///   gives a list.
/// - Whole numbers have 64 bits; a result beyond them is an error.
/// - Regular expressions run in linear time; look-around, back references and
///   possessive quantifiers are refused.
/// - `$` and `#` may end a template, and `3-1` is a calculation.
#[derive(Debug)]
pub struct Template {
    pub(crate) block: Block,
    /// Number of names that the template assigns.
    pub(crate) slots: usize,
    source_bytes: usize,
}

impl Template {
    /// Compiles `source`, at most 300 KiB.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let (block, slots) = crate::parse::template(source)?;
        Ok(Self { block, slots, source_bytes: source.len() })
    }

    /// The whole output, if it is the same for every scope because the template
    /// has neither references nor directives.
    pub fn constant(&self) -> Option<&str> {
        match self.block.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// All references in the order of the source, also those inside arguments
    /// and texts.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        let mut references = Vec::new();
        collect_block(&self.block, &mut references);
        references.into_iter()
    }

    /// Renders with what `scope` holds.
    pub fn render(&self, scope: &dyn Scope, limits: &Limits) -> Result<String, RenderError> {
        let mut out = String::with_capacity(self.source_bytes.min(limits.output_bytes));
        self.render_into(scope, limits, &mut out)?;
        Ok(out)
    }

    /// Renders and appends to `out`; after an error, `out` holds a part.
    ///
    /// [`Limits::output_bytes`] counts what is appended.
    pub fn render_into(
        &self,
        scope: &dyn Scope,
        limits: &Limits,
        out: &mut String,
    ) -> Result<(), RenderError> {
        crate::render::template(self, scope, limits, out)
    }
}

fn collect_block<'t>(block: &'t Block, found: &mut Vec<Reference<'t>>) {
    for node in block {
        match node {
            Node::Break | Node::Stop | Node::Text(_) => {}
            Node::Foreach(foreach) => {
                collect_expr(&foreach.list, found);
                collect_block(&foreach.body, found);
            }
            Node::If { arms, otherwise } => {
                for (condition, block) in arms {
                    collect_expr(condition, found);
                    collect_block(block, found);
                }
                collect_block(otherwise, found);
            }
            Node::Reference(reference) => collect_reference(reference, found),
            Node::Set(target, value) => {
                collect_reference(target, found);
                collect_expr(value, found);
            }
        }
    }
}

fn collect_reference<'t>(reference: &'t crate::ast::Reference, found: &mut Vec<Reference<'t>>) {
    found.push(Reference(reference));
    for step in &reference.steps {
        match step {
            Step::Call(_, args, _) => args.iter().for_each(|arg| collect_expr(arg, found)),
            Step::Index(index) => collect_expr(index, found),
            Step::Property(_) => {}
        }
    }
}

fn collect_expr<'t>(expr: &'t Expr, found: &mut Vec<Reference<'t>>) {
    match expr {
        Expr::Chain(first, rest) => {
            collect_expr(first, found);
            rest.iter().for_each(|(_, operand)| collect_expr(operand, found));
        }
        Expr::Bool(_) | Expr::Float(_) | Expr::Int(_) | Expr::String(_) => {}
        Expr::Interpolated(block) => collect_block(block, found),
        Expr::List(items) => items.iter().for_each(|item| collect_expr(item, found)),
        Expr::Map(entries) => {
            for (key, value) in entries {
                collect_expr(key, found);
                collect_expr(value, found);
            }
        }
        Expr::Not(inner) => collect_expr(inner, found),
        Expr::Range(ends) => {
            collect_expr(&ends.0, found);
            collect_expr(&ends.1, found);
        }
        Expr::Reference(reference) => collect_reference(reference, found),
    }
}
