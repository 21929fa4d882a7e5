//! Values and names of records as people read them. All of them are texts of other systems, so that they are escaped.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::super::super::components::breakable;
use crate::contract::record::FieldValueJson;
use crate::domain::{Entity, Field, Record, Refusal, Uid, Value};

/// Characters of a value in a table; the rest is cut off.
const MAX_SHOWN: usize = 300;

/// A value in JSON as a text; `None` for one that is empty.
pub(super) fn text_of(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::String(text) => text.clone(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::Array(values) => values.iter().filter_map(text_of).collect::<Vec<_>>().join(", "),
        Json::Object(members) => {
            let shown = members.iter().filter_map(|(key, value)| Some(format!("{}: {}", words(key), text_of(value)?)));
            shown.collect::<Vec<_>>().join(", ")
        }
    };
    (!text.is_empty()).then_some(text)
}

/// A value in JSON, or the word for its absence.
pub(super) fn shown(value: &Json) -> Markup {
    html! {
        @match text_of(value) {
            Some(text) => { span.value { (breakable(&cut(text))) } }
            None => { span.muted { "empty" } }
        }
    }
}

/// A field's value.
pub(super) fn shown_value(field: Field, value: Option<&Value>) -> Markup {
    let json = value.map(|value| serde_json::to_value(FieldValueJson(field, Some(value))).unwrap_or_default());
    shown(&json.unwrap_or_default())
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// `first_name` as `first name`.
pub(super) fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// The label of an attribute by its name, as the pages of records have it: `first_name` as `First name`.
pub(super) fn label(name: &str) -> String {
    match name {
        "primaryContact" => return "Primary contact".to_owned(),
        "background_info" => return "Background".to_owned(),
        "audiences" => return "Marketing audiences".to_owned(),
        name if name.ends_with("_custom_fields") && !name.starts_with("target") => return "Custom fields".to_owned(),
        _ => {}
    }
    let mut label = words(name);
    if let Some(first) = label.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    label
}

/// A record by its name, with a link to its page.
pub(super) fn record_link(entity: Entity, uid: Uid, name: Option<&str>) -> Markup {
    let folder = match entity {
        Entity::Contact => Some("contacts"),
        Entity::Company => Some("companies"),
        Entity::Project => Some("projects"),
        Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => None,
    };
    let name = name.map_or_else(|| format!("{} {uid}", entity.noun()), str::to_owned);
    html! {
        @if let Some(folder) = folder { a.cell-link href={ "/console/" (folder) "/" (uid) } { (name) } } @else { (name) }
        span.cell-note { (entity.noun()) }
    }
}

/// The name of a record: of a person, or of a company or project; `None` where it has none.
pub(super) fn record_name(record: &Record) -> Option<String> {
    let parts = [Field::FirstName, Field::LastName].into_iter().filter_map(|field| record.text(field));
    let person = parts.collect::<Vec<_>>().join(" ");
    let other = || record.text(Field::Name).or_else(|| record.text(Field::Email)).map(str::to_owned);
    if person.is_empty() { other() } else { Some(person) }
}

/// The reason of a refusal, as the end of a sentence.
pub(super) fn refusal_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotFound(entity) => format!("there is no such {} any more", entity.noun()),
        Refusal::Gone { merged_into: Some(_), .. } => "it was merged into another record".to_owned(),
        Refusal::Gone { .. } => "it was deleted since".to_owned(),
        Refusal::Stale { .. } | Refusal::Concurrent { .. } => "somebody changed it since".to_owned(),
        Refusal::Ambiguous { .. } => "several records match".to_owned(),
        Refusal::KeyReused => "it was sent before".to_owned(),
        Refusal::Invalid(invalid) => {
            let detail = invalid.first().map_or("", |invalid| invalid.detail.as_str());
            detail.trim_end_matches('.').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_texts_and_never_markup() {
        assert_eq!(text_of(&json!(["a", "b"])).as_deref(), Some("a, b"));
        assert_eq!(text_of(&json!({"post_code": "1011", "city": null})).as_deref(), Some("post code: 1011"));
        assert_eq!(text_of(&json!([])), None);
        let markup = shown(&json!("<script>alert(1)</script>")).into_string();
        assert_eq!(label("first_name"), "First name");
        assert!(markup.contains("&lt;script&gt;") && !markup.contains("<script>"), "{markup}");
        assert!(shown(&json!("x".repeat(1_000))).into_string().len() < 400);
    }
}
