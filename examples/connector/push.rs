//! From the other system to the service: operations and their results.

use serde_json::Value;

use super::Connector;
use super::messages::{Op, OpResult, Reference, Snapshot, Values};
use super::record::{InFlight, Presence, Record, ReferenceState};

impl Connector {
    /// The operations to send, at the limit of a request: first those without a result, unchanged, then new ones.
    ///
    /// Save the machine before sending them. An operation that was sent and not saved would get another id after a crash,
    /// and the service would execute it twice.
    pub fn push(&mut self, limit: usize) -> Vec<Op> {
        // Deletions come first, because a new record may have the email address of a deleted one.
        let (removed, others): (Vec<_>, Vec<_>) = self.records.iter().partition(|(_, record)| record.is_deleted_here());
        let in_order = || removed.iter().chain(&others);
        let in_flight = in_order().filter_map(|(_, record)| record.in_flight.as_ref());
        let mut ops: Vec<Op> = in_flight.map(|sent| sent.op.clone()).take(limit).collect();
        let keys: Vec<String> = in_order().map(|(key, _)| (*key).clone()).collect();
        for key in keys {
            if ops.len() >= limit {
                break;
            }
            let Some(mut sent) = self.next_for(&key) else { continue };
            sent.op.op_id = format!("{}-{}", self.instance, self.next_op);
            sent.op.entity.clone_from(&self.kind.entity);
            self.next_op += 1;
            ops.push(sent.op.clone());
            if let Some(record) = self.records.get_mut(&key) {
                record.in_flight = Some(sent);
            }
        }
        ops
    }

    fn next_for(&self, key: &str) -> Option<InFlight> {
        let record = self.records.get(key)?;
        if record.in_flight.is_some() || record.refused.is_some() {
            return None;
        }
        let bare = |op: Op| Some(InFlight { op, values: Values::new() });
        match (&record.presence, &record.uid) {
            (Presence::Deleted { .. }, None) | (Presence::Missing, _) => None,
            (Presence::Deleted { base, into }, Some(uid)) => bare(self.removal(uid, *base, into.as_deref())?),
            (Presence::Both, Some(uid)) if record.needs_restore => {
                bare(Op { op: "restore".into(), uid: Some(uid.clone()), ..Op::default() })
            }
            (Presence::Both | Presence::Obsolete, Some(uid)) => update(key, record, uid),
            (Presence::Both | Presence::Obsolete, None) => Some(self.creation(key, record)),
        }
    }

    /// Deletes a record or merges it. A merge waits until the service has the record that continues.
    fn removal(&self, uid: &str, base: u64, into: Option<&str>) -> Option<Op> {
        let continues = into.and_then(|key| self.records.get(key));
        match continues {
            Some(Record { presence: Presence::Both, uid: Some(into), .. }) if into != uid => {
                Some(Op { op: "merge".into(), into: Some(into.clone()), from: vec![uid.to_owned()], ..Op::default() })
            }
            Some(Record { presence: Presence::Both, uid: None, refused: None, .. }) => None,
            _ => Some(Op { op: "delete".into(), uid: Some(uid.to_owned()), base: Some(base), ..Op::default() }),
        }
    }

    /// Creates a record, or links it to the one that has the reference or matches. The base is the beginning of the log,
    /// because the user has seen nothing of a record that exists already: what differs is a conflict.
    fn creation(&self, key: &str, record: &Record) -> InFlight {
        let values: Values = record.values().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let mut set = self.kind.defaults.clone();
        set.extend(values.clone());
        let op = Op {
            op: "upsert".into(),
            reference: (record.reference != ReferenceState::Unusable).then(|| Reference { id: key.to_owned() }),
            match_on: self.kind.match_on.iter().filter(|name| set.contains_key(*name)).cloned().collect(),
            base: Some(0),
            set,
            ..Op::default()
        };
        InFlight { op, values }
    }

    /// Takes the results of operations. An operation whose result says "later" (424, 429, 5xx), or that has none, stays in
    /// flight and is sent again. So does a creation that led to a record whose deletion has no result yet.
    pub fn results(&mut self, results: &[OpResult]) {
        for result in results {
            let is_of = |record: &Record| {
                record.in_flight.as_ref().is_some_and(|sent| Some(&sent.op.op_id) == result.op_id.as_ref())
            };
            let key = self.records.iter().find(|(_, record)| is_of(record)).map(|(key, _)| key.clone());
            if let Some(key) = key {
                self.result(&key, result);
            }
        }
    }

    fn result(&mut self, key: &str, result: &OpResult) {
        let Some(op) = self.records.get(key).and_then(|record| record.in_flight.as_ref()).map(|sent| sent.op.clone())
        else {
            return;
        };
        let is_removal = matches!(op.op.as_str(), "delete" | "merge");
        match result.status {
            424 | 429 | 500.. => {}
            200 | 201 if is_removal => self.removed(key, &op, result),
            _ if op.op == "merge" => self.delete_instead(key),
            404 | 410 if is_removal => self.removed(key, &op, result),
            409 if is_removal => self.revive(key, result),
            404 | 409 | 410 | 422 if op.op == "restore" => self.create_anew(key),
            200 | 201 => self.executed(key, result),
            409 if result.record.is_some() => self.executed(key, result),
            404 if op.uid.is_some() => self.unknown(key, &op.uid.unwrap_or_default()),
            410 => self.refused_by_tombstone(key, result),
            422 if op.uid.is_some() && is_about_reference(result) => self.keep_without_reference(key),
            _ => self.refuse(key, result),
        }
    }

    /// An upsert, an update or a restore was executed, though perhaps without some fields.
    fn executed(&mut self, key: &str, result: &OpResult) {
        let snapshot = result.record.as_ref().and_then(Snapshot::read).filter(|snapshot| !snapshot.is_deleted);
        let uid = result.uid.as_deref().or_else(|| snapshot.as_ref().map(|snapshot| snapshot.uid));
        let is_new = self.records.get(key).is_some_and(|record| record.uid.is_none());
        if let Some(uid) = uid.filter(|_| is_new) {
            let deleted = self.tombstones.get(uid);
            if snapshot.as_ref().zip(deleted).is_some_and(|(snapshot, deleted)| snapshot.version <= *deleted) {
                return self.send_anew(key);
            }
            match self.keys.get(uid).map(|other| (other.clone(), self.is_being_deleted(other))) {
                // The user deleted that record and created this one. Whether the two are one is known after the deletion.
                Some((_, true)) => return,
                Some((other, false)) => self.join(key, &other, uid),
                None => self.bind(key, uid),
            }
        }
        let Some(record) = self.records.get_mut(key).filter(|record| record.in_flight.is_some()) else { return };
        record.needs_restore = false;
        if record.reference == ReferenceState::Missing {
            record.reference = ReferenceState::Settled;
        }
        record.resolve(snapshot.as_ref(), &result.rejected);
    }

    fn is_being_deleted(&self, key: &str) -> bool {
        self.records.get(key).is_some_and(|record| record.is_deleted_here() && record.in_flight.is_some())
    }

    /// The record that a creation led to was deleted afterwards.
    fn send_anew(&mut self, key: &str) {
        match self.records.get_mut(key) {
            Some(record) if record.is_here() => record.in_flight = None,
            _ => self.remove(key),
        }
    }

    /// The service linked a new record to one that the other system has under another key. One of the two is left. The
    /// other one may know later events than the result of the creation.
    fn join(&mut self, key: &str, other: &str, uid: &str) {
        let deleted = self.records.get(other).filter(|other| other.is_deleted_here()).cloned();
        let Some(record) = self.records.get_mut(key) else { return };
        if let Some(deleted) = deleted.filter(|_| record.is_here()) {
            record.continue_from(&deleted);
            self.records.remove(other);
            self.bind(key, uid);
        } else if record.is_here() {
            record.uid = Some(uid.to_owned());
            record.presence = Presence::Obsolete;
        } else {
            self.remove(key);
        }
    }

    /// The service deleted or merged the record, or had deleted it before.
    fn removed(&mut self, key: &str, op: &Op, result: &OpResult) {
        let uid = op.uid.clone().or_else(|| op.from.first().cloned()).unwrap_or_default();
        let Some(record) = self.records.get_mut(key) else { return };
        if result.seq.is_some_and(|seq| seq < record.version) && op.op == "delete" {
            // The result was late: the record was restored after it.
            return self.revive(key, result);
        }
        let seq = result.seq.unwrap_or(0).max(record.version);
        record.forget_service();
        // A record that came back in the meantime is a new one.
        if record.is_here() {
            record.presence = Presence::Both;
        } else {
            self.records.remove(key);
        }
        // The uid may be bound to a new record by now, which takes the deleted one's name.
        if self.keys.get(&uid).is_some_and(|bound| bound == key) {
            self.keys.remove(&uid);
        }
        self.tombstones.insert(uid, seq);
        if let Some(survivor) = result.record.as_ref().and_then(Snapshot::read).filter(|_| op.op == "merge") {
            self.take(&survivor, false);
        }
    }

    /// A merge was refused, because the record that would continue is gone for example. The other system has merged, so the
    /// record is deleted.
    fn delete_instead(&mut self, key: &str) {
        let Some(record) = self.records.get_mut(key) else { return };
        record.in_flight = None;
        if let Presence::Deleted { into, .. } = &mut record.presence {
            *into = None;
        }
    }

    /// The service does not know the record.
    fn unknown(&mut self, key: &str, uid: &str) {
        if self.key_of(uid) == Some(key) {
            self.lost(uid);
        } else if let Some(record) = self.records.get_mut(key) {
            record.drop_sent();
        }
    }

    /// Another origin changed the record after the deletion's base: its change is kept, and the record comes back.
    fn revive(&mut self, key: &str, result: &OpResult) {
        let Some(record) = self.records.get_mut(key) else { return };
        record.in_flight = None;
        let deleted = record.uid.as_ref().and_then(|uid| self.tombstones.get(uid));
        let snapshot = result.record.as_ref().and_then(Snapshot::read);
        match snapshot {
            // The result was late: the record was deleted after it.
            Some(snapshot) if deleted.is_some_and(|deleted| *deleted > snapshot.version) => return self.remove(key),
            None if deleted.is_some_and(|deleted| *deleted >= record.version) => return self.remove(key),
            Some(snapshot) => record.learn(&snapshot),
            None => {}
        }
        if !record.is_here() {
            record.presence = Presence::Missing;
            record.fields.values_mut().for_each(super::Field::adopt);
        }
    }

    /// The record of an operation is deleted in the service. The edits that were sent are in the conflict log; later ones
    /// are sent too, to get there. A new record, whose reference leads to a tombstone, is that record again: it is restored,
    /// then changed. Where the other system still has the deleted record under another key, the new one goes on without the
    /// reference.
    fn refused_by_tombstone(&mut self, key: &str, result: &OpResult) {
        let other = result.uid.as_ref().and_then(|uid| self.keys.get(uid)).filter(|other| *other != key);
        let other = other.and_then(|other| self.records.get(other));
        let is_there_too = other.is_some_and(|other| !other.is_deleted_here());
        let Some(record) = self.records.get_mut(key) else { return };
        let is_new = record.uid.is_none();
        match &result.uid {
            Some(_) if is_new && record.is_here() && is_there_too => self.keep_without_reference(key),
            Some(uid) if is_new && record.is_here() => {
                let uid = uid.clone();
                record.in_flight = None;
                record.needs_restore = true;
                self.bind(key, &uid);
            }
            _ if is_new => self.refuse(key, result),
            _ => {
                let uid = record.uid.clone().unwrap_or_default();
                record.drop_sent();
                let deleted = result.problem.as_ref().and_then(|problem| problem["deleted_seq"].as_u64());
                let seq = deleted.unwrap_or(record.version);
                if seq < record.version {
                    // The result was late: the record was restored after it.
                    return;
                }
                self.gone(&uid, seq, false);
            }
        }
    }

    /// A deleted record cannot be restored, because it was erased or merged, or because another one has its email address
    /// by now. The record becomes a new one, or the one that matches; its reference stays with the tombstone.
    fn create_anew(&mut self, key: &str) {
        let Some(record) = self.records.get_mut(key) else { return };
        if let Some(uid) = record.uid.clone() {
            self.keys.remove(&uid);
        }
        record.forget_service();
        record.reference = ReferenceState::Unusable;
        if !record.is_here() {
            self.records.remove(key);
        }
    }

    /// The reference leads to another record of the service, such as the tombstone of an earlier one.
    fn keep_without_reference(&mut self, key: &str) {
        let Some(record) = self.records.get_mut(key) else { return };
        record.in_flight = None;
        record.reference = ReferenceState::Unusable;
    }

    /// Keeps the edit, and sends it again after the next change of the record.
    fn refuse(&mut self, key: &str, result: &OpResult) {
        let Some(record) = self.records.get_mut(key) else { return };
        let status = || serde_json::json!({"status": result.status});
        record.refused = Some(result.problem.clone().filter(|problem| !Value::is_null(problem)).unwrap_or_else(status));
        record.in_flight = None;
        if record.uid.is_none() && !record.is_here() {
            self.remove(key);
        }
    }
}

/// Changes the fields that have edits. An operation has one base: fields whose edits have a newer one follow in the next
/// round. With the older base the service would log conflicts that the user knew of; with the newer one it would miss
/// some.
fn update(key: &str, record: &Record, uid: &str) -> Option<InFlight> {
    let dirty = || record.fields.iter().filter(|(_, field)| field.is_dirty());
    let base = dirty().map(|(_, field)| field.base_seq).min();
    if base.is_none() && record.reference != ReferenceState::Missing {
        return None;
    }
    let of_base = dirty().filter(|(_, field)| Some(field.base_seq) == base);
    let values: Values = of_base.map(|(name, field)| (name.clone(), field.local.clone())).collect();
    let (unset, set): (Vec<_>, Vec<_>) = values.clone().into_iter().partition(|(_, value)| value.is_null());
    let reference = (record.reference == ReferenceState::Missing).then(|| Reference { id: key.to_owned() });
    let op = Op {
        op: if reference.is_some() { "upsert" } else { "update" }.into(),
        uid: Some(uid.to_owned()),
        reference,
        base,
        set: set.into_iter().collect(),
        unset: unset.into_iter().map(|(name, _)| name).collect(),
        ..Op::default()
    };
    Some(InFlight { op, values })
}

/// True where the service refuses an operation because of its reference.
fn is_about_reference(result: &OpResult) -> bool {
    let errors = result.problem.as_ref().and_then(|problem| problem["errors"].as_array());
    errors.into_iter().flatten().any(|error| error["pointer"] == "#/ref")
}
