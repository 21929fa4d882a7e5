//! Live regions: parts of a page that the server sends again when they have changed (server-sent events).
//!
//! The session is checked before each look, so a stream ends soon after its user is signed out. The number of streams is
//! bounded per account.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use maud::Markup;

use super::error::{PageError, PageResult};
use super::session::ConsoleSession;
use super::state::Console;
use super::streams::StreamCount;
use crate::users::sign_in::SESSION_IDLE;

/// The pause between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks without a change after which a comment keeps the connection open.
const QUIET: u32 = 15;

/// The part of a page with this name, as it is now.
pub(crate) struct LivePart {
    /// The element with `data-live-part` of this name gets the markup.
    pub(crate) name: &'static str,
    pub(crate) markup: Markup,
}

struct LiveStream<F> {
    console: Arc<Console>,
    session: ConsoleSession,
    render: F,
    ticks: tokio::time::Interval,
    /// The markup that was sent last, by part.
    sent: HashMap<&'static str, String>,
    quiet: u32,
    _count: StreamCount,
}

/// Sends the parts that `render` makes whenever one has changed, at most once a second. The page shows the same parts when
/// it is loaded, so the first look sends them only if they differ.
pub(crate) fn stream<F, R>(console: &Arc<Console>, session: &ConsoleSession, render: F) -> PageResult
where
    F: Fn(Arc<Console>, ConsoleSession) -> R + Send + 'static,
    R: Future<Output = Result<Vec<LivePart>, PageError>> + Send + 'static,
{
    let busy = || PageError::Busy("Too many pages of this account are open. Close some.".to_owned());
    let count = console.streams.start(session.account).ok_or_else(busy)?;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let state = LiveStream {
        console: Arc::clone(console),
        session: session.clone(),
        render,
        ticks,
        sent: HashMap::new(),
        quiet: 0,
        _count: count,
    };
    let frames = stream::unfold(state, async |mut state| {
        let frame = state.next_frame().await?;
        Some((Ok::<_, Infallible>(frame), state))
    });
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl<F, R> LiveStream<F>
where
    F: Fn(Arc<Console>, ConsoleSession) -> R + Send + 'static,
    R: Future<Output = Result<Vec<LivePart>, PageError>> + Send + 'static,
{
    /// The next piece; `None` ends the stream, and the browser connects again, where it may.
    async fn next_frame(&mut self) -> Option<Bytes> {
        let stop = self.console.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                _ = self.ticks.tick() => {}
            }
            let token = &self.session.token;
            let active = self.console.store.session(token.account(), &token.hash(), SESSION_IDLE).await;
            // A user whose role has changed loads the page again, and gets what the new role permits.
            let is_same = active.ok()?.is_some_and(|active| {
                active.role == self.session.role && active.secure_api_limited == self.session.secure_api_limited
            });
            if !is_same {
                return None;
            }
            let parts = (self.render)(Arc::clone(&self.console), self.session.clone()).await.ok()?;
            let mut text = String::new();
            for LivePart { name, markup } in parts {
                let markup = markup.into_string();
                if self.sent.get(name) != Some(&markup) {
                    // Markup has no line breaks of its own; a value's are data on further lines.
                    let data = markup.replace('\r', "").replace('\n', "\ndata: ");
                    text.push_str(&["event: ", name, "\ndata: ", &data, "\n\n"].concat());
                    self.sent.insert(name, markup);
                }
            }
            if !text.is_empty() {
                self.quiet = 0;
                return Some(Bytes::from(text));
            }
            self.quiet += 1;
            if self.quiet >= QUIET {
                self.quiet = 0;
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }
}
