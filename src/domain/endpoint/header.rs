//! The headers of an endpoint's own.

use std::fmt;

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
    /// Whether its value is not sealed.
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
