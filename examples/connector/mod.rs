//! The connector recipe as a state machine: keeps the records of another system equal to those of the service.
//!
//! The machine does no I/O, reads no clock and draws no random number. Its inputs are pages of the feed, the records of the
//! other system and results of operations; its outputs are [`Apply`]s, changes of the other system, and [`Op`]s, changes of
//! the service. It is a value: its owner saves it, and continues with the saved one after a crash.
//!
//! One **round** is, in this order:
//!
//! 1. *Scan*: pass every record that the other system changed to [`Connector::edited`] or [`Connector::deleted`].
//! 2. *Pull*: pass pages of the feed to [`Connector::pull`] until one says that there is no more. **Save the machine**, then
//!    execute [`Connector::changes`] and report each to [`Connector::applied`].
//! 3. *Push*: take operations from [`Connector::push`]. **Save the machine**, send them, and pass their results to
//!    [`Connector::results`].
//!
//! A crash between any two of these steps loses nothing and repeats nothing visibly, because
//!
//! * the machine is saved *before* the other system is changed, with the service's value as `latest` and not yet as
//!   `local`. The next scan then finds the service's value, which is no edit, or the old one, which is none either, or
//!   the edit of a user. Saved afterwards, the service's value would look like an edit; saved as `local` beforehand, the
//!   old one would;
//! * an operation is saved *before* it is sent, and is sent under the same id until it has a result;
//! * the cursor is saved with the state, or after it. Saved before, events would be lost.
//!
//! A change that the other system refuses, because its user changed the record after the scan, is not reported as applied:
//! the next scan finds the edit.
//!
//! It knows one kind of record. A connector that has several runs one machine per kind.

mod apply;
mod field;
mod messages;
mod pull;
mod push;
mod record;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use apply::{Apply, Change};
pub use field::Field;
pub use messages::{Event, EventData, ListPage, Lookup, Op, OpResult, Page, PageMeta, Reference, Values};
pub use record::{InFlight, Presence, Record, ReferenceState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of record that a machine synchronises, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// `contact`, `company` or `project`.
    pub entity: String,
    /// The attributes that both systems have.
    pub fields: Vec<String>,
    /// Attributes that find the same record in both systems where neither knows the other's identifier.
    pub match_on: Vec<String>,
    /// Values that a new record needs and the other system lacks.
    pub defaults: Values,
}

/// The position in the feed. It is saved with the machine or after it, never before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The service's opaque cursor; `None` before the first list.
    pub after: Option<String>,
    /// The same position as a number, where it is known, to see that a page continues there.
    pub through_seq: Option<u64>,
}

/// A page does not continue where the machine stands: read the feed again from its cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The position of the machine.
    pub expected: u64,
    /// The beginning of the page.
    pub got: u64,
}

/// The state of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    /// The kind of record.
    pub kind: Kind,
    /// The origin of the connector's key: references of this source are its own.
    pub origin: String,
    /// The position in the feed.
    pub cursor: Cursor,
    /// The records, by their key in the other system. A record that came from the service has its uid as key, unless it
    /// has a reference of the connector's own.
    pub records: BTreeMap<String, Record>,
    keys: BTreeMap<String, String>,
    /// Positions of deletions, by uid: an older event that arrives again must not create the record again.
    tombstones: BTreeMap<String, u64>,
    listing: Option<Listing>,
    instance: String,
    next_op: u64,
}

/// The records that a list had so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Listing {
    as_of: Option<String>,
    unlisted: Vec<String>,
}

impl Connector {
    /// A machine without records. `instance` is a text that no other machine of this origin has ever had, such as a UUID:
    /// it makes the ids of operations unique, also after the state was lost.
    pub fn new(kind: Kind, origin: &str, instance: &str) -> Self {
        Self {
            kind,
            origin: origin.to_owned(),
            cursor: Cursor::default(),
            records: BTreeMap::new(),
            keys: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            listing: Some(Listing::default()),
            instance: instance.to_owned(),
            next_op: 1,
        }
    }

    /// The key of the record with this uid.
    pub fn key_of(&self, uid: &str) -> Option<&str> {
        self.keys.get(uid).map(String::as_str)
    }

    /// Takes a record of the other system as it is now: a new one, or one that may have changed.
    pub fn edited(&mut self, key: &str, values: &Values) {
        let record = self.records.entry(key.to_owned()).or_default();
        let is_back = !record.is_here();
        let values = self.kind.complete(values);
        if record.presence == Presence::Missing {
            record.distrust(&values);
        }
        if is_back {
            record.presence = Presence::Both;
        }
        let mut is_changed = is_back;
        for (name, value) in values {
            is_changed |= record.edit(&name, value);
        }
        if is_changed {
            record.refused = None;
        }
    }

    /// Notes that the other system does not have a record any more.
    pub fn deleted(&mut self, key: &str) {
        self.deleted_into(key, None);
    }

    /// Notes that the other system merged a record into another one.
    pub fn merged(&mut self, key: &str, into: &str) {
        self.deleted_into(key, Some(into.to_owned()));
    }

    fn deleted_into(&mut self, key: &str, into: Option<String>) {
        if self.records.get(key).is_some_and(Record::is_here) && self.continues_as_copy(key) {
            return;
        }
        let Some(record) = self.records.get_mut(key) else { return };
        let is_known = record.uid.is_some() || record.in_flight.is_some();
        let is_obsolete = record.presence == Presence::Obsolete && record.in_flight.is_none();
        if !record.is_here() {
            return;
        }
        if !is_known || is_obsolete {
            self.remove(key);
            return;
        }
        // The user knew each field up to its base: the service may have a newer value that the user did not see.
        let base = record.fields.values().map(|field| field.base_seq).min().unwrap_or(0);
        record.presence = Presence::Deleted { base, into };
        record.refused = None;
    }

    /// Where the other system has another copy of a record, that copy continues it: nothing is deleted but this one.
    fn continues_as_copy(&mut self, key: &str) -> bool {
        let Some(uid) = self.records.get(key).and_then(|record| record.uid.clone()) else { return false };
        let is_copy = |(other, record): &(&String, &Record)| {
            *other != key && record.uid.as_ref() == Some(&uid) && record.is_here()
        };
        let Some(copy) = self.records.iter().find(is_copy).map(|(copy, _)| copy.clone()) else { return false };
        let Some(removed) = self.records.remove(key) else { return false };
        if self.keys.get(&uid).is_some_and(|bound| bound == key)
            && let Some(record) = self.records.get_mut(&copy)
        {
            record.presence = removed.presence.clone();
            record.continue_from(&removed);
            self.keys.insert(uid, copy);
        }
        true
    }

    fn remove(&mut self, key: &str) {
        let uid = self.records.remove(key).and_then(|record| record.uid);
        if let Some(uid) = uid.filter(|uid| self.keys.get(uid).is_some_and(|bound| bound == key)) {
            self.keys.remove(&uid);
        }
    }
}

impl Kind {
    fn complete(&self, values: &Values) -> Values {
        let value = |name: &String| values.get(name).cloned().unwrap_or(Value::Null);
        self.fields.iter().map(|name| (name.clone(), value(name))).collect()
    }
}
