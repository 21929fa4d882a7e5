//! Reads values in the forms that form plugins and PHP clients send.
//!
//! A form plugin sends every value as a string. PHP writes an empty object as `[]`, and a list from which items were removed
//! as an object whose keys are numbers.

use serde_json::{Map, Value as Json};

use crate::domain::value;

/// An object; else the value itself. An empty list and an empty text are empty objects.
pub(crate) fn object(json: Json) -> Result<Map<String, Json>, Json> {
    match json {
        Json::Object(members) => Ok(members),
        Json::Array(items) if items.is_empty() => Ok(Map::new()),
        Json::String(text) if text.trim().is_empty() => Ok(Map::new()),
        other => Err(other),
    }
}

/// A list; else the value itself. An object whose keys are all numbers is the list of its values in the keys' order.
pub(super) fn list(json: Json) -> Result<Vec<Json>, Json> {
    match json {
        Json::Array(items) => Ok(items),
        Json::Object(members) if is_list(&members) => {
            let mut items: Vec<_> = members.into_iter().collect();
            // Keys without leading zeros: the longer one is the greater.
            items.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
            Ok(items.into_iter().map(|(_, item)| item).collect())
        }
        other => Err(other),
    }
}

/// True when an object has items of a list as its members.
pub(super) fn is_list(members: &Map<String, Json>) -> bool {
    let is_index = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    !members.is_empty() && members.keys().all(is_index)
}

/// A text; else the value itself. A number is its text in the body (see `body`).
pub(super) fn text(json: Json) -> Result<String, Json> {
    match json {
        Json::String(text) => Ok(text),
        Json::Number(number) => Ok(number.to_string()),
        other => Err(other),
    }
}

/// The texts of a list, of which at most `max` are read; `None` where an item is no text. An item that is `null` is left out.
pub(super) fn texts(json: Json, max: usize) -> Option<Vec<String>> {
    let items = list(json).ok()?.into_iter().take(max);
    items.filter(|item| !item.is_null()).map(|item| text(item).ok()).collect()
}

/// A boolean, also as a word or as 1 or 0.
pub(crate) fn flag(json: &Json) -> Option<bool> {
    match json {
        Json::Null => Some(false),
        Json::Bool(flag) => Some(*flag),
        Json::String(text) => value::flag(text),
        Json::Number(number) => value::flag(&number.to_string()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

/// True when a value holds nothing: neither a text nor a number nor a boolean.
pub(super) fn is_blank(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Array(items) => items.iter().all(is_blank),
        Json::Object(members) => members.values().all(is_blank),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// True when an object holds nothing but blank values and flags that are false.
pub(super) fn is_blank_but_for(members: &Map<String, Json>, flags: &[&str]) -> bool {
    let is_false = |key: &String, json: &Json| flags.contains(&key.as_str()) && flag(json) == Some(false);
    members.iter().all(|(key, json)| is_blank(json) || is_false(key, json))
}
