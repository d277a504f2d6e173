//! Which route a message takes ([selection]).
//!
//! [selection]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html

use std::borrow::Cow;
use std::sync::Arc;

use api_model::api::{Route, Stage};
use api_model::expression::{Expression, Subject, selection_text};
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// The route of a text message, or `None` if nothing matches and there is no
/// `$default`. Predefined lifecycle keys cannot be selected by a message
/// (unconfirmed on AWS).
pub fn select<'s>(stage: &'s Stage, message: &str) -> Option<&'s Arc<Route>> {
    let key = selected_key(&stage.api.route_selection, message);
    key.as_deref()
        .filter(|key| !key.starts_with('$'))
        .and_then(|key| stage.routes.get(key))
        .or_else(|| stage.routes.get("$default"))
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
