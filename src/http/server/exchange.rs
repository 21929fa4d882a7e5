//! One request and its response on a connection: the body must keep arriving, and the response may precede its end.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use tokio::time::Sleep;

use super::pace::Pace;
use super::socket::{Answering, Conversation};
use crate::clock;
use crate::http::request::slow_body::SlowBody;

/// If a request was answered early and at most this much of its body is left, in bytes, the rest is read, so that the
/// connection can serve another request.
const READ_ON: u64 = 64 << 10;

/// The time to read such a rest.
const REST: Duration = Duration::from_millis(100);

type Frames = Option<Result<Frame<Bytes>, BoxError>>;
type BoxError = Box<dyn Error + Send + Sync>;

/// The bounds of a request's body.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyBounds {
    pub(in crate::http) pace: Pace,
    /// The time from the first wait for the body until its last byte.
    pub(in crate::http) whole: Duration,
}

/// A request's body, shared between its reader and the connection, which checks whether it was read to the end.
#[derive(Clone)]
pub(in crate::http) struct RequestBody(Arc<Mutex<Reading>>);

struct Reading {
    body: Incoming,
    pace: Pace,
    whole: Duration,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    state: State,
}

/// The progress of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Untouched,
    Begun,
    Read,
    TooSlow,
}

impl RequestBody {
    fn new(body: Incoming, bounds: BodyBounds) -> Self {
        let BodyBounds { pace, whole } = bounds;
        let state = if body.is_end_stream() { State::Read } else { State::Untouched };
        Self(Arc::new(Mutex::new(Reading { body, pace, whole, deadline: None, timer: None, state })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Reading) -> T) -> T {
        // A poisoned lock is of a request whose task has ended.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a short rest that is being sent.
    async fn read_on(&mut self, waits_for_continue: bool) -> State {
        let (state, left) = self.with(|reading| (reading.state, reading.body.size_hint().lower()));
        match state {
            State::Read | State::TooSlow => return state,
            // A client that waits for 100 Continue was not told to send, so there is nothing to read.
            State::Untouched if waits_for_continue => return state,
            State::Untouched | State::Begun if left > READ_ON => return state,
            State::Untouched | State::Begun => {}
        }
        let rest = async {
            let mut read = 0;
            while let Some(Ok(frame)) = self.frame().await {
                read += frame.data_ref().map_or(0, Bytes::len);
                if u64::try_from(read).is_ok_and(|read| read > READ_ON) {
                    break;
                }
            }
        };
        let _in_time = tokio::time::timeout(REST, rest).await;
        self.with(|reading| reading.state)
    }
}

impl Reading {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Frames> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.state = State::Begun;
            ready!(self.poll_too_slow(cx));
            self.state = State::TooSlow;
            return Poll::Ready(Some(Err(SlowBody.into())));
        };
        self.state = match &frame {
            None => State::Read,
            Some(Ok(frame)) => {
                self.pace.moved(frame.data_ref().map_or(0, Bytes::len));
                if self.body.is_end_stream() { State::Read } else { State::Begun }
            }
            Some(Err(_)) => State::Begun,
        };
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = clock::instant();
            let deadline = *self.deadline.get_or_insert(now + self.whole);
            let look_again = match self.pace.wait(now) {
                Ok(look_again) if now < deadline => look_again.min(deadline).into(),
                Ok(_) | Err(_) => return Poll::Ready(()),
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(look_again)));
            if timer.deadline() != look_again {
                timer.as_mut().reset(look_again);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.with(|reading| reading.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|reading| reading.state == State::Read)
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|reading| reading.body.size_hint())
    }
}

/// The body of a response. The request counts as being answered until it is dropped.
pub(in crate::http) struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Calls `answer` with the request, and marks the response where the connection must close after it.
pub(in crate::http) async fn exchange<F: Future<Output = Response>>(
    request: hyper::Request<Incoming>,
    bounds: BodyBounds,
    conversation: &Arc<Conversation>,
    answer: impl FnOnce(Request) -> F,
) -> hyper::Response<AnswerBody> {
    let answering = conversation.answer();
    let waits_for_continue = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let mut body = RequestBody::new(body, bounds);
    let shared = if body.is_end_stream() { Body::empty() } else { Body::new(body.clone()) };
    let mut response = answer(Request::from_parts(parts, shared)).await;
    let state = body.read_on(waits_for_continue).await;
    if state == State::TooSlow {
        conversation.note_slow_body();
    }
    if state != State::Read {
        conversation.leave_unread();
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| AnswerBody { body, _answering: answering })
}
