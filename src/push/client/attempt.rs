//! One attempt: reads the response up to a limit, and derives the outcome from it.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use time::OffsetDateTime;

use super::connection::Connection;
use super::deadline::Deadline;
use super::failure::AttemptFailure;
use super::retry_after;
use crate::push::outcome::AttemptOutcome;

/// Bytes of a response's body that are read. After them the connection is closed.
pub(crate) const READ_LIMIT: usize = 64 * 1024;
/// Bytes of a response's body that are kept.
pub(crate) const KEEP_LIMIT: usize = 4 * 1024;

/// The result of an attempt.
#[derive(Debug)]
pub struct Attempt {
    /// The outcome for the delivery.
    pub outcome: AttemptOutcome,
    /// The answer's status, if there was a head of an answer.
    pub status: Option<u16>,
    /// The answer's `Retry-After`, whatever its status, at most 10 h.
    pub retry_after: Option<Duration>,
    /// The first [`KEEP_LIMIT`] bytes of the answer's body: any bytes, not only text.
    pub body: Bytes,
    /// How many bytes of the answer's body were read, at most [`READ_LIMIT`].
    pub bytes_read: usize,
    /// The reason why there is no complete response, as text for the endpoint's owner, at most 400 characters.
    pub error: Option<String>,
    /// Details of a host name without a usable address: for the operator alone.
    pub no_address: Option<String>,
    /// From the call to the end of the answer.
    pub elapsed: Duration,
}

impl Attempt {
    /// No head of an answer. The caller adds the time that it took.
    pub(super) fn without_answer(failure: AttemptFailure) -> Self {
        Self {
            outcome: AttemptOutcome::Failed(failure.reason),
            status: None,
            retry_after: None,
            body: Bytes::new(),
            bytes_read: 0,
            error: Some(failure.error),
            no_address: failure.no_address,
            elapsed: Duration::ZERO,
        }
    }

    /// Reads the answer to its end, to the limit or to the deadline. The caller adds the time that it took.
    ///
    /// A 2xx counts only with its whole body (RFC 9112 §8), or with as much of it as we cared to read: a
    /// receiver that drips must not look healthy. Any other status says more than the way its body ended.
    ///
    /// Returns, too, whether the whole answer was read, so that the connection can be used again.
    pub(super) async fn reading(
        response: Response<Incoming>,
        connection: &mut Connection,
        now: OffsetDateTime,
        deadline: Deadline,
    ) -> (Self, bool) {
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| retry_after::parse(value, now));
        let mut read = Read::default();
        let failure = deadline.hold(connection.drive(read.all_of(response.into_body()))).await.err();
        let outcome = match (AttemptOutcome::of_status(status, retry_after), &failure) {
            (AttemptOutcome::Delivered, Some(failure)) => AttemptOutcome::Failed(failure.reason),
            (outcome, _) => outcome,
        };
        let attempt = Self {
            outcome,
            status: Some(status),
            retry_after,
            body: read.kept.freeze(),
            bytes_read: read.bytes,
            error: failure.map(|failure| failure.error),
            no_address: None,
            elapsed: Duration::ZERO,
        };
        (attempt, read.is_whole)
    }
}

#[derive(Default)]
struct Read {
    kept: BytesMut,
    bytes: usize,
    /// The body was read to its end.
    is_whole: bool,
}

impl Read {
    /// Stops at the limit; dropping a body before its end closes the connection.
    async fn all_of(&mut self, mut body: Incoming) -> Result<(), AttemptFailure> {
        while self.bytes < READ_LIMIT {
            let Some(frame) = body.frame().await else {
                self.is_whole = true;
                break;
            };
            let frame = frame.map_err(|error| AttemptFailure::of_body(&error))?;
            if let Ok(bytes) = frame.into_data() {
                self.take(bytes);
            }
        }
        Ok(())
    }

    /// Copies what is kept: a slice would hold the whole of the connection's buffer.
    fn take(&mut self, bytes: Bytes) {
        self.bytes = READ_LIMIT.min(self.bytes + bytes.len());
        let room = KEEP_LIMIT.saturating_sub(self.kept.len());
        self.kept.put(bytes.take(room));
    }
}
