//! What the test credentials are answered: random data in the exact shape of real data.
//!
//! Guarantees: nothing of an account is read or written; a sample goes through the same renderers as a real answer, and
//! takes and refuses the same parameters. Every call draws anew.

mod records;
mod words;

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use serde_json::json;
use uuid::Uuid;

use self::records::{endpoint, event, record};
use super::Api;
use super::changes::{self, Asked, Range};
use super::endpoints;
use super::envelope;
use super::extract::{Named, Origin, Query};
use super::lists::{self, Links};
use super::meta;
use super::problem::Problem;
use super::projects::Sought;
use super::records::{Resource, found};
use super::usage;
use crate::contract::record::{Shown, parse_uid};
use crate::contract::{Cursor, Wire};
use crate::domain::account::Tier;
use crate::domain::{AccountId, Entity, Field, Record, Seq, Value};
use crate::quota::Usage;
use crate::store::lists::Counted;
use crate::store::projects::ProjectBy;
use crate::store::records::Stored;
use crate::store::schema::Schema;

type Answer = Result<Response, Problem>;

/// The account of the test credentials, which there is not.
const NOBODY: AccountId = AccountId(Uuid::nil());

/// How long the sampled lists and the sampled log are. The same on each call, so that a client can page through.
const RECORDS: i64 = 25;
const EVENTS: i64 = 25;

const EPOCH: i32 = 1;

pub(super) async fn list<R: Resource>(
    State(api): State<Arc<Api>>,
    origin: Origin,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Answer {
    let links = Links { origin: &origin, uri: &uri, query: &query };
    let counted = Counted { total: RECORDS, as_of: Cursor { epoch: EPOCH, seq: Seq(EVENTS) } };
    lists::sampled::<R>(&links, NOBODY, counted, || {
        let record = record(R::ENTITY, api.clock.now());
        Stored { uid: record.uid, version: record.version, deleted: false, record: shown(&record) }
    })
}

/// The record that was asked for: its identifier is put into what is drawn.
pub(super) async fn read<R: Resource>(
    State(api): State<Arc<Api>>,
    _named: Named,
    Path(identifier): Path<String>,
) -> Answer {
    let mut record = record(R::ENTITY, api.clock.now());
    name(&mut record, &identifier);
    Ok(found(R::ENTITY, &shown(&record), record.version, &json!({})))
}

/// A project that is looked for: by name, it has that name.
pub(super) async fn project(State(api): State<Arc<Api>>, sought: Sought) -> Answer {
    let mut record = record(Entity::Project, api.clock.now());
    match sought {
        Sought::Uid(uid) => record.uid = uid,
        Sought::By(ways) => {
            if let Some(ProjectBy::Name(text) | ProjectBy::Part(text)) = ways.first() {
                name(&mut record, text);
            }
        }
    }
    Ok(found(Entity::Project, &shown(&record), record.version, &json!({})))
}

/// The attributes of an account that defined a few of its own.
pub(super) async fn meta<R: Resource>(State(api): State<Arc<Api>>) -> Response {
    let now = api.clock.now();
    let drawn = |entity| (0..3).map(|_| record(entity, now)).collect();
    let schema = Schema { custom_fields: drawn(Entity::CustomField), audiences: drawn(Entity::Audience) };
    envelope::bare(&meta::of(R::ENTITY, &schema))
}

/// Calls a record what the client asked for.
fn name(record: &mut Record, identifier: &str) {
    let key = if record.entity == Entity::Contact { Field::Email } else { Field::Name };
    if let Some(uid) = parse_uid(identifier) {
        record.uid = uid;
    } else if let Ok(value @ Value::Text(_)) = Value::parse(key.kind(), identifier) {
        record.fields.insert(key, value);
    }
}

pub(super) async fn changes(State(api): State<Arc<Api>>, query: Query, headers: HeaderMap) -> Answer {
    let asked = Asked::of(&query)?;
    let after = asked.after.map_or(Seq::ZERO, |cursor| cursor.seq);
    let limit = i64::try_from(asked.limit).unwrap_or(1);
    let through = Seq(after.0.saturating_add(limit).min(EVENTS).max(after.0));
    let now = api.clock.now();
    let events: Vec<Wire> = (after.0..through.0)
        .map(|seq| {
            let entity = asked.wanted.entity.or_else(|| words::one(&Entity::ALL)).unwrap_or(Entity::Contact);
            Wire::encode(NOBODY, &event(entity, Seq(seq).next(), now)).0
        })
        .collect();
    changes::answer(&headers, &events, Range { epoch: EPOCH, after, through, more: through < Seq(EVENTS) })
}

pub(super) async fn endpoints(State(api): State<Arc<Api>>) -> Answer {
    let now = api.clock.now();
    let drawn: Vec<_> = (0..words::number(1..=3)).map(|_| endpoint(now)).collect();
    Ok(endpoints::listed(&drawn))
}

/// A month with some calls on each of its days.
pub(super) async fn usage(State(api): State<Arc<Api>>) -> Response {
    let usage = Usage::of(api.clock.now(), 0, (0..31).map(|_| words::number(0..=60).unsigned_abs()).collect());
    let used = usage.days.iter().map(|(_, calls)| calls).sum();
    usage::told(Tier::Thrive, &Usage { used, ..usage })
}

fn shown(record: &Record) -> String {
    serde_json::to_string(&Shown(record)).unwrap_or_default()
}
