//! The groups in which a company shows the values of its custom fields.

use super::{Definition, Visibility};
use crate::domain::FieldOwner;
use crate::domain::text_enum::text_enum;

text_enum! {
    /// A group of the values of a company's custom fields. Its name is its key in the company's JSON.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum FieldGroup {
        /// Values of fields of companies, unless their definition is private.
        Public = "public_custom_fields",
        /// Values of fields of companies whose definition is private.
        Private = "private_custom_fields",
        /// Values of target fields.
        Target = "target_custom_fields",
    }
}

impl Definition<'_> {
    /// The group in which a company shows the field's values; `None` where companies do not have the field.
    #[must_use]
    pub(crate) fn group(&self) -> Option<FieldGroup> {
        match (self.owner, self.visibility) {
            (FieldOwner::Company, Visibility::Public) => Some(FieldGroup::Public),
            (FieldOwner::Company, Visibility::Private) => Some(FieldGroup::Private),
            (FieldOwner::Target, _) => Some(FieldGroup::Target),
            (FieldOwner::Contact | FieldOwner::Project, _) => None,
        }
    }
}
