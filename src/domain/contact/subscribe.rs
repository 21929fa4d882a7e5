//! Subscribing to audiences, by email address.

use crate::domain::decision::{Decision, Reads, View};
use crate::domain::record::normalize_key;
use crate::domain::{
    Entity, EventType, Field, Invalid, NewEvent, Patch, Record, Refusal, Role, Uid, ValidationErrors, Value,
};

/// The most unknown audiences that a refusal names.
const MAX_UNKNOWN: usize = 5;

/// Subscribes the contact with an email address. Where no contact has it, a Lead is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    create_as: Uid,
    email: String,
    patch: Patch,
    audiences: Vec<i64>,
}

impl Subscribe {
    /// `patch` has the email, and the names for a new contact. Returns the command, or an error where the email is missing.
    pub fn new(create_as: Uid, patch: Patch, audiences: Vec<i64>) -> Result<Self, ValidationErrors> {
        match patch.get(&Field::Email).cloned().flatten() {
            Some(Value::Text(email)) => Ok(Self { create_as, email, patch, audiences }),
            _ => Err(Invalid::new("email", "Is required.").into()),
        }
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.keys.push((Entity::Contact, normalize_key(&self.email)));
        reads.keys.extend(self.audiences.iter().map(|id| (Entity::Audience, id.to_string())));
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let unknown = self.audiences.iter().filter(|id| view.by_key(Entity::Audience, &id.to_string()).is_none());
        // A request has up to a hundred items with a list each, so that each item names only its first unknown audiences.
        let unknown = unknown.take(MAX_UNKNOWN);
        let errors = unknown.map(|id| Invalid::new("audiences", format!("There is no audience {id}.")));
        errors.collect::<ValidationErrors>().into_result(())?;
        let contact = view.by_key(Entity::Contact, &normalize_key(&self.email));
        let uid = contact.map_or(self.create_as, |contact| contact.uid);
        let mut new_events = Vec::new();
        if contact.is_none() {
            new_events.push(lead(uid, self.patch));
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
