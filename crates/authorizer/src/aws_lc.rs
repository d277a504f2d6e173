//! Signature checks by AWS-LC.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

use crate::crypto::{Algorithm, Material, Provider, Verify};

/// The AWS-LC library; keys are parsed once, at load.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl Provider for AwsLc {
    fn verifier(&self, algorithm: Algorithm, material: Material<'_>) -> Option<Box<dyn Verify>> {
        if let Some(hash) = hmac_algorithm(algorithm) {
            let Material::Secret(secret) = material else { return None };
            return Some(Box::new(Hmac(hmac::Key::new(hash, secret))));
        }
        let (scheme, bytes): (&'static dyn VerificationAlgorithm, _) = match (algorithm, material) {
            (Algorithm::Ed25519, Material::Ed25519(point)) => (&signature::ED25519, point),
            (Algorithm::Es256, Material::Ec(point)) => (&signature::ECDSA_P256_SHA256_FIXED, point),
            (Algorithm::Es384, Material::Ec(point)) => (&signature::ECDSA_P384_SHA384_FIXED, point),
            (Algorithm::Es512, Material::Ec(point)) => (&signature::ECDSA_P521_SHA512_FIXED, point),
            (_, Material::Rsa(der)) => (rsa_scheme(algorithm)?, der),
            _ => return None,
        };
        Some(Box::new(Public(ParsedPublicKey::new(scheme, bytes).ok()?)))
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_scheme(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

struct Hmac(hmac::Key);

impl Verify for Hmac {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}

struct Public(ParsedPublicKey);

impl Verify for Public {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}
