//! Samples: the responses to the test credentials, random data in the exact shape of real data.
//!
//! Guarantees: no account's data is read or written; a sample goes through the renderers of real responses, and accepts
//! and refuses the same parameters. Every call draws new data.

mod history;
mod records;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use serde_json::value::RawValue;
use uuid::Uuid;

pub(in crate::http) use self::history::{history, project_history};
use self::records::event;
pub(in crate::http) use self::records::record;
use crate::clock::Clock;
use crate::contract::company_fields::with_groups;
use crate::contract::record::{Corrupt, RecordJson, parse_uid};
use crate::contract::{Cursor, EncodedEvent};
use crate::domain::schema::FieldGroup;
use crate::domain::tier::Tiers;
use crate::domain::{AccountId, Entity, Field, FieldOwner, FieldPolicy, Record, Seq, SyncPolicy, Timestamp, Value};
use crate::http::request::at::At;
use crate::http::request::extract::{NamedTarget, Query};
use crate::http::request::service_url::ServiceUrl;
use crate::http::resources::changes::{self, FeedRequest, Range};
use crate::http::resources::consumers;
use crate::http::resources::endpoints;
use crate::http::resources::erase;
use crate::http::resources::lists::{self, PageLinks};
use crate::http::resources::projects::ProjectSelector;
use crate::http::resources::records::render;
use crate::http::resources::resource::Resource;
use crate::http::resources::sync::policy;
use crate::http::resources::usage;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::push::service::EndpointView;
use crate::quota::Usage;
use crate::store::lists::ListCount;
use crate::store::records::StoredRecord;
use crate::store::schema::AccountSchema;

type HandlerResult = Result<Response, Problem>;

/// The account of the test credentials, which does not exist.
const NOBODY: AccountId = AccountId(Uuid::nil());

/// The lengths of the sampled lists and log: the same on each call, so that a client can page through them.
const RECORDS: i64 = 25;
const EVENTS: i64 = 25;

const EPOCH: i32 = 1;

pub(in crate::http) async fn list<R: Resource>(
    State(clock): State<Clock>,
    service_url: ServiceUrl,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> HandlerResult {
    let now = clock.now();
    let links = PageLinks { service_url: &service_url, uri: &uri, query: &query };
    let counted = ListCount { total: RECORDS, as_of: Cursor { epoch: EPOCH, seq: Seq(EVENTS) } };
    lists::sampled::<R>(&links, NOBODY, counted, attributes(R::ENTITY, &query, now)?, || {
        let record = record(R::ENTITY, now);
        Ok(StoredRecord { uid: record.uid, version: record.version, deleted: false, record: text(&record)? })
    })
}

/// A record that has the requested identifier.
pub(in crate::http) async fn read<R: Resource>(
    State(clock): State<Clock>,
    _named: NamedTarget,
    Path(identifier): Path<String>,
    query: Query,
) -> HandlerResult {
    At::of(&query).map_err(changes::invalid)?;
    let now = clock.now();
    let mut record = record(R::ENTITY, now);
    match (parse_uid(&identifier), R::ENTITY) {
        (Some(uid), _) => record.uid = uid,
        (None, Entity::Contact) => put(&mut record, Field::Email, &identifier),
        (None, _) => put(&mut record, Field::Name, &identifier),
    }
    Ok(render(R::ENTITY, &text(&record)?, record.version, attributes(R::ENTITY, &query, now)?))
}

/// A project that has the requested identifier.
pub(in crate::http) async fn project(
    State(clock): State<Clock>,
    selector: ProjectSelector,
    Path((kind, identifier)): Path<(String, String)>,
    query: Query,
) -> HandlerResult {
    if let ProjectSelector::HistoryOf(_) = selector {
        return project_history(State(clock), selector, query).await;
    }
    At::of(&query).map_err(changes::invalid)?;
    let now = clock.now();
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
    Ok(render(Entity::Project, &text(&record)?, record.version, attributes(Entity::Project, &query, now)?))
}

/// Overwrites a drawn value, where the text is valid for the field.
fn put(record: &mut Record, field: Field, text: &str) {
    if let Ok(value @ Value::Text(_)) = Value::parse(field.kind(), text) {
        record.fields.insert(field, value);
    }
}

pub(in crate::http) async fn meta<R: Resource>(State(clock): State<Clock>) -> HandlerResult {
    envelope::bare(&crate::http::resources::meta::of(R::ENTITY, &schema(clock.now())))
}

fn attributes(entity: Entity, query: &Query, now: Timestamp) -> Result<Option<Box<RawValue>>, Problem> {
    query.get("meta").map(|_| crate::http::resources::meta::text(entity, &schema(now))).transpose()
}

/// Definitions that an account might have.
fn schema(now: Timestamp) -> AccountSchema {
    let field = |owner: FieldOwner| {
        let mut field = record(Entity::CustomField, now);
        put(&mut field, Field::Owner, owner.name());
        field
    };
    let audiences = (0..words::number(1..=3)).map(|_| record(Entity::Audience, now)).collect();
    AccountSchema { custom_fields: FieldOwner::ALL.map(field).into(), audiences }
}

pub(in crate::http) async fn changes(State(clock): State<Clock>, query: Query, headers: HeaderMap) -> HandlerResult {
    let request = FeedRequest::of(&query)?;
    let after = request.after.map_or(Seq::ZERO, |cursor| cursor.seq);
    // At most 500, so it always fits.
    let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
    let through = Seq(after.0.saturating_add(limit).min(EVENTS).max(after.0));
    let now = clock.now();
    let events: Vec<EncodedEvent> = (after.0..through.0)
        .map(|seq| {
            let entity = request.wanted.entity.or_else(|| words::one(&Entity::ALL)).unwrap_or(Entity::Contact);
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

pub(in crate::http) async fn endpoints(State(clock): State<Clock>) -> HandlerResult {
    let now = clock.now();
    let drawn: Vec<_> = (0..words::number(1..=3)).map(|_| EndpointView::unsealed(records::endpoint(now))).collect();
    Ok(endpoints::listed(&drawn))
}

pub(in crate::http) async fn endpoint(State(clock): State<Clock>, Path(id): Path<String>) -> HandlerResult {
    let mut drawn = records::endpoint(clock.now());
    if let Ok(id) = Uuid::try_parse(&id) {
        drawn.endpoint.endpoint_id = id;
    }
    Ok(endpoints::shown(&EndpointView::unsealed(drawn)))
}

pub(in crate::http) async fn consumers(State(clock): State<Clock>) -> HandlerResult {
    Ok(consumers::listed(&[records::consumer(clock.now(), "erp")]))
}

pub(in crate::http) async fn consumer(State(clock): State<Clock>, Path(name): Path<String>) -> HandlerResult {
    Ok(consumers::shown(&records::consumer(clock.now(), &name)))
}

pub(in crate::http) async fn attempts(State(clock): State<Clock>, query: Query) -> HandlerResult {
    endpoints::attempts::narrowed(&query)?;
    let now = clock.now();
    let drawn: Vec<_> = (0..words::number(1..=5)).map(|_| records::attempt(now)).collect();
    Ok(endpoints::attempts::listed_attempts(&drawn))
}

pub(in crate::http) async fn parked(State(clock): State<Clock>, query: Query) -> HandlerResult {
    endpoints::attempts::after_seq(&query)?;
    let now = clock.now();
    let drawn: Vec<_> = (0..words::number(1..=3)).map(|_| records::parked(now)).collect();
    Ok(endpoints::attempts::listed_parked(&drawn))
}

/// A month with some calls on each day.
pub(in crate::http) async fn sync_policy() -> HandlerResult {
    let rule = FieldPolicy::SystemOfRecord(format!("system-{}", words::number(1..=99_999)));
    let fields = BTreeMap::from([((Entity::Contact, Field::Phone), rule)]);
    policy::respond("The rules for concurrent changes.", &SyncPolicy { default: FieldPolicy::IncomingWins, fields })
}

/// An erasure that is done.
pub(in crate::http) async fn erasure(State(clock): State<Clock>, NamedTarget(target): NamedTarget) -> Response {
    erase::render(&records::erasure(clock.now(), &target))
}

pub(in crate::http) async fn usage(State(clock): State<Clock>, State(tiers): State<Tiers>) -> Response {
    let usage = Usage::of(clock.now(), 0, (0..31).map(|_| words::number(0..=60).unsigned_abs()).collect());
    let used = usage.days.iter().map(|(_, calls)| calls).sum();
    let (tier, terms) = tiers.largest();
    usage::render(tier, terms.calls_per_month, &Usage { used, ..usage })
}

/// A record's JSON. Each value of a company's custom fields is in a random group.
fn text(record: &Record) -> Result<String, Problem> {
    let text = serde_json::to_string(&RecordJson(record)).map_err(Corrupt::from);
    let group = |_| words::one(&FieldGroup::ALL).unwrap_or(FieldGroup::Public);
    let grouped = match record.entity {
        Entity::Company => text.and_then(|text| with_groups(&text, group)),
        Entity::Contact
        | Entity::Project
        | Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => text,
    };
    grouped.map_err(|error| {
        tracing::error!(error = %error, "encode sample failed");
        Problem::internal()
    })
}
