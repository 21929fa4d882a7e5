//! Moments as text: RFC 3339, always UTC.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{PrimitiveDateTime, UtcOffset};

use crate::domain::Timestamp;

/// `2026-11-24T03:00:00.123456Z`: an event's time, to the microsecond that PostgreSQL keeps.
#[must_use]
pub fn micros(at: Timestamp) -> String {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    // Only a foreign `Write` can fail here, and a `String` does not.
    at.to_offset(UtcOffset::UTC).format(layout).unwrap_or_default()
}

/// `2026-11-24T03:00:00+00:00`: a record's times.
#[must_use]
pub fn seconds(at: Timestamp) -> String {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    at.to_offset(UtcOffset::UTC).format(layout).unwrap_or_default()
}

/// Reads any RFC 3339 moment; the offset is mandatory.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)
}

/// Reads what [`seconds`] wrote, by its fixed layout, which is a third of the cost of [`parse`].
#[must_use]
pub fn parse_seconds(text: &str) -> Option<Timestamp> {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    PrimitiveDateTime::parse(text, layout).ok().map(PrimitiveDateTime::assume_utc)
}
