//! Makes commands of lines: the same as those of `POST /sync/batch`. Pure, except that it draws the uids of new records.

use std::fmt::Write as _;
use std::sync::Arc;

use csv::StringRecord;
use serde_json::{Map, Value as Json, json};

use super::attributes::{ColumnAttribute, FileAttributes};
use super::cells;
use super::report::reason;
use crate::clock;
use crate::command::{AtomicStep, CommandEnvelope, Idempotency};
use crate::contract::input::{self, InputKind};
use crate::contract::sync_op;
use crate::domain::record::normalize_key;
use crate::domain::sync::SyncOperation;
use crate::domain::{AccountId, Command, Entity, Field};

/// How a line without a reference is matched with an existing record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchBy {
    /// By its email; contacts only.
    Email,
    /// By its name; companies only.
    Name,
    /// Not at all.
    None,
}

/// The meaning of a file's columns.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) entity: Entity,
    kind: InputKind,
    /// The attributes of columns, by the columns' indices.
    columns: Vec<(usize, ColumnAttribute)>,
    /// The attributes that every line has, with their values.
    constants: Vec<(ColumnAttribute, String)>,
    /// The index of the column with the record's id in the other system.
    reference: Option<usize>,
    matching: MatchBy,
    clear_empty: bool,
    create_companies: bool,
    /// The names of the columns that are not read.
    pub(super) ignored: Vec<String>,
}

/// The operator's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappingOptions {
    /// Columns with their attributes.
    pub(crate) map: Vec<(String, String)>,
    /// Attributes with the value that every line has.
    pub(crate) set: Vec<(String, String)>,
    pub(crate) ref_column: Option<String>,
    pub(crate) matching: MatchBy,
    /// Whether an empty cell clears the attribute.
    pub(crate) clear_empty: bool,
    /// Whether companies of contacts are created where there are none of the name.
    pub(crate) create_companies: bool,
}

/// The sender and the file of operations.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) account: AccountId,
    pub(super) origin: Arc<str>,
    /// Names the file and the mapping: a line of the same file with the same mapping is the same operation.
    pub(super) run: String,
}

impl Mapping {
    pub(super) fn new(
        entity: Entity,
        options: &MappingOptions,
        attributes: &FileAttributes,
        header: &[String],
    ) -> Result<Self, String> {
        let kind = match (entity, options.matching) {
            (Entity::Contact, MatchBy::Email | MatchBy::None) => InputKind::Contact,
            (Entity::Company, MatchBy::Name | MatchBy::None) => InputKind::Company,
            (Entity::Contact, MatchBy::Name) => return Err("Contacts are matched by email or none.".to_owned()),
            (_, _) => return Err("Companies are matched by name or none.".to_owned()),
        };
        let index = |column: &str| {
            let position = header.iter().position(|name| name.eq_ignore_ascii_case(column.trim()));
            position.ok_or_else(|| format!("The file has no column {column:?}, but {}.", header.join(", ")))
        };
        let reference = options.ref_column.as_deref().map(index).transpose()?;
        let mut columns: Vec<(usize, ColumnAttribute)> = Vec::new();
        let mut chosen = Vec::new();
        for (column, attribute) in &options.map {
            let column = index(column)?;
            if chosen.contains(&column) {
                return Err(format!("The column {:?} is mapped twice.", header.get(column).map_or("", String::as_str)));
            }
            chosen.push(column);
            // Without an attribute it is not read.
            if !attribute.trim().is_empty() {
                columns.push((column, attributes.named(attribute)?));
            }
        }
        let mut ignored = Vec::new();
        for (column, name) in header.iter().enumerate().filter(|(column, _)| !chosen.contains(column)) {
            match attributes.exported_as(name) {
                Some(attribute) if columns.iter().all(|(_, other)| *other != attribute) => {
                    columns.push((column, attribute));
                }
                // The attribute comes from the column that the operator named.
                Some(_) => ignored.push(name.clone()),
                None if Some(column) == reference => {}
                None => ignored.push(name.clone()),
            }
        }
        let of_constant = |(name, value): &(String, String)| Ok((attributes.named(name)?, value.clone()));
        let constants: Vec<_> = options.set.iter().map(of_constant).collect::<Result<_, String>>()?;
        columns.retain(|(_, attribute)| constants.iter().all(|(constant, _)| constant != attribute));
        let mut seen: Vec<ColumnAttribute> = Vec::new();
        for attribute in columns.iter().map(|(_, attribute)| *attribute) {
            if seen.contains(&attribute) {
                return Err("Two columns are mapped to one attribute.".to_owned());
            }
            seen.push(attribute);
        }
        if columns.is_empty() {
            return Err(format!("No column has an attribute's name: map some of {} by --map.", header.join(", ")));
        }
        let MappingOptions { matching, clear_empty, create_companies, .. } = *options;
        let mapping =
            Self { entity, kind, columns, constants, reference, matching, clear_empty, create_companies, ignored };
        match mapping.key_column() {
            None if mapping.reference.is_none() && mapping.matching != MatchBy::None && !mapping.has_uid() => {
                let attribute = mapping.key_attribute();
                Err(format!("No column is the {attribute}: map one, or name --ref-column, or use --match none."))
            }
            _ => Ok(mapping),
        }
    }

    fn has_uid(&self) -> bool {
        self.columns.iter().any(|(_, attribute)| *attribute == ColumnAttribute::Uid)
    }

    fn key_attribute(&self) -> &'static str {
        if self.entity == Entity::Company { Field::Name.name() } else { Field::Email.name() }
    }

    fn key_column(&self) -> Option<usize> {
        let is_key = |attribute: &ColumnAttribute| matches!(attribute, ColumnAttribute::Field(field) if field.name() == self.key_attribute());
        self.columns.iter().find(|(_, attribute)| is_key(attribute)).map(|(column, _)| *column)
    }

    /// The names by which the record of a line is known: its id in the other system, and its email or name.
    pub(super) fn names(&self, cells: &StringRecord) -> (Option<String>, Option<String>) {
        let reference = self.reference.and_then(|column| value(cells, column)).map(|id| id.trim().to_owned());
        let key = self.key_column().and_then(|column| value(cells, column)).map(normalize_key);
        (reference, key)
    }

    /// The command of a line, or the reason why it has none.
    pub(super) fn envelope(&self, sender: &Sender, line: u64, cells: &StringRecord) -> Result<CommandEnvelope, String> {
        let mut set = Map::new();
        let mut op = Map::new();
        let (mut companies, mut without_names) = (Vec::new(), Vec::new());
        let of_columns = self.columns.iter().map(|(column, attribute)| (*attribute, value(cells, *column)));
        let of_constants = self.constants.iter().map(|(attribute, value)| (*attribute, Some(value.as_str())));
        for (attribute, cell) in of_columns.chain(of_constants) {
            match (attribute, cell) {
                (ColumnAttribute::Companies, Some(cell)) => companies = cells::names(cell),
                // Companies are added, so that an empty cell adds none.
                (ColumnAttribute::Companies, None) => {}
                (ColumnAttribute::Uid, Some(cell)) => drop(op.insert("uid".to_owned(), json!(cell.trim()))),
                (ColumnAttribute::Base, Some(cell)) => {
                    let base = cell.trim().parse::<i64>();
                    op.insert("base".to_owned(), base.map_or_else(|_| json!(cell), |base| json!(base)));
                }
                (ColumnAttribute::Uid | ColumnAttribute::Base, None) => {}
                // A new contact must have names, which may be empty; an existing one keeps its names.
                (ColumnAttribute::Field(field @ (Field::FirstName | Field::LastName)), None) => {
                    attribute.put(None, &mut set)?;
                    without_names.push(field);
                }
                (_, None) if !self.clear_empty => {}
                (attribute, cell) => {
                    attribute.put(cell, &mut set).map_err(|detail| self.in_column(attribute, cells, &detail))?;
                }
            }
        }
        if self.clear_empty {
            without_names.clear();
        }
        let mut companies = companies.into_iter();
        if let Some(company) = companies.next() {
            set.insert("company".to_owned(), self.company(&company));
        }
        let reference = match self.reference {
            Some(column) => match value(cells, column) {
                Some(id) => Some(id.trim().to_owned()),
                None if self.matching == MatchBy::None && !op.contains_key("uid") => {
                    return Err("The cell of the reference is empty.".to_owned());
                }
                None => None,
            },
            None => None,
        };
        self.target(reference, &mut op);
        let bytes = cells.as_slice().len();
        let is_named = op.contains_key("uid") || op.contains_key("ref") || set.contains_key(self.key_attribute());
        if companies.len() > 0 && !is_named {
            let key = self.key_attribute();
            return Err(format!("Several companies need a line with {key}, reference or uid."));
        }
        let further = companies.map(|company| self.link(&op, &set, &company)).collect::<Vec<_>>();
        let first = self.step(sender, line, 0, op, set, &without_names)?;
        let mut then = Vec::with_capacity(further.len());
        for (index, (link, set)) in (1..).zip(further) {
            then.push(self.step(sender, line, index, link, set, &[])?);
        }
        Ok(CommandEnvelope {
            idempotency: first.idempotency,
            causation: first.causation,
            bytes,
            is_atomic: !then.is_empty(),
            then,
            ..CommandEnvelope::new(sender.account, Arc::clone(&sender.origin), first.command)
        })
    }

    /// Names the record of an operation.
    fn target(&self, reference: Option<String>, op: &mut Map<String, Json>) {
        if let Some(id) = reference {
            op.insert("ref".to_owned(), json!({ "id": id }));
        }
        if self.matching != MatchBy::None && !op.contains_key("uid") {
            op.insert("match".to_owned(), json!([self.key_attribute()]));
        }
    }

    fn company(&self, name: &str) -> Json {
        json!({"name": name, "create_company_if_not_exists": self.create_companies})
    }

    /// The operation that adds a further company to the record of a line, and its body.
    fn link(
        &self,
        op: &Map<String, Json>,
        set: &Map<String, Json>,
        company: &str,
    ) -> (Map<String, Json>, Map<String, Json>) {
        let mut link = op.clone();
        let mut body = Map::from_iter([("company".to_owned(), self.company(company))]);
        if let Some(key) = set.get(self.key_attribute()) {
            body.insert(self.key_attribute().to_owned(), key.clone());
            // The first operation of the line made sure that a record has it.
            link.insert("match".to_owned(), json!([self.key_attribute()]));
        }
        (link, body)
    }

    fn step(
        &self,
        sender: &Sender,
        line: u64,
        index: usize,
        mut op: Map<String, Json>,
        set: Map<String, Json>,
        without_names: &[Field],
    ) -> Result<AtomicStep, String> {
        let mut op_id = format!("{}:{line}", sender.run);
        if index > 0 {
            // Writing to a text does not fail.
            let _written = write!(op_id, ".{index}");
        }
        let creates = !["uid", "ref", "match"].iter().any(|key| op.contains_key(*key));
        op.insert("op".to_owned(), json!("upsert"));
        op.insert("entity".to_owned(), json!(self.entity.name()));
        op.insert("set".to_owned(), Json::Object(set));
        let op = Json::Object(op);
        let idempotency = Idempotency::of_operation(&sender.origin, &op_id, &op.to_string());
        let command = if creates {
            let set = op.get("set").cloned().unwrap_or_default();
            input::create(self.kind, set, &mut clock::fresh_uid)
        } else {
            sync_op::read(op, &sender.origin, &mut clock::fresh_uid).command
        };
        let mut command = command.map_err(|refusal| reason(&refusal))?;
        keep_names(&mut command, without_names);
        Ok(AtomicStep { command, idempotency: Some(idempotency), causation: Some(op_id) })
    }

    fn in_column(&self, attribute: ColumnAttribute, cells: &StringRecord, detail: &str) -> String {
        let column = self.columns.iter().find(|(_, other)| *other == attribute).map_or(0, |(column, _)| *column);
        format!("{:?}: {detail}", cells.get(column).unwrap_or_default())
    }
}

/// Takes empty names out of an update.
fn keep_names(command: &mut Command, names: &[Field]) {
    if let Command::Sync(operation) = command
        && let SyncOperation::Upsert(upsert) = operation.as_mut()
        && let Command::UpdateContact(update) = upsert.change.as_mut()
    {
        for name in names {
            update.patch.remove(name);
        }
    }
}

/// The value of a cell; `None` where it is empty.
fn value(cells: &StringRecord, column: usize) -> Option<&str> {
    let cell = cells::unprotected(cells.get(column)?);
    Some(cell).filter(|cell| !cell.trim().is_empty())
}
