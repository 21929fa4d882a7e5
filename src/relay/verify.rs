//! Comparing all that the stream holds of an account with its log, message by message.

use std::collections::HashMap;

use uuid::Uuid;

use super::judge::is_logged;
use crate::broker::{Broker, StoredMessage, StreamFacts};
use crate::clock;
use crate::domain::{AccountId, Seq};
use crate::store::Store;
use crate::store::relay::{Logged, Repair};

/// Messages that are compared at once.
const AT_ONCE: usize = 500;

/// Holes and messages of each kind that a report names; it counts all.
const NAMED: usize = 20;

/// The stream's messages of an account, compared with the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayReport {
    /// All messages of the account.
    pub messages: u64,
    /// The first and the last of its events that the stream has.
    pub first: Option<Seq>,
    /// See `first`.
    pub last: Option<Seq>,
    /// Events that are missing: before the first, where they are too young to be gone for their age, between, and at the
    /// end up to where the relay noted that it had published.
    pub missing: u64,
    /// The first stretches of them: from, through.
    pub holes: Vec<(Seq, Seq)>,
    /// Copies of events that came before in the stream, or that come after a later one.
    pub repeated: u64,
    /// Messages that are no event of the log.
    pub foreign: u64,
    /// The stream sequences of the first of them.
    pub foreign_at: Vec<u64>,
    /// The missing ones lie at the end alone.
    is_short: bool,
    /// The highest event so far.
    highest: Seq,
}

impl RelayReport {
    /// Whether a subscriber that reads the stream from its beginning reads the log, each event once.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.repeated == 0 && self.foreign == 0
    }

    /// The repair; `None` where nothing is to be done.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            report if report.is_sound() => None,
            Self { repeated: 0, foreign: 0, is_short: true, last: Some(last), .. } => Some(Remedy::PublishOn(*last)),
            _ => Some(Remedy::Refill),
        }
    }

    fn message(&mut self, stored: &StoredMessage, account: AccountId, log: &HashMap<Seq, Logged>) {
        self.messages += 1;
        let Some(event) = stored.identity.filter(|event| is_logged(account, event, log)) else {
            self.foreign += 1;
            if self.foreign_at.len() < NAMED {
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
            self.lacks(self.highest, event.seq);
        }
        self.highest = event.seq;
        self.last = Some(event.seq);
    }

    /// Nothing between two positions is there.
    fn lacks(&mut self, after: Seq, before: Seq) {
        let missing = before.since(after.next());
        self.missing += missing;
        if missing > 0 && self.holes.len() < NAMED {
            self.holes.push((after.next(), Seq(before.0 - 1)));
        }
    }
}

/// The repair that an unsound account needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Events at the end are missing: publishing goes on behind this one.
    PublishOn(Seq),
    /// A hole cannot be filled in place: the account's messages are taken out and published again, in order.
    Refill,
}

/// Compares; changes nothing.
pub async fn verify(
    store: &Store,
    broker: &Broker,
    stream: StreamFacts,
    account: AccountId,
) -> anyhow::Result<RelayReport> {
    let mut report = RelayReport::default();
    let mut scan = broker.scan(account).await?;
    loop {
        let messages = scan.next(AT_ONCE).await?;
        if messages.is_empty() {
            break;
        }
        let seqs: Vec<Seq> = messages.iter().filter_map(|message| Some(message.identity?.seq)).collect();
        let log = store.identities(account, &seqs, stream.max_age).await?;
        for message in &messages {
            report.message(message, account, &log);
        }
    }
    let (between, cursor) = (report.missing, store.relayed_through(account).await?);
    let retained = store.retained_after(account, stream.max_age).await?;
    let first = report.first.unwrap_or_else(|| cursor.next());
    if retained.next() < first {
        report.lacks(retained, first.min(cursor.next()));
    }
    let before_end = report.missing;
    if let Some(last) = report.last {
        report.lacks(last, cursor.next());
    }
    report.is_short = between == 0 && before_end == 0 && report.last.is_some();
    Ok(report)
}

/// Asks the owner of the account's shard to carry a remedy out.
pub async fn request(store: &Store, account: AccountId, remedy: Remedy) -> anyhow::Result<()> {
    match remedy {
        Remedy::PublishOn(after) => {
            store.put_relay_back(account, after).await?;
        }
        Remedy::Refill => {
            let id: Uuid = clock::fresh_uid().0;
            store.request_relay_repair(account, Repair::Refill, id).await?;
        }
    }
    Ok(())
}
