//! What the decision asks of a cryptographic library.

use std::fmt;

/// A signature algorithm of [RFC 7518 §3.1] or [RFC 8037 §3.1], without `none`.
///
/// [RFC 7518 §3.1]: https://www.rfc-editor.org/rfc/rfc7518#section-3.1
/// [RFC 8037 §3.1]: https://www.rfc-editor.org/rfc/rfc8037#section-3.1
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// EdDSA over Ed25519; tokens name it `EdDSA` or `Ed25519` ([RFC 9864]).
    ///
    /// [RFC 9864]: https://www.rfc-editor.org/rfc/rfc9864
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 13] = [
        Self::Ed25519,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The algorithm a header's `alg` names, spelled exactly; `none` and others are `None`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::Ed25519),
            _ => Self::ALL.into_iter().find(|algorithm| algorithm.name() == name),
        }
    }

    /// The name a token's header uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Bytes of the hash, for HMAC algorithms: the least length of their secrets
    /// ([RFC 7518 §3.2]).
    ///
    /// [RFC 7518 §3.2]: https://www.rfc-editor.org/rfc/rfc7518#section-3.2
    pub const fn hmac_bytes(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            Self::Ed25519
            | Self::Es256
            | Self::Es384
            | Self::Es512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Rs256
            | Self::Rs384
            | Self::Rs512 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One key, ready to check signatures of one algorithm.
pub trait Verify: Send + Sync {
    /// Whether `signature` (raw bytes; for ECDSA `r ‖ s` of fixed length) is this key's over
    /// `message`. HMACs are compared in constant time.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A cryptographic library.
pub trait Provider {
    /// A verifier of `algorithm` with `material`, or `None` if the material is no valid key of it
    /// (wrong kind, a point off the curve, a modulus outside 2048–8192 bits).
    fn verifier(&self, algorithm: Algorithm, material: Material<'_>) -> Option<Box<dyn Verify>>;
}

/// The parts of a key that verifies.
#[derive(Clone, Copy)]
pub enum Material<'a> {
    /// The point in SEC 1 uncompressed form, `4 ‖ x ‖ y`.
    Ec(&'a [u8]),
    /// The 32 bytes of the point.
    Ed25519(&'a [u8]),
    /// An `RSAPublicKey` in DER ([RFC 8017 A.1.1]).
    ///
    /// [RFC 8017 A.1.1]: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1
    Rsa(&'a [u8]),
    /// The bytes of a shared secret.
    Secret(&'a [u8]),
}

impl fmt::Debug for Material<'_> {
    /// The kind only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ec(_) => "Ec(..)",
            Self::Ed25519(_) => "Ed25519(..)",
            Self::Rsa(_) => "Rsa(..)",
            Self::Secret(_) => "Secret(***)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_and_none_does_not() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::parse(&algorithm.name().to_lowercase()), None);
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::Ed25519));
        for name in ["none", "None", "NONE", "nOnE", "", "HS256 ", "ES256K", "Ed448"] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }
}
