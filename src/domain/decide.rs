//! One command decided on what is known: facts, or a refusal.

use super::{
    Entity, EventType, Invalid, NewEvent, Record, Refusal, Seq, Target, Uid, company, contact, endpoint, named,
    project, schema,
};

/// A wish to change one record. Everything in it is valid by itself; only the account's state can still refuse it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after what it carries")]
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

/// Makes a record a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Delete {
    pub entity: Entity,
    pub target: Target,
    /// The versions of which one must be the present one; `None` where any will do.
    pub if_match: Option<Vec<Seq>>,
}

/// What a command's decision must be able to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Reads {
    pub uids: Vec<(Entity, Uid)>,
    pub keys: Vec<(Entity, String)>,
}

/// What is known of an account when a command is decided: everything its [`Reads`] name, as of now.
pub trait View {
    /// A record, tombstones included.
    fn by_uid(&self, entity: Entity, uid: Uid) -> Option<&Record>;
    /// The live record that has this lookup key.
    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record>;
}

/// What follows from a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The record that the command was about.
    pub subject: (Entity, Uid),
    /// In the order in which they enter the log; empty where nothing changes.
    pub new_events: Vec<NewEvent>,
}

impl Decision {
    /// A record is changed by this fact, where there is a change in it.
    pub(super) fn of_update(new_event: NewEvent) -> Self {
        let subject = (new_event.entity, new_event.uid);
        let new_events = if new_event.changes.is_empty() { Vec::new() } else { vec![new_event] };
        Self { subject, new_events }
    }
}

impl Command {
    /// The kind of record that the command is about.
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

    /// What must be loaded before [`decide`] can be asked.
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

/// Refuses what would make a record too large to be told of. `view` has every record that the decision changes.
pub fn refuse_too_large(view: &impl View, decision: &Decision) -> Result<(), Refusal> {
    let is_heavy = |new_event: &NewEvent| weight(view.by_uid(new_event.entity, new_event.uid), new_event) > MAX_WEIGHT;
    if !decision.new_events.iter().any(is_heavy) {
        return Ok(());
    }
    Err(Invalid::of_body("The record would be too large: all its fields together have at most 320 KiB.").into())
}

/// An event holds a record, and of what changed the value before and after: with three times this and its envelope it
/// fits the largest message that NATS takes by default (1 MiB).
const MAX_WEIGHT: usize = 320 << 10;

/// What a record weighs after a fact.
fn weight(before: Option<&Record>, new_event: &NewEvent) -> usize {
    let changes = |field| new_event.changes.iter().any(|(changed, _)| *changed == field);
    let kept = before.into_iter().flat_map(|record| &record.fields).filter(|(field, _)| !changes(**field));
    let kept: usize = kept.map(|(_, value)| value.weight()).sum();
    kept + new_event.changes.iter().filter_map(|(_, value)| Some(value.as_ref()?.weight())).sum::<usize>()
}

/// Decides one command. Pure: the same command on the same view gives the same answer.
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

/// The live record that a target names, at one of the versions that the client will have.
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

/// Refuses a lookup key that another live record has.
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
