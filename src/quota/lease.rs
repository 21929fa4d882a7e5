//! A replica's lease: the calls of one account that the database granted to it and that are not settled yet.
//!
//! A call is charged in PostgreSQL before it is carried out. When a replica is killed, the calls that it has answered must
//! stay charged, and the others are given back by the next reservation for the account after the lease has expired. The
//! replica does not write each answer to the database. Instead each reservation records how many calls are *certainly*
//! unanswered: all outstanding ones less a block, which the replica may answer before its next reservation. An answer
//! beyond the block waits for that reservation.
//!
//! A reservation may also be granted *spare* calls, at most a block, which the next callers take without waiting for the
//! database. Spare calls are unanswered calls like all others; those that nobody takes are given back after a second.
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

/// Spare calls that were granted longer ago are given back. Until then they count as used on other replicas.
const SPARE: Duration = Duration::from_millis(700);

/// Spare calls that were granted longer ago are not taken, because the replica may have been stopped since.
const SPARE_VALID: Duration = Duration::from_secs(2);

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
    /// Calls that were granted and that no caller has taken yet.
    spare: u64,
    /// The time at which the last reservation that granted spare calls was sent.
    spare_at: Option<Instant>,
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
    /// Requested calls that have callers.
    pub(super) calls: u64,
    /// Requested calls that the next callers take.
    pub(super) spare: u64,
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
            spare: 0,
            spare_at: None,
            answered: 0,
            kept: 0,
            returned_committed: 0,
            answer_limit: 0,
            at_risk: false,
            renewed_at: None,
            in_doubt: false,
        }
    }

    /// Calls that are neither answered nor returned, including spare ones.
    pub(super) fn outstanding(&self) -> u64 {
        // More are returned than accepted where a call was reserved under a lease that is forgotten by now.
        self.accepted.saturating_sub(self.returned + self.answered + self.kept)
    }

    /// Returns a call that does not count.
    pub(super) fn give_back(&mut self) {
        self.returned += 1;
    }

    /// The calls that the next callers may take.
    pub(super) fn spare(&self) -> u64 {
        self.spare
    }

    /// Takes a spare call; false where there is none, or it was granted too long ago.
    pub(super) fn take_spare(&mut self, now: Instant) -> bool {
        let takes = self.spare > 0 && !self.is_spare_older(SPARE_VALID, now);
        self.spare -= u64::from(takes);
        takes
    }

    /// Makes a call that does not count a spare one, up to `limit` of them; false where it must be given back instead.
    pub(super) fn make_spare(&mut self, limit: u64, now: Instant) -> bool {
        let may = self.spare < limit && self.spare < self.outstanding() && !self.is_spare_older(SPARE, now);
        self.spare += u64::from(may);
        may
    }

    /// Gives back the spare calls beyond `limit`.
    pub(super) fn return_spare(&mut self, limit: u64) {
        let returned = self.spare.saturating_sub(limit);
        self.spare -= returned;
        self.returned += returned;
    }

    /// Whether spare calls were granted so long ago that they must be given back.
    pub(super) fn has_old_spare(&self, now: Instant) -> bool {
        self.spare > 0 && self.is_spare_older(SPARE, now)
    }

    fn is_spare_older(&self, than: Duration, now: Instant) -> bool {
        self.spare_at.is_none_or(|at| now.saturating_duration_since(at) >= than)
    }

    /// Calls that were returned and that no committed reservation has given back.
    pub(super) fn to_give_back(&self) -> u64 {
        self.returned.saturating_sub(self.returned_committed)
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

    /// Begins a reservation of `calls` more calls, and of spare ones up to `spare` with those that are left.
    pub(super) fn reserve(&mut self, calls: u64, spare: u64, block: u64, now: Instant) -> LeaseUpdate {
        self.return_spare(spare);
        let spare = spare - self.spare;
        let outstanding = self.outstanding();
        // Without limits the block is `u64::MAX`.
        let answer_limit = self.answered.saturating_add(block);
        // From now on the row may be as this reservation writes it, or still as the one before did.
        self.answer_limit = self.answer_limit.min(answer_limit);
        self.at_risk |= outstanding + calls + spare > block;
        self.in_doubt = true;
        let (accepted, returned) = (self.accepted, self.returned);
        LeaseUpdate { accepted, returned, outstanding, calls, spare, block, answer_limit, at: now }
    }

    /// Applies a reservation that was committed.
    pub(super) fn committed(&mut self, update: LeaseUpdate, granted: u64, day: Date) {
        self.day = Some(day);
        self.accepted += granted;
        let spare = granted.saturating_sub(update.calls);
        self.spare += spare;
        if spare > 0 {
            self.spare_at = Some(update.at);
        }
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
        let (spare, spare_at) = (self.spare, self.spare_at);
        *self = Self { day, accepted, returned, spare, spare_at, ..Self::new(another) };
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
        fn reserve(&mut self, update: LeaseUpdate) -> u64 {
            let row = self.row.unwrap_or_default();
            self.used -= row.granted.saturating_sub(update.accepted) + update.returned.saturating_sub(row.returned);
            let available = self.limit.saturating_sub(self.used);
            let calls = update.calls.min(available);
            let granted = calls + if available - calls < 200 { 0 } else { update.spare.min((available - calls) / 100) };
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
        TakeSpare,
        MakeSpare,
        Reserve { calls: u64, spare: u64, ended: Ended },
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
            8 => Just(Act::TakeSpare),
            1 => Just(Act::MakeSpare),
            4 => (0_u64..200, 0_u64..80, ended).prop_map(|(calls, spare, ended)| Act::Reserve { calls, spare, ended }),
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
                let has_caller = lease.outstanding() > lease.spare();
                match act {
                    Act::Respond if has_caller => {
                        lease.answer(now);
                    }
                    Act::GiveBack if has_caller => lease.give_back(),
                    Act::Keep if has_caller => lease.keep(),
                    Act::MakeSpare if has_caller => {
                        lease.make_spare(block(remaining), now);
                    }
                    Act::TakeSpare => {
                        lease.take_spare(now);
                    }
                    Act::Respond | Act::GiveBack | Act::Keep | Act::MakeSpare => {}
                    Act::Reserve { calls, spare, ended } => {
                        let spare = spare.min(if remaining < 200 { 0 } else { block(remaining) });
                        let update = lease.reserve(calls, spare, block(remaining), now);
                        let before = database.clone();
                        let granted = database.reserve(update);
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
                prop_assert!(lease.spare() <= lease.outstanding(), "{lease:?}");
                prop_assert!(lease.spare() <= MAX_BLOCK, "{lease:?}");
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
            let update = lease.reserve(100, 0, 1, now);
            let granted = database.reserve(update);
            lease.committed(update, granted, DAY);
            (0..calls).for_each(|_| lease.give_back());
            for committed in in_doubt {
                let update = lease.reserve(7, 60, 64, now);
                if committed {
                    database.reserve(update);
                }
            }
            let update = lease.reserve(3, 0, 1, now);
            let granted = database.reserve(update);
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
        let update = lease.reserve(3, 0, 1, now);
        assert!(!lease.answer(now), "nothing is granted yet");
        lease.committed(update, 3, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        let update = lease.reserve(0, 0, 1, now);
        assert!(!lease.answer(now), "the row may still be the one before");
        lease.committed(update, 0, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        assert_eq!(lease.outstanding(), 1);
    }

    #[test]
    fn a_replica_that_was_stopped_answers_nothing_before_it_has_renewed_its_lease() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.reserve(5, 0, 2, now);
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
        let update = lease.reserve(2, 0, 2, now);
        lease.committed(update, 2, DAY);
        lease.give_back();
        assert!(!lease.wants_renewal(now + LEASE) && !lease.is_idle(now + LEASE));
        assert_eq!(lease.lost(Uuid::from_u128(2)), Lost::Kept);
        assert_eq!(
            (lease.outstanding(), lease.has_returned(), lease.day, lease.is_known()),
            (1, true, Some(DAY), false)
        );
    }

    #[test]
    fn spare_calls_are_taken_for_two_seconds_and_given_back_after_less_than_one() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.reserve(2, 10, 20, now);
        assert_eq!((update.calls, update.spare), (2, 10));
        lease.committed(update, 2 + 7, DAY);
        assert_eq!((lease.spare(), lease.outstanding()), (7, 9), "fewer were granted than requested");
        assert!(lease.take_spare(now) && !lease.has_old_spare(now));
        assert!(lease.make_spare(10, now) && !lease.make_spare(7, now), "a call that does not count is taken again");
        assert!(lease.has_old_spare(now + SPARE) && !lease.make_spare(10, now + SPARE));
        assert!(
            lease.take_spare(now + SPARE) && !lease.take_spare(now + SPARE_VALID),
            "the replica may have been stopped"
        );

        lease.return_spare(2);
        assert_eq!((lease.spare(), lease.to_give_back(), lease.outstanding()), (2, 4, 5));
        let update = lease.reserve(0, 1, 20, now + SPARE);
        assert_eq!((update.spare, update.returned), (0, 5), "those beyond the new limit are given back");
        lease.committed(update, 0, DAY);
        assert_eq!((lease.spare(), lease.to_give_back()), (1, 0));
        let update = lease.reserve(0, 5, 20, now + SPARE);
        assert_eq!(update.spare, 4, "those that are left are not requested again");
    }

    #[test]
    fn spare_calls_end_with_a_lease_that_was_given_back_and_outlive_one_that_was_not() {
        let now = crate::clock::instant();
        for (block, expected, spare) in [(20, Lost::Kept, 10), (5, Lost::GivenBack, 0)] {
            let mut lease = QuotaLease::new(Uuid::from_u128(1));
            let update = lease.reserve(1, 10, block, now);
            lease.committed(update, 11, DAY);
            assert_eq!((lease.lost(Uuid::from_u128(2)), lease.spare()), (expected, spare));
            assert_eq!(lease.take_spare(now), spare > 0);
        }
    }
}
