//! Checks a log event by event, and knows which event is the last of its record.
//!
//! Pure. A log is sound when its positions have no gap, each body decodes and agrees with the columns beside it, and each
//! event names the version that the event before it gave the record.

use std::collections::{BTreeMap, HashMap};

use crate::contract::event::{self, id_of, record_text};
use crate::domain::{AccountId, Entity, Event, FIRST_EPOCH, Seq, Uid};
use crate::projection;
use crate::store::live::Live;
use crate::store::rebuild::{IndexEntry, LoggedEvent};
use crate::store::records::Row;

/// The first thing by which a log is not sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) seq: Seq,
    /// The record, where it is known.
    pub(crate) record: Option<(Option<Entity>, Uid)>,
    /// The column of the log, with the attribute inside a body.
    pub(crate) field: &'static str,
    pub(crate) expected: String,
    pub(crate) stored: String,
}

/// A log as far as it was read: an entry of about 60 bytes per record, and none per event.
pub(crate) struct LogIndex {
    account: AccountId,
    indexed: Seq,
    walked: Seq,
    /// The epoch of the last event that was walked.
    epoch: i32,
    positions: HashMap<(Entity, Uid), Positions>,
    records: BTreeMap<Entity, i64>,
    live: Live,
    links: i64,
}

/// The positions of a record's events.
struct Positions {
    /// The last event in the index.
    last: Seq,
    /// The last event that was walked; zero where none was.
    walked: Seq,
    live: bool,
    links: u32,
}

impl LogIndex {
    pub(crate) fn new(account: AccountId) -> Self {
        Self {
            account,
            indexed: Seq::ZERO,
            walked: Seq::ZERO,
            epoch: FIRST_EPOCH,
            positions: HashMap::new(),
            records: BTreeMap::new(),
            live: Live::default(),
            links: 0,
        }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.account
    }

    /// The position up to which the index knows the records.
    pub(crate) fn indexed(&self) -> Seq {
        self.indexed
    }

    /// The position up to which events were checked.
    pub(crate) fn walked(&self) -> Seq {
        self.walked
    }

    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The numbers of live records after the walked events.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// The numbers of records, live or not, after the walked events.
    pub(crate) fn records(&self, entity: Entity) -> i64 {
        self.records.get(&entity).copied().unwrap_or_default()
    }

    /// The number of links of contacts to companies after the walked events.
    pub(crate) fn links(&self) -> i64 {
        self.links
    }

    /// Whether the walked events have this record.
    pub(crate) fn has(&self, entity: Entity, uid: Uid) -> bool {
        self.positions.get(&(entity, uid)).is_some_and(|positions| positions.walked > Seq::ZERO)
    }

    /// Adds events that continue the index up to `through`.
    pub(crate) fn extend(&mut self, entries: &[IndexEntry], through: Seq) -> Result<(), Damage> {
        for entry in entries {
            let expected = self.indexed.next();
            if entry.seq != expected {
                return Err(missing(expected));
            }
            let entity = entry.entity.ok_or_else(|| Damage {
                seq: entry.seq,
                record: Some((None, entry.uid)),
                field: "event.type",
                expected: "a known type".to_owned(),
                stored: "an unknown one".to_owned(),
            })?;
            let new = Positions { last: entry.seq, walked: Seq::ZERO, live: false, links: 0 };
            self.positions.entry((entity, entry.uid)).or_insert(new).last = entry.seq;
            self.indexed = entry.seq;
        }
        if self.indexed < through { Err(missing(self.indexed.next())) } else { Ok(()) }
    }

    /// Checks the next event, which the index must have. Returns its row where it is the last event of its record.
    pub(crate) fn walk(&mut self, logged: &LoggedEvent) -> Result<Option<Row>, Damage> {
        let expected = self.walked.next();
        if logged.seq != expected {
            return Err(missing(expected));
        }
        let (event, text) = check(self.account, logged, self.epoch)?;
        let record = &event.record;
        let of_record = Some((Some(record.entity), record.uid));
        let Some(positions) = self.positions.get_mut(&(record.entity, record.uid)) else {
            return Err(missing(logged.seq));
        };
        let before = Some(positions.walked).filter(|before| *before > Seq::ZERO);
        check_chain(logged.seq, of_record, event.previous_version, before)?;
        if before.is_none() {
            *self.records.entry(record.entity).or_default() += 1;
        }
        let row = projection::last_row(self.account, &event, text);
        let links = u32::try_from(row.companies.as_ref().map_or(0, Vec::len)).unwrap_or(u32::MAX);
        self.live.add(record.entity, i64::from(!record.deleted) - i64::from(positions.live));
        self.links += i64::from(links) - i64::from(positions.links);
        let is_last = positions.last == logged.seq;
        *positions = Positions { last: positions.last, walked: logged.seq, live: !record.deleted, links };
        (self.walked, self.epoch) = (logged.seq, event.epoch);
        Ok(is_last.then_some(row))
    }
}

/// Decodes an event and compares its body with its columns. Returns it with the text of its record.
pub(crate) fn check(account: AccountId, logged: &LoggedEvent, min_epoch: i32) -> Result<(Event, &str), Damage> {
    let damage = |field, expected: String, stored: String| Damage {
        seq: logged.seq,
        record: Some((event::parse_kind(&logged.kind).map(|(entity, _)| entity), logged.uid)),
        field,
        expected,
        stored,
    };
    let undecodable =
        |error: &dyn std::error::Error| damage("event.body", "an event".to_owned(), format!("a body that {error}"));
    let event = event::decode(&logged.body).map_err(|error| undecodable(&error))?;
    let text = record_text(&logged.body).map_err(|error| undecodable(&error))?;
    let id = id_of(&logged.body).ok_or_else(|| undecodable(&NoId))?;
    let record = &event.record;
    let pairs = [
        ("event.body.id", account.to_string(), id.account.to_string()),
        ("event.body.id", logged.seq.to_string(), id.seq.to_string()),
        ("event.body.data.seq", logged.seq.to_string(), event.seq.to_string()),
        ("event.body.data.record.version", logged.seq.to_string(), record.version.to_string()),
    ];
    if id.account != account || id.seq != logged.seq || event.seq != logged.seq || record.version != logged.seq {
        let wrong = pairs.into_iter().find(|(_, expected, stored)| expected != stored);
        let (field, expected, stored) = wrong.unwrap_or(("event.body", String::new(), String::new()));
        return Err(damage(field, expected, stored));
    }
    if record.uid != logged.uid {
        return Err(damage("event.uid", record.uid.to_string(), logged.uid.to_string()));
    }
    if Some((record.entity, event.event_type)) != event::parse_kind(&logged.kind) {
        return Err(damage("event.type", event::kind(record.entity, event.event_type), logged.kind.clone()));
    }
    if event.at != logged.at {
        return Err(damage("event.at", event.at.to_string(), logged.at.to_string()));
    }
    if event.origin != logged.origin {
        return Err(damage("event.origin", event.origin, logged.origin.clone()));
    }
    if event.epoch < min_epoch {
        return Err(damage("event.body.id", format!("epoch {min_epoch} or later"), format!("epoch {}", event.epoch)));
    }
    Ok((event, text))
}

/// Compares the version that an event names as its record's version before with that of the event before it.
pub(crate) fn check_chain(
    seq: Seq,
    record: Option<(Option<Entity>, Uid)>,
    stored: Option<Seq>,
    expected: Option<Seq>,
) -> Result<(), Damage> {
    if stored == expected {
        return Ok(());
    }
    let text = |version: Option<Seq>| version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let field = "event.body.data.previous_version";
    Err(Damage { seq, record, field, expected: text(expected), stored: text(stored) })
}

/// The damage of a log without the event at a position.
pub(crate) fn missing(seq: Seq) -> Damage {
    Damage { seq, record: None, field: "event", expected: "an event".to_owned(), stored: "none".to_owned() }
}

#[derive(Debug, thiserror::Error)]
#[error("has no readable id")]
struct NoId;
