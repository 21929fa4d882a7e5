//! Failed deliveries whose attempt the scheduler does not count.

use std::collections::HashSet;

use crate::domain::Seq;
use crate::push::outcome::AttemptOutcome;
use crate::push::scheduler::Delivery;

/// Deliveries whose first attempt failed, until their next attempt ends. The attempt log calls that one a retry, although
/// the scheduler counts no attempt of a delivery whose failure is the endpoint's.
#[derive(Default)]
pub(super) struct FailedDeliveries(HashSet<Seq>);

impl FailedDeliveries {
    /// True where no attempt of this delivery was made before, as far as this worker knows.
    pub(super) fn is_first_attempt(&self, delivery: &Delivery) -> bool {
        delivery.attempts == 0 && !self.0.contains(&delivery.id())
    }

    /// Notes the outcome of an attempt. A delivery whose attempts the scheduler counts is not held: the count tells its
    /// next attempt from a first one.
    pub(super) fn ended(&mut self, delivery: &Delivery, outcome: AttemptOutcome) {
        if delivery.attempts == 0 && outcome != AttemptOutcome::Delivered {
            self.0.insert(delivery.id());
        } else {
            self.0.remove(&delivery.id());
        }
    }

    /// Forgets an event that is not sent any more, because a newer one stands for it.
    pub(super) fn forget(&mut self, seq: Seq) {
        self.0.remove(&seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::outcome::Reason;

    const FAILED: AttemptOutcome = AttemptOutcome::Failed(Reason::Status);

    fn delivery(seq: i64, attempts: u32) -> Delivery {
        Delivery { events: vec![Seq(seq)], after: None, attempts }
    }

    #[test]
    fn the_attempt_after_a_failure_is_a_retry_whether_the_scheduler_counts_it_or_not() {
        let mut failed = FailedDeliveries::default();
        assert!(failed.is_first_attempt(&delivery(1, 0)));
        failed.ended(&delivery(1, 0), FAILED);
        assert!(!failed.is_first_attempt(&delivery(1, 0)), "its failure was the endpoint's");
        assert!(!failed.is_first_attempt(&delivery(1, 1)), "its failure was its own");
        assert!(!failed.is_first_attempt(&delivery(2, 1)), "it failed under another worker");
        assert!(failed.is_first_attempt(&delivery(2, 0)));
    }

    #[test]
    fn nothing_is_held_of_deliveries_that_arrived_were_parked_or_are_superseded() {
        let mut failed = FailedDeliveries::default();
        for seq in [1, 2, 3, 4] {
            failed.ended(&delivery(seq, 0), FAILED);
        }
        assert_eq!(failed.0.len(), 4);
        failed.ended(&delivery(1, 0), AttemptOutcome::Delivered);
        assert_eq!(failed.0.len(), 3, "delivered by a probe");
        failed.ended(&delivery(2, 1), AttemptOutcome::Delivered);
        assert_eq!(failed.0.len(), 2, "delivered by a retry");
        for attempts in 1..10 {
            failed.ended(&delivery(3, attempts), FAILED);
        }
        assert_eq!(failed.0.len(), 1, "parked");
        failed.forget(Seq(4));
        assert!(failed.0.is_empty(), "superseded");
    }
}
