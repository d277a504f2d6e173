//! The transform `AWS::LanguageExtensions`.

use api_model::{Diagnostics, Node};

use crate::transform::Context;

/// Rewrites what the language extensions add to templates.
pub(super) fn expand(_root: &mut Node, _context: &Context, _diagnostics: &mut Diagnostics) {}
