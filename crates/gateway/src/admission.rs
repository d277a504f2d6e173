//! How many handshakes may wait for a verdict or an integration at once.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

/// Handshakes under way, in all and by address.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A handshake that counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    admission: &'a Admission,
    address: IpAddr,
}

impl Admission {
    /// Lets one more in, unless a limit is reached.
    pub(crate) fn enter(
        &self,
        address: IpAddr,
        max: usize,
        address_max: usize,
    ) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        let of_address = state.by_address.get(&address).copied().unwrap_or_default();
        if max <= state.count || address_max <= of_address {
            return None;
        }
        state.count += 1;
        state.by_address.insert(address, of_address + 1);
        Some(Pass { admission: self, address })
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.count -= 1;
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let admission = Admission::default();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let first = admission.enter(a, 2, 1);
        assert!(first.is_some());
        assert!(admission.enter(a, 2, 1).is_none());
        let second = admission.enter(b, 2, 1);
        assert!(second.is_some());
        drop(first);
        assert!(admission.enter(a, 2, 1).is_some());
        drop(second);
        assert!(admission.state.lock().by_address.is_empty());
    }
}
