//! The cards as they were seen last, and what differs from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The cards of a book as they were seen last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The server's token; `None` before the first request, and for servers that have none.
    pub(super) token: Option<String>,
    /// The cards by their file name in the collection.
    pub(crate) cards: BTreeMap<String, Seal>,
}

/// A card as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    pub(crate) etag: String,
    pub(crate) text: String,
}

/// Differences from the cards as they were seen.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// New and changed cards.
    pub(crate) changed: BTreeMap<String, Seal>,
    /// Names of deleted cards.
    pub(crate) deleted: Vec<String>,
    /// The server's token of this state.
    pub(super) token: Option<String>,
}

impl Seen {
    /// Notes that changes were handed on.
    pub(crate) fn take(&mut self, changes: Changes) {
        changes.deleted.iter().for_each(|name| drop(self.cards.remove(name)));
        self.cards.extend(changes.changed);
        self.token = changes.token;
    }
}
