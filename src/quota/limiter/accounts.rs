//! The accounts that called this replica lately: their waiting callers, and the leases under which calls are charged.
//!
//! Plain state behind the limiter's lock. Nothing here waits, and no call is made or dropped here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use time::Date;
use tokio::sync::oneshot;

use super::Denied;
use super::call::Call;
use super::settlement::{LeaseHandle, Settlement};
use crate::clock;
use crate::domain::AccountId;
use crate::quota::demand::Demand;
use crate::quota::lease::{LeaseUpdate, Lost, QuotaLease, block};
use crate::quota::window::{RateLimitStatus, Window};
use crate::store::quota::{Grant, ReservationRequest};

/// The interval at which leases are checked for renewal and for spare calls, and idle accounts are dropped.
const SWEEP: Duration = Duration::from_millis(250);

/// The interval at which the month's row is created and calls of expired leases are given back.
const OPEN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Accounts {
    known: BTreeMap<AccountId, Account>,
    /// Accounts that the next reservation includes.
    due: BTreeSet<AccountId>,
    /// The urgency of the next reservation.
    next: Urgency,
    swept_at: Option<Instant>,
    reserved_at: Option<Instant>,
    /// Whether the service stops, so that no spare calls are kept.
    closing: bool,
    last_handle: u64,
}

/// One account on this replica.
#[derive(Default)]
struct Account {
    /// The last one is today's. Calls under an earlier day's lease may still be running.
    leases: Vec<HeldLease>,
    waiters: Waiters,
    demand: Demand,
    /// The month as the last reservation left it.
    month: MonthState,
    /// The last time that the month's row was created and calls of expired leases were given back.
    opened_at: Option<Instant>,
}

/// An account's month and revision as a reservation returned them.
#[derive(Debug, Clone, Copy, Default)]
struct MonthState {
    /// `None` before the first reservation, and where the configuration lacks the account's tier.
    limit: Option<u64>,
    used: u64,
    revision: i64,
}

/// When the next reservation should be made, from the latest to the earliest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Not before the next sweep.
    #[default]
    Later,
    /// Within a while: it renews spare calls before they are used up, and other accounts may join it.
    Soon,
    /// A caller or a response waits for it, or will at once.
    Now,
}

/// A spare call that was taken. It may be executed if its account is still as the last reservation found it.
pub(super) struct SpareCall {
    pub(super) handle: LeaseHandle,
    /// The day (UTC) that it counts on.
    pub(super) day: Date,
    pub(super) limit: u64,
    /// The month's calls with this one.
    pub(super) used: u64,
    pub(super) revision: i64,
    /// When more spare calls should be reserved.
    pub(super) renew: Urgency,
}

/// The callers that wait for an account's next reservation.
#[derive(Default)]
pub(super) struct Waiters {
    callers: Vec<oneshot::Sender<ReservationReply>>,
    /// Callers who want the account's status and no call.
    status_waiters: Vec<oneshot::Sender<ReservationReply>>,
    /// Calls without a waiting caller, because limits are not enforced.
    counted: u64,
}

/// The kind of reply that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Call,
    Status,
}

/// The reply to a waiting caller: the account's month after the reservation.
pub(super) struct ReservationReply {
    /// The call, where one was requested and granted.
    pub(super) call: Option<Call>,
    /// `None` where the configuration lacks the account's tier.
    pub(super) month: Option<Window>,
    pub(super) revision: i64,
}

struct HeldLease {
    handle: LeaseHandle,
    lease: QuotaLease,
    /// Responses that wait for the next reservation.
    waiting: Vec<oneshot::Sender<()>>,
}

/// An account's part of a reservation that is not committed yet.
pub(super) struct PendingReservation {
    pub(super) request: ReservationRequest,
    handle: LeaseHandle,
    update: LeaseUpdate,
    waiters: Waiters,
}

/// The waiting callers that a committed reservation answers.
pub(super) struct Replies {
    /// The first of them, up to the calls granted, get a call each, under this lease.
    pub(super) callers: Vec<oneshot::Sender<ReservationReply>>,
    pub(super) status_waiters: Vec<oneshot::Sender<ReservationReply>>,
    pub(super) handle: LeaseHandle,
    /// The month's calls with those granted to callers, without the replica's spare ones.
    pub(super) used: u64,
    /// Calls granted to callers.
    pub(super) calls: u64,
}

impl ReservationReply {
    /// The account's limits.
    pub(super) fn status(&self, burst: Option<Window>) -> Result<RateLimitStatus, Denied> {
        self.month.map(|month| RateLimitStatus { burst, month }).ok_or(Denied::UnknownTier)
    }
}

impl Accounts {
    /// Takes a spare call of the account, if there is one.
    pub(super) fn take(&mut self, account: AccountId, now: Instant) -> Option<SpareCall> {
        let known = self.known.entry(account).or_default();
        known.demand.count(now);
        let (held, month) = (known.leases.last_mut()?, known.month);
        let (day, limit) = (held.lease.day?, month.limit?);
        if !held.lease.take_spare(now) {
            return None;
        }
        let handle = held.handle;
        let used = month.used.saturating_sub(held.lease.spare() + held.lease.to_give_back());
        let spare = held.lease.spare();
        let renew = match !self.closing && known.wants_spare(now) {
            true if known.demand.takes_soon(spare, now) => Urgency::Now,
            true => Urgency::Soon,
            false => Urgency::Later,
        };
        if renew > Urgency::Later {
            self.due.insert(account);
        }
        // The writer is woken once.
        let renew = if renew > self.next { renew } else { Urgency::Later };
        self.next = self.next.max(renew);
        Some(SpareCall { handle, day, limit, used, revision: month.revision, renew })
    }

    /// Gives back all spare calls of a lease, with the next reservation.
    pub(super) fn return_spare(&mut self, account: AccountId, handle: LeaseHandle) {
        if let Some(held) = self.held(account, handle) {
            held.lease.return_spare(0);
            self.due.insert(account);
        }
    }

    /// Gives back the spare calls of all accounts, with the next reservation, and keeps none from now on.
    pub(super) fn close(&mut self) {
        self.closing = true;
        for (id, account) in &mut self.known {
            account.leases.iter_mut().for_each(|held| held.lease.return_spare(0));
            self.due.insert(*id);
        }
    }

    /// When the next reservation should be made. Without limits no caller waits, so one a second is enough.
    pub(super) fn urgency(&self, enforced: bool, now: Instant) -> Urgency {
        let is_recent = self.reserved_at.is_some_and(|at| now.saturating_duration_since(at) < OPEN);
        let is_sweep = self.next == Urgency::Later && (enforced || !is_recent);
        if is_sweep { Urgency::Now } else { self.next }
    }

    /// Adds a caller to the next reservation.
    pub(super) fn wait(&mut self, account: AccountId, kind: RequestKind) -> oneshot::Receiver<ReservationReply> {
        let (sender, reply) = oneshot::channel();
        let waiters = &mut self.known.entry(account).or_default().waiters;
        match kind {
            RequestKind::Call => waiters.callers.push(sender),
            RequestKind::Status => waiters.status_waiters.push(sender),
        }
        self.next = Urgency::Now;
        self.due.insert(account);
        reply
    }

    /// Counts a call without waiting for its reservation.
    pub(super) fn count(&mut self, account: AccountId) {
        self.known.entry(account).or_default().waiters.counted += 1;
        self.due.insert(account);
    }

    /// Settles a call that counts, unless the next reservation must come first.
    pub(super) fn settle(&mut self, account: AccountId, handle: LeaseHandle, now: Instant) -> Settlement {
        let Some(held) = self.held(account, handle) else { return Settlement::LeaseLost };
        if held.lease.answer(now) {
            return Settlement::Counted;
        }
        let (sender, reserved) = oneshot::channel();
        held.waiting.push(sender);
        self.next = Urgency::Now;
        self.due.insert(account);
        Settlement::AfterReservation(reserved)
    }

    /// Gives back a call that does not count: to the next caller, or with the next reservation.
    pub(super) fn give_back(&mut self, account: AccountId, handle: Option<LeaseHandle>, now: Instant) {
        if let Some(handle) = handle {
            let closing = self.closing;
            let Some(known) = self.known.get_mut(&account) else { return };
            let limit = if closing { 0 } else { known.spare_limit(now) };
            let is_current = known.leases.last().is_some_and(|held| held.handle == handle);
            // A lost lease has given the call back already.
            let Some(held) = known.leases.iter_mut().find(|held| held.handle == handle) else { return };
            if is_current && held.lease.make_spare(limit, now) {
                return;
            }
            held.lease.give_back();
        } else {
            let another = self.next_handle();
            self.known.entry(account).or_default().give_back_counted(another);
        }
        self.due.insert(account);
    }

    /// Counts a call to which no response is sent.
    pub(super) fn keep(&mut self, account: AccountId, handle: LeaseHandle) {
        if let Some(held) = self.held(account, handle) {
            held.lease.keep();
        }
    }

    fn next_handle(&mut self) -> LeaseHandle {
        self.last_handle += 1;
        LeaseHandle(self.last_handle)
    }

    fn held(&mut self, account: AccountId, handle: LeaseHandle) -> Option<&mut HeldLease> {
        self.known.get_mut(&account)?.leases.iter_mut().find(|held| held.handle == handle)
    }

    /// Takes the contents of the next reservation: one lease of each account that is due. Drops idle accounts.
    pub(super) fn take_due(&mut self, enforced: bool, now: Instant) -> BTreeMap<AccountId, PendingReservation> {
        if self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            self.swept_at = Some(now);
            self.known.retain(|_, account| !account.is_idle(now));
            self.known.values_mut().for_each(|account| account.return_old_spare(now));
            let renewed = self.known.iter().filter(|(_, account)| account.is_due(now)).map(|(account, _)| *account);
            self.due.extend(renewed);
        }
        (self.next, self.reserved_at) = (Urgency::Later, Some(now));
        let mut pending = BTreeMap::new();
        let keeps_spare = enforced && !self.closing;
        for id in std::mem::take(&mut self.due) {
            let Some(account) = self.known.get_mut(&id) else { continue };
            self.last_handle += 1;
            account.ensure_lease(LeaseHandle(self.last_handle));
            if let Some(reservation) = account.reserve(id, (enforced, keeps_spare), now) {
                pending.insert(id, reservation);
            }
        }
        pending
    }

    /// Applies a reservation that was committed.
    pub(super) fn committed(
        &mut self,
        grant: &Grant,
        reservation: PendingReservation,
        now: Instant,
    ) -> Option<Replies> {
        let PendingReservation { request, handle, update, waiters } = reservation;
        let another = self.next_handle();
        let account = self.known.get_mut(&grant.account)?;
        let is_current = account.leases.last().is_some_and(|held| held.handle == handle);
        let held = account.leases.iter_mut().find(|held| held.handle == handle)?;
        if !request.opened {
            account.opened_at = Some(now);
        }
        let mut replies = None;
        if grant.lost {
            if held.lease.lost(clock::fresh_uid().0) == Lost::GivenBack {
                held.handle = another;
            }
            held.release(usize::MAX);
            account.waiters.put_first(waiters);
        } else {
            held.lease.committed(update, grant.calls, grant.day);
            held.release(held.lease.may_answer());
            if request.block.is_none() {
                held.lease.keep_reserved(grant.calls);
            }
            // No less than the callers' part, also where the database lost its last second in a crash.
            let used = grant.used.saturating_sub(held.lease.spare()).max(grant.calls.min(update.calls));
            if grant.today != grant.day {
                held.lease.return_spare(0);
            }
            if is_current {
                account.month = MonthState { limit: grant.limit, used: grant.used, revision: grant.revision };
            }
            if is_current && grant.today != grant.day {
                account.leases.push(HeldLease::new(another));
                account.waiters.put_first(waiters);
            } else {
                let Waiters { callers, status_waiters, counted } = waiters;
                // Calls that were counted without waiting were served, so the calls that were not granted are requested again.
                account.waiters.counted += if request.block.is_some() { 0 } else { counted - grant.calls };
                let calls = grant.calls.min(update.calls);
                replies = Some(Replies { callers, status_waiters, handle, used, calls });
            }
        }
        account.forget_settled();
        if account.is_due(now) {
            self.next = Urgency::Now;
            self.due.insert(grant.account);
        }
        replies
    }

    /// Handles an account without a row of the month in the database. Where a month has just begun, the next reservation
    /// creates the row. Otherwise there is no such account, and the channels of its waiting callers close.
    pub(super) fn not_found(&mut self, id: AccountId, reservation: PendingReservation) {
        match self.known.get_mut(&id) {
            Some(account) if reservation.request.opened => {
                account.opened_at = None;
                account.waiters.put_first(reservation.waiters);
                self.next = Urgency::Now;
                self.due.insert(id);
            }
            Some(_) | None => {
                self.known.remove(&id);
            }
        }
    }

    /// Handles a reservation that failed, or whose commit is in doubt: the next reservation finds out. The channels of its
    /// waiting callers close.
    pub(super) fn failed(&mut self, pending: BTreeMap<AccountId, PendingReservation>) {
        for (id, PendingReservation { handle, waiters, .. }) in pending {
            let Some(account) = self.known.get_mut(&id) else { continue };
            account.waiters.counted += waiters.counted;
            if let Some(held) = account.leases.iter_mut().find(|held| held.handle == handle) {
                held.waiting.clear();
            }
            // Also without waiting callers: calls may have been granted that nobody took.
            self.due.insert(id);
        }
    }
}

impl Account {
    fn reserve(
        &mut self,
        account: AccountId,
        (enforced, keeps_spare): (bool, bool),
        now: Instant,
    ) -> Option<PendingReservation> {
        let (wants_spare, limit) = (keeps_spare && self.wants_spare(now), self.spare_limit(now));
        let last = self.leases.len().checked_sub(1)?;
        // An earlier day's lease that is due comes before today's.
        let index = self.leases.iter().take(last).position(|held| held.is_due(now)).unwrap_or(last);
        let held = self.leases.get_mut(index)?;
        let waiters = if index == last { std::mem::take(&mut self.waiters) } else { Waiters::default() };
        let is_due = held.is_due(now) || held.lease.is_in_doubt() || (wants_spare && index == last);
        if waiters.is_empty() && !is_due {
            return None;
        }
        if held.lease.may_restart(now) {
            held.lease.restart(clock::fresh_uid().0);
        }
        let calls = waiters.callers.len() as u64 + waiters.counted;
        let block = enforced.then(|| block(self.month.remaining()));
        // A reported status has no spare calls in it, so that it is exact.
        let keeps_spare = keeps_spare && index == last && waiters.status_waiters.is_empty();
        let spare = if keeps_spare { limit } else { 0 };
        // Without limits every call counts at once, so the lease has nothing to give back.
        let update = held.lease.reserve(calls, spare, block.unwrap_or(u64::MAX), now);
        let request = ReservationRequest {
            account,
            lease: held.lease.id,
            day: held.lease.day,
            known: held.lease.is_known(),
            calls,
            spare: update.spare,
            accepted: update.accepted,
            returned: update.returned,
            outstanding: update.outstanding,
            block,
            opened: self.opened_at.is_some_and(|at| now.saturating_duration_since(at) < OPEN),
        };
        Some(PendingReservation { request, handle: held.handle, update, waiters })
    }

    /// The number of spare calls to keep.
    fn spare_limit(&mut self, now: Instant) -> u64 {
        self.demand.spare(block(self.month.remaining()), now)
    }

    /// Whether half of the spare calls, or of the calls that may be answered before the next reservation, are used.
    fn wants_spare(&mut self, now: Instant) -> bool {
        let limit = self.spare_limit(now);
        let block = block(self.month.remaining());
        let Some(held) = self.leases.last() else { return false };
        limit > 0 && (2 * held.lease.spare() <= limit || 2 * held.lease.may_answer() as u64 <= block)
    }

    fn return_old_spare(&mut self, now: Instant) {
        for held in &mut self.leases {
            if held.lease.has_old_spare(now) {
                held.lease.return_spare(0);
            }
        }
    }

    /// Adds a lease with this handle where the account has none.
    fn ensure_lease(&mut self, handle: LeaseHandle) {
        if self.leases.is_empty() {
            self.leases.push(HeldLease::new(handle));
        }
    }

    /// Gives back a call that was counted without waiting for its reservation.
    fn give_back_counted(&mut self, handle: LeaseHandle) {
        if self.waiters.counted > 0 {
            // The call is not reserved yet.
            self.waiters.counted -= 1;
            return;
        }
        self.ensure_lease(handle);
        if let Some(held) = self.leases.last_mut() {
            held.lease.give_back_kept();
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.waiters.is_empty() || self.leases.iter().any(|held| held.is_due(now))
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.waiters.is_empty() && self.leases.iter().all(|held| held.waiting.is_empty() && held.lease.is_idle(now))
    }

    /// Forgets leases of earlier days whose calls are all settled.
    fn forget_settled(&mut self) {
        let last = self.leases.last().map(|held| held.handle);
        self.leases.retain(|held| Some(held.handle) == last || !held.lease.is_settled() || !held.waiting.is_empty());
    }
}

impl MonthState {
    /// The calls that are left. None are before the first reservation, where the tier was lowered below the used calls or
    /// is unknown, and where limits are not enforced.
    fn remaining(&self) -> u64 {
        self.limit.map_or(0, |limit| limit.saturating_sub(self.used))
    }
}

impl HeldLease {
    fn new(handle: LeaseHandle) -> Self {
        Self { handle, lease: QuotaLease::new(clock::fresh_uid().0), waiting: Vec::new() }
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.waiting.is_empty() || self.lease.has_returned() || self.lease.wants_renewal(now)
    }

    /// Lets the first responses try again, at most `limit` of them.
    fn release(&mut self, limit: usize) {
        let released = self.waiting.len().min(limit);
        for waiting in self.waiting.drain(..released) {
            // A caller that has gone away waits for nothing.
            let _gone = waiting.send(());
        }
    }
}

impl Waiters {
    fn is_empty(&self) -> bool {
        self.callers.is_empty() && self.status_waiters.is_empty() && self.counted == 0
    }

    /// Puts callers that have waited for longer before the others.
    fn put_first(&mut self, earlier: Self) {
        let later = std::mem::replace(self, earlier);
        self.callers.extend(later.callers);
        self.status_waiters.extend(later.status_waiters);
        self.counted += later.counted;
    }
}
