//! The state of one account during a batch: the loaded records, changed by the commands that the batch decided so far.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::contract::EncodedEvent;
use crate::contract::event::EncodeError;
use crate::contract::record::RecordJson;
use crate::domain::reference::Ref;
use crate::domain::{AccountId, Decision, Entity, Event, Record, Seq, SyncPolicy, Timestamp, Uid, View};
use crate::projection;
use crate::store::batch::LockedHead;
use crate::store::live::Live;
use crate::store::row::Row;

/// One account in one batch. A later command sees an earlier one's effects.
#[derive(Clone)]
pub(super) struct WorkingSet {
    account: AccountId,
    epoch: i32,
    loaded_at: Seq,
    head: Seq,
    live: Live,
    records: HashMap<(Entity, Uid), Record>,
    keys: HashMap<Entity, HashMap<String, Uid>>,
    refs: HashMap<(Entity, Ref), Uid>,
    policy: SyncPolicy,
    rows: BTreeMap<(Entity, Uid), Row>,
    /// The uids and lookup keys for which a decision asked and no record is loaded.
    unloaded: RefCell<Unloaded>,
}

type Unloaded = (Vec<(Entity, Uid)>, Vec<(Entity, String)>);

/// A defect of this service that keeps a command from being executed. The working set is of no use after it, because the
/// command's events may be applied in part.
#[derive(Debug, thiserror::Error)]
pub(super) enum Defect {
    #[error(transparent)]
    Event(#[from] EncodeError),
    #[error("encoding a record for a reply failed")]
    Record(#[source] serde_json::Error),
    #[error("an envelope has no command")]
    NoCommand,
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
    pub(super) origin: &'a Arc<str>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) causation: Option<&'a str>,
    pub(super) correlation: Option<&'a str>,
}

impl View for WorkingSet {
    fn by_uid(&self, entity: Entity, uid: Uid) -> Option<&Record> {
        self.records.get(&(entity, uid))
    }

    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record> {
        let uid = self.keys.get(&entity)?.get(key)?;
        self.by_uid(entity, *uid)
    }

    fn by_ref(&self, entity: Entity, reference: &Ref) -> Option<&Record> {
        let find = |reference: Ref| self.refs.get(&(entity, reference)).copied();
        let uid = find(reference.clone()).or_else(|| find(reference.erased()))?;
        self.by_uid(entity, uid)
    }

    fn needed(&self, entity: Entity, uid: Uid) -> Option<&Record> {
        let record = self.by_uid(entity, uid);
        if record.is_none() {
            self.unloaded.borrow_mut().0.push((entity, uid));
        }
        record
    }

    fn needed_key(&self, entity: Entity, key: &str) -> Option<&Record> {
        let record = self.by_key(entity, key);
        if record.is_none() {
            self.unloaded.borrow_mut().1.push((entity, key.to_owned()));
        }
        record
    }

    fn policy(&self) -> &SyncPolicy {
        &self.policy
    }
}

impl WorkingSet {
    pub(super) fn new(head: LockedHead, policy: SyncPolicy) -> Self {
        Self {
            account: head.account,
            epoch: head.epoch,
            loaded_at: head.seq,
            head: head.seq,
            live: head.live,
            records: HashMap::new(),
            keys: HashMap::new(),
            refs: HashMap::new(),
            policy,
            rows: BTreeMap::new(),
            unloaded: RefCell::default(),
        }
    }

    /// The uids and lookup keys for which decisions asked and no record was loaded.
    pub(super) fn unloaded(&self) -> Unloaded {
        self.unloaded.borrow().clone()
    }

    /// Adds a record that was loaded, or replaces one that changed.
    pub(super) fn put(&mut self, record: Record) {
        let entity = record.entity;
        if let Some(key) = record.key() {
            self.keys.entry(entity).or_default().insert(key, record.uid);
        }
        for reference in &record.refs {
            self.refs.insert((entity, reference.clone()), record.uid);
        }
        self.records.insert((entity, record.uid), record);
    }

    /// Puts back the state before some commands. Records that they asked for are still to be loaded.
    pub(super) fn roll_back(&mut self, before: Self) {
        let unloaded = self.unloaded.take();
        *self = before;
        *self.unloaded.get_mut() = unloaded;
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
            let had_refs = before.as_ref().map(|record| record.refs.clone()).unwrap_or_default();
            let companies = before.as_ref().map(projection::companies_of).unwrap_or_default();
            let was_live = before.as_ref().is_some_and(|record| !record.deleted);
            let event_type = new_event.event_type;
            let (record, changed) = Record::evolve(before, new_event, self.head, context.at, context.origin);
            self.live.add(record.entity, i64::from(!record.deleted) - i64::from(was_live));
            let event = Event {
                epoch: self.epoch,
                seq: self.head,
                at: context.at,
                event_type,
                previous_version,
                changed,
                record,
                origin: Arc::clone(context.origin),
                traceparent: context.traceparent.map(str::to_owned),
                causation: context.causation.map(str::to_owned),
                correlation: context.correlation.map(str::to_owned),
            };
            let is_subject = (event.record.entity, event.record.uid) == subject;
            let text = self.append(event, &had_refs, &companies, events)?;
            if is_subject {
                changed_subject = Some((self.head, text));
            }
        }
        match changed_subject {
            Some(changed) => Ok(changed),
            None => self.unchanged(subject),
        }
    }

    /// Appends an event of a record that had these identifiers and belonged to these companies.
    fn append(
        &mut self,
        event: Event,
        had_refs: &[Ref],
        companies: &[Uid],
        events: &mut Vec<EncodedEvent>,
    ) -> Result<String, Defect> {
        let (encoded, text) = EncodedEvent::encode(self.account, &event)?;
        let key = (encoded.entity, encoded.uid);
        let mut row = projection::row(self.account, &event, &text, companies);
        if event.record.refs == had_refs {
            row.refs = None;
        }
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
