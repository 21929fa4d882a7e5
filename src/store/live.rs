//! The numbers of an account's live records, a column of the account's head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Entity;

/// The numbers of an account's live records by kind. Only transactions that hold the account's head write them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live(BTreeMap<Entity, i64>);

impl Live {
    /// Adds to the number of a kind; `more` is negative where records were deleted.
    pub fn add(&mut self, entity: Entity, more: i64) {
        if more != 0 {
            *self.0.entry(entity).or_default() += more;
        }
    }
    /// The number of a kind.
    #[must_use]
    pub fn get(&self, entity: Entity) -> i64 {
        self.0.get(&entity).copied().unwrap_or_default()
    }
}
