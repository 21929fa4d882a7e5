//! The types of events.

use super::text_enum::text_enum;

text_enum! {
    /// The type of an event: the last part of its name on the wire.
    #[derive(Hash)]
    #[expect(missing_docs, reason = "each variant is its wire name")]
    pub enum EventType {
        Created = "created",
        Updated = "updated",
        Deleted = "deleted",
        Restored = "restored",
        Merged = "merged",
        Erased = "erased",
        WelcomeRequested = "welcome_requested",
        Subscribed = "subscribed",
        FieldAdded = "field_added",
        FieldChanged = "field_changed",
        FieldArchived = "field_archived",
        Failing = "failing",
        Disabled = "disabled",
        Recovered = "recovered",
        Opened = "opened",
        Resolved = "resolved",
    }
}
