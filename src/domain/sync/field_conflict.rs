//! A concurrent change as a response shows it.

use super::policy::FieldPolicy;
use crate::domain::{Field, Record, Seq, Value};

/// A field that two origins changed, as the response to the later change lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The field.
    pub field: Field,
    /// The position that the later change was based on.
    pub base: Option<Seq>,
    /// The value of the later change.
    pub yours: Option<Value>,
    /// The value that it met.
    pub theirs: Option<Value>,
    /// The origin of that value; `None` where it is unknown.
    pub theirs_origin: Option<String>,
    /// The position of that value.
    pub seq: Option<Seq>,
    /// The rule that was applied.
    pub policy: FieldPolicy,
    /// True where the later change was applied.
    pub is_applied: bool,
}

impl FieldConflict {
    /// The conflict of a change with the value that the record has.
    pub(super) fn with(
        record: &Record,
        field: Field,
        base: Option<Seq>,
        yours: Option<Value>,
        policy: FieldPolicy,
        is_applied: bool,
    ) -> Self {
        Self {
            field,
            base,
            yours,
            theirs: record.fields.get(&field).cloned(),
            theirs_origin: record.origins.get(&field).map(ToString::to_string),
            seq: record.field_seq.get(&field).copied(),
            policy,
            is_applied,
        }
    }
}
