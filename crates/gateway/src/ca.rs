//! Certificates of the gateway's own making, and those from files.
//!
//! Two authorities, never one: the *browser CA* lives in the user's data
//! folder, may be trusted by a browser, and can vouch for local names only;
//! the *function CA* lives in memory, per start, and is known to nobody but
//! the functions on this machine.

mod accept;
mod files;
mod resolve;
mod store;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::{digest, rand};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, DnsName};
use thiserror::Error;

pub use accept::{accept, server_config};
pub use files::FileCertificates;
pub use resolve::LocalCertificates;

/// Life of the browser CA.
pub const BROWSER_CA_LIFE: Duration = Duration::from_secs(365 * DAY);
/// Life of the function CA, which ends with the process anyway.
pub const FUNCTION_CA_LIFE: Duration = Duration::from_secs(3650 * DAY);
/// Life of a leaf.
pub const LEAF_LIFE: Duration = Duration::from_secs(30 * DAY);
/// Names that may be added to the browser CA: what a person would list by hand.
pub const DOMAINS_MAX: usize = 100;
/// How far a certificate reaches into the past, for clocks that are behind.
const SKEW: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum Error {
    /// A file does not hold what it should; which file, and what is wrong.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A name that the browser CA must not or cannot vouch for.
    #[error("{name:?} cannot be added to the local CA: {reason}")]
    Domain {
        /// The name as given.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The cryptography failed.
    #[error("cannot make a certificate")]
    Issue(#[from] rcgen::Error),
    /// The system gave no random numbers.
    #[error("no random numbers")]
    Random,
    /// A key cannot be used for TLS.
    #[error("key is not usable")]
    Tls(#[from] rustls::Error),
}

/// An authority that signs leaves. Its key is never shown.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    /// The names it can vouch for, with all names below; `None` means every name.
    permitted: Option<Vec<String>>,
    ends: SystemTime,
}

impl Authority {
    /// Makes the function CA: any name, in memory only.
    pub fn for_functions(now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        Self::make(key, "wsgate functions", None, now, now + FUNCTION_CA_LIFE)
    }

    /// The certificate that clients must trust, as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of the certificate, in lower-case hex.
    pub fn fingerprint(&self) -> String {
        hex::encode(digest::digest(&digest::SHA256, &self.certificate))
    }

    /// When its certificate ends.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Whether clients accept a leaf for `name` (lower case) under this authority.
    pub fn permits(&self, name: &str) -> bool {
        self.permitted.as_ref().is_none_or(|permitted| {
            permitted.iter().any(|root| {
                name.strip_suffix(root.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        })
    }

    fn make(
        key: KeyPair,
        name: &str,
        domains: Option<&[String]>,
        now: SystemTime,
        ends: SystemTime,
    ) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        // Browsers tell authorities apart by name, so a new one gets a new name.
        let mut tag = [0; 4];
        rand::fill(&mut tag).map_err(|_| Error::Random)?;
        params.distinguished_name = common_name(&format!("{name} {}", hex::encode(tag)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.name_constraints = domains.map(constraints);
        params.serial_number = Some(serial()?);
        params.not_before = (now - SKEW).into();
        params.not_after = ends.into();
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            permitted: domains.map(roots),
            ends,
        })
    }

    /// Signs a leaf for `key`, valid from now on, never longer than the authority itself.
    fn leaf(
        &self,
        names: Vec<SanType>,
        key: &KeyPair,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, SystemTime), Error> {
        let ends = self.ends.min(now + LEAF_LIFE);
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("wsgate local");
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        // Browsers refuse two certificates of one authority and serial number.
        params.serial_number = Some(serial()?);
        params.not_before = (now - SKEW).into();
        params.not_after = ends.into();
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok((certificate.der().clone(), ends))
    }
}

/// The CA that a browser on this machine may trust.
#[derive(Debug)]
pub struct BrowserCa {
    /// The authority itself.
    pub authority: Arc<Authority>,
    /// The certificate alone, to be imported by the browser.
    pub certificate_path: PathBuf,
    /// Whether it was made just now, so that nobody trusts it yet.
    pub is_new: bool,
}

impl BrowserCa {
    /// Loads the CA from `dir`, or makes one there.
    ///
    /// A CA that has ended, does not have exactly these `domains` beside the
    /// local names, cannot be read, or whose key others could read, is replaced.
    /// The folder is made with mode 0700, the key with 0600.
    pub fn load_or_create(dir: &Path, domains: &[String], now: SystemTime) -> Result<Self, Error> {
        let domains = checked_domains(domains)?;
        let _lock = store::lock(dir)?;
        let certificate_path = store::certificate_path(dir);
        let is_usable =
            |authority: &Authority, known: &[String]| now < authority.ends && known == domains;
        if let Some((authority, known)) = store::load(dir)?
            && is_usable(&authority, &known)
        {
            store::publish(dir, &authority)?;
            return Ok(Self { authority: authority.into(), certificate_path, is_new: false });
        }
        let key = KeyPair::generate()?;
        let secret = zeroize::Zeroizing::new(key.serialize_pem());
        let ends = now + BROWSER_CA_LIFE;
        let authority = Authority::make(key, "wsgate local CA", Some(&domains), now, ends)?;
        store::save(dir, &authority, &secret)?;
        Ok(Self { authority: authority.into(), certificate_path, is_new: true })
    }

    /// The CA in `dir`, whatever its names and age; `None` when there is none that can be read.
    pub fn show(dir: &Path) -> Result<Option<Self>, Error> {
        let certificate_path = store::certificate_path(dir);
        let loaded = store::load(dir)?;
        Ok(loaded.map(|(authority, _)| Self {
            authority: authority.into(),
            certificate_path,
            is_new: false,
        }))
    }

    /// Deletes the CA's files; whether there were any. Browsers must be told to forget it by hand.
    pub fn remove(dir: &Path) -> Result<bool, Error> {
        store::remove(dir)
    }
}

/// The names the browser CA always holds, and those added by the user: each with all below it.
fn roots(domains: &[String]) -> Vec<String> {
    [LOCALHOST.to_owned()].into_iter().chain(domains.iter().cloned()).collect()
}

fn constraints(domains: &[String]) -> NameConstraints {
    let names = [LOCALHOST, ".localhost"].into_iter().chain(domains.iter().map(String::as_str));
    let addresses = [
        CidrSubnet::from_addr_prefix(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
        // The mask of a full IPv6 prefix is all ones.
        CidrSubnet::V6(Ipv6Addr::LOCALHOST.octets(), [0xFF; 16]),
    ];
    NameConstraints {
        permitted_subtrees: names
            .map(|name| GeneralSubtree::DnsName(name.to_owned()))
            .chain(addresses.map(GeneralSubtree::IpAddress))
            .collect(),
        excluded_subtrees: Vec::new(),
    }
}

/// Lower case, sorted, distinct, and nothing as wide as a top-level domain.
fn checked_domains(domains: &[String]) -> Result<Vec<String>, Error> {
    let refuse = |name: &str, reason| Error::Domain { name: name.to_owned(), reason };
    let mut checked = Vec::new();
    for name in domains {
        let lower = name.to_ascii_lowercase();
        if checked.len() == DOMAINS_MAX {
            return Err(refuse(name, "too many names"));
        }
        if lower.contains('*') || DnsName::try_from(lower.as_str()).is_err() || lower.ends_with('.')
        {
            return Err(refuse(name, "not a plain domain name"));
        }
        if lower == LOCALHOST || lower.ends_with(".localhost") {
            continue; // Always there.
        }
        if !lower.contains('.') {
            return Err(refuse(name, "a name without a dot would cover a whole top-level domain"));
        }
        if lower.parse::<IpAddr>().is_ok() {
            return Err(refuse(name, "an address is not a domain name"));
        }
        checked.push(lower);
    }
    checked.sort();
    checked.dedup();
    Ok(checked)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// A random positive number of 16 bytes.
fn serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    bytes[0] = bytes[0] & 0x7F | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests;
