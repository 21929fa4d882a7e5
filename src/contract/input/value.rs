//! Reads single values of a body into their fields' types.

use serde_json::{Map, Value as Json};

use super::address::address_lines;
use super::lenient::{is_blank, object, text, texts};
use crate::domain::schema::{UntypedValue, Visibility};
use crate::domain::value::{MAX_TAGS, max_read, tags, words};
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
        (FieldKind::Tags, Json::String(words)) => tags(words.split(',')).map(some_tags),
        (FieldKind::Tags, json) => {
            let words = texts(json, max_read(MAX_TAGS) + 1).ok_or("Must be a list of strings.")?;
            tags(words.iter().map(String::as_str)).map(some_tags)
        }
        (FieldKind::Words, Json::String(texts)) => words(texts.split(','), MAX_WORDS).map(some_words),
        (FieldKind::Words, json) => {
            let texts = texts(json, max_read(MAX_WORDS) + 1).ok_or("Must be a list of strings.")?;
            words(texts.iter().map(String::as_str), MAX_WORDS).map(some_words)
        }
        (FieldKind::Address, json) => address(object(json).map_err(|_| "Must be an object.")?),
        (FieldKind::Category, json) => category(json),
        (FieldKind::Money, json) => money(json),
        (FieldKind::Links | FieldKind::Person | FieldKind::Circles | FieldKind::Custom(_), _) => {
            Err("Must be an object.".to_owned())
        }
        (_, json) => match text(json).map_err(|_| "Must be a string.")? {
            text if !text.trim().is_empty() => {
                Value::parse(kind, &text).map(|value| Some(value).filter(|value| !is_default(kind, value)))
            }
            _ if matches!(field, Field::FirstName | Field::LastName) => Ok(Some(Value::Text(String::new()))),
            _ if field.nullable() => Ok(None),
            _ => Err("Must not be empty.".to_owned()),
        },
    }
}

/// True when the absence of a value means this one. A field without a visibility is public: the same definition has one form.
fn is_default(kind: FieldKind, value: &Value) -> bool {
    kind == FieldKind::Visibility && value.as_text() == Some(Visibility::default().name())
}

/// `{name}`, or the name itself.
fn category(json: Json) -> Result<Option<Value>, String> {
    let name = match object(json) {
        Ok(mut category) => category.remove("name").filter(|name| !name.is_null()),
        Err(name) => Some(name),
    };
    let Some(name) = name else { return Ok(None) };
    let name = text(name).map_err(|_| "Must be an object with a name.")?;
    Value::parse(FieldKind::Category, &name).map(some_text)
}

/// `{amount, currency}`.
fn money(json: Json) -> Result<Option<Value>, String> {
    let wrong = "Must be an object with amount and currency.";
    let mut money = object(json).map_err(|_| wrong)?;
    match (money.remove("amount").filter(|amount| !is_blank(amount)), money.remove("currency")) {
        (None, _) => Ok(None),
        (Some(amount), Some(Json::String(currency))) => {
            let amount = number(&amount).ok_or("amount must be a number.")?;
            Money::new(amount, &currency).map(|money| Some(Value::Money(money)))
        }
        (Some(_), _) => Err(wrong.to_owned()),
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
