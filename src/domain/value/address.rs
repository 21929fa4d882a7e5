//! Postal addresses and their changes.

use serde::{Deserialize, Serialize};

/// A postal address. A record without any line has no address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is its wire name")]
pub struct Address {
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
    pub zip: Option<String>,
}

impl Address {
    /// The parts that are set, in the order of an envelope, joined by commas.
    #[must_use]
    pub fn full(&self) -> Option<String> {
        let parts: Vec<&str> = self.parts().into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// True when no part is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(Option::is_none)
    }

    pub(super) fn parts(&self) -> [Option<&str>; 6] {
        [
            self.address_line_1.as_deref(),
            self.address_line_2.as_deref(),
            self.city.as_deref(),
            self.state.as_deref(),
            self.zip.as_deref(),
            self.country.as_deref(),
        ]
    }
}

/// The change of an address. Of each line, `None` leaves it and `Some(None)` clears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressChange {
    /// Removes the address.
    Clear,
    /// Replaces the whole address by one line.
    Line(String),
    Lines {
        address_line_1: Option<Option<String>>,
        address_line_2: Option<Option<String>>,
        city: Option<Option<String>>,
        state: Option<Option<String>>,
        country: Option<Option<String>>,
        zip: Option<Option<String>>,
    },
}

impl AddressChange {
    /// The address after the change, if any.
    #[must_use]
    pub fn apply(self, current: Option<&Address>) -> Option<Address> {
        let address = match self {
            Self::Clear => Address::default(),
            // A client may send back the text that it read; the address stays in its parts.
            Self::Line(line) if current.and_then(Address::full).as_ref() == Some(&line) => current.cloned()?,
            Self::Line(line) => {
                Address { address_line_1: Some(line).filter(|line| !line.is_empty()), ..Address::default() }
            }
            Self::Lines { address_line_1, address_line_2, city, state, country, zip } => {
                // Without an address every line is absent.
                let before = current.cloned().unwrap_or_default();
                Address {
                    address_line_1: address_line_1.unwrap_or(before.address_line_1),
                    address_line_2: address_line_2.unwrap_or(before.address_line_2),
                    city: city.unwrap_or(before.city),
                    state: state.unwrap_or(before.state),
                    country: country.unwrap_or(before.country),
                    zip: zip.unwrap_or(before.zip),
                }
            }
        };
        (!address.is_empty()).then_some(address)
    }
}
