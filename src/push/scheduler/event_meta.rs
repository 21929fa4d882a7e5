//! Events as the scheduler knows them.

use crate::domain::{Seq, Timestamp, Uid};

/// An event of the log without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventMeta {
    /// Its position.
    pub seq: Seq,
    /// Its record.
    pub uid: Uid,
    /// When it was committed.
    pub at: Timestamp,
    /// The size of its body.
    pub bytes: usize,
    /// True where the endpoint's filters select it.
    pub selected: bool,
}
