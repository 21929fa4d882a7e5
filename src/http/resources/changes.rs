//! `/changes`: the account's log, page by page.
//!
//! A page is bounded by events and by bytes, and has at least one event where there is any. Its bytes are in memory
//! once as events while they are read and once as the response; `in_flight` bounds the number of such responses.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json;

use crate::contract::{Cursor, EncodedEvent, proto};
use crate::domain::value::one_of;
use crate::domain::{Entity, Invalid, Seq};
use crate::feed::Feed;
use crate::feed::{EventPage, Follow, PageLimit};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::request::sessions::Sessions;
use crate::http::request::sessions::{SessionEnd, SessionKind};
use crate::http::response::envelope;
use crate::http::response::in_flight::InFlight;
use crate::http::response::problem::Problem;
use crate::store::log::Head;
use tokio_util::sync::CancellationToken;

/// The longest `wait`, in seconds. A longer one is refused with 422.
pub(in crate::http) const MAX_WAIT: u64 = 30;

/// The bytes of events that are decoded before other tasks run: about 1 ms.
const UNINTERRUPTED: usize = 64 << 10;

const CURSOR: HeaderName = HeaderName::from_static("x-cursor");

/// The state of the handlers of the log.
pub(in crate::http) struct FeedState {
    pub(in crate::http) feed: Feed,
    pub(in crate::http) sessions: Arc<Sessions>,
    pub(in crate::http) in_flight: Arc<InFlight>,
    /// The most bytes of events on a page, unless a single event is larger.
    pub(in crate::http) page_bytes: usize,
    /// Streams and waiting requests end when this is cancelled.
    pub(in crate::http) stop: CancellationToken,
}

/// The part of the log that a client asks for.
pub(in crate::http) struct FeedFilter {
    pub(in crate::http) entity: Option<Entity>,
    exclude_own: bool,
}

impl FeedFilter {
    pub(in crate::http) fn of(query: &Query) -> Result<Self, Invalid> {
        let entity = match query.get("entity") {
            None => None,
            Some(name) => match Entity::from_name(name) {
                Some(entity) => Some(entity),
                None => return Err(Invalid::new("entity", one_of(Entity::ALL.map(Entity::name)))),
            },
        };
        Ok(Self { entity, exclude_own: query.flag("exclude_own") })
    }

    pub(in crate::http) fn takes(&self, event: &EncodedEvent, caller: &Caller) -> bool {
        let own = self.exclude_own && *event.origin == *caller.origin;
        !own && self.entity.is_none_or(|entity| entity == event.entity)
    }
}

/// The parameters of a request.
pub(in crate::http) struct FeedRequest {
    pub(in crate::http) after: Option<Cursor>,
    pub(in crate::http) limit: usize,
    wait: Duration,
    pub(in crate::http) wanted: FeedFilter,
}

impl FeedRequest {
    pub(in crate::http) fn of(query: &Query) -> Result<Self, Problem> {
        let limit = query.number("limit", 1..=500, 100).map_err(invalid)?;
        let wait = query.number("wait", 0..=MAX_WAIT, 0).map_err(invalid)?;
        Ok(Self {
            after: cursor(query.get("after"))?,
            limit,
            wait: Duration::from_secs(wait),
            wanted: FeedFilter::of(query).map_err(invalid)?,
        })
    }
}

pub(in crate::http) async fn read(
    State(state): State<Arc<FeedState>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let FeedRequest { after, limit, wait, wanted } = FeedRequest::of(&query)?;
    let (head, after, is_due) = if wait.is_zero() {
        let head = state.feed.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
        (head, position(after, head)?.unwrap_or(Seq::ZERO), true)
    } else {
        let (mut follow, head) = state.feed.follow(caller.account).await?.ok_or_else(Problem::unauthorized)?;
        follow.seek(position(after, head)?.unwrap_or(Seq::ZERO));
        let is_due = follow.is_behind() || poll(&state, &caller, &mut follow, wait).await?;
        (head, follow.position(), is_due)
    };
    let room = state.in_flight.room(caller.account, state.page_bytes).await?;
    let page = if is_due {
        let limit = PageLimit { events: limit, bytes: state.page_bytes };
        state.feed.after(caller.account, after, limit).await?
    } else {
        EventPage { events: Vec::new(), more: false }
    };
    // The log was restored after its head was read, so its events do not continue from this cursor.
    if page.events.last().is_some_and(|event| event.epoch > head.epoch) {
        return Err(Problem::resync());
    }
    let through = page.events.last().map_or(after, |event| event.seq);
    let more = page.more || !page.events.is_empty() && through < head.seq;
    let events: Vec<EncodedEvent> = page.events.into_iter().filter(|event| wanted.takes(event, &caller)).collect();
    let range = Range { epoch: head.epoch, after, through, more };
    Ok(FeedPage::of(&headers, events, range).await?.response(|body| room.hold(body)))
}

/// Waits for events; returns false where none came in time, or the service is stopping.
async fn poll(state: &FeedState, caller: &Caller, follow: &mut Follow, wait: Duration) -> Result<bool, Problem> {
    let session = state.sessions.open(caller, SessionKind::LongPoll)?;
    // Events are sent only to a key that is known to work.
    let due = async {
        follow.grown().await;
        session.key_works().await;
    };
    tokio::select! {
        biased;
        ended = session.ended() => match ended {
            SessionEnd::KeyGone => Err(Problem::unauthorized()),
            SessionEnd::Unchecked => Err(Problem::no_database()),
        },
        () = due => Ok(true),
        () = tokio::time::sleep(wait) => Ok(false),
        () = state.stop.cancelled() => Ok(false),
    }
}

/// The part of the log that a page covers: after `after`, up to `through`.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Range {
    pub(in crate::http) epoch: i32,
    pub(in crate::http) after: Seq,
    pub(in crate::http) through: Seq,
    /// Whether the log has events behind it.
    pub(in crate::http) more: bool,
}

/// A page of events, encoded in the form that the client accepts.
pub(in crate::http) struct FeedPage {
    kind: &'static str,
    /// For protobuf, which has no envelope to put it into.
    cursor: Option<HeaderValue>,
    body: Vec<u8>,
}

impl FeedPage {
    /// Encodes a page. Each event is copied once, into the body.
    pub(in crate::http) async fn of(
        headers: &HeaderMap,
        events: Vec<EncodedEvent>,
        range: Range,
    ) -> Result<Self, Problem> {
        let Range { epoch, after, through, more } = range;
        let cursor = Cursor { epoch, seq: through }.to_string();
        if headers.get(ACCEPT).is_some_and(|accept| accept == proto::CONTENT_TYPE) {
            let body = protobuf(events).await?;
            let cursor = HeaderValue::try_from(cursor).map_err(|_| Problem::internal())?;
            return Ok(Self { kind: proto::CONTENT_TYPE, cursor: Some(cursor), body });
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

    /// The response, with a body that `hold` makes of the bytes.
    pub(in crate::http) fn response(self, hold: impl FnOnce(Vec<u8>) -> Bytes) -> Response {
        let mut response = Response::new(Body::from(hold(self.body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        response.headers_mut().extend(self.cursor.map(|cursor| (CURSOR, cursor)));
        response
    }
}

/// Encodes events as length-delimited protobuf messages.
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

pub(in crate::http) fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let wrong = |_| invalid(Invalid::new("after", "Must be a cursor that this service gave out."));
    text.map(str::parse).transpose().map_err(wrong)
}

pub(in crate::http) fn position(cursor: Option<Cursor>, head: Head) -> Result<Option<Seq>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    if cursor.epoch != head.epoch || cursor.seq > head.seq {
        return Err(Problem::resync());
    }
    Ok(Some(cursor.seq))
}

pub(in crate::http) fn invalid(invalid: Invalid) -> Problem {
    Problem::invalid(&[invalid])
}
