//! Operations of partners in JSON, as `POST /sync/batch` and commands over NATS have them.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::input::{self, Fresh, InputKind};
use super::record::parse_uid;
use crate::domain::record::normalize_key;
use crate::domain::reference::Ref;
use crate::domain::sync::{Base, Erase, Merge, Restore, SyncDelete, SyncOperation, Upsert};
use crate::domain::{Command, Entity, Field, Invalid, Refusal, Seq, Target, Uid, ValidationErrors};

/// The most operations of one batch.
pub const MAX_OPERATIONS: usize = 100;

/// The longest `op_id` and the longest id of a record in another system, in bytes.
const MAX_ID: usize = 255;

/// An operation as far as it could be read.
#[derive(Debug)]
pub struct ReadOperation {
    /// The operation's id, as its sender calls it.
    pub op_id: Option<String>,
    /// The command, or the reason why it is none.
    pub command: Result<Command, Refusal>,
}

/// Reads one operation of this origin.
pub fn read(json: Json, origin: &Arc<str>, fresh: Fresh<'_>) -> ReadOperation {
    let Json::Object(body) = json else {
        return ReadOperation { op_id: None, command: Err(Invalid::of_body("Must be an object.").into()) };
    };
    let mut reader = Reader { body, origin, errors: ValidationErrors::default() };
    let op_id = reader.id("op_id");
    let operation = reader.operation(fresh);
    let command = match operation {
        Ok(Some(operation)) => reader.errors.into_result(operation).map_err(Refusal::from),
        Ok(None) => Err(reader.errors.into()),
        Err(refusal) => Err(with_errors(reader.errors, refusal)),
    };
    ReadOperation { op_id, command: command.map(|operation| Command::Sync(Box::new(operation))) }
}

/// Takes known keys out of an operation and collects the errors of their values.
struct Reader<'a> {
    body: Map<String, Json>,
    origin: &'a Arc<str>,
    errors: ValidationErrors,
}

impl Reader<'_> {
    /// `None` where the errors say why.
    fn operation(&mut self, fresh: Fresh<'_>) -> Result<Option<SyncOperation>, Refusal> {
        let entity = self.entity();
        let base = self.base();
        let uid = self.uid("uid");
        let reference = self.reference();
        let target = uid.map(Target::Uid).or_else(|| reference.clone().map(Target::Ref));
        let op = self.text("op");
        let Some((entity, kind)) = entity else { return Ok(None) };
        match op.as_deref() {
            Some("upsert") => {
                let upsert = self.upsert(entity, kind, target, reference, base, fresh)?;
                Ok(Some(SyncOperation::Upsert(upsert)))
            }
            Some("update") => {
                let Some(target) = self.required(target) else { return Ok(None) };
                let change = Box::new(self.change(kind, fresh)?);
                let upsert = Upsert {
                    entity,
                    target: Some(target),
                    reference,
                    matching: Vec::new(),
                    base,
                    change,
                    create: None,
                };
                Ok(Some(SyncOperation::Upsert(upsert)))
            }
            Some("delete") => {
                let target = self.required(target);
                Ok(target.map(|target| SyncOperation::Delete(SyncDelete { entity, target, base })))
            }
            Some("restore") => {
                let target = self.required(target);
                Ok(target.map(|target| SyncOperation::Restore(Restore { entity, target })))
            }
            Some("merge") => Ok(self.merge(entity)?.map(SyncOperation::Merge)),
            Some("erase") if entity != Entity::Contact => {
                self.refuse("entity", "Must be contact: only contacts are erased.");
                Ok(None)
            }
            Some("erase") => {
                let target = self.required(target);
                Ok(target.map(|target| SyncOperation::Erase(Erase { entity, target })))
            }
            _ => {
                self.refuse("op", "Must be upsert, update, delete, restore, merge or erase.");
                Ok(None)
            }
        }
    }

    fn upsert(
        &mut self,
        entity: Entity,
        kind: InputKind,
        target: Option<Target>,
        reference: Option<Ref>,
        base: Base,
        fresh: Fresh<'_>,
    ) -> Result<Upsert, Refusal> {
        let names = self.matching(kind);
        let set = self.body.get("set").and_then(Json::as_object).cloned().unwrap_or_default();
        let key = |name: &str| Some(normalize_key(set.get(name)?.as_str()?)).filter(|key| !key.is_empty());
        let matching = names.iter().filter_map(|name| key(name)).collect();
        if target.is_none() && names.is_empty() {
            self.refuse("ref", "An upsert needs a ref, a uid or match, so that a repetition makes no second record.");
        }
        // A record that has a uid exists.
        let creates = !matches!(target, Some(Target::Uid(_)));
        let create = match creates.then(|| input::create(kind, Json::Object(set), fresh)) {
            None => None,
            Some(Err(Refusal::Invalid(invalid))) => Some(Box::new(Err(invalid.into_iter().map(inside_set).collect()))),
            Some(created) => Some(Box::new(Ok(created?))),
        };
        let change = Box::new(self.change(kind, fresh)?);
        Ok(Upsert { entity, target, reference, matching, base, change, create })
    }

    /// The update of `set` and `unset`. Its target is set when it is decided.
    fn change(&mut self, kind: InputKind, fresh: Fresh<'_>) -> Result<Command, Refusal> {
        let mut set = match self.body.remove("set") {
            None | Some(Json::Null) => Map::new(),
            Some(json) => input::object(json).unwrap_or_else(|_| {
                self.refuse("set", "Must be an object.");
                Map::new()
            }),
        };
        match self.body.remove("unset") {
            None | Some(Json::Null) => {}
            Some(Json::Array(names)) => {
                for name in names {
                    match name.as_str().filter(|name| kind.entity().field(name).is_some_and(Field::nullable)) {
                        Some(name) if set.contains_key(name) => {
                            self.refuse("unset", format!("Must not name {name}, which set has."));
                        }
                        Some(name) => drop(set.insert(name.to_owned(), Json::Null)),
                        None => self.refuse("unset", "Must list attributes that can be null."),
                    }
                }
            }
            Some(_) => self.refuse("unset", "Must be a list of attributes."),
        }
        input::update(kind, Target::Key(Vec::new()), None, Json::Object(set), fresh).map_err(invalid_of_set)
    }

    fn merge(&mut self, entity: Entity) -> Result<Option<Merge>, Refusal> {
        let into = self.uid("into");
        let from = match self.body.remove("from") {
            Some(Json::Array(uids)) => uids.iter().map(|uid| parse_uid(uid.as_str()?)).collect::<Option<Vec<Uid>>>(),
            Some(_) | None => None,
        };
        if from.is_none() {
            self.refuse("from", "Must be a list of uids.");
        }
        if into.is_none() && !self.errors.contains("#/into") {
            self.refuse("into", "Is required.");
        }
        let (Some(into), Some(from)) = (into, from) else { return Ok(None) };
        Ok(Some(Merge::new(entity, into, from)?))
    }

    fn entity(&mut self) -> Option<(Entity, InputKind)> {
        let name = self.text("entity");
        let kind = InputKind::ALL
            .into_iter()
            .find(|kind| kind.entity().is_synced() && name.as_deref() == Some(kind.entity().name()));
        if kind.is_none() {
            self.refuse("entity", "Must be contact, company or project.");
        }
        kind.map(|kind| (kind.entity(), kind))
    }

    /// The attributes by whose values an existing record is looked for.
    fn matching(&mut self, kind: InputKind) -> Vec<String> {
        let allowed: &[&str] = match kind {
            InputKind::Contact => &["email", "work_email", "home_email"],
            InputKind::Company => &["name"],
            InputKind::Project | InputKind::CustomField => &[],
        };
        match self.body.remove("match") {
            None | Some(Json::Null) => Vec::new(),
            Some(Json::Array(names)) => {
                let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                let names = names.filter(|names| names.iter().all(|name| allowed.contains(&name.as_str())));
                names.unwrap_or_else(|| {
                    let detail = if allowed.is_empty() {
                        "Is not possible, because several projects may have one name.".to_owned()
                    } else {
                        format!("Must list some of: {}.", allowed.join(", "))
                    };
                    self.refuse("match", detail);
                    Vec::new()
                })
            }
            Some(_) => {
                self.refuse("match", "Must be a list of attributes.");
                Vec::new()
            }
        }
    }

    fn base(&mut self) -> Base {
        let seq = match self.body.remove("base") {
            None | Some(Json::Null) => None,
            Some(json) => {
                let seq = json.as_i64().filter(|seq| *seq >= 0).map(Seq);
                if seq.is_none() {
                    self.refuse("base", "Must be a seq: a whole number from 0.");
                }
                seq
            }
        };
        Base { seq, origin: Arc::clone(self.origin) }
    }

    fn reference(&mut self) -> Option<Ref> {
        let id = match self.body.remove("ref") {
            None | Some(Json::Null) => return None,
            Some(Json::Object(mut reference)) => match reference.remove("id") {
                Some(Json::String(id)) => Some(id),
                Some(Json::Number(id)) => Some(id.to_string()),
                _ => None,
            },
            Some(_) => None,
        };
        let id = id.map(|id| id.trim().to_owned()).filter(|id| is_id(id));
        if id.is_none() {
            self.refuse("ref", "Must be {\"id\": \"the record's id in your system\"}, of 1 to 255 bytes.");
        }
        id.map(|id| Ref { source: self.origin.to_string(), id })
    }

    fn required(&mut self, target: Option<Target>) -> Option<Target> {
        if target.is_none() && !self.errors.contains("#/uid") && !self.errors.contains("#/ref") {
            self.refuse("uid", "Is required, unless ref is there.");
        }
        target
    }

    fn uid(&mut self, key: &str) -> Option<Uid> {
        match self.body.remove(key) {
            None | Some(Json::Null) => None,
            Some(json) => {
                let uid = json.as_str().and_then(parse_uid);
                if uid.is_none() {
                    self.refuse(key, "Must be a UUID.");
                }
                uid
            }
        }
    }

    fn id(&mut self, key: &str) -> Option<String> {
        match self.body.remove(key) {
            None | Some(Json::Null) => None,
            Some(Json::String(id)) if is_id(&id) => Some(id),
            Some(_) => {
                self.refuse(key, "Must be a text of 1 to 255 bytes.");
                None
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.body.remove(key) {
            Some(Json::String(text)) => Some(text),
            _ => None,
        }
    }

    fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(Invalid::new(name, detail));
    }
}

/// PostgreSQL stores no NUL.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && !id.contains('\0')
}

/// The errors of a body, with pointers into the operation.
fn invalid_of_set(refusal: Refusal) -> Refusal {
    if let Refusal::Invalid(invalid) = refusal {
        return Refusal::Invalid(invalid.into_iter().map(inside_set).collect());
    }
    refusal
}

fn inside_set(invalid: Invalid) -> Invalid {
    match invalid.pointer.strip_prefix('#') {
        Some(path) => Invalid { pointer: ["#/set", path].concat(), ..invalid },
        None => invalid,
    }
}

/// A refusal together with the errors that were collected before it.
fn with_errors(mut errors: ValidationErrors, refusal: Refusal) -> Refusal {
    if let Refusal::Invalid(invalid) = refusal {
        errors.extend(invalid);
        return errors.into();
    }
    refusal
}
