//! Leaves on demand.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rcgen::{KeyPair, SanType};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::PrivateKeyDer;

use super::{Authority, DAY, Error, LOCALHOST};

/// Leaves kept: far more names than one template serves.
pub(super) const LEAVES_MAX: usize = 256;
/// A leaf is replaced this long before it ends, so that no connection meets a stale one.
const RENEW_AHEAD: Duration = Duration::from_secs(DAY);

/// Issues a leaf for every name that is served, and for no other.
///
/// A client that names no server, or `localhost`, gets a leaf for `localhost`
/// and the loopback addresses.
pub struct LocalCertificates {
    authorities: Vec<Arc<Authority>>,
    addresses: Vec<IpAddr>,
    served: Box<dyn Fn(&str) -> bool + Send + Sync>,
    clock: fn() -> SystemTime,
    key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    leaves: Mutex<HashMap<String, Leaf>>,
}

struct Leaf {
    key: Arc<CertifiedKey>,
    renew_at: SystemTime,
    used_at: SystemTime,
}

impl LocalCertificates {
    /// Signs by the first of `authorities` that permits a name and has not ended.
    ///
    /// `addresses` are the loopback addresses listened on; `served` is asked
    /// at every handshake, with the name in lower case.
    pub fn new(
        authorities: Vec<Arc<Authority>>,
        addresses: Vec<IpAddr>,
        served: impl Fn(&str) -> bool + Send + Sync + 'static,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| rustls::Error::General("generated key is not a key".to_owned()))?;
        Ok(Self {
            authorities,
            addresses,
            served: Box::new(served),
            clock,
            signing_key: any_supported_type(&der)?,
            key,
            leaves: Mutex::default(),
        })
    }

    /// The certificate for a client that asked for `name`, in any letter case.
    pub fn certificate(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map_or_else(|| LOCALHOST.to_owned(), str::to_ascii_lowercase);
        if name != LOCALHOST && !(self.served)(&name) {
            return None;
        }
        let now = (self.clock)();
        let mut leaves = self.leaves.lock();
        if let Some(leaf) = leaves.get_mut(&name)
            && now < leaf.renew_at
        {
            leaf.used_at = now;
            return Some(Arc::clone(&leaf.key));
        }
        let leaf = self.issue(&name, now)?;
        let key = Arc::clone(&leaf.key);
        if LEAVES_MAX <= leaves.len() && !leaves.contains_key(&name) {
            let oldest = leaves.iter().min_by_key(|(_, leaf)| leaf.used_at);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                leaves.remove(&oldest);
            }
        }
        leaves.insert(name, leaf);
        Some(key)
    }

    fn issue(&self, name: &str, now: SystemTime) -> Option<Leaf> {
        let usable = |authority: &&Arc<Authority>| authority.permits(name) && now < authority.ends;
        let authority = self.authorities.iter().find(usable)?;
        let mut names = vec![SanType::DnsName(name.to_owned().try_into().ok()?)];
        if name == LOCALHOST {
            names.extend(self.addresses.iter().copied().map(SanType::IpAddress));
        }
        match authority.leaf(names, &self.key, now) {
            Ok((certificate, ends)) => Some(Leaf {
                key: Arc::new(CertifiedKey::new(vec![certificate], Arc::clone(&self.signing_key))),
                renew_at: ends.checked_sub(RENEW_AHEAD).unwrap_or(ends),
                used_at: now,
            }),
            Err(error) => {
                tracing::error!(name, %error, "no certificate");
                None
            }
        }
    }
}

impl ResolvesServerCert for LocalCertificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate(client_hello.server_name())
    }
}

impl fmt::Debug for LocalCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCertificates")
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}
