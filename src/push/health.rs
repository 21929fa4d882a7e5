//! What the account's log is told of an endpoint's health, by commands like everything else in it.
//!
//! What the log says of an endpoint is what it was told last, so that no turn is lost; it is told before the endpoint's row
//! is disabled, so that a crash in between tells it once more. An endpoint is not sent what is said of itself.

use std::sync::Arc;
use std::time::Duration;

use crate::command::{CommandEnvelope, Lanes};
use crate::contract::{EncodedEvent, timestamp};
use crate::domain::endpoint::{Endpoint, Health, ReportHealth};
use crate::domain::{Command, Entity, Timestamp, Uid};

/// The origin of what is written here.
const ORIGIN: &str = "push";

/// An endpoint that takes nothing for so long is failing.
const WARNING: Duration = Duration::from_hours(24);

/// What is to be said after an attempt, where that is not what was said last.
pub(super) fn turn(
    reported: Health,
    delivered: bool,
    failing_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Health> {
    match failing_since {
        None if delivered && reported != Health::Well => Some(Health::Well),
        Some(since) if reported != Health::Failing && now - since >= WARNING => Some(Health::Failing),
        None | Some(_) => None,
    }
}

/// Tells the log.
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
    let order = CommandEnvelope {
        account: endpoint.account,
        command: Command::ReportHealth(report),
        origin: Arc::from(ORIGIN),
        idempotency: None,
        traceparent: None,
        bytes: 0,
    };
    lanes.submit(order).await?;
    Ok(())
}

/// Whether an event says something of this endpoint.
pub(super) fn is_about(endpoint: &Endpoint, event: &EncodedEvent) -> bool {
    event.entity == Entity::Push && event.uid.0 == endpoint.endpoint_id
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

    #[test]
    fn failing_for_24_h_is_said_once_and_the_first_success_ends_it() {
        let day = Some(NOW - WARNING);
        let less = Some(NOW - WARNING + Duration::from_secs(1));
        for (reported, delivered, since, said) in [
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
            assert_eq!(turn(reported, delivered, since, NOW), said, "{reported:?} {delivered} {since:?}");
        }
    }
}
