//! Outcomes of attempts: metrics, the attempt log, the scheduler, and the endpoint's health.

use super::EndpointWorker;
use super::attempt::Ended;
use crate::domain::Timestamp;
use crate::domain::endpoint::{Endpoint, EndpointState, EndpointStatus, Health};
use crate::push::outcome::AttemptOutcome;
use crate::push::scheduler::EndpointAction;
use crate::push::{attempts, health};

impl EndpointWorker {
    /// Applies the outcome of an attempt. Its effect on the cursor is saved after its effect on the endpoint's health.
    pub(super) async fn apply_outcome(&mut self, ended: Ended) {
        self.unsaved += 1;
        let now = self.context.clock.now();
        let outcome = ended.attempt.outcome;
        let id = ended.delivery.id();
        self.record(&ended, now);
        let action = self.scheduler.ended(id, outcome, now, rand::random());
        if outcome != AttemptOutcome::Delivered {
            // Those up to that position may have been read before an erasure.
            let erased = self.drop_erased();
            for event in ended.events.into_iter().filter(|event| event.seq > erased) {
                self.events.put(event);
            }
        }
        self.drop_superseded();
        let recorded = match action {
            EndpointAction::Disable => self.disable(outcome, now).await,
            EndpointAction::GoOn => self.record_health(outcome, now).await,
        };
        if let Err(error) = recorded {
            let Endpoint { account, endpoint_id, .. } = self.target.endpoint;
            tracing::warn!(%account, endpoint = %endpoint_id, error = format!("{error:#}"),
                "record endpoint health failed; will retry");
        }
    }

    /// Counts and logs an attempt.
    fn record(&mut self, ended: &Ended, now: Timestamp) {
        let Ended { delivery, webhook_id, events, attempt, .. } = ended;
        let metrics = &self.context.metrics;
        let Endpoint { account, endpoint_id, .. } = self.target.endpoint;
        let (id, outcome) = (delivery.id(), attempt.outcome.label());
        let is_first = self.failed.is_first_attempt(delivery);
        self.failed.ended(delivery, attempt.outcome);
        metrics.push_attempts_total.with_label_values(&[outcome]).inc();
        if attempt.outcome != AttemptOutcome::Delivered {
            tracing::debug!(%account, endpoint = %endpoint_id, seq = %id, outcome, error = attempt.error,
                detail = attempt.no_address, "delivery failed");
        } else if is_first {
            for event in events {
                metrics.write_to_webhook_seconds.observe((now - event.at).as_seconds_f64());
            }
        }
        let trigger = if is_first { "event" } else { "retry" };
        let row = attempts::row(webhook_id.clone(), id, events, trigger, attempt, now);
        self.context.attempts.put(account, endpoint_id, row);
    }

    /// Records a change of the endpoint's health in the account's log.
    async fn record_health(&mut self, outcome: AttemptOutcome, now: Timestamp) -> anyhow::Result<()> {
        let since = self.scheduler.failing_since();
        if let Some(health) = health::change(self.reported, outcome == AttemptOutcome::Delivered, since, now) {
            health::report(&self.context.lanes, &self.target.endpoint, health, since).await?;
            self.reported = health;
        }
        Ok(())
    }

    /// Disables the endpoint. The worker ends in any case, and the next one goes on from what is stored.
    async fn disable(&mut self, outcome: AttemptOutcome, now: Timestamp) -> anyhow::Result<()> {
        // The worker is already stopping, by an earlier outcome or by the supervisor.
        if self.stop.is_cancelled() {
            return Ok(());
        }
        self.stop.cancel();
        let endpoint = &self.target.endpoint;
        let Endpoint { account, endpoint_id, revision, .. } = *endpoint;
        // The attempts were made with the settings of this revision. The owner may have changed or resumed it since.
        let current = self.context.store.endpoint(account, endpoint_id).await?;
        let is_same = |state: &EndpointState| {
            state.endpoint.revision == revision && state.endpoint.status == EndpointStatus::Live
        };
        if !current.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        health::report(&self.context.lanes, endpoint, Health::Disabled, self.scheduler.failing_since()).await?;
        let outcome = outcome.label();
        let detail = serde_json::json!({"endpoint": endpoint_id, "outcome": outcome});
        if self.owner.disable_endpoint((account, endpoint_id), revision, &detail, now).await? {
            tracing::warn!(%account, endpoint = %endpoint_id, outcome, "endpoint disabled");
        } else {
            // It was changed in between, so that the health that was just recorded is wrong.
            health::report(&self.context.lanes, endpoint, Health::Well, None).await?;
        }
        Ok(())
    }
}
