//! From the machine to the other system: the changes that it needs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::messages::Values;
use super::record::{Presence, Record};
use super::{Connector, Field};

/// A change of the other system. `from` is the value that it must have, so that an edit after the scan is not overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Apply {
    /// Create the record under this key, or under one of the other system's that leads to it.
    Create {
        /// The record's key.
        key: String,
        /// All fields; those without a value are `null`.
        values: Values,
    },
    /// Change these fields.
    Update {
        /// The record's key.
        key: String,
        /// The fields that change.
        changes: BTreeMap<String, Change>,
    },
    /// Delete the record.
    Delete {
        /// The record's key.
        key: String,
        /// The values that it must have.
        from: Values,
    },
}

/// A changed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The value before.
    pub from: Value,
    /// The value after.
    pub to: Value,
}

impl Connector {
    /// The changes that the other system needs to have what the service has. They stay the same until they are applied, or
    /// until something else changes.
    pub fn changes(&self) -> Vec<Apply> {
        let change = |(key, record): (&String, &Record)| {
            let key = key.clone();
            match record.presence {
                Presence::Missing => Some(Apply::Create { key, values: record.values() }),
                Presence::Obsolete if record.is_to_be_deleted() => Some(Apply::Delete { key, from: record.values() }),
                Presence::Both => {
                    let behind =
                        record.fields.iter().filter(|(name, field)| field.is_behind() && !record.is_in_flight(name));
                    let change = |field: &Field| Change { from: field.local.clone(), to: field.latest_value.clone() };
                    let changes: BTreeMap<_, _> = behind.map(|(name, field)| (name.clone(), change(field))).collect();
                    (!changes.is_empty()).then_some(Apply::Update { key, changes })
                }
                Presence::Obsolete | Presence::Deleted { .. } => None,
            }
        };
        self.records.iter().filter_map(change).collect()
    }

    /// Notes that the other system executed a change.
    pub fn applied(&mut self, change: &Apply) {
        match change {
            Apply::Create { key, .. } => {
                if let Some(record) = self.records.get_mut(key) {
                    record.presence = Presence::Both;
                }
            }
            Apply::Update { key, changes } => {
                let Some(record) = self.records.get_mut(key) else { return };
                for name in changes.keys() {
                    if let Some(field) = record.fields.get_mut(name) {
                        field.adopt();
                    }
                }
            }
            Apply::Delete { key, .. } => self.remove(key),
        }
    }
}
