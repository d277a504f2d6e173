//! `wsgate ca`.

use std::time::SystemTime;

use gateway::ca::BrowserCa;

use crate::arguments::Ca;
use crate::output::{data, talk};
use crate::{Exit, directory};

/// Shows or removes the browser CA.
pub(crate) fn run(verb: &Ca) -> anyhow::Result<Exit> {
    let folder = directory::data()?;
    match verb {
        Ca::Show { create, ca_domain } => {
            let ca = if *create {
                Some(BrowserCa::load_or_create(&folder, ca_domain, SystemTime::now())?)
            } else {
                BrowserCa::show(&folder)?
            };
            let Some(ca) = ca else {
                talk("there is no local CA yet; `wsgate ca show --create` makes one");
                return Ok(Exit::Failure);
            };
            data(ca.authority.certificate_pem().trim_end());
            talk(&format!("file:        {}", ca.certificate_path.display()));
            talk(&format!("fingerprint: {}", ca.authority.fingerprint()));
            talk(
                "install it as a trusted authority in the browser; it can sign for this machine's own names only",
            );
        }
        Ca::Remove => {
            if BrowserCa::remove(&folder)? {
                talk("removed; take it out of the browser's trusted authorities too");
            } else {
                talk("there is no local CA");
            }
        }
    }
    Ok(Exit::Success)
}
