//! From an event to the change of a read model.
//!
//! Pure: the same event gives the same row, whether it was just appended or is read again from the log, which is why
//! rebuilt read models equal the live ones. It knows nothing of statements or transactions.

use crate::domain::{AccountId, Entity, Event, Field, Uid, Value, Verb};
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
    }
}

/// The row after two events of one record, of which `later` is the later.
#[must_use]
pub fn fold(earlier: Row, later: Row) -> Row {
    let companies = later.companies.or(earlier.companies);
    Row { companies, ..later }
}

/// A live contact's companies, where this event may have changed them.
fn companies(event: &Event) -> Option<Vec<Uid>> {
    let touched = event.verb == Verb::Deleted || event.changed.iter().any(|change| change.field == Field::Companies);
    if event.record.entity != Entity::Contact || !touched {
        return None;
    }
    match event.record.fields.get(&Field::Companies) {
        Some(Value::Links(links)) if !event.record.deleted => Some(links.iter().map(|link| link.uid).collect()),
        _ => Some(Vec::new()),
    }
}
