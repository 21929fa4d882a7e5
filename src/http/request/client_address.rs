//! The address of the client that a request came from: the connection's, or the one that a trusted proxy forwards.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::header::HeaderName;

use super::peer::{Peer, TrustedProxies};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address. For audits and throttles, not for permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// The last address of `X-Forwarded-For` that no trusted proxy has, because a client may write earlier ones itself. The
    /// header is ignored unless a trusted proxy sent the request.
    pub(in crate::http) fn of(parts: &Parts, proxies: &TrustedProxies) -> Self {
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
        if !proxies.sent(parts) {
            return Self(peer);
        }
        let values = parts.headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        let addresses = addresses.iter().rev().map_while(|text| text.parse::<IpAddr>().ok());
        let client = addresses.map(|address| address.to_canonical()).find(|address| !proxies.contain(*address));
        Self(client.or(peer))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The outermost layer puts it into every request that it passes on.
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(None)))
    }
}
