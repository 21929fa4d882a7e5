//! Rows that are computed from the last events equal those that all events together leave, for any history.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::difference::compare;
use super::log::{Depth, LogIndex};
use crate::contract::EncodedEvent;
use crate::domain::fixture::arbitrary;
use crate::domain::{AccountId, Entity, Event, FIRST_EPOCH, NewEvent, Record, Seq, Timestamp, Uid};
use crate::projection;
use crate::store::live::Live;
use crate::store::rebuild::{IndexEntry, LoggedEvent, StoredRow};
use crate::store::row::Row;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

/// A log, and what the service has written with it.
#[derive(Default)]
struct Written {
    log: Vec<LoggedEvent>,
    entities: Vec<Entity>,
    previous: Vec<Option<Seq>>,
    records: BTreeMap<(Entity, Uid), Record>,
    models: BTreeMap<(Entity, Uid), Row>,
    live: Live,
}

/// Few records with many events each, of the types that such a record has.
fn history() -> impl Strategy<Value = Vec<NewEvent>> {
    let new_event = (arbitrary::new_event(), 0..3_u128, any::<prop::sample::Index>()).prop_map(
        |(new_event, record, event_type)| NewEvent {
            uid: Uid(Uuid::from_u128(record)),
            event_type: *event_type.get(new_event.entity.event_types()),
            ..new_event
        },
    );
    prop::collection::vec(new_event, 1..40)
}

fn depth() -> impl Strategy<Value = Depth> {
    prop::sample::select(&[Depth::Events, Depth::Records][..])
}

/// Writes events as a batch of commands does.
fn written(history: Vec<NewEvent>) -> Written {
    let mut written = Written::default();
    let mut seq = Seq::ZERO;
    for new_event in history {
        seq = seq.next();
        let key = (new_event.entity, new_event.uid);
        let before = written.records.remove(&key);
        let previous_version = before.as_ref().map(|record| record.version);
        let was_live = before.as_ref().is_some_and(|record| !record.deleted);
        let companies = before.as_ref().map(projection::companies_of).unwrap_or_default();
        let at = Timestamp::UNIX_EPOCH + time::Duration::milliseconds(seq.0 * 700);
        let event_type = new_event.event_type;
        let (record, changed) = Record::evolve(before, new_event, seq, at, &"test".into());
        written.live.add(record.entity, i64::from(!record.deleted) - i64::from(was_live));
        let origin = "test".into();
        let event = Event {
            epoch: FIRST_EPOCH,
            seq,
            at,
            event_type,
            previous_version,
            changed,
            record,
            origin,
            traceparent: None,
            causation: None,
            correlation: None,
        };
        let (encoded, text) = EncodedEvent::encode(ACCOUNT, &event).unwrap();
        let row = projection::row(ACCOUNT, &event, &text, &companies);
        let row = match written.models.remove(&key) {
            Some(earlier) => projection::merge(earlier, row),
            None => row,
        };
        written.models.insert(key, row);
        written.log.push(LoggedEvent {
            seq,
            uid: encoded.uid,
            kind: encoded.kind(),
            at,
            origin: event.origin.to_string(),
            body: encoded.text().to_owned(),
        });
        written.entities.push(event.record.entity);
        written.previous.push(previous_version);
        written.records.insert(key, event.record);
    }
    written
}

/// An index of the whole log.
fn index(written: &Written) -> LogIndex {
    let mut index = LogIndex::new(ACCOUNT);
    let entries: Vec<_> = written
        .log
        .iter()
        .zip(&written.entities)
        .map(|(event, entity)| IndexEntry { seq: event.seq, entity: Some(*entity), uid: event.uid })
        .collect();
    index.extend(&entries, written.log.last().unwrap().seq).unwrap();
    index
}

fn stored(row: &Row) -> StoredRow {
    StoredRow {
        uid: row.uid,
        version: row.version,
        key: row.key.clone(),
        role: row.role.map(str::to_owned),
        deleted: row.deleted,
        created_at: row.created_at,
        updated_at: row.updated_at,
        record: row.record.clone(),
    }
}

proptest! {
    #[test]
    fn last_events_alone_give_the_rows_and_counts_that_all_events_leave(history in history(), depth in depth()) {
        let written = written(history);
        let mut index = index(&written);
        let mut rebuilt = BTreeMap::new();
        for event in &written.log {
            if let Some(row) = index.walk(event, depth).unwrap() {
                prop_assert!(rebuilt.insert((row.entity, row.uid), row).is_none(), "one row per record");
            }
        }

        prop_assert_eq!(rebuilt.len(), written.models.len());
        let mut links = 0;
        for (key, row) in &rebuilt {
            let live = &written.models[key];
            prop_assert_eq!(compare(row, &stored(live)), None);
            let companies = row.companies.clone().unwrap_or_default();
            prop_assert_eq!(&companies, live.companies.as_deref().unwrap_or_default());
            links += i64::try_from(companies.len()).unwrap();
        }
        prop_assert_eq!(index.links(), links);
        for entity in Entity::ALL {
            prop_assert_eq!(index.live().get(entity), written.live.get(entity));
            let of_entity = written.models.keys().filter(|(kind, _)| *kind == entity).count();
            prop_assert_eq!(index.records(entity), i64::try_from(of_entity).unwrap());
        }
    }

    #[test]
    fn an_event_that_is_missing_or_changed_is_noticed(history in history(), choice in any::<prop::sample::Index>(), how in 0..5, depth in depth()) {
        let mut written = written(history);
        let chosen = choice.index(written.log.len());
        let event = &mut written.log[chosen];
        let expected = match how {
            0 => {
                event.seq = Seq(event.seq.0 + 1);
                "event"
            }
            1 => {
                event.uid = Uid(Uuid::from_u128(99));
                // As the first event of that record, it follows none.
                if written.previous[chosen].is_some() { "event.body.data.previous_version" } else { "event.uid" }
            }
            2 => {
                event.origin.push('x');
                "event.origin"
            }
            3 => {
                event.body.pop();
                "event.body"
            }
            _ => {
                let (beginning, rest) = event.body.split_once("\"previous_version\":").unwrap();
                let (_, rest) = rest.split_once(',').unwrap();
                event.body = format!("{beginning}\"previous_version\":1000000,{rest}");
                "event.body.data.previous_version"
            }
        };
        let seqs: Vec<Seq> = (1..).map(Seq).take(written.log.len()).collect();
        let sound = Written {
            log: written.log.iter().zip(seqs).map(|(event, seq)| LoggedEvent { seq, ..event.clone() }).collect(),
            entities: written.entities.clone(),
            ..Written::default()
        };
        let mut index = index(&sound);
        let damage = written.log.iter().find_map(|event| index.walk(event, depth).err()).unwrap();
        prop_assert_eq!(damage.field, expected);
        prop_assert_eq!(damage.seq, Seq(i64::try_from(chosen).unwrap() + 1));
    }
}
