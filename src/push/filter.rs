//! Which events an endpoint asked for.

use crate::contract::Wire;

/// Patterns of event types without their root: `contact.created`, `contact.*`, `*`. No pattern at all means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    patterns: Vec<String>,
    exclude_origin: Option<String>,
}

impl Filter {
    /// `exclude_origin` leaves out what was written with keys of that origin.
    #[must_use]
    pub fn new(patterns: Vec<String>, exclude_origin: Option<String>) -> Self {
        Self { patterns, exclude_origin }
    }

    /// Whether the event is wanted.
    #[must_use]
    pub fn wants(&self, event: &Wire) -> bool {
        let own = self.exclude_origin.as_deref().is_some_and(|origin| origin == &*event.origin);
        if own || self.patterns.is_empty() {
            return !own;
        }
        let kind = event.kind();
        self.patterns.iter().any(|pattern| matches(pattern, &kind))
    }

    /// Whether a pattern can match any event: an entity or `*`, then a verb or `*`.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        use crate::domain::{Entity, Verb};
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
