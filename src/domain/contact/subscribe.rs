//! Subscribing to audiences, by email address.

use crate::domain::decision::{Decision, Reads, View};
use crate::domain::record::normalize_key;
use crate::domain::schema::{self, Input};
use crate::domain::{
    Entity, EventType, Field, Invalid, NewEvent, Patch, Record, Refusal, Role, Uid, ValidationErrors, Value,
};

/// The most unknown audiences that a refusal names.
const MAX_UNKNOWN: usize = 5;

/// The most errors that the refusal of one item lists, because a request has up to a hundred items.
const MAX_ERRORS: usize = 20;

/// Subscribes the contact with an email address. Where no contact has it, a Lead is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    create_as: Uid,
    email: String,
    patch: Patch,
    audiences: Vec<i64>,
    custom: Vec<Input>,
}

impl Subscribe {
    /// `patch` has the email, and the names for a new contact; `custom` has values for a new or an existing one. Returns the
    /// command, or an error where the email is missing.
    pub fn new(
        create_as: Uid,
        patch: Patch,
        audiences: Vec<i64>,
        custom: Vec<Input>,
    ) -> Result<Self, ValidationErrors> {
        match patch.get(&Field::Email).cloned().flatten() {
            Some(Value::Text(email)) => Ok(Self { create_as, email, patch, audiences, custom }),
            _ => Err(Invalid::new("email", "Is required.").into()),
        }
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.keys.push((Entity::Contact, normalize_key(&self.email)));
        reads.keys.extend(self.audiences.iter().map(|id| (Entity::Audience, id.to_string())));
        schema::read(&self.custom, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let unknown = self.audiences.iter().filter(|id| view.by_key(Entity::Audience, &id.to_string()).is_none());
        // A request has up to a hundred items with a list each, so that each item names only its first unknown audiences.
        let unknown = unknown.take(MAX_UNKNOWN);
        let unknown = unknown.map(|id| Invalid::new("audiences", format!("There is no audience {id}.")));
        let mut errors: ValidationErrors = unknown.collect();
        let contact = view.by_key(Entity::Contact, &normalize_key(&self.email));
        let uid = contact.map_or(self.create_as, |contact| contact.uid);
        let mut patch = if contact.is_some() { Patch::new() } else { self.patch };
        errors.take_decided(schema::resolve(view, contact, self.custom, &mut patch))?;
        refuse_with_first(errors)?;
        let mut new_events = Vec::new();
        match contact {
            Some(contact) => new_events.extend(added(contact, patch)),
            None => new_events.push(lead(uid, patch)),
        }
        // A contact that does not exist yet has no audiences.
        let before = contact.map(subscribed).unwrap_or_default();
        let mut audiences = before.clone();
        audiences.extend(self.audiences);
        audiences.sort_unstable();
        audiences.dedup();
        if audiences != before {
            let changes = vec![(Field::Audiences, Some(Value::Audiences(audiences)))];
            new_events.push(NewEvent::new(Entity::Contact, uid, EventType::Subscribed, changes));
        }
        Ok(Decision::new((Entity::Contact, uid), new_events))
    }
}

/// Refuses with the first errors, where there are any.
fn refuse_with_first(errors: ValidationErrors) -> Result<(), Refusal> {
    let mut listed = errors.into_list();
    if listed.is_empty() {
        return Ok(());
    }
    if listed.len() > MAX_ERRORS {
        listed.truncate(MAX_ERRORS);
        listed.push(Invalid::of_body("Has further invalid fields."));
    }
    Err(Refusal::Invalid(listed))
}

/// The update of an existing contact with the values of its custom fields that an item sets; `None` where it has them already.
/// An item clears no value, because a form sends an empty text for a field that its reader left blank.
fn added(contact: &Record, mut patch: Patch) -> Option<NewEvent> {
    for (field, set) in &mut patch {
        if let Some(Value::Custom(before)) = contact.fields.get(field) {
            let mut values = before.clone();
            if let Some(Value::Custom(set)) = set.take() {
                values.extend(set);
            }
            *set = Some(Value::Custom(values));
        }
    }
    let changes = contact.differences(patch);
    (!changes.is_empty()).then_some(NewEvent::new(Entity::Contact, contact.uid, EventType::Updated, changes))
}

fn subscribed(contact: &Record) -> Vec<i64> {
    match contact.fields.get(&Field::Audiences) {
        Some(Value::Audiences(audiences)) => audiences.clone(),
        _ => Vec::new(),
    }
}

fn lead(uid: Uid, mut patch: Patch) -> NewEvent {
    patch.insert(Field::Role, Some(Value::Role(Role::Lead)));
    for name in [Field::FirstName, Field::LastName] {
        patch.entry(name).or_insert_with(|| Some(Value::Text(String::new())));
    }
    NewEvent::of_new(Entity::Contact, uid, EventType::Created, patch)
}
