//! Identity sources of an authorizer: all present and not empty, or 401
//! ([Lambda authorizers]).
//!
//! [Lambda authorizers]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html

use api_model::api::IdentitySource;

use crate::connection::Operation;
use crate::mapping::context_value;

/// The values of all identity sources, in order; `None` if one is absent or empty.
pub fn identity_values(sources: &[IdentitySource], operation: &Operation) -> Option<Vec<String>> {
    sources.iter().map(|source| value(source, operation).filter(|text| !text.is_empty())).collect()
}

/// Whether a source differs on every connect, so that no verdict can be reused.
pub fn is_volatile(source: &IdentitySource) -> bool {
    const VOLATILE: [&str; 6] = [
        "connectedAt",
        "connectionId",
        "extendedRequestId",
        "requestId",
        "requestTime",
        "requestTimeEpoch",
    ];
    matches!(source, IdentitySource::Context(name) if VOLATILE.contains(&name.as_str()))
}

fn value(source: &IdentitySource, operation: &Operation) -> Option<String> {
    let handshake = operation.kind.handshake()?;
    match source {
        IdentitySource::Header(name) => {
            handshake.header_values(name).next_back().map(str::to_owned)
        }
        IdentitySource::QueryString(name) => {
            handshake.query_values(name).next_back().map(str::to_owned)
        }
        IdentitySource::StageVariable(name) => {
            let found = operation.stage.variables.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        }
        // Two variables exist later but never resolve at this point.
        IdentitySource::Context(name)
            if matches!(name.as_str(), "eventType" | "messageDirection") =>
        {
            None
        }
        IdentitySource::Context(name) => {
            context_value(operation, name).map(|text| text.into_owned())
        }
    }
}
