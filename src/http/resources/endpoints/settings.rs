//! An endpoint's settings in a request's body: an absent member keeps a setting, `null` resets it to its default.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::position;
use crate::contract::input;
use crate::domain::endpoint::secret::{DEFAULT_OVERLAP, OVERLAP_S};
use crate::domain::endpoint::settings::{
    BATCH, DEBOUNCE_MS, MAX_FILTERS, MAX_HEADERS, RATE, TIMEOUT_S, WINDOW, description, is_event_pattern,
    is_field_name, whole,
};
use crate::domain::endpoint::{
    Change, DeliveryOrder, HeaderChange, ModeKind, SettingsChange, Signature, header_name, header_value,
};
use crate::domain::{Invalid, ValidationErrors};
use crate::http::response::problem::Problem;
use crate::push::own_headers::MASK;
use crate::push::service::{EndpointInput, Rotation};

/// Reads the settings of an endpoint that is created or updated.
pub(super) fn read(body: &mut Map<String, Json>) -> EndpointInput {
    let mut reader = Reader { body, errors: ValidationErrors::default() };
    let change = SettingsChange {
        url: reader.read("url", |value| text(value).map(str::to_owned)),
        description: reader.read("description", |value| description(text(value)?)),
        events: reader.read("events", |value| {
            let detail = format!("Must be a list of at most {MAX_FILTERS} event types such as contact.*.");
            words(value, is_event_pattern).ok_or(detail)
        }),
        fields: reader.read("fields", |value| {
            let detail = format!("Must be a list of at most {MAX_FILTERS} names of fields such as email.");
            words(value, is_field_name).ok_or(detail)
        }),
        exclude_own: reader
            .read("exclude_own", |value| input::flag(value).ok_or_else(|| "Must be true or false.".into())),
        mode: reader.read("mode", |value| {
            let kind = value.as_str().and_then(ModeKind::from_name);
            kind.ok_or_else(|| "Must be single, batch or latest.".into())
        }),
        max_batch: reader.read("max_batch", |value| number(value, &BATCH)),
        debounce: reader.read("debounce_ms", |value| whole(unsigned(value), &DEBOUNCE_MS).map(Duration::from_millis)),
        order: reader.read("order", |value| {
            let order = value.as_str().and_then(DeliveryOrder::from_name);
            order.ok_or_else(|| "Must be record, strict or none.".into())
        }),
        window: reader.read("window", |value| number(value, &WINDOW)),
        rate: reader.read("rate", |value| number(value, &RATE)),
        headers: reader.read("headers", headers),
        timeout: reader.read("timeout_s", |value| whole(unsigned(value), &TIMEOUT_S).map(Duration::from_secs)),
    };
    let signature = reader.signature();
    let from = reader.read("from", |value| match value.as_str() {
        Some("now") => Ok(None),
        Some(_) => position(value).map(Some).ok_or_else(|| FROM.to_owned()),
        None => Err(FROM.to_owned()),
    });
    let errors = reader.errors;
    EndpointInput { change, signature, from: from.flatten().flatten(), errors }
}

const FROM: &str = "Must be start, now, or a cursor that this service gave out.";

/// Reads a rotation of an endpoint's secret.
pub(super) fn rotation(body: &mut Map<String, Json>) -> Result<Rotation, Problem> {
    let mut reader = Reader { body, errors: ValidationErrors::default() };
    let overlap = reader.read("overlap_s", |value| whole(unsigned(value), &OVERLAP_S).map(Duration::from_secs));
    let signature = reader.signature();
    let errors = reader.errors;
    if !errors.is_empty() {
        return Err(errors.into());
    }
    Ok(Rotation { overlap: overlap.flatten().unwrap_or(DEFAULT_OVERLAP), signature })
}

/// Takes members out of a body one by one, and collects those that are refused.
struct Reader<'a> {
    body: &'a mut Map<String, Json>,
    errors: ValidationErrors,
}

impl Reader<'_> {
    /// Reads a member. One that is refused keeps the setting, and its error refuses the request.
    fn read<T>(&mut self, key: &str, read: impl FnOnce(&Json) -> Result<T, String>) -> Change<T> {
        let value = self.body.remove(key)?;
        if value.is_null() {
            return Some(None);
        }
        match read(&value) {
            Ok(value) => Some(Some(value)),
            Err(detail) => {
                self.errors.push(Invalid::new(key, detail));
                None
            }
        }
    }

    fn signature(&mut self) -> Option<Signature> {
        let signature = self.read("signature", |value| {
            let signature = value.as_str().and_then(Signature::from_name);
            signature.ok_or_else(|| "Must be hmac or ed25519.".into())
        });
        signature.flatten()
    }
}

fn text(value: &Json) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "Must be a string.".to_owned())
}

/// A whole number, also in a string.
fn unsigned(value: &Json) -> Option<u64> {
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_u64(),
    }
}

fn number<T: TryFrom<u64>>(value: &Json, limits: &std::ops::RangeInclusive<u64>) -> Result<T, String> {
    let number = whole(unsigned(value), limits)?;
    // Every limit fits into every type that a setting has.
    T::try_from(number).map_err(|_| format!("Must be at most {}.", limits.end()))
}

fn words(value: &Json, is_known: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let words = value.as_array().filter(|words| words.len() <= MAX_FILTERS)?;
    words.iter().map(|word| word.as_str().filter(|word| is_known(word)).map(str::to_owned)).collect()
}

/// Reads an endpoint's own headers. The mask that stands for a value where one is shown keeps the stored value.
fn headers(value: &Json) -> Result<Vec<HeaderChange>, String> {
    let own = input::object(value.clone()).ok().filter(|own| own.len() <= MAX_HEADERS);
    let own = own.ok_or_else(|| format!("Must be an object of at most {MAX_HEADERS} headers and their values."))?;
    let mut headers: Vec<HeaderChange> = Vec::with_capacity(own.len());
    for (name, value) in own {
        let name = header_name(&name)?;
        if headers.iter().any(|other| other.name == name) {
            return Err(format!("Must hold {name} once."));
        }
        let value = header_value(&name, value.as_str())?;
        let value = (value != MASK).then(|| value.to_owned());
        headers.push(HeaderChange { name, value });
    }
    Ok(headers)
}
