//! Texts in their canonical forms. Every error is one plain sentence.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time, UtcOffset};
use uuid::Uuid;

/// Trims a text. Refuses the NUL character, because PostgreSQL does, and more than `limit` characters.
pub(crate) fn plain(text: &str, limit: usize) -> Result<String, String> {
    let text = text.trim();
    // A character has one to four bytes, so that only lengths between these bounds need counting.
    if text.len() > limit && (text.len() / 4 > limit || text.chars().count() > limit) {
        return Err(format!("Must have at most {limit} characters."));
    }
    if text.contains('\0') {
        return Err("Must not contain the NUL character.".to_owned());
    }
    Ok(text.to_owned())
}

/// A boolean as a word, in any ASCII case. An empty text is false, because a form sends it for an empty box.
pub(crate) fn flag(text: &str) -> Option<bool> {
    let text = text.trim();
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is_one_of(&["1", "true", "on", "yes"]), is_one_of(&["0", "false", "off", "no", ""])) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// A calendar day of the years 0000 to 9999 (RFC 3339, `full-date`).
pub(in crate::domain) fn date(text: &str) -> Result<String, String> {
    let layout = format_description!("[year]-[month]-[day]");
    let text = text.trim();
    // The length rules out a sign before the year, which the parser accepts.
    let date = Some(text).filter(|text| text.len() == 10).and_then(|text| Date::parse(text, layout).ok());
    date.map(|_| text.to_owned()).ok_or_else(|| "Must be a date of the form yyyy-mm-dd.".to_owned())
}

/// A time of day to the minute, or to the second where the seconds are not zero.
pub(in crate::domain) fn time_of_day(text: &str) -> Result<String, String> {
    let minutes = format_description!("[hour]:[minute]");
    let seconds = format_description!("[hour]:[minute]:[second]");
    let wrong = || "Must be a time of the form hh:mm or hh:mm:ss.".to_owned();
    // A longer text is refused unread.
    let text = Some(text.trim()).filter(|text| text.len() <= "hh:mm:ss".len()).ok_or_else(wrong)?;
    let time = Time::parse(text, minutes).or_else(|_| Time::parse(text, seconds)).map_err(|_| wrong())?;
    let layout = if time.second() == 0 { minutes } else { seconds };
    time.format(layout).map_err(|_| wrong())
}

/// The longest timestamp that is read, in bytes. RFC 3339 sets no limit to the digits of a second's fraction.
const MAX_TIMESTAMP: usize = 64;

/// A timestamp with its offset (RFC 3339, `date-time`), converted to UTC and cut to the second.
pub(in crate::domain) fn timestamp(text: &str) -> Result<String, String> {
    let wrong = "Must be an RFC 3339 date-time with an offset, such as 2026-11-24T03:00:00+00:00.";
    let layout = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    let text = Some(text.trim()).filter(|text| text.len() <= MAX_TIMESTAMP);
    let timestamp = text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    let timestamp = timestamp.and_then(|timestamp| timestamp.checked_to_offset(UtcOffset::UTC)?.format(layout).ok());
    timestamp.ok_or_else(|| wrong.to_owned())
}

/// The uid of a record, in the usual form.
pub(in crate::domain) fn uid(text: &str) -> Result<String, String> {
    Uuid::try_parse(text.trim()).map(|uid| uid.to_string()).map_err(|_| "Must be a uid.".to_owned())
}

/// An address in the form `local@domain` of at most 254 bytes (RFC 5321, 4.5.3.1.3), in lower case.
pub(in crate::domain) fn email(text: &str) -> Result<String, String> {
    let text = plain(text, 254)?.to_lowercase();
    let well_formed = text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !local.contains('@')
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && domain.split('.').all(|label| !label.is_empty())
    });
    if well_formed && text.len() <= 254 { Ok(text) } else { Err("Must be an email address.".to_owned()) }
}

pub(in crate::domain) fn website(text: &str) -> Result<String, String> {
    let text = plain(text, 2_048)?;
    let host = ["https://", "http://"].iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| text.get(scheme.len()..)).flatten()
    });
    match host {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace) => Ok(text),
        _ => Err("Must be a URL that begins with https:// or http://.".to_owned()),
    }
}
