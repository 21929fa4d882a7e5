//! What the test credentials are answered: random data in the exact shape of real data.
//!
//! Guarantees: nothing of an account is read or written; a sample goes through the same renderers as a real answer, and
//! takes and refuses the same parameters. Every call draws anew.

mod records;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use self::records::event;
pub(super) use self::records::record;
use super::Api;
use super::changes::{self, FeedRequest, Range};
use super::endpoints;
use super::envelope;
use super::extract::{NamedTarget, Origin, Query};
use super::lists::{self, PageLinks};
use super::problem::Problem;
use super::projects::ProjectSelector;
use super::records::{Resource, found};
use super::usage;
use crate::contract::record::{RecordJson, parse_uid};
use crate::contract::{Cursor, EncodedEvent};
use crate::domain::account::Tier;
use crate::domain::{AccountId, Entity, Field, FieldOwner, Record, Seq, Timestamp, Value};
use crate::quota::Usage;
use crate::store::lists::ListCount;
use crate::store::records::StoredRecord;
use crate::store::schema::AccountSchema;

type HandlerResult = Result<Response, Problem>;

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
) -> HandlerResult {
    let now = api.clock.now();
    let links = PageLinks { origin: &origin, uri: &uri, query: &query };
    let counted = ListCount { total: RECORDS, as_of: Cursor { epoch: EPOCH, seq: Seq(EVENTS) } };
    lists::sampled::<R>(&links, NOBODY, counted, attributes(R::ENTITY, &query, now), || {
        let record = record(R::ENTITY, now);
        StoredRecord { uid: record.uid, version: record.version, deleted: false, record: shown(&record) }
    })
}

/// The record that was asked for: its identifier is put into what is drawn.
pub(super) async fn read<R: Resource>(
    State(api): State<Arc<Api>>,
    _named: NamedTarget,
    Path(identifier): Path<String>,
    query: Query,
) -> HandlerResult {
    let now = api.clock.now();
    let mut record = record(R::ENTITY, now);
    match (parse_uid(&identifier), R::ENTITY) {
        (Some(uid), _) => record.uid = uid,
        (None, Entity::Contact) => put(&mut record, Field::Email, &identifier),
        (None, _) => put(&mut record, Field::Name, &identifier),
    }
    Ok(found(R::ENTITY, &shown(&record), record.version, attributes(R::ENTITY, &query, now)))
}

/// A project, by whatever it is sought.
pub(super) async fn project(
    State(api): State<Arc<Api>>,
    _sought: ProjectSelector,
    Path((kind, identifier)): Path<(String, String)>,
    query: Query,
) -> HandlerResult {
    let now = api.clock.now();
    let mut record = record(Entity::Project, now);
    match (kind.as_str(), parse_uid(&identifier)) {
        ("uid", Some(uid)) => record.uid = uid,
        ("name", _) => put(&mut record, Field::Name, &identifier),
        ("contains_the_following", _) => {
            let name = format!("{} {identifier}", record.text(Field::Name).unwrap_or_default());
            put(&mut record, Field::Name, &name);
        }
        _ => {}
    }
    Ok(found(Entity::Project, &shown(&record), record.version, attributes(Entity::Project, &query, now)))
}

/// Writes over what was drawn, where the text can stand there.
fn put(record: &mut Record, field: Field, text: &str) {
    if let Ok(value @ Value::Text(_)) = Value::parse(field.kind(), text) {
        record.fields.insert(field, value);
    }
}

pub(super) async fn meta<R: Resource>(State(api): State<Arc<Api>>) -> HandlerResult {
    Ok(envelope::bare(&super::meta::of(R::ENTITY, &schema(api.clock.now()))))
}

fn attributes(entity: Entity, query: &Query, now: Timestamp) -> Option<Json> {
    query.get("meta")?;
    Some(json!(super::meta::of(entity, &schema(now))))
}

/// What an account might have defined.
fn schema(now: Timestamp) -> AccountSchema {
    let field = |owner: FieldOwner| {
        let mut field = record(Entity::CustomField, now);
        put(&mut field, Field::Owner, owner.name());
        field
    };
    let audiences = (0..words::number(1..=3)).map(|_| record(Entity::Audience, now)).collect();
    AccountSchema { custom_fields: FieldOwner::ALL.map(field).into(), audiences }
}

pub(super) async fn changes(State(api): State<Arc<Api>>, query: Query, headers: HeaderMap) -> HandlerResult {
    let asked = FeedRequest::of(&query)?;
    let after = asked.after.map_or(Seq::ZERO, |cursor| cursor.seq);
    let limit = i64::try_from(asked.limit).unwrap_or(1);
    let through = Seq(after.0.saturating_add(limit).min(EVENTS).max(after.0));
    let now = api.clock.now();
    let events: Vec<EncodedEvent> = (after.0..through.0)
        .map(|seq| {
            let entity = asked.wanted.entity.or_else(|| words::one(&Entity::ALL)).unwrap_or(Entity::Contact);
            EncodedEvent::encode(NOBODY, &event(entity, Seq(seq).next(), now)).map(|(event, _)| event)
        })
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::error!(error = %error, "encoding a sample failed");
            Problem::internal()
        })?;
    let range = Range { epoch: EPOCH, after, through, more: through < Seq(EVENTS) };
    Ok(changes::FeedPage::of(&headers, events, range).await?.response(Into::into))
}

pub(super) async fn endpoints(State(api): State<Arc<Api>>) -> HandlerResult {
    let now = api.clock.now();
    let drawn: Vec<_> = (0..words::number(1..=3)).map(|_| records::endpoint(now)).collect();
    Ok(endpoints::listed(&api.masters, &drawn))
}

pub(super) async fn endpoint(State(api): State<Arc<Api>>, Path(id): Path<String>) -> HandlerResult {
    let mut drawn = records::endpoint(api.clock.now());
    if let Ok(id) = Uuid::try_parse(&id) {
        drawn.endpoint.endpoint_id = id;
    }
    Ok(endpoints::found(&api.masters, &drawn))
}

pub(super) async fn attempts(State(api): State<Arc<Api>>, query: Query) -> HandlerResult {
    endpoints::attempts::narrowed(&query)?;
    let now = api.clock.now();
    let drawn: Vec<_> = (0..words::number(1..=5)).map(|_| records::attempt(now)).collect();
    Ok(endpoints::attempts::listed_attempts(&drawn))
}

pub(super) async fn parked(State(api): State<Arc<Api>>, query: Query) -> HandlerResult {
    endpoints::attempts::after_seq(&query)?;
    let now = api.clock.now();
    let drawn: Vec<_> = (0..words::number(1..=3)).map(|_| records::parked(now)).collect();
    Ok(endpoints::attempts::listed_parked(&drawn))
}

/// A month with some calls on each of its days.
pub(super) async fn usage(State(api): State<Arc<Api>>) -> Response {
    let usage = Usage::of(api.clock.now(), 0, (0..31).map(|_| words::number(0..=60).unsigned_abs()).collect());
    let used = usage.days.iter().map(|(_, calls)| calls).sum();
    usage::told(Tier::Thrive, &Usage { used, ..usage })
}

fn shown(record: &Record) -> String {
    serde_json::to_string(&RecordJson(record)).unwrap_or_default()
}
