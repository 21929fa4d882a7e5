//! `/changes`: the account's log, by pages or as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use serde_json::json;

use super::auth::Caller;
use super::authenticator::Claim;
use super::extract::Query;
use super::problem::Problem;
use super::{Api, envelope};
use crate::contract::{Cursor, Wire, proto};
use crate::domain::value::one_of;
use crate::domain::{Entity, Invalid, Seq};
use crate::feed::Follow;
use crate::store::log::Head;

/// The longest wait that a client may ask for, in seconds.
pub(super) const LONGEST_WAIT: i64 = 30;

/// A stream says something at least this often, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events of a stream that are read at once.
const STREAMED: usize = 100;

/// What of the log a client wants.
pub(super) struct Wanted {
    pub(super) entity: Option<Entity>,
    exclude_own: bool,
}

impl Wanted {
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

    fn takes(&self, event: &Wire, caller: &Caller) -> bool {
        let own = self.exclude_own && *event.origin == *caller.origin;
        !own && self.entity.is_none_or(|entity| entity == event.entity)
    }
}

/// What a client asks of the feed.
pub(super) struct Asked {
    pub(super) after: Option<Cursor>,
    pub(super) limit: usize,
    wait: Duration,
    pub(super) wanted: Wanted,
}

impl Asked {
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let limit = query.number("limit", 1..=500, 100).map_err(invalid)?;
        let wait = query.number("wait", 0..=LONGEST_WAIT, 0).map_err(invalid)?;
        Ok(Self {
            after: cursor(query.get("after"))?,
            limit: usize::try_from(limit).unwrap_or(1),
            wait: Duration::from_secs(u64::try_from(wait).unwrap_or(0)),
            wanted: Wanted::of(query).map_err(invalid)?,
        })
    }
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Asked { after, limit, wait, wanted } = Asked::of(&query)?;
    let head = head(&api, &caller).await?;
    let after = position(after, head)?.unwrap_or(Seq::ZERO);
    let events = if wait.is_zero() {
        api.feed.after(caller.account, after, limit).await?
    } else {
        let mut follow = api.feed.follow(caller.account, after);
        tokio::select! {
            events = follow.next(limit) => events?,
            () = tokio::time::sleep(wait) => Vec::new(),
            () = api.stop.cancelled() => Vec::new(),
        }
    };
    let through = events.last().map_or(after, |event| event.seq);
    let more = !events.is_empty() && through < head.seq;
    let events: Vec<Wire> = events.into_iter().filter(|event| wanted.takes(event, &caller)).collect();
    let range = Range { epoch: head.epoch, after, through, more };
    answer(&headers, &events, range)
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

/// These events, in the form that the client asked for.
pub(super) fn answer(headers: &HeaderMap, events: &[Wire], range: Range) -> Result<Response, Problem> {
    let Range { epoch, after, through, more } = range;
    let cursor = Cursor { epoch, seq: through }.to_string();
    if headers.get(ACCEPT).is_some_and(|accept| accept == proto::CONTENT_TYPE) {
        return protobuf(events, &cursor);
    }
    let meta = json!({
        "cursor": cursor,
        "from_seq": after,
        "through_seq": through,
        "has_more": more,
    });
    let data: Vec<&str> = events.iter().map(Wire::text).collect();
    Ok(envelope::success(StatusCode::OK, "Changes were read.", &format!("[{}]", data.join(",")), &meta))
}

/// Length-delimited messages; the cursor is a header, for there is no envelope.
fn protobuf(events: &[Wire], cursor: &str) -> Result<Response, Problem> {
    let mut body = Vec::new();
    for event in events {
        let decoded =
            event.decode().map_err(|error| crate::store::StoreError::corrupt("event", "body", event.id(), error))?;
        body.extend(proto::length_delimited(event.account, &decoded));
    }
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(proto::CONTENT_TYPE));
    if let Ok(cursor) = HeaderValue::from_str(cursor) {
        response.headers_mut().insert("x-cursor", cursor);
    }
    Ok(response)
}

pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Extension(claim): Extension<Claim>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Wanted::of(&query).map_err(invalid)?;
    let head = head(&api, &caller).await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // Without a cursor a stream begins now: whoever wants the past reads the feed first.
    let from = position(cursor(last.or_else(|| query.get("after")))?, head)?.unwrap_or(head.seq);
    let follow = api.feed.follow(caller.account, from);
    let epoch = head.epoch;
    let reader = Reader { api, caller, claim, wanted, follow, epoch };
    let chunks = stream::unfold(reader, async |mut reader| {
        let chunk = reader.next_chunk().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A client that follows the log.
struct Reader {
    api: Arc<Api>,
    caller: Caller,
    claim: Claim,
    wanted: Wanted,
    follow: Follow,
    epoch: i32,
}

impl Reader {
    /// The next piece of the stream; `None` ends it, and the client comes back with its cursor.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        let events = tokio::select! {
            events = self.follow.next(STREAMED) => events,
            () = tokio::time::sleep(HEARTBEAT) => return self.heartbeat().await,
            () = self.api.stop.cancelled() => return None,
        };
        let events = match events {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(error = %error, "a stream of changes ended");
                return None;
            }
        };
        let mut chunk = String::new();
        for event in events.iter().filter(|event| self.wanted.takes(event, &self.caller)) {
            let cursor = Cursor { epoch: self.epoch, seq: event.seq };
            for part in ["id: ", &cursor.to_string(), "\nevent: ", &event.kind(), "\ndata: ", event.text(), "\n\n"] {
                chunk.push_str(part);
            }
        }
        if chunk.is_empty() {
            // Everything was filtered out; the client's cursor may go on all the same.
            chunk = format!("id: {}\n\n", Cursor { epoch: self.epoch, seq: self.follow.position() });
        }
        Some(Bytes::from(chunk))
    }

    /// A comment, as long as the key is one: a stream may go on for days.
    async fn heartbeat(&self) -> Option<Bytes> {
        match self.api.authenticator.caller(&self.claim).await {
            Err(problem) if problem.is_unauthorized() => None,
            Ok(_) | Err(_) => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

async fn head(api: &Api, caller: &Caller) -> Result<Head, Problem> {
    api.store.head(caller.account).await?.ok_or_else(Problem::unauthorized)
}

fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let wrong = |_| invalid(Invalid::new("after", "Must be a cursor that this service gave out."));
    text.map(str::parse).transpose().map_err(wrong)
}

fn position(cursor: Option<Cursor>, head: Head) -> Result<Option<Seq>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    if cursor.epoch != head.epoch || cursor.seq > head.seq {
        return Err(Problem::resync());
    }
    Ok(Some(cursor.seq))
}

fn invalid(invalid: Invalid) -> Problem {
    Problem::invalid(&[invalid])
}
