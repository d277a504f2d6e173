//! The browser CA's files: key and certificate in one that only its owner
//! reads, and the certificate alone beside it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use rcgen::{Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use zeroize::Zeroizing;

use super::{Authority, Error, LOCALHOST, constraints, roots};

const SECRET_NAME: &str = "browser-ca.key";
const CERTIFICATE_NAME: &str = "browser-ca.pem";
const LOCK_NAME: &str = "browser-ca.lock";
/// A key and a certificate of 100 names stay far below.
const FILE_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn certificate_path(dir: &Path) -> PathBuf {
    dir.join(CERTIFICATE_NAME)
}

/// Makes the folder, and keeps other processes from making a CA at the same time.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    let at = |path: &Path, source| Error::File { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| at(dir, e))?;
    let path = dir.join(LOCK_NAME);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|e| at(&path, e))?;
    file.lock().map_err(|e| at(&path, e))?;
    Ok(file)
}

/// The stored CA and the domains it was made for; `None` when there is none, or none to be used.
pub(super) fn load(dir: &Path) -> Result<Option<(Authority, Vec<String>)>, Error> {
    let path = dir.join(SECRET_NAME);
    match read_private(&path) {
        Ok(Some(text)) => Ok(parse(&text)),
        Ok(None) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path, source }),
    }
}

pub(super) fn save(dir: &Path, authority: &Authority, secret_pem: &str) -> Result<(), Error> {
    let both = Zeroizing::new(format!("{secret_pem}{}", authority.certificate_pem));
    write(dir, SECRET_NAME, 0o600, both.as_bytes())?;
    publish(dir, authority)
}

/// Writes the certificate alone, unless it is there already.
pub(super) fn publish(dir: &Path, authority: &Authority) -> Result<(), Error> {
    let pem = authority.certificate_pem.as_bytes();
    match fs::read(certificate_path(dir)) {
        Ok(current) if current == pem => Ok(()),
        Ok(_) | Err(_) => write(dir, CERTIFICATE_NAME, 0o644, pem),
    }
}

pub(super) fn remove(dir: &Path) -> Result<bool, Error> {
    let mut found = false;
    for name in [SECRET_NAME, CERTIFICATE_NAME, LOCK_NAME] {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Ok(()) => found |= name != LOCK_NAME,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::File { path, source }),
        }
    }
    Ok(found)
}

/// `None` when others could have read or changed the file.
fn read_private(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let private = metadata.is_file() && metadata.permissions().mode() & 0o077 == 0;
    if !private || FILE_BYTES_MAX < metadata.len() {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned())))
}

/// Writes beside the old file and swaps, so that a reader sees the one or the other.
fn write(dir: &Path, name: &str, mode: u32, bytes: &[u8]) -> Result<(), Error> {
    let mut tag = [0; 8];
    rand::fill(&mut tag).map_err(|_| Error::Random)?;
    let path = dir.join(name);
    let draft = dir.join(format!(".{name}.{}", hex::encode(tag)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, &path));
    written.map_err(|source| {
        // The draft may not even exist; the first error is the one to tell.
        let _ = fs::remove_file(&draft);
        Error::File { path, source }
    })
}

/// `None` when the text is not a key with its certificate, made by this module.
fn parse(text: &str) -> Option<(Authority, Vec<String>)> {
    let key = KeyPair::from_pem(text).ok()?;
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
    let (ends, domains) = inspect(&certificate, &key)?;
    let authority = Authority {
        certificate_pem: text[text.find("-----BEGIN CERTIFICATE-----")?..].to_owned(),
        permitted: Some(roots(&domains)),
        issuer: Issuer::from_ca_cert_der(&certificate, key).ok()?,
        certificate,
        ends,
    };
    Some((authority, domains))
}

/// End and domains of a certificate that belongs to `key` and is constrained as ours are.
fn inspect(certificate: &CertificateDer<'_>, key: &KeyPair) -> Option<(SystemTime, Vec<String>)> {
    let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let same_key = parsed.public_key().subject_public_key.data == key.public_key_raw();
    if !rest.is_empty() || !same_key {
        return None;
    }
    let (names, addresses) = permitted(&parsed)?;
    let domains: Vec<String> =
        names.iter().filter(|name| !name.ends_with(LOCALHOST)).cloned().collect();
    let (wanted_names, wanted_addresses) = wanted(&domains);
    if names != wanted_names || addresses != wanted_addresses {
        return None;
    }
    let ends = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some((SystemTime::UNIX_EPOCH + Duration::from_secs(ends), domains))
}

/// The names and the addresses with masks of critical constraints.
fn permitted(certificate: &X509Certificate<'_>) -> Option<(Vec<String>, Vec<Vec<u8>>)> {
    let constraints = certificate.name_constraints().ok()??;
    if !constraints.critical || constraints.value.excluded_subtrees.is_some() {
        return None;
    }
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for subtree in constraints.value.permitted_subtrees.as_ref()? {
        match &subtree.base {
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.push(bytes.to_vec()),
            _ => return None,
        }
    }
    Some((names, addresses))
}

fn wanted(domains: &[String]) -> (Vec<String>, Vec<Vec<u8>>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for subtree in constraints(domains).permitted_subtrees {
        match subtree {
            rcgen::GeneralSubtree::DnsName(name) => names.push(name),
            rcgen::GeneralSubtree::IpAddress(rcgen::CidrSubnet::V4(address, mask)) => {
                addresses.push([address, mask].concat());
            }
            rcgen::GeneralSubtree::IpAddress(rcgen::CidrSubnet::V6(address, mask)) => {
                addresses.push([address, mask].concat());
            }
            _ => {}
        }
    }
    (names, addresses)
}
