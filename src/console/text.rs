//! Values as people read them.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::contract::timestamp;
use crate::domain::Timestamp;

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:short] [year]");
const DAY_OF_MONTH: &[BorrowedFormatItem<'_>] = format_description!("[day padding:none] [month repr:short]");
const MINUTE: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");

const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC");

const INPUT: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]");

/// 20000 as `20,000`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 contact`, `2 contacts`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `30 Nov 2026`.
pub(crate) fn day(at: Timestamp) -> String {
    at.format(DAY).unwrap_or_default()
}

/// `2026-12-01` as `1 Dec 2026`; any other text as it is.
pub(crate) fn date(text: &str) -> String {
    timestamp::parse(&format!("{text}T00:00:00Z")).map_or_else(|| text.to_owned(), day)
}

/// A number with its thousands grouped: `31500.5` as `31,500.5`.
pub(crate) fn amount(text: &str) -> String {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    match whole.parse() {
        Ok(whole) => format!("{}{}{rest}", if digits.len() < text.len() { "-" } else { "" }, thousands(whole)),
        Err(_) => text.to_owned(),
    }
}

/// `1 Dec`.
pub(crate) fn day_of_month(at: Timestamp) -> String {
    at.format(DAY_OF_MONTH).unwrap_or_default()
}

/// `30 Nov 2026, 09:05 UTC`.
pub(crate) fn minute(at: Timestamp) -> String {
    at.format(MINUTE).unwrap_or_default()
}

/// `30 Nov 2026, 09:05:07 UTC`, for logs.
pub(crate) fn second(at: Timestamp) -> String {
    at.to_offset(time::UtcOffset::UTC).format(SECOND).unwrap_or_default()
}

/// The parts of an address, between which a line may break: after `@`, `.`, `/` and `_`, but not within a run of them, and
/// not before the end.
pub(crate) fn breaks(text: &str) -> impl Iterator<Item = &str> {
    let is_mark = |sign: char| matches!(sign, '@' | '.' | '/' | '_');
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_mark).unwrap_or(rest.len());
        let run = rest.get(start..)?.find(|sign| !is_mark(sign)).map_or(rest.len(), |run| start + run);
        let (part, after) = rest.split_at_checked(run)?;
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// The end of an id: `…2c9f7685`. It begins with its time, which ids of one day share.
pub(crate) fn id_end(id: &str) -> String {
    let begin = id.char_indices().rev().nth(7).map_or(0, |(begin, _)| begin);
    format!("…{}", id.get(begin..).unwrap_or(id))
}

/// How long ago a time was: `just now`, `5 minutes ago`, `yesterday`, or its day.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now - at).whole_seconds();
    let of = |number: i64, unit: &str| format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" });
    match seconds {
        ..60 => "just now".to_owned(),
        60..3_600 => of(seconds / 60, "minute"),
        3_600..86_400 => of(seconds / 3_600, "hour"),
        86_400..172_800 => "yesterday".to_owned(),
        172_800..2_592_000 => of(seconds / 86_400, "day"),
        _ => day(at),
    }
}

/// The value of an `input` of the type `datetime-local`, in UTC.
pub(crate) fn time_input(at: Timestamp) -> String {
    at.to_offset(time::UtcOffset::UTC).format(INPUT).unwrap_or_default()
}

/// The inverse of [`time_input`]. Browsers add seconds where they are not zero.
pub(crate) fn input_time(text: &str) -> Option<Timestamp> {
    let whole = if text.len() == "2026-11-30T09:05".len() { format!("{text}:00Z") } else { format!("{text}Z") };
    timestamp::parse(&whole)
}

/// 2048 as `2 KiB`.
pub(crate) fn bytes(number: usize) -> String {
    if number < 1_024 { format!("{number} B") } else { format!("{} KiB", number.div_ceil(1_024)) }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        let now = datetime!(2026-11-30 09:05 UTC);
        for (before, expected) in [
            (Duration::seconds(-5), "just now"),
            (Duration::seconds(59), "just now"),
            (Duration::minutes(1), "1 minute ago"),
            (Duration::hours(23), "23 hours ago"),
            (Duration::hours(30), "yesterday"),
            (Duration::days(29), "29 days ago"),
            (Duration::days(31), "30 Oct 2026"),
        ] {
            assert_eq!(ago(now - before, now), expected);
        }
        assert_eq!(minute(now), "30 Nov 2026, 09:05 UTC");
        assert_eq!(second(datetime!(2026-11-30 09:05:07 UTC)), "30 Nov 2026, 09:05:07 UTC");
        assert_eq!(day_of_month(datetime!(2026-12-01 00:00 UTC)), "1 Dec");
    }

    #[test]
    fn an_id_is_told_by_its_end() {
        assert_eq!(["01a22d04-b2c9-7685-b2dd-f00012345678", "x", ""].map(id_end), ["…12345678", "…x", "…"]);
    }

    #[test]
    fn an_address_breaks_behind_its_marks() {
        for (text, expected) in [
            ("ann.lee@example.org", vec!["ann.", "lee@", "example.", "org"]),
            ("https://example.org/a_b/", vec!["https://", "example.", "org/", "a_", "b/"]),
            ("plain words", vec!["plain words"]),
            ("é.", vec!["é."]),
            ("", vec![]),
        ] {
            assert_eq!(breaks(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn a_time_is_read_back_from_its_input() {
        let at = datetime!(2026-11-30 09:05 UTC);
        assert_eq!(time_input(at), "2026-11-30T09:05");
        assert_eq!(input_time("2026-11-30T09:05"), Some(at));
        assert_eq!(input_time("2026-11-30T09:05:07"), Some(at + Duration::seconds(7)));
        for wrong in ["", "2026-11-30", "2026-11-30T09:05Z", "now"] {
            assert_eq!(input_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn dates_and_amounts_of_records_are_read_or_left_alone() {
        assert_eq!([date("2026-12-01"), date("soon")], ["1 Dec 2026", "soon"]);
        assert_eq!(["31500", "-1234.50", "7", "1e9"].map(amount), ["31,500", "-1,234.50", "7", "1e9"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([count(1, "key", "keys"), count(2_000, "key", "keys")], ["1 key", "2,000 keys"]);
        assert_eq!([bytes(5), bytes(1_024), bytes(1_025)], ["5 B", "1 KiB", "2 KiB"]);
    }
}
