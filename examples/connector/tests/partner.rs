//! One partner: another system, the saved state of its connector, and the connector's rounds with their crashes.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Apply, Connector, Cursor, Event, Field, Kind, Op, OpResult, Page, Values};
use super::random::Random;
use super::world::{Delivery, Service};

pub(super) const ENTITY: &str = "contact";

/// The fields that partners synchronise.
const FIELDS: [&str; 7] = ["first_name", "last_name", "email", "title", "background_info", "home_phone", "shop_phone"];

pub(super) fn kind() -> Kind {
    Kind {
        entity: ENTITY.to_owned(),
        fields: FIELDS.map(str::to_owned).to_vec(),
        match_on: vec!["email".to_owned()],
        defaults: Values::from([("role".to_owned(), json!("Lead"))]),
    }
}

/// A rule of the recipe that a partner breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The base of an edit advances with every event.
    AdvanceBaseOfEdits,
    /// The base of every operation is the newest known position of the record.
    RecordBase,
    /// The returned record is not applied.
    IgnoreResults,
    /// An operation that is sent again gets a new id.
    NewOpIds,
    /// The cursor is saved before the state.
    CursorFirst,
    /// Changes of the other system are noted as applied, and saved, before they are executed.
    AppliedFirst,
    /// Own events are left out of the feed, although results are not applied.
    ExcludeOwn,
    /// Deletions are not executed.
    IgnoreDeletions,
    /// Deletions have no base.
    NoDeleteBase,
    /// The feed is read on from the newest event that was pushed.
    CursorFromHint,
    /// New records have neither a reference nor a field to match on.
    NoReference,
    /// The automation responds to every event, its own too, with a value that differs: no suppression ends that.
    WriteBack,
}

/// Every mutation with an invariant that it breaks.
pub(crate) const MUTATIONS: [(Mutation, &str); 12] = [
    (Mutation::AdvanceBaseOfEdits, "no silent loss"),
    (Mutation::RecordBase, "no silent loss"),
    (Mutation::IgnoreResults, "nothing is stuck"),
    (Mutation::NewOpIds, "one effect"),
    (Mutation::CursorFirst, "partners equal the service"),
    (Mutation::AppliedFirst, "no silent loss"),
    (Mutation::ExcludeOwn, "partners equal the service"),
    (Mutation::IgnoreDeletions, "partners equal the service"),
    (Mutation::NoDeleteBase, "no silent loss"),
    (Mutation::CursorFromHint, "partners equal the service"),
    (Mutation::NoReference, "nothing is stuck"),
    (Mutation::WriteBack, "quiescence"),
];

/// Points of a round at which a process can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    BeforeApply,
    WithinApply,
    BeforeSave,
    BeforeCursor,
    BeforeSend,
}

const CRASHES: [Crash; 5] =
    [Crash::BeforeApply, Crash::WithinApply, Crash::BeforeSave, Crash::BeforeCursor, Crash::BeforeSend];

/// The part of a round that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Scan,
    Pull,
    Push,
}

/// The faults of one step.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    pub(crate) random: &'a mut Random,
    /// None, in the rounds that end a run.
    pub(crate) are_on: bool,
    pub(crate) count: u64,
}

/// The round ended here: the process crashed, or another system refused a change.
#[derive(Debug)]
struct Ended;

pub(crate) struct Partner {
    number: usize,
    mutation: Option<Mutation>,
    /// The records of the other system, which survive a crash.
    pub(crate) store: BTreeMap<String, Values>,
    /// The records that its user merged into another one.
    pub(crate) merged: BTreeMap<String, String>,
    /// The saved machine and the saved cursor.
    saved: (String, String),
    /// The machine in memory; `None` after a crash.
    machine: Option<Connector>,
    phase: Phase,
    crash: Crash,
    sent: u64,
    /// The newest position that a pushed event had.
    hinted: u64,
    pub(crate) has_changed: bool,
}

impl Partner {
    pub(crate) fn new(number: usize, origin: &str, mutation: Option<Mutation>) -> Self {
        let machine = Connector::new(kind(), origin, &format!("{origin}-{number}"));
        let mut partner = Self {
            number,
            mutation,
            store: BTreeMap::new(),
            merged: BTreeMap::new(),
            saved: (String::new(), String::new()),
            machine: Some(machine),
            phase: Phase::Scan,
            crash: Crash::Never,
            sent: 0,
            hinted: 0,
            has_changed: false,
        };
        partner.save_state();
        partner.save_cursor();
        partner
    }

    fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    fn save_state(&mut self) {
        let machine = self.machine.as_ref().unwrap();
        self.saved.0 = serde_json::to_string(machine).unwrap();
    }

    fn save_cursor(&mut self) {
        let machine = self.machine.as_ref().unwrap();
        self.saved.1 = serde_json::to_string(&machine.cursor).unwrap();
    }

    fn load(&mut self) -> &mut Connector {
        let (state, cursor) = &self.saved;
        self.machine.get_or_insert_with(|| {
            let mut machine: Connector = serde_json::from_str(state).unwrap();
            let cursor: Cursor = serde_json::from_str(cursor).unwrap();
            machine.cursor = cursor;
            machine
        })
    }

    /// The machine, for inspection.
    pub(crate) fn machine(&mut self) -> &Connector {
        self.load()
    }

    pub(crate) fn is_at_beginning(&self) -> bool {
        self.phase == Phase::Scan
    }

    /// Executes the next part of the round. A crash or a refused change ends the round: the next one begins with what was
    /// saved.
    pub(super) async fn step(&mut self, service: &impl Service, hints: &[Event], faults: &mut Faults<'_>) {
        self.crash = Crash::Never;
        if faults.are_on && faults.random.chance(15) {
            self.crash = *faults.random.pick(&CRASHES).unwrap();
        }
        self.load();
        let ended = match self.phase {
            Phase::Scan => {
                self.scan();
                Ok(())
            }
            Phase::Pull => self.pull(service, hints, faults).await,
            Phase::Push => self.push(service, faults).await,
        };
        if ended.is_err() {
            faults.count += 1;
            self.machine = None;
            self.phase = Phase::Scan;
        }
    }

    fn crash_at(&self, crash: Crash) -> Result<(), Ended> {
        if self.crash == crash { Err(Ended) } else { Ok(()) }
    }

    fn scan(&mut self) {
        let store = self.store.clone();
        for (key, values) in &store {
            self.load().edited(key, values);
        }
        let is_gone = |key: &&String| !store.contains_key(*key);
        let gone: Vec<String> = self.load().records.keys().filter(is_gone).cloned().collect();
        for key in gone {
            match self.merged.get(&key).cloned() {
                Some(into) => self.load().merged(&key, &into),
                None => self.load().deleted(&key),
            }
        }
        self.phase = Phase::Pull;
    }

    async fn pull(&mut self, service: &impl Service, hints: &[Event], faults: &mut Faults<'_>) -> Result<(), Ended> {
        if self.load().is_listing() {
            return self.list(service).await;
        }
        for hint in hints {
            if let Some(hint) = self.filtered(hint) {
                self.load().hint(&hint);
            }
        }
        self.hinted = hints.iter().map(|event| event.data.seq).chain([self.hinted]).max().unwrap_or(0);
        let after = self.load().cursor.after.clone();
        let limit = 1 + faults.random.below(5);
        let mut page = service.changes(self.number, after.as_deref(), limit).await;
        self.filter(&mut page);
        self.load().pull(&page).map_err(|_| Ended)?;
        if self.has(Mutation::AdvanceBaseOfEdits) {
            let records = self.load().records.values_mut();
            let edits = records.flat_map(|record| record.fields.values_mut()).filter(|field| field.is_dirty());
            edits.for_each(|field: &mut Field| field.base_seq = field.latest_seq);
        }
        self.finish()?;
        if !page.meta.has_more {
            self.phase = Phase::Push;
        }
        Ok(())
    }

    /// Saves, then executes changes of the other system.
    fn finish(&mut self) -> Result<(), Ended> {
        if self.has(Mutation::CursorFirst) {
            self.save_cursor();
        }
        if self.has(Mutation::AppliedFirst) {
            let applied = self.load().changes();
            for change in &applied {
                self.load().applied(change);
            }
            self.save_state();
            self.save_cursor();
            self.crash_at(Crash::BeforeApply)?;
            return self.execute_all(applied);
        }
        self.crash_at(Crash::BeforeSave)?;
        self.save_state();
        self.crash_at(Crash::BeforeCursor)?;
        self.save_cursor();
        self.crash_at(Crash::BeforeApply)?;
        self.execute()
    }

    async fn list(&mut self, service: &impl Service) -> Result<(), Ended> {
        self.load().resync();
        let mut after = None;
        loop {
            let (page, next) = service.list(self.number, after).await;
            self.load().list(&page);
            self.finish()?;
            if page.is_last {
                break;
            }
            after = next;
        }
        for uid in self.load().unlisted() {
            let lookup = service.lookup(self.number, &uid).await;
            self.load().looked_up(&uid, &lookup);
        }
        self.finish()
    }

    /// The event, unless the mutation hides it.
    fn filtered(&self, event: &Event) -> Option<Event> {
        let is_deleted = event.data.record["deleted"] == json!(true);
        let is_hidden = self.has(Mutation::IgnoreDeletions) && is_deleted;
        (!is_hidden).then(|| event.clone())
    }

    fn filter(&self, page: &mut Page) {
        let own = self.machine.as_ref().unwrap().origin.clone();
        page.events.retain(|event| {
            let is_own = event.origin.as_deref() == Some(&own);
            let is_skipped = self.has(Mutation::CursorFromHint) && event.data.seq < self.hinted;
            self.filtered(event).is_some() && !(is_own && self.has(Mutation::ExcludeOwn)) && !is_skipped
        });
    }

    async fn push(&mut self, service: &impl Service, faults: &mut Faults<'_>) -> Result<(), Ended> {
        let limit = 1 + faults.random.below(4);
        let ops = self.load().push(limit);
        self.phase = Phase::Scan;
        if ops.is_empty() {
            return Ok(());
        }
        self.has_changed = true;
        self.save_state();
        self.crash_at(Crash::BeforeSend)?;
        let delivery = match faults.random.below(100) {
            0..12 if faults.are_on => Delivery::LostRequest,
            12..30 if faults.are_on => Delivery::LostResponse,
            _ => Delivery::Normal,
        };
        let sent = self.mutated(&ops);
        if faults.are_on && faults.random.chance(10) {
            // A proxy on the way repeats the request.
            faults.count += 1;
            let _repeated = service.batch(self.number, &sent, Delivery::LostResponse).await;
        }
        let Some(mut results) = service.batch(self.number, &sent, delivery).await else {
            faults.count += 1;
            return Ok(());
        };
        for (result, op) in results.iter_mut().zip(&ops) {
            result.op_id = Some(op.op_id.clone());
        }
        self.take(&results)
    }

    fn take(&mut self, results: &[OpResult]) -> Result<(), Ended> {
        let mut results = results.to_vec();
        if self.has(Mutation::IgnoreResults) || self.has(Mutation::ExcludeOwn) {
            for result in &mut results {
                result.record = None;
            }
        }
        self.load().results(&results);
        self.finish()
    }

    /// The operations as they are sent.
    fn mutated(&mut self, ops: &[Op]) -> Vec<Op> {
        let mut ops = ops.to_vec();
        for op in &mut ops {
            if self.has(Mutation::RecordBase) && op.op == "update" {
                let record = self
                    .machine
                    .as_ref()
                    .and_then(|machine| machine.records.values().find(|record| record.uid == op.uid));
                op.base = record.map(|record| record.version);
            }
            if self.has(Mutation::NewOpIds) {
                self.sent += 1;
                op.op_id = format!("{}-sent-{}", op.op_id, self.sent);
            }
            if self.has(Mutation::NoReference) {
                op.reference = None;
                op.match_on.clear();
            }
            if self.has(Mutation::NoDeleteBase) && op.op == "delete" {
                op.base = None;
            }
        }
        ops
    }

    /// Executes the changes of the other system, each only where its values are the expected ones.
    fn execute(&mut self) -> Result<(), Ended> {
        let changes = self.load().changes();
        self.execute_all(changes)
    }

    fn execute_all(&mut self, changes: Vec<Apply>) -> Result<(), Ended> {
        for change in changes {
            self.has_changed = true;
            if self.is_executed(&change) {
                self.load().applied(&change);
            }
            self.crash_at(Crash::WithinApply)?;
        }
        Ok(())
    }

    fn is_executed(&mut self, change: &Apply) -> bool {
        match change {
            Apply::Create { key, values } => {
                let is_free = self.store.get(key).is_none_or(|known| known == values);
                if is_free {
                    self.store.insert(key.clone(), values.clone());
                }
                is_free
            }
            Apply::Update { key, changes } => {
                let Some(record) = self.store.get_mut(key) else { return false };
                let is_expected = changes.iter().all(|(name, change)| record.get(name) == Some(&change.from));
                if is_expected {
                    record.extend(changes.iter().map(|(name, change)| (name.clone(), change.to.clone())));
                }
                is_expected
            }
            Apply::Delete { key, from } => {
                let is_expected = self.store.get(key).is_none_or(|known| known == from);
                if is_expected {
                    self.store.remove(key);
                }
                is_expected
            }
        }
    }
}
