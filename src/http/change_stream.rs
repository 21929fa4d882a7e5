//! `/changes/stream`: the account's log as server-sent events.
//!
//! The next chunk is read when the client's connection has taken the last one, so a client that does not read holds one
//! chunk. A chunk has at most [`CHUNK`] or, where a single event is larger, that event.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::Api;
use super::auth::Caller;
use super::changes::{FeedFilter, cursor, invalid, position};
use super::extract::Query;
use super::problem::Problem;
use super::sessions::{Session, SessionKind};
use crate::clock;
use crate::contract::Cursor;
use crate::domain::Seq;
use crate::feed::{EventPage, Follow, PageLimit};
use crate::store::StoreError;

/// A comment goes out this often, whatever else does, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most that is read at once.
const CHUNK: PageLimit = PageLimit { events: 100, bytes: 64 << 10 };

/// A read that failed is repeated after this time, at most twice as long.
const AGAIN: Duration = Duration::from_secs(1);

/// A body of this length is sent as it stands in memory, where it may be shared; a shorter one is copied to others.
const SHARED: usize = 8 << 10;

pub(super) async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = FeedFilter::of(&query).map_err(invalid)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let from = cursor(last.or_else(|| query.get("after")))?;
    let session = api.sessions.open(&caller, SessionKind::Stream)?;
    let (mut follow, head) = api.feed.follow(caller.account).await?.ok_or_else(Problem::unauthorized)?;
    // Without a cursor a stream begins now: the past is read from the feed.
    follow.seek(position(from, head)?.unwrap_or(head.seq));
    let mut beat = interval_at(Instant::from_std(clock::instant() + HEARTBEAT), HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { api, caller, session, wanted, follow, epoch: head.epoch, beat, frames: VecDeque::new() };
    let frames = stream::unfold(reader, async |mut reader| {
        let frame = reader.next_frame().await?;
        Some((Ok::<_, Infallible>(frame), reader))
    });
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A client that follows the log.
struct Reader {
    api: Arc<Api>,
    caller: Caller,
    session: Session,
    wanted: FeedFilter,
    follow: Follow,
    epoch: i32,
    beat: Interval,
    /// The rest of the last chunk.
    frames: VecDeque<Bytes>,
}

impl Reader {
    /// The next piece of the stream; `None` ends it, and the client comes back with its cursor.
    async fn next_frame(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.frames.pop_front() {
            return Some(frame);
        }
        let Self { api, session, follow, beat, .. } = self;
        let page = tokio::select! {
            biased;
            () = api.stop.cancelled() => return None,
            _ = session.ended() => return None,
            _ = beat.tick() => return Some(Bytes::from_static(b":\n\n")),
            page = confirmed(session, follow) => page,
        };
        match page {
            // The log was restored: the client comes back with a cursor of the epoch before, and is told.
            Ok(page) if page.events.last().is_none_or(|last| last.epoch > self.epoch) => return None,
            Ok(page) => self.frames = self.chunk(&page),
            Err(error) => {
                tracing::warn!(account = %self.caller.account, error = %error, "stream of changes ended");
                return None;
            }
        }
        self.frames.pop_front()
    }

    /// Takes a page in: at least one frame.
    fn chunk(&mut self, page: &EventPage) -> VecDeque<Bytes> {
        let mut frames = Frames::default();
        for event in page.events.iter().filter(|event| self.wanted.takes(event, &self.caller)) {
            let id = self.cursor(event.seq).to_string();
            for part in ["id: ", &id, "\nevent: ", &event.kind(), "\ndata: "] {
                frames.text.extend_from_slice(part.as_bytes());
            }
            if event.body.len() < SHARED {
                frames.text.extend_from_slice(&event.body);
            } else {
                frames.share(event.body.clone());
            }
            frames.text.extend_from_slice(b"\n\n");
        }
        if let Some(last) = page.events.last() {
            self.follow.seek(last.seq);
        }
        if frames.is_empty() {
            // Everything was filtered out; the client's cursor may go on all the same.
            let position = format!("id: {}\n\n", self.cursor(self.follow.position()));
            frames.text.extend_from_slice(position.as_bytes());
        }
        frames.finish()
    }

    fn cursor(&self, seq: Seq) -> Cursor {
        Cursor { epoch: self.epoch, seq }
    }
}

/// The next events, for a key that is known to work: it is looked at before they are read, and again after, for reading
/// may have taken long. A database that is away is tried again until the session ends. Dropping the future loses nothing.
async fn confirmed(session: &Session, follow: &mut Follow) -> Result<EventPage, StoreError> {
    loop {
        follow.grown().await;
        session.confirmed().await;
        match follow.next(CHUNK).await {
            Err(error) if error.is_transient() => {
                tracing::debug!(error = %error, "reading changes for a stream failed; will retry");
                tokio::time::sleep(AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
            }
            page => {
                session.confirmed().await;
                return page;
            }
        }
    }
}

/// Pieces of a chunk.
#[derive(Default)]
struct Frames {
    done: VecDeque<Bytes>,
    text: BytesMut,
}

impl Frames {
    fn share(&mut self, body: Bytes) {
        self.done.push_back(self.text.split().freeze());
        self.done.push_back(body);
    }

    fn is_empty(&self) -> bool {
        self.done.is_empty() && self.text.is_empty()
    }

    fn finish(mut self) -> VecDeque<Bytes> {
        self.done.push_back(self.text.freeze());
        self.done
    }
}
