//! `/changes`: the account's log, page by page.
//!
//! A page is bounded by events and by bytes, and has at least one event where there is any. Its bytes are in memory once
//! as events while they are read and once as the answer; how many answers there are at a time is bounded too.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;

use super::auth::Caller;
use super::extract::Query;
use super::problem::Problem;
use super::sessions::{Ended, SessionKind};
use super::{Api, envelope};
use crate::contract::{Cursor, EncodedEvent, proto};
use crate::domain::value::one_of;
use crate::domain::{Entity, Invalid, Seq};
use crate::feed::{EventPage, Follow, PageLimit};
use crate::store::log::Head;

/// The longest wait that a client may ask for, in seconds.
pub(super) const MAX_WAIT: i64 = 30;

/// Bytes of events that are decoded before other requests have their turn: about a millisecond.
const UNINTERRUPTED: usize = 64 << 10;

const CURSOR: HeaderName = HeaderName::from_static("x-cursor");

/// What of the log a client wants.
pub(super) struct FeedFilter {
    pub(super) entity: Option<Entity>,
    exclude_own: bool,
}

impl FeedFilter {
    pub(super) fn of(query: &Query) -> Result<Self, Invalid> {
        let entity = match query.get("entity") {
            None => None,
            Some(name) => match Entity::from_name(name) {
                Some(entity) => Some(entity),
                None => return Err(Invalid::new("entity", one_of(Entity::ALL.map(Entity::name)))),
            },
        };
        Ok(Self { entity, exclude_own: query.flag("exclude_own") })
    }

    pub(super) fn takes(&self, event: &EncodedEvent, caller: &Caller) -> bool {
        let own = self.exclude_own && *event.origin == *caller.origin;
        !own && self.entity.is_none_or(|entity| entity == event.entity)
    }
}

/// What a client asks of the feed.
pub(super) struct FeedRequest {
    pub(super) after: Option<Cursor>,
    pub(super) limit: usize,
    wait: Duration,
    pub(super) wanted: FeedFilter,
}

impl FeedRequest {
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let limit = query.number("limit", 1..=500, 100).map_err(invalid)?;
        let wait = query.number("wait", 0..=MAX_WAIT, 0).map_err(invalid)?;
        Ok(Self {
            after: cursor(query.get("after"))?,
            limit: usize::try_from(limit).unwrap_or(1),
            wait: Duration::from_secs(u64::try_from(wait).unwrap_or(0)),
            wanted: FeedFilter::of(query).map_err(invalid)?,
        })
    }
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let FeedRequest { after, limit, wait, wanted } = FeedRequest::of(&query)?;
    let (head, after, is_due) = if wait.is_zero() {
        let head = api.feed.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
        (head, position(after, head)?.unwrap_or(Seq::ZERO), true)
    } else {
        let (mut follow, head) = api.feed.follow(caller.account).await?.ok_or_else(Problem::unauthorized)?;
        follow.seek(position(after, head)?.unwrap_or(Seq::ZERO));
        let is_due = follow.is_behind() || poll(&api, &caller, &mut follow, wait).await?;
        (head, follow.position(), is_due)
    };
    let room = api.in_flight.room(caller.account, api.config.feed.page_bytes).await?;
    let page = if is_due {
        let limit = PageLimit { events: limit, bytes: api.config.feed.page_bytes };
        api.feed.after(caller.account, after, limit).await?
    } else {
        EventPage { events: Vec::new(), more: false }
    };
    // The log was restored since its head was read: its events do not go on where this cursor stands.
    if page.events.last().is_some_and(|event| event.epoch > head.epoch) {
        return Err(Problem::resync());
    }
    let through = page.events.last().map_or(after, |event| event.seq);
    let more = page.more || !page.events.is_empty() && through < head.seq;
    let events: Vec<EncodedEvent> = page.events.into_iter().filter(|event| wanted.takes(event, &caller)).collect();
    let range = Range { epoch: head.epoch, after, through, more };
    Ok(FeedPage::of(&headers, events, range).await?.response(|body| room.hold(body)))
}

/// Waits for events; false where none came in time, or the service stops.
async fn poll(api: &Api, caller: &Caller, follow: &mut Follow, wait: Duration) -> Result<bool, Problem> {
    let session = api.sessions.open(caller, SessionKind::LongPoll)?;
    // Events that came are shown to a key that is known to work, and to no other.
    let confirmed = async {
        follow.grown().await;
        session.confirmed().await;
    };
    tokio::select! {
        biased;
        ended = session.ended() => match ended {
            Ended::KeyGone => Err(Problem::unauthorized()),
            Ended::Unchecked => Err(Problem::no_database()),
        },
        () = confirmed => Ok(true),
        () = tokio::time::sleep(wait) => Ok(false),
        () = api.stop.cancelled() => Ok(false),
    }
}

/// What of the log an answer covers: after `after`, up to `through`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) epoch: i32,
    pub(super) after: Seq,
    pub(super) through: Seq,
    /// Whether there is more behind it.
    pub(super) more: bool,
}

/// A page of events, written in the form that the client asked for.
pub(super) struct FeedPage {
    kind: &'static str,
    /// For a form that has no place for it.
    cursor: Option<HeaderValue>,
    body: Vec<u8>,
}

impl FeedPage {
    /// Each event is copied once, into the body.
    pub(super) async fn of(headers: &HeaderMap, events: Vec<EncodedEvent>, range: Range) -> Result<Self, Problem> {
        let Range { epoch, after, through, more } = range;
        let cursor = Cursor { epoch, seq: through }.to_string();
        if headers.get(ACCEPT).is_some_and(|accept| accept == proto::CONTENT_TYPE) {
            let body = protobuf(events).await?;
            return Ok(Self { kind: proto::CONTENT_TYPE, cursor: HeaderValue::try_from(cursor).ok(), body });
        }
        let meta = json!({
            "cursor": cursor,
            "from_seq": after,
            "through_seq": through,
            "has_more": more,
        });
        let body = envelope::list("Changes were read.", events.iter().map(|event| &*event.body), &meta);
        Ok(Self { kind: "application/json", cursor: None, body })
    }

    /// The answer, with a body that `hold` makes of its bytes.
    pub(super) fn response(self, hold: impl FnOnce(Vec<u8>) -> Bytes) -> Response {
        let mut response = Response::new(Body::from(hold(self.body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response.headers_mut().extend(self.cursor.map(|cursor| (CURSOR, cursor)));
        response
    }
}

/// Length-delimited messages.
async fn protobuf(events: Vec<EncodedEvent>) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    let mut since_yield = 0;
    for event in events {
        since_yield += event.body.len();
        if since_yield > UNINTERRUPTED {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
        let decoded =
            event.decode().map_err(|error| crate::store::StoreError::corrupt("event", "body", event.id(), error))?;
        body.extend(proto::length_delimited(event.account, &decoded));
    }
    Ok(body)
}

pub(super) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let wrong = |_| invalid(Invalid::new("after", "Must be a cursor that this service gave out."));
    text.map(str::parse).transpose().map_err(wrong)
}

pub(super) fn position(cursor: Option<Cursor>, head: Head) -> Result<Option<Seq>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    if cursor.epoch != head.epoch || cursor.seq > head.seq {
        return Err(Problem::resync());
    }
    Ok(Some(cursor.seq))
}

pub(super) fn invalid(invalid: Invalid) -> Problem {
    Problem::invalid(&[invalid])
}
