//! One connection, and the exchange of requests and responses on it.
//!
//! A connection of HTTP/1 has no task of its own: the attempt that uses it drives it, so that no attempt wakes another
//! task. Where a receiver closes an idle connection, that is seen when the connection is used or checked next.

use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::task::noop_waker_ref;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::header::HOST;
use hyper::rt::Executor as _;
use hyper::{Request, Response};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::clock::instant;
use crate::push::address::EndpointUrl;

/// A connection to a receiver, before HTTP is spoken on it.
pub(super) type Io = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The largest head of an answer, and the size of a connection's read buffer.
const HEAD_LIMIT: u32 = 16 * 1024;
/// Unread bytes of one response in transit: as many as are read of it at most.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Unread bytes of all responses on one HTTP/2 connection: one response alone cannot fill it.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Interval of pings on an HTTP/2 connection in use. Without them a dead connection would fail one delivery after the
/// other.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// A share in a connection of HTTP/2.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    /// One value per connection, so that it tells connections apart and counts the shares.
    opened_at: Arc<Instant>,
}

/// A connection that an attempt uses.
pub(super) enum Connection {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// A connection of HTTP/1, which makes progress only while [`Self::drive`] is polled.
pub(super) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<Io, Full<Bytes>>>,
    opened_at: Instant,
}

/// Begins HTTP on connections, with the limits of the client.
pub(super) struct Handshake {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Handshake {
    pub(super) fn new() -> Self {
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(HEAD_LIMIT as usize);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_LIMIT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { http1, http2 }
    }

    /// Begins HTTP/2 where the receiver chose it in the handshake of TLS, otherwise HTTP/1.
    pub(super) async fn over(&self, io: Io) -> hyper::Result<Connection> {
        if io.connected().is_negotiated_h2() {
            let (sender, driver) = self.http2.handshake(io).await?;
            // An error reaches the requests that it concerns.
            TokioExecutor::new().execute(async move { drop(driver.await) });
            return Ok(Connection::Http2(Http2 { sender, opened_at: Arc::new(instant()) }));
        }
        let (sender, driver) = self.http1.handshake(io).await?;
        Ok(Connection::Http1(Box::new(Http1 { sender, driver: Some(driver), opened_at: instant() })))
    }
}

impl Connection {
    /// Sends a request, and returns the head of its response. The error holds the request where nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        url: &EndpointUrl,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match self {
            Self::Http1(connection) => {
                request.uri_mut().clone_from(url.path());
                request.headers_mut().insert(HOST, url.host_header().clone());
                let response = connection.sender.try_send_request(request);
                connection.drive(response).await
            }
            Self::Http2(connection) => {
                request.uri_mut().clone_from(url.uri());
                request.headers_mut().remove(HOST);
                connection.sender.try_send_request(request).await
            }
        }
    }

    /// Completes work on the connection's response.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        match self {
            Self::Http1(connection) => connection.drive(work).await,
            Self::Http2(_) => work.await,
        }
    }
}

impl Http2 {
    pub(super) fn opened_at(&self) -> Instant {
        *self.opened_at
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// True for two shares in one connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.opened_at, &other.opened_at)
    }

    /// True for the only share: no attempt uses the connection.
    pub(super) fn is_idle(&self) -> bool {
        Arc::strong_count(&self.opened_at) == 1
    }
}

impl Http1 {
    pub(super) fn opened_at(&self) -> Instant {
        self.opened_at
    }

    async fn drive<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Makes progress. An error reaches the request that it concerns.
    fn poll(&mut self, cx: &mut Context<'_>) {
        let ended = self.driver.as_mut().is_some_and(|driver| driver.poll_unpin(cx).is_ready());
        if ended {
            self.driver = None;
        }
    }

    /// True where a request can be sent: the last response has ended, and the receiver has not closed the connection.
    pub(super) fn is_usable(&mut self) -> bool {
        self.poll(&mut Context::from_waker(noop_waker_ref()));
        self.driver.is_some() && self.sender.is_ready()
    }
}
