//! The parameters themselves.

use std::collections::BTreeMap;
use std::fmt;

use api_model::Model;
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::name::SECRET_PREFIX;
use crate::sigv4::Secret;

/// Every parameter by name: those of the templates, and over them those of the configuration.
#[derive(Clone)]
pub(crate) struct Parameters {
    list: BTreeMap<String, Parameter>,
    modified: i64,
    seal: hmac::Key,
}

/// One parameter, in its only version.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) kind: Kind,
    pub(super) value: Secret,
}

/// `Type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Of the configuration.
    SecureString,
    /// Of a template.
    String,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SecureString => "SecureString",
            Self::String => "String",
        }
    }
}

impl Parameters {
    /// Puts both lists together. `now` in seconds since 1970 becomes the time of their last
    /// change.
    pub(crate) fn new(model: &Model, configured: &BTreeMap<String, Secret>, now: i64) -> Self {
        let mut list = BTreeMap::new();
        for (name, value) in &model.parameters {
            let value = Secret::new(value.clone());
            list.insert(name.clone(), Parameter { kind: Kind::String, value });
        }
        for (name, value) in configured {
            let parameter = Parameter { kind: Kind::SecureString, value: value.clone() };
            list.insert(name.clone(), parameter);
        }
        let mut seal = [0; 32];
        rand::fill(&mut seal).expect("the system has randomness");
        Self { list, modified: now, seal: hmac::Key::new(hmac::HMAC_SHA512, &seal) }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Parameter> {
        self.list.get(name)
    }

    /// Parameters below `path`, which ends with a slash, in the order of their names and after
    /// `after`; secrets have no hierarchy.
    pub(super) fn below<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a Parameter)> {
        let start = after.filter(|after| path < *after).unwrap_or(path).to_owned();
        self.list
            .range(start..)
            .map(|(name, parameter)| (name.as_str(), parameter))
            .take_while(move |(name, _)| name.starts_with(path))
            .filter(move |(name, _)| {
                path.len() < name.len() && Some(*name) != after && !name.starts_with(SECRET_PREFIX)
            })
    }

    /// When they were made, in seconds since 1970.
    pub(super) fn modified(&self) -> i64 {
        self.modified
    }

    /// What a caller sees who does not ask for decryption: it depends on the name alone.
    pub(super) fn sealed(&self, name: &str) -> String {
        STANDARD.encode(hmac::sign(&self.seal, name.as_bytes()))
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("names", &self.list.keys()).finish_non_exhaustive()
    }
}
