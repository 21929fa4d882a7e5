//! The latest events in memory: for each account an unbroken run up to the last one that this process committed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq};
use crate::store::log::{EventPage, PageLimit};

/// The memory of an event besides its body, in bytes.
const OVERHEAD: usize = 160;

/// The largest number of events in `order`, including those that were dropped before.
const MAX_ORDER: usize = 65_536;

/// Events that were appended longer ago are dropped: their readers have read them, or are so far behind that they read the
/// log. Otherwise a process that has become quiet would keep the memory of its busiest time.
const MAX_AGE: Duration = Duration::from_secs(10);

/// A map with room for more accounts is shrunk when most of them are gone.
const KEPT_ROOM: usize = 1_024;

/// Limited by bytes over all accounts, and by age; the oldest event is dropped first.
pub(super) struct Tail {
    limit: usize,
    bytes: usize,
    runs: HashMap<AccountId, VecDeque<EncodedEvent>>,
    /// Every event that was appended, oldest first, including events of runs that were dropped.
    order: VecDeque<(AccountId, Seq)>,
    /// The number of events that were ever appended.
    appended: usize,
    /// That number at earlier times, oldest first.
    counts: VecDeque<(Instant, usize)>,
    /// The position up to which an account's log was changed by erasures. Events up to it are read from the log only.
    erased: HashMap<AccountId, Seq>,
    /// Until when the kept events may be used; `None` means as long as they are kept.
    trusted_until: Option<Instant>,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        let (runs, order, counts) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { limit, bytes: 0, runs, order, appended: 0, counts, erased: HashMap::new(), trusted_until: None }
    }

    pub(super) fn append(&mut self, events: Vec<EncodedEvent>) {
        for event in events {
            // It was committed before an erasure ended that changed it in the log.
            if event.seq <= self.erased_through(event.account) {
                self.forget(event.account);
                continue;
            }
            // Most accounts have one event here where many accounts write seldom.
            let run = self.runs.entry(event.account).or_insert_with(|| VecDeque::with_capacity(1));
            // Another replica wrote in between, so the kept run no longer reaches the end of the log.
            if run.back().is_some_and(|last| last.seq.next() != event.seq) {
                self.bytes -= run.drain(..).map(|event| cost(&event)).sum::<usize>();
            }
            self.bytes += cost(&event);
            self.appended += 1;
            self.order.push_back((event.account, event.seq));
            run.push_back(event);
        }
        while self.bytes > self.limit || self.order.len() > MAX_ORDER {
            let Some(oldest) = self.order.pop_front() else { break };
            self.evict(oldest);
        }
    }

    /// The events after a position; `None` where the log must be read. Visits only the events of the page.
    pub(super) fn after(&self, account: AccountId, after: Seq, limit: PageLimit) -> Option<EventPage> {
        let run = self.runs.get(&account)?;
        let (first, last) = (run.front()?.seq, run.back()?.seq);
        if after.next() < first || after >= last {
            return None;
        }
        // The position lies within the run, whose length is a `usize`.
        let skip = usize::try_from(after.next().since(first)).ok()?;
        let mut total = 0_usize;
        let fits = |event: &&EncodedEvent| {
            let is_first = total == 0;
            total += event.body.len();
            is_first || total <= limit.bytes
        };
        let events: Vec<EncodedEvent> = run.range(skip..).take(limit.events).take_while(fits).cloned().collect();
        let more = events.last().is_some_and(|event| event.seq < last);
        Some(EventPage { events, more })
    }

    /// The event at a position, where it is kept.
    pub(super) fn at(&self, account: AccountId, seq: Seq) -> Option<EncodedEvent> {
        let run = self.runs.get(&account)?;
        let index = seq.0.checked_sub(run.front()?.seq.0)?;
        run.get(usize::try_from(index).ok()?).cloned()
    }

    /// The last event of an account, where one is kept.
    pub(super) fn last(&self, account: AccountId) -> Option<&EncodedEvent> {
        self.runs.get(&account)?.back()
    }

    /// Whether an account's run ends with the event at a position.
    pub(super) fn ends_at(&self, account: AccountId, at: Seq) -> bool {
        self.runs.get(&account).and_then(VecDeque::back).is_some_and(|last| last.seq == at)
    }

    /// Drops the events that were appended more than [`MAX_AGE`] ago, as far as earlier calls tell. Called from time to
    /// time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, appended)) = self.counts.pop_front_if(|(at, _)| now.duration_since(*at) >= MAX_AGE) {
            while self.appended - self.order.len() < appended {
                let Some(oldest) = self.order.pop_front() else { break };
                self.evict(oldest);
            }
        }
        if self.counts.back().is_none_or(|(_, appended)| *appended < self.appended) {
            self.counts.push_back((now, self.appended));
        }
        if self.runs.capacity() > KEPT_ROOM.max(8 * self.runs.len()) {
            self.runs.shrink_to(KEPT_ROOM);
        }
        if self.order.capacity() > KEPT_ROOM.max(8 * self.order.len()) {
            self.order.shrink_to(KEPT_ROOM);
        }
    }

    /// Drops an account's run.
    pub(super) fn forget(&mut self, account: AccountId) {
        if let Some(run) = self.runs.remove(&account) {
            self.bytes -= run.iter().map(cost).sum::<usize>();
        }
    }

    /// Drops an account's run, and keeps no event up to this position from now on.
    pub(super) fn erase(&mut self, account: AccountId, through: Seq) {
        self.forget(account);
        let end = self.erased.entry(account).or_insert(through);
        *end = (*end).max(through);
    }

    /// The position up to which no event of an account is kept.
    pub(super) fn erased_through(&self, account: AccountId) -> Seq {
        self.erased.get(&account).copied().unwrap_or(Seq::ZERO)
    }

    /// Drops all runs.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.bytes = 0;
    }

    /// Permits the use of the kept events until then.
    pub(super) fn trust(&mut self, until: Instant) {
        self.trusted_until = Some(until);
    }

    /// Drops all runs where their use is not permitted any more.
    pub(super) fn drop_untrusted(&mut self, now: Instant) {
        if self.trusted_until.is_some_and(|until| until <= now) {
            self.clear();
        }
    }

    fn evict(&mut self, (account, seq): (AccountId, Seq)) {
        let Some(run) = self.runs.get_mut(&account) else { return };
        if run.front().is_some_and(|event| event.seq == seq) {
            self.bytes -= run.pop_front().map_or(0, |event| cost(&event));
        }
        if run.is_empty() {
            self.runs.remove(&account);
        }
    }
}

fn cost(event: &EncodedEvent) -> usize {
    event.body.len() + OVERHEAD
}
