//! Reads addresses, and in an update their changes.

use serde_json::{Map, Value as Json};

use super::Reader;
use super::lenient::{object, text};
use crate::domain::value::{AddressChange, plain};
use crate::domain::{Entity, Field};

impl Reader {
    /// The change of an address in an update. Only the lines in the body change.
    pub(super) fn address_change(&mut self, entity: Entity) -> Option<AddressChange> {
        if !entity.fields().contains(&Field::Address) {
            return None;
        }
        let name = Field::Address.name();
        let change = match self.body.remove(name) {
            Some(Json::Null) => Ok(AddressChange::Clear),
            Some(json) => object(json).map_err(|_| "Must be an object.".to_owned()).and_then(address_lines),
            None => return self.full_address(),
        };
        change.map_err(|detail| self.refuse(name, detail)).ok()
    }

    /// The change by `full_address`, which is read where `address` is absent.
    fn full_address(&mut self) -> Option<AddressChange> {
        let change = match self.body.remove("full_address")? {
            Json::Null => Ok(AddressChange::Clear),
            json => text(json)
                .map_err(|_| "Must be a string.".to_owned())
                .and_then(|text| plain(&text, 255))
                .map(AddressChange::Line),
        };
        change.map_err(|detail| self.refuse("full_address", detail)).ok()
    }
}

/// The lines of an address in a body; `null` clears a line.
pub(super) fn address_lines(mut parts: Map<String, Json>) -> Result<AddressChange, String> {
    let mut line = |key: &str| match parts.remove(key) {
        None => Ok(None),
        Some(Json::Null) => Ok(Some(None)),
        Some(json) => {
            let text = text(json).map_err(|_| format!("{key} must be a string or null."))?;
            plain(&text, 255).map(|text| Some(Some(text).filter(|text| !text.is_empty())))
        }
    };
    Ok(AddressChange::Lines {
        address_line_1: line("address_line_1")?,
        address_line_2: line("address_line_2")?,
        city: line("city")?,
        state: line("state")?,
        country: line("country")?,
        zip: line("zip")?,
    })
}
