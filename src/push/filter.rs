//! The filter of an endpoint's events.

use crate::contract::EncodedEvent;
use crate::domain::EventType;
use crate::domain::endpoint::Settings;

/// Patterns of event types without their root: `contact.created`, `contact.*`, `*`. No pattern at all means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventFilter {
    patterns: Vec<String>,
    fields: Vec<String>,
    exclude_origin: Option<String>,
}

impl EventFilter {
    /// The filter of an endpoint's settings.
    #[must_use]
    pub(crate) fn of(settings: &Settings) -> Self {
        let Settings { events, fields, exclude_own, .. } = settings;
        Self { patterns: events.clone(), fields: fields.clone(), exclude_origin: exclude_own.clone() }
    }

    /// True for an event that all parts of the filter select.
    #[must_use]
    pub(crate) fn selects(&self, event: &EncodedEvent) -> bool {
        let own = self.exclude_origin.as_deref().is_some_and(|origin| origin == &*event.origin);
        !own && self.selects_type(event) && self.selects_fields(event)
    }

    fn selects_type(&self, event: &EncodedEvent) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let kind = event.kind();
        self.patterns.iter().any(|pattern| matches(pattern, &kind))
    }

    /// True where one of the fields changed. Creations and deletions of records are always selected.
    fn selects_fields(&self, event: &EncodedEvent) -> bool {
        self.fields.is_empty()
            || matches!(event.event_type, EventType::Created | EventType::Deleted)
            || match event.changed_fields() {
                Ok(changed) => changed.iter().any(|field| self.fields.contains(field)),
                // An event whose fields are unreadable is delivered, because a needless delivery is better than a lost one.
                Err(error) => {
                    tracing::error!(account = %event.account, seq = event.seq.0, %error, "reading changed fields failed");
                    true
                }
            }
    }
}

fn matches(pattern: &str, kind: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (Some(pattern), Some(kind)) = (pattern.split_once('.'), kind.split_once('.')) else { return false };
    (pattern.0 == "*" || pattern.0 == kind.0) && (pattern.1 == "*" || pattern.1 == kind.1)
}
