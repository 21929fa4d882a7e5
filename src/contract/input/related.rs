//! Reads the parts of a body that are no plain attributes: companies, circles and notes.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use super::lenient::{is_blank, is_blank_but_for, is_list, list, object, text};
use super::value::value;
use super::{Fresh, Reader};
use crate::contract::record::parse_uid;
use crate::domain::contact::{CircleName, Circles, CompanyLink, Note, RelatedChanges};
use crate::domain::record::normalize_key;
use crate::domain::value::plain;
use crate::domain::{Entity, Field, Patch, Value, company};

/// The most items of a list in one write.
const MAX_ITEMS: usize = 100;

const CREATE_COMPANY: &str = "create_company_if_not_exists";
const CREATE_CONTACT: &str = "create_primary_contact_if_not_exists";
const WELCOME: &str = "send_welcome_email";
/// Validated and ignored, because this service has no individual mode to prevent.
const PREVENT_INDIVIDUAL_MODE: &str = "prevent_individual_mode";

impl Reader {
    pub(super) fn related(&mut self, patch: &mut Patch, fresh: Fresh<'_>) -> RelatedChanges {
        RelatedChanges {
            circles: self.circles(patch, fresh),
            notes: self.notes(fresh),
            custom: self.custom(Entity::Contact, patch),
            welcome: self.flag(WELCOME),
        }
    }

    /// `{add: [name or id], remove: […]}`. A plain list, as in the JSON of a contact, or a single name or id is added.
    fn circles(&mut self, patch: &mut Patch, fresh: Fresh<'_>) -> Circles {
        let (add, remove) = match self.body.remove("circles") {
            None => return Circles::default(),
            Some(Json::Null) => {
                patch.insert(Field::Circles, None);
                return Circles::default();
            }
            Some(Json::Object(mut change)) if !is_list(&change) => (change.remove("add"), change.remove("remove")),
            Some(added @ (Json::Object(_) | Json::Array(_) | Json::String(_) | Json::Number(_))) => (Some(added), None),
            Some(Json::Bool(_)) => {
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
        let items = match list {
            None => return Vec::new(),
            Some(blank) if is_blank(&blank) => return Vec::new(),
            Some(json) => listed(json).filter(|items| items.len() <= MAX_ITEMS),
        };
        let Some(items) = items else {
            self.refuse(pointer, format!("Must be a list of at most {MAX_ITEMS} names or ids."));
            return Vec::new();
        };
        let mut names = Vec::new();
        for (index, json) in items.into_iter().enumerate().filter(|(_, item)| !is_blank(item)) {
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
        let items = match self.body.remove("notes") {
            None | Some(Json::Null) => return Vec::new(),
            Some(Json::Object(note)) if !is_list(&note) => Some(vec![Json::Object(note)]),
            Some(json) => listed(json).filter(|items| items.len() <= MAX_ITEMS),
        };
        let Some(items) = items else {
            self.refuse("notes", format!("Must be a list of at most {MAX_ITEMS} notes."));
            return Vec::new();
        };
        let mut notes = Vec::new();
        for (index, note) in items.into_iter().enumerate() {
            let Ok(body) = object(note).or_else(|note| text(note).map(note_of)) else {
                self.refuse(&format!("notes/{index}"), "Must be an object with title, note and date, or a string.");
                continue;
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

    /// The `company` of a contact: absent, `null`, or a company to link to. An object without a name and without the wish to
    /// create a company, or an empty text, is absent.
    pub(super) fn company(&mut self, fresh: Fresh<'_>) -> Option<Option<CompanyLink>> {
        let body = match self.body.remove("company")? {
            Json::Null => return Some(None),
            json => {
                object(json).or_else(|json| text(json).map(|name| Map::from_iter([("name".to_owned(), name.into())])))
            }
        };
        match body {
            Ok(body) if is_blank_but_for(&body, &[CREATE_COMPANY]) => None,
            Ok(body) => {
                let mut inner = self.inside("company/", body);
                let link = inner.company_link(fresh);
                inner.refuse_values(
                    "A contact's company takes no custom fields here: write them to the company itself.",
                );
                self.errors.append(inner.errors);
                link.map(Some)
            }
            Err(_) => {
                self.refuse("company", "Must be an object with a name, or the name of a company.");
                None
            }
        }
    }

    fn company_link(&mut self, fresh: Fresh<'_>) -> Option<CompanyLink> {
        let create = self.flag(CREATE_COMPANY);
        let name = self.body.remove("name").filter(|name| !is_blank(name)).map(|name| value(Field::Name, name));
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

    /// The first contact of a new company. An object that holds nothing but flags that are false is absent.
    pub(super) fn primary_contact(&mut self, fresh: Fresh<'_>) -> Option<company::Primary> {
        match object(self.body.remove("primaryContact")?) {
            Ok(body) if is_blank_but_for(&body, &[WELCOME, CREATE_CONTACT, PREVENT_INDIVIDUAL_MODE]) => None,
            Ok(body) => {
                let mut inner = self.inside("primaryContact/", body);
                let mut patch = inner.patch(Entity::Contact);
                let create = inner.flag(CREATE_CONTACT);
                inner.flag(PREVENT_INDIVIDUAL_MODE);
                let create_as = create.then(&mut *fresh);
                let related = inner.related(&mut patch, fresh);
                self.errors.append(inner.errors);
                Some(company::Primary { patch, create_as, related })
            }
            Err(Json::Null) => None,
            Err(_) => {
                self.refuse("primaryContact", "Must be an object.");
                None
            }
        }
    }
}

/// The items of a list, or a single text or number as the only item.
fn listed(json: Json) -> Option<Vec<Json>> {
    match list(json) {
        Ok(items) => Some(items),
        Err(one @ (Json::String(_) | Json::Number(_))) => Some(vec![one]),
        Err(_) => None,
    }
}

/// A note of a plain text.
fn note_of(text: String) -> Map<String, Json> {
    Map::from_iter([("note".to_owned(), text.into())])
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
