//! The commands of companies and their decisions.

use crate::domain::contact::RelatedChanges;
use crate::domain::decision::{Decision, Reads, View, find, refuse_taken};
use crate::domain::record::normalize_key;
use crate::domain::schema::{self, FieldGroup, Input};
use crate::domain::value::AddressChange;
use crate::domain::{
    Entity, EventType, Field, Invalid, Link, NewEvent, Patch, Person, Record, Refusal, Role, Seq, Target, Uid,
    ValidationErrors, Value, contact,
};

/// Creates a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCompany {
    uid: Uid,
    patch: Patch,
    custom: Vec<Input>,
    primary: Option<Primary>,
}

/// The first contact of a new company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// The fields of the contact; `email` finds an existing one.
    pub patch: Patch,
    /// The uid for a new contact where no contact has the email; `None` refuses that.
    pub create_as: Option<Uid>,
    pub related: RelatedChanges,
}

/// Changes a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateCompany {
    pub target: Target,
    /// The versions of which one must be the current one (`If-Match`); `None` accepts any.
    pub if_match: Option<Vec<Seq>>,
    pub patch: Patch,
    pub address: Option<AddressChange>,
    pub custom: Vec<Input>,
    /// The groups whose values of custom fields are cleared, before `custom` is merged.
    pub cleared: Vec<FieldGroup>,
}

impl CreateCompany {
    /// Returns the command, or an error for each missing field.
    pub fn new(uid: Uid, patch: Patch, custom: Vec<Input>, primary: Option<Primary>) -> Result<Self, ValidationErrors> {
        let mut errors = ValidationErrors::default();
        errors.extend(missing(&patch));
        errors.extend(primary.as_ref().and_then(|primary| primary.missing(&patch)));
        errors.into_result(Self { uid, patch, custom, primary })
    }

    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        read_name(&self.patch, reads);
        schema::read(&self.custom, reads);
        if let Some(primary) = &self.primary {
            reads.keys.extend(primary.email().map(|email| (Entity::Contact, normalize_key(email))));
            primary.related.reads(reads);
        }
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(refuse_taken_name(view, self.uid, &patch))?;
        errors.take_decided(schema::resolve(view, None, self.custom, &mut patch))?;
        let mut contact_events = Vec::new();
        if let Some(primary) = self.primary {
            let company = Link { uid: self.uid, name: text(&patch, Field::Name) };
            let resolved = primary.resolve(view, company, patch.get(&Field::Role).cloned().flatten());
            if let Some((person, new_events)) = errors.take_decided(resolved.map_err(inside_primary))? {
                patch.insert(Field::PrimaryContact, Some(person.into()));
                contact_events = new_events;
            }
        }
        errors.into_result(())?;
        let mut new_events = vec![NewEvent::of_new(Entity::Company, self.uid, EventType::Created, patch)];
        new_events.append(&mut contact_events);
        Ok(Decision::new((Entity::Company, self.uid), new_events))
    }
}

impl UpdateCompany {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.target(Entity::Company, &self.target);
        read_name(&self.patch, reads);
        schema::read(&self.custom, reads);
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find(view, Entity::Company, &self.target, self.if_match.as_deref())?;
        let mut patch = self.patch;
        let mut errors = ValidationErrors::default();
        errors.take_decided(refuse_taken_name(view, record.uid, &patch))?;
        schema::clear(view, record, &self.cleared, &mut patch);
        errors.take_decided(schema::resolve(view, Some(record), self.custom, &mut patch))?;
        errors.into_result(())?;
        if let Some(address) = self.address {
            patch.insert(Field::Address, address.apply(record.address()).map(Value::from));
        }
        let changes = record.differences(patch);
        Ok(Decision::of_update(NewEvent::new(Entity::Company, record.uid, EventType::Updated, changes)))
    }
}

impl Primary {
    fn email(&self) -> Option<&str> {
        self.patch.get(&Field::Email)?.as_ref()?.as_text()
    }

    /// The field without which a first contact can be neither found nor created. A Lead's first contact needs no field when
    /// it may be created.
    fn missing(&self, company: &Patch) -> Option<Invalid> {
        let role = self.patch.get(&Field::Role).or_else(|| company.get(&Field::Role));
        let lead = role == Some(&Some(Value::Role(Role::Lead)));
        let has_enough = self.email().is_some() || (lead && self.create_as.is_some());
        (!has_enough).then(|| Invalid::new("primaryContact/email", "Is required."))
    }

    fn resolve(self, view: &impl View, company: Link, role: Option<Value>) -> Result<(Person, Vec<NewEvent>), Refusal> {
        let existing = self.email().and_then(|email| view.by_key(Entity::Contact, &normalize_key(email)));
        if let Some(contact) = existing {
            return Ok((contact.person(), self.link(view, contact, company)?));
        }
        let Some(uid) = self.create_as else {
            let detail = "No contact has this email, and create_primary_contact_if_not_exists is not true.";
            return Err(Invalid::new("email", detail).into());
        };
        self.create(view, uid, company, role)
    }

    /// Links and welcomes an existing contact. Its other fields in the body are for a new contact and change nothing, but a
    /// value that no contact of the account could have is refused, as it is where the contact is created.
    fn link(self, view: &impl View, contact: &Record, company: Link) -> Result<Vec<NewEvent>, Refusal> {
        let mut errors = ValidationErrors::default();
        errors.take_decided(schema::resolve(view, Some(contact), self.related.custom, &mut Patch::new()))?;
        let links = errors.take_decided(contact::with_link(contact, company, "email"))?.map(Value::Links);
        errors.into_result(())?;
        let changes = vec![(Field::Companies, links)];
        let mut new_events = vec![NewEvent::new(Entity::Contact, contact.uid, EventType::Updated, changes)];
        new_events.extend(self.related.welcome.then(|| contact::welcome(contact.uid)));
        Ok(new_events)
    }

    /// Creates the contact. Its role is that of the company where the body names none.
    fn create(
        self,
        view: &impl View,
        uid: Uid,
        company: Link,
        role: Option<Value>,
    ) -> Result<(Person, Vec<NewEvent>), Refusal> {
        let mut patch = self.patch;
        patch.entry(Field::Role).or_insert_with(|| Some(role.unwrap_or(Value::Role(Role::Lead))));
        for name in [Field::FirstName, Field::LastName] {
            patch.entry(name).or_insert_with(|| Some(Value::Text(String::new())));
        }
        patch.insert(Field::Companies, Some(Value::Links(vec![company])));
        let nullable = |field| patch.get(&field)?.as_ref()?.as_text().map(str::to_owned);
        let person = Person {
            uid,
            first_name: text(&patch, Field::FirstName),
            last_name: text(&patch, Field::LastName),
            name_prefix: nullable(Field::NamePrefix),
            email: nullable(Field::Email),
            role: match patch.get(&Field::Role) {
                Some(Some(Value::Role(role))) => Some(*role),
                _ => None,
            },
        };
        Ok((person, contact::created(view, uid, patch, self.related)?))
    }
}

/// The errors of the first contact, with pointers into the company's body.
fn inside_primary(refusal: Refusal) -> Refusal {
    let inside = |invalid: Invalid| match invalid.pointer.strip_prefix("#/") {
        Some(name) => Invalid::new(&["primaryContact/", name].concat(), invalid.detail),
        None => invalid,
    };
    match refusal {
        Refusal::Invalid(invalid) => Refusal::Invalid(invalid.into_iter().map(inside).collect()),
        Refusal::NotFound(_)
        | Refusal::Gone { .. }
        | Refusal::Stale { .. }
        | Refusal::KeyReused
        | Refusal::Ambiguous { .. }
        | Refusal::Concurrent { .. } => refusal,
    }
}

fn missing(patch: &Patch) -> Option<Invalid> {
    match patch.get(&Field::Name) {
        Some(Some(Value::Text(name))) if !name.is_empty() => None,
        _ => Some(Invalid::new("name", "Is required.")),
    }
}

fn text(patch: &Patch, field: Field) -> String {
    match patch.get(&field) {
        Some(Some(Value::Text(text))) => text.clone(),
        _ => String::new(),
    }
}

fn read_name(patch: &Patch, reads: &mut Reads) {
    if let Some(Some(Value::Text(name))) = patch.get(&Field::Name) {
        reads.keys.push((Entity::Company, normalize_key(name)));
    }
}

fn refuse_taken_name(view: &impl View, own: Uid, patch: &Patch) -> Result<(), Refusal> {
    let Some(Some(Value::Text(name))) = patch.get(&Field::Name) else { return Ok(()) };
    refuse_taken(view, Entity::Company, own, Some(&normalize_key(name)))
}
