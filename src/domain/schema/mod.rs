//! Custom fields: attributes that an account adds to its records, by definitions that are records themselves.
//!
//! Guarantees: the value of a custom field fits the field's type; a field's owner and type never change; an archived field
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
use super::text_enum::text_enum;
use super::{Field, Record, Uid, Value};

text_enum! {
    /// The type of a custom field's values.
    pub enum FieldType {
        /// A line of up to 1,000 characters.
        Text = "text",
        /// Up to 16,384 characters.
        LongText = "long_text",
        /// A finite number.
        Number = "number",
        /// An amount in a currency.
        Currency = "currency",
        /// A calendar day.
        Date = "date",
        /// A timestamp.
        DateTime = "datetime",
        /// True or false.
        Checkbox = "checkbox",
        /// One of the allowed values.
        Dropdown = "dropdown",
        /// Some of the allowed values.
        MultiSelect = "multi_select",
        /// An http or https URL.
        Url = "url",
        /// An email address.
        Email = "email",
        /// A telephone number.
        Phone = "phone",
        /// The URL of a file.
        File = "file",
    }
}

impl FieldType {
    /// Reads a name in any case, with spaces or hyphens in place of underscores.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // A longer text is no name and is not converted.
        let text = Some(text.trim()).filter(|text| text.len() <= "multi_select".len())?;
        let text = text.to_ascii_lowercase().replace([' ', '-'], "_");
        Self::from_name(&text)
    }

    /// True when its values are chosen from a list.
    #[must_use]
    pub fn is_choice(self) -> bool {
        matches!(self, Self::Dropdown | Self::MultiSelect)
    }
}

/// The definition of a custom field, read from its record.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Definition<'a> {
    pub uid: Uid,
    pub owner: FieldOwner,
    pub kind: FieldType,
    pub label: &'a str,
    pub description: Option<&'a str>,
    /// In the order in which they are shown; empty where the type is no choice.
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
