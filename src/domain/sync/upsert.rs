//! Creating a record or changing an existing one, found by an identifier in another system or by a matching attribute.

use super::concurrency::{losses_of_deleted, settle};
use super::{Base, MAX_REFS};
use crate::domain::decision::{Decision, Reads, View, find_any, gone};
use crate::domain::reference::Ref;
use crate::domain::schema::Input;
use crate::domain::value::AddressChange;
use crate::domain::{
    Command, Entity, EventType, Field, FieldConflict, FieldPolicy, Invalid, NewEvent, Patch, Record, Refusal, Target,
    Uid, ValidationErrors, Value, company, contact, decide, project, schema,
};

/// Changes the record that it finds, and creates one where it finds none and may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upsert {
    pub entity: Entity,
    /// A uid or an identifier in another system.
    pub target: Option<Target>,
    /// The identifier that the record gets, unless it has it.
    pub reference: Option<Ref>,
    /// The lookup keys that the record may have, where the target finds none.
    pub matching: Vec<String>,
    pub base: Base,
    /// The change. Its target is set when it is decided.
    pub change: Box<Command>,
    /// Creates the record; `None` where the operation creates none. A body that lacks a required attribute fails only where
    /// a record would be created.
    pub create: Option<Box<Result<Command, ValidationErrors>>>,
}

impl Upsert {
    pub(super) fn reads(&self, reads: &mut Reads) {
        if let Some(target) = &self.target {
            reads.target(self.entity, target);
        }
        if let Some(reference) = &self.reference {
            reads.reference(self.entity, reference);
        }
        reads.keys.extend(self.matching.iter().map(|key| (self.entity, key.clone())));
        reads.append(self.change.reads());
        if let Some(Ok(create)) = self.create.as_deref() {
            reads.append(create.reads());
        }
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        match self.find(view)? {
            Some(record) if record.deleted => Ok(self.lose(view, record)),
            Some(record) => self.update(view, record),
            None => self.create(view),
        }
    }

    fn find<'a>(&self, view: &'a impl View) -> Result<Option<&'a Record>, Refusal> {
        match &self.target {
            Some(target @ (Target::Uid(_) | Target::Key(_))) => return find_any(view, self.entity, target).map(Some),
            Some(target @ Target::Ref(_)) => {
                if let Ok(record) = find_any(view, self.entity, target) {
                    return Ok(Some(record));
                }
            }
            None => {}
        }
        let mut hits: Vec<&Record> = self.matching.iter().filter_map(|key| view.by_key(self.entity, key)).collect();
        hits.sort_unstable_by_key(|record| record.uid);
        hits.dedup_by_key(|record| record.uid);
        match hits[..] {
            [] => Ok(None),
            [record] => Ok(Some(record)),
            _ => Err(Refusal::Ambiguous { entity: self.entity, uids: hits.iter().map(|record| record.uid).collect() }),
        }
    }

    fn update(self, view: &impl View, record: &Record) -> Result<Decision, Refusal> {
        let refs = self.new_refs(view, record)?;
        let mut decision = decide(self.change.with_target(record.uid), view)?;
        let subject = (record.entity, record.uid);
        let is_own = |new_event: &NewEvent| {
            (new_event.entity, new_event.uid) == subject && new_event.event_type == EventType::Updated
        };
        let own = decision.new_events.iter().position(is_own);
        let changes = match own.and_then(|index| decision.new_events.get_mut(index)) {
            Some(new_event) => std::mem::take(&mut new_event.changes),
            None => Vec::new(),
        };
        let settled = settle(view, record, &self.base, changes);
        let updated =
            NewEvent { refs, ..NewEvent::new(record.entity, record.uid, EventType::Updated, settled.changes) };
        let is_empty = updated.changes.is_empty() && updated.refs.is_empty();
        match own {
            Some(index) if is_empty => drop(decision.new_events.remove(index)),
            Some(index) => decision.new_events.splice(index..=index, [updated]).for_each(drop),
            None if is_empty => {}
            None => decision.new_events.push(updated),
        }
        decision.new_events.extend(settled.losses);
        let is_refused = |conflict: &&FieldConflict| !conflict.is_applied && conflict.policy == FieldPolicy::Reject;
        let refused: Vec<String> =
            settled.conflicts.iter().filter(is_refused).map(|conflict| conflict.field.name().to_owned()).collect();
        if !refused.is_empty() {
            let (entity, version) = (record.entity, record.version);
            decision.rejection = Some(Refusal::Concurrent { entity, version, fields: refused });
        }
        decision.conflicts = settled.conflicts;
        Ok(decision)
    }

    /// The identifiers that the record gets.
    fn new_refs(&self, view: &impl View, record: &Record) -> Result<Vec<Ref>, Refusal> {
        let Some(reference) = &self.reference else { return Ok(Vec::new()) };
        if record.refs.contains(reference) {
            return Ok(Vec::new());
        }
        let invalid = |detail: String| Err(Invalid::new("ref", detail).into());
        if view.by_ref(self.entity, reference).is_some_and(|other| other.uid != record.uid) {
            return invalid(format!("Belongs to another {}.", self.entity.noun()));
        }
        if record.refs.len() >= MAX_REFS {
            return invalid(format!("A record has at most {MAX_REFS} identifiers in other systems."));
        }
        Ok(vec![reference.clone()])
    }

    /// Logs the values of a change to a tombstone.
    fn lose(self, view: &impl View, record: &Record) -> Decision {
        let refusal = gone(record);
        let changes = if record.erased { Vec::new() } else { record.differences(self.change.patch(view, record)) };
        let losses = losses_of_deleted(view, record, &self.base, changes);
        let decision = Decision::new((record.entity, record.uid), losses);
        Decision { rejection: Some(refusal), ..decision }
    }

    fn create(self, view: &impl View) -> Result<Decision, Refusal> {
        let Some(create) = self.create else { return Err(Refusal::NotFound(self.entity)) };
        let create = (*create).map_err(Refusal::from)?;
        let mut decision = decide(create, view)?;
        let subject = decision.subject;
        let own = decision.new_events.iter_mut().find(|new_event| (new_event.entity, new_event.uid) == subject);
        if let (Some(new_event), Some(reference)) = (own, self.reference) {
            new_event.refs.push(reference);
        }
        Ok(decision)
    }
}

/// The members of an update that every kind of record has.
struct UpdateParts<'a> {
    target: &'a mut Target,
    patch: &'a mut Patch,
    /// Projects have no address.
    address: Option<&'a mut Option<AddressChange>>,
    custom: &'a mut Vec<Input>,
}

impl Command {
    /// The members of an update; `None` for other commands.
    fn update_parts(&mut self) -> Option<UpdateParts<'_>> {
        let (target, patch, address, custom) = match self {
            Self::UpdateContact(contact::UpdateContact { target, patch, address, related, .. }) => {
                (target, patch, Some(address), &mut related.custom)
            }
            Self::UpdateCompany(company::UpdateCompany { target, patch, address, custom, .. }) => {
                (target, patch, Some(address), custom)
            }
            Self::UpdateProject(project::UpdateProject { target, patch, custom, .. }) => (target, patch, None, custom),
            Self::CreateContact(_)
            | Self::CreateCompany(_)
            | Self::CreateProject(_)
            | Self::AddField(_)
            | Self::ChangeField(_)
            | Self::CreateNamed(_)
            | Self::Subscribe(_)
            | Self::ReportHealth(_)
            | Self::Delete(_)
            | Self::Sync(_) => return None,
        };
        Some(UpdateParts { target, patch, address, custom })
    }

    /// The update, of the record with this uid.
    pub(super) fn with_target(mut self, uid: Uid) -> Self {
        if let Some(parts) = self.update_parts() {
            *parts.target = Target::Uid(uid);
        }
        self
    }

    /// The values that an update would give this record. Values of custom fields that are invalid are left out.
    fn patch(mut self, view: &impl View, record: &Record) -> Patch {
        let Some(parts) = self.update_parts() else { return Patch::new() };
        let mut patch = std::mem::take(parts.patch);
        if let Some(address) = parts.address.and_then(Option::take) {
            patch.insert(Field::Address, address.apply(record.address()).map(Value::from));
        }
        let mut with_custom = patch.clone();
        match schema::resolve(view, Some(record), std::mem::take(parts.custom), &mut with_custom) {
            Ok(()) => with_custom,
            Err(_) => patch,
        }
    }
}
