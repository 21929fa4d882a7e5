//! Derives the change of a read model from an event.
//!
//! Pure: an event yields the same row when it is appended and when it is read from the log again, so that a rebuilt read
//! model equals the live one. Knows nothing of SQL or transactions.

use std::collections::BTreeSet;

use crate::domain::sync::conflict::{OPEN, RESOLVED};
use crate::domain::{AccountId, Entity, Event, EventType, Field, Record, Uid, Value};
use crate::store::row::Row;

/// The row of an event's record. `text` is the JSON of the record in the event; `before` are the companies that the record
/// belonged to before the event, of which an erased record has nothing left.
#[must_use]
pub fn row(account: AccountId, event: &Event, text: &str, before: &[Uid]) -> Row {
    let of_record = last_row(account, &event.record, text);
    Row {
        is_new: event.previous_version.is_none(),
        companies: of_record.companies.filter(|_| touches_companies(event)),
        relisted: relisted(event, before),
        refs: of_record.refs.filter(|refs| !refs.is_empty() || loses_refs(event)),
        ..of_record
    }
}

/// The row that all events of a record leave, of which the last one contains this record.
#[must_use]
pub fn last_row(account: AccountId, record: &Record, text: &str) -> Row {
    Row {
        account,
        entity: record.entity,
        uid: record.uid,
        is_new: true,
        version: record.version,
        key: record.key(),
        role: match record.fields.get(&Field::Role) {
            Some(Value::Role(role)) => Some(role.name()),
            _ => status(record),
        },
        deleted: record.deleted,
        created_at: record.created_at,
        updated_at: record.updated_at,
        record: text.to_owned(),
        companies: (record.entity == Entity::Contact).then(|| companies_of(record)),
        relisted: BTreeSet::new(),
        refs: Some(record.refs.clone()),
    }
}

/// Merges the rows of two successive events of one record into the row that both leave.
#[must_use]
pub fn merge(earlier: Row, later: Row) -> Row {
    let companies = later.companies.or(earlier.companies);
    let relisted = later.relisted.into_iter().chain(earlier.relisted).collect();
    let refs = later.refs.or(earlier.refs);
    Row { is_new: earlier.is_new, companies, relisted, refs, ..later }
}

/// The status of a conflict, which the column of roles has, so that lists are filtered by it.
fn status(record: &Record) -> Option<&'static str> {
    let status = record.text(Field::Status).filter(|_| record.entity == Entity::Conflict)?;
    Some(if status == OPEN { OPEN } else { RESOLVED })
}

/// Whether the event may have taken identifiers in other systems from its record.
fn loses_refs(event: &Event) -> bool {
    matches!(event.event_type, EventType::Merged | EventType::Erased)
}

/// Whether the event makes a live record a tombstone, or the other way round.
fn changes_existence(event: &Event) -> bool {
    matches!(event.event_type, EventType::Deleted | EventType::Restored | EventType::Merged | EventType::Erased)
}

/// Whether this event may have changed the companies of its record.
fn touches_companies(event: &Event) -> bool {
    changes_existence(event) || event.changed.iter().any(|change| change.field == Field::Companies)
}

/// The companies that a contact belongs to; none where it is deleted, or no contact.
#[must_use]
pub fn companies_of(contact: &Record) -> Vec<Uid> {
    linked(contact.fields.get(&Field::Companies)).filter(|_| !contact.deleted).collect()
}

/// The companies whose place in the list of companies may change: a company is listed when it is live and a live contact
/// belongs to it.
fn relisted(event: &Event, before: &[Uid]) -> BTreeSet<Uid> {
    let record = &event.record;
    match (record.entity, event.event_type) {
        (Entity::Company, _) if changes_existence(event) => BTreeSet::from([record.uid]),
        (Entity::Contact, _) if changes_existence(event) => {
            linked(record.fields.get(&Field::Companies)).chain(before.iter().copied()).collect()
        }
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
            | Entity::Push
            | Entity::Conflict,
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
