//! Parses bodies as JSON.
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

/// Parses a body.
pub fn parse(body: &[u8]) -> Result<Json, Unreadable> {
    if has_more_values(body, MAX_VALUES) {
        return Err(Unreadable::TooManyValues);
    }
    serde_json::from_slice(body).map_err(Unreadable::NotJson)
}

/// True when a text has more than `max` values. The first value of a list or object follows a bracket, each other one a
/// comma. One pass, no allocation.
fn has_more_values(body: &[u8], max: usize) -> bool {
    let (mut values, mut in_text, mut escaped) = (1_usize, false, false);
    for byte in body {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b',' | b'[' | b'{' => values += 1,
            _ => {}
        }
        if values > max {
            return true;
        }
    }
    false
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
