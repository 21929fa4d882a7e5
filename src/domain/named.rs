//! Audiences and worlds: records with little more than a name.
//!
//! Guarantees: an audience's number and a world's name are unique in an account.

use super::decision::{Decision, Reads, View, refuse_taken};
use super::record::normalize_key;
use super::{
    Entity, EventType, Field, Invalid, NewEvent, Number, Patch, Record, Refusal, Uid, ValidationErrors, Value,
};

/// Creates an audience or a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNamed {
    entity: Entity,
    uid: Uid,
    patch: Patch,
    key: String,
}

impl CreateNamed {
    /// An audience: a list that contacts can subscribe to, identified by its number.
    pub fn audience(uid: Uid, id: u32, name: &str) -> Result<Self, ValidationErrors> {
        if id == 0 {
            return Err(Invalid::new(Field::Id.name(), "Must be a whole number from 1.").into());
        }
        let mut patch = named(name)?;
        patch.insert(Field::Id, Some(Value::Number(Number::from(id))));
        Ok(Self { entity: Entity::Audience, uid, patch, key: id.to_string() })
    }

    /// A world: a workspace of the account.
    pub fn world(uid: Uid, name: &str) -> Result<Self, ValidationErrors> {
        Ok(Self { entity: Entity::World, uid, patch: named(name)?, key: normalize_key(name) })
    }

    pub(super) fn entity(&self) -> Entity {
        self.entity
    }

    pub(super) fn reads(&self, reads: &mut Reads) {
        reads.keys.push((self.entity, self.key.clone()));
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let Self { entity, uid, patch, key } = self;
        refuse_taken(view, entity, uid, Some(&key))?;
        let new_event = NewEvent::new(entity, uid, EventType::Created, patch.into_iter().collect());
        Ok(Decision::new((entity, uid), vec![new_event]))
    }
}

/// The number for a new audience: the one after the highest. Where two commands choose the same number, the second one is
/// refused. `None` where there is no higher number.
#[must_use]
pub fn next_audience_number(audiences: &[Record]) -> Option<u32> {
    let numbers = audiences.iter().filter_map(|audience| audience.number(Field::Id)?.whole());
    // The first audience gets number 1.
    u32::try_from(numbers.max().unwrap_or(0)).ok()?.checked_add(1)
}

fn named(name: &str) -> Result<Patch, Invalid> {
    let invalid = |detail: String| Invalid::new(Field::Name.name(), detail);
    let value = Value::parse(Field::Name.kind(), name).map_err(invalid)?;
    if value.as_text() == Some("") {
        return Err(invalid("Is required.".to_owned()));
    }
    Ok(Patch::from([(Field::Name, Some(value))]))
}
