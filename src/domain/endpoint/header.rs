//! An endpoint's own headers, and the rules for their names and values.

use std::fmt;

/// Bytes of a header's name; a longer one is refused.
pub(crate) const MAX_HEADER_NAME: usize = 255;
/// Bytes of a header's value; a longer one is refused.
pub(crate) const MAX_HEADER_VALUE: usize = 1_000;

/// Names that the delivery writes itself, or that say how the message is framed.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Beginnings of further names that the delivery or a proxy writes.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "proxy-", "keep-alive"];

/// A header that is sent with each delivery. `Debug` shows its name alone: the value may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// The value that is sent, as it is at hand.
    pub value: HeaderValue,
}

/// A header's value.
#[derive(Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// As it is sent, of visible ASCII and spaces: one that was just set, or that was stored before values were sealed.
    Clear(String),
    /// Sealed under a master key.
    Sealed(Vec<u8>),
}

impl Header {
    /// True where the value is not sealed.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        matches!(self.value, HeaderValue::Clear(_))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).finish_non_exhaustive()
    }
}

/// True for a header that deliveries never take from an endpoint's settings: the delivery writes it, or it frames the
/// message. The name is in lower case.
#[must_use]
pub(crate) fn is_reserved_header(name: &str) -> bool {
    RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A header's name as it is stored: a token (RFC 9110, section 5.6.2) in lower case that is free to set. Besides the
/// reserved names, those that say how the body is encoded or that carry the trace context are refused.
pub(crate) fn header_name(name: &str) -> Result<String, String> {
    let name = name.to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_HEADER_NAME || !name.bytes().all(is_token) {
        return Err(format!("Must hold names of HTTP headers with at most {MAX_HEADER_NAME} characters."));
    }
    if is_reserved_header(&name) || name.starts_with("content-") || name == "traceparent" {
        return Err(format!("Must not hold {name}: the delivery itself writes it."));
    }
    Ok(name)
}

/// A header's value as it is sent: visible ASCII and spaces, all of which HTTP carries.
pub(crate) fn header_value<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, String> {
    let sendable =
        |text: &&str| text.len() <= MAX_HEADER_VALUE && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    value
        .filter(sendable)
        .ok_or_else(|| format!("Must hold up to {MAX_HEADER_VALUE} visible ASCII characters for {name}."))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
