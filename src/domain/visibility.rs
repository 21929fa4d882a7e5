//! The visibility of a company's custom fields.

use super::text_enum::text_enum;

text_enum! {
    /// The visibility of a custom field of companies. It decides the group in which a company shows the field's values.
    #[derive(Default)]
    pub(crate) enum Visibility {
        /// Shown among the public values. A definition without a visibility is public.
        #[default]
        Public = "public",
        /// Shown among the private values.
        Private = "private",
    }
}

impl Visibility {
    /// Reads a name in any case.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|visibility| visibility.name().eq_ignore_ascii_case(text.trim()))
    }
}
