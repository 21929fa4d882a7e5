//! The `Retry-After` header (RFC 9110 §10.2.3).

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use crate::push::retry_delays::RETRY_AFTER_CAP;

/// Reads the header's value: seconds, or an HTTP-date in any of its three forms as seen from `now`. At most
/// [`RETRY_AFTER_CAP`]; a date that has passed is zero; anything else is as good as absent.
pub(super) fn parse(value: &str, now: OffsetDateTime) -> Option<Duration> {
    let value = value.trim();
    let after = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // The only digits that do not parse are too many of them.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::from(now)).unwrap_or_default()
    };
    Some(after.min(RETRY_AFTER_CAP))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(1994-11-06 08:49:37.5 UTC);

    #[test]
    fn retry_after_is_seconds_or_one_of_three_dates() {
        for (value, seconds) in [
            ("0", Some(0.0)),
            (" 120 ", Some(120.0)),
            ("36001", Some(36000.0)),
            ("99999999999999999999999", Some(36000.0)),
            ("Sun, 06 Nov 1994 08:50:00 GMT", Some(22.5)),
            ("Sunday, 06-Nov-94 08:50:00 GMT", Some(22.5)),
            ("Sun Nov  6 08:50:00 1994", Some(22.5)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0.0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(36000.0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:00", None),
        ] {
            assert_eq!(parse(value, NOW), seconds.map(Duration::from_secs_f64), "{value}");
        }
    }

    proptest! {
        #[test]
        fn reading_retry_after_is_total_and_capped(value in "\\PC{0,40}|[0-9]{1,30}") {
            let after = parse(&value, NOW);
            prop_assert!(after.is_none_or(|after| after <= RETRY_AFTER_CAP));
        }
    }
}
