//! Derives the change of a read model from an event.
//!
//! Pure: an event yields the same row when it is appended and when it is read from the log again, so that a rebuilt read
//! model equals the live one. Knows nothing of SQL or transactions.

use std::collections::BTreeSet;

use crate::domain::{AccountId, Entity, Event, EventType, Field, Record, Uid, Value};
use crate::store::records::Row;

/// The row of an event's record. `text` is the JSON of the record in the event.
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

/// The row of an event's record as all events up to this one leave it: the record's last event alone decides it.
#[must_use]
pub fn last_row(account: AccountId, event: &Event, text: &str) -> Row {
    let companies = (event.record.entity == Entity::Contact).then(|| companies_of(&event.record));
    Row { companies, relisted: BTreeSet::new(), ..row(account, event, text) }
}

/// Merges the rows of two successive events of one record into the row that both leave.
#[must_use]
pub fn merge(earlier: Row, later: Row) -> Row {
    let companies = later.companies.or(earlier.companies);
    let relisted = later.relisted.into_iter().chain(earlier.relisted).collect();
    Row { companies, relisted, ..later }
}

/// The companies of a live contact, where this event may have changed them. A deleted contact has none.
fn companies(event: &Event) -> Option<Vec<Uid>> {
    let touched =
        event.event_type == EventType::Deleted || event.changed.iter().any(|change| change.field == Field::Companies);
    if event.record.entity != Entity::Contact || !touched {
        return None;
    }
    Some(companies_of(&event.record))
}

fn companies_of(contact: &Record) -> Vec<Uid> {
    linked(contact.fields.get(&Field::Companies)).filter(|_| !contact.deleted).collect()
}

/// The companies whose place in the list of companies may change: a company is listed when it is live and a live contact
/// belongs to it.
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
