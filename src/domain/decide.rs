//! Deciding one command on the state of its account: new events, or a refusal.

use super::{
    Entity, EventType, Invalid, NewEvent, Record, Refusal, Seq, Target, Uid, company, contact, endpoint, named,
    project, schema,
};

/// A request to change one record. Its contents are valid by themselves; it can only be refused because of the account's
/// state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its contents")]
pub enum Command {
    CreateContact(contact::CreateContact),
    UpdateContact(contact::UpdateContact),
    CreateCompany(company::CreateCompany),
    UpdateCompany(company::UpdateCompany),
    CreateProject(project::CreateProject),
    UpdateProject(project::UpdateProject),
    AddField(schema::Add),
    ChangeField(schema::ChangeField),
    CreateNamed(named::CreateNamed),
    Subscribe(contact::Subscribe),
    ReportHealth(endpoint::ReportHealth),
    Delete(Delete),
}

/// Deletes a record: it becomes a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Delete {
    pub entity: Entity,
    pub target: Target,
    /// The versions of which one must be the current one (`If-Match`); `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
}

/// The records that a command's decision needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Reads {
    pub uids: Vec<(Entity, Uid)>,
    pub keys: Vec<(Entity, String)>,
}

/// The state of an account on which a command is decided. It has every record that the command's [`Reads`] name.
pub trait View {
    /// The record with this uid, which may be a tombstone.
    fn by_uid(&self, entity: Entity, uid: Uid) -> Option<&Record>;
    /// The live record with this lookup key.
    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record>;
}

/// The result of deciding a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The record that the command names.
    pub subject: (Entity, Uid),
    /// In the order of the log; empty where nothing changes.
    pub new_events: Vec<NewEvent>,
}

impl Decision {
    /// The decision of an update: this event, unless it changes nothing.
    pub(super) fn of_update(new_event: NewEvent) -> Self {
        let subject = (new_event.entity, new_event.uid);
        let new_events = if new_event.changes.is_empty() { Vec::new() } else { vec![new_event] };
        Self { subject, new_events }
    }
}

impl Command {
    /// The kind of the record that the command names.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::CreateContact(_) | Self::UpdateContact(_) | Self::Subscribe(_) => Entity::Contact,
            Self::CreateCompany(_) | Self::UpdateCompany(_) => Entity::Company,
            Self::CreateProject(_) | Self::UpdateProject(_) => Entity::Project,
            Self::AddField(_) | Self::ChangeField(_) => Entity::CustomField,
            Self::CreateNamed(create) => create.entity(),
            Self::ReportHealth(_) => Entity::Push,
            Self::Delete(delete) => delete.entity,
        }
    }

    /// The records that must be loaded before [`decide`] is called.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        match self {
            Self::CreateContact(create) => create.reads(&mut reads),
            Self::UpdateContact(update) => update.reads(&mut reads),
            Self::CreateCompany(create) => create.reads(&mut reads),
            Self::UpdateCompany(update) => update.reads(&mut reads),
            Self::CreateProject(create) => create.reads(&mut reads),
            Self::UpdateProject(update) => update.reads(&mut reads),
            Self::AddField(add) => add.reads(&mut reads),
            Self::ChangeField(change) => change.reads(&mut reads),
            Self::CreateNamed(create) => create.reads(&mut reads),
            Self::Subscribe(subscribe) => subscribe.reads(&mut reads),
            Self::ReportHealth(report) => report.reads(&mut reads),
            Self::Delete(delete) => reads.target(delete.entity, &delete.target),
        }
        reads
    }
}

/// Refuses a decision that makes a record too large for an event. `view` has every record that the decision changes.
pub fn refuse_too_large(view: &impl View, decision: &Decision) -> Result<(), Refusal> {
    let is_heavy = |new_event: &NewEvent| weight(view.by_uid(new_event.entity, new_event.uid), new_event) > MAX_WEIGHT;
    if !decision.new_events.iter().any(is_heavy) {
        return Ok(());
    }
    Err(Invalid::of_body("The record would be too large: all its fields together have at most 320 KiB.").into())
}

/// The most bytes of a record. An event holds the record and of each change the values before and after, so that it has up
/// to three times these bytes and its envelope: less than the largest message of NATS (1 MiB by default).
const MAX_WEIGHT: usize = 320 << 10;

/// The bytes of a record after a new event.
fn weight(before: Option<&Record>, new_event: &NewEvent) -> usize {
    let changes = |field| new_event.changes.iter().any(|(changed, _)| *changed == field);
    let kept = before.into_iter().flat_map(|record| &record.fields).filter(|(field, _)| !changes(**field));
    let kept: usize = kept.map(|(_, value)| value.weight()).sum();
    kept + new_event.changes.iter().filter_map(|(_, value)| Some(value.as_ref()?.weight())).sum::<usize>()
}

/// Decides one command. Pure: the same command on the same view has the same result.
pub fn decide(command: Command, view: &impl View) -> Result<Decision, Refusal> {
    match command {
        Command::CreateContact(create) => create.decide(view),
        Command::UpdateContact(update) => update.decide(view),
        Command::CreateCompany(create) => create.decide(view),
        Command::UpdateCompany(update) => update.decide(view),
        Command::CreateProject(create) => create.decide(view),
        Command::UpdateProject(update) => update.decide(view),
        Command::AddField(add) => add.decide(view),
        Command::ChangeField(change) => change.decide(view),
        Command::CreateNamed(create) => create.decide(view),
        Command::Subscribe(subscribe) => subscribe.decide(view),
        Command::ReportHealth(report) => Ok(report.decide(view)),
        Command::Delete(delete) => delete.decide(view),
    }
}

impl Delete {
    fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, self.entity, &self.target, self.if_match.as_deref())?;
        let event_type = if self.entity == Entity::CustomField { EventType::FieldArchived } else { EventType::Deleted };
        let new_event = NewEvent { entity: self.entity, uid: record.uid, event_type, changes: Vec::new() };
        Ok(Decision { subject: (self.entity, record.uid), new_events: vec![new_event] })
    }
}

impl Reads {
    pub(super) fn target(&mut self, entity: Entity, target: &Target) {
        match target {
            Target::Uid(uid) => self.uids.push((entity, *uid)),
            Target::Key(keys) => self.keys.extend(keys.iter().map(|key| (entity, key.clone()))),
        }
    }
}

/// The live record that a target names. Refuses where its version is none of `if_match`.
pub(super) fn find<'a>(
    view: &'a impl View,
    entity: Entity,
    target: &Target,
    if_match: Option<&[Seq]>,
) -> Result<&'a Record, Refusal> {
    let record = match target {
        Target::Uid(uid) => view.by_uid(entity, *uid),
        Target::Key(keys) => keys.iter().find_map(|key| view.by_key(entity, key)),
    };
    let record = record.ok_or(Refusal::NotFound(entity))?;
    if record.deleted {
        return Err(Refusal::Gone { entity, deleted_seq: record.version });
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
        | Entity::Push => "name",
    };
    let article = if entity == Entity::Audience { "An" } else { "A" };
    let detail = format!("{article} {} with this {attribute} already exists.", entity.noun());
    Err(Invalid::new(attribute, detail).into())
}
