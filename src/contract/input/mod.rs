//! Reads request bodies into commands. Every value gets its type, and a refusal lists all invalid fields.
//!
//! Lenient where clients need it: unknown keys and keys that an action does not use are ignored, `tags` may be one text with
//! commas, an empty text is `null` where a field may be `null`, `null` in a create is an absent key, and values may have the
//! forms of `lenient`.

#![expect(clippy::wildcard_enum_match_arm, reason = "JSON has a closed set of types")]

mod address;
mod body;
mod custom;
mod estimated_value;
mod lenient;
mod related;
mod subscribe;
mod value;

use serde_json::{Map, Value as Json};

use self::lenient::is_blank;
use self::value::value;
use crate::domain::{
    Command, Entity, Field, FieldKind, Invalid, Patch, Refusal, Seq, Target, Uid, ValidationErrors, company, contact,
    project, schema,
};

pub use body::{Unreadable, parse};
pub(crate) use lenient::{flag, object};
pub use subscribe::subscriptions;

/// The kind of record that a body describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its record's name")]
pub enum InputKind {
    Contact,
    Company,
    Project,
    CustomField,
}

/// Makes the uids of the records that a command may create: the record itself first, then related records.
pub type Fresh<'a> = &'a mut dyn FnMut() -> Uid;

impl InputKind {
    /// Every kind that a body can describe.
    pub const ALL: [Self; 4] = [Self::Contact, Self::Company, Self::Project, Self::CustomField];

    /// The entity of its records.
    #[must_use]
    pub fn entity(self) -> Entity {
        match self {
            Self::Contact => Entity::Contact,
            Self::Company => Entity::Company,
            Self::Project => Entity::Project,
            Self::CustomField => Entity::CustomField,
        }
    }
}

/// Reads the body of a create.
pub fn create(kind: InputKind, body: Json, fresh: Fresh<'_>) -> Result<Command, Refusal> {
    let mut reader = Reader::new(Action::Create, body)?;
    if kind == InputKind::Project {
        reader.join_estimated_value();
    }
    let uid = fresh();
    let mut patch = reader.patch(kind.entity());
    match kind {
        InputKind::Contact => {
            let link = reader.company(fresh).flatten();
            let related = reader.related(&mut patch, fresh);
            let create = contact::CreateContact::new(uid, patch, link, related);
            reader.finish_with(create).map(Command::CreateContact)
        }
        InputKind::Company => {
            // A new company has no values to clear.
            let (custom, _) = reader.company_custom(&mut patch);
            let primary = reader.primary_contact(fresh);
            let create = company::CreateCompany::new(uid, patch, custom, primary);
            reader.finish_with(create).map(Command::CreateCompany)
        }
        InputKind::Project => {
            let custom = reader.custom(Entity::Project, &mut patch);
            reader.finish_with(project::CreateProject::new(uid, patch, custom)).map(Command::CreateProject)
        }
        InputKind::CustomField => reader.finish_with(schema::Add::new(uid, patch)).map(Command::AddField),
    }
}

/// Reads the body of an update. Keys of a create (`role`, `primaryContact`) are ignored.
pub fn update(
    kind: InputKind,
    target: Target,
    if_match: Option<Vec<Seq>>,
    body: Json,
    fresh: Fresh<'_>,
) -> Result<Command, Refusal> {
    let mut reader = Reader::new(Action::Update, body)?;
    reader.body.remove("role");
    if kind == InputKind::Project {
        reader.join_estimated_value();
    }
    let address = reader.address_change(kind.entity());
    let mut patch = reader.patch(kind.entity());
    match kind {
        InputKind::Contact => {
            let company = reader.company(fresh);
            if company == Some(None) {
                patch.insert(Field::Companies, None);
            }
            let related = reader.related(&mut patch, fresh);
            let update =
                contact::UpdateContact { target, if_match, patch, address, company: company.flatten(), related };
            reader.finish_with(Ok(update)).map(Command::UpdateContact)
        }
        InputKind::Company => {
            let (custom, cleared) = reader.company_custom(&mut patch);
            let update = company::UpdateCompany { target, if_match, patch, address, custom, cleared };
            reader.finish_with(Ok(update)).map(Command::UpdateCompany)
        }
        InputKind::Project => {
            let custom = reader.custom(Entity::Project, &mut patch);
            let update = project::UpdateProject { target, if_match, patch, custom };
            reader.finish_with(Ok(update)).map(Command::UpdateProject)
        }
        InputKind::CustomField => {
            reader.finish_with(Ok(schema::ChangeField { target, if_match, patch })).map(Command::ChangeField)
        }
    }
}

/// The purpose of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
}

/// Takes known keys out of a JSON object and collects the errors of their values.
struct Reader {
    action: Action,
    /// The prefix of a key in pointers, for example `primaryContact/`.
    prefix: &'static str,
    body: Map<String, Json>,
    errors: ValidationErrors,
}

impl Reader {
    fn new(action: Action, body: Json) -> Result<Self, Refusal> {
        // A text is no body, not even an empty one.
        match Some(body).filter(|body| !body.is_string()).map(object) {
            Some(Ok(body)) => Ok(Self { action, prefix: "", body, errors: ValidationErrors::default() }),
            Some(Err(_)) | None => Err(Invalid::of_body("Must be an object.").into()),
        }
    }

    /// A reader of an object inside the body.
    fn inside(&self, prefix: &'static str, body: Map<String, Json>) -> Self {
        Self { action: self.action, prefix, body, errors: ValidationErrors::default() }
    }

    /// The command, or all errors: those of single values and those of the command as a whole, at most one per missing field.
    fn finish_with<T>(mut self, read: Result<T, ValidationErrors>) -> Result<T, Refusal> {
        let missing = match read {
            Ok(read) => return Ok(self.errors.into_result(read)?),
            Err(missing) => missing,
        };
        for missing in missing.into_list() {
            // A field with an unusable value is absent from the patch: "is required" would be its second error.
            if !self.errors.contains(&missing.pointer) {
                self.errors.push(missing);
            }
        }
        Err(self.errors.into())
    }

    fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(Invalid::new(&[self.prefix, name].concat(), detail));
    }

    fn patch(&mut self, entity: Entity) -> Patch {
        let mut patch = Patch::new();
        for field in entity.fields().iter().copied() {
            if is_written_apart(field) {
                continue;
            }
            let Some((name, json)) = self.take_field(field) else { continue };
            let is_name = matches!(field, Field::FirstName | Field::LastName) && !json.is_null();
            // A create has nothing to clear.
            if self.action == Action::Create && !field.nullable() && !is_name && is_blank(&json) {
                continue;
            }
            match value(field, json) {
                Ok(value) => {
                    patch.insert(field, value);
                }
                Err(detail) => self.refuse(name, detail),
            }
        }
        patch
    }

    /// Takes a field's value. Returns it with its key. Where `address` is absent, `full_address` becomes the first line.
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
        let flag = self.body.remove(key).map_or(Some(false), |json| flag(&json));
        flag.unwrap_or_else(|| {
            self.refuse(key, "Must be true or false.");
            false
        })
    }
}

/// True when a field is not written by its value under its name.
fn is_written_apart(field: Field) -> bool {
    matches!(
        field.kind(),
        FieldKind::Links
            | FieldKind::Person
            | FieldKind::Circles
            | FieldKind::Audiences
            | FieldKind::Custom(_)
            | FieldKind::Contact
    )
}
