//! A client's socket under bounds.
//!
//! * A client that reads below the least pace loses its connection. Only waiting counts: a quiet stream of events has
//!   nothing to write.
//! * hyper responds to a request that it cannot parse by itself, without a body. Such a response is withheld here, so
//!   that the server can send a problem in its place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::pace::{Pace, TooSlow};
use crate::clock;

/// The state that a connection's socket shares with the service that responds to its requests.
#[derive(Debug, Default)]
pub(in crate::http) struct Conversation {
    answering: AtomicUsize,
    left_unread: AtomicBool,
    slow_body: AtomicBool,
}

impl Conversation {
    /// Marks a request as being answered until the guard is dropped, at the end of the response's body.
    pub(in crate::http) fn answer(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// The last request was answered before its body was read to the end: the client may still be sending it.
    pub(in crate::http) fn leave_unread(&self) {
        self.left_unread.store(true, Ordering::Relaxed);
    }

    pub(in crate::http) fn left_unread(&self) -> bool {
        self.left_unread.load(Ordering::Relaxed)
    }

    /// The body of a request did not arrive in time.
    pub(in crate::http) fn note_slow_body(&self) {
        self.slow_body.store(true, Ordering::Relaxed);
    }

    pub(in crate::http) fn had_slow_body(&self) -> bool {
        self.slow_body.load(Ordering::Relaxed)
    }

    fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(in crate::http) struct Answering(Arc<Conversation>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection's socket.
#[derive(Debug)]
pub(in crate::http) struct Socket {
    stream: TcpStream,
    conversation: Arc<Conversation>,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    too_slow: Option<TooSlow>,
    withheld: Option<u16>,
    at_end: bool,
}

impl Socket {
    pub(in crate::http) fn new(stream: TcpStream, pace: Pace, conversation: Arc<Conversation>) -> Self {
        Self { stream, conversation, pace, timer: None, too_slow: None, withheld: None, at_end: false }
    }

    pub(in crate::http) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The reason for which the connection was ended, where its client was too slow.
    pub(in crate::http) fn too_slow(&self) -> Option<TooSlow> {
        self.too_slow
    }

    /// The status of a response of hyper's own that was withheld.
    pub(in crate::http) fn withheld(&self) -> Option<u16> {
        self.withheld
    }

    /// Whether the client has closed its sending side.
    pub(in crate::http) fn is_at_end(&self) -> bool {
        self.at_end
    }

    fn written(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.pace.moved(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.noted(error))),
            Poll::Pending => Poll::Ready(Err(ready!(self.poll_too_slow(cx)))),
        }
    }

    /// Ready when the client has read too little for too long.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let look_again = match self.pace.wait(clock::instant()) {
                Ok(look_again) => look_again.into(),
                Err(too_slow) => {
                    self.too_slow = Some(too_slow);
                    return Poll::Ready(io::ErrorKind::TimedOut.into());
                }
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(look_again)));
            if timer.deadline() != look_again {
                timer.as_mut().reset(look_again);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }

    /// The system ends a connection whose client acknowledges nothing (`TCP_USER_TIMEOUT`).
    fn noted(&mut self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::TimedOut {
            self.too_slow.get_or_insert(TooSlow::Stalled);
        }
        error
    }

    /// Withholds a response of hyper's own. Between two requests nothing else is written but the end of a response.
    fn withholds(&mut self, first: &[u8]) -> bool {
        if self.conversation.is_answering() {
            return false;
        }
        let status = bare_refusal(first);
        self.withheld = self.withheld.or(status);
        status.is_some()
    }
}

/// The status of a whole response without a body to a request that cannot be parsed. Responses of the service have a
/// content type.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    // hyper's own responses are short; most writes are not.
    let bytes = Some(bytes).filter(|bytes| bytes.len() < 512)?;
    let head = std::str::from_utf8(bytes).ok()?.strip_prefix("HTTP/1.")?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_empty = lines.clone().any(|line| line == "content-length: 0");
    let has_type = lines.any(|line| line.starts_with("content-type:"));
    (matches!(status, 400 | 414 | 431) && is_empty && !has_type).then_some(status)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.at_end |= read.is_ok() && buffer.filled().len() == before;
        Poll::Ready(read.map_err(|error| self.noted(error)))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.withholds(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(first), None) = (filled.next(), filled.next())
            && self.withholds(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes after it has written everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pace.rest(clock::instant);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Does nothing: the server closes the connection after its last response.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::bare_refusal;

    #[test]
    fn an_answer_of_hypers_own_is_known_by_its_status_and_by_having_nothing_in_it() {
        let bare =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(bare_refusal(bare.as_bytes()), Some(431));
        for other in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n{}",
            "{\"detail\":\"HTTP/1.1 400\"}",
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}
