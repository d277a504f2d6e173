//! Session renewal: a fresh token on an open connection, verified by the
//! authorizer that `$connect` has now.
//!
//! A token can move the end of the session it belongs to, and nothing else.

use std::time::Duration;

use api_model::api::Authorization;
use authorizer::{Denial, Grant};
use authorizer_lambda::Refusal;
use session::{CloseCause, Connection, Failure, Renewal, Renewed};
use tokio::time::Instant;

use crate::authorize::{Refused, rule};
use crate::clock;
use crate::registry::Slot;
use crate::revocation::Issued;
use crate::server::Gateway;
use crate::snapshot::Callable;

/// Longest time a renewal may take, the wait for a place among all calls
/// included: as long as an authorizer may take at `$connect`.
const RENEWAL_TIME: Duration = Duration::from_secs(29);

/// Context values that say how a token came and when it ends, not whose it is.
const OF_ONE_TOKEN: [&str; 3] = ["csrf", "expiresAt", "tokenSource"];

/// Verifies a fresh token, and says what it means for the session of `slot`.
pub(crate) async fn renew(gateway: &Gateway, slot: &Slot, renewal: Renewal) -> Renewed {
    let Renewal { request_id, token } = renewal;
    let connection = &slot.connection;
    let asked_at = Instant::now();
    let granted = match token {
        Some(token) => {
            let work = ask(gateway, connection, &token);
            let timeout = Err(Failure::AuthorizerError.into());
            tokio::time::timeout(RENEWAL_TIME, work).await.unwrap_or(timeout)
        }
        None => Err(refused(Denial::TokenMissing)),
    };
    let note = |code, rule| gateway.note(connection, request_id, "renewal", code, rule);
    match granted {
        Err(Refused { failure, code, rule }) => {
            note(code, rule);
            Renewed::Refused(failure)
        }
        Ok(grant) if !is_same(slot, &grant) => {
            note(
                "session_changed",
                "the fresh token is for another principal, issuer, context or session",
            );
            Renewed::Ended(CloseCause::Changed)
        }
        Ok(grant) if is_revoked(gateway, slot, &grant, asked_at) => {
            note(Failure::TokenRevoked.code(), rule(Failure::TokenRevoked));
            Renewed::Ended(CloseCause::Deleted)
        }
        Ok(grant) => {
            tracing::info!(%request_id, connection_id = %connection.id, "session renewed");
            let epoch_seconds = grant.deadline;
            Renewed::Until { expires_at: clock::instant(epoch_seconds), epoch_seconds }
        }
    }
}

/// Asks the built-in authorizer of `$connect` as it is served now.
async fn ask(gateway: &Gateway, connection: &Connection, token: &str) -> Result<Grant, Refused> {
    let failed = || Refused::from(Failure::AuthorizerError);
    // Among the messages, so that connects never wait for renewals.
    let _place = gateway.integrations.acquire().await.map_err(|_| failed())?;
    // As it is after the wait: a reload may have taken the authorizer away.
    let snapshot = gateway.snapshot.load_full();
    let stage = snapshot.router.stage(&connection.api_id, &connection.stage).ok_or_else(failed)?;
    let route = stage.routes.get("$connect").ok_or_else(failed)?;
    let Authorization::Custom(config) = &route.authorization else { return Err(failed()) };
    let arn = config.function.arn.resolve(&stage.variables);
    let source_arn = stage.api.execute_arn(&format!("authorizers/{}", config.authorizer_id));
    let Some((_, Callable::Authorizer(handler))) = snapshot.function(&arn, &source_arn) else {
        return Err(failed());
    };
    // Bounded: by the delegate's timeout, or by that of fetching keys.
    handler.renew(token, clock::epoch_seconds()).await.map_err(|refusal| match refusal {
        Refusal::Denied(denial) => refused(denial),
        Refusal::ClockWrong | Refusal::Delegate(_) | Refusal::KeysStale => {
            tracing::error!(reason = %refusal, "the built-in authorizer gives no verdict");
            failed()
        }
    })
}

/// Whatever is wrong with a token, the client learns one thing.
fn refused(denial: Denial) -> Refused {
    Refused { failure: Failure::Unauthorized, ..denial.into() }
}

/// Whether the grant is for the very session that opened the connection.
fn is_same(slot: &Slot, grant: &Grant) -> bool {
    slot.session_id == grant.session
        && slot.connection.authorizer.as_ref().is_some_and(|authorized| {
            authorized.principal_id.as_deref() == Some(&grant.principal_id)
                && lasting(&authorized.context) == lasting(&grant.context)
        })
}

/// What must stay as it was: the issuer and the claims, whatever their order.
fn lasting(context: &[(String, String)]) -> Vec<&(String, String)> {
    let mut values: Vec<_> =
        context.iter().filter(|(name, _)| !OF_ONE_TOKEN.contains(&name.as_str())).collect();
    values.sort_unstable();
    values
}

fn is_revoked(gateway: &Gateway, slot: &Slot, grant: &Grant, asked_at: Instant) -> bool {
    gateway.revocations.is_revoked(
        &slot.connection.api_id,
        &grant.principal_id,
        grant.session.as_deref(),
        Issued::of(grant, asked_at),
    )
}

#[cfg(test)]
mod tests;
