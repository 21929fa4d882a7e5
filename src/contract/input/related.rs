//! Reads the parts of a body that are no plain attributes: companies, circles and notes.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::value::value;
use super::{Fresh, Reader};
use crate::contract::record::parse_uid;
use crate::domain::contact::{CircleName, Circles, CompanyLink, Note, RelatedChanges};
use crate::domain::record::normalize_key;
use crate::domain::value::plain;
use crate::domain::{Entity, Field, Patch, ValidationErrors, Value, company};

/// The most items of a list in one write.
const MAX_ITEMS: usize = 100;

impl Reader {
    pub(super) fn related(&mut self, patch: &mut Patch, fresh: Fresh<'_>) -> RelatedChanges {
        RelatedChanges {
            circles: self.circles(patch, fresh),
            notes: self.notes(fresh),
            custom: self.custom(Entity::Contact, patch),
            welcome: self.flag("send_welcome_email"),
        }
    }

    /// `{add: [name or id], remove: […]}`. A plain list, as in the JSON of a contact, is added.
    fn circles(&mut self, patch: &mut Patch, fresh: Fresh<'_>) -> Circles {
        let (add, remove) = match self.body.remove("circles") {
            None => return Circles::default(),
            Some(Json::Null) => {
                patch.insert(Field::Circles, None);
                return Circles::default();
            }
            Some(Json::Object(mut change)) => (change.remove("add"), change.remove("remove")),
            Some(list @ Json::Array(_)) => (Some(list), None),
            Some(_) => {
                self.refuse("circles", "Must be an object with add and remove.");
                return Circles::default();
            }
        };
        let mut add = self.circle_names("circles/add", add, &mut *fresh);
        // Two spellings of one name are one new circle.
        let mut seen = HashSet::new();
        add.retain(|circle| match circle {
            CircleName::Uid(_) => true,
            CircleName::Name { name, .. } => seen.insert(normalize_key(name)),
        });
        Circles { add, remove: self.circle_names("circles/remove", remove, fresh) }
    }

    fn circle_names(&mut self, pointer: &str, list: Option<Json>, fresh: Fresh<'_>) -> Vec<CircleName> {
        let list = match list {
            None | Some(Json::Null) => return Vec::new(),
            Some(Json::Array(list)) if list.len() <= MAX_ITEMS => list,
            Some(one @ (Json::String(_) | Json::Number(_))) => vec![one],
            Some(_) => {
                self.refuse(pointer, format!("Must be a list of at most {MAX_ITEMS} names or ids."));
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for (index, json) in list.into_iter().enumerate() {
            match circle_name(json).map(|name| plain(&name, 255)) {
                Some(Ok(name)) if !name.is_empty() => names.push(match parse_uid(&name) {
                    Some(uid) => CircleName::Uid(uid),
                    None => CircleName::Name { name, create_as: fresh() },
                }),
                Some(Err(detail)) => self.refuse(&format!("{pointer}/{index}"), detail),
                Some(Ok(_)) | None => self.refuse(&format!("{pointer}/{index}"), "Must be a name or an id."),
            }
        }
        names
    }

    /// `[{title, note, date}]`. A note may be a plain text.
    fn notes(&mut self, fresh: Fresh<'_>) -> Vec<Note> {
        let list = match self.body.remove("notes") {
            None | Some(Json::Null) => return Vec::new(),
            Some(Json::Array(list)) if list.len() <= MAX_ITEMS => list,
            Some(text @ Json::String(_)) => vec![text],
            Some(_) => {
                self.refuse("notes", format!("Must be a list of at most {MAX_ITEMS} notes."));
                return Vec::new();
            }
        };
        let mut notes = Vec::new();
        for (index, note) in list.into_iter().enumerate() {
            let body = match note {
                Json::Object(body) => body,
                text @ Json::String(_) => Map::from_iter([("note".to_owned(), text)]),
                _ => {
                    self.refuse(&format!("notes/{index}"), "Must be an object with title, note and date, or a string.");
                    continue;
                }
            };
            let patch = self.note(index, body);
            if patch.values().any(Option::is_some) {
                notes.push(Note { uid: fresh(), patch });
            }
        }
        notes
    }

    fn note(&mut self, index: usize, mut body: Map<String, Json>) -> Patch {
        let mut patch = Patch::new();
        for field in [Field::Title, Field::Note, Field::Date] {
            let Some(json) = body.remove(field.name()) else { continue };
            match value(field, json) {
                Ok(value) => {
                    patch.insert(field, value);
                }
                Err(detail) => self.refuse(&format!("notes/{index}/{}", field.name()), detail),
            }
        }
        patch
    }

    /// The `company` of a contact: absent, `null`, or a company to link to.
    pub(super) fn company(&mut self, fresh: Fresh<'_>) -> Option<Option<CompanyLink>> {
        match self.body.remove("company")? {
            Json::Null => Some(None),
            Json::Object(body) => {
                let mut inner = Self { prefix: "company/", body, errors: ValidationErrors::default() };
                let link = inner.company_link(fresh);
                self.errors.append(inner.errors);
                link.map(Some)
            }
            _ => {
                self.refuse("company", "Must be an object with a name.");
                None
            }
        }
    }

    fn company_link(&mut self, fresh: Fresh<'_>) -> Option<CompanyLink> {
        let create = self.flag("create_company_if_not_exists");
        let name = self.body.remove("name").map(|name| value(Field::Name, name));
        match name {
            Some(Ok(Some(Value::Text(name)))) => Some(CompanyLink { name, create_as: create.then(fresh) }),
            Some(Err(detail)) => {
                self.refuse("name", detail);
                None
            }
            Some(Ok(_)) | None => {
                self.refuse("name", "Is required.");
                None
            }
        }
    }

    pub(super) fn primary_contact(&mut self, fresh: Fresh<'_>) -> Option<company::Primary> {
        match self.body.remove("primaryContact")? {
            Json::Null => None,
            Json::Object(body) => {
                let mut inner = Self { prefix: "primaryContact/", body, errors: ValidationErrors::default() };
                let mut patch = inner.patch(Entity::Contact);
                let create = inner.flag("create_primary_contact_if_not_exists");
                // Validated and ignored, because this service has no individual mode to prevent.
                inner.flag("prevent_individual_mode");
                let create_as = create.then(&mut *fresh);
                let related = inner.related(&mut patch, fresh);
                self.errors.append(inner.errors);
                Some(company::Primary { patch, create_as, related })
            }
            _ => {
                self.refuse("primaryContact", "Must be an object.");
                None
            }
        }
    }
}

fn circle_name(json: Json) -> Option<String> {
    match json {
        Json::String(name) => Some(name),
        Json::Number(number) => Some(number.to_string()),
        Json::Object(mut circle) => ["id", "name"].into_iter().find_map(|key| match circle.remove(key) {
            Some(Json::String(name)) => Some(name),
            _ => None,
        }),
        _ => None,
    }
}
