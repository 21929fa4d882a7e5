//! Changes of related records in a write of a contact: companies, circles, notes and custom fields.

use std::collections::HashSet;

use crate::domain::decision::{Reads, View};
use crate::domain::record::normalize_key;
use crate::domain::schema::{self, Input};
use crate::domain::{
    Entity, EventType, Field, Invalid, Link, NewEvent, Patch, Record, Refusal, Uid, ValidationErrors, Value,
};

/// The most circles of one contact.
const MAX_CIRCLES: usize = 100;

/// The changes of a contact's circles, notes and custom fields, and its welcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelatedChanges {
    pub circles: Circles,
    pub notes: Vec<Note>,
    pub custom: Vec<Input>,
    /// True to request a welcome email for the contact.
    pub welcome: bool,
}

/// A company to be added to a contact's companies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyLink {
    /// Its name, in any case.
    pub name: String,
    /// The uid for a new company where no company has the name; `None` refuses that.
    pub create_as: Option<Uid>,
}

/// The circles to add a contact to and to remove it from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Circles {
    pub add: Vec<CircleName>,
    pub remove: Vec<CircleName>,
}

/// The name by which a client finds a circle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CircleName {
    /// The uid.
    Uid(Uid),
    /// The name, in any case.
    Name {
        /// As the client wrote it.
        name: String,
        /// The uid for a new circle where no circle has the name.
        create_as: Uid,
    },
}

/// A remark on a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub uid: Uid,
    /// Title, note and date.
    pub patch: Patch,
}

impl RelatedChanges {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        schema::read(&self.custom, reads);
        for circle in self.circles.add.iter().chain(&self.circles.remove) {
            match circle {
                CircleName::Uid(uid) => reads.uids.push((Entity::Circle, *uid)),
                CircleName::Name { name, .. } => reads.keys.push((Entity::Circle, normalize_key(name))),
            }
        }
    }
}

impl CompanyLink {
    pub(super) fn resolve(self, view: &impl View, role: Option<Value>) -> Result<(Link, Option<NewEvent>), Refusal> {
        if let Some(company) = view.by_key(Entity::Company, &normalize_key(&self.name)) {
            // A company that was found by its name has one; the link only repeats it.
            let name = company.text(Field::Name).unwrap_or(&self.name).to_owned();
            return Ok((Link { uid: company.uid, name }, None));
        }
        let Some(uid) = self.create_as else {
            let detail = "No company has this name, and create_company_if_not_exists is not true.";
            return Err(Invalid::new("company/name", detail).into());
        };
        let mut changes: Vec<_> = role.map(|role| (Field::Role, Some(role))).into_iter().collect();
        changes.push((Field::Name, Some(Value::Text(self.name.clone()))));
        let created = NewEvent::new(Entity::Company, uid, EventType::Created, changes);
        Ok((Link { uid, name: self.name }, Some(created)))
    }
}

impl Circles {
    /// Puts the contact's new list of circles into the patch. Returns the events of new circles.
    pub(super) fn resolve(
        self,
        view: &impl View,
        record: Option<&Record>,
        patch: &mut Patch,
    ) -> Result<Vec<NewEvent>, Refusal> {
        if self.add.is_empty() && self.remove.is_empty() {
            return Ok(Vec::new());
        }
        let mut links = match record.and_then(|record| record.fields.get(&Field::Circles)) {
            Some(Value::Links(links)) => links.clone(),
            _ => Vec::new(),
        };
        // Each name is normalised once; comparing every name with every link would normalise them thousands of times.
        let removed = Named::of(self.remove.iter());
        links.retain(|link| !removed.contains(link));
        let mut linked = Named::default();
        for link in &links {
            linked.add(link);
        }
        let (mut created, mut errors) = (Vec::new(), ValidationErrors::default());
        for (index, circle) in self.add.into_iter().enumerate() {
            if linked.has(&circle) {
                continue;
            }
            let link = match (circle.find(view), circle) {
                (Some(link), _) => link,
                (None, CircleName::Uid(_)) => {
                    errors.push(Invalid::new(&format!("circles/add/{index}"), "No circle has this id."));
                    continue;
                }
                (None, CircleName::Name { name, create_as }) => {
                    let changes = vec![(Field::Name, Some(Value::Text(name.clone())))];
                    created.push(NewEvent::new(Entity::Circle, create_as, EventType::Created, changes));
                    Link { uid: create_as, name }
                }
            };
            linked.add(&link);
            links.push(link);
        }
        if links.len() > MAX_CIRCLES {
            let detail = format!("A contact is in at most {MAX_CIRCLES} circles.");
            errors.push(Invalid::new("circles/add", detail));
        }
        errors.into_result(())?;
        patch.insert(Field::Circles, (!links.is_empty()).then_some(Value::Links(links)));
        Ok(created)
    }
}

impl CircleName {
    fn find(&self, view: &impl View) -> Option<Link> {
        let circle = match self {
            Self::Uid(uid) => view.by_uid(Entity::Circle, *uid),
            Self::Name { name, .. } => view.by_key(Entity::Circle, &normalize_key(name)),
        }?;
        // An erased circle has no name; a link is identified by its uid.
        Some(Link { uid: circle.uid, name: circle.text(Field::Name).unwrap_or_default().to_owned() })
    }
}

/// Circles by their uids and by their names in any case.
#[derive(Debug, Default)]
struct Named {
    uids: HashSet<Uid>,
    names: HashSet<String>,
}

impl Named {
    fn of<'a>(circles: impl Iterator<Item = &'a CircleName>) -> Self {
        let mut named = Self::default();
        for circle in circles {
            match circle {
                CircleName::Uid(uid) => named.uids.insert(*uid),
                CircleName::Name { name, .. } => named.names.insert(normalize_key(name)),
            };
        }
        named
    }

    fn add(&mut self, link: &Link) {
        self.uids.insert(link.uid);
        self.names.insert(normalize_key(&link.name));
    }

    /// True when a link is one of these.
    fn contains(&self, link: &Link) -> bool {
        self.uids.contains(&link.uid) || (!self.names.is_empty() && self.names.contains(&normalize_key(&link.name)))
    }

    /// True when one of these has this name or uid.
    fn has(&self, circle: &CircleName) -> bool {
        match circle {
            CircleName::Uid(uid) => self.uids.contains(uid),
            CircleName::Name { name, .. } => self.names.contains(&normalize_key(name)),
        }
    }
}

impl Note {
    pub(super) fn new_event(self, contact: Uid) -> NewEvent {
        let mut patch = self.patch;
        patch.insert(Field::Contact, Some(Value::Text(contact.to_string())));
        NewEvent::of_new(Entity::Note, self.uid, EventType::Created, patch)
    }
}
