//! Health of an endpoint as the account's log records it.

use crate::domain::decision::{Decision, Reads, View};
use crate::domain::text_enum::text_enum;
use crate::domain::{Entity, EventType, Field, NewEvent, Patch, Uid, Value};

text_enum! {
    /// Health of an endpoint.
    pub enum Health {
        /// It accepts deliveries.
        Well = "well",
        /// It has accepted nothing for 24 h.
        Failing = "failing",
        /// Deliveries to it have ended.
        Disabled = "disabled",
    }
}

/// Records the health of an endpoint. A health that the log has already yields no event, except `disabled`: the endpoint
/// may have been resumed in between without accepting anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportHealth {
    /// The endpoint's id.
    pub uid: Uid,
    /// The health now.
    pub health: Health,
    /// The endpoint's description, by which its owner knows it.
    pub description: String,
    /// The time since which it has accepted nothing, RFC 3339; `None` where it is well.
    pub failing_since: Option<String>,
}

impl ReportHealth {
    pub(in crate::domain) fn reads(&self, reads: &mut Reads) {
        reads.uids.push((Entity::Push, self.uid));
    }

    pub(in crate::domain) fn decide(self, view: &impl View) -> Decision {
        let Self { uid, health, description, failing_since } = self;
        let subject = (Entity::Push, uid);
        let before = view.by_uid(Entity::Push, uid);
        // An endpoint without a record is well.
        let was = before.and_then(|record| record.text(Field::Status)).unwrap_or_else(|| Health::Well.name());
        if was == health.name() && health != Health::Disabled {
            return Decision::new(subject, Vec::new());
        }
        let event_type = match health {
            Health::Well => EventType::Recovered,
            Health::Failing => EventType::Failing,
            Health::Disabled => EventType::Disabled,
        };
        let text = |text: String| Some(Value::Text(text)).filter(|value| value.as_text() != Some(""));
        let patch = Patch::from([
            (Field::Status, text(health.name().to_owned())),
            (Field::Description, text(description)),
            (Field::FailingSince, failing_since.and_then(text)),
        ]);
        let changes = match before {
            Some(record) => record.differences(patch),
            None => patch.into_iter().filter(|(_, value)| value.is_some()).collect(),
        };
        Decision::new(subject, vec![NewEvent::new(Entity::Push, uid, event_type, changes)])
    }
}
