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

use super::changes::{FeedFilter, FeedState, cursor, invalid, position};
use crate::clock;
use crate::contract::Cursor;
use crate::domain::Seq;
use crate::feed::{EventPage, Follow, PageLimit};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::request::sessions::{Session, SessionKind};
use crate::http::response::problem::Problem;
use crate::store::StoreError;

/// A comment is sent at this interval, whatever else is sent, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most events and bytes of one read.
const CHUNK: PageLimit = PageLimit { events: 100, bytes: 64 << 10 };

/// A read that failed is retried after this time at the earliest, and after twice this time at the latest.
const AGAIN: Duration = Duration::from_secs(1);

/// A body of at least this length is sent without a copy, and shared between streams; a shorter one is copied into a
/// frame with others.
const SHARED: usize = 8 << 10;

pub(in crate::http) async fn open(
    State(state): State<Arc<FeedState>>,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = FeedFilter::of(&query).map_err(invalid)?;
    // The outermost layer refuses a value that is not ASCII.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let from = cursor(last.or_else(|| query.get("after")))?;
    let session = state.sessions.open(&caller, SessionKind::Stream)?;
    let (mut follow, head) = state.feed.follow(caller.account).await?.ok_or_else(Problem::unauthorized)?;
    // Without a cursor a stream begins at the end of the log: past events are read from `/changes`.
    follow.seek(position(from, head)?.unwrap_or(head.seq));
    let mut beat = interval_at(Instant::from_std(clock::instant() + HEARTBEAT), HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { state, caller, session, wanted, follow, epoch: head.epoch, beat, frames: VecDeque::new() };
    let frames = stream::unfold(reader, async |mut reader| {
        let frame = reader.next_frame().await?;
        Some((Ok::<_, Infallible>(frame), reader))
    });
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A stream's position in the log.
struct Reader {
    state: Arc<FeedState>,
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
    /// The next piece of the stream; `None` ends it, and the client reconnects with its cursor.
    async fn next_frame(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.frames.pop_front() {
            return Some(frame);
        }
        let Self { state, session, follow, beat, .. } = self;
        let page = tokio::select! {
            biased;
            () = state.stop.cancelled() => return None,
            _ = session.ended() => return None,
            _ = beat.tick() => return Some(Bytes::from_static(b":\n\n")),
            page = next_page(session, follow) => page,
        };
        match page {
            // The log was restored: it has no more events (an empty page), or they are of a newer epoch. The client
            // reconnects with a cursor of the previous epoch, and is refused with 410.
            Ok(page) if page.events.last().is_none_or(|last| last.epoch > self.epoch) => return None,
            Ok(page) => self.frames = self.chunk(&page),
            Err(error) => {
                tracing::warn!(account = %self.caller.account, error = %error, "read changes for stream failed; stream ends");
                return None;
            }
        }
        self.frames.pop_front()
    }

    /// Turns a page into at least one frame.
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
            // Every event was filtered out: the client's cursor advances all the same.
            let position = format!("id: {}\n\n", self.cursor(self.follow.position()));
            frames.text.extend_from_slice(position.as_bytes());
        }
        frames.finish()
    }

    fn cursor(&self, seq: Seq) -> Cursor {
        Cursor { epoch: self.epoch, seq }
    }
}

/// The next events, for a key that is known to work: the key is checked before they are read and again after, because
/// reading may take long. While the database cannot be reached, the read is retried until the session ends. Dropping
/// the future loses nothing.
async fn next_page(session: &Session, follow: &mut Follow) -> Result<EventPage, StoreError> {
    loop {
        follow.grown().await;
        session.key_works().await;
        match follow.next(CHUNK).await {
            Err(error) if error.is_transient() => {
                tracing::debug!(error = %error, "read changes for stream failed; will retry");
                tokio::time::sleep(AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
            }
            page => {
                session.key_works().await;
                return page;
            }
        }
    }
}

/// The pieces of a chunk.
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
