//! Compares an account's messages in the stream with its log, message by message.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::decide::is_logged;
use crate::broker::{Broker, StoredMessage, StreamInfo};
use crate::clock;
use crate::domain::{AccountId, Seq};
use crate::store::Store;
use crate::store::relay::{Logged, Repair};

/// Messages that are read and compared at once.
const BATCH: usize = 500;

/// The largest number of gaps, and of foreign messages, that a report lists; it counts all.
const MAX_LISTED: usize = 20;

/// The stream's messages of an account, compared with the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// The number of the account's messages.
    pub messages: u64,
    /// The first of its events that the stream has.
    pub first: Option<Seq>,
    /// The last of its events that the stream has.
    pub last: Option<Seq>,
    /// Missing events: before the first where the retention would have kept them, between, and at the end up to the
    /// relay's cursor.
    pub missing: u64,
    /// The first ranges of missing events: from, through.
    pub gaps: Vec<(Seq, Seq)>,
    /// Messages that repeat an event, or that come after a later event.
    pub repeated: u64,
    /// Messages that are not in the log.
    pub foreign: u64,
    /// The stream sequences of the first foreign messages.
    pub foreign_at: Vec<u64>,
    /// Whether only events at the end are missing.
    is_short: bool,
    /// The highest event so far, while messages are read.
    highest: Seq,
    /// Events whose messages an erasure removed: they are not missing.
    removed: BTreeSet<Seq>,
}

impl RelayReport {
    /// Whether a subscriber that reads the stream from its beginning reads the log, each event once.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.repeated == 0 && self.foreign == 0
    }

    /// The repair; `None` where none is needed.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            report if report.is_sound() => None,
            Self { repeated: 0, foreign: 0, is_short: true, last: Some(last), .. } => Some(Remedy::PublishAfter(*last)),
            _ => Some(Remedy::Refill),
        }
    }

    fn add(&mut self, stored: &StoredMessage, account: AccountId, log: &HashMap<Seq, Logged>) {
        self.messages += 1;
        let Some(event) = stored.identity.filter(|event| is_logged(account, event, log)) else {
            self.foreign += 1;
            if self.foreign_at.len() < MAX_LISTED {
                self.foreign_at.push(stored.sequence);
            }
            return;
        };
        if event.seq <= self.highest {
            self.repeated += 1;
            return;
        }
        if self.first.is_none() {
            self.first = Some(event.seq);
        } else {
            self.add_gap(self.highest, event.seq);
        }
        self.highest = event.seq;
        self.last = Some(event.seq);
    }

    /// Adds the events between two positions as missing.
    fn add_gap(&mut self, after: Seq, before: Seq) {
        let removed = if after.next() < before { self.removed.range(after.next()..before).count() as u64 } else { 0 };
        let missing = before.since(after.next()).saturating_sub(removed);
        self.missing += missing;
        if missing > 0 && self.gaps.len() < MAX_LISTED {
            self.gaps.push((after.next(), Seq(before.0 - 1)));
        }
    }
}

/// The repair that an unsound account needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Publish the missing events at the end, after this one.
    PublishAfter(Seq),
    /// Remove the account's messages and publish them again in order, because a gap cannot be filled in place.
    Refill,
}

/// Compares the stream with the log; changes nothing.
pub async fn verify(
    store: &Store,
    broker: &Broker,
    stream: StreamInfo,
    account: AccountId,
) -> anyhow::Result<RelayReport> {
    let removed = store.removed_messages(account).await?;
    let mut report = RelayReport { removed, ..RelayReport::default() };
    let mut scan = broker.scan(account).await?;
    loop {
        let messages = scan.next(BATCH).await?;
        if messages.is_empty() {
            break;
        }
        let seqs: Vec<Seq> = messages.iter().filter_map(|message| Some(message.identity?.seq)).collect();
        let log = store.identities(account, &seqs, stream.max_age).await?;
        for message in &messages {
            report.add(message, account, &log);
        }
    }
    let (between, cursor) = (report.missing, store.relayed_through(account).await?);
    let retained = store.retained_after(account, stream.max_age).await?;
    let first = report.first.unwrap_or_else(|| cursor.next());
    if retained.next() < first {
        report.add_gap(retained, first.min(cursor.next()));
    }
    let before_end = report.missing;
    if let Some(last) = report.last {
        report.add_gap(last, cursor.next());
    }
    report.is_short = between == 0 && before_end == 0 && report.last.is_some();
    Ok(report)
}

/// Requests a remedy from the owner of the account's shard.
pub async fn request(store: &Store, account: AccountId, remedy: Remedy) -> anyhow::Result<()> {
    match remedy {
        Remedy::PublishAfter(after) => {
            store.put_relay_back(account, after).await?;
        }
        Remedy::Refill => {
            let id: Uuid = clock::fresh_uid().0;
            store.request_relay_repair(account, Repair::Refill, id).await?;
        }
    }
    Ok(())
}
