//! Records the health of endpoints in their accounts' logs, by commands like every other event.
//!
//! A change is compared with the health that the log recorded last, so that no change is lost. It is recorded before the
//! endpoint's row is disabled, so that a crash in between records it once more. An endpoint does not receive the events
//! about itself.

use std::sync::Arc;
use std::time::Duration;

use crate::command::{CommandEnvelope, Lanes};
use crate::contract::{EncodedEvent, timestamp};
use crate::domain::endpoint::{Endpoint, Health, ReportHealth};
use crate::domain::{Command, Entity, Timestamp, Uid};

/// The origin of these commands.
const ORIGIN: &str = "push";

/// An endpoint that accepts nothing for this long is recorded as failing.
const FAILING_AFTER: Duration = Duration::from_hours(24);

/// Returns the health after an attempt; `None` where it is the one that was recorded last.
pub(super) fn change(
    reported: Health,
    delivered: bool,
    failing_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Health> {
    match failing_since {
        None if delivered && reported != Health::Well => Some(Health::Well),
        Some(since) if reported != Health::Failing && now - since >= FAILING_AFTER => Some(Health::Failing),
        None | Some(_) => None,
    }
}

/// Submits the command that records a health.
pub(super) async fn report(
    lanes: &Lanes,
    endpoint: &Endpoint,
    health: Health,
    failing_since: Option<Timestamp>,
) -> anyhow::Result<()> {
    let report = ReportHealth {
        uid: Uid(endpoint.endpoint_id),
        health,
        description: endpoint.settings.description.clone(),
        failing_since: failing_since.map(timestamp::seconds),
    };
    let envelope = CommandEnvelope::new(endpoint.account, Arc::from(ORIGIN), Command::ReportHealth(report));
    lanes.submit(envelope).await?;
    Ok(())
}

/// True for an event about this endpoint's health.
pub(super) fn is_about(endpoint: &Endpoint, event: &EncodedEvent) -> bool {
    event.entity == Entity::Push && event.uid.0 == endpoint.endpoint_id
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

    #[test]
    fn failing_for_24_h_is_recorded_once_and_the_first_success_ends_it() {
        let day = Some(NOW - FAILING_AFTER);
        let less = Some(NOW - FAILING_AFTER + Duration::from_secs(1));
        for (reported, delivered, since, recorded) in [
            (Health::Well, false, less, None),
            (Health::Well, false, day, Some(Health::Failing)),
            (Health::Failing, false, day, None),
            (Health::Failing, true, None, Some(Health::Well)),
            (Health::Disabled, true, None, Some(Health::Well)),
            (Health::Disabled, false, None, None),
            (Health::Disabled, false, less, None),
            (Health::Disabled, false, day, Some(Health::Failing)),
            (Health::Well, true, None, None),
        ] {
            assert_eq!(change(reported, delivered, since, NOW), recorded, "{reported:?} {delivered} {since:?}");
        }
    }
}
