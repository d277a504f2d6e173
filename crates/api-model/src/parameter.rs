//! Request parameter mapping: `integration.request.*` from `route.request.*`,
//! `context.*`, `stageVariables.*` or fixed text ([data mapping]).
//!
//! [data mapping]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html

use jsonpath::Path;

/// Where a mapped value goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// A header of the request to the back end.
    Header(String),
    /// A query parameter of the request to the back end.
    QueryString(String),
    /// A `{name}` segment of the integration's URL.
    Path(String),
}

/// Where a mapped value comes from.
#[derive(Clone, Debug)]
pub enum ParameterSource {
    /// A path below the message body.
    Body(Path),
    /// A `$context` variable.
    Context(String),
    /// The last value of a client header, on `$connect`.
    Header(String),
    /// All values of a client header, on `$connect`.
    MultiValueHeader(String),
    /// All values of a query parameter, on `$connect`.
    MultiValueQueryString(String),
    /// The last value of a query parameter, on `$connect`.
    QueryString(String),
    /// A stage variable.
    StageVariable(String),
    /// Fixed text.
    Static(String),
}

/// One mapping.
#[derive(Clone, Debug)]
pub struct ParameterMapping {
    /// Where it goes.
    pub destination: Destination,
    /// Where it comes from.
    pub source: ParameterSource,
}

impl Destination {
    /// Reads `integration.request.{header|querystring|path}.{name}`. Headers that
    /// belong to the connection to the back end cannot be mapped: a client could
    /// put one request inside another ([RFC 9112 §11.2]).
    ///
    /// [RFC 9112 §11.2]: https://www.rfc-editor.org/rfc/rfc9112#section-11.2
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("integration.request.")?;
        let (location, name) = rest.split_once('.')?;
        if !is_name(name) {
            return None;
        }
        match location {
            "header" => is_header_name(name).then(|| Self::Header(name.to_owned())),
            "querystring" => Some(Self::QueryString(name.to_owned())),
            "path" => Some(Self::Path(name.to_owned())),
            _ => None,
        }
    }
}

impl ParameterSource {
    /// Reads the right-hand side of a mapping; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('\'') {
            let inner = inner.strip_suffix('\'').ok_or("the closing apostrophe is missing")?;
            if inner.chars().any(char::is_control) {
                return Err("fixed text holds a control character".to_owned());
            }
            return Ok(Self::Static(inner.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("route.request.") {
            return Self::parse_route(rest);
        }
        if let Some(name) = text.strip_prefix("stageVariables.") {
            return named(name, Self::StageVariable);
        }
        if let Some(name) = text.strip_prefix("context.") {
            return named(name, Self::Context);
        }
        Err("it is none of route.request.*, context.*, stageVariables.* or 'fixed text'".to_owned())
    }

    fn parse_route(rest: &str) -> Result<Self, String> {
        if let Some(tail) = rest.strip_prefix("body") {
            let path = Path::parse_tail(tail)
                .map_err(|error| format!("the path below the body does not parse: {error}"))?;
            return Ok(Self::Body(path));
        }
        let (location, name) = rest.split_once('.').ok_or("the parameter's name is missing")?;
        match location {
            "header" => named(name, Self::Header),
            "querystring" => named(name, Self::QueryString),
            "multivalueheader" => named(name, Self::MultiValueHeader),
            "multivaluequerystring" => named(name, Self::MultiValueQueryString),
            _ => Err(format!("`route.request.{location}` does not exist")),
        }
    }
}

/// Names match `^[a-zA-Z0-9._$-]+$`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'$' | b'-'))
}

/// Headers that say where a request ends, or concern one connection only.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_header_name(name: &str) -> bool {
    !OF_THE_CONNECTION.iter().any(|own| name.eq_ignore_ascii_case(own))
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn named(
    name: &str,
    make: impl FnOnce(String) -> ParameterSource,
) -> Result<ParameterSource, String> {
    if is_name(name) {
        Ok(make(name.to_owned()))
    } else {
        Err(format!("`{name}` is not a name of letters, digits, `.`, `_`, `$` and `-`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_kinds_of_sources() {
        assert!(
            matches!(ParameterSource::parse("'0'"), Ok(ParameterSource::Static(t)) if t == "0")
        );
        assert!(matches!(
            ParameterSource::parse("route.request.header.X-A"),
            Ok(ParameterSource::Header(_))
        ));
        assert!(matches!(
            ParameterSource::parse("route.request.body.a[0]"),
            Ok(ParameterSource::Body(_))
        ));
        assert!(matches!(
            ParameterSource::parse("context.authorizer.principalId"),
            Ok(ParameterSource::Context(_))
        ));
        for bad in ["", "'open", "route.request.cookie.a", "method.request.header.a", "context."] {
            assert!(ParameterSource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_destination_must_be_a_token() {
        assert_eq!(
            Destination::parse("integration.request.header.connectionId"),
            Some(Destination::Header("connectionId".to_owned()))
        );
        assert_eq!(Destination::parse("integration.request.header."), None);
        assert_eq!(Destination::parse("integration.request.body.a"), None);
    }

    #[test]
    fn headers_of_the_connection_cannot_be_mapped() {
        for name in ["Content-Length", "transfer-encoding", "CONNECTION", "Upgrade", "TE"] {
            let text = format!("integration.request.header.{name}");
            assert_eq!(Destination::parse(&text), None, "{name}");
        }
    }
}
