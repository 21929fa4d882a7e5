//! The commands of contacts and their decisions.

use super::related::{CompanyLink, RelatedChanges};
use crate::domain::decision::{Decision, Reads, View, find, refuse_taken};
use crate::domain::record::normalize_key;
use crate::domain::value::AddressChange;
use crate::domain::{
    Entity, EventType, Field, Invalid, Link, NewEvent, Patch, Record, Refusal, Role, Seq, Target, Uid,
    ValidationErrors, Value, schema,
};

/// The most companies of one contact, because every event of the contact lists them.
const MAX_COMPANIES: usize = 100;

/// Creates a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateContact {
    uid: Uid,
    patch: Patch,
    company: Option<CompanyLink>,
    related: RelatedChanges,
}

/// Changes a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateContact {
    pub target: Target,
    /// The versions of which one must be the current one (`If-Match`); `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
    pub patch: Patch,
    pub address: Option<AddressChange>,
    pub company: Option<CompanyLink>,
    pub related: RelatedChanges,
}

impl CreateContact {
    /// Returns the command, or an error for each missing field.
    pub fn new(
        uid: Uid,
        patch: Patch,
        company: Option<CompanyLink>,
        related: RelatedChanges,
    ) -> Result<Self, ValidationErrors> {
        missing(&patch).into_result(Self { uid, patch, company, related })
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        read_references(&self.patch, self.company.as_ref(), &self.related, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(refuse_taken_email(view, self.uid, &patch))?;
        let mut new_events = Vec::with_capacity(1);
        if let Some(link) = self.company {
            let role = patch.get(&Field::Role).cloned().flatten();
            if let Some((link, created)) = errors.take_decided(link.resolve(view, role))? {
                new_events.extend(created);
                patch.insert(Field::Companies, Some(Value::Links(vec![link])));
            }
        }
        new_events.extend(errors.take_decided(created(view, self.uid, patch, self.related))?.into_iter().flatten());
        errors.into_result(())?;
        Ok(Decision::new((Entity::Contact, self.uid), new_events))
    }
}

impl UpdateContact {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.target(Entity::Contact, &self.target);
        read_references(&self.patch, self.company.as_ref(), &self.related, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, Entity::Contact, &self.target, self.if_match.as_deref())?;
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(refuse_taken_email(view, record.uid, &patch))?;
        errors.take_decided(refuse_no_email(record, &patch))?;
        if let Some(address) = self.address {
            patch.insert(Field::Address, address.apply(record.address()).map(Value::from));
        }
        let mut new_events = Vec::with_capacity(1);
        if let Some(link) = self.company {
            let role = record.fields.get(&Field::Role).cloned();
            if let Some((link, created)) = errors.take_decided(link.resolve(view, role))? {
                new_events.extend(created);
                let links = errors.take_decided(with_link(record, link, "company"))?.map(Value::Links);
                patch.insert(Field::Companies, links);
            }
        }
        let RelatedChanges { circles, notes, custom, welcome: send_welcome } = self.related;
        errors.take_decided(schema::resolve(view, Some(record), custom, &mut patch))?;
        new_events.extend(errors.take_decided(circles.resolve(view, Some(record), &mut patch))?.into_iter().flatten());
        errors.into_result(())?;
        let changes = record.differences(patch);
        if !changes.is_empty() {
            new_events.push(NewEvent::new(Entity::Contact, record.uid, EventType::Updated, changes));
        }
        new_events.extend(notes.into_iter().map(|note| note.new_event(record.uid)));
        new_events.extend(send_welcome.then(|| welcome(record.uid)));
        Ok(Decision::new((Entity::Contact, record.uid), new_events))
    }
}

/// The events of a new contact: its new circles, the contact, its notes, its welcome.
pub(in crate::domain) fn created(
    view: &impl View,
    uid: Uid,
    mut patch: Patch,
    related: RelatedChanges,
) -> Result<Vec<NewEvent>, Refusal> {
    let RelatedChanges { circles, notes, custom, welcome: send_welcome } = related;
    let mut errors = ValidationErrors::default();
    errors.take_decided(schema::resolve(view, None, custom, &mut patch))?;
    let circles = errors.take_decided(circles.resolve(view, None, &mut patch))?;
    errors.into_result(())?;
    let mut new_events: Vec<NewEvent> = circles.into_iter().flatten().collect();
    new_events.push(NewEvent::of_new(Entity::Contact, uid, EventType::Created, patch));
    new_events.extend(notes.into_iter().map(|note| note.new_event(uid)));
    new_events.extend(send_welcome.then(|| welcome(uid)));
    Ok(new_events)
}

/// The missing fields of a new contact. It needs both names (they may be empty), a role, and an email unless it is a Lead.
fn missing(patch: &Patch) -> ValidationErrors {
    let mut required = vec![Field::Role, Field::FirstName, Field::LastName];
    if patch.get(&Field::Role) != Some(&Some(Value::Role(Role::Lead))) {
        required.push(Field::Email);
    }
    let absent = |field: &Field| !matches!(patch.get(field), Some(Some(_)));
    required.into_iter().filter(absent).map(|field| Invalid::new(field.name(), "Is required.")).collect()
}

/// The contact's companies with one more, unless the contact has it already.
pub(in crate::domain) fn with_link(record: &Record, link: Link, written_as: &str) -> Result<Vec<Link>, Refusal> {
    let mut links = match record.fields.get(&Field::Companies) {
        Some(Value::Links(links)) => links.clone(),
        _ => Vec::new(),
    };
    if !links.contains(&link) {
        links.push(link);
    }
    if links.len() > MAX_COMPANIES {
        let detail = format!("A contact belongs to at most {MAX_COMPANIES} companies.");
        return Err(Invalid::new(written_as, detail).into());
    }
    Ok(links)
}

/// The event on which a subscriber sends a welcome email; this service sends no email.
pub(in crate::domain) fn welcome(uid: Uid) -> NewEvent {
    NewEvent::new(Entity::Contact, uid, EventType::WelcomeRequested, Vec::new())
}

fn read_references(patch: &Patch, company: Option<&CompanyLink>, related: &RelatedChanges, reads: &mut Reads) {
    if let Some(Some(Value::Text(email))) = patch.get(&Field::Email) {
        reads.keys.push((Entity::Contact, normalize_key(email)));
    }
    if let Some(link) = company {
        reads.keys.push((Entity::Company, normalize_key(&link.name)));
    }
    related.reads(reads);
}

fn refuse_taken_email(view: &impl View, own: Uid, patch: &Patch) -> Result<(), Refusal> {
    let Some(Some(Value::Text(email))) = patch.get(&Field::Email) else { return Ok(()) };
    refuse_taken(view, Entity::Contact, own, Some(&normalize_key(email)))
}

fn refuse_no_email(record: &Record, patch: &Patch) -> Result<(), Refusal> {
    let cleared = patch.get(&Field::Email) == Some(&None);
    let lead = record.fields.get(&Field::Role) == Some(&Value::Role(Role::Lead));
    if cleared && !lead {
        return Err(Invalid::new("email", "Can be null for a Lead only.").into());
    }
    Ok(())
}
