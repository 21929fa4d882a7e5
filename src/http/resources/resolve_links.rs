//! Records as they are now.
//!
//! What a record says of others (a contact of its companies, a company of its first contact) was written down when it
//! was linked. A reader is shown the present names instead, and nothing of what was deleted since.

use std::collections::HashMap;

use crate::contract::record::{self, RecordJson};
use crate::domain::{AccountId, Entity, Field, Link, Person, Record, Uid, Value};
use crate::store::records::StoredRecord;
use crate::store::{Store, StoreError};

/// Brings the links of these records up to date. The text of a record without links is left as it stands.
pub(in crate::http) async fn resolve_links(
    store: &Store,
    account: AccountId,
    entity: Entity,
    mut stored: Vec<StoredRecord>,
) -> Result<Vec<StoredRecord>, StoreError> {
    let mut linked = Vec::new();
    for (index, row) in stored.iter().enumerate().filter(|(_, row)| has_links(entity, &row.record)) {
        let decoded = record::decode(entity, &row.record)
            .map_err(|error| StoreError::corrupt(entity.name(), "record", row.uid, error))?;
        linked.push((index, decoded));
    }
    if linked.is_empty() {
        return Ok(stored);
    }
    let uids: Vec<_> = linked.iter().flat_map(|(_, record)| links(record)).map(|uid| uid.0).collect();
    let live = store.live_records(account, others(entity), &uids).await?;
    let live: HashMap<Uid, Record> = live.into_iter().map(|record| (record.uid, record)).collect();
    for (index, mut record) in linked {
        refresh(&mut record, &live);
        if let Some(row) = stored.get_mut(index) {
            row.record = serde_json::to_string(&RecordJson(&record)).unwrap_or_default();
        }
    }
    Ok(stored)
}

/// Whether the text has links, without reading it: most records have none.
fn has_links(entity: Entity, text: &str) -> bool {
    match entity {
        Entity::Contact => text.contains(r#""companies":[{"#),
        Entity::Company => text.contains(r#""primaryContact":{"#),
        Entity::Project
        | Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push => false,
    }
}

/// What records of this kind have links to.
fn others(entity: Entity) -> Entity {
    if entity == Entity::Company { Entity::Contact } else { Entity::Company }
}

fn links(record: &Record) -> Vec<Uid> {
    match (record.fields.get(&Field::Companies), record.fields.get(&Field::PrimaryContact)) {
        (Some(Value::Links(links)), _) => links.iter().map(|link| link.uid).collect(),
        (_, Some(Value::Person(person))) => vec![person.uid],
        _ => Vec::new(),
    }
}

fn refresh(record: &mut Record, live: &HashMap<Uid, Record>) {
    if let Some(Value::Links(links)) = record.fields.get_mut(&Field::Companies) {
        links.retain_mut(|link| live.get(&link.uid).is_some_and(|company| rename(link, company)));
    }
    if let Some(Value::Person(person)) = record.fields.get(&Field::PrimaryContact) {
        let now = live.get(&person.uid).map(|contact| Value::Person(Person::of(contact)));
        match now {
            Some(now) => record.fields.insert(Field::PrimaryContact, now),
            None => record.fields.remove(&Field::PrimaryContact),
        };
    }
}

fn rename(link: &mut Link, company: &Record) -> bool {
    company.text(Field::Name).unwrap_or_default().clone_into(&mut link.name);
    true
}
