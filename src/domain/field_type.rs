//! The types of custom fields.

use super::text_enum::text_enum;

text_enum! {
    /// The type of a custom field's values.
    pub(crate) enum FieldType {
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
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // A longer text is no name and is not converted.
        let text = Some(text.trim()).filter(|text| text.len() <= "multi_select".len())?;
        let text = text.to_ascii_lowercase().replace([' ', '-'], "_");
        Self::from_name(&text)
    }

    /// True when its values are chosen from a list.
    #[must_use]
    pub(crate) fn is_choice(self) -> bool {
        matches!(self, Self::Dropdown | Self::MultiSelect)
    }
}
