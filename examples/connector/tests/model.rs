//! A model of the service in memory: the rules of sync, and nothing else. Its switches break rules that the real service
//! has no switch for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::{ListPage, Lookup, Op, OpResult, Page};
use super::world::{Delivery, Service};

/// The origin of a deleted record's values.
const NOBODY: &str = "nobody";

/// A rule of the service that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// An unchanged write makes an event.
    NoOpSuppression,
    /// A field is in conflict when the *record* was changed after the base.
    FieldBase,
    /// Positions come from a sequence: an event may become visible after a later one.
    CommitOrder,
    /// An overwritten value is not logged.
    ConflictLog,
    /// An operation is executed as often as it arrives.
    Idempotency,
    /// A deletion does not look at its base.
    DeleteBase,
    /// Neither a reference nor a field to match on finds a record, and two records may have one email address.
    References,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    fields: BTreeMap<String, Value>,
    field_seq: BTreeMap<String, u64>,
    field_origin: BTreeMap<String, String>,
    refs: Vec<(String, String)>,
    version: u64,
    is_deleted: bool,
    merged_into: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Value>,
    /// The number of reads after which an event is visible, for `CommitOrder`.
    hidden: BTreeMap<u64, u64>,
    records: BTreeMap<String, Stored>,
    results: BTreeMap<(String, String), Value>,
    next_uid: u64,
}

/// The model.
#[derive(Debug)]
pub(super) struct Model {
    state: RefCell<State>,
    broken: Option<Broken>,
    policies: BTreeMap<String, String>,
}

/// The change of one record by one origin.
struct Write<'a> {
    origin: &'a str,
    op_id: &'a str,
}

impl Model {
    pub(super) fn new(broken: Option<Broken>, policies: &[(&str, &str)]) -> Self {
        let policies = policies.iter().map(|(field, policy)| ((*field).to_owned(), (*policy).to_owned())).collect();
        Self { state: RefCell::default(), broken, policies }
    }

    fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    fn execute(&self, origin: &str, op: &Op) -> Value {
        let known = (origin.to_owned(), op.op_id.clone());
        if let Some(result) = self.state.borrow().results.get(&known).filter(|_| !self.is_broken(Broken::Idempotency)) {
            return result.clone();
        }
        let state = &mut *self.state.borrow_mut();
        let write = Write { origin, op_id: &op.op_id };
        let mut result = match op.op.as_str() {
            "upsert" | "update" => self.upsert(state, &write, op),
            "delete" => self.delete(state, &write, op),
            "restore" => self.restore(state, &write, op),
            "merge" => self.merge(state, &write, op),
            other => panic!("no such operation: {other}"),
        };
        result["op_id"] = json!(op.op_id);
        state.results.insert(known, result.clone());
        result
    }

    fn find(&self, state: &State, origin: &str, op: &Op) -> Option<String> {
        if op.uid.is_some() {
            return op.uid.clone();
        }
        if let Some(reference) = op.reference.as_ref().filter(|_| !self.is_broken(Broken::References)) {
            let wanted = (origin.to_owned(), reference.id.clone());
            if let Some((uid, _)) = state.records.iter().find(|(_, record)| record.refs.contains(&wanted)) {
                return Some(uid.clone());
            }
        }
        let is_match = |record: &Stored| {
            let values = op.match_on.iter().filter_map(|name| op.set.get(name));
            let mut values = values.map(canonical);
            !self.is_broken(Broken::References)
                && !record.is_deleted
                && values.any(|value| record.fields.get("email") == Some(&value))
        };
        state.records.iter().find(|(_, record)| is_match(record)).map(|(uid, _)| uid.clone())
    }

    fn upsert(&self, state: &mut State, write: &Write<'_>, op: &Op) -> Value {
        let Some(uid) = self.find(state, write.origin, op) else {
            if op.op == "update" {
                return json!({"status": 404});
            }
            return self.create(state, write, op);
        };
        let Some(record) = state.records.get(&uid).cloned() else { return json!({"status": 404}) };
        let unset = op.unset.iter().map(|name| (name.clone(), Value::Null));
        let wanted =
            op.set.iter().filter(|(name, _)| *name != "role").map(|(name, value)| (name.clone(), canonical(value)));
        let mut changes: BTreeMap<String, Value> = wanted.chain(unset).collect();
        if !self.is_broken(Broken::NoOpSuppression) {
            changes.retain(|name, value| record.fields.get(name).unwrap_or(&Value::Null) != value);
        }
        if record.is_deleted {
            for (field, value) in &changes {
                self.lose(state, write, &uid, field, op.base, (value, write.origin), (&Value::Null, NOBODY));
            }
            return gone(&uid, &record);
        }
        if let Some(reference) = &op.reference {
            let wanted = (write.origin.to_owned(), reference.id.clone());
            if state.records.iter().any(|(other, record)| *other != uid && record.refs.contains(&wanted)) {
                return json!({"status": 422, "problem": {"errors": [{"pointer": "#/ref"}]}});
            }
        }
        let mut rejected = Vec::new();
        for (field, value) in changes.clone() {
            let position = if self.is_broken(Broken::FieldBase) {
                Some(record.version)
            } else {
                record.field_seq.get(&field).copied()
            };
            let other = record.field_origin.get(&field).cloned().unwrap_or_default();
            let is_later = op.base.zip(position).is_some_and(|(base, position)| position > base);
            let is_foreign = other != write.origin || self.is_broken(Broken::FieldBase);
            let theirs = record.fields.get(&field).cloned().unwrap_or(Value::Null);
            if !is_later || !is_foreign || theirs == value {
                continue;
            }
            if self.policies.get(&field).is_some_and(|policy| policy != "incoming_wins") {
                self.lose(state, write, &uid, &field, op.base, (&value, write.origin), (&theirs, &other));
                changes.remove(&field);
                rejected.push(field);
            } else {
                self.lose(state, write, &uid, &field, op.base, (&theirs, &other), (&value, write.origin));
            }
        }
        let reference = op.reference.as_ref().map(|reference| (write.origin.to_owned(), reference.id.clone()));
        let reference = reference.filter(|reference| !record.refs.contains(reference));
        if !changes.is_empty() || reference.is_some() {
            let references = reference.into_iter().collect();
            self.append(state, write, &uid, "updated", changes, references);
        }
        let is_refused = rejected.iter().any(|field| self.policies.get(field).is_some_and(|policy| policy == "reject"));
        let record = shown(&uid, &state.records[&uid]);
        json!({"status": if is_refused { 409 } else { 200 }, "seq": record["version"], "uid": uid, "rejected": rejected,
            "record": record})
    }

    fn create(&self, state: &mut State, write: &Write<'_>, op: &Op) -> Value {
        let email = op.set.get("email").map(canonical);
        let has_email = |record: &Stored| !record.is_deleted && record.fields.get("email") == email.as_ref();
        let is_taken = email.is_some() && state.records.values().any(has_email);
        if is_taken && !self.is_broken(Broken::References) {
            return json!({"status": 422, "problem": {"errors": [{"pointer": "#/set/email"}]}});
        }
        state.next_uid += 1;
        let uid = format!("uid-{:04}", state.next_uid);
        let changes = op.set.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
        let references = op.reference.iter().map(|reference| (write.origin.to_owned(), reference.id.clone())).collect();
        self.append(state, write, &uid, "created", changes, references);
        json!({"status": 201, "uid": uid, "seq": state.records[&uid].version, "record": shown(&uid, &state.records[&uid])})
    }

    fn delete(&self, state: &mut State, write: &Write<'_>, op: &Op) -> Value {
        let uid = op.uid.clone().unwrap();
        let Some(record) = state.records.get(&uid).cloned() else { return json!({"status": 404}) };
        if record.is_deleted {
            return json!({"status": 200, "uid": uid, "seq": record.version, "record": null});
        }
        let is_foreign = |field: &String| record.field_origin.get(field).is_some_and(|origin| origin != write.origin);
        let mut positions = record.field_seq.iter();
        let is_stale = positions.any(|(field, seq)| is_foreign(field) && op.base.is_some_and(|base| *seq > base));
        if is_stale && !self.is_broken(Broken::DeleteBase) {
            return json!({"status": 409, "uid": uid, "seq": record.version, "record": shown(&uid, &record)});
        }
        self.append(state, write, &uid, "deleted", BTreeMap::new(), Vec::new());
        json!({"status": 200, "uid": uid, "seq": state.records[&uid].version, "record": null})
    }

    fn restore(&self, state: &mut State, write: &Write<'_>, op: &Op) -> Value {
        let uid = op.uid.clone().unwrap();
        let Some(record) = state.records.get(&uid).cloned() else { return json!({"status": 404}) };
        if record.merged_into.is_some() {
            return gone(&uid, &record);
        }
        let email = record.fields.get("email");
        if record.is_deleted
            && state.records.values().any(|other| !other.is_deleted && other.fields.get("email") == email)
        {
            return json!({"status": 409, "uid": uid, "problem": {"status": 409}});
        }
        if record.is_deleted {
            self.append(state, write, &uid, "restored", BTreeMap::new(), Vec::new());
        }
        json!({"status": 200, "uid": uid, "seq": state.records[&uid].version, "record": shown(&uid, &state.records[&uid])})
    }

    fn merge(&self, state: &mut State, write: &Write<'_>, op: &Op) -> Value {
        let (into, from) = (op.into.clone().unwrap(), op.from[0].clone());
        let (Some(survivor), Some(merged)) = (state.records.get(&into).cloned(), state.records.get(&from).cloned())
        else {
            return json!({"status": 404});
        };
        for (uid, record) in [(&into, &survivor), (&from, &merged)] {
            if record.is_deleted && record.merged_into.as_ref() != Some(&into) {
                return gone(uid, record);
            }
        }
        if !merged.is_deleted {
            state.records.get_mut(&from).unwrap().merged_into = Some(into.clone());
            let references = std::mem::take(&mut state.records.get_mut(&from).unwrap().refs);
            self.append(state, write, &from, "merged", BTreeMap::new(), Vec::new());
            let lacks = |name: &String| survivor.fields.get(name).is_none_or(Value::is_null);
            let missing = merged.fields.iter().filter(|(name, value)| !value.is_null() && lacks(name));
            let missing = missing.map(|(name, value)| (name.clone(), value.clone())).collect();
            self.append(state, write, &into, "updated", missing, references);
        }
        let record = shown(&into, &state.records[&into]);
        json!({"status": 200, "uid": into, "seq": record["version"], "record": record})
    }

    /// Appends an event, and changes the record accordingly.
    fn append(
        &self,
        state: &mut State,
        write: &Write<'_>,
        uid: &str,
        happened: &str,
        changes: BTreeMap<String, Value>,
        references: Vec<(String, String)>,
    ) {
        let seq = u64::try_from(state.log.len()).unwrap() + 1;
        let record = state.records.entry(uid.to_owned()).or_default();
        let previous = (record.version > 0).then_some(record.version);
        record.version = seq;
        record.is_deleted = match happened {
            "deleted" | "merged" => true,
            "restored" => false,
            _ => record.is_deleted,
        };
        record.refs.extend(references);
        let mut changed = Map::new();
        for (name, value) in changes {
            let from = record.fields.insert(name.clone(), value.clone()).unwrap_or(Value::Null);
            record.field_seq.insert(name.clone(), seq);
            record.field_origin.insert(name.clone(), write.origin.to_owned());
            changed.insert(name, json!({"from": from, "to": value}));
        }
        let event = json!({"type": format!("crm.contact.{happened}"), "origin": write.origin, "causationid": write.op_id,
            "data": {"seq": seq, "previous_version": previous, "changed": changed, "record": shown(uid, record)}});
        state.log.push(event);
        if self.is_broken(Broken::CommitOrder) && seq.is_multiple_of(3) {
            state.hidden.insert(seq, 2);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a conflict")]
    fn lose(
        &self,
        state: &mut State,
        write: &Write<'_>,
        uid: &str,
        field: &str,
        base: Option<u64>,
        lost: (&Value, &str),
        kept: (&Value, &str),
    ) {
        if self.is_broken(Broken::ConflictLog) {
            return;
        }
        let seq = state.log.len() + 1;
        let event = json!({"type": "crm.conflict.opened", "origin": write.origin, "data": {"seq": seq, "changed": {},
            "record": {"uid": format!("{uid}/{field}/{}", lost.1), "version": seq, "entity": "contact", "record": uid,
                "field": field, "lost": {field: lost.0}, "lost_origin": lost.1, "kept": {field: kept.0}, "kept_origin": kept.1,
                "reason": if kept.1 == NOBODY { "deleted" } else { "concurrent" }, "base": base}}});
        state.log.push(event);
    }
}

fn canonical(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| json!(text.trim()))
}

fn gone(uid: &str, record: &Stored) -> Value {
    json!({"status": 410, "uid": uid, "record": null,
        "problem": {"status": 410, "deleted_seq": record.version, "merged_into": record.merged_into}})
}

fn shown(uid: &str, record: &Stored) -> Value {
    let mut shown = Map::from_iter(record.fields.clone());
    let refs: Vec<Value> = record.refs.iter().map(|(source, id)| json!({"source": source, "id": id})).collect();
    shown.extend([
        ("uid".to_owned(), json!(uid)),
        ("version".to_owned(), json!(record.version)),
        ("deleted".to_owned(), json!(record.is_deleted)),
        ("refs".to_owned(), json!(refs)),
    ]);
    Value::Object(shown)
}

impl Service for Model {
    async fn batch(&self, origin: usize, ops: &[Op], delivery: Delivery) -> Option<Vec<OpResult>> {
        if delivery == Delivery::LostRequest {
            return None;
        }
        let origin = format!("partner-{origin}");
        // The message is what counts: a round trip through JSON, as on the wire.
        let results: Vec<Value> = ops.iter().map(|op| self.execute(&origin, op)).collect();
        (delivery == Delivery::Normal).then(|| serde_json::from_value(json!(results)).unwrap())
    }

    async fn changes(&self, _: usize, after: Option<&str>, limit: usize) -> Page {
        let mut state = self.state.borrow_mut();
        let from: usize = after.map_or(0, |after| after.parse().unwrap());
        let through = state.log.len().min(from + limit);
        let hidden: BTreeSet<u64> = state.hidden.keys().copied().collect();
        state.hidden.retain(|_, reads| {
            *reads -= 1;
            *reads > 0
        });
        let is_visible = |event: &&Value| !hidden.contains(&event["data"]["seq"].as_u64().unwrap());
        let events: Vec<&Value> = state.log[from..through].iter().filter(is_visible).collect();
        let has_more = through < state.log.len();
        let meta =
            json!({"cursor": through.to_string(), "from_seq": from, "through_seq": through, "has_more": has_more});
        serde_json::from_value(json!({"data": events, "meta": meta})).unwrap()
    }

    async fn list(&self, _: usize, after: Option<String>) -> (ListPage, Option<String>) {
        const SIZE: usize = 3;
        let state = self.state.borrow();
        let live = state
            .records
            .iter()
            .filter(|(uid, record)| !record.is_deleted && after.as_ref().is_none_or(|after| *uid > after));
        let page: Vec<_> = live.take(SIZE + 1).collect();
        let next = page.get(SIZE).and_then(|_| page.get(SIZE - 1)).map(|(uid, _)| (*uid).clone());
        let records = page.iter().take(SIZE).map(|(uid, record)| shown(uid, record)).collect();
        (ListPage { records, as_of: state.log.len().to_string(), is_last: next.is_none() }, next)
    }

    async fn lookup(&self, _: usize, uid: &str) -> Lookup {
        match self.state.borrow().records.get(uid) {
            None => Lookup::Unknown,
            Some(record) if record.is_deleted => Lookup::Gone,
            Some(record) => Lookup::Live(shown(uid, record)),
        }
    }

    async fn log(&self) -> Vec<Value> {
        self.state.borrow().log.clone()
    }

    async fn newest(&self, count: usize) -> (usize, Vec<Value>) {
        let log = &self.state.borrow().log;
        (log.len(), log[log.len().saturating_sub(count)..].to_vec())
    }
}
