//! Identifiers of records in other systems.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The record's identifier in another system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ref {
    /// The origin of the system.
    pub source: String,
    /// The record's identifier there.
    pub id: String,
}

impl Ref {
    /// The identifier of an erased record: tells nobody what it was, and is found by those who know it, so that a partner
    /// does not create the record again.
    #[must_use]
    pub(crate) fn erased(&self) -> Self {
        const ERASED: &str = "erased:";
        if self.id.starts_with(ERASED) {
            return self.clone();
        }
        let name = [&self.source, "/", &self.id].concat();
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Self { source: self.source.clone(), id: format!("{ERASED}{hash}") }
    }
}
