//! A row of a read model, as events determine it.

use std::collections::BTreeSet;

use crate::domain::reference::Ref;
use crate::domain::{AccountId, Entity, Seq, Timestamp, Uid};

/// A row of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub account: AccountId,
    pub entity: Entity,
    pub uid: Uid,
    /// Whether the record's first event is in the batch.
    pub is_new: bool,
    pub version: Seq,
    pub key: Option<String>,
    pub role: Option<&'static str>,
    pub deleted: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The record's text as clients see it.
    pub record: String,
    /// The companies that a contact belongs to; `None` where they have not changed.
    pub companies: Option<Vec<Uid>>,
    /// The companies whose listing may have changed.
    pub relisted: BTreeSet<Uid>,
    /// The record's identifiers in other systems; `None` where they have not changed.
    pub refs: Option<Vec<Ref>>,
}
