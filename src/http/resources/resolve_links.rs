//! Records with their links brought up to date.
//!
//! A record stores the names of linked records (a contact those of its companies, a company that of its primary
//! contact) as they were when they were linked. A reader gets the current names, and no link to a deleted record.

use std::collections::HashMap;

use crate::contract::record::{self, RecordJson};
use crate::domain::{AccountId, Entity, Field, Link, Record, Uid, Value};
use crate::store::records::StoredRecord;
use crate::store::{Store, StoreError};

/// Brings the links of these records up to date. A record without links keeps its stored text.
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
            row.record = serde_json::to_string(&RecordJson(&record))
                .map_err(|error| StoreError::corrupt(entity.name(), "record", row.uid, error))?;
        }
    }
    Ok(stored)
}

/// Whether the text has links, without parsing it: most records have none.
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
        | Entity::Push
        | Entity::Conflict => false,
    }
}

/// The kind of records that records of this kind link to.
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
        links.retain(|link| live.contains_key(&link.uid));
        for link in links {
            if let Some(company) = live.get(&link.uid) {
                rename(link, company);
            }
        }
    }
    if let Some(Value::Person(person)) = record.fields.get(&Field::PrimaryContact) {
        let now = live.get(&person.uid).map(|contact| Value::from(contact.person()));
        match now {
            Some(now) => record.fields.insert(Field::PrimaryContact, now),
            None => record.fields.remove(&Field::PrimaryContact),
        };
    }
}

fn rename(link: &mut Link, company: &Record) {
    if let Some(name) = company.text(Field::Name) {
        name.clone_into(&mut link.name);
    }
}
