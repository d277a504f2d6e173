//! What the decision looks at.

use std::fmt;

/// A borrowed view of one handshake.
///
/// It is made of slices, so that a Lambda event (`multiValueHeaders`,
/// `multiValueQueryStringParameters`) and an HTTP server's header map can both be shown without
/// copying a value. **Every** occurrence must be there, in order: a second `Cookie` line that is
/// left out is a second token that nobody compared.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// All header lines, in order; names in any case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// All query parameters, percent-decoded, in order; names are case-sensitive.
    pub query: &'a [(&'a str, &'a str)],
    /// The `methodArn` of the event: what an Allow policy names. The decision does not read it.
    pub method_arn: &'a str,
}

impl<'a> Request<'a> {
    /// All values of the header `name`, in order.
    pub fn header<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let lines = self.headers.iter();
        lines.filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// All values of the query parameter `name`, in order.
    pub fn parameter<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.query.iter().filter(move |(n, _)| *n == name).map(|(_, value)| *value)
    }
}

impl fmt::Debug for Request<'_> {
    /// Names only: any value may be a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let query: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("headers", &headers)
            .field("query", &query)
            .field("method_arn", &self.method_arn)
            .finish()
    }
}
