//! Certificates that the operator configured.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use zeroize::Zeroizing;

use super::Error;

/// Certificates from PEM files, chosen by the name the client asks for.
///
/// A client that names no server gets the first one.
#[derive(Debug)]
pub struct FileCertificates {
    paths: Vec<(PathBuf, PathBuf)>,
    keys: RwLock<Vec<Arc<CertifiedKey>>>,
}

impl FileCertificates {
    /// Loads pairs of chain (leaf first) and private key.
    pub fn load(paths: Vec<(PathBuf, PathBuf)>) -> Result<Self, Error> {
        let keys = RwLock::new(load_all(&paths)?);
        Ok(Self { paths, keys })
    }

    /// Reads the files again; on error what was loaded before stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        let keys = load_all(&self.paths)?;
        *self.keys.write() = keys;
        Ok(())
    }

    /// The certificate for a client that asked for `name`.
    pub fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.read();
        match name {
            None => keys.first().cloned(),
            Some(name) => {
                let name = ServerName::try_from(name).ok()?;
                keys.iter().find(|key| is_for(key, &name)).cloned()
            }
        }
    }
}

impl ResolvesServerCert for FileCertificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate(client_hello.server_name())
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn load_all(paths: &[(PathBuf, PathBuf)]) -> Result<Vec<Arc<CertifiedKey>>, Error> {
    paths.iter().map(|(chain, key)| load_pair(chain, key).map(Arc::new)).collect()
}

fn load_pair(chain_path: &Path, key_path: &Path) -> Result<CertifiedKey, Error> {
    let content = |path: &Path, reason| Error::Content { path: path.to_owned(), reason };
    let chain = read(chain_path)?;
    let chain = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| content(chain_path, "not a PEM file"))?;
    if chain.is_empty() {
        return Err(content(chain_path, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key_path)?)
        .map_err(|_| content(key_path, "holds no private key in PEM form"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
        |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                content(key_path, "is not the key of the certificate")
            }
            rustls::Error::InvalidCertificate(_) => {
                content(chain_path, "the first certificate cannot be read")
            }
            other => Error::Tls(other),
        },
    )
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}
