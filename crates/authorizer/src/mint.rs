//! Making of tokens and CSRF values, for logins, tools and tests.
//!
//! Time and the random part of CSRF values are the caller's; ECDSA and PSS signatures take their
//! randomness from AWS-LC.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, signature::RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::Algorithm;
use crate::csrf;
use crate::key;

/// Why nothing was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MintError {
    /// The key is not of a kind that the algorithm uses, or too short.
    #[error("the key does not fit the algorithm")]
    KeyUnfit,
    /// The key is not one `PRIVATE KEY` block of PEM (PKCS #8).
    #[error("the key is not a PRIVATE KEY block in PEM")]
    PemMalformed,
    /// The random part has not 16 to 64 bytes.
    #[error("the random part must have 16 to 64 bytes")]
    RandomLength,
    /// AWS-LC could not sign.
    #[error("signing failed")]
    SigningFailed,
}

/// A key that signs tokens with one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    secret: Signer,
}

enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl SigningKey {
    /// A key of one of the HMAC algorithms, from a secret at least as long as the hash.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, MintError> {
        let least = algorithm.hmac_bytes().ok_or(MintError::KeyUnfit)?;
        if secret.len() < least {
            return Err(MintError::KeyUnfit);
        }
        let hash = match algorithm {
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        Ok(Self { algorithm, secret: Signer::Hmac(Box::new(hmac::Key::new(hash, secret))) })
    }

    /// A key of one of the other algorithms, from a private key in PEM (PKCS #8).
    pub fn pem(algorithm: Algorithm, pem: &str) -> Result<Self, MintError> {
        let der = key::private_der(pem.as_bytes()).ok_or(MintError::PemMalformed)?;
        let unfit = |_| MintError::KeyUnfit;
        let ecdsa = |scheme| EcdsaKeyPair::from_pkcs8(scheme, &der).map(Signer::Ecdsa);
        let rsa = |scheme: &'static dyn RsaEncoding| {
            RsaKeyPair::from_pkcs8(&der).map(|pair| Signer::Rsa(pair, scheme))
        };
        let secret = match algorithm {
            Algorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Signer::Ed25519)
            }
            Algorithm::Es256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                return Err(MintError::KeyUnfit);
            }
        };
        Ok(Self { algorithm, secret: secret.map_err(unfit)? })
    }

    /// The plain header of this key's tokens: `alg`, `typ`, and `kid` if there is one.
    pub fn header(&self, kid: Option<&str>) -> String {
        let mut header = serde_json::json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        header.to_string()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MintError> {
        let failed = |_| MintError::SigningFailed;
        match &self.secret {
            Signer::Ecdsa(pair) => {
                let signed = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signed.as_ref().to_vec())
            }
            Signer::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Signer::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Signer::Rsa(pair, scheme) => {
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(*scheme, &SystemRandom::new(), message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ***)", self.algorithm)
    }
}

/// A signed token in compact form. `header` (such as [`SigningKey::header`]) and `claims` are
/// JSON objects, and are taken as they are spelled.
pub fn jwt(header: &str, claims: &str, key: &SigningKey) -> Result<String, MintError> {
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// A CSRF value for `session` (the token's `sid`, else its `jti`): `hex(mac) "." hex(random)`.
/// `secret` is the content of `csrf.secret`, at least 32 bytes; `random` has 16 to 64.
pub fn csrf_value(secret: &[u8], session: &str, random: &[u8]) -> Result<String, MintError> {
    if secret.len() < 32 {
        return Err(MintError::KeyUnfit);
    }
    if !csrf::RANDOM_BYTES.contains(&random.len()) {
        return Err(MintError::RandomLength);
    }
    let random = hex::encode(random);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mac = hmac::sign(&key, &csrf::message(session, &random));
    Ok(format!("{}.{random}", hex::encode(mac)))
}
