//! A replica's lease: the calls of one account that the database granted to it and that are not settled yet.
//!
//! A call is charged in PostgreSQL before it is carried out. When a replica is killed, the calls that it has answered must
//! stay charged, and the others are given back by the next reservation for the account after the lease has expired. The
//! replica does not write each answer to the database. Instead each reservation records how many calls are *certainly*
//! unanswered: all outstanding ones less a block, which the replica may answer before its next reservation. An answer
//! beyond the block waits for that reservation.
//!
//! Guarantees: a call that was answered is never given back; a crash charges at most one block of unanswered calls; a
//! reservation whose commit is in doubt may be repeated. Pure: the time is passed in.

use std::time::{Duration, Instant};

use time::Date;
use uuid::Uuid;

/// A lease that is not renewed expires after this time, by the database's clock.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// A replica that was stopped for longer than this time renews a lease before it answers calls under it.
const VALID: Duration = Duration::from_secs(8);

/// A lease with calls to give back is renewed after this time.
const RENEW: Duration = Duration::from_secs(3);

/// The largest block, in calls.
const MAX_BLOCK: u64 = 64;

/// One account's calls of one day, on this replica.
#[derive(Debug)]
pub(super) struct QuotaLease {
    /// The id of its row.
    pub(super) id: Uuid,
    /// The day (UTC) that its calls count on; nothing before its first reservation, which returns it.
    pub(super) day: Option<Date>,
    /// Calls that the database granted, without reservations in doubt.
    accepted: u64,
    /// Calls that turned out not to count.
    returned: u64,
    /// Calls that were answered and count.
    answered: u64,
    /// Calls that count without an answer.
    kept: u64,
    /// Those of `returned` that a committed reservation has given back.
    returned_committed: u64,
    /// The number of answers that is allowed before another reservation: the lowest of what the reservations allow that
    /// may have been committed.
    answer_limit: u64,
    /// Whether the row, as any such reservation wrote it, gives calls back when it expires.
    at_risk: bool,
    /// The time at which the last reservation that is known to be committed was sent.
    renewed_at: Option<Instant>,
    /// Whether a later reservation was sent whose commit is in doubt.
    in_doubt: bool,
}

/// The numbers of a lease that a reservation writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseUpdate {
    pub(super) accepted: u64,
    pub(super) returned: u64,
    pub(super) outstanding: u64,
    /// Calls that may be answered between this reservation and the next one.
    pub(super) block: u64,
    answer_limit: u64,
    at: Instant,
}

/// The fate of the calls of a lease whose row is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// They are still charged: the lease had nothing to give back.
    Kept,
    /// They were given back, and may have been granted to another replica since.
    GivenBack,
}

/// The block of an account: 1 % of the calls that remain, at least 1 and at most 64.
pub(super) fn block(remaining: u64) -> u64 {
    (remaining / 100).clamp(1, MAX_BLOCK)
}

impl QuotaLease {
    pub(super) fn new(id: Uuid) -> Self {
        Self {
            id,
            day: None,
            accepted: 0,
            returned: 0,
            answered: 0,
            kept: 0,
            returned_committed: 0,
            answer_limit: 0,
            at_risk: false,
            renewed_at: None,
            in_doubt: false,
        }
    }

    /// Calls that are neither answered nor returned.
    pub(super) fn outstanding(&self) -> u64 {
        // More are returned than accepted where a call was reserved under a lease that is forgotten by now.
        self.accepted.saturating_sub(self.returned + self.answered + self.kept)
    }

    /// Returns a call that does not count.
    pub(super) fn give_back(&mut self) {
        self.returned += 1;
    }

    /// Counts a call without an answer.
    pub(super) fn keep(&mut self) {
        self.kept += 1;
    }

    /// Returns a call that was counted without being outstanding.
    pub(super) fn give_back_kept(&mut self) {
        // None is kept where the call was reserved under a lease that is forgotten; the database takes it back all the same.
        self.kept = self.kept.saturating_sub(1);
        self.returned += 1;
    }

    /// Counts calls that were carried out before they were reserved.
    pub(super) fn keep_reserved(&mut self, calls: u64) {
        self.kept += calls;
    }

    /// Answers a call that counts; false where the next reservation must come first.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        let valid = !self.at_risk || self.renewed_at.is_some_and(|at| now.saturating_duration_since(at) < VALID);
        let may = valid && self.answered < self.answer_limit;
        self.answered += u64::from(may);
        may
    }

    /// Whether calls were returned that no committed reservation has given back.
    pub(super) fn has_returned(&self) -> bool {
        self.returned > self.returned_committed
    }

    /// Whether its row would soon expire and give back calls that are still being carried out.
    pub(super) fn wants_renewal(&self, now: Instant) -> bool {
        self.at_risk && self.is_older(RENEW, now)
    }

    /// Whether a reservation under it is known to be committed, so that its row must exist.
    pub(super) fn is_known(&self) -> bool {
        self.renewed_at.is_some()
    }

    /// Whether the commit of a reservation is in doubt.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether the database and this replica agree that each of its calls is answered or given back.
    pub(super) fn is_settled(&self) -> bool {
        self.outstanding() == 0 && !self.has_returned() && !self.at_risk && !self.in_doubt
    }

    /// Whether it may be forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.is_settled() && self.is_older(VALID, now)
    }

    /// Whether its row may have expired without giving calls back, so that it must go on with a new row.
    pub(super) fn may_restart(&self, now: Instant) -> bool {
        self.is_known() && !self.at_risk && !self.in_doubt && self.is_older(VALID, now)
    }

    /// Calls that may be answered before the next reservation.
    pub(super) fn may_answer(&self) -> usize {
        // None where a reservation in doubt allows less than was answered already. Without limits it is `u64::MAX`.
        usize::try_from(self.answer_limit.saturating_sub(self.answered)).unwrap_or(usize::MAX)
    }

    fn is_older(&self, than: Duration, now: Instant) -> bool {
        self.renewed_at.is_none_or(|at| now.saturating_duration_since(at) >= than)
    }

    /// Begins a reservation of `calls` more calls.
    pub(super) fn reserve(&mut self, calls: u64, block: u64, now: Instant) -> LeaseUpdate {
        let outstanding = self.outstanding();
        // Without limits the block is `u64::MAX`.
        let answer_limit = self.answered.saturating_add(block);
        // From now on the row may be as this reservation writes it, or still as the one before did.
        self.answer_limit = self.answer_limit.min(answer_limit);
        self.at_risk |= outstanding + calls > block;
        self.in_doubt = true;
        LeaseUpdate { accepted: self.accepted, returned: self.returned, outstanding, block, answer_limit, at: now }
    }

    /// Applies a reservation that was committed.
    pub(super) fn committed(&mut self, update: LeaseUpdate, granted: u64, day: Date) {
        self.day = Some(day);
        self.accepted += granted;
        self.returned_committed = update.returned;
        self.answer_limit = update.answer_limit;
        self.at_risk = update.outstanding + granted > update.block;
        self.renewed_at = Some(update.at);
        self.in_doubt = false;
    }

    /// Continues with another row, because the old one is gone.
    pub(super) fn lost(&mut self, another: Uuid) -> Lost {
        if self.at_risk {
            *self = Self::new(another);
            return Lost::GivenBack;
        }
        self.restart(another);
        Lost::Kept
    }

    /// Continues with another row, which takes over the calls that are not settled. They keep their day.
    pub(super) fn restart(&mut self, another: Uuid) {
        let (outstanding, returned) = (self.outstanding(), self.returned - self.returned_committed);
        let accepted = outstanding + returned;
        let day = self.day.filter(|_| accepted > 0);
        *self = Self { day, accepted, returned, ..Self::new(another) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    const DAY: Date = date!(2026 - 11 - 24);

    /// A model of the database, by the rules of `quota.take`.
    #[derive(Debug, Clone, Default)]
    struct Database {
        limit: u64,
        used: u64,
        row: Option<Row>,
    }

    #[derive(Debug, Clone, Copy, Default)]
    struct Row {
        granted: u64,
        returned: u64,
        unanswered: u64,
        block: u64,
    }

    impl Database {
        fn reserve(&mut self, update: LeaseUpdate, calls: u64) -> u64 {
            let row = self.row.unwrap_or_default();
            self.used -= row.granted.saturating_sub(update.accepted) + update.returned.saturating_sub(row.returned);
            let granted = calls.min(self.limit.saturating_sub(self.used));
            self.used += granted;
            self.row = Some(Row {
                granted: update.accepted + granted,
                returned: update.returned,
                unanswered: (update.outstanding + granted).saturating_sub(update.block),
                block: update.block,
            });
            granted
        }

        /// The replica is killed, and its lease expires.
        fn expire(mut self) -> (u64, u64) {
            let row = self.row.take().unwrap_or_default();
            (self.used - row.unanswered, row.block)
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Respond,
        GiveBack,
        Keep,
        Reserve { calls: u64, ended: Ended },
    }

    /// The end of a reservation.
    #[derive(Debug, Clone, Copy)]
    enum Ended {
        Committed,
        RolledBack,
        /// Committed, and the replica does not learn of it.
        InDoubt,
    }

    fn act() -> impl Strategy<Value = Act> {
        let ended = prop_oneof![6 => Just(Ended::Committed), 1 => Just(Ended::RolledBack), 1 => Just(Ended::InDoubt)];
        prop_oneof![
            8 => Just(Act::Respond),
            3 => Just(Act::GiveBack),
            1 => Just(Act::Keep),
            4 => (0_u64..200, ended).prop_map(|(calls, ended)| Act::Reserve { calls, ended }),
        ]
    }

    proptest! {
        /// At each moment in which the replica may be killed: answered calls stay charged, and at most a block of others.
        #[test]
        fn a_crash_gives_back_every_call_but_a_block_and_none_that_was_answered(
            acts in vec(act(), 1..200), limit in prop_oneof![1_u64..20, 1_000_u64..20_000]
        ) {
            let now = crate::clock::instant();
            let mut lease = QuotaLease::new(Uuid::from_u128(1));
            let mut database = Database { limit, ..Database::default() };
            let mut remaining = 0;
            for act in acts {
                match act {
                    Act::Respond if lease.outstanding() > 0 => {
                        lease.answer(now);
                    }
                    Act::GiveBack if lease.outstanding() > 0 => lease.give_back(),
                    Act::Keep if lease.outstanding() > 0 => lease.keep(),
                    Act::Respond | Act::GiveBack | Act::Keep => {}
                    Act::Reserve { calls, ended } => {
                        let update = lease.reserve(calls, block(remaining), now);
                        let before = database.clone();
                        let granted = database.reserve(update, calls);
                        match ended {
                            Ended::Committed => {
                                lease.committed(update, granted, DAY);
                                remaining = limit - database.used;
                            }
                            Ended::RolledBack => database = before,
                            Ended::InDoubt => {}
                        }
                    }
                }
                let (charged, block) = database.clone().expire();
                prop_assert!(lease.answered <= charged, "{} answered, {charged} charged", lease.answered);
                prop_assert!(charged <= limit);
                let settled = lease.answered + lease.kept;
                prop_assert!(charged <= settled + block, "{charged} charged, {settled} settled, a block of {block}");
            }
        }

        /// A reservation that is repeated until it is known to be committed charges and gives back its calls once.
        #[test]
        fn repeated_bookings_charge_and_give_back_once(in_doubt in vec(any::<bool>(), 0..5), calls in 1_u64..50) {
            let now = crate::clock::instant();
            let mut lease = QuotaLease::new(Uuid::from_u128(1));
            let mut database = Database { limit: 10_000, ..Database::default() };
            let update = lease.reserve(100, 1, now);
            let granted = database.reserve(update, 100);
            lease.committed(update, granted, DAY);
            (0..calls).for_each(|_| lease.give_back());
            for committed in in_doubt {
                let update = lease.reserve(7, 1, now);
                if committed {
                    database.reserve(update, 7);
                }
            }
            let update = lease.reserve(3, 1, now);
            let granted = database.reserve(update, 3);
            lease.committed(update, granted, DAY);
            prop_assert_eq!(database.used, 100 - calls + 3);
            prop_assert_eq!(lease.outstanding(), 100 - calls + 3);
            prop_assert!(!lease.has_returned());
        }
    }

    #[test]
    fn near_the_limit_one_call_is_answered_between_two_bookings() {
        assert_eq!([0, 80, 199, 200, 2_000, 6_400, 20_000].map(block), [1, 1, 1, 2, 20, 64, 64]);
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.reserve(3, 1, now);
        assert!(!lease.answer(now), "nothing is granted yet");
        lease.committed(update, 3, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        let update = lease.reserve(0, 1, now);
        assert!(!lease.answer(now), "the row may still be the one before");
        lease.committed(update, 0, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        assert_eq!(lease.outstanding(), 1);
    }

    #[test]
    fn a_replica_that_was_stopped_answers_nothing_before_it_has_renewed_its_lease() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.reserve(5, 2, now);
        lease.committed(update, 5, DAY);
        assert!(lease.wants_renewal(now + RENEW) && !lease.wants_renewal(now));
        assert!(!lease.answer(now + VALID));
        assert_eq!(lease.lost(Uuid::from_u128(2)), Lost::GivenBack);
        assert_eq!((lease.outstanding(), lease.id), (0, Uuid::from_u128(2)));
    }

    #[test]
    fn a_lease_with_nothing_to_give_back_may_expire_without_losing_a_call() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.reserve(2, 2, now);
        lease.committed(update, 2, DAY);
        lease.give_back();
        assert!(!lease.wants_renewal(now + LEASE) && !lease.is_idle(now + LEASE));
        assert_eq!(lease.lost(Uuid::from_u128(2)), Lost::Kept);
        assert_eq!(
            (lease.outstanding(), lease.has_returned(), lease.day, lease.is_known()),
            (1, true, Some(DAY), false)
        );
    }
}
