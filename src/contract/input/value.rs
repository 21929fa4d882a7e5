//! Reads single values of a body into their fields' types.

use serde_json::{Map, Value as Json};

use crate::domain::schema::UntypedValue;
use crate::domain::value::{AddressChange, max_read, plain, tags, words};
use crate::domain::{Field, FieldKind, Money, Number, Value};

/// The most items of a list of texts.
const MAX_WORDS: usize = 200;

/// The longest text that is read as a number, in bytes.
const MAX_NUMBER: usize = 400;

/// The canonical value of a field; `Ok(None)` is `null`.
pub(super) fn value(field: Field, json: Json) -> Result<Option<Value>, String> {
    let kind = field.kind();
    match (kind, json) {
        (_, Json::Null) if field.nullable() => Ok(None),
        (_, Json::Null) => Err("Must not be null.".to_owned()),
        (FieldKind::Tags, Json::Array(words)) => {
            let words: Option<Vec<&str>> = words.iter().map(Json::as_str).collect();
            let words = words.ok_or("Must be a list of strings.")?;
            tags(words.into_iter()).map(some_tags)
        }
        (FieldKind::Tags, Json::String(words)) => tags(words.split(',')).map(some_tags),
        (FieldKind::Tags, _) => Err("Must be a list of strings.".to_owned()),
        (FieldKind::Address, Json::Object(parts)) => address(parts),
        (FieldKind::Category, Json::Object(mut category)) => match category.remove("name") {
            Some(Json::String(name)) => Value::parse(kind, &name).map(some_text),
            None | Some(Json::Null) => Ok(None),
            Some(_) => Err("Must be an object with a name.".to_owned()),
        },
        (FieldKind::Money, Json::Object(mut money)) => match (money.remove("amount"), money.remove("currency")) {
            (None | Some(Json::Null), _) => Ok(None),
            (Some(amount), Some(Json::String(currency))) => {
                let amount = number(&amount).ok_or("amount must be a number.")?;
                Money::new(amount, &currency).map(|money| Some(Value::Money(money)))
            }
            (Some(_), _) => Err("Must be an object with amount and currency.".to_owned()),
        },
        (FieldKind::Words, Json::Array(texts)) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Json::as_str).collect();
            let texts = texts.ok_or("Must be a list of strings.")?;
            words(texts.into_iter(), MAX_WORDS).map(some_words)
        }
        (FieldKind::Words, Json::String(texts)) => words(texts.split(','), MAX_WORDS).map(some_words),
        (FieldKind::Words, _) => Err("Must be a list of strings.".to_owned()),
        (FieldKind::Money, _) => Err("Must be an object with amount and currency.".to_owned()),
        (FieldKind::Address | FieldKind::Links | FieldKind::Person | FieldKind::Circles | FieldKind::Custom(_), _) => {
            Err("Must be an object.".to_owned())
        }
        (_, Json::String(text)) if text.trim().is_empty() => match field {
            Field::FirstName | Field::LastName => Ok(Some(Value::Text(String::new()))),
            _ if field.nullable() => Ok(None),
            _ => Err("Must not be empty.".to_owned()),
        },
        (_, Json::String(text)) => Value::parse(kind, &text).map(Some),
        (_, _) => Err("Must be a string.".to_owned()),
    }
}

fn some_text(value: Value) -> Option<Value> {
    (value.as_text() != Some("")).then_some(value)
}

fn some_words(words: Vec<String>) -> Option<Value> {
    (!words.is_empty()).then_some(Value::Words(words))
}

/// A number, or a text that holds one.
fn number(json: &Json) -> Option<Number> {
    match json {
        Json::Number(number) => Number::new(number.as_f64()?),
        Json::String(text) if text.len() <= MAX_NUMBER => Number::new(text.trim().parse().ok()?),
        _ => None,
    }
}

/// A value for a custom field. Its type is known only when the field's definition is loaded.
pub(super) fn untyped(json: Json) -> UntypedValue {
    match json {
        Json::Null => UntypedValue::Null,
        Json::Bool(flag) => UntypedValue::Flag(flag),
        Json::Number(_) => number(&json).map_or(UntypedValue::Other, UntypedValue::Number),
        Json::String(text) => UntypedValue::Text(text),
        Json::Array(texts) => {
            let text = |json| match json {
                Json::String(text) => Some(text),
                Json::Number(number) => Some(number.to_string()),
                _ => None,
            };
            // One more than the field reads, so that the field refuses a list that is too long.
            let texts = texts.into_iter().take(max_read(MAX_WORDS) + 1);
            texts.map(text).collect::<Option<_>>().map_or(UntypedValue::Other, UntypedValue::Words)
        }
        Json::Object(mut money) => match (money.remove("amount"), money.remove("currency")) {
            (Some(amount), Some(Json::String(currency))) => {
                number(&amount).map_or(UntypedValue::Other, |amount| UntypedValue::Money(amount, currency))
            }
            _ => UntypedValue::Other,
        },
    }
}

fn some_tags(tags: Vec<String>) -> Option<Value> {
    (!tags.is_empty()).then_some(Value::Tags(tags))
}

fn address(parts: Map<String, Json>) -> Result<Option<Value>, String> {
    address_lines(parts).map(|change| change.apply(None).map(Value::from))
}

/// The lines of an address in a body; `null` clears a line.
pub(super) fn address_lines(mut parts: Map<String, Json>) -> Result<AddressChange, String> {
    let mut line = |key: &str| match parts.remove(key) {
        None => Ok(None),
        Some(Json::Null) => Ok(Some(None)),
        Some(Json::String(text)) => plain(&text, 255).map(|text| Some(Some(text).filter(|text| !text.is_empty()))),
        Some(_) => Err(format!("{key} must be a string or null.")),
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
