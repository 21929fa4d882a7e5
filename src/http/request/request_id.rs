//! The id of a request, in its span, its response and the log of a proxy before the service.

use axum::http::request::Parts;
use hyper::header::{HeaderName, HeaderValue};

use super::peer::TrustedProxies;
use crate::clock;

/// The header of the response, and of a request that a trusted proxy passes on.
pub(in crate::http) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a proxy, in bytes. A longer one is replaced.
const MAX_ID: usize = 128;

/// 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct RequestId(String);

impl RequestId {
    /// The id that a trusted proxy sent, where it is one and there is no second; otherwise a new UUID. A client's own id
    /// is ignored, because it could stand for the request of another client in the log.
    pub(in crate::http) fn of(parts: &Parts, proxies: &TrustedProxies) -> Self {
        let mut lines = parts.headers.get_all(&X_REQUEST_ID).iter();
        let sent = match (lines.next(), lines.next()) {
            (Some(line), None) if proxies.sent(parts) => Self::parse(line),
            _ => None,
        };
        sent.unwrap_or_else(|| Self(clock::random_uuid().to_string()))
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let is_id = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_id.then(|| Self(text.to_owned()))
    }

    pub(in crate::http) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the response's header.
    #[expect(clippy::expect_used, reason = "an id is visible ASCII, which is a header value")]
    pub(in crate::http) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.as_str()).expect("an id is a header value")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::Request;

    use super::*;
    use crate::http::request::peer::Peer;

    fn id(peer: &str, sent: &[&[u8]]) -> String {
        let mut request = Request::new(());
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(Peer(peer));
        for value in sent {
            request.headers_mut().append(X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        let id = RequestId::of(&request.into_parts().0, &TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]));
        assert_eq!(id.header(), id.as_str());
        id.0
    }

    #[test]
    fn the_id_of_a_trusted_proxy_is_kept() {
        assert_eq!(id("10.1.2.3:40", &[b"edge-7/42"]), "edge-7/42");
    }

    #[test]
    fn every_other_request_gets_an_id_of_its_own() {
        let long = [b'a'; MAX_ID + 1];
        let proxy = "10.1.2.3:40";
        let ids = [
            id(proxy, &[]),
            id("192.0.2.1:40", &[b"edge-7"]),
            id(proxy, &[b"edge-7", b"edge-8"]),
            id(proxy, &[b""]),
            id(proxy, &[b"two words"]),
            id(proxy, &["\u{e9}".as_bytes()]),
            id(proxy, &[&long]),
        ];
        for (index, id) in ids.iter().enumerate() {
            uuid::Uuid::parse_str(id).unwrap();
            assert!(!ids[..index].contains(id), "{id} stands for two requests");
        }
    }
}
