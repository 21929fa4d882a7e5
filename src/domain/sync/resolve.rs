//! Resolving a conflict.

use super::conflict::{OPEN, RESOLVED};
use crate::domain::decision::{Decision, Reads, View};
use crate::domain::{
    Command, Entity, EventType, Field, NewEvent, Patch, Record, Refusal, Seq, Target, Uid, Value, company, contact,
    project,
};

/// Ends a conflict, and writes the value that wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    pub conflict: Uid,
    pub take: Resolution,
    /// The versions of the conflict of which one must be the current one; `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
}

/// The value that a conflict's field gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The value that the record had after the conflict; the record stays as it is now.
    Kept,
    /// The value that lost.
    Lost,
    /// Another value, as an update of each kind of record, of which the conflict's kind is decided.
    Value(Box<[Command; 3]>),
}

impl Resolve {
    pub(super) fn reads(&self, reads: &mut Reads) {
        reads.uids.push((Entity::Conflict, self.conflict));
        if let Resolution::Value(updates) = &self.take {
            updates.iter().for_each(|update| reads.append(update.reads()));
        }
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let target = Target::Uid(self.conflict);
        let conflict = crate::domain::decision::find(view, Entity::Conflict, &target, self.if_match.as_deref())?;
        let subject = (Entity::Conflict, conflict.uid);
        if conflict.text(Field::Status) != Some(OPEN) {
            return Ok(Decision::new(subject, Vec::new()));
        }
        let mut new_events = match (self.take, subject_of(conflict)) {
            (Resolution::Kept, _) | (_, None) => Vec::new(),
            (Resolution::Lost, Some((entity, uid))) => match lost(view, conflict, entity, uid) {
                Some(update) => crate::domain::decide(update, view)?.new_events,
                None => Vec::new(),
            },
            (Resolution::Value(updates), Some((entity, uid))) => {
                view.needed(entity, uid);
                let update = updates.into_iter().find(|update| update.entity() == entity);
                match update {
                    Some(update) => crate::domain::decide(update.with_target(uid), view)?.new_events,
                    None => Vec::new(),
                }
            }
        };
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let name = if new_events.is_empty() { "kept" } else { "changed" };
        let patch = Patch::from([(Field::Status, text(RESOLVED)), (Field::Resolution, text(name))]);
        let changes = conflict.differences(patch);
        new_events.push(NewEvent::new(Entity::Conflict, conflict.uid, EventType::Resolved, changes));
        Ok(Decision::new(subject, new_events))
    }
}

/// The record that a conflict is about.
fn subject_of(conflict: &Record) -> Option<(Entity, Uid)> {
    let entity = Entity::from_name(conflict.text(Field::RecordKind)?)?;
    let uid = conflict.text(Field::RecordUid)?.parse().ok()?;
    Some((entity, Uid(uid)))
}

/// The update that writes the value that lost.
fn lost(view: &impl View, conflict: &Record, entity: Entity, uid: Uid) -> Option<Command> {
    view.needed(entity, uid);
    let Some(Value::OfField(lost)) = conflict.fields.get(&Field::Lost) else { return None };
    let field = entity.field(lost.field.name())?;
    let patch = Patch::from([(field, lost.value.clone())]);
    if let (Field::Email | Field::Name, Some(text)) = (field, lost.value.as_ref().and_then(Value::as_text)) {
        view.needed_key(entity, &crate::domain::record::normalize_key(text));
    }
    let target = Target::Uid(uid);
    match entity {
        Entity::Contact => {
            let update = contact::UpdateContact {
                target,
                if_match: None,
                patch,
                address: None,
                company: None,
                related: contact::RelatedChanges::default(),
            };
            Some(Command::UpdateContact(update))
        }
        Entity::Company => {
            let (custom, cleared) = (Vec::new(), Vec::new());
            let update = company::UpdateCompany { target, if_match: None, patch, address: None, custom, cleared };
            Some(Command::UpdateCompany(update))
        }
        Entity::Project => {
            let update = project::UpdateProject { target, if_match: None, patch, custom: Vec::new() };
            Some(Command::UpdateProject(update))
        }
        Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => None,
    }
}
