//! The rule by which concurrent changes of a field are resolved.

use std::collections::BTreeMap;

use crate::domain::{Entity, Field};

/// An account's rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncPolicy {
    /// For fields that have no rule of their own.
    pub default: FieldPolicy,
    /// The rules of single fields.
    pub fields: BTreeMap<(Entity, Field), FieldPolicy>,
}

/// The rule of one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum FieldPolicy {
    /// The later write wins.
    #[default]
    IncomingWins,
    /// The earlier write wins; the later one is executed without this field.
    ExistingWins,
    /// As [`Self::ExistingWins`], and the later write gets a conflict as its response.
    Reject,
    /// Only this origin changes the field.
    SystemOfRecord(String),
}

impl SyncPolicy {
    /// The rule of a field.
    #[must_use]
    pub fn of(&self, entity: Entity, field: Field) -> &FieldPolicy {
        self.fields.get(&(entity, field)).unwrap_or(&self.default)
    }
}

impl FieldPolicy {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::IncomingWins => "incoming_wins",
            Self::ExistingWins => "existing_wins",
            Self::Reject => "reject",
            Self::SystemOfRecord(_) => "system_of_record",
        }
    }
}
