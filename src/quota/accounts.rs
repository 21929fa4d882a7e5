//! The accounts that called this replica lately: who waits for the next booking, and the leases that their calls are of.
//!
//! Plain state behind the ledger's lock. Nothing here waits, and no call is made or dropped here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::call::Call;
use super::lease::{LeaseUpdate, Lost, QuotaLease, block};
use super::window::Window;
use crate::clock;
use crate::domain::AccountId;
use crate::store::quota::{Ask, Grant};

/// Leases are looked through for what is to be renewed or forgotten, so often.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Accounts {
    known: BTreeMap<AccountId, Account>,
    /// Those with something to book.
    due: BTreeSet<AccountId>,
    swept_at: Option<Instant>,
    last_serial: u64,
}

/// One account on this replica.
#[derive(Default)]
struct Account {
    /// The last is that of today; calls of the day before may still be carried out under one before it.
    leases: Vec<Held>,
    waiters: Waiters,
    /// Calls of the month that were left at the last booking.
    remaining: u64,
    /// When the month's row was last made sure of, and expired leases given back.
    opened_at: Option<Instant>,
}

/// Who waits for the next booking of an account.
#[derive(Default)]
pub(super) struct Waiters {
    callers: Vec<oneshot::Sender<MonthGrant>>,
    /// Callers who ask without wanting a call.
    status_waiters: Vec<oneshot::Sender<MonthGrant>>,
    /// Calls that nobody waits for, where limits are not enforced.
    counted: u64,
}

/// The answer that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Call,
    Look,
}

/// Where a caller came in the month.
pub(super) struct MonthGrant {
    /// The call, where it is granted.
    pub(super) call: Option<Call>,
    pub(super) month: Window,
    pub(super) revision: i64,
}

/// Names a lease in this process for as long as its calls are what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serial(u64);

struct Held {
    serial: Serial,
    lease: QuotaLease,
    /// Answers that wait for the next booking.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Whether a call's answer may go out.
pub(super) enum ReleaseState {
    Counted,
    /// Not before the next booking.
    After(oneshot::Receiver<()>),
    /// The call was given back.
    Lost,
}

/// An account's part of a booking.
pub(super) struct Booked {
    pub(super) ask: Ask,
    serial: Serial,
    update: LeaseUpdate,
    waiters: Waiters,
}

/// Who is to be told of a booking.
pub(super) struct Replies {
    /// The first of them were granted a call each, under this lease.
    pub(super) callers: Vec<oneshot::Sender<MonthGrant>>,
    pub(super) status_waiters: Vec<oneshot::Sender<MonthGrant>>,
    pub(super) serial: Serial,
}

impl Accounts {
    /// Waits for the next booking.
    pub(super) fn wait(&mut self, account: AccountId, wish: Wish) -> oneshot::Receiver<MonthGrant> {
        let (reply, index) = oneshot::channel();
        let waiters = &mut self.known.entry(account).or_default().waiters;
        match wish {
            Wish::Call => waiters.callers.push(reply),
            Wish::Look => waiters.status_waiters.push(reply),
        }
        self.due.insert(account);
        index
    }

    /// Counts a call that waits for nothing.
    pub(super) fn count(&mut self, account: AccountId) {
        self.known.entry(account).or_default().waiters.counted += 1;
        self.due.insert(account);
    }

    /// A call that counts is answered, where it may be.
    pub(super) fn answer(&mut self, account: AccountId, serial: Serial, now: Instant) -> ReleaseState {
        let Some(held) = self.held(account, serial) else { return ReleaseState::Lost };
        if held.lease.answer(now) {
            return ReleaseState::Counted;
        }
        let (reply, booked) = oneshot::channel();
        held.waiting.push(reply);
        self.due.insert(account);
        ReleaseState::After(booked)
    }

    /// A call does not count: the next booking says so.
    pub(super) fn give_back(&mut self, account: AccountId, serial: Option<Serial>) {
        if let Some(serial) = serial {
            // Where its lease is lost, it was given back with that.
            let Some(held) = self.held(account, serial) else { return };
            held.lease.give_back();
        } else {
            let another = self.next_serial();
            self.known.entry(account).or_default().give_back_counted(another);
        }
        self.due.insert(account);
    }

    /// A call counts though nobody is answered.
    pub(super) fn keep(&mut self, account: AccountId, serial: Serial) {
        if let Some(held) = self.held(account, serial) {
            held.lease.keep();
        }
    }

    fn next_serial(&mut self) -> Serial {
        self.last_serial += 1;
        Serial(self.last_serial)
    }

    fn held(&mut self, account: AccountId, serial: Serial) -> Option<&mut Held> {
        self.known.get_mut(&account)?.leases.iter_mut().find(|held| held.serial == serial)
    }

    /// What the next booking is about: of each account that is due one lease. Accounts that have been quiet are forgotten.
    pub(super) fn update(&mut self, enforced: bool, now: Instant) -> BTreeMap<AccountId, Booked> {
        if self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            self.swept_at = Some(now);
            self.known.retain(|_, account| !account.is_idle(now));
            let renewed = self.known.iter().filter(|(_, account)| account.is_due(now)).map(|(account, _)| *account);
            self.due.extend(renewed);
        }
        let mut drafted = BTreeMap::new();
        for id in std::mem::take(&mut self.due) {
            let Some(account) = self.known.get_mut(&id) else { continue };
            self.last_serial += 1;
            account.hold(Serial(self.last_serial));
            if let Some(booked) = account.update(id, enforced, now) {
                drafted.insert(id, booked);
            }
        }
        drafted
    }

    /// A booking was committed.
    pub(super) fn booked(&mut self, grant: &Grant, booked: Booked, now: Instant) -> Option<Replies> {
        let Booked { ask, serial, update, waiters } = booked;
        let another = self.next_serial();
        let account = self.known.get_mut(&grant.account)?;
        let is_current = account.leases.last().is_some_and(|held| held.serial == serial);
        let held = account.leases.iter_mut().find(|held| held.serial == serial)?;
        if !ask.opened {
            account.opened_at = Some(now);
        }
        let mut replies = None;
        if grant.lost {
            if held.lease.lost(clock::fresh_uid().0) == Lost::GivenBack {
                held.serial = another;
            }
            held.release(usize::MAX);
            account.waiters.put_first(waiters);
        } else {
            held.lease.booked(update, grant.calls, grant.day);
            held.release(held.lease.may_answer());
            if ask.block.is_none() {
                held.lease.keep_booked(grant.calls);
            }
            // None remain where the tier was lowered below what is used, or limits are not enforced.
            account.remaining = grant.most.saturating_sub(grant.used);
            if is_current && grant.today != grant.day {
                account.leases.push(Held::new(another));
                account.waiters.put_first(waiters);
            } else {
                let Waiters { callers, status_waiters, counted } = waiters;
                // Nobody is refused these: they were carried out.
                account.waiters.counted += if ask.block.is_some() { 0 } else { counted - grant.calls };
                replies = Some(Replies { callers, status_waiters, serial });
            }
        }
        account.forget_settled();
        if account.is_due(now) {
            self.due.insert(grant.account);
        }
        replies
    }

    /// The database does not have the account's month. Where a month has just begun its row is made next time; else there
    /// is no such account, and whoever waits is told by being dropped.
    pub(super) fn not_found(&mut self, id: AccountId, booked: Booked) {
        match self.known.get_mut(&id) {
            Some(account) if booked.ask.opened => {
                account.opened_at = None;
                account.waiters.put_first(booked.waiters);
                self.due.insert(id);
            }
            Some(_) | None => {
                self.known.remove(&id);
            }
        }
    }

    /// A booking failed, or may have been committed: the next one finds out. Whoever waited is told by being dropped.
    pub(super) fn not_booked(&mut self, booked: BTreeMap<AccountId, Booked>) {
        for (id, Booked { serial, waiters, .. }) in booked {
            let Some(account) = self.known.get_mut(&id) else { continue };
            account.waiters.counted += waiters.counted;
            if let Some(held) = account.leases.iter_mut().find(|held| held.serial == serial) {
                held.waiting.clear();
            }
            // Also where nothing waits any more: calls may have been granted that nobody took.
            self.due.insert(id);
        }
    }
}

impl Account {
    fn update(&mut self, account: AccountId, enforced: bool, now: Instant) -> Option<Booked> {
        let last = self.leases.len().checked_sub(1)?;
        let index = self.leases.iter().take(last).position(|held| held.is_due(now)).unwrap_or(last);
        let held = self.leases.get_mut(index)?;
        let waiters = if index == last { std::mem::take(&mut self.waiters) } else { Waiters::default() };
        if waiters.is_empty() && !held.is_due(now) && !held.lease.is_in_doubt() {
            return None;
        }
        if held.lease.has_nothing_to_lose(now) {
            held.lease.begin_again(clock::fresh_uid().0);
        }
        let calls = waiters.callers.len() as u64 + waiters.counted;
        let block = enforced.then(|| block(self.remaining));
        // Where limits are not enforced nothing is to be given back.
        let update = held.lease.update(calls, block.unwrap_or(u64::MAX), now);
        let ask = Ask {
            account,
            lease: held.lease.id,
            day: held.lease.day,
            known: held.lease.is_known(),
            calls,
            accepted: update.accepted,
            returned: update.returned,
            outstanding: update.outstanding,
            block,
            opened: self.opened_at.is_some_and(|at| now.saturating_duration_since(at) < SWEEP),
        };
        Some(Booked { ask, serial: held.serial, update, waiters })
    }

    /// Has a lease, under this name where there is none yet.
    fn hold(&mut self, serial: Serial) {
        if self.leases.is_empty() {
            self.leases.push(Held::new(serial));
        }
    }

    /// A call that was counted without asking does not count.
    fn give_back_counted(&mut self, serial: Serial) {
        if self.waiters.counted > 0 {
            // It is not booked yet.
            self.waiters.counted -= 1;
            return;
        }
        self.hold(serial);
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

    /// Forgets leases of days before whose calls are all settled.
    fn forget_settled(&mut self) {
        let last = self.leases.last().map(|held| held.serial);
        self.leases.retain(|held| Some(held.serial) == last || !held.lease.is_settled() || !held.waiting.is_empty());
    }
}

impl Held {
    fn new(serial: Serial) -> Self {
        Self { serial, lease: QuotaLease::new(clock::fresh_uid().0), waiting: Vec::new() }
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.waiting.is_empty() || self.lease.has_returned() || self.lease.wants_renewal(now)
    }

    /// Lets the first answers try again.
    fn release(&mut self, most: usize) {
        let released = self.waiting.len().min(most);
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

    /// Those who waited for longer come first.
    fn put_first(&mut self, earlier: Self) {
        let later = std::mem::replace(self, earlier);
        self.callers.extend(later.callers);
        self.status_waiters.extend(later.status_waiters);
        self.counted += later.counted;
    }
}
