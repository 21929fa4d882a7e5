//! Which events an endpoint asked for.

use crate::contract::Wire;
use crate::domain::push::Settings;
use crate::domain::{Entity, Verb};

/// Patterns of event types without their root: `contact.created`, `contact.*`, `*`. No pattern at all means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<String>,
    fields: Vec<String>,
    exclude_origin: Option<String>,
}

impl Filter {
    /// What an endpoint's settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let Settings { events, fields, exclude_own, .. } = settings;
        Self { patterns: events.clone(), fields: fields.clone(), exclude_origin: exclude_own.clone() }
    }

    /// Whether the event is wanted.
    #[must_use]
    pub fn wants(&self, event: &Wire) -> bool {
        let own = self.exclude_origin.as_deref().is_some_and(|origin| origin == &*event.origin);
        !own && self.is_asked_for(event) && self.concerns(event)
    }

    fn is_asked_for(&self, event: &Wire) -> bool {
        if self.patterns.is_empty() {
            return true;
        }
        let kind = event.kind();
        self.patterns.iter().any(|pattern| matches(pattern, &kind))
    }

    /// Whether one of the fields changed. That a record came to be or ended concerns everybody.
    fn concerns(&self, event: &Wire) -> bool {
        self.fields.is_empty()
            || matches!(event.verb, Verb::Created | Verb::Deleted)
            || event.changed_fields().iter().any(|field| self.fields.contains(field))
    }

    /// Whether a pattern can match any event: an entity or `*`, then a verb or `*`.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        match text.split_once('.') {
            None => text == "*",
            Some((entity, verb)) => {
                (entity == "*" || Entity::from_name(entity).is_some())
                    && (verb == "*" || Verb::from_name(verb).is_some())
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
