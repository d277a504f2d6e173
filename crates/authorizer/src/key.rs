//! Keys, each pinned to one algorithm.

mod der;
mod jwk;
mod pem;
mod public;

use std::fmt;

use crate::config::table::Report;
use crate::config::{Config, ConfigError, Issuer, KeyKind, KeySpec, Warning};
use crate::crypto::{Algorithm, Material, Provider, Verify};
use crate::denial::Denial;
use crate::secret::Secret;

/// Keys of one issuer.
pub const KEYS_MAX: usize = 64;

/// Least bytes of the CSRF secret: those of its hash.
const CSRF_SECRET_BYTES: usize = 32;
const CSRF_PATH: &str = "authorizer.csrf.secret";

/// The keys of all issuers, and the CSRF key: what of the decision changes without the
/// configuration.
pub struct KeySet {
    /// Keys of each issuer by position, sorted by name; those without a name come first.
    issuers: Vec<Vec<Key>>,
    pub(crate) csrf: Option<Box<dyn Verify>>,
}

impl KeySet {
    /// Starts a set for the issuers of `config`.
    pub fn builder<'c>(config: &'c Config, provider: &'c dyn Provider) -> KeySetBuilder<'c> {
        KeySetBuilder {
            config,
            provider,
            issuers: config.issuers.iter().map(|_| Vec::new()).collect(),
            csrf: None,
            allows_withdrawal: false,
            report: Report::default(),
        }
    }

    /// The one key of `issuer` that fits: of the algorithm, and of the name if there is one. A key
    /// without a name (PEM, HMAC) fits any name.
    pub(crate) fn find(
        &self,
        issuer: usize,
        algorithm: Algorithm,
        kid: Option<&str>,
    ) -> Result<&dyn Verify, Denial> {
        let keys = self.of(issuer);
        if let Some(named) = kid.and_then(|kid| find_named(keys, kid)) {
            return match named.algorithm == algorithm {
                true => Ok(named.verify.as_ref()),
                false => Err(Denial::TokenAlgorithm),
            };
        }
        let mut fitting = keys.iter().filter(|key| key.algorithm == algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(Denial::TokenAlgorithm);
        }
        let mut fitting = fitting.filter(|key| kid.is_none() || key.kid.is_none());
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only.verify.as_ref()),
            _ => Err(Denial::TokenKey),
        }
    }

    /// Whether `issuer` has a key named `kid`.
    pub(crate) fn has(&self, issuer: usize, kid: &str) -> bool {
        find_named(self.of(issuer), kid).is_some()
    }

    fn of(&self, issuer: usize) -> &[Key] {
        self.issuers.get(issuer).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The key named `kid` of `keys`, which are sorted by name.
fn find_named<'k>(keys: &'k [Key], kid: &str) -> Option<&'k Key> {
    let position = keys.binary_search_by(|key| key.kid.as_deref().cmp(&Some(kid)));
    position.ok().map(|position| &keys[position])
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = |keys: &Vec<Key>| keys.iter().map(|key| key.algorithm).collect::<Vec<_>>();
        f.debug_list().entries(self.issuers.iter().map(algorithms)).finish()
    }
}

struct Key {
    algorithm: Algorithm,
    kid: Option<String>,
    verify: Box<dyn Verify>,
    /// The secret, to be compared with the CSRF secret; forgotten when the set is built.
    secret: Option<Secret>,
}

/// Collects the keys of a [`KeySet`], and everything that is wrong with them.
pub struct KeySetBuilder<'c> {
    config: &'c Config,
    provider: &'c dyn Provider,
    issuers: Vec<Vec<Key>>,
    csrf: Option<Secret>,
    /// Whether an issuer may have withdrawn all its published keys.
    allows_withdrawal: bool,
    report: Report,
}

impl KeySetBuilder<'_> {
    /// Adds the content of the key `key` of `config.issuers()[issuer].keys`, both by position: the
    /// key itself, or the JWK set that `jwks:` and `oidc:` lead to.
    pub fn add(&mut self, issuer: usize, key: usize, content: &[u8]) {
        let path = format!("authorizer.issuers[{issuer}].keys[{key}]");
        let Some(entry) = self.config.issuers.get(issuer) else {
            return self.report.error(path, "there is no such issuer");
        };
        let parsed = match entry.keys.get(key) {
            Some(KeySpec::Static(kind, _)) => parse(*kind, content),
            Some(KeySpec::Jwks(_) | KeySpec::Oidc(_)) => {
                return self.add_published(&path, issuer, entry, content);
            }
            None => return self.report.error(path, "there is no such key"),
        };
        let is_twin = |key: &Key, other: &Key| {
            key.kid.is_none() && other.kid.is_none() && other.algorithm == key.algorithm
        };
        let added = parsed.and_then(|parsed| self.bind(entry, parsed)).and_then(|key| {
            match self.issuers[issuer].iter().any(|other| is_twin(&key, other)) {
                true => Err(KeyError::new("is a second key of its algorithm without a `kid`, so no token would say which it means")
                    .with_hint("jwk:… with a `kid`")),
                false => self.push(issuer, key),
            }
        });
        if let Err(error) = added {
            self.report.errors.push(error.at(path));
        }
    }

    /// Adds the keys of a published JWK set. Those that cannot be used are left out with a
    /// warning; none that can is an error.
    fn add_published(&mut self, path: &str, issuer: usize, entry: &Issuer, content: &[u8]) {
        let mut is_usable = false;
        let keys = match jwk::parse_set(content) {
            Ok(keys) => keys,
            Err(error) => return self.report.errors.push(error.at(path.to_owned())),
        };
        for (n, key) in keys.iter().enumerate() {
            let key = jwk::parse(key.as_bytes()).and_then(|parsed| match parsed.kind {
                Kind::Secret(_) => Err(KeyError::new("is a shared secret, which is not published")),
                Kind::Ec(..) | Kind::Ed25519(_) | Kind::Rsa { .. } => self.bind(entry, parsed),
            });
            match key.and_then(|key| self.push(issuer, key)) {
                Ok(()) => is_usable = true,
                Err(error) => {
                    let message = format!("key {n} of the set is left out: it {}", error.message);
                    self.report.warning(path, message);
                }
            }
        }
        match (is_usable, self.allows_withdrawal) {
            (true, _) => {}
            (false, false) => self.report.error(path, "the set has no key that can be used"),
            (false, true) => {
                self.report.warning(path, "the set has no key that can be used any more")
            }
        }
    }

    /// Lets a published set be without usable keys, as after a withdrawal: tokens of an issuer
    /// that is left without any are refused. At a start it would be a mistake.
    pub fn allow_withdrawal(&mut self) {
        self.allows_withdrawal = true;
    }

    /// Sets the content of the CSRF secret.
    pub fn csrf_secret(&mut self, content: &[u8]) {
        let secret = Secret::from_source(content);
        if secret.expose().len() < CSRF_SECRET_BYTES {
            let message = format!("is shorter than {CSRF_SECRET_BYTES} bytes");
            self.report.hint(CSRF_PATH, message, "such as `openssl rand -hex 32`");
        } else if let Err(KeyError { message, .. }) = public::refuse(secret.expose()) {
            self.report.hint(CSRF_PATH, message, "such as `openssl rand -hex 32`");
        }
        self.csrf = Some(secret);
    }

    /// What is wrong so far, when the set cannot be built anyway.
    pub fn errors(self) -> Vec<ConfigError> {
        self.report.errors
    }

    /// Ends the set: each issuer must have a key, and the CSRF secret must be nobody's key.
    pub fn build(mut self) -> Result<(KeySet, Vec<Warning>), Vec<ConfigError>> {
        let had_errors = !self.report.errors.is_empty();
        for (n, keys) in self.issuers.iter().enumerate() {
            if keys.is_empty() && !had_errors && !self.allows_withdrawal {
                self.report.error(format!("authorizer.issuers[{n}].keys"), "no key was loaded");
            }
        }
        let secrets = self.issuers.iter().flatten().filter_map(|key| key.secret.as_ref());
        if let Some(csrf) = &self.csrf
            && secrets.into_iter().any(|secret| secret.is_same_key(csrf))
        {
            self.report.hint(
                CSRF_PATH,
                "is the secret of the tokens",
                "whoever signs CSRF values must not be able to sign tokens: make another",
            );
        }
        let needs_csrf = self.config.csrf_secret().is_some();
        let csrf = self.csrf.as_ref().filter(|_| needs_csrf).and_then(|secret| {
            self.provider.verifier(Algorithm::Hs256, Material::Secret(secret.expose()))
        });
        if needs_csrf && csrf.is_none() && !had_errors {
            self.report.error(CSRF_PATH, "was not loaded");
        }
        if !self.report.errors.is_empty() {
            return Err(self.report.errors);
        }
        for keys in &mut self.issuers {
            keys.iter_mut().for_each(|key| key.secret = None);
            keys.sort_by(|a, b| a.kid.cmp(&b.kid));
        }
        Ok((KeySet { issuers: self.issuers, csrf }, self.report.warnings))
    }

    /// Pins a key to its one algorithm.
    fn bind(&self, issuer: &Issuer, parsed: Parsed) -> Result<Key, KeyError> {
        if let Kind::Secret(secret) = &parsed.kind {
            public::refuse(secret.expose())?;
        }
        let algorithm = pin(&parsed, &issuer.algorithms)?;
        parsed.check_strength(algorithm)?;
        let verify = self.provider.verifier(algorithm, parsed.material());
        let verify =
            verify.ok_or_else(|| KeyError::new(format!("is not a valid key for {algorithm}")))?;
        let secret = match parsed.kind {
            Kind::Secret(secret) => Some(secret),
            Kind::Ec(..) | Kind::Ed25519(_) | Kind::Rsa { .. } => None,
        };
        Ok(Key { algorithm, kid: parsed.kid, verify, secret })
    }

    fn push(&mut self, issuer: usize, key: Key) -> Result<(), KeyError> {
        let keys = &mut self.issuers[issuer];
        let is_named = |other: &Key| other.kid.is_some() && other.kid == key.kid;
        let mixes = |other: &Key| other.secret.is_some() != key.secret.is_some();
        if keys.len() == KEYS_MAX {
            return Err(KeyError::new(format!("is one more than the {KEYS_MAX} of an issuer")));
        }
        if keys.iter().any(is_named) {
            return Err(KeyError::new("has the `kid` of another key"));
        }
        if keys.iter().any(mixes) {
            let message = "is of the other kind: HMAC secrets and public keys are mixed";
            return Err(KeyError::new(message));
        }
        keys.push(key);
        Ok(())
    }
}

impl fmt::Debug for KeySetBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySetBuilder").finish_non_exhaustive()
    }
}

/// Why the content of a key is refused. Never holds any of the content.
#[derive(Debug)]
struct KeyError {
    message: String,
    hint: Option<&'static str>,
}

impl KeyError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    fn at(self, path: String) -> ConfigError {
        let error = ConfigError::new(path, self.message);
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// A key as its source spells it, before it is bound to an algorithm.
struct Parsed {
    kind: Kind,
    algorithm: Option<Algorithm>,
    kid: Option<String>,
}

enum Kind {
    /// Uncompressed point, and the one algorithm of its curve.
    Ec(Vec<u8>, Algorithm),
    Ed25519(Vec<u8>),
    Rsa {
        der: Vec<u8>,
        modulus_bits: usize,
    },
    Secret(Secret),
}

impl Parsed {
    fn material(&self) -> Material<'_> {
        match &self.kind {
            Kind::Ec(point, _) => Material::Ec(point),
            Kind::Ed25519(point) => Material::Ed25519(point),
            Kind::Rsa { der, .. } => Material::Rsa(der),
            Kind::Secret(secret) => Material::Secret(secret.expose()),
        }
    }

    /// The algorithms a key of this family can have.
    fn family(&self) -> &'static [Algorithm] {
        use Algorithm as A;
        match self.kind {
            Kind::Ec(_, A::Es256) => &[A::Es256],
            Kind::Ec(_, A::Es384) => &[A::Es384],
            Kind::Ec(..) => &[A::Es512],
            Kind::Ed25519(_) => &[A::Ed25519],
            Kind::Rsa { .. } => &[A::Ps256, A::Ps384, A::Ps512, A::Rs256, A::Rs384, A::Rs512],
            Kind::Secret(_) => &[A::Hs256, A::Hs384, A::Hs512],
        }
    }

    fn check_strength(&self, algorithm: Algorithm) -> Result<(), KeyError> {
        match (&self.kind, algorithm.hmac_bytes()) {
            (Kind::Secret(secret), Some(least)) if secret.expose().len() < least => {
                let message = format!("is shorter than the {least} bytes that {algorithm} needs");
                Err(KeyError::new(message).with_hint("such as `openssl rand -hex 64`"))
            }
            (Kind::Ed25519(point), _) if is_small_order(point) => {
                Err(KeyError::new("is a point of small order, for which anybody can sign"))
            }
            (Kind::Rsa { modulus_bits, .. }, _) if !(2048..=8192).contains(modulus_bits) => {
                Err(KeyError::new("is an RSA key outside 2048 to 8192 bits"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an Ed25519 point has an order of at most 8 ([RFC 8032 §5.1.7] leaves the check to the
/// caller): by its `y`, in little-endian bytes and with the spellings above the prime.
///
/// [RFC 8032 §5.1.7]: https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7
fn is_small_order(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Ok(mut y) = <[u8; 32]>::try_from(point) else { return true };
    // The sign of `x`.
    y[31] &= 0x7f;
    let is_near_zero = y[0] <= 1 && y[1..].iter().all(|byte| *byte == 0);
    let is_near_prime =
        0xec <= y[0] && y[0] <= 0xee && y[31] == 0x7f && y[1..31].iter().all(|byte| *byte == 0xff);
    is_near_zero || is_near_prime || ORDER_8.contains(&y)
}

/// The one algorithm of a key: its own, or the only one of its family that is configured.
fn pin(parsed: &Parsed, configured: &[Algorithm]) -> Result<Algorithm, KeyError> {
    let family = parsed.family();
    if let Some(own) = parsed.algorithm {
        if !family.contains(&own) {
            return Err(KeyError::new(format!("says `alg` {own}, which such a key cannot have")));
        }
        if !configured.is_empty() && !configured.contains(&own) {
            return Err(KeyError::new(format!("is for {own}, which `algorithms` does not name")));
        }
        return Ok(own);
    }
    let names: Vec<_> = family.iter().map(|algorithm| algorithm.name()).collect();
    let mut fitting = configured.iter().filter(|algorithm| family.contains(algorithm));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(KeyError::new(format!(
            "does not say its algorithm; `algorithms` must name one of {}",
            names.join(", ")
        ))),
        (Some(_), Some(_)) => Err(KeyError::new(format!(
            "does not say its algorithm; `algorithms` must name only one of {}",
            names.join(", ")
        ))),
    }
}

fn parse(kind: KeyKind, content: &[u8]) -> Result<Parsed, KeyError> {
    match kind {
        KeyKind::Hmac => Ok(parse_hmac(content)),
        KeyKind::Jwk => jwk::parse(content),
        KeyKind::Pem => pem::parse(content),
    }
}

/// The bytes of a secret.
fn parse_hmac(content: &[u8]) -> Parsed {
    Parsed { kind: Kind::Secret(Secret::from_source(content)), algorithm: None, kid: None }
}

/// The DER of the one `PRIVATE KEY` block of `content`.
#[cfg(feature = "aws-lc-rs")]
pub(crate) fn private_der(content: &[u8]) -> Option<Vec<u8>> {
    let (label, der) = pem::read_block(content)?;
    (label == "PRIVATE KEY").then_some(der)
}

#[cfg(test)]
mod tests;
