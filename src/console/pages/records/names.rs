//! The names of what records refer to: custom fields, companies, contacts and the people who changed them.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::super::super::commands::CAUSED_BY;
use super::super::super::error::PageError;
use super::super::super::state::Console;
use super::title_of;
use crate::contract::record::parse_uid;
use crate::domain::schema::Definition;
use crate::domain::{AccountId, Entity, Event, Field, Record, Uid, Value};

/// The names that a page needs, read by at most one statement per kind, and none where a record refers to nothing.
#[derive(Default)]
pub(super) struct Names {
    /// The labels of custom fields.
    fields: HashMap<Uid, String>,
    /// The present names of linked records that are live.
    linked: HashMap<Uid, String>,
    /// The email addresses of users, by their ids.
    people: HashMap<Uuid, String>,
    /// The links whose names were looked up.
    looked_up: HashSet<Uid>,
    /// The clients of projects that are live: their kinds and names.
    clients: HashMap<Uid, (Entity, String)>,
}

impl Names {
    pub(super) async fn read(
        console: &Console,
        account: AccountId,
        record: &Record,
        events: &[Event],
    ) -> Result<Self, PageError> {
        let mut names = Self::default();
        let mut fields: Vec<Uuid> = custom_fields(record, events).into_iter().collect();
        fields.sort_unstable();
        if !fields.is_empty() {
            let definitions = console.store.definitions(account, &fields).await?;
            let labels = definitions.iter().filter_map(Definition::of);
            names.fields = labels.map(|definition| (definition.uid, definition.label.to_owned())).collect();
        }
        let (entity, linked) = links(record);
        if !linked.is_empty() {
            let uids: Vec<Uuid> = linked.iter().map(|uid| uid.0).collect();
            let live = console.store.live_records(account, entity, &uids).await?;
            names.linked = live.iter().map(|record| (record.uid, title_of(record))).collect();
            names.looked_up = linked.into_iter().collect();
        }
        let clients = clients(record, events);
        if !clients.is_empty() {
            for entity in [Entity::Contact, Entity::Company] {
                let live = console.store.live_records(account, entity, &clients).await?;
                names.clients.extend(live.iter().map(|record| (record.uid, (entity, title_of(record)))));
            }
        }
        if events.iter().any(|event| person(event).is_some()) {
            let users = console.store.users(account).await?;
            names.people = users.into_iter().map(|user| (user.user_id, user.email)).collect();
        }
        Ok(names)
    }

    /// The label of a custom field. One that was erased has none.
    pub(super) fn field(&self, uid: Uid) -> String {
        self.fields.get(&uid).cloned().unwrap_or_else(|| format!("Custom field {uid}"))
    }

    /// The present name of a linked record; `None` where it was deleted.
    pub(super) fn linked<'a>(&'a self, uid: Uid, stored: &'a str) -> Option<&'a str> {
        match self.linked.get(&uid) {
            Some(name) => Some(name),
            None if self.looked_up.contains(&uid) => None,
            None => Some(stored),
        }
    }

    /// The kind and the present name of a project's client; `None` where it was deleted.
    pub(super) fn client(&self, uid: Uid) -> Option<(Entity, &str)> {
        self.clients.get(&uid).map(|(entity, name)| (*entity, name.as_str()))
    }

    /// The person who caused an event by the console.
    pub(super) fn person(&self, event: &Event) -> Option<&str> {
        let id = person(event)?;
        Some(self.people.get(&id).map_or("a former user", String::as_str))
    }
}

fn person(event: &Event) -> Option<Uuid> {
    event.causation.as_deref()?.strip_prefix(CAUSED_BY)?.parse().ok()
}

/// The values of a record and of its events, with their fields.
fn values<'a>(record: &'a Record, events: &'a [Event]) -> impl Iterator<Item = (Field, &'a Value)> {
    let changes = events.iter().flat_map(|event| &event.changed);
    let of_events =
        changes.flat_map(|change| [&change.from, &change.to].into_iter().flatten().map(|value| (change.field, value)));
    record.fields.iter().map(|(field, value)| (*field, value)).chain(of_events)
}

fn custom_fields(record: &Record, events: &[Event]) -> HashSet<Uuid> {
    let custom = values(record, events)
        .filter_map(|(_, value)| if let Value::Custom(values) = value { Some(values) } else { None });
    custom.flat_map(|values| values.keys().map(|uid| uid.0)).collect()
}

/// The contacts and companies that a project is or was for.
fn clients(record: &Record, events: &[Event]) -> Vec<Uuid> {
    let of_field = values(record, events).filter(|(field, _)| *field == Field::Client);
    let mut uids: Vec<Uuid> = of_field.filter_map(|(_, value)| Some(parse_uid(value.as_text()?)?.0)).collect();
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// The records that a record links to, and their kind.
fn links(record: &Record) -> (Entity, Vec<Uid>) {
    match (record.fields.get(&Field::Companies), record.fields.get(&Field::PrimaryContact)) {
        (Some(Value::Links(links)), _) => (Entity::Company, links.iter().map(|link| link.uid).collect()),
        (_, Some(Value::Person(person))) => (Entity::Contact, vec![person.uid]),
        _ => (Entity::Company, Vec::new()),
    }
}
