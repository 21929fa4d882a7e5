//! `at`: the position of the log whose state a read shows.

use super::extract::Query;
use crate::contract::{Cursor, timestamp};
use crate::domain::{Invalid, Seq, Timestamp};

/// The name of the parameter.
pub(in crate::http) const AT: &str = "at";

/// A position as a query names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum At {
    /// The number of an event.
    Seq(Seq),
    /// The last event at or before this time.
    Time(Timestamp),
    /// A cursor, which is valid in its epoch alone.
    Cursor(Cursor),
}

impl At {
    pub(in crate::http) fn of(query: &Query) -> Result<Option<Self>, Invalid> {
        query.get(AT).map(|text| Self::read(AT, text)).transpose()
    }

    /// Reads the value of a parameter or member with this name.
    pub(in crate::http) fn read(name: &str, text: &str) -> Result<Self, Invalid> {
        let detail =
            "Must be the number of an event, an RFC 3339 date-time with an offset, or a cursor of this service.";
        let invalid = || Invalid::new(name, detail);
        // No cursor consists of digits alone: its first letters are those of a small epoch.
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(|seq| Self::Seq(Seq(seq))).map_err(|_| invalid());
        }
        // A space can only be a `+` that was not escaped.
        if let Some(time) = timestamp::parse(&text.replace(' ', "+")) {
            return Ok(Self::Time(time));
        }
        text.parse().map(Self::Cursor).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_a_time_or_a_cursor() {
        let cursor = Cursor { epoch: 1, seq: Seq(7) };
        let time = timestamp::parse("2026-11-24T03:00:00+01:00").unwrap();
        for (text, expected) in [
            ("0", Some(At::Seq(Seq::ZERO))),
            ("42", Some(At::Seq(Seq(42)))),
            ("2026-11-24T03:00:00 01:00", Some(At::Time(time))),
            ("2026-11-24T02:00:00Z", Some(At::Time(time))),
            (&cursor.to_string(), Some(At::Cursor(cursor))),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("2026-11-24", None),
            ("2026-11-24T03:00:00", None),
            ("now", None),
        ] {
            assert_eq!(At::read(AT, text).ok(), expected, "{text}");
        }
    }
}
