//! Custom fields: attributes that an account adds to its records, by definitions that are records themselves.
//!
//! Guarantees: what stands in a custom field fits its type; a field's owner and type never change; an archived field
//! keeps its values and takes no new ones.

mod choice;
mod command;
#[cfg(test)]
mod tests;
mod validate;

pub use command::{Add, ChangeField};
pub use validate::{Input, UntypedValue};
pub(super) use validate::{read, resolve};

use super::field::FieldOwner;
use super::{Field, Record, Uid, Value};

/// What may stand in a custom field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// A line of up to 1,000 characters.
    Text,
    /// Up to 16,384 characters.
    LongText,
    /// A finite number.
    Number,
    /// An amount in a currency.
    Currency,
    /// A calendar day.
    Date,
    /// A moment.
    DateTime,
    /// True or false.
    Checkbox,
    /// One of the allowed values.
    Dropdown,
    /// Some of the allowed values.
    MultiSelect,
    /// An http or https URL.
    Url,
    /// An email address.
    Email,
    /// A telephone number.
    Phone,
    /// The URL of a file.
    File,
}

impl FieldType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Text,
        Self::LongText,
        Self::Number,
        Self::Currency,
        Self::Date,
        Self::DateTime,
        Self::Checkbox,
        Self::Dropdown,
        Self::MultiSelect,
        Self::Url,
        Self::Email,
        Self::Phone,
        Self::File,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::LongText => "long_text",
            Self::Number => "number",
            Self::Currency => "currency",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Checkbox => "checkbox",
            Self::Dropdown => "dropdown",
            Self::MultiSelect => "multi_select",
            Self::Url => "url",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::File => "file",
        }
    }

    /// The inverse of [`Self::name`], in any case, with spaces or hyphens where the word has a line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A longer one is none, and is not converted.
        let text = Some(text.trim()).filter(|text| text.len() <= "multi_select".len())?;
        let text = text.to_ascii_lowercase().replace([' ', '-'], "_");
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Whether its values are chosen from a list.
    #[must_use]
    pub fn is_choice(self) -> bool {
        matches!(self, Self::Dropdown | Self::MultiSelect)
    }
}

/// A custom field as its definition says.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Definition<'a> {
    pub uid: Uid,
    pub owner: FieldOwner,
    pub kind: FieldType,
    pub label: &'a str,
    pub description: Option<&'a str>,
    /// In the order in which people shall see them; empty where the type is no choice.
    pub allowed_values: &'a [String],
    pub archived: bool,
}

impl<'a> Definition<'a> {
    /// Reads a record of a custom field; `None` where it was erased.
    #[must_use]
    pub fn of(record: &'a Record) -> Option<Self> {
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
            archived: record.deleted,
        })
    }
}
