//! The state of one account during a batch: the loaded records, changed by the commands that the batch decided so far.

use std::collections::{BTreeMap, HashMap};

use crate::contract::EncodedEvent;
use crate::contract::event::EncodeError;
use crate::contract::record::RecordJson;
use crate::domain::{AccountId, Decision, Entity, Event, Record, Seq, Timestamp, Uid, View};
use crate::projection;
use crate::store::batch::LockedHead;
use crate::store::live::Live;
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

/// A defect of this service that keeps a command from being executed. The working set is of no use after it, because the
/// command's events may be applied in part.
#[derive(Debug, thiserror::Error)]
pub(super) enum Defect {
    #[error(transparent)]
    Event(#[from] EncodeError),
    #[error("encoding a record for a reply failed")]
    Record(#[source] serde_json::Error),
    #[error("the subject of a decision is not in the working set: {} {uid}", entity.name())]
    NoSubject { entity: Entity, uid: Uid },
}

impl Defect {
    /// The error with its source, for the log.
    pub(super) fn report(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// The attributes that every event of a command has.
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

    /// Adds a record that was loaded, or replaces one that changed.
    pub(super) fn put(&mut self, record: Record) {
        let entity = record.entity;
        if let Some(key) = record.key() {
            self.keys.entry(entity).or_default().insert(key, record.uid);
        }
        self.records.insert((entity, record.uid), record);
    }

    /// The end of the account's log, where the batch appended to it.
    pub(super) fn moved_head(&self) -> Option<LockedHead> {
        let moved = self.head > self.loaded_at;
        moved.then(|| LockedHead { account: self.account, seq: self.head, epoch: self.epoch, live: self.live.clone() })
    }

    /// One row per record that the batch changed.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.rows.into_values()
    }

    /// Gives the new events of a decision the next positions of the log and applies them. Returns the version and the JSON
    /// of the decision's subject.
    pub(super) fn apply(
        &mut self,
        decision: Decision,
        context: &DecisionContext<'_>,
        events: &mut Vec<EncodedEvent>,
    ) -> Result<(Seq, String), Defect> {
        let subject = decision.subject;
        let mut changed_subject = None;
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
            let is_subject = (event.record.entity, event.record.uid) == subject;
            let text = self.append(event, events)?;
            if is_subject {
                changed_subject = Some((self.head, text));
            }
        }
        match changed_subject {
            Some(changed) => Ok(changed),
            None => self.unchanged(subject),
        }
    }

    fn append(&mut self, event: Event, events: &mut Vec<EncodedEvent>) -> Result<String, Defect> {
        let (encoded, text) = EncodedEvent::encode(self.account, &event)?;
        let key = (encoded.entity, encoded.uid);
        let row = projection::row(self.account, &event, &text);
        let row = match self.rows.remove(&key) {
            Some(earlier) => projection::merge(earlier, row),
            None => row,
        };
        self.rows.insert(key, row);
        events.push(encoded);
        self.put(event.record);
        Ok(text)
    }

    /// Removes a record and its lookup key. [`Self::put`] adds it with the key that it has then.
    fn take(&mut self, entity: Entity, uid: Uid) -> Option<Record> {
        let record = self.records.remove(&(entity, uid))?;
        if let (Some(key), Some(keys)) = (record.key(), self.keys.get_mut(&entity)) {
            keys.remove(&key);
        }
        Some(record)
    }

    fn unchanged(&self, (entity, uid): (Entity, Uid)) -> Result<(Seq, String), Defect> {
        let record = self.by_uid(entity, uid).ok_or(Defect::NoSubject { entity, uid })?;
        let text = serde_json::to_string(&RecordJson(record)).map_err(Defect::Record)?;
        Ok((record.version, text))
    }
}
