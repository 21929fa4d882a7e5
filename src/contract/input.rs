//! A body that came in, as a command: every value is read into its type, and every field that cannot be taken is
//! listed, not only the first.
//!
//! Lenient where clients need it: unknown keys and keys that an action does not take are passed over, `tags` may be
//! one text with commas, an empty text is `null` where a field may be `null`.

#![expect(clippy::wildcard_enum_match_arm, reason = "JSON will get no more types")]

use serde_json::{Map, Value as Json};

use crate::domain::contact::CompanyLink;
use crate::domain::value::{Address, plain, tags};
use crate::domain::{Command, Entity, Field, Invalid, Kind, Patch, Refusal, Seq, Target, Uid, Value, company, contact};

/// Identifiers for what a command may create: the record itself and the one that it may create beside it.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FreshUids {
    pub own: Uid,
    pub beside: Uid,
}

/// Reads the body of a create.
pub fn create(entity: Entity, body: Json, uids: FreshUids) -> Result<Command, Refusal> {
    let mut reader = Reader::new(body)?;
    match entity {
        Entity::Contact => {
            let patch = reader.patch(Entity::Contact);
            let link = reader.company(uids.beside).flatten();
            let welcome = reader.flag("send_welcome_email");
            let create = contact::Create::new(uids.own, patch, link, welcome);
            reader.finish_with(create).map(Command::CreateContact)
        }
        Entity::Company => {
            let patch = reader.patch(Entity::Company);
            let primary = reader.primary_contact(uids.beside);
            let create = company::Create::new(uids.own, patch, primary);
            reader.finish_with(create).map(Command::CreateCompany)
        }
    }
}

/// Reads the body of an update. What only a create takes (`role`, `primaryContact`) is passed over.
pub fn update(
    entity: Entity,
    target: Target,
    if_match: Option<Vec<Seq>>,
    body: Json,
    beside: Uid,
) -> Result<Command, Refusal> {
    let mut reader = Reader::new(body)?;
    reader.body.remove("role");
    let mut patch = reader.patch(entity);
    match entity {
        Entity::Contact => {
            let company = reader.company(beside);
            if company == Some(None) {
                patch.insert(Field::Companies, None);
            }
            let welcome = reader.flag("send_welcome_email");
            let update = contact::Update { target, if_match, patch, company: company.flatten(), welcome };
            reader.finish_with(Ok(update)).map(Command::UpdateContact)
        }
        Entity::Company => {
            reader.finish_with(Ok(company::Update { target, if_match, patch })).map(Command::UpdateCompany)
        }
    }
}

/// Takes what it knows out of a JSON object and collects what is wrong with it.
struct Reader {
    /// What stands before a key in a pointer: `primaryContact/`.
    prefix: &'static str,
    body: Map<String, Json>,
    invalid: Vec<Invalid>,
}

impl Reader {
    fn new(body: Json) -> Result<Self, Refusal> {
        match body {
            Json::Object(body) => Ok(Self { prefix: "", body, invalid: Vec::new() }),
            _ => Err(Refusal::Invalid(vec![Invalid {
                pointer: "#".to_owned(),
                detail: "Must be an object.".to_owned(),
            }])),
        }
    }

    /// Everything that is wrong with the body, by itself or as a whole; each field once.
    fn finish_with<T>(mut self, read: Result<T, Vec<Invalid>>) -> Result<T, Refusal> {
        match read {
            Ok(read) if self.invalid.is_empty() => Ok(read),
            Ok(_) => Err(Refusal::Invalid(self.invalid)),
            Err(missing) => {
                // A field with an unusable value is not in the patch; that it is missing would be said of it too.
                let unsaid = missing.into_iter().filter(|m| !self.invalid.iter().any(|i| i.pointer == m.pointer));
                let unsaid: Vec<_> = unsaid.collect();
                self.invalid.extend(unsaid);
                Err(Refusal::Invalid(self.invalid))
            }
        }
    }

    fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.invalid.push(Invalid::new(&[self.prefix, name].concat(), detail));
    }

    fn patch(&mut self, entity: Entity) -> Patch {
        let mut patch = Patch::new();
        for field in entity.fields().iter().copied() {
            // These two are written through other keys.
            if matches!(field.kind(), Kind::Links | Kind::Person) {
                continue;
            }
            let Some((name, json)) = self.take_field(field) else { continue };
            match value(field, json) {
                Ok(value) => {
                    patch.insert(field, value);
                }
                Err(detail) => self.refuse(name, detail),
            }
        }
        patch
    }

    /// A field's value and the key that it stood under. `full_address` is taken where `address` is absent: the whole of
    /// it becomes the first line.
    fn take_field(&mut self, field: Field) -> Option<(&'static str, Json)> {
        if let Some(json) = self.body.remove(field.name()) {
            return Some((field.name(), json));
        }
        let line = (field == Field::Address).then(|| self.body.remove("full_address")).flatten()?;
        let address =
            if line.is_null() { line } else { Json::Object(Map::from_iter([("address_line_1".to_owned(), line)])) };
        Some(("full_address", address))
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.body.remove(key) {
            None | Some(Json::Null) => false,
            Some(Json::Bool(flag)) => flag,
            Some(_) => {
                self.refuse(key, "Must be true or false.");
                false
            }
        }
    }

    /// The `company` of a contact: absent, `null`, or one to link to.
    fn company(&mut self, create_as: Uid) -> Option<Option<CompanyLink>> {
        match self.body.remove("company")? {
            Json::Null => Some(None),
            Json::Object(body) => {
                let mut inner = Self { prefix: "company/", body, invalid: Vec::new() };
                let link = inner.company_link(create_as);
                self.invalid.append(&mut inner.invalid);
                link.map(Some)
            }
            _ => {
                self.refuse("company", "Must be an object with a name.");
                None
            }
        }
    }

    fn company_link(&mut self, create_as: Uid) -> Option<CompanyLink> {
        let create = self.flag("create_company_if_not_exists");
        let name = self.body.remove("name").map(|name| value(Field::Name, name));
        match name {
            Some(Ok(Some(Value::Text(name)))) => Some(CompanyLink { name, create_as: create.then_some(create_as) }),
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

    fn primary_contact(&mut self, create_as: Uid) -> Option<company::Primary> {
        match self.body.remove("primaryContact")? {
            Json::Null => None,
            Json::Object(body) => {
                let mut inner = Self { prefix: "primaryContact/", body, invalid: Vec::new() };
                let patch = inner.patch(Entity::Contact);
                let create = inner.flag("create_primary_contact_if_not_exists");
                let welcome = inner.flag("send_welcome_email");
                self.invalid.append(&mut inner.invalid);
                Some(company::Primary { patch, create_as: create.then_some(create_as), welcome })
            }
            _ => {
                self.refuse("primaryContact", "Must be an object.");
                None
            }
        }
    }
}

/// The canonical value of a field; `Ok(None)` is `null`.
fn value(field: Field, json: Json) -> Result<Option<Value>, String> {
    let kind = field.kind();
    match (kind, json) {
        (_, Json::Null) if field.nullable() => Ok(None),
        (_, Json::Null) => Err("Must not be null.".to_owned()),
        (Kind::Tags, Json::Array(words)) => {
            let words: Option<Vec<&str>> = words.iter().map(Json::as_str).collect();
            let words = words.ok_or("Must be a list of strings.")?;
            tags(words.into_iter()).map(some_tags)
        }
        (Kind::Tags, Json::String(words)) => tags(words.split(',')).map(some_tags),
        (Kind::Tags, _) => Err("Must be a list of strings.".to_owned()),
        (Kind::Address, Json::Object(parts)) => address(parts),
        (Kind::Address | Kind::Links | Kind::Person, _) => Err("Must be an object.".to_owned()),
        (_, Json::String(text)) if text.trim().is_empty() => match field {
            Field::FirstName | Field::LastName => Ok(Some(Value::Text(String::new()))),
            _ if field.nullable() => Ok(None),
            _ => Err("Must not be empty.".to_owned()),
        },
        (_, Json::String(text)) => Value::parse(kind, &text).map(Some),
        (_, _) => Err("Must be a string.".to_owned()),
    }
}

fn some_tags(tags: Vec<String>) -> Option<Value> {
    (!tags.is_empty()).then_some(Value::Tags(tags))
}

fn address(mut parts: Map<String, Json>) -> Result<Option<Value>, String> {
    let mut part = |key: &str| match parts.remove(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => plain(&text, 255).map(|text| (!text.is_empty()).then_some(text)),
        Some(_) => Err(format!("{key} must be a string or null.")),
    };
    let address = Address {
        address_line_1: part("address_line_1")?,
        address_line_2: part("address_line_2")?,
        city: part("city")?,
        state: part("state")?,
        country: part("country")?,
        zip: part("zip")?,
    };
    Ok((!address.is_empty()).then_some(Value::Address(address)))
}
