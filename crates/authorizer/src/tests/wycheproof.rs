//! The signature vectors of [Project Wycheproof], all that have an algorithm of ours or one that
//! resembles it: the key accepts what JWS would have signed, and nothing else.
//!
//! Signatures only: the crate leaves out the project's sets of whole JWS and JWK. Every key goes
//! through the loader.
//!
//! [Project Wycheproof]: https://github.com/C2SP/wycheproof

use ::wycheproof::{HashFunction, Mgf, TestResult, ecdsa, eddsa, mac};
use ::wycheproof::{rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::oracle::config_for;
use super::*;

fn load(algorithm: Algorithm, kind: &str, content: &[u8]) -> Result<KeySet, Vec<ConfigError>> {
    let config = config_for(algorithm, &format!("{kind}:env:KEY"));
    let (config, _) = Config::read(&config).unwrap();
    let mut keys = KeySet::builder(&config, &AwsLc);
    keys.add(0, 0, content);
    keys.build().map(|(keys, _)| keys)
}

/// What the vectors came to: how many signatures were accepted and refused, and how many keys the
/// loader refused. Tests name the figures, so that no vector is left out unnoticed.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    accepted: usize,
    refused: usize,
    keys_refused: usize,
}

impl Tally {
    /// Asks the key of one group about each of its signatures: place, message, signature, and
    /// whether it must be accepted.
    #[track_caller]
    fn ask<'v>(
        &mut self,
        algorithm: Algorithm,
        keys: &KeySet,
        vectors: impl Iterator<Item = (String, &'v [u8], &'v [u8], bool)>,
    ) {
        let key = keys.find(0, algorithm, None).unwrap();
        for (place, message, signature, want) in vectors {
            assert_eq!(key.verify(message, signature), want, "{algorithm}: {place}");
            *(if want { &mut self.accepted } else { &mut self.refused }) += 1;
        }
    }
}

/// HMAC, ECDSA and EdDSA have no vector that is a matter of taste.
fn is_valid(result: TestResult) -> bool {
    assert_ne!(result, TestResult::Acceptable);
    result == TestResult::Valid
}

#[test]
fn hmac_tags_are_whole_and_of_long_keys() {
    let mut tally = Tally::default();
    for (algorithm, name) in [
        (Algorithm::Hs256, mac::TestName::HmacSha256),
        (Algorithm::Hs384, mac::TestName::HmacSha384),
        (Algorithm::Hs512, mac::TestName::HmacSha512),
    ] {
        let hash = algorithm.hmac_bytes().unwrap();
        for group in mac::TestSet::load(name).unwrap().test_groups {
            // JWS has no tags of half the length.
            let whole = group.tag_size == 8 * hash;
            for test in &group.tests {
                let jwk = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(&*test.key) });
                let keys = load(algorithm, "jwk", jwk.to_string().as_bytes());
                assert_eq!(keys.is_ok(), hash <= test.key.len(), "{algorithm} {}", test.tc_id);
                let Ok(keys) = keys else {
                    tally.keys_refused += 1;
                    continue;
                };
                let want = whole && is_valid(test.result);
                let place = format!("{name:?} {}", test.tc_id);
                let vector = (place, test.msg.as_slice(), test.tag.as_slice(), want);
                tally.ask(algorithm, &keys, std::iter::once(vector));
            }
        }
    }
    assert_eq!(tally, Tally { accepted: 90, refused: 414, keys_refused: 18 });
}

/// On every curve, with every hash, in both encodings: a signature counts if it is `r ‖ s` on the
/// curve and with the hash of the algorithm. Keys on other curves are refused.
#[test]
fn ecdsa_signatures_have_one_encoding_and_one_hash() {
    use ::wycheproof::EllipticCurve as Curve;
    let mut tally = Tally::default();
    for name in ecdsa::TestName::all() {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (algorithm, hash) = match group.key.curve {
                Curve::Secp256r1 => (Algorithm::Es256, HashFunction::Sha2_256),
                Curve::Secp384r1 => (Algorithm::Es384, HashFunction::Sha2_384),
                Curve::Secp521r1 => (Algorithm::Es512, HashFunction::Sha2_512),
                _ => {
                    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
                        assert!(load(algorithm, "pem", group.pem.as_bytes()).is_err(), "{name:?}");
                    }
                    tally.keys_refused += 1;
                    continue;
                }
            };
            let keys = load(algorithm, "pem", group.pem.as_bytes()).unwrap();
            let fits = group.test_type == ecdsa::TestGroupTypeId::EcdsaP1363 && group.hash == hash;
            let vectors = group.tests.iter().map(|test| {
                let place = format!("{name:?} {}", test.tc_id);
                (place, test.msg.as_slice(), test.sig.as_slice(), fits && is_valid(test.result))
            });
            tally.ask(algorithm, &keys, vectors);
        }
    }
    assert_eq!(tally, Tally { accepted: 597, refused: 9_055, keys_refused: 5_100 });
}

#[test]
fn ed25519_signatures_are_canonical() {
    let mut tally = Tally::default();
    for name in eddsa::TestName::all() {
        for group in eddsa::TestSet::load(name).unwrap().test_groups {
            let keys = load(Algorithm::Ed25519, "pem", group.pem.as_bytes());
            assert_eq!(keys.is_ok(), name == eddsa::TestName::Ed25519, "{name:?}");
            let Ok(keys) = keys else {
                tally.keys_refused += 1;
                continue;
            };
            let vectors = group.tests.iter().map(|test| {
                let place = format!("{name:?} {}", test.tc_id);
                (place, test.msg.as_slice(), test.sig.as_slice(), is_valid(test.result))
            });
            tally.ask(Algorithm::Ed25519, &keys, vectors);
        }
    }
    assert_eq!(tally, Tally { accepted: 88, refused: 63, keys_refused: 15 });
}

/// With every hash, under each of the three algorithms that the key can have.
#[test]
fn rsa_padding_is_exact() {
    let mut tally = Tally::default();
    for name in pkcs1::TestName::all() {
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            for (algorithm, hash, hash_name) in [
                (Algorithm::Rs256, HashFunction::Sha2_256, "SHA-256"),
                (Algorithm::Rs384, HashFunction::Sha2_384, "SHA-384"),
                (Algorithm::Rs512, HashFunction::Sha2_512, "SHA-512"),
            ] {
                let other = format!("The message is hashed with {hash_name} instead of ");
                let keys = load(algorithm, "pem", group.pem.as_bytes()).unwrap();
                let vectors = group.tests.iter().map(|test| {
                    if test.result == TestResult::Acceptable {
                        // The one matter of taste: RFC 8017 §9.2 has the NULL in the padding.
                        assert_eq!(test.flags, [pkcs1::TestFlag::MissingNull]);
                    }
                    let valid = test.result == TestResult::Valid && group.hash == hash;
                    // Wrong in its set, and right under the algorithm that it was made with.
                    let want = valid || test.comment.starts_with(&other);
                    let place = format!("{name:?} {}", test.tc_id);
                    (place, test.msg.as_slice(), test.sig.as_slice(), want)
                });
                tally.ask(algorithm, &keys, vectors);
            }
        }
    }
    assert_eq!(tally, Tally { accepted: 149, refused: 18_457, keys_refused: 0 });
}

/// With every hash, mask and salt: the mask has the hash of the signature and the salt its length
/// ([RFC 7518 §3.5]).
///
/// [RFC 7518 §3.5]: https://www.rfc-editor.org/rfc/rfc7518#section-3.5
#[test]
fn rsa_pss_has_one_mask_and_one_salt() {
    let mut tally = Tally::default();
    for name in pss::TestName::all() {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            for (algorithm, hash, salt_size) in [
                (Algorithm::Ps256, HashFunction::Sha2_256, 32),
                (Algorithm::Ps384, HashFunction::Sha2_384, 48),
                (Algorithm::Ps512, HashFunction::Sha2_512, 64),
            ] {
                let pem = pem("RSA PUBLIC KEY", &group.asn_key);
                let keys = load(algorithm, "pem", pem.as_bytes()).unwrap();
                let ours = (group.hash, group.mgf, group.mgf_hash) == (hash, Mgf::Mgf1, Some(hash));
                let other = format!("s_len changed to {salt_size}");
                let vectors = group.tests.iter().map(|test| {
                    let valid = is_valid(test.result) && group.salt_size == salt_size;
                    // Wrong in its set of another salt length, and right here.
                    let want = ours && (valid || test.comment == other);
                    let place = format!("{name:?} {}", test.tc_id);
                    (place, test.msg.as_slice(), test.sig.as_slice(), want)
                });
                tally.ask(algorithm, &keys, vectors);
            }
        }
    }
    assert_eq!(tally, Tally { accepted: 777, refused: 9_714, keys_refused: 0 });
}
