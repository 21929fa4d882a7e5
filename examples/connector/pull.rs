//! From the service to the other system: pages of the feed, single events, lists.

use serde_json::Value;

use super::messages::{Event, ListPage, Lookup, Page, Snapshot};
use super::record::{Presence, Record, ReferenceState};
use super::{Connector, Cursor, Gap, Listing};

impl Connector {
    /// Takes a page of the feed and moves the cursor behind it.
    pub fn pull(&mut self, page: &Page) -> Result<(), Gap> {
        match self.cursor.through_seq {
            Some(expected) if expected != page.meta.from_seq => {
                return Err(Gap { expected, got: page.meta.from_seq });
            }
            Some(_) | None => {}
        }
        for event in &page.events {
            self.hint(event);
        }
        self.cursor = Cursor { after: Some(page.meta.cursor.clone()), through_seq: Some(page.meta.through_seq) };
        Ok(())
    }

    /// Takes an event that was pushed, by a webhook for example: any event, in any order, any number of times. The cursor
    /// stays, because the event says nothing about those before it.
    pub fn hint(&mut self, event: &Event) {
        let kind = event.event_type.strip_prefix("crm.").and_then(|kind| kind.split('.').next());
        if kind != Some(self.kind.entity.as_str()) {
            return;
        }
        let Some(snapshot) = Snapshot::read(&event.data.record) else { return };
        let is_erased = event.event_type.ends_with(".erased");
        self.take(&snapshot, is_erased);
    }

    /// Takes a state of a record, if it is newer than the known one.
    pub(super) fn take(&mut self, snapshot: &Snapshot<'_>, is_erased: bool) {
        if self.tombstones.get(snapshot.uid).is_some_and(|deleted| snapshot.version <= *deleted) {
            return;
        }
        if snapshot.is_deleted {
            return self.gone(snapshot.uid, snapshot.version, is_erased);
        }
        let key = self.key_for(snapshot);
        let own = snapshot.own_references(&self.origin);
        let Some(record) = self.records.get_mut(&key) else { return };
        if snapshot.version <= record.version {
            return;
        }
        if record.reference != ReferenceState::Unusable {
            let is_missing = own.is_empty() && key != snapshot.uid;
            record.reference = if is_missing { ReferenceState::Missing } else { ReferenceState::Settled };
        }
        record.refused = None;
        if record.presence == Presence::Obsolete {
            record.presence = Presence::Both;
        }
        record.learn(snapshot);
    }

    /// The key of a record of the service. One that has none gets the key of the same record in the other system, where
    /// there is one, and otherwise a new one.
    fn key_for(&mut self, snapshot: &Snapshot<'_>) -> String {
        let uid = snapshot.uid;
        if let Some(key) = self.keys.get(uid) {
            return key.clone();
        }
        let references = snapshot.own_references(&self.origin);
        let unbound = |key: &str| self.records.get(key).filter(|record| record.uid.is_none());
        let of_reference = references.iter().copied().find(|key| unbound(key).is_some());
        // A record that is being created under the uid of another one is not that one.
        let of_uid = || Some(uid).filter(|uid| unbound(uid).is_some_and(|record| record.in_flight.is_none()));
        let known = of_reference.or_else(of_uid).map(str::to_owned).or_else(|| self.matching(snapshot));
        let new = || {
            let own = references.iter().copied().chain([uid]).map(str::to_owned);
            let mut candidates = own.chain((2..=u64::MAX).map(|number| format!("{uid}-{number}")));
            candidates.find(|key| !self.records.contains_key(key)).unwrap_or_default()
        };
        let key = known.unwrap_or_else(new);
        self.bind(&key, uid);
        key
    }

    /// The one local record that the service does not have and that has the same value in a field to match on.
    fn matching(&self, snapshot: &Snapshot<'_>) -> Option<String> {
        let matches = |record: &Record| {
            let names = self.kind.match_on.iter();
            names.into_iter().any(|name| {
                let comparable = |value: &Value| value.as_str().map(|text| text.trim().to_lowercase());
                let local = record.fields.get(name).and_then(|field| comparable(&field.local));
                local.is_some_and(|local| !local.is_empty() && comparable(snapshot.value(name)) == Some(local))
            })
        };
        let is_free =
            |record: &Record| record.uid.is_none() && record.in_flight.is_none() && record.presence == Presence::Both;
        let mut hits = self.records.iter().filter(|(_, record)| is_free(record) && matches(record));
        let (key, _) = hits.next()?;
        hits.next().is_none().then(|| key.clone())
    }

    /// Notes that a record of the other system and one of the service are the same.
    pub(super) fn bind(&mut self, key: &str, uid: &str) {
        let new = || Record { presence: Presence::Missing, ..Record::default() };
        let record = self.records.entry(key.to_owned()).or_insert_with(new);
        record.uid = Some(uid.to_owned());
        for name in &self.kind.fields {
            record.fields.entry(name.clone()).or_default();
        }
        self.keys.insert(uid.to_owned(), key.to_owned());
    }

    /// Takes the deletion of a record. Edits that the service lacks are sent first: it refuses them, and logs them as
    /// conflicts. Those of an erased record are dropped, because nothing of it may be kept.
    pub(super) fn gone(&mut self, uid: &str, seq: u64, is_erased: bool) {
        self.tombstones.insert(uid.to_owned(), seq);
        let Some(key) = self.keys.get(uid).cloned() else { return };
        let Some(record) = self.records.get_mut(&key) else { return };
        record.version = record.version.max(seq);
        if is_erased {
            record.in_flight = None;
            record.fields.values_mut().for_each(|field| field.base_value = field.local.clone());
        }
        match record.presence {
            Presence::Both | Presence::Obsolete => record.presence = Presence::Obsolete,
            // The result of the operation ends the record.
            Presence::Missing | Presence::Deleted { .. } if record.in_flight.is_some() => {}
            Presence::Missing | Presence::Deleted { .. } => self.remove(&key),
        }
    }

    /// Begins a list of all records: at the first start, after a crash during a list, and when a request for the feed got
    /// 410 `resync-required`. All positions are forgotten, because those of a restored log are others.
    pub fn resync(&mut self) {
        self.cursor = Cursor::default();
        self.tombstones.clear();
        let mut unlisted = Vec::new();
        for record in self.records.values_mut() {
            unlisted.extend(record.uid.clone());
            record.version = 0;
            for field in record.fields.values_mut() {
                field.latest_seq = 0;
                field.base_seq = 0;
            }
        }
        self.listing = Some(Listing { as_of: None, unlisted });
    }

    /// True while pages of a list are expected instead of pages of the feed.
    pub fn is_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// Takes a page of the list. After the last one the feed continues where the **first** page was read, so that nothing
    /// that changed during the list is missed.
    pub fn list(&mut self, page: &ListPage) {
        let mut listing = self.listing.take().unwrap_or_default();
        listing.as_of.get_or_insert_with(|| page.as_of.clone());
        for record in &page.records {
            let Some(snapshot) = Snapshot::read(record) else { continue };
            listing.unlisted.retain(|uid| uid != snapshot.uid);
            self.take(&snapshot, false);
        }
        if page.is_last && listing.unlisted.is_empty() {
            self.cursor = Cursor { after: listing.as_of, through_seq: None };
        } else {
            self.listing = Some(listing);
        }
    }

    /// The records that the list did not have, by uid, after its last page. Read each of them and pass the result to
    /// [`Connector::looked_up`]: it was deleted, or the restored log lacks it.
    pub fn unlisted(&self) -> Vec<String> {
        self.listing.as_ref().map(|listing| listing.unlisted.clone()).unwrap_or_default()
    }

    /// Takes the state of a record that the list did not have.
    pub fn looked_up(&mut self, uid: &str, lookup: &Lookup) {
        match lookup {
            Lookup::Live(record) => {
                if let Some(snapshot) = Snapshot::read(record) {
                    self.take(&snapshot, false);
                }
            }
            Lookup::Gone => self.gone(uid, 0, false),
            Lookup::Unknown => self.lost(uid),
        }
        if let Some(listing) = &mut self.listing {
            listing.unlisted.retain(|other| other != uid);
            if listing.unlisted.is_empty() {
                let after = listing.as_of.take();
                self.cursor = Cursor { after, through_seq: None };
                self.listing = None;
            }
        }
    }

    /// Takes a record that the service does not know any more for a new one.
    pub(super) fn lost(&mut self, uid: &str) {
        let Some(key) = self.keys.remove(uid) else { return };
        match self.records.get_mut(&key) {
            Some(record) if record.is_here() => {
                record.presence = Presence::Both;
                record.forget_service();
            }
            _ => self.remove(&key),
        }
    }
}
