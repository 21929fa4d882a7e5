//! The number of open connections of each address.
//!
//! An IPv6 network with a prefix of 64 bits belongs to one subscriber, and counts as one address. Connections of
//! trusted proxies, which carry the requests of many clients, are not counted.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

/// The open connections, by address.
pub(in crate::http) struct Peers {
    /// The most connections of one address; 0 is no limit.
    limit: usize,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection, counted until it is dropped.
pub(in crate::http) struct CountedConnection {
    peers: Arc<Peers>,
    address: Option<IpAddr>,
}

impl Peers {
    pub(in crate::http) fn new(limit: usize, exempt: &[IpNet]) -> Arc<Self> {
        Arc::new(Self { limit, exempt: exempt.to_vec(), open: Mutex::default() })
    }

    /// Counts a connection; `None` where its address has reached the limit.
    pub(in crate::http) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<CountedConnection> {
        let address = address.to_canonical();
        let is_counted = self.limit > 0 && !self.exempt.iter().any(|network| network.contains(&address));
        let address = is_counted.then(|| subscriber(address));
        if let Some(address) = address {
            let mut open = self.open();
            let count = open.entry(address).or_insert(0);
            if *count >= self.limit {
                return None;
            }
            *count += 1;
        }
        Some(CountedConnection { peers: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // A poisoned lock is safe to use: every count is correct between any two statements.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.peers.open();
        match open.get_mut(&address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&address);
            }
        }
    }
}

/// An IPv4 address, or the network of an IPv6 address.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(peers: &Arc<Peers>, addresses: &[&str]) -> Vec<Option<CountedConnection>> {
        addresses.iter().map(|address| peers.admit(address.parse().unwrap())).collect()
    }

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_gives_them_back() {
        let peers = Peers::new(2, &[]);
        let mut open = admitted(&peers, &["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(open.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true]);
        drop(open.remove(0));
        assert!(peers.admit("192.0.2.1".parse().unwrap()).is_some());
        drop(open);
        assert!(peers.open().is_empty(), "an address that is gone takes no memory");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let peers = Peers::new(1, &[]);
        let open = admitted(&peers, &["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"]);
        assert_eq!(open.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn trusted_proxies_and_a_limit_of_zero_are_not_counted() {
        let peers = Peers::new(1, &["10.0.0.0/8".parse().unwrap()]);
        assert!(admitted(&peers, &["10.1.2.3"; 5]).iter().all(Option::is_some));
        let unlimited = Peers::new(0, &[]);
        assert!(admitted(&unlimited, &["192.0.2.1"; 5]).iter().all(Option::is_some));
    }
}
