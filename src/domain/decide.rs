//! Deciding one command on the state of its account: new events, or a refusal.

use super::decision::{Decision, Reads, View, find};
use super::{
    Entity, EventType, Invalid, NewEvent, Record, Refusal, Seq, Target, company, contact, endpoint, named, project,
    schema, sync,
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
    Sync(Box<sync::SyncOperation>),
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
            Self::Sync(operation) => operation.entity(),
        }
    }

    /// True for commands by which people end a dispute of origins; the loop breaker does not hold them up.
    #[must_use]
    pub fn settles_disputes(&self) -> bool {
        matches!(self, Self::Sync(operation) if operation.settles_disputes())
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
            Self::Sync(operation) => {
                reads.policy = true;
                operation.reads(&mut reads);
            }
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
        Command::Sync(operation) => operation.decide(view),
    }
}

impl Delete {
    fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, self.entity, &self.target, self.if_match.as_deref())?;
        let event_type = if self.entity == Entity::CustomField { EventType::FieldArchived } else { EventType::Deleted };
        let new_event = NewEvent::new(self.entity, record.uid, event_type, Vec::new());
        Ok(Decision::new((self.entity, record.uid), vec![new_event]))
    }
}
