//! Contacts, companies and projects: lists with search and filters, a record with its history and its earlier states,
//! restoring a deleted one, and CSV files of all of them.
//!
//! The three kinds have the same pages: a handler is generic over its [`Kind`].

mod attributes;
mod changes;
mod export;
mod import;
mod import_choices;
mod import_report;
mod list;
mod list_query;
mod names;
mod restore;
mod show;
mod timeline;

pub(in crate::console) use self::export::export;
pub(in crate::console) use self::import::{MAX_UPLOAD, import_form, import_run};
pub(in crate::console) use self::list::list;
pub(in crate::console) use self::restore::restore;
pub(in crate::console) use self::show::show;

use super::super::components::Icon;
use super::super::layout::Nav;
use crate::domain::{Entity, Field, Record};

/// One of the kinds of records as the pages name it.
#[derive(Debug, Clone, Copy)]
pub(in crate::console) struct RecordKind {
    pub(super) entity: Entity,
    pub(super) nav: Nav,
    pub(super) icon: Icon,
    pub(super) title: &'static str,
    /// `contact`, `contacts`.
    pub(super) noun: &'static str,
    pub(super) nouns: &'static str,
    /// The path of the list.
    pub(super) path: &'static str,
    /// The purpose of such records, in one sentence.
    pub(super) lead: &'static str,
    /// The words in the empty search box: the texts that a search looks through.
    pub(super) searched: &'static str,
    /// The name of the order of the lookup key.
    pub(super) by_key: &'static str,
}

/// A kind of records in the types of handlers.
pub(in crate::console) trait Kind: Send + Sync + 'static {
    const KIND: RecordKind;
}

/// People.
pub(in crate::console) struct Contacts;
/// Organizations.
pub(in crate::console) struct Companies;
/// Work for contacts and companies.
pub(in crate::console) struct Projects;

impl Kind for Contacts {
    const KIND: RecordKind = RecordKind {
        entity: Entity::Contact,
        nav: Nav::Contacts,
        icon: Icon::Contacts,
        title: "Contacts",
        noun: "contact",
        nouns: "contacts",
        path: "/console/contacts",
        lead: "The people that your connected systems know, kept equal in all of them.",
        searched: "Search by name, email or phone",
        by_key: "Email A to Z",
    };
}

impl Kind for Companies {
    const KIND: RecordKind = RecordKind {
        entity: Entity::Company,
        nav: Nav::Companies,
        icon: Icon::Companies,
        title: "Companies",
        noun: "company",
        nouns: "companies",
        path: "/console/companies",
        lead: "The organizations that contacts belong to.",
        searched: "Search by name",
        by_key: "Name A to Z",
    };
}

impl Kind for Projects {
    const KIND: RecordKind = RecordKind {
        entity: Entity::Project,
        nav: Nav::Projects,
        icon: Icon::Projects,
        title: "Projects",
        noun: "project",
        nouns: "projects",
        path: "/console/projects",
        lead: "The work that you do for companies and contacts.",
        searched: "Search by name",
        by_key: "Name A to Z",
    };
}

/// The path of a record's page.
pub(super) fn record_path(entity: Entity, uid: impl std::fmt::Display) -> Option<String> {
    let path = match entity {
        Entity::Contact => Contacts::KIND.path,
        Entity::Company => Companies::KIND.path,
        Entity::Project => Projects::KIND.path,
        Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => return None,
    };
    Some(format!("{path}/{uid}"))
}

/// The name under which people know a record.
pub(super) fn title_of(record: &Record) -> String {
    let text = |field| record.text(field).unwrap_or_default().trim();
    let name = if record.entity == Entity::Contact {
        format!("{} {}", text(Field::FirstName), text(Field::LastName))
    } else {
        text(Field::Name).to_owned()
    };
    let name = name.trim();
    if record.erased {
        format!("Erased {}", record.entity.noun())
    } else if !name.is_empty() {
        name.to_owned()
    } else {
        record.text(Field::Email).map_or_else(|| "Without a name".to_owned(), str::to_owned)
    }
}
