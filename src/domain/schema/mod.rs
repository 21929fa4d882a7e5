//! Custom fields: attributes that an account adds to its records, by definitions that are records themselves.
//!
//! Guarantees: the value of a custom field fits the field's type; a field's owner and type never change; an archived field
//! keeps its values and takes no new ones.

mod choice;
mod command;
mod group;
#[cfg(test)]
mod tests;
mod validate;

pub(crate) use command::{Add, ChangeField};
pub(crate) use group::FieldGroup;
pub(crate) use validate::{Input, UntypedValue};
pub(super) use validate::{clear, read, resolve};

pub(crate) use super::field_type::FieldType;
pub(crate) use super::visibility::Visibility;
use super::{Field, FieldOwner, Record, Uid, Value};

/// The definition of a custom field, read from its record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition<'a> {
    pub uid: Uid,
    pub owner: FieldOwner,
    pub kind: FieldType,
    pub label: &'a str,
    pub description: Option<&'a str>,
    /// In the order in which they are shown; empty where the type is no choice.
    pub allowed_values: &'a [String],
    pub visibility: Visibility,
    pub archived: bool,
}

impl<'a> Definition<'a> {
    /// Reads a record of a custom field; `None` where it was erased.
    #[must_use]
    pub(crate) fn of(record: &'a Record) -> Option<Self> {
        Some(Self {
            uid: record.uid,
            owner: FieldOwner::parse(record.text(Field::Owner)?)?,
            kind: FieldType::parse(record.text(Field::Type)?)?,
            label: record.text(Field::Name)?,
            description: record.text(Field::Description),
            allowed_values: match record.fields.get(&Field::AllowedValues) {
                Some(Value::Words(values)) => values,
                _ => &[],
            },
            visibility: record.text(Field::Visibility).and_then(Visibility::parse).unwrap_or_default(),
            archived: record.deleted,
        })
    }
}
