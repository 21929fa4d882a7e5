//! The input and the result of decisions, shared by the commands of every kind of record.

use super::reference::Ref;
use super::{Entity, FieldConflict, Invalid, NewEvent, Record, Refusal, Seq, SyncPolicy, Target, Uid};

/// The records that a command's decision needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Reads {
    pub uids: Vec<(Entity, Uid)>,
    pub keys: Vec<(Entity, String)>,
    /// Identifiers in other systems: their sources and ids.
    pub refs: Vec<(Entity, String, String)>,
    /// Whether the account's [`SyncPolicy`] is needed.
    pub policy: bool,
}

/// The state of an account on which a command is decided. It has every record that the command's [`Reads`] name.
pub trait View {
    /// The record with this uid, which may be a tombstone.
    fn by_uid(&self, entity: Entity, uid: Uid) -> Option<&Record>;
    /// The live record with this lookup key.
    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record>;
    /// The record with this identifier in another system, which may be a tombstone.
    fn by_ref(&self, entity: Entity, reference: &Ref) -> Option<&Record>;
    /// As [`Self::by_uid`], for a record that becomes known only while a command is decided. Where it was not loaded, it is
    /// loaded afterwards and the command is decided again.
    fn needed(&self, entity: Entity, uid: Uid) -> Option<&Record>;
    /// As [`Self::by_key`], in the way of [`Self::needed`].
    fn needed_key(&self, entity: Entity, key: &str) -> Option<&Record>;
    /// The account's rules for concurrent changes.
    fn policy(&self) -> &SyncPolicy;
}

/// The result of deciding a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The record that the command names.
    pub subject: (Entity, Uid),
    /// In the order of the log; empty where nothing changes.
    pub new_events: Vec<NewEvent>,
    /// The fields that another origin changed concurrently.
    pub conflicts: Vec<FieldConflict>,
    /// The reason why the command did not change its subject, although it is logged.
    pub rejection: Option<Refusal>,
}

impl Decision {
    pub(super) fn new(subject: (Entity, Uid), new_events: Vec<NewEvent>) -> Self {
        Self { subject, new_events, conflicts: Vec::new(), rejection: None }
    }

    /// The decision of an update: this event, unless it changes nothing.
    pub(super) fn of_update(new_event: NewEvent) -> Self {
        let subject = (new_event.entity, new_event.uid);
        let new_events = if new_event.changes.is_empty() { Vec::new() } else { vec![new_event] };
        Self::new(subject, new_events)
    }
}

impl Reads {
    pub(super) fn target(&mut self, entity: Entity, target: &Target) {
        match target {
            Target::Uid(uid) => self.uids.push((entity, *uid)),
            Target::Key(keys) => self.keys.extend(keys.iter().map(|key| (entity, key.clone()))),
            Target::Ref(reference) => self.reference(entity, reference),
        }
    }

    /// The record with this identifier in another system, also where it was erased.
    pub(super) fn reference(&mut self, entity: Entity, reference: &Ref) {
        let erased = reference.erased();
        self.refs.push((entity, reference.source.clone(), reference.id.clone()));
        self.refs.push((entity, erased.source, erased.id));
    }

    /// Adds the reads of another command.
    pub fn append(&mut self, other: Self) {
        let Self { uids, keys, refs, policy } = other;
        self.uids.extend(uids);
        self.keys.extend(keys);
        self.refs.extend(refs);
        self.policy |= policy;
    }
}

/// The record that a target names, which may be a tombstone.
pub(super) fn find_any<'a>(view: &'a impl View, entity: Entity, target: &Target) -> Result<&'a Record, Refusal> {
    let record = match target {
        Target::Uid(uid) => view.by_uid(entity, *uid),
        Target::Key(keys) => keys.iter().find_map(|key| view.by_key(entity, key)),
        Target::Ref(reference) => view.by_ref(entity, reference),
    };
    record.ok_or(Refusal::NotFound(entity))
}

/// The refusal of a change to a tombstone.
pub(super) fn gone(record: &Record) -> Refusal {
    Refusal::Gone { entity: record.entity, deleted_seq: record.version, merged_into: record.merged_into }
}

/// The live record that a target names. Refuses where its version is none of `if_match`.
pub(super) fn find<'a>(
    view: &'a impl View,
    entity: Entity,
    target: &Target,
    if_match: Option<&[Seq]>,
) -> Result<&'a Record, Refusal> {
    let record = find_any(view, entity, target)?;
    if record.deleted {
        return Err(gone(record));
    }
    match if_match {
        Some(versions) if !versions.contains(&record.version) => Err(Refusal::Stale { version: record.version }),
        Some(_) | None => Ok(record),
    }
}

/// Refuses a lookup key that belongs to another live record.
pub(super) fn refuse_taken(view: &impl View, entity: Entity, own: Uid, key: Option<&str>) -> Result<(), Refusal> {
    let other = key.and_then(|key| view.by_key(entity, key)).filter(|other| other.uid != own);
    if other.is_none() {
        return Ok(());
    }
    let attribute = match entity {
        Entity::Contact => "email",
        Entity::Audience => "id",
        Entity::Company
        | Entity::Project
        | Entity::CustomField
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => "name",
    };
    let article = if entity == Entity::Audience { "An" } else { "A" };
    let detail = format!("{article} {} with this {attribute}{TAKEN}", entity.noun());
    Err(Invalid::new(attribute, detail).into())
}

/// The end of the sentence which says that another record has a lookup key.
const TAKEN: &str = " already exists.";

/// True for the error of [`refuse_taken`].
#[must_use]
pub(crate) fn is_taken(invalid: &Invalid) -> bool {
    invalid.detail.ends_with(TAKEN)
}
