//! The names of what records refer to: custom fields, companies, contacts and the people who changed them.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::super::super::commands::causing_user;
use super::super::super::error::PageError;
use super::super::super::state::Console;
use super::title_of;
use crate::domain::schema::Definition;
use crate::domain::{AccountId, Entity, Event, Field, Record, Uid, Value};

/// The names that a page needs, read by at most one statement per kind, and none where a record refers to nothing.
#[derive(Default)]
pub(super) struct Names {
    /// The labels of custom fields.
    fields: HashMap<Uid, String>,
    /// The present names of linked records that are live.
    linked: HashMap<Uid, String>,
    /// The clients of projects that are live: their kinds and present names.
    clients: HashMap<Uid, (Entity, String)>,
    /// The names of marketing audiences, by their numbers.
    audiences: HashMap<i64, String>,
    /// The email addresses of users, by their ids.
    people: HashMap<Uuid, String>,
    /// The links whose names were looked up.
    looked_up: HashSet<Uid>,
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
        names.clients = clients_of(console, account, record, events).await?;
        if values(record, events).any(|value| matches!(value, Value::Audiences(_))) {
            let audiences = console.store.schema(account).await?.audiences;
            let named = |audience: &Record| {
                Some((audience.number(Field::Id)?.whole()?, audience.text(Field::Name)?.to_owned()))
            };
            names.audiences = audiences.iter().filter_map(named).collect();
        }
        if events.iter().any(|event| causing_user(event).is_some()) {
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

    /// The name of an audience. One that the account does not have is shown by its number.
    pub(super) fn audience(&self, number: i64) -> String {
        self.audiences.get(&number).cloned().unwrap_or_else(|| format!("No. {number}"))
    }

    /// The person who caused an event by the console.
    pub(super) fn person(&self, event: &Event) -> Option<&str> {
        let id = causing_user(event)?;
        Some(self.people.get(&id).map_or("a former user", String::as_str))
    }
}

/// All values that the page shows.
fn values<'a>(record: &'a Record, events: &'a [Event]) -> impl Iterator<Item = &'a Value> {
    let of_events = events
        .iter()
        .flat_map(|event| event.changed.iter().flat_map(|change| [change.from.as_ref(), change.to.as_ref()]).flatten());
    record.fields.values().chain(of_events)
}

/// The clients of a project, now and in its history: companies, or contacts.
async fn clients_of(
    console: &Console,
    account: AccountId,
    record: &Record,
    events: &[Event],
) -> Result<HashMap<Uid, (Entity, String)>, PageError> {
    let mut clients = HashMap::new();
    if record.entity != Entity::Project {
        return Ok(clients);
    }
    let now = record.fields.get(&Field::Client);
    let changes = events.iter().flat_map(|event| &event.changed).filter(|change| change.field == Field::Client);
    let before = changes.flat_map(|change| [change.from.as_ref(), change.to.as_ref()]).flatten();
    let uid_of = |value: &Value| if let Value::Text(text) = value { text.parse::<Uuid>().ok() } else { None };
    let mut uids: Vec<Uuid> = now.into_iter().chain(before).filter_map(uid_of).collect();
    uids.sort_unstable();
    uids.dedup();
    for entity in [Entity::Company, Entity::Contact] {
        uids.retain(|uid| !clients.contains_key(&Uid(*uid)));
        if !uids.is_empty() {
            let live = console.store.live_records(account, entity, &uids).await?;
            clients.extend(live.iter().map(|record| (record.uid, (entity, title_of(record)))));
        }
    }
    Ok(clients)
}

fn custom_fields(record: &Record, events: &[Event]) -> HashSet<Uuid> {
    let custom =
        values(record, events).filter_map(|value| if let Value::Custom(values) = value { Some(values) } else { None });
    custom.flat_map(|values| values.keys().map(|uid| uid.0)).collect()
}

/// The records that a record links to, and their kind.
fn links(record: &Record) -> (Entity, Vec<Uid>) {
    match (record.fields.get(&Field::Companies), record.fields.get(&Field::PrimaryContact)) {
        (Some(Value::Links(links)), _) => (Entity::Company, links.iter().map(|link| link.uid).collect()),
        (_, Some(Value::Person(person))) => (Entity::Contact, vec![person.uid]),
        _ => (Entity::Company, Vec::new()),
    }
}
