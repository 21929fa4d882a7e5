//! What a batch knows of one account: what was loaded, and over it what the batch's own commands did so far.

use std::collections::{BTreeMap, HashMap};

use crate::contract::EncodedEvent;
use crate::contract::record::RecordJson;
use crate::domain::{AccountId, Decision, Entity, Event, Record, Seq, Timestamp, Uid, View};
use crate::projection;
use crate::store::batch::LockedHead;
use crate::store::lists::Live;
use crate::store::records::Row;

/// One account in one batch. A later command sees an earlier one's effects.
pub(super) struct WorkingSet {
    account: AccountId,
    epoch: i32,
    loaded_at: Seq,
    head: Seq,
    live: Live,
    records: HashMap<(Entity, Uid), Record>,
    keys: HashMap<Entity, HashMap<String, Uid>>,
    rows: BTreeMap<(Entity, Uid), Row>,
}

/// What goes with every event of a command.
pub(super) struct DecisionContext<'a> {
    pub(super) at: Timestamp,
    pub(super) origin: &'a str,
    pub(super) traceparent: Option<&'a str>,
}

impl View for WorkingSet {
    fn by_uid(&self, entity: Entity, uid: Uid) -> Option<&Record> {
        self.records.get(&(entity, uid))
    }

    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record> {
        let uid = self.keys.get(&entity)?.get(key)?;
        self.by_uid(entity, *uid)
    }
}

impl WorkingSet {
    pub(super) fn new(head: LockedHead) -> Self {
        Self {
            account: head.account,
            epoch: head.epoch,
            loaded_at: head.seq,
            head: head.seq,
            live: head.live,
            records: HashMap::new(),
            keys: HashMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Takes in a record as it was loaded or as it has become.
    pub(super) fn put(&mut self, record: Record) {
        let entity = record.entity;
        if let Some(key) = record.key() {
            self.keys.entry(entity).or_default().insert(key, record.uid);
        }
        self.records.insert((entity, record.uid), record);
    }

    /// The end of the account's log, where the batch moved it.
    pub(super) fn moved_head(&self) -> Option<LockedHead> {
        let moved = self.head > self.loaded_at;
        moved.then(|| LockedHead { account: self.account, seq: self.head, epoch: self.epoch, live: self.live.clone() })
    }

    /// One row per record that the batch changed.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.rows.into_values()
    }

    /// Makes the facts events, at the next positions of the log; returns the record that the command was about, as
    /// clients see it.
    pub(super) fn apply(
        &mut self,
        decision: Decision,
        context: &DecisionContext<'_>,
        events: &mut Vec<EncodedEvent>,
    ) -> (Seq, String) {
        let subject = decision.subject;
        let mut shown = None;
        for new_event in decision.new_events {
            self.head = self.head.next();
            let before = self.take(new_event.entity, new_event.uid);
            let previous_version = before.as_ref().map(|record| record.version);
            let was_live = before.as_ref().is_some_and(|record| !record.deleted);
            let event_type = new_event.event_type;
            let (record, changed) = Record::evolve(before, new_event, self.head, context.at);
            self.live.add(record.entity, i64::from(!record.deleted) - i64::from(was_live));
            let event = Event {
                epoch: self.epoch,
                seq: self.head,
                at: context.at,
                event_type,
                previous_version,
                changed,
                record,
                origin: context.origin.to_owned(),
                traceparent: context.traceparent.map(str::to_owned),
            };
            let text = self.append(event, events);
            if events.last().is_some_and(|event| (event.entity, event.uid) == subject) {
                shown = Some((self.head, text));
            }
        }
        shown.unwrap_or_else(|| self.unchanged(subject))
    }

    fn append(&mut self, event: Event, events: &mut Vec<EncodedEvent>) -> String {
        let (wire, range) = EncodedEvent::encode(self.account, &event);
        let text = wire.text().get(range).unwrap_or_default().to_owned();
        let key = (wire.entity, wire.uid);
        let row = projection::row(self.account, &event, &text);
        let row = match self.rows.remove(&key) {
            Some(earlier) => projection::fold(earlier, row),
            None => row,
        };
        self.rows.insert(key, row);
        events.push(wire);
        self.put(event.record);
        text
    }

    /// A record leaves with its lookup key, which it may not have again when it comes back.
    fn take(&mut self, entity: Entity, uid: Uid) -> Option<Record> {
        let record = self.records.remove(&(entity, uid))?;
        if let (Some(key), Some(keys)) = (record.key(), self.keys.get_mut(&entity)) {
            keys.remove(&key);
        }
        Some(record)
    }

    fn unchanged(&self, (entity, uid): (Entity, Uid)) -> (Seq, String) {
        match self.by_uid(entity, uid) {
            Some(record) => (record.version, serde_json::to_string(&RecordJson(record)).unwrap_or_default()),
            // `decide` names as its subject a record that it found.
            None => (Seq::ZERO, String::new()),
        }
    }
}
