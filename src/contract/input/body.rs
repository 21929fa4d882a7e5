//! Parses bodies as JSON.
//!
//! A number becomes the text of a string attribute exactly as it stands in the body: `1.10` stays `1.10`. Therefore a number
//! that loses digits on its way through an `f64` is parsed as a string; every reader of a number accepts one in a string.
//!
//! Guarantees: the values of a body are counted before it is parsed. Each value of a JSON text becomes an allocation and each
//! key an entry of a map, so that a mebibyte of `0,0,0,…` would cost a runtime thread tens of milliseconds.

use std::fmt;

use serde_json::Value as Json;

/// The most values of a body, nested values included. An empty list or object counts as two.
const MAX_VALUES: usize = 20_000;

/// The reason for which a body cannot be parsed.
#[derive(Debug)]
pub enum Unreadable {
    /// It has more than [`MAX_VALUES`] values.
    TooManyValues,
    /// It is not JSON, or nested too deep.
    NotJson(serde_json::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyValues => write!(f, "The body has more than {MAX_VALUES} values."),
            Self::NotJson(error) => write!(f, "The body is not JSON: {error}."),
        }
    }
}

/// Parses a body. A byte order mark before it is ignored (RFC 8259, section 8.1): some scripts write one.
pub fn parse(body: &[u8]) -> Result<Json, Unreadable> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if has_more_values(body, MAX_VALUES) {
        return Err(Unreadable::TooManyValues);
    }
    let json = serde_json::from_slice(body).map_err(Unreadable::NotJson)?;
    match with_exact_numbers(body) {
        Some(exact) => serde_json::from_slice(&exact).map_err(Unreadable::NotJson),
        None => Ok(json),
    }
}

/// The most digits of a whole number that keeps its text: every one of them is below 2^53.
const MAX_DIGITS: usize = 15;

/// The bytes of a JSON text that are outside of its strings, each with its index. A string's opening quote is among them.
fn outside_strings(body: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    let (mut in_string, mut escaped) = (false, false);
    body.iter().copied().enumerate().filter(move |(_, byte)| {
        if !in_string {
            in_string = *byte == b'"';
            return true;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = false,
            _ => {}
        }
        false
    })
}

/// A valid JSON text with quotes around its inexact numbers; `None` where it has none. One pass; allocates only for such a
/// number.
fn with_exact_numbers(body: &[u8]) -> Option<Vec<u8>> {
    let (mut exact, mut copied, mut number) = (Vec::new(), 0, None);
    // A byte beyond the end ends a number that is the whole text.
    for (index, byte) in outside_strings(body).chain([(body.len(), b' ')]) {
        match (byte, number) {
            (b'0'..=b'9' | b'-', None) => number = Some(index),
            (b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E', _) => {}
            (_, begin) => {
                number = None;
                let Some(begin) = begin else { continue };
                let Some(digits) = body.get(begin..index).filter(|digits| !is_exact(digits)) else { continue };
                exact.extend_from_slice(body.get(copied..begin)?);
                exact.push(b'"');
                exact.extend_from_slice(digits);
                exact.push(b'"');
                copied = index;
            }
        }
    }
    if copied == 0 {
        return None;
    }
    exact.extend_from_slice(body.get(copied..)?);
    Some(exact)
}

/// True when a number, printed as the integer that it is, has the same text.
fn is_exact(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    digits.len() <= MAX_DIGITS && digits.iter().all(u8::is_ascii_digit) && number != b"-0"
}

/// True when a text has more than `max` values. The first value of a list or object follows a bracket, each other one a
/// comma. At most one pass, no allocation.
fn has_more_values(body: &[u8], max: usize) -> bool {
    let begins_value = |(_, byte): &(usize, u8)| matches!(byte, b',' | b'[' | b'{');
    // One value, which may be the whole text, has nothing before it.
    outside_strings(body).filter(begins_value).take(max).count() == max
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values(json: &Json) -> usize {
        let inside = match json {
            Json::Array(items) => items.iter().map(values).sum(),
            Json::Object(members) => members.values().map(values).sum(),
            _ => 0,
        };
        1 + inside
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![Just(json!(null)), any::<i32>().prop_map(Json::from), ".{0,6}".prop_map(Json::from)];
        leaf.prop_recursive(4, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                proptest::collection::btree_map("[a,\"\\\\\\[{]{0,3}", inner, 0..6)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_counted_before_they_are_read(body in any_json()) {
            let (text, count) = (body.to_string(), values(&body));
            // An empty list or object counts as two.
            prop_assert!(!has_more_values(text.as_bytes(), 2 * count));
            prop_assert!(has_more_values(text.as_bytes(), count - 1));
        }
    }

    /// A number in any of its JSON forms.
    const NUMBER: &str = "-?(0|[1-9][0-9]{0,20})([.][0-9]{1,4})?([eE][+-]?[0-9]{1,2})?";

    proptest! {
        #[test]
        fn a_number_keeps_its_text(
            numbers in proptest::collection::vec(NUMBER, 1..5), words in proptest::collection::vec("[0-9e.,\"\\\\: ]{0,6}", 1..5)
        ) {
            let listed = format!("[{}, {}]", numbers.join(" ,"), json!(words));
            let read = parse(listed.as_bytes()).expect("JSON");
            let text = |json: &Json| json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            let texts: Vec<String> = read.as_array().expect("a list").iter().take(numbers.len()).map(text).collect();
            prop_assert_eq!(&texts, &numbers);
            prop_assert_eq!(&read[numbers.len()], &json!(words));
            let alone = parse(numbers[0].as_bytes()).expect("JSON");
            prop_assert_eq!(text(&alone), numbers[0].as_str());
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_body() {
        assert_eq!(parse("\u{feff}{\"a\": 1.50}".as_bytes()).expect("JSON"), json!({"a": "1.50"}));
        assert!(matches!(parse("\u{feff}\u{feff}1".as_bytes()), Err(Unreadable::NotJson(_))));
    }

    #[test]
    fn a_malformed_number_is_no_string() {
        for wrong in ["1.", ".5", "01", "1e", "-", "+1", "1.1.1", "0x1f", "[1.5 2]", "1e999"] {
            assert!(matches!(parse(wrong.as_bytes()), Err(Unreadable::NotJson(_))), "{wrong}");
        }
    }

    #[test]
    fn a_body_of_too_many_values_is_refused_unread() {
        for (opens, value, closes) in [("[", "0", "]"), ("{", "\"a\":0", "}"), ("[", "[]", "]"), ("[", "0", "")] {
            let body = [opens, &vec![value; 100_000].join(","), closes].concat();
            assert!(matches!(parse(body.as_bytes()), Err(Unreadable::TooManyValues)), "{opens}{value}");
        }
        let deep = "[".repeat(10_000);
        assert!(matches!(parse(deep.as_bytes()), Err(Unreadable::NotJson(_))));
        assert_eq!(parse(br#"{"a": "1,2,[{", "b": [1]}"#).expect("JSON"), json!({"a": "1,2,[{", "b": [1]}));
    }
}
