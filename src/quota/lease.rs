//! A replica's share of one account's calls: granted by the database, and not yet settled.
//!
//! A call is charged in PostgreSQL before it is carried out. When the replica is killed, the calls that it has not
//! answered are given back by whoever books next for the account once the lease has expired; those that it has answered
//! must stay charged. The replica does not tell the database of each answer. Instead a booking writes down how many calls
//! are *certainly* unanswered: all that are outstanding, less a block that the replica may answer before its next
//! booking. An answer beyond the block waits for that booking.
//!
//! Guarantees: no call that was answered is ever given back; a crash costs at most one block; a booking whose outcome is
//! not known may be repeated. Pure: the moment is passed in.

use std::time::{Duration, Instant};

use time::Date;
use uuid::Uuid;

/// A lease that is not renewed ends after this time, by the database's clock.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// A replica that was stopped for longer than this answers nothing by a lease before it has renewed it.
const VALID: Duration = Duration::from_secs(8);

/// A lease with calls to give back is renewed after this time.
const RENEW: Duration = Duration::from_secs(3);

/// The most calls that may be answered between two bookings.
const MAX_BLOCK: u64 = 64;

/// One account's calls of one day.
#[derive(Debug)]
pub(super) struct QuotaLease {
    /// Its row.
    pub(super) id: Uuid,
    /// The day (UTC) that its calls count on; nothing before its first booking, which finds that out.
    pub(super) day: Option<Date>,
    /// Calls that the database granted, as far as that is known here.
    accepted: u64,
    /// Calls that turned out not to count.
    returned: u64,
    /// Calls that were answered and count.
    answered: u64,
    /// Calls that count though nobody waits for an answer.
    kept: u64,
    /// Of those returned, the ones that are booked.
    returned_booked: u64,
    /// Answers that may have been given before another booking: the least of what any booking allows that may have been
    /// committed.
    through: u64,
    /// Whether the row, as any such booking wrote it, gives calls back when it expires.
    at_risk: bool,
    /// When the last booking that is known to be committed was sent.
    renewed_at: Option<Instant>,
    /// Whether a booking was sent since of which nothing is known.
    in_doubt: bool,
}

/// A booking's statement about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseUpdate {
    pub(super) accepted: u64,
    pub(super) returned: u64,
    pub(super) outstanding: u64,
    /// The calls that may be answered before the booking after this one.
    pub(super) block: u64,
    through: u64,
    at: Instant,
}

/// The fate of the calls of a lease that the database does not have any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// They are still charged: the lease had nothing to give back.
    Kept,
    /// They were given back, and may be another replica's by now.
    GivenBack,
}

/// The most calls that may be answered between two bookings, of an account with so many left: 1 % of them.
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
            returned_booked: 0,
            through: 0,
            at_risk: false,
            renewed_at: None,
            in_doubt: false,
        }
    }

    /// Calls that are neither answered nor returned.
    pub(super) fn outstanding(&self) -> u64 {
        // Fewer are accepted than returned where a call is given back that was booked under a lease that is forgotten.
        self.accepted.saturating_sub(self.returned + self.answered + self.kept)
    }

    /// A call does not count.
    pub(super) fn give_back(&mut self) {
        self.returned += 1;
    }

    /// A call counts though nobody is answered.
    pub(super) fn keep(&mut self) {
        self.kept += 1;
    }

    /// A call that was counted without being outstanding does not count.
    pub(super) fn give_back_kept(&mut self) {
        // None is kept where the call was booked under a lease that is forgotten; the database takes it back all the same.
        self.kept = self.kept.saturating_sub(1);
        self.returned += 1;
    }

    /// Calls are counted that were carried out before they were booked.
    pub(super) fn keep_booked(&mut self, calls: u64) {
        self.kept += calls;
    }

    /// Answers a call that counts; false where the next booking must come first.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        let valid = !self.at_risk || self.renewed_at.is_some_and(|at| now.saturating_duration_since(at) < VALID);
        let may = valid && self.answered < self.through;
        self.answered += u64::from(may);
        may
    }

    /// Whether calls were returned that no booking knows of.
    pub(super) fn has_returned(&self) -> bool {
        self.returned > self.returned_booked
    }

    /// Whether its row would soon give back calls that are still being carried out.
    pub(super) fn wants_renewal(&self, now: Instant) -> bool {
        self.at_risk && self.is_older(RENEW, now)
    }

    /// Whether its row is known to have been there.
    pub(super) fn is_known(&self) -> bool {
        self.renewed_at.is_some()
    }

    /// Whether a booking was sent of which nothing is known.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether the database and this replica agree that every call of it is answered or given back.
    pub(super) fn is_settled(&self) -> bool {
        self.outstanding() == 0 && !self.has_returned() && !self.at_risk && !self.in_doubt
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.is_settled() && self.is_older(VALID, now)
    }

    /// Whether its row may have expired, and had nothing to give back then.
    pub(super) fn has_nothing_to_lose(&self, now: Instant) -> bool {
        self.is_known() && !self.at_risk && !self.in_doubt && self.is_older(VALID, now)
    }

    /// Calls that may be answered before the next booking.
    pub(super) fn may_answer(&self) -> usize {
        // A later booking may allow less than was answered already: then none. Without limits `through` is `u64::MAX`.
        usize::try_from(self.through.saturating_sub(self.answered)).unwrap_or(usize::MAX)
    }

    fn is_older(&self, than: Duration, now: Instant) -> bool {
        self.renewed_at.is_none_or(|at| now.saturating_duration_since(at) >= than)
    }

    /// A booking that asks for so many calls more.
    pub(super) fn update(&mut self, calls: u64, block: u64, now: Instant) -> LeaseUpdate {
        let outstanding = self.outstanding();
        // Where limits are not enforced the block is `u64::MAX`.
        let through = self.answered.saturating_add(block);
        // From now on the row may be what this booking makes of it, or still what the one before did.
        self.through = self.through.min(through);
        self.at_risk |= outstanding + calls > block;
        self.in_doubt = true;
        LeaseUpdate { accepted: self.accepted, returned: self.returned, outstanding, block, through, at: now }
    }

    /// The booking was committed.
    pub(super) fn booked(&mut self, update: LeaseUpdate, granted: u64, day: Date) {
        self.day = Some(day);
        self.accepted += granted;
        self.returned_booked = update.returned;
        self.through = update.through;
        self.at_risk = update.outstanding + granted > update.block;
        self.renewed_at = Some(update.at);
        self.in_doubt = false;
    }

    /// The row is gone, and this goes on with another one.
    pub(super) fn lost(&mut self, another: Uuid) -> Lost {
        if self.at_risk {
            *self = Self::new(another);
            return Lost::GivenBack;
        }
        self.begin_again(another);
        Lost::Kept
    }

    /// Its calls go on under another row, which knows nothing of those that are settled. They keep their day.
    pub(super) fn begin_again(&mut self, another: Uuid) {
        let (outstanding, returned) = (self.outstanding(), self.returned - self.returned_booked);
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

    /// What the database does, by the rules of `quota.take`.
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
        fn book(&mut self, update: LeaseUpdate, calls: u64) -> u64 {
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
        Answer,
        GiveBack,
        Keep,
        Book { calls: u64, ended: Ended },
    }

    /// How a booking ends.
    #[derive(Debug, Clone, Copy)]
    enum Ended {
        Committed,
        RolledBack,
        /// Committed, and nobody here hears of it.
        Unheard,
    }

    fn act() -> impl Strategy<Value = Act> {
        let ended = prop_oneof![6 => Just(Ended::Committed), 1 => Just(Ended::RolledBack), 1 => Just(Ended::Unheard)];
        prop_oneof![
            8 => Just(Act::Answer),
            3 => Just(Act::GiveBack),
            1 => Just(Act::Keep),
            4 => (0_u64..200, ended).prop_map(|(calls, ended)| Act::Book { calls, ended }),
        ]
    }

    proptest! {
        /// Whenever the replica is killed: what was answered stays charged, and of what was not at most a block.
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
                    Act::Answer if lease.outstanding() > 0 => {
                        lease.answer(now);
                    }
                    Act::GiveBack if lease.outstanding() > 0 => lease.give_back(),
                    Act::Keep if lease.outstanding() > 0 => lease.keep(),
                    Act::Answer | Act::GiveBack | Act::Keep => {}
                    Act::Book { calls, ended } => {
                        let update = lease.update(calls, block(remaining), now);
                        let before = database.clone();
                        let granted = database.book(update, calls);
                        match ended {
                            Ended::Committed => {
                                lease.booked(update, granted, DAY);
                                remaining = limit - database.used;
                            }
                            Ended::RolledBack => database = before,
                            Ended::Unheard => {}
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

        /// A booking that is repeated until it is heard of charges what was granted and gives back what was returned, once.
        #[test]
        fn repeated_bookings_charge_and_give_back_once(unheard in vec(any::<bool>(), 0..5), calls in 1_u64..50) {
            let now = crate::clock::instant();
            let mut lease = QuotaLease::new(Uuid::from_u128(1));
            let mut database = Database { limit: 10_000, ..Database::default() };
            let update = lease.update(100, 1, now);
            let granted = database.book(update, 100);
            lease.booked(update, granted, DAY);
            (0..calls).for_each(|_| lease.give_back());
            for committed in unheard {
                let update = lease.update(7, 1, now);
                if committed {
                    database.book(update, 7);
                }
            }
            let update = lease.update(3, 1, now);
            let granted = database.book(update, 3);
            lease.booked(update, granted, DAY);
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
        let update = lease.update(3, 1, now);
        assert!(!lease.answer(now), "nothing is granted yet");
        lease.booked(update, 3, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        let update = lease.update(0, 1, now);
        assert!(!lease.answer(now), "the row may still be the one before");
        lease.booked(update, 0, DAY);
        assert_eq!([(); 2].map(|()| lease.answer(now)), [true, false]);
        assert_eq!(lease.outstanding(), 1);
    }

    #[test]
    fn a_replica_that_was_stopped_answers_nothing_before_it_has_renewed_its_lease() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.update(5, 2, now);
        lease.booked(update, 5, DAY);
        assert!(lease.wants_renewal(now + RENEW) && !lease.wants_renewal(now));
        assert!(!lease.answer(now + VALID));
        assert_eq!(lease.lost(Uuid::from_u128(2)), Lost::GivenBack);
        assert_eq!((lease.outstanding(), lease.id), (0, Uuid::from_u128(2)));
    }

    #[test]
    fn a_lease_with_nothing_to_give_back_may_expire_without_losing_a_call() {
        let now = crate::clock::instant();
        let mut lease = QuotaLease::new(Uuid::from_u128(1));
        let update = lease.update(2, 2, now);
        lease.booked(update, 2, DAY);
        lease.give_back();
        assert!(!lease.wants_renewal(now + LEASE) && !lease.is_idle(now + LEASE));
        assert_eq!(lease.lost(Uuid::from_u128(2)), Lost::Kept);
        assert_eq!(
            (lease.outstanding(), lease.has_returned(), lease.day, lease.is_known()),
            (1, true, Some(DAY), false)
        );
    }
}
