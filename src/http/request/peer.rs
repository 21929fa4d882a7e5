//! The other end of a connection, and the proxies whose forwarding headers are believed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::request::Parts;
use ipnet::IpNet;

/// The address at the other end of a request's connection. The server puts it into each request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Peer(pub(in crate::http) SocketAddr);

/// The networks of the proxies in front of the service. Cloning shares the list.
#[derive(Debug, Clone)]
pub(in crate::http) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(in crate::http) fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether the request was sent by one of them.
    pub(in crate::http) fn sent(&self, parts: &Parts) -> bool {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
        peer.is_some_and(|peer| self.contain(peer))
    }

    /// Whether an address is one of theirs.
    pub(in crate::http) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}
