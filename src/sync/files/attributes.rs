//! The attributes that columns of a file have: of contacts, companies and projects, with the account's custom fields.

use serde_json::{Map, Value as Json, json};

use super::cells;
use crate::contract::record::parse_uid;
use crate::domain::schema::{Definition, FieldType};
use crate::domain::{Entity, Field, FieldKind, FieldOwner, Record, Uid};

/// The parts of an address, each of which has a column.
const ADDRESS: [&str; 6] = ["address_line_1", "address_line_2", "city", "state", "country", "zip"];
const FULL_ADDRESS: &str = "full_address";

/// Columns of an export that are no attributes. An import uses them only where it is requested.
const UID: &str = "uid";
const VERSION: &str = "version";
const BASE: &str = "base";

/// The thing that a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnAttribute {
    /// The value of a field that is a text.
    Field(Field),
    /// An amount in a currency.
    Money(Field),
    /// Texts: tags or circles.
    List(Field),
    /// A part of the address.
    AddressPart(&'static str),
    /// The address in one line.
    FullAddress,
    /// The names of a contact's companies.
    Companies,
    /// A value of a custom field, with the key of the body under which it is sent.
    Custom { key: &'static str, uid: Uid, kind: FieldType },
    /// The record's uid.
    Uid,
    /// The version up to which the file knew the record.
    Base,
}

/// An attribute and the column in which an export has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedColumn {
    pub(super) name: String,
    pub(super) attribute: ColumnAttribute,
}

/// All attributes of a kind of record.
#[derive(Debug)]
pub(super) struct FileAttributes {
    named: Vec<NamedColumn>,
}

impl FileAttributes {
    /// Fields whose values are neither texts nor lists of texts have no columns: audiences and primary contacts.
    pub(super) fn of(entity: Entity, definitions: &[Record]) -> Self {
        let mut named = Vec::new();
        let mut add = |name: &str, attribute| named.push(NamedColumn { name: name.to_owned(), attribute });
        for field in entity.fields().iter().copied() {
            let name = field.name();
            match field.kind() {
                FieldKind::Role
                | FieldKind::Text(_)
                | FieldKind::Email
                | FieldKind::Phone
                | FieldKind::Website
                | FieldKind::Category
                | FieldKind::Date
                | FieldKind::Time
                | FieldKind::Client => add(name, ColumnAttribute::Field(field)),
                FieldKind::Money => add(name, ColumnAttribute::Money(field)),
                FieldKind::Tags | FieldKind::Circles | FieldKind::Words => add(name, ColumnAttribute::List(field)),
                FieldKind::Address => ADDRESS.iter().for_each(|part| add(part, ColumnAttribute::AddressPart(part))),
                FieldKind::Links => add("company", ColumnAttribute::Companies),
                FieldKind::Custom(_)
                | FieldKind::Person
                | FieldKind::Audiences
                | FieldKind::Contact
                | FieldKind::Owner
                | FieldKind::Type
                | FieldKind::Id
                | FieldKind::Visibility
                | FieldKind::FieldValue => {}
            }
        }
        for definition in definitions.iter().filter_map(Definition::of).filter(|definition| !definition.archived) {
            let (prefix, key) = match (entity, definition.owner) {
                (Entity::Contact, FieldOwner::Contact) => ("custom", Field::CustomFields.name()),
                (Entity::Contact, FieldOwner::Target) => ("target", Field::TargetCustomFields.name()),
                (Entity::Company, FieldOwner::Company) => ("custom", Field::CompanyCustomFields.name()),
                (Entity::Project, FieldOwner::Project) => ("custom", Field::ProjectCustomFields.name()),
                (Entity::Company, FieldOwner::Target) => ("target", Field::CompanyCustomFields.name()),
                _ => continue,
            };
            let attribute = ColumnAttribute::Custom { key, uid: definition.uid, kind: definition.kind };
            named.push(NamedColumn { name: format!("{prefix}:{}", definition.label), attribute });
        }
        Self { named }
    }

    /// The columns of an export. The first two tell what record a line is.
    pub(super) fn exported(self) -> Vec<NamedColumn> {
        let first = |name: &str, attribute| NamedColumn { name: name.to_owned(), attribute };
        [first(UID, ColumnAttribute::Uid), first(VERSION, ColumnAttribute::Base)]
            .into_iter()
            .chain(self.named)
            .collect()
    }

    /// The attribute that an export calls so. Case is ignored.
    pub(super) fn exported_as(&self, name: &str) -> Option<ColumnAttribute> {
        self.named.iter().find(|named| named.name.eq_ignore_ascii_case(name)).map(|named| named.attribute)
    }

    /// The attribute that an operator calls so: by its name, or for a custom field by its label or UUID.
    pub(super) fn named(&self, name: &str) -> Result<ColumnAttribute, String> {
        let name = name.trim();
        match name {
            UID => return Ok(ColumnAttribute::Uid),
            BASE => return Ok(ColumnAttribute::Base),
            FULL_ADDRESS => return Ok(ColumnAttribute::FullAddress),
            _ => {}
        }
        if let Some(attribute) = self.exported_as(name) {
            return Ok(attribute);
        }
        let bare = name.split_once(':').filter(|(prefix, _)| matches!(*prefix, "custom" | "target"));
        let label = bare.map_or(name, |(_, label)| label);
        let by_uid = parse_uid(label);
        let is_meant = |named: &&NamedColumn| {
            let ColumnAttribute::Custom { uid, .. } = named.attribute else { return false };
            let own = named.name.split_once(':').map_or("", |(_, own)| own);
            match (by_uid, bare) {
                (Some(by_uid), _) => by_uid == uid,
                (None, None) => own.to_lowercase() == label.to_lowercase(),
                (None, Some(_)) => named.name.to_lowercase() == name.to_lowercase(),
            }
        };
        let meant: Vec<&NamedColumn> = self.named.iter().filter(is_meant).collect();
        match meaning(&meant) {
            Meant::One(attribute) => Ok(attribute),
            Meant::Several(names) => Err(format!("{name:?} may be {}: write which.", names.join(" or "))),
            Meant::None => {
                let all: Vec<&str> = self.named.iter().map(|named| named.name.as_str()).collect();
                Err(format!("{name:?} is no attribute. There are: {}, {FULL_ADDRESS}, {UID}, {BASE}.", all.join(", ")))
            }
        }
    }
}

/// The attributes that a name may mean.
enum Meant<'a> {
    None,
    One(ColumnAttribute),
    Several(Vec<&'a str>),
}

fn meaning<'a>(meant: &[&'a NamedColumn]) -> Meant<'a> {
    match meant {
        [] => Meant::None,
        [only] => Meant::One(only.attribute),
        several => Meant::Several(several.iter().map(|named| named.name.as_str()).collect()),
    }
}

impl ColumnAttribute {
    /// The text of the cell that has this attribute of a record, which is as clients see it.
    pub(super) fn cell(self, record: &Map<String, Json>) -> String {
        match self {
            Self::Uid => text(record.get(UID)),
            Self::Base => text(record.get(VERSION)),
            Self::Field(field) => match record.get(field.name()) {
                Some(Json::Object(category)) => text(category.get("name")),
                json => text(json),
            },
            Self::Money(field) => amount(record.get(field.name())),
            Self::List(field) => cells::of_list(&texts(record.get(field.name()))),
            Self::Companies => cells::of_names(&texts(record.get(Field::Companies.name()))),
            Self::AddressPart(part) => text(record.get(Field::Address.name()).and_then(|address| address.get(part))),
            Self::FullAddress => text(record.get(FULL_ADDRESS)),
            Self::Custom { key, uid, .. } => {
                let value = record.get(key).and_then(|values| values.get(uid.to_string()));
                match value {
                    Some(Json::Object(_)) => amount(value),
                    Some(list @ Json::Array(_)) => cells::of_list(&texts(Some(list))),
                    json => text(json),
                }
            }
        }
    }

    /// Puts the value of a cell into the body of a write. `None` is an empty cell that clears the value.
    pub(super) fn put(self, cell: Option<&str>, set: &mut Map<String, Json>) -> Result<(), String> {
        let (outer, inner, value) = match self {
            Self::Field(field @ (Field::FirstName | Field::LastName)) => {
                (field.name(), None, json!(cell.unwrap_or_default()))
            }
            Self::Field(field) => (field.name(), None, json!(cell)),
            Self::Money(field) => (field.name(), None, cell.map(cells::money).transpose()?.unwrap_or(Json::Null)),
            Self::List(field) => {
                let list = cell.map(cells::list);
                (field.name(), None, json!(list))
            }
            Self::AddressPart(part) => (Field::Address.name(), Some(part.to_owned()), json!(cell)),
            Self::FullAddress => (FULL_ADDRESS, None, json!(cell)),
            Self::Custom { key, uid, kind } => {
                let value = match (kind, cell) {
                    (FieldType::Currency, Some(cell)) => cells::money(cell)?,
                    (FieldType::MultiSelect, Some(cell)) => json!(cells::list(cell)),
                    (_, cell) => json!(cell),
                };
                (key, Some(uid.to_string()), value)
            }
            // Not in the body: they are written apart.
            Self::Companies | Self::Uid | Self::Base => return Ok(()),
        };
        match inner {
            None => drop(set.insert(outer.to_owned(), value)),
            Some(inner) => {
                let members = set.entry(outer).or_insert_with(|| Json::Object(Map::new()));
                if let Json::Object(members) = members {
                    members.insert(inner, value);
                }
            }
        }
        Ok(())
    }
}

/// An amount with its currency; empty where there is none.
fn amount(json: Option<&Json>) -> String {
    let Some(Json::Object(money)) = json else { return String::new() };
    format!("{} {}", text(money.get("amount")), text(money.get("currency")))
}

/// The text of a text, number or boolean.
fn text(json: Option<&Json>) -> String {
    match json {
        Some(Json::String(text)) => text.clone(),
        Some(scalar @ (Json::Number(_) | Json::Bool(_))) => scalar.to_string(),
        Some(Json::Null | Json::Array(_) | Json::Object(_)) | None => String::new(),
    }
}

/// The texts of a list, or the names of its objects.
fn texts(json: Option<&Json>) -> Vec<String> {
    let items = json.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| text(item.get("name").or(Some(item)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> FileAttributes {
        FileAttributes::of(Entity::Contact, &[])
    }

    #[test]
    fn a_name_that_is_no_attribute_is_refused_with_all_that_there_are() {
        let error = contact().named("Surname").expect_err("no attribute");
        assert!(error.starts_with("\"Surname\" is no attribute. There are: role,"), "{error}");
        assert_eq!(contact().named(" Last_Name "), Ok(ColumnAttribute::Field(Field::LastName)));
        assert_eq!(contact().named("city"), Ok(ColumnAttribute::AddressPart("city")));
    }

    #[test]
    fn version_and_uid_are_used_on_request_alone() {
        let attributes = contact();
        assert_eq!((attributes.exported_as("uid"), attributes.exported_as("version")), (None, None));
        assert_eq!(attributes.named("base"), Ok(ColumnAttribute::Base));
    }

    #[test]
    fn an_attribute_of_a_record_comes_back_into_the_body() {
        let record = json!({"uid": "u", "first_name": "", "email": "a@example.org", "tags": ["a, b", "c"],
            "companies": [{"uid": "1", "name": "Acme, Inc."}, {"uid": "2", "name": "B"}],
            "address": {"address_line_1": null, "city": "Delft"}});
        let Json::Object(record) = record else { panic!("an object") };
        let mut set = Map::new();
        for NamedColumn { attribute, .. } in contact().exported() {
            let cell = attribute.cell(&record);
            let cell = Some(cell.as_str()).filter(|cell| !cell.is_empty());
            attribute.put(cell, &mut set).expect("a value");
        }
        assert_eq!(set["tags"], json!(["a, b", "c"]));
        assert_eq!((&set["first_name"], &set["email"]), (&json!(""), &json!("a@example.org")));
        assert_eq!((&set["address"]["city"], &set["address"]["zip"]), (&json!("Delft"), &json!(null)));
        assert_eq!(ColumnAttribute::Companies.cell(&record), "[\"Acme, Inc.\",\"B\"]");
    }
}
