//! The changes of an event, field by field.

use maud::{Markup, html};

use super::super::super::components::{Tone, badge};
use super::attributes::{label, value};
use super::names::Names;
use crate::domain::{Event, EventType, Field, FieldChange, Value};

/// The changes of an event as a list: the value before, and the value after.
pub(super) fn changes(event: &Event, names: &Names) -> Markup {
    let lines: Vec<Line<'_>> = event.changed.iter().flat_map(|change| lines(change, names)).collect();
    if lines.is_empty() {
        return html! {};
    }
    html! {
        dl.changes {
            @for line in &lines {
                div.change {
                    dt { (line.name) }
                    dd {
                        @match Difference::of(line, names) {
                            Some(difference) => (difference.markup()),
                            None => (before_and_after(line, names)),
                        }
                    }
                }
            }
        }
    }
}

fn before_and_after(line: &Line<'_>, names: &Names) -> Markup {
    html! {
        @if let Some(from) = line.from { del { (value(line.field, from, names)) } }
        @if line.from.is_some() || line.to.is_none() { span.change-arrow aria-hidden="true" { "→" } span.visually-hidden { " became " } }
        @match line.to {
            Some(to) => ins { (value(line.field, to, names)) },
            None => span.muted { "empty" },
        }
    }
}

/// The words that a list lost and got, where both of its values are known.
struct Difference {
    removed: Vec<String>,
    added: Vec<String>,
}

impl Difference {
    /// `None` for a field that is no list of words, or whose words only changed their places.
    fn of(line: &Line<'_>, names: &Names) -> Option<Self> {
        let words = |value: &Value| {
            if let Value::Tags(words) | Value::Words(words) = value {
                Some(words.clone())
            } else if let Value::Audiences(numbers) = value {
                Some(numbers.iter().map(|number| names.audience(*number)).collect())
            } else {
                None
            }
        };
        let (before, after) = (words(line.from?)?, words(line.to?)?);
        let without = |words: &[String], other: &[String]| {
            words.iter().filter(|word| !other.contains(word)).cloned().collect::<Vec<_>>()
        };
        let difference = Self { removed: without(&before, &after), added: without(&after, &before) };
        (!difference.removed.is_empty() || !difference.added.is_empty()).then_some(difference)
    }

    fn markup(&self) -> Markup {
        html! {
            @for word in &self.removed { del { span.visually-hidden { "removed " } (badge(Tone::Neutral, word)) } }
            @for word in &self.added { ins { span.visually-hidden { "added " } (badge(Tone::Neutral, &format!("+ {word}"))) } }
        }
    }
}

/// One field that changed.
struct Line<'a> {
    name: String,
    field: Field,
    from: Option<&'a Value>,
    to: Option<&'a Value>,
}

/// The lines of a change: one per custom field where custom fields changed, and otherwise one.
fn lines<'a>(change: &'a FieldChange, names: &Names) -> Vec<Line<'a>> {
    let FieldChange { field, from, to } = change;
    let custom = |value: &'a Option<Value>| match value {
        Some(Value::Custom(values)) => Some(values),
        _ => None,
    };
    let (before, after) = (custom(from), custom(to));
    if before.is_none() && after.is_none() {
        return vec![Line { name: label(*field), field: *field, from: from.as_ref(), to: to.as_ref() }];
    }
    let mut uids: Vec<_> = before.iter().chain(&after).flat_map(|values| values.keys()).collect();
    uids.sort_unstable();
    uids.dedup();
    let line = |uid| {
        let (from, to) = (before.and_then(|values| values.get(uid)), after.and_then(|values| values.get(uid)));
        (from != to).then(|| Line { name: names.field(*uid), field: *field, from, to })
    };
    uids.into_iter().filter_map(line).collect()
}

/// An event in one word.
pub(super) fn event_word(event_type: EventType) -> &'static str {
    match event_type {
        EventType::Created | EventType::FieldAdded => "Created",
        EventType::Updated | EventType::FieldChanged => "Changed",
        EventType::Deleted | EventType::FieldArchived => "Deleted",
        EventType::Restored => "Restored",
        EventType::Merged => "Merged",
        EventType::Erased => "Erased",
        EventType::WelcomeRequested => "Welcome requested",
        EventType::Subscribed => "Subscribed",
        EventType::Failing => "Failing",
        EventType::Disabled => "Disabled",
        EventType::Recovered => "Recovered",
        EventType::Opened => "Opened",
        EventType::Resolved => "Resolved",
    }
}
