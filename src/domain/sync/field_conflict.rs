//! A concurrent change as a response shows it.

use super::policy::FieldPolicy;
use crate::domain::{Field, Seq, Value};

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
