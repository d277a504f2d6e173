//! Which route a message takes ([selection]).
//!
//! [selection]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html

use std::borrow::Cow;
use std::sync::Arc;

use api_model::api::{Route, Stage};
use api_model::expression::{Expression, Subject, selection_text};
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// The route key of session renewal, which no route of a template can have.
pub const SESSION: &str = "$session";

/// What a text message selects.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'s> {
    /// Its route; `None` if nothing matches and there is no `$default`.
    pub route: Option<&'s Arc<Route>>,
    /// Whether the key is [`SESSION`]. Where nothing is renewed, `route` counts.
    pub is_session: bool,
}

/// What a text message selects. Keys with a dollar sign cannot be selected by a
/// message (unconfirmed on AWS for the predefined ones).
pub fn select<'s>(stage: &'s Stage, message: &str) -> Selected<'s> {
    let key = selected_key(&stage.api.route_selection, message);
    let key = key.as_deref();
    let route = key
        .filter(|key| !key.starts_with('$'))
        .and_then(|key| stage.routes.get(key))
        .or_else(|| stage.routes.get("$default"));
    Selected { route, is_session: key == Some(SESSION) }
}

/// The route key that a message's text selects; `None` if it is not JSON.
fn selected_key<'m>(expression: &'m Expression, message: &'m str) -> Option<Cow<'m, str>> {
    if let Some(members) = expression.body_members() {
        let raw = jsonpath::scan_member(message, members).ok()?;
        return Some(raw.map_or(Cow::Borrowed(""), raw_text));
    }
    let body: Json = serde_json::from_str(message).ok()?;
    Some(Cow::Owned(expression.evaluate(&Subject { body: Some(&body), ..Subject::default() })))
}

fn raw_text(raw: &RawValue) -> Cow<'_, str> {
    let text = raw.get();
    if let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str::<Json>(text) {
        Ok(value) => Cow::Owned(selection_text(&value)),
        Err(_) => Cow::Borrowed(""),
    }
}
