//! Why a request was refused.

use std::fmt;

/// The single reason a request is refused.
///
/// The client only ever learns [`Denial::status`]; [`Denial::code`] and [`Denial::rule`] go to the
/// operator. No variant holds data of the request, so none can leak any.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Denial {
    /// A context claim is an array or object, and the configuration refuses those.
    ClaimContext,
    /// The answer would be longer than the 8 KiB that an authorizer may return.
    ClaimContextTooLong,
    /// The principal claim is missing, empty or not a string.
    ClaimPrincipal,
    /// The delegate knows the session and refuses it (403).
    ClaimRefused,
    /// A required claim is missing or has another value.
    ClaimRequired,
    /// A cookie the decision reads occurs twice: a sibling subdomain can plant the second.
    CookieAmbiguous,
    /// One carrier holds more than one submitted CSRF value.
    CsrfAmbiguous,
    /// The submitted CSRF value, or the token's `csrf` claim, differs from the cookie.
    CsrfMismatch,
    /// The CSRF cookie or the submitted CSRF value is absent or empty.
    CsrfMissing,
    /// The token has no session claim to which a signed CSRF value could be bound.
    CsrfSessionMissing,
    /// The CSRF value is not signed for this session.
    CsrfSignature,
    /// A request with cookies has no `Origin`.
    OriginAbsent,
    /// A request with cookies has more than one `Origin` line.
    OriginAmbiguous,
    /// `Sec-Fetch-Mode` says that this is not a WebSocket handshake.
    OriginFetchMode,
    /// The `Origin` is not on the list.
    OriginNotAllowed,
    /// A required scope is missing.
    ScopeRequired,
    /// The token's `alg` is `none`, unknown, or not that of the key.
    TokenAlgorithm,
    /// More than one token, or one carrier with more than one value.
    TokenAmbiguous,
    /// The token is meant for another audience.
    TokenAudience,
    /// The header demands an extension (`crit`, `b64`) that is not understood.
    TokenCritical,
    /// `exp` lies in the past, leeway included.
    TokenExpired,
    /// The token's issuer is missing or not configured.
    TokenIssuer,
    /// No single key fits the token, or the token brings its own.
    TokenKey,
    /// A token in the query lives longer than `query_life_max`, or does not say how long.
    TokenLife,
    /// The token, or the header that carries it, breaks its grammar.
    TokenMalformed,
    /// No configured source carries a token.
    TokenMissing,
    /// `nbf` or `iat` lies in the future, leeway included.
    TokenNotYetValid,
    /// The delegate does not accept the credential (401).
    TokenRefused,
    /// The principal or session was revoked after the token was issued. Only a gateway that keeps revocations says so; [`Authorizer::authorize`](crate::Authorizer::authorize) never does.
    TokenRevoked,
    /// The signature does not verify.
    TokenSignature,
    /// The token is longer than `token_bytes_max`.
    TokenTooLong,
    /// The token's `typ` is not the configured one.
    TokenType,
}

impl Denial {
    /// All denials, in alphabetical order.
    pub const ALL: [Self; 32] = [
        Self::ClaimContext,
        Self::ClaimContextTooLong,
        Self::ClaimPrincipal,
        Self::ClaimRefused,
        Self::ClaimRequired,
        Self::CookieAmbiguous,
        Self::CsrfAmbiguous,
        Self::CsrfMismatch,
        Self::CsrfMissing,
        Self::CsrfSessionMissing,
        Self::CsrfSignature,
        Self::OriginAbsent,
        Self::OriginAmbiguous,
        Self::OriginFetchMode,
        Self::OriginNotAllowed,
        Self::ScopeRequired,
        Self::TokenAlgorithm,
        Self::TokenAmbiguous,
        Self::TokenAudience,
        Self::TokenCritical,
        Self::TokenExpired,
        Self::TokenIssuer,
        Self::TokenKey,
        Self::TokenLife,
        Self::TokenMalformed,
        Self::TokenMissing,
        Self::TokenNotYetValid,
        Self::TokenRefused,
        Self::TokenRevoked,
        Self::TokenSignature,
        Self::TokenTooLong,
        Self::TokenType,
    ];

    /// Stable identifier for logs, metrics and `/refusals`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ClaimContext => "claim_context",
            Self::ClaimContextTooLong => "claim_context_too_long",
            Self::ClaimPrincipal => "claim_principal",
            Self::ClaimRefused => "claim_refused",
            Self::ClaimRequired => "claim_required",
            Self::CookieAmbiguous => "cookie_ambiguous",
            Self::CsrfAmbiguous => "csrf_ambiguous",
            Self::CsrfMismatch => "csrf_mismatch",
            Self::CsrfMissing => "csrf_missing",
            Self::CsrfSessionMissing => "csrf_session_missing",
            Self::CsrfSignature => "csrf_signature",
            Self::OriginAbsent => "origin_absent",
            Self::OriginAmbiguous => "origin_ambiguous",
            Self::OriginFetchMode => "origin_fetch_mode",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::ScopeRequired => "scope_required",
            Self::TokenAlgorithm => "token_algorithm",
            Self::TokenAmbiguous => "token_ambiguous",
            Self::TokenAudience => "token_audience",
            Self::TokenCritical => "token_critical",
            Self::TokenExpired => "token_expired",
            Self::TokenIssuer => "token_issuer",
            Self::TokenKey => "token_key",
            Self::TokenLife => "token_life",
            Self::TokenMalformed => "token_malformed",
            Self::TokenMissing => "token_missing",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenRefused => "token_refused",
            Self::TokenRevoked => "token_revoked",
            Self::TokenSignature => "token_signature",
            Self::TokenTooLong => "token_too_long",
            Self::TokenType => "token_type",
        }
    }

    /// The rule that was broken, as a short phrase for operators.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::ClaimContext => "a context claim is not a scalar",
            Self::ClaimContextTooLong => "the answer with its context claims is longer than 8 KiB",
            Self::ClaimPrincipal => "the principal claim is missing, empty or not a string",
            Self::ClaimRefused => "the delegate refuses the session",
            Self::ClaimRequired => "a required claim is missing or has another value",
            Self::CookieAmbiguous => "a cookie the decision reads occurs more than once",
            Self::CsrfAmbiguous => "the CSRF value was submitted more than once in one place",
            Self::CsrfMismatch => "the CSRF cookie does not equal its counterpart",
            Self::CsrfMissing => "the CSRF cookie or the submitted CSRF value is absent",
            Self::CsrfSessionMissing => "the token has no session claim for the CSRF value",
            Self::CsrfSignature => "the CSRF value is not signed for this session",
            Self::OriginAbsent => "a request with cookies has no Origin",
            Self::OriginAmbiguous => "a request with cookies has more than one Origin",
            Self::OriginFetchMode => "Sec-Fetch-Mode is not websocket",
            Self::OriginNotAllowed => "the Origin is not on the list",
            Self::ScopeRequired => "a required scope is missing",
            Self::TokenAlgorithm => "the token's algorithm is not that of a configured key",
            Self::TokenAmbiguous => "more than one token was offered",
            Self::TokenAudience => "the token is meant for another audience",
            Self::TokenCritical => "the token demands an extension that is not supported",
            Self::TokenExpired => "the token has expired",
            Self::TokenIssuer => "the token's issuer is not configured",
            Self::TokenKey => "no single configured key fits the token",
            Self::TokenLife => "a token in the query lives too long",
            Self::TokenMalformed => "the token or its carrier is malformed",
            Self::TokenMissing => "no configured source carries a token",
            Self::TokenNotYetValid => "the token is not valid yet",
            Self::TokenRefused => "the delegate does not accept the credential",
            Self::TokenRevoked => "the token was issued before its principal was revoked",
            Self::TokenSignature => "the token's signature is invalid",
            Self::TokenTooLong => "the token is longer than token_bytes_max",
            Self::TokenType => "the token has another type than the configured one",
        }
    }

    /// HTTP status the client sees: 401 asks for other credentials, 403 says that these will
    /// never do.
    pub const fn status(self) -> u16 {
        match self {
            Self::ClaimContext
            | Self::ClaimContextTooLong
            | Self::ClaimPrincipal
            | Self::ClaimRefused
            | Self::ClaimRequired
            | Self::CsrfAmbiguous
            | Self::CsrfMismatch
            | Self::CsrfMissing
            | Self::CsrfSessionMissing
            | Self::CsrfSignature
            | Self::OriginAbsent
            | Self::OriginAmbiguous
            | Self::OriginFetchMode
            | Self::OriginNotAllowed
            | Self::ScopeRequired => 403,
            Self::CookieAmbiguous
            | Self::TokenAlgorithm
            | Self::TokenAmbiguous
            | Self::TokenAudience
            | Self::TokenCritical
            | Self::TokenExpired
            | Self::TokenIssuer
            | Self::TokenKey
            | Self::TokenLife
            | Self::TokenMalformed
            | Self::TokenMissing
            | Self::TokenNotYetValid
            | Self::TokenRefused
            | Self::TokenRevoked
            | Self::TokenSignature
            | Self::TokenTooLong
            | Self::TokenType => 401,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

impl std::error::Error for Denial {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_the_code_decides_the_status() {
        for denial in Denial::ALL {
            let code = denial.code();
            let asks_again = code.starts_with("token_") || code == "cookie_ambiguous";
            assert_eq!(denial.status(), if asks_again { 401 } else { 403 }, "{code}");
            assert_eq!(denial.to_string(), denial.rule());
        }
    }

    #[test]
    fn codes_are_unique_and_sorted() {
        let codes: Vec<_> = Denial::ALL.iter().map(|denial| denial.code()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }
}
