//! From an event to the change of a read model.
//!
//! Pure: the same event gives the same row, whether it was just appended or is read again from the log, which is why
//! rebuilt read models equal the live ones. It knows nothing of statements or transactions.

use std::collections::BTreeSet;

use crate::domain::{AccountId, Entity, Event, EventType, Field, Uid, Value};
use crate::store::records::Row;

/// The row that an event's record becomes. `text` is the record as the event shows it.
#[must_use]
pub fn row(account: AccountId, event: &Event, text: &str) -> Row {
    let record = &event.record;
    Row {
        account,
        entity: record.entity,
        uid: record.uid,
        version: record.version,
        key: record.key(),
        role: match record.fields.get(&Field::Role) {
            Some(Value::Role(role)) => Some(role.name()),
            _ => None,
        },
        deleted: record.deleted,
        created_at: record.created_at,
        updated_at: record.updated_at,
        record: text.to_owned(),
        companies: companies(event),
        relisted: relisted(event),
    }
}

/// The row after two events of one record, of which `later` is the later.
#[must_use]
pub fn fold(earlier: Row, later: Row) -> Row {
    let companies = later.companies.or(earlier.companies);
    let relisted = later.relisted.into_iter().chain(earlier.relisted).collect();
    Row { companies, relisted, ..later }
}

/// A live contact's companies, where this event may have changed them.
fn companies(event: &Event) -> Option<Vec<Uid>> {
    let touched =
        event.event_type == EventType::Deleted || event.changed.iter().any(|change| change.field == Field::Companies);
    if event.record.entity != Entity::Contact || !touched {
        return None;
    }
    let live = !event.record.deleted;
    Some(linked(event.record.fields.get(&Field::Companies)).filter(|_| live).collect())
}

/// A company is listed when it is live and a live contact belongs to it.
fn relisted(event: &Event) -> BTreeSet<Uid> {
    let record = &event.record;
    match (record.entity, event.event_type) {
        (Entity::Company, EventType::Deleted) => BTreeSet::from([record.uid]),
        (Entity::Contact, EventType::Deleted) => linked(record.fields.get(&Field::Companies)).collect(),
        (Entity::Contact, _) => {
            let changes = event.changed.iter().filter(|change| change.field == Field::Companies);
            changes.flat_map(|change| linked(change.from.as_ref()).chain(linked(change.to.as_ref()))).collect()
        }
        (
            Entity::Company
            | Entity::Project
            | Entity::CustomField
            | Entity::Audience
            | Entity::Circle
            | Entity::Note
            | Entity::World
            | Entity::Push,
            _,
        ) => BTreeSet::new(),
    }
}

fn linked(value: Option<&Value>) -> impl Iterator<Item = Uid> {
    let links = match value {
        Some(Value::Links(links)) => links.as_slice(),
        _ => &[],
    };
    links.iter().map(|link| link.uid)
}
