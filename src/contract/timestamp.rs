//! Timestamps as text: RFC 3339, always in UTC.

use serde::ser::{Error as _, Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{PrimitiveDateTime, UtcOffset};

use crate::domain::Timestamp;

/// An event's time, to be serialised as [`micros`] writes it. Fails before the year 0, which RFC 3339 cannot express.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Micros(pub Timestamp);

/// A record's time, to be serialised as [`seconds`] writes it. Fails before the year 0, which RFC 3339 cannot express.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seconds(pub Timestamp);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        expressible(self.0).map_err(S::Error::custom)?;
        serializer.serialize_str(&micros(self.0))
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        expressible(self.0).map_err(S::Error::custom)?;
        serializer.serialize_str(&seconds(self.0))
    }
}

/// `2026-11-24T03:00:00.123456Z`: an event's time, to the microsecond, which is the precision of PostgreSQL.
#[must_use]
pub(crate) fn micros(at: Timestamp) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micros) = at.to_hms_micro();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", u8::from(month))
}

/// `2026-11-24T03:00:00+00:00`: a record's times.
#[must_use]
pub(crate) fn seconds(at: Timestamp) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00", u8::from(month))
}

/// Reads any RFC 3339 timestamp; the offset is mandatory.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)
}

/// Reads the output of [`seconds`] by its fixed layout, which takes a third of the time of [`parse`].
#[must_use]
pub(crate) fn parse_seconds(text: &str) -> Option<Timestamp> {
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    PrimitiveDateTime::parse(text, layout).ok().map(PrimitiveDateTime::assume_utc)
}

fn expressible(at: Timestamp) -> Result<(), &'static str> {
    if at.to_offset(UtcOffset::UTC).year() >= 0 { Ok(()) } else { Err("RFC 3339 has no years before 0") }
}
