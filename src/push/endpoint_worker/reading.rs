//! Reading the log: the events that the scheduler gets, and the bodies of those that it sends.

use std::time::Duration;

use super::EndpointWorker;
use crate::clock;
use crate::contract::EncodedEvent;
use crate::domain::Seq;
use crate::domain::endpoint::{is_processed, skip_processed};
use crate::feed::{EventPage, PAGE_BYTES, PageLimit};
use crate::push::health;
use crate::push::scheduler::{Delivery, EventMeta};

/// Events of one page.
const PAGE_EVENTS: usize = 256;

/// Retries whose events are read from the log together.
const RETRIES_AT_ONCE: usize = 64;

/// Where this process wrote the last event that it knows of, Postgres is asked at most this often whether another replica
/// wrote more. `crate::sweep` marks accounts with such events, too.
const REREAD_AFTER: Duration = Duration::from_secs(1);

impl EndpointWorker {
    /// True while the log may have more events and the scheduler wants them.
    pub(super) fn can_read(&self) -> bool {
        self.unread && self.scheduler.wants_more()
    }

    /// Gives the scheduler the next page of the log, if it wants more events.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        if !self.can_read() {
            return Ok(());
        }
        let account = self.target.endpoint.account;
        let from = skip_processed(&self.processed, self.scheduler.read());
        self.scheduler.skip_to(from);
        let read_lately = self.empty_read_at.is_some_and(|at| at.elapsed() < REREAD_AFTER);
        if read_lately && self.context.feed.ends_at(account, from) {
            self.unread = false;
            return Ok(());
        }
        let erased = self.drop_erased();
        let limit = PageLimit { events: PAGE_EVENTS, bytes: PAGE_BYTES };
        let EventPage { events, more } = self.context.feed.after(account, from, limit).await?;
        if events.is_empty() {
            self.empty_read_at = Some(clock::instant());
            self.scheduler.reached_end();
        }
        self.unread = more;
        // Where an erasure ended meanwhile, bodies of before are not kept: they are read again when they are sent.
        let through = self.drop_erased();
        self.add_events(events, if through == erased { Seq::ZERO } else { through });
        Ok(())
    }

    /// Bodies up to `outdated` are not kept.
    fn add_events(&mut self, events: Vec<EncodedEvent>, outdated: Seq) {
        self.events.make_room(events.len(), |seq| self.scheduler.is_rescheduled(seq));
        let mut metas = Vec::with_capacity(events.len());
        for event in events {
            let selected = self.selects(&event);
            let EncodedEvent { seq, uid, at, .. } = event;
            metas.push(EventMeta { seq, uid, at, bytes: event.body.len(), selected });
            if selected && seq > outdated {
                self.events.put(event);
            }
        }
        self.scheduler.add_events(metas, self.context.clock.now());
        self.drop_superseded();
    }

    /// True for an event that the endpoint's filters select, that was not processed before and that is not about the
    /// endpoint itself.
    fn selects(&self, event: &EncodedEvent) -> bool {
        let target = &self.target;
        !health::is_about(&target.endpoint, event)
            && !is_processed(&self.processed, event.seq)
            && target.filter.selects(event)
    }

    /// Drops the bodies of events that an erasure has changed in the log; returns the position up to which.
    pub(super) fn drop_erased(&mut self) -> Seq {
        let through = self.context.feed.erased_through(self.target.endpoint.account);
        self.events.erase(through);
        through
    }

    /// Drops what is held of events that newer ones stand for.
    pub(super) fn drop_superseded(&mut self) {
        for seq in self.scheduler.take_superseded() {
            self.events.take(seq);
            self.failed.forget(seq);
        }
    }

    /// Returns a delivery's events. Those that are not in memory are read from the log: after a restart, or where a retry
    /// waited for so long that its body was dropped. With them come the events of the next retries, so that many retries
    /// that are due at once cost few statements.
    pub(super) async fn events_of(&mut self, delivery: &Delivery) -> anyhow::Result<Vec<EncodedEvent>> {
        loop {
            let erased = self.drop_erased();
            let events = self.read_events_of(delivery).await?;
            // An erasure that ended meanwhile may have changed an event after it was read.
            if self.drop_erased() == erased {
                return Ok(events);
            }
        }
    }

    async fn read_events_of(&mut self, delivery: &Delivery) -> anyhow::Result<Vec<EncodedEvent>> {
        let mut events: Vec<EncodedEvent> = delivery.events.iter().filter_map(|seq| self.events.take(*seq)).collect();
        if events.len() == delivery.events.len() {
            return Ok(events);
        }
        let account = self.target.endpoint.account;
        let is_missing = |seq: &Seq| events.iter().all(|event| event.seq != *seq);
        let missing: Vec<Seq> = delivery.events.iter().copied().filter(is_missing).collect();
        let mut further = self.scheduler.due_retries(self.context.clock.now(), RETRIES_AT_ONCE);
        further.retain(|seq| !delivery.events.contains(seq) && !self.events.contains(*seq));
        for event in self.context.store.events_at(account, &missing, &further, PAGE_BYTES).await? {
            if delivery.events.contains(&event.seq) { events.push(event) } else { self.events.put(event) }
        }
        events.sort_unstable_by_key(|event| event.seq);
        anyhow::ensure!(events.len() == delivery.events.len(), "some of {account}:{missing:?} are not in the log");
        Ok(events)
    }
}
