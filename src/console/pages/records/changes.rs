//! The changes of an event, field by field.

use maud::{Markup, html};

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
                        @if let Some(from) = line.from { del { (value(line.field, from, names)) } }
                        @if line.from.is_some() || line.to.is_none() { span.change-arrow aria-hidden="true" { "→" } span.visually-hidden { " became " } }
                        @match line.to {
                            Some(to) => ins { (value(line.field, to, names)) },
                            None => span.muted { "empty" },
                        }
                    }
                }
            }
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
