//! Checks a log event by event, and knows which event is the last of its record.
//!
//! Pure. A log is sound when its positions have no gap, each body decodes and agrees with the columns beside it, and each
//! event names the version that the event before it gave the record.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use crate::contract::event::{self, EventOutline};
use crate::domain::{AccountId, Entity, Event, FIRST_EPOCH, Record, Seq, Uid};
use crate::projection;
use crate::store::live::Live;
use crate::store::rebuild::{IndexEntry, LoggedEvent};
use crate::store::row::Row;

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

/// How far each event is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The whole event.
    Events,
    /// The records of last events, which decide all rows. Of other events the changes and the record are only read as JSON.
    Records,
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
    refs: i64,
}

/// The positions of a record's events.
struct Positions {
    /// The last event in the index.
    last: Seq,
    /// The last event that was walked; zero where none was.
    walked: Seq,
    live: bool,
    links: u32,
    refs: u32,
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
            refs: 0,
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

    /// The numbers of live records after the walked events; by [`Depth::Records`] at the end of the index only.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// The numbers of records, live or not, after the walked events.
    pub(crate) fn records(&self, entity: Entity) -> i64 {
        self.records.get(&entity).copied().unwrap_or_default()
    }

    /// The number of links of contacts to companies, like [`Self::live`].
    pub(crate) fn links(&self) -> i64 {
        self.links
    }

    /// The number of identifiers in other systems, like [`Self::live`].
    pub(crate) fn refs(&self) -> i64 {
        self.refs
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
            let new = Positions { last: entry.seq, walked: Seq::ZERO, live: false, links: 0, refs: 0 };
            self.positions.entry((entity, entry.uid)).or_insert(new).last = entry.seq;
            self.indexed = entry.seq;
        }
        if self.indexed < through { Err(missing(self.indexed.next())) } else { Ok(()) }
    }

    /// Checks the next event, which the index must have. Returns its row where it is the last event of its record.
    pub(crate) fn walk(&mut self, logged: &LoggedEvent, depth: Depth) -> Result<Option<Row>, Damage> {
        let expected = self.walked.next();
        if logged.seq != expected {
            return Err(missing(expected));
        }
        let outline = check_columns(self.account, logged, self.epoch)?;
        let (entity, uid) = (outline.entity, logged.uid);
        let Some(positions) = self.positions.get_mut(&(entity, uid)) else {
            return Err(missing(logged.seq));
        };
        let before = Some(positions.walked).filter(|before| *before > Seq::ZERO);
        check_chain(logged.seq, Some((Some(entity), uid)), outline.previous_version, before)?;
        if before.is_none() {
            *self.records.entry(entity).or_default() += 1;
        }
        (positions.walked, self.walked, self.epoch) = (logged.seq, logged.seq, outline.id.epoch);
        let is_last = positions.last == logged.seq;
        let record = match depth {
            Depth::Events => decode(logged)?.record,
            Depth::Records if is_last => outline.decode_record().map_err(|error| undecodable(logged, &error))?,
            Depth::Records => return Ok(None),
        };
        check_record(logged, &record)?;
        let row = projection::last_row(self.account, &record, outline.record);
        let links = u32::try_from(row.companies.as_ref().map_or(0, Vec::len)).unwrap_or(u32::MAX);
        self.live.add(entity, i64::from(!record.deleted) - i64::from(positions.live));
        self.links += i64::from(links) - i64::from(positions.links);
        let refs = u32::try_from(record.refs.len()).unwrap_or(u32::MAX);
        self.refs += i64::from(refs) - i64::from(positions.refs);
        (positions.live, positions.links, positions.refs) = (!record.deleted, links, refs);
        Ok(is_last.then_some(row))
    }
}

/// Decodes an event and compares its body with its columns. Returns it with the text of its record.
pub(crate) fn check(account: AccountId, logged: &LoggedEvent) -> Result<(Event, &str), Damage> {
    let outline = check_columns(account, logged, FIRST_EPOCH)?;
    let event = decode(logged)?;
    check_record(logged, &event.record)?;
    Ok((event, outline.record))
}

fn decode(logged: &LoggedEvent) -> Result<Event, Damage> {
    event::decode(&logged.body).map_err(|error| undecodable(logged, &error))
}

/// Compares an event's attributes with the columns beside its body.
fn check_columns(account: AccountId, logged: &LoggedEvent, min_epoch: i32) -> Result<EventOutline<'_>, Damage> {
    let outline = EventOutline::read(&logged.body).map_err(|error| undecodable(logged, &error))?;
    let EventOutline { id, .. } = &outline;
    if id.account != account {
        return Err(damage(logged, "event.body.id", account, id.account));
    }
    if id.seq != logged.seq {
        return Err(damage(logged, "event.body.id", logged.seq, id.seq));
    }
    if outline.seq != logged.seq {
        return Err(damage(logged, "event.body.data.seq", logged.seq, outline.seq));
    }
    if Some((outline.entity, outline.event_type)) != event::parse_kind(&logged.kind) {
        return Err(damage(logged, "event.type", event::kind(outline.entity, outline.event_type), &logged.kind));
    }
    if outline.at != logged.at {
        return Err(damage(logged, "event.at", outline.at, logged.at));
    }
    if outline.origin != logged.origin {
        return Err(damage(logged, "event.origin", &outline.origin, &logged.origin));
    }
    if id.epoch < min_epoch {
        return Err(damage(
            logged,
            "event.body.id",
            format!("epoch {min_epoch} or later"),
            format!("epoch {}", id.epoch),
        ));
    }
    Ok(outline)
}

fn check_record(logged: &LoggedEvent, record: &Record) -> Result<(), Damage> {
    if record.uid != logged.uid {
        return Err(damage(logged, "event.uid", record.uid, logged.uid));
    }
    if record.version != logged.seq {
        return Err(damage(logged, "event.body.data.record.version", logged.seq, record.version));
    }
    Ok(())
}

fn undecodable(logged: &LoggedEvent, error: &dyn Error) -> Damage {
    damage(logged, "event.body", "an event", format!("a body that {error}"))
}

fn damage(logged: &LoggedEvent, field: &'static str, expected: impl ToString, stored: impl ToString) -> Damage {
    let entity = event::parse_kind(&logged.kind).map(|(entity, _)| entity);
    let (seq, record) = (logged.seq, Some((entity, logged.uid)));
    Damage { seq, record, field, expected: expected.to_string(), stored: stored.to_string() }
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

/// The damage of a log without a head.
pub(crate) fn headless() -> Damage {
    let (expected, stored) = ("a row".to_owned(), "none".to_owned());
    Damage { seq: Seq::ZERO, record: None, field: "head", expected, stored }
}

/// The damage of a log without the event at a position.
pub(crate) fn missing(seq: Seq) -> Damage {
    Damage { seq, record: None, field: "event", expected: "an event".to_owned(), stored: "none".to_owned() }
}
