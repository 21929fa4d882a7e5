//! Attributes and their values as people read them.

use maud::{Markup, html};

use super::super::super::components::{Tone, badge, breakable};
use super::super::super::text;
use super::names::Names;
use crate::domain::{Entity, Field, FieldKind, Link, Record, Role, Uid, Value};

/// The label of an attribute: `first_name` as `First name`.
pub(super) fn label(field: Field) -> String {
    const UNLIKE_THEIR_NAMES: [(Field, &str); 8] = [
        (Field::PrimaryContact, "Primary contact"),
        (Field::Email, "Email"),
        (Field::BackgroundInfo, "Background"),
        (Field::CustomFields, "Custom fields"),
        (Field::CompanyCustomFields, "Custom fields"),
        (Field::ProjectCustomFields, "Custom fields"),
        (Field::TargetCustomFields, "Target custom fields"),
        (Field::Audiences, "Marketing audiences"),
    ];
    if let Some((_, label)) = UNLIKE_THEIR_NAMES.iter().find(|(known, _)| *known == field) {
        return (*label).to_owned();
    }
    let mut words = field.name().replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

pub(super) fn role_badge(role: Role) -> Markup {
    let tone = match role {
        Role::Lead => Tone::Neutral,
        Role::Prospect => Tone::Info,
        Role::Client => Tone::Success,
    };
    badge(tone, role.name())
}

/// Links to companies by their stored names, for lists.
pub(super) fn company_links(links: &[Link]) -> Markup {
    html! {
        @for (index, link) in links.iter().take(2).enumerate() {
            @if index > 0 { ", " }
            a href={ "/console/companies/" (link.uid) } { (link.name) }
        }
        @if links.len() > 2 { " and " (links.len() - 2) " more" }
    }
}

/// A record's attributes, with who wrote each last; once below them where it was one origin. Attributes without a value are
/// left out.
pub(super) fn attributes(record: &Record, names: &Names) -> Markup {
    let set = || record.entity.fields().iter().filter_map(|field| Some((*field, record.fields.get(field)?)));
    let only = only_origin(record);
    let origin_of = |field| record.origins.get(&field).map(|origin| &**origin).filter(|_| only.is_none());
    html! {
        @if set().next().is_none() {
            p.muted { @if record.erased { "Everything that was known was erased. Nobody can bring it back." } @else { "No attribute has a value." } }
        } @else {
            dl.attributes {
                @for (field, content) in set() {
                    @match content {
                        Value::Custom(values) => {
                            @for (uid, content) in values {
                                (row(&names.field(*uid), &value(field, content, names), origin_of(field)))
                            }
                        }
                        _ => (row(&label(field), &value(field, content, names), origin_of(field))),
                    }
                }
            }
            @if let Some(origin) = only { p.attribute-origin { "Every value was last written by " (badge(Tone::Neutral, origin)) } }
        }
    }
}

/// The origin that wrote every attribute last, if it was one.
fn only_origin(record: &Record) -> Option<&str> {
    let mut origins = record.fields.keys().map(|field| record.origins.get(field).map(|origin| &**origin));
    let first = origins.next()??;
    origins.all(|other| other == Some(first)).then_some(first)
}

fn row(name: &str, content: &Markup, origin: Option<&str>) -> Markup {
    html! {
        div.attribute {
            dt { (name) }
            dd { div.attribute-value { (content) } }
            @if let Some(origin) = origin { dd.attribute-origin { "by " (origin) } }
        }
    }
}

/// A value.
pub(super) fn value(field: Field, content: &Value, names: &Names) -> Markup {
    match content {
        Value::Text(text) if field.kind() == FieldKind::Email => {
            html! { a href={ "mailto:" (text) } { (breakable(text)) } }
        }
        Value::Text(text) if is_web_address(text) => {
            html! { a href=(text) rel="noreferrer nofollow" { (breakable(text)) } }
        }
        Value::Text(date) if matches!(field, Field::StartDate | Field::EndDate) => html! { (text::date(date)) },
        Value::Text(uid) if field == Field::Client => client(uid, names),
        Value::Text(text) => html! { span.text { (text) } },
        Value::Role(role) => role_badge(*role),
        Value::Tags(words) | Value::Words(words) => html! {
            span.words { @for word in words { (badge(Tone::Neutral, word)) } }
        },
        Value::Address(address) => html! { (address.full().unwrap_or_default()) },
        Value::Links(links) if field == Field::Companies => html! {
            ul.links { @for link in links { li { (linked(Entity::Company, link, names)) } } }
        },
        Value::Links(links) => html! {
            span.words { @for link in links { (badge(Tone::Neutral, &link.name)) } }
        },
        Value::Person(person) => {
            let name = [&*person.first_name, &*person.last_name].join(" ");
            linked(Entity::Contact, &Link { uid: person.uid, name: name.trim().to_owned() }, names)
        }
        Value::Number(number) => html! { (number) },
        Value::Flag(flag) => html! { @if *flag { "Yes" } @else { "No" } },
        Value::Money(money) => html! { (text::amount(&money.amount.to_string())) " " (money.currency) },
        Value::Audiences(numbers) => html! {
            span.words { @for number in numbers { (badge(Tone::Neutral, &names.audience(*number))) } }
        },
        Value::Custom(values) => html! {
            ul.links { @for (uid, content) in values { li { (names.field(*uid)) ": " (value(field, content, names)) } } }
        },
        Value::OfField(held) => html! {
            @match &held.value { Some(content) => (value(held.field, content, names)), None => "nothing" }
        },
    }
}

fn linked(entity: Entity, link: &Link, names: &Names) -> Markup {
    let path = super::record_path(entity, link.uid).unwrap_or_default();
    html! {
        @match names.linked(link.uid, &link.name) {
            Some(name) => a href=(path) { (name) },
            None => { a href=(path) { (link.name) } " " (badge(Tone::Danger, "deleted")) },
        }
    }
}

/// The client of a project, by its name where it is live.
fn client(text: &str, names: &Names) -> Markup {
    let uid = text.parse().ok().map(Uid);
    let known = uid.and_then(|uid| Some((uid, names.client(uid)?)));
    html! {
        @match known {
            Some((uid, (entity, name))) => a href=(super::record_path(entity, uid).unwrap_or_default()) { (name) },
            None => code { (text) },
        }
    }
}

/// Whether a text may be followed as a link. Any other scheme could run a script.
fn is_web_address(text: &str) -> bool {
    let lower = text.get(..8).map(str::to_ascii_lowercase).unwrap_or_default();
    (lower.starts_with("https://") || lower.starts_with("http://")) && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for (text, expected) in [
            ("https://example.org/a", true),
            ("HTTP://example.org", true),
            ("javascript:alert(1)//https://", false),
            ("data:text/html,x", false),
            ("https://a b", false),
            ("", false),
        ] {
            assert_eq!(is_web_address(text), expected, "{text}");
        }
    }

    #[test]
    fn the_label_of_an_attribute_is_its_name_in_words() {
        assert_eq!(label(Field::FirstName), "First name");
        assert_eq!(label(Field::PrimaryContact), "Primary contact");
    }
}
