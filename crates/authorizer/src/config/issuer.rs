//! `[[authorizer.issuers]]`: whom to believe, and with which keys.

use std::fmt;

use serde_json::Value;

use super::table::{Report, Table};
use crate::crypto::Algorithm;

/// One issuer of tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Which `iss` it stands for.
    pub issuer: IssuerName,
    /// Which `aud` it must name.
    pub audience: Audience,
    /// Algorithms its keys may have; empty if each key says its own.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys come from.
    pub keys: Vec<KeySpec>,
    /// What stands before the principal claim in `principalId`.
    pub principal_prefix: String,
    /// The `typ` its tokens must have, lower case and without `application/`.
    pub(crate) typ: Option<String>,
}

/// The `issuer` of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IssuerName {
    /// `"any"`: `iss` is not looked at.
    Any,
    /// Exactly this `iss`.
    Named(String),
}

/// The `audience` of an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Audience {
    /// `"any"`: `aud` is not looked at.
    Any,
    /// `aud` is or contains one of these.
    OneOf(Vec<String>),
}

/// Where a key, or a set of keys, comes from. The kind is declared and never guessed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySpec {
    /// `jwks:https://…`: a JWK set.
    Jwks(String),
    /// `oidc:https://…`: an OpenID provider, whose metadata names its JWK set.
    Oidc(String),
    /// `pem:SOURCE`, `jwk:SOURCE`, `hmac:SOURCE`: one key.
    Static(KeyKind, Source),
}

/// The kind of a key that a [`Source`] holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyKind {
    /// The bytes of a shared secret.
    Hmac,
    /// One JSON Web Key.
    Jwk,
    /// One public key in PEM.
    Pem,
}

/// Where bytes come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:path`: a file.
    File(String),
    /// `secretsmanager:id`: a secret of AWS Secrets Manager.
    SecretsManager(String),
    /// `ssm:/name`: a parameter of AWS Systems Manager.
    Ssm(String),
}

impl Source {
    /// Parses `env:NAME` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return None;
        }
        match kind {
            "env" => Some(Self::Env(name.to_owned())),
            "file" => Some(Self::File(name.to_owned())),
            "secretsmanager" => Some(Self::SecretsManager(name.to_owned())),
            "ssm" => Some(Self::Ssm(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::SecretsManager(id) => write!(f, "secretsmanager:{id}"),
            Self::Ssm(name) => write!(f, "ssm:{name}"),
        }
    }
}

impl KeySpec {
    /// Parses `pem:env:NAME`, `jwks:https://…` and the like.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let single = |kind| Some(Self::Static(kind, Source::parse(rest)?));
        match kind {
            "hmac" => single(KeyKind::Hmac),
            "jwk" => single(KeyKind::Jwk),
            "jwks" if is_fetchable(rest) => Some(Self::Jwks(rest.to_owned())),
            "oidc" if is_fetchable(rest) => Some(Self::Oidc(rest.to_owned())),
            "pem" => single(KeyKind::Pem),
            _ => None,
        }
    }

    /// Whether the spec can only hold public keys.
    fn is_public(&self) -> Option<bool> {
        match self {
            Self::Jwks(_) | Self::Oidc(_) | Self::Static(KeyKind::Pem, _) => Some(true),
            Self::Static(KeyKind::Hmac, _) => Some(false),
            Self::Static(KeyKind::Jwk, _) => None,
        }
    }
}

impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jwks(url) => write!(f, "jwks:{url}"),
            Self::Oidc(url) => write!(f, "oidc:{url}"),
            Self::Static(KeyKind::Hmac, source) => write!(f, "hmac:{source}"),
            Self::Static(KeyKind::Jwk, source) => write!(f, "jwk:{source}"),
            Self::Static(KeyKind::Pem, source) => write!(f, "pem:{source}"),
        }
    }
}

/// https, or http to this machine.
pub(crate) fn is_fetchable(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // No user or password: the address shows in errors and logs.
    if authority.is_empty() || authority.contains('@') {
        return false;
    }
    let is_allowed = match scheme {
        "https" => true,
        "http" => crate::origin::is_loopback_authority(authority),
        _ => false,
    };
    is_allowed && !url.contains(|c: char| c.is_control() || c == ' ' || c == '\\')
}

const KNOWN: [&str; 6] = ["issuer", "audience", "algorithms", "keys", "principal_prefix", "typ"];

/// Reads `[[authorizer.issuers]]`; `prefix` is the default of `principal_prefix`.
pub(super) fn read_all(report: &mut Report, value: Option<&Value>, prefix: &str) -> Vec<Issuer> {
    const PATH: &str = "authorizer.issuers";
    let items = match value {
        Some(Value::Array(items)) if !items.is_empty() => items.as_slice(),
        None | Some(Value::Array(_)) => {
            report.hint(PATH, "no issuer is configured", "write one [[authorizer.issuers]] entry");
            return Vec::new();
        }
        Some(_) => {
            report.hint(PATH, "must be an array of tables", "write [[authorizer.issuers]]");
            return Vec::new();
        }
    };
    let read: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let table = Table::open(report, format!("{PATH}[{n}]"), Some(item), &KNOWN);
            read_one(report, &table, prefix)
        })
        .collect();
    check_together(report, &read);
    read.into_iter().flatten().collect()
}

fn read_one(report: &mut Report, table: &Table<'_>, prefix: &str) -> Option<Issuer> {
    let issuer = read_name(report, table);
    let audience = read_audience(report, table);
    let algorithms = read_algorithms(report, table);
    let keys = read_keys(report, table);
    check_families(report, table, &algorithms, &keys);
    let prefix = table.text(report, "principal_prefix").unwrap_or(prefix);
    let typ = table.text(report, "typ");
    if typ == Some("") {
        report.error(table.at("typ"), "must not be empty");
    }
    Some(Issuer {
        issuer: issuer?,
        audience: audience?,
        algorithms,
        keys,
        principal_prefix: prefix.to_owned(),
        typ: typ.map(normal_type),
    })
}

fn read_name(report: &mut Report, table: &Table<'_>) -> Option<IssuerName> {
    match table.text(report, "issuer") {
        Some("any") => Some(IssuerName::Any),
        Some("") => {
            report.error(table.at("issuer"), "must not be empty");
            None
        }
        Some(name) => Some(IssuerName::Named(name.to_owned())),
        None if table.value("issuer").is_some() => None,
        None => {
            let hint = "the `iss` of its tokens, or \"any\" to leave `iss` unchecked";
            report.hint(table.at("issuer"), "is missing", hint);
            None
        }
    }
}

fn read_audience(report: &mut Report, table: &Table<'_>) -> Option<Audience> {
    let hint = "a list such as [\"chat\"], or \"any\" to leave `aud` unchecked";
    match table.value("audience") {
        Some(Value::String(text)) if text == "any" => Some(Audience::Any),
        Some(Value::Array(items)) if !items.is_empty() => {
            let texts = table.texts(report, "audience")?;
            for (path, _) in texts.iter().filter(|(_, text)| text.is_empty()) {
                report.error(path, "must not be empty");
            }
            Some(Audience::OneOf(texts.into_iter().map(|(_, text)| text.to_owned()).collect()))
        }
        Some(Value::Array(_)) => {
            report.hint(table.at("audience"), "no audience is named", hint);
            None
        }
        Some(_) => {
            report.hint(table.at("audience"), "must be a list of strings or \"any\"", hint);
            None
        }
        None => {
            report.hint(table.at("audience"), "is missing", hint);
            None
        }
    }
}

fn read_algorithms(report: &mut Report, table: &Table<'_>) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for (path, text) in table.texts(report, "algorithms").unwrap_or_default() {
        match Algorithm::parse(text) {
            // `EdDSA` and `Ed25519` are two names of one algorithm.
            Some(algorithm) if algorithms.contains(&algorithm) => {}
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                let names: Vec<_> = Algorithm::ALL.iter().map(|a| a.name()).collect();
                let message = format!("{text:?} is not a supported algorithm");
                report.hint(path, message, format!("one of {}, Ed25519", names.join(", ")));
            }
        }
    }
    algorithms
}

fn read_keys(report: &mut Report, table: &Table<'_>) -> Vec<KeySpec> {
    let texts = table.texts(report, "keys");
    if texts.is_none() && table.value("keys").is_some() {
        return Vec::new();
    }
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
        let hint = "a list such as [\"pem:file:issuer.pem\"] or [\"hmac:env:JWT_SECRET\"]";
        report.hint(table.at("keys"), "no key is named", hint);
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (path, text) in texts {
        match KeySpec::parse(text) {
            Some(key) => keys.push(key),
            // The text is not repeated: it may be the secret itself, put in the wrong place.
            None => report.hint(
                path,
                "does not name a key",
                "jwks:https://…, oidc:https://…, or pem:, jwk: or hmac: and one of env:NAME, \
                 file:path, ssm:/name, secretsmanager:id",
            ),
        }
    }
    keys
}

fn check_families(
    report: &mut Report,
    table: &Table<'_>,
    algorithms: &[Algorithm],
    keys: &[KeySpec],
) {
    let shared = algorithms.iter().filter(|algorithm| algorithm.hmac_bytes().is_some()).count();
    if shared != 0 && shared != algorithms.len() {
        report.hint(
            table.at("algorithms"),
            "HMAC and public-key algorithms are mixed",
            "one issuer signs with shared secrets or with private keys, never with both",
        );
        return;
    }
    let public = keys.iter().filter_map(KeySpec::is_public);
    let (public, secret): (Vec<bool>, Vec<bool>) = public.partition(|public| *public);
    if !public.is_empty() && !secret.is_empty() {
        report.error(table.at("keys"), "HMAC secrets and public keys are mixed in one issuer");
    } else if !public.is_empty() && shared != 0 {
        report.error(table.at("algorithms"), "are HMAC algorithms, but the keys are public keys");
    } else if !secret.is_empty() && shared == 0 && !algorithms.is_empty() {
        report.error(table.at("algorithms"), "are public-key algorithms, but the keys are secrets");
    }
}

/// Rules between issuers: none twice, and principals that cannot be mistaken for each other's.
fn check_together(report: &mut Report, issuers: &[Option<Issuer>]) {
    let read = || issuers.iter().enumerate().filter_map(|(n, issuer)| Some((n, issuer.as_ref()?)));
    for (n, issuer) in read() {
        let path = format!("authorizer.issuers[{n}]");
        if read().any(|(m, other)| m < n && other.issuer == issuer.issuer) {
            report.error(format!("{path}.issuer"), "has an entry already");
        }
        let prefix = issuer.principal_prefix.as_str();
        let alone = issuers.len() == 1 && issuer.issuer != IssuerName::Any;
        if !alone && prefix.is_empty() {
            report.hint(
                format!("{path}.principal_prefix"),
                "is needed: principals of different issuers must not be mistaken for each other",
                "with more than one issuer, or \"any\", each has a prefix of its own",
            );
            continue;
        }
        let clash = read().find(|(m, other)| {
            let other = other.principal_prefix.as_str();
            *m < n && !other.is_empty() && (other.starts_with(prefix) || prefix.starts_with(other))
        });
        if let Some((m, _)) = clash {
            report.error(
                format!("{path}.principal_prefix"),
                format!("begins like that of authorizer.issuers[{m}], or the other way round"),
            );
        }
    }
}

/// A media type as [RFC 7515 §4.1.9] compares it.
///
/// [RFC 7515 §4.1.9]: https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9
pub(crate) fn normal_type(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(short) if !short.contains('/') => short.to_owned(),
        _ => lower,
    }
}
