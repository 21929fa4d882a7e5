//! The targets that deliveries may have: the URL as it is written, and every address that its host resolves to.
//!
//! Pure: it resolves nothing. [`AddressPolicy::check_url`] speaks when an endpoint is saved;
//! [`AddressPolicy::check_addr`] speaks again at each connection, about the address that is dialled, because a
//! name may resolve to something else by then (DNS rebinding).

mod families;

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use ipnet::IpNet;
use url::{Host, Url};

/// Permissions of the operator beyond https to public addresses. The default has none.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Plain http is permitted too.
    pub allow_http: bool,
    /// Nets that are permitted although their family is refused. A v4 net says nothing about the v6 forms that
    /// carry its addresses (`::ffff:127.0.0.1`): those are permitted only by a v6 net.
    pub allow: Vec<IpNet>,
}

impl AddressPolicy {
    /// Reads an endpoint's URL and checks all of it that can be checked without resolving a name.
    ///
    /// # Errors
    /// [`Refused`], with a message for the person who entered the URL.
    pub fn check_url(&self, text: &str) -> Result<EndpointUrl, Refused> {
        let url = EndpointUrl::parse(text)?;
        self.check_endpoint(&url)?;
        Ok(url)
    }

    /// Checks a URL that was read before, maybe under another policy: its scheme, and its host where that is
    /// an address. hyper-util dials an address in a URL without asking any resolver, so this belongs before
    /// each attempt.
    ///
    /// # Errors
    /// [`Refused`], as for a new URL.
    pub fn check_endpoint(&self, url: &EndpointUrl) -> Result<(), Refused> {
        if !self.allow_http && url.url.scheme() != "https" {
            return Err(Refused::Url("only https is permitted"));
        }
        match url.url.host() {
            Some(Host::Ipv4(addr)) => self.check_addr(addr.into()),
            Some(Host::Ipv6(addr)) => self.check_addr(addr.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Checks one address: refused if it belongs to a family of `families.rs` and to no net of the operator's.
    ///
    /// # Errors
    /// [`Refused::Address`] names the family and the document that sets it apart.
    pub fn check_addr(&self, addr: IpAddr) -> Result<(), Refused> {
        if self.allow.iter().any(|net| net.contains(&addr)) {
            return Ok(());
        }
        families::of(addr).map_or(Ok(()), |family| Err(Refused::Address { family: family.name, source: family.source }))
    }
}

/// An absolute http or https URL with a host and without credentials or fragment.
///
/// It holds the URL as the WHATWG parser writes it, in which `0x7f.1`, `2130706433` and `127.0.0.1` are one
/// and the same, and the same text as the [`Uri`] that hyper wants: what is checked is what is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    url: Url,
    uri: Uri,
    path: Uri,
    host: HeaderValue,
    origin: Origin,
}

/// The scheme, host and port of a URL: requests to the same origin may share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl EndpointUrl {
    /// Reads a URL without judging it by any policy, such as one that was stored earlier.
    ///
    /// # Errors
    /// [`Refused::Url`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::Url("it is not an absolute URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Url("only http and https are spoken"));
        }
        if url.host().is_none() {
            return Err(Refused::Url("it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Url("it holds credentials"));
        }
        if url.fragment().is_some() {
            return Err(Refused::Url("it has a fragment"));
        }
        let unsendable = Refused::Url("it cannot be sent as an HTTP request");
        let uri: Uri = url.as_str().parse().map_err(|_| unsendable)?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let origin = uri.scheme().zip(uri.authority());
        let (scheme, authority) =
            origin.map(|(scheme, authority)| (scheme.clone(), authority.clone())).ok_or(unsendable)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| unsendable)?;
        Ok(Self { url, uri, path: path.into(), host, origin: Origin { scheme, authority } })
    }

    /// The URL in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The URL as hyper takes it: the target of a connection, and of a request of HTTP/2.
    #[must_use]
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Path and query, the target of a request of HTTP/1 (RFC 9112, section 3.2.1).
    #[must_use]
    pub(super) fn path(&self) -> &Uri {
        &self.path
    }

    /// The value of the header `host`. The port is in it where it is not the scheme's default (RFC 9110, section 7.2).
    #[must_use]
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host
    }

    /// The origin, by which connections are kept.
    #[must_use]
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why nothing is sent there. The message is shown to the endpoint's owner, so it names no address that a
/// name of the operator's own network resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The URL itself.
    Url(&'static str),
    /// An address, by its family and the RFC or registry that sets the family apart.
    Address {
        /// Such as `private`.
        family: &'static str,
        /// Such as `RFC 1918`.
        source: &'static str,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "the URL is refused: {why}"),
            Self::Address { family, source } => write!(f, "the host's address is refused: {family} ({source})"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
