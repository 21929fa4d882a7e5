//! One record, as two systems see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field::Field;
use super::messages::{Op, Snapshot, Values};

/// The state of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The service's identifier; `None` until the service has the record.
    pub uid: Option<String>,
    /// The position of the newest known state.
    pub version: u64,
    /// The fields that are synchronised.
    pub fields: BTreeMap<String, Field>,
    /// Which system has deleted it.
    pub presence: Presence,
    /// The operation that was sent, or is about to be, and has no result yet.
    pub in_flight: Option<InFlight>,
    /// The service's reason for refusing the last operation. The record is sent again after the next change of it.
    pub refused: Option<Value>,
    /// Whether the service has the other system's identifier of the record.
    pub reference: ReferenceState,
    /// True while the record has to be restored in the service before anything else.
    pub needs_restore: bool,
}

/// Which system has a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// Both, or the other system alone where there is no uid yet.
    #[default]
    Both,
    /// The service: it has to be created in the other system.
    Missing,
    /// The service, because the other system deleted it.
    Deleted {
        /// The position up to which the user knew the record.
        base: u64,
        /// The key of the record that it was merged into.
        into: Option<String>,
    },
    /// The other system: the service deleted it, or has it under another key. Once its edits are sent, it has to be deleted.
    Obsolete,
}

/// Whether the service has the other system's identifier of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferenceState {
    /// It has, or will have it with the record, or the identifier is its own.
    #[default]
    Settled,
    /// It has not yet.
    Missing,
    /// It cannot have it, because the identifier belongs to another record, such as a tombstone.
    Unusable,
}

/// An operation without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The operation, which is sent again, unchanged, until it has a result.
    pub op: Op,
    /// The local values that it has, by field.
    pub values: Values,
}

impl Record {
    /// The values in the other system.
    pub(super) fn values(&self) -> Values {
        self.fields.iter().map(|(name, field)| (name.clone(), field.local.clone())).collect()
    }

    /// True when the other system has the record.
    pub(super) fn is_here(&self) -> bool {
        matches!(self.presence, Presence::Both | Presence::Obsolete)
    }

    pub(super) fn is_deleted_here(&self) -> bool {
        matches!(self.presence, Presence::Deleted { .. })
    }

    /// True when the other system has to delete the record now.
    pub(super) fn is_to_be_deleted(&self) -> bool {
        self.presence == Presence::Obsolete && self.in_flight.is_none() && !self.is_dirty()
    }

    /// True when a field has an edit.
    pub(super) fn is_dirty(&self) -> bool {
        self.fields.values().any(Field::is_dirty)
    }

    pub(super) fn is_in_flight(&self, field: &str) -> bool {
        self.in_flight.as_ref().is_some_and(|sent| sent.values.contains_key(field))
    }

    /// Takes a newer state of the service.
    ///
    /// A field in flight only learns the value. The service has decided on it, or is about to, and only the result of the
    /// operation says how.
    pub(super) fn learn(&mut self, snapshot: &Snapshot<'_>) {
        for (name, field) in &mut self.fields {
            let is_in_flight = self.in_flight.as_ref().is_some_and(|sent| sent.values.contains_key(name));
            field.learn(snapshot.value(name), snapshot.version);
            match self.presence {
                Presence::Missing => field.adopt(),
                Presence::Both | Presence::Obsolete if !is_in_flight => field.settle(),
                // The user of a deleted record sees nothing new, so that its fields keep their bases.
                Presence::Both | Presence::Obsolete | Presence::Deleted { .. } => {}
            }
        }
        self.version = self.version.max(snapshot.version);
    }

    /// Takes over what is known of the service's record from another copy of it.
    pub(super) fn continue_from(&mut self, copy: &Self) {
        self.version = self.version.max(copy.version);
        for (name, known) in &copy.fields {
            let is_in_flight = self.is_in_flight(name);
            let field = self.fields.entry(name.clone()).or_default();
            field.learn(&known.latest_value, known.latest_seq);
            if !is_in_flight {
                field.settle();
            }
        }
    }

    /// Takes an edit of the other system. Returns whether it is one.
    pub(super) fn edit(&mut self, name: &str, value: Value) -> bool {
        let is_in_flight = self.is_in_flight(name);
        let field = self.fields.entry(name.to_owned()).or_default();
        let is_edit = field.local != value;
        field.local = value;
        // The service may have taken the value in flight: against which value the edit counts is known with the result.
        if is_edit && !is_in_flight {
            field.settle();
        }
        is_edit
    }

    /// Takes values of a record that the other system was about to create and already has. Its user may not have seen those
    /// of the service: what differs has no base.
    pub(super) fn distrust(&mut self, values: &Values) {
        for (name, field) in &mut self.fields {
            if values.get(name) != Some(&field.local) {
                field.local = Value::Null;
                field.base_value = Value::Null;
                field.base_seq = 0;
            }
        }
    }

    /// Ends the operation in flight: the service has decided on its fields.
    ///
    /// An unedited field is no edit any more, whatever was decided: a value that lost is in the conflict log. A field that
    /// was edited since is an edit on top of the value that was sent, if the service applied that. `snapshot` is `None`
    /// where the record was deleted afterwards.
    pub(super) fn resolve(&mut self, snapshot: Option<&Snapshot<'_>>, rejected: &[String]) {
        let sent = self.in_flight.take().map(|sent| sent.values).unwrap_or_default();
        for (name, value) in sent {
            let Some(field) = self.fields.get_mut(&name) else { continue };
            let is_unedited = field.local == value;
            match snapshot {
                Some(_) if rejected.contains(&name) && !is_unedited => {}
                Some(_) if rejected.contains(&name) => field.base_value = value,
                Some(snapshot) => {
                    field.base_value = if is_unedited { value } else { snapshot.value(&name).clone() };
                    field.base_seq = snapshot.version;
                }
                None => field.base_value = value,
            }
        }
        if let Some(snapshot) = snapshot {
            self.learn(snapshot);
        }
    }

    /// Ends the operation in flight: the service put its values into the conflict log.
    pub(super) fn drop_sent(&mut self) {
        let sent = self.in_flight.take().map(|sent| sent.values).unwrap_or_default();
        for (name, value) in sent {
            if let Some(field) = self.fields.get_mut(&name).filter(|field| field.local == value) {
                field.base_value = value;
            }
        }
    }

    /// Forgets all that is known of the service's record; the local values remain, as edits.
    pub(super) fn forget_service(&mut self) {
        self.uid = None;
        self.version = 0;
        self.in_flight = None;
        self.reference = ReferenceState::Settled;
        self.needs_restore = false;
        self.fields.values_mut().for_each(Field::forget_service);
    }
}
