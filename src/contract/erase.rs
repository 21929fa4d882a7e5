//! Erasing a contact from events that are in the log already.
//!
//! Pure. An event keeps its position, id, type, time, origin and the uid of its record, so that no reader notices a gap and
//! a copy outside the log still counts as the same event. Everything else that says something about the person goes:
//!
//! | event of | keeps |
//! | --- | --- |
//! | the contact, and contacts merged into it | that it is erased, and hashes of its identifiers in other systems |
//! | its notes | to which contact they belong |
//! | its conflicts | everything but both values |
//! | a company or project that shows it | the contact's uid |
//!
//! Ids that clients gave to operations and requests are free text. They go with the events above, and with any other event
//! where they contain one of the person's addresses or telephone numbers.

use std::collections::BTreeSet;

use super::EncodedEvent;
use super::event::{self, EncodeError};
use super::record::Corrupt;
use crate::domain::{AccountId, Entity, Event, Field, FieldChange, Person, Record, Uid, Value};

/// An event that cannot be erased from, because it has no readable text.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The event in the log.
    #[error("an event of the log cannot be read")]
    Corrupt(#[from] Corrupt),
    /// The event without the person's data.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A contact to be erased.
#[derive(Debug, Clone, Default)]
pub struct Eraser {
    /// The contact, and those merged into it.
    pub uids: BTreeSet<Uid>,
    /// The person's addresses and telephone numbers, in lower case.
    pub texts: Vec<String>,
}

/// An event without the person's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedEvent {
    /// The event as the log stores it from now on.
    pub event: EncodedEvent,
    /// The text of its record, which the read model stores too.
    pub record: String,
    /// Whether it is an event of the contact itself, or of one merged into it.
    pub is_own: bool,
}

impl Eraser {
    /// The event with this text as it is to be stored; `None` where it has nothing of the person.
    pub fn erase(&self, account: AccountId, text: &str) -> Result<Option<ErasedEvent>, EraseError> {
        let mut event = event::decode(text)?;
        // Encoded again, because a former release may have written it in another form.
        let (before, _) = EncodedEvent::encode(account, &event)?;
        let is_own = self.uids.contains(&event.record.uid);
        let is_about = is_own || self.is_about(&event.record);
        if is_own {
            event.record.erase();
            event.changed.clear();
        } else if is_about {
            clear_values(&mut event);
        } else {
            self.clear_names(&mut event);
        }
        for id in [&mut event.causation, &mut event.correlation] {
            if is_about || id.as_deref().is_some_and(|id| self.names_person(id)) {
                *id = None;
            }
        }
        let (erased, record) = EncodedEvent::encode(account, &event)?;
        Ok((erased != before).then_some(ErasedEvent { event: erased, record, is_own }))
    }

    /// Whether a client's free text contains one of the person's addresses or telephone numbers.
    #[must_use]
    pub fn names_person(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.texts.iter().any(|own| text.contains(own))
    }

    /// Whether the record is a note or a conflict of the contact.
    fn is_about(&self, record: &Record) -> bool {
        let uid = match record.entity {
            Entity::Note => record.text(Field::Contact),
            Entity::Conflict => record.text(Field::RecordUid),
            Entity::Contact
            | Entity::Company
            | Entity::Project
            | Entity::CustomField
            | Entity::Audience
            | Entity::Circle
            | Entity::World
            | Entity::Push => None,
        };
        uid.and_then(super::record::parse_uid).is_some_and(|uid| self.uids.contains(&uid))
    }

    /// Takes the contact's names and address from what other records show of it.
    fn clear_names(&self, event: &mut Event) {
        let Event { changed, record, .. } = event;
        let changes = changed.iter_mut().flat_map(|FieldChange { from, to, .. }| [from, to]).flatten();
        for value in record.fields.values_mut().chain(changes) {
            self.clear_name(value);
        }
    }

    fn clear_name(&self, value: &mut Value) {
        match value {
            Value::Person(person) if self.uids.contains(&person.uid) => {
                let nameless = Person {
                    uid: person.uid,
                    first_name: String::new(),
                    last_name: String::new(),
                    name_prefix: None,
                    email: None,
                    role: None,
                };
                **person = nameless;
            }
            Value::OfField(held) => {
                if let Some(value) = &mut held.value {
                    self.clear_name(value);
                }
            }
            Value::Person(_)
            | Value::Text(_)
            | Value::Role(_)
            | Value::Tags(_)
            | Value::Words(_)
            | Value::Address(_)
            | Value::Links(_)
            | Value::Number(_)
            | Value::Flag(_)
            | Value::Money(_)
            | Value::Audiences(_)
            | Value::Custom(_) => {}
        }
    }
}

/// Takes from a note or a conflict the fields that hold what somebody wrote about the person.
fn clear_values(event: &mut Event) {
    let is_note = event.record.entity == Entity::Note;
    let is_kept = |field: &Field| {
        if is_note { *field == Field::Contact } else { !matches!(field, Field::Kept | Field::Lost) }
    };
    event.changed.retain(|change| is_kept(&change.field));
    event.record.fields.retain(|field, _| is_kept(field));
}
