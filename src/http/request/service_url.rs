//! The URL under which the client reached the service, without a path: `http://host:port`.
//!
//! The host is parsed and checked before it is used, because it stands in the links of responses and selects a brand.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::header::{HOST, HeaderName};

use super::header::only;
use super::peer::TrustedProxies;
use crate::http::response::problem::Problem;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The longest host name (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;

/// A scheme and an authority. Not to be confused with the origin of a key, which is a name that events carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceUrl(pub(crate) String);

impl ServiceUrl {
    /// The host name, without the port.
    pub(crate) fn host(&self) -> &str {
        let (_, authority) = self.parts();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// The scheme, and the host with its port.
    pub(crate) fn parts(&self) -> (&str, &str) {
        self.0.split_once("://").unwrap_or(("http", &self.0))
    }

    /// The service URL of a request. `Host` is ignored where the target is an absolute URI (RFC 9112, 3.2.2) or a trusted
    /// proxy forwards the host that it was asked for.
    pub(super) fn of(parts: &Parts, proxies: &TrustedProxies) -> Result<Self, Problem> {
        let host = only(&parts.headers, &HOST)?;
        let host = match parts.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => host,
        };
        let host = host.map(|host| Authority::parse(host).ok_or_else(bad_host)).transpose()?;
        let (mut scheme, mut authority) = ("http", host);
        if proxies.sent(parts) {
            if let Some(forwarded) = forwarded(parts, &FORWARDED_PROTO)? {
                scheme =
                    parse_scheme(forwarded).ok_or_else(|| bad_forwarded("X-Forwarded-Proto must be http or https"))?;
            }
            if let Some(forwarded) = forwarded(parts, &FORWARDED_HOST)? {
                let parsed = Authority::parse(forwarded);
                authority = Some(parsed.ok_or_else(|| bad_forwarded("X-Forwarded-Host must be a host and its port"))?);
            }
        }
        Ok(match authority {
            Some(authority) => Self(format!("{scheme}://{authority}")),
            // Only a request of HTTP/1.0 may have none.
            None => Self(format!("{scheme}://localhost")),
        })
    }
}

/// The first of the values that a chain of proxies wrote: that of the proxy nearest to the client.
fn forwarded<'a>(parts: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let Some(value) = parts.headers.get(name) else { return Ok(None) };
    let value = value.to_str().map_err(|_| bad_forwarded("A forwarded header must be ASCII"))?;
    Ok(value.split(',').next().map(str::trim))
}

fn parse_scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

fn bad_host() -> Problem {
    Problem::malformed("Host must be a host name or address, and may have a port: api.example.org:8443.")
}

fn bad_forwarded(what: &str) -> Problem {
    Problem::malformed(format!("{what}. Correct the configuration of the proxy in front of the service."))
}

/// A host and a port, as `Host` has them (RFC 9110, 7.2), without user information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            // Includes the brackets.
            (text.get(..address.len() + 2)?, port)
        } else {
            let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            is_name(host).then_some((host, port))?
        };
        // The port may be empty (RFC 3986, 3.2.3).
        let port = match port.strip_prefix(':') {
            None => port.is_empty().then_some(None)?,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }
}

/// Letters, digits, `-`, `.`, and `_` because names within private networks have it. The grammar (RFC 3986, 3.2.2)
/// allows further characters, which no host has.
fn is_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=MAX_HOST).contains(&host.len()) && host.bytes().all(allowed)
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(self.host),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ServiceUrl {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The outermost layer puts it into every request that it passes on.
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn a_host_is_a_name_or_an_address_and_may_have_a_port() {
        for (text, shown) in [
            ("api.example.org", "api.example.org"),
            ("API.Example.org:8443", "API.Example.org:8443"),
            ("api.example.org:", "api.example.org"),
            ("my_service-1", "my_service-1"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]", "[::1]"),
            ("[2001:db8::1]:65535", "[2001:db8::1]:65535"),
        ] {
            assert_eq!(Authority::parse(text).map(|host| host.to_string()).as_deref(), Some(shown), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_host() {
        for text in [
            "",
            ":80",
            "a:b@c",
            "user@host",
            "a:80:90",
            "a:65536",
            "a:-1",
            "a:+1",
            "a: 80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "ä",
            "%41",
            "[::1",
            "::1",
            "[::1]x",
            "[127.0.0.1]",
            "[v1.x]",
            "\"a",
            "a\\b",
            "a\t",
            "{{gap}}",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
        assert_eq!(Authority::parse(&"a".repeat(254)), None);
    }
}
