//! The commands of projects and their decisions.

use uuid::Uuid;

use crate::domain::decision::{Decision, Reads, View, find};
use crate::domain::schema::{self, Input};
use crate::domain::{
    Entity, EventType, Field, Invalid, NewEvent, Patch, Record, Refusal, Seq, Target, Uid, ValidationErrors, Value,
};

/// Creates a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateProject {
    uid: Uid,
    patch: Patch,
    custom: Vec<Input>,
}

/// Changes a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateProject {
    pub target: Target,
    /// The versions of which one must be the current one (`If-Match`); `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
    pub patch: Patch,
    pub custom: Vec<Input>,
}

impl CreateProject {
    /// Returns the command, or an error for each missing field.
    pub fn new(uid: Uid, patch: Patch, custom: Vec<Input>) -> Result<Self, ValidationErrors> {
        match patch.get(&Field::Name) {
            Some(Some(_)) => Ok(Self { uid, patch, custom }),
            _ => Err(Invalid::new("name", "Is required.").into()),
        }
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        read_references(&self.patch, &self.custom, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(schema::resolve(view, None, self.custom, &mut patch))?;
        errors.take_decided(refuse_inconsistent(view, None, &patch))?;
        errors.into_result(())?;
        let created = NewEvent::of_new(Entity::Project, self.uid, EventType::Created, patch);
        Ok(Decision::new((Entity::Project, self.uid), vec![created]))
    }
}

impl UpdateProject {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.target(Entity::Project, &self.target);
        read_references(&self.patch, &self.custom, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, Entity::Project, &self.target, self.if_match.as_deref())?;
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(schema::resolve(view, Some(record), self.custom, &mut patch))?;
        errors.take_decided(refuse_inconsistent(view, Some(record), &patch))?;
        errors.into_result(())?;
        let changes = record.differences(patch);
        Ok(Decision::of_update(NewEvent::new(Entity::Project, record.uid, EventType::Updated, changes)))
    }
}

fn read_references(patch: &Patch, custom: &[Input], reads: &mut Reads) {
    schema::read(custom, reads);
    if let Some(uid) = client(patch) {
        reads.uids.extend([(Entity::Company, uid), (Entity::Contact, uid)]);
    }
}

fn client(patch: &Patch) -> Option<Uid> {
    let text = patch.get(&Field::Client)?.as_ref()?.as_text()?;
    Uuid::try_parse(text).ok().map(Uid)
}

fn refuse_inconsistent(view: &impl View, record: Option<&Record>, patch: &Patch) -> Result<(), Refusal> {
    let mut errors = ValidationErrors::default();
    if let Some(uid) = client(patch) {
        let live = |entity| view.by_uid(entity, uid).is_some_and(|record| !record.deleted);
        if !live(Entity::Company) && !live(Entity::Contact) {
            errors.push(Invalid::new("client", "No company or contact has this uid."));
        }
    }
    let day = |field| match patch.get(&field) {
        Some(day) => day.as_ref().and_then(Value::as_text),
        None => record.and_then(|record| record.text(field)),
    };
    // Days in this form compare as texts.
    if let (Some(start), Some(end)) = (day(Field::StartDate), day(Field::EndDate))
        && end < start
    {
        errors.push(Invalid::new("end_date", "Must not be before start_date."));
    }
    Ok(errors.into_result(())?)
}
