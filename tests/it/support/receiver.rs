//! A webhook receiver on loopback with configurable behaviour: `receiver.respond_with(503)`.
//!
//! The behaviour may be changed while it runs; it applies to the requests that arrive from then on. Requests
//! are recorded as soon as they have arrived whole, also those that get no response.

#![allow(dead_code, reason = "shared by test binaries, none of which needs every behaviour")]
#![allow(clippy::expect_used, reason = "a receiver that cannot behave as configured must end its test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{interval, timeout};

// The parent module provides the clock, because only `clock.rs` may read the time.
use super::instant;

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
    /// The status of the response; none where the request was left hanging or was reset.
    pub(crate) status: Option<u16>,
}

impl Received {
    /// A header's value as text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The receiver. It listens until it is dropped, which closes its connections too.
pub(crate) struct Receiver {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    behaviour: watch::Sender<Behaviour>,
    received: watch::Sender<Vec<Received>>,
    connections: watch::Sender<Connections>,
}

#[derive(Debug, Clone)]
enum Behaviour {
    Respond { status: u16, headers: HeaderMap, body: Bytes },
    Refuse(Arc<str>),
    Hang,
    Drip,
    Flood,
    Reset,
}

/// The number of connections: total, and currently open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) accepted: usize,
    pub(crate) open: usize,
}

impl Receiver {
    /// Listens on a free port of 127.0.0.1 and answers 200.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            behaviour: watch::Sender::new(responding(200, &[], "")),
            received: watch::Sender::default(),
            connections: watch::Sender::default(),
        });
        let listening = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, listening }
    }

    /// The URL for deliveries.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.addr)
    }

    /// The address of the listener.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers with this status and no body.
    pub(crate) fn respond_with(&self, status: u16) {
        self.behave(responding(status, &[], ""));
    }

    /// Answers with this status and these headers.
    pub(crate) fn respond_with_headers(&self, status: u16, headers: &[(&str, &str)]) {
        self.behave(responding(status, headers, ""));
    }

    /// Answers with this status and this body.
    pub(crate) fn respond_with_body(&self, status: u16, body: impl Into<Bytes>) {
        self.behave(responding(status, &[], body));
    }

    /// Answers 500 to the delivery with this `webhook-id`, however often it comes, and 200 to all others.
    pub(crate) fn refuse(&self, webhook_id: &str) {
        self.behave(Behaviour::Refuse(webhook_id.into()));
    }

    /// Takes requests and never answers.
    pub(crate) fn hang(&self) {
        self.behave(Behaviour::Hang);
    }

    /// Answers 200 at once with a body of one byte a second that never ends.
    pub(crate) fn drip(&self) {
        self.behave(Behaviour::Drip);
    }

    /// Answers 200 with a body that never ends, as fast as it is read.
    pub(crate) fn flood(&self) {
        self.behave(Behaviour::Flood);
    }

    /// Takes requests and answers with a TCP reset.
    pub(crate) fn reset(&self) {
        self.behave(Behaviour::Reset);
    }

    /// Answers 302 with this location.
    pub(crate) fn redirect(&self, to: &str) {
        self.behave(responding(302, &[(LOCATION.as_str(), to)], ""));
    }

    /// Answers 200 again.
    pub(crate) fn recover(&self) {
        self.respond_with(200);
    }

    /// Everything that has arrived, in order of arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// The requests that were answered 200, in order of arrival.
    pub(crate) fn accepted(&self) -> Vec<Received> {
        self.shared.received.borrow().iter().filter(|received| received.status == Some(200)).cloned().collect()
    }

    /// The number of arrivals of each `webhook-id`.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for received in self.shared.received.borrow().iter() {
            *counts.entry(received.header("webhook-id").to_owned()).or_default() += 1;
        }
        counts
    }

    /// All requests once there are at least `n`. Panics if there are fewer after `within`.
    pub(crate) async fn wait_for(&self, n: usize, within: Duration) -> Vec<Received> {
        let mut received = self.shared.received.subscribe();
        // `wait_for` returns a lock guard. `received` locks again and would deadlock while the guard is held.
        let reached = timeout(within, received.wait_for(|received| received.len() >= n)).await.map(drop);
        assert!(reached.is_ok(), "{} of {n} requests arrived within {within:?}", self.received().len());
        self.received()
    }

    /// The connections so far.
    pub(crate) fn connections(&self) -> Connections {
        *self.shared.connections.borrow()
    }

    /// Waits until exactly `n` connections are open. Panics if that takes longer than `within`.
    pub(crate) async fn wait_for_open(&self, n: usize, within: Duration) {
        let mut connections = self.shared.connections.subscribe();
        let reached = timeout(within, connections.wait_for(|connections| connections.open == n)).await.map(drop);
        assert!(reached.is_ok(), "{:?} instead of {n} open after {within:?}", self.connections());
    }

    /// Stops listening and closes all connections: later connections are refused.
    pub(crate) async fn stop(mut self) {
        self.listening.abort();
        let stopped = (&mut self.listening).await;
        assert!(stopped.is_err_and(|error| error.is_cancelled()), "it listened until now");
    }

    fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.send_replace(behaviour);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

fn responding(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Behaviour {
    let header = |(name, value): &(&str, &str)| {
        let name = name.parse::<HeaderName>().expect("a header's name");
        (name, value.parse::<HeaderValue>().expect("a header's value"))
    };
    Behaviour::Respond { status, headers: headers.iter().map(header).collect(), body: body.into() }
}

/// The connections live in this task's set, so that they all end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    shared.connections.send_modify(|connections| {
        connections.accepted += 1;
        connections.open += 1;
    });
    let service = service_fn(|request| Box::pin(handle(request, &shared)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let stream = connection.into_parts().io.into_inner();
    if ended.is_err_and(|error| error.is_user()) {
        // Without lingering a close is a reset.
        stream.set_zero_linger().expect("a socket takes the option");
    }
    drop(stream);
    shared.connections.send_modify(|connections| connections.open -= 1);
}

type ReceiverResponse = Response<BoxBody<Bytes, Infallible>>;

/// An error closes the connection without a response.
async fn handle(request: Request<Incoming>, shared: &Shared) -> io::Result<ReceiverResponse> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let behaviour = shared.behaviour.borrow().clone();
    let status = behaviour.status(&head.headers);
    let received = Received { method: head.method, headers: head.headers, body, at: instant(), status };
    shared.received.send_modify(|all| all.push(received));
    match behaviour {
        Behaviour::Respond { status, headers, body } => Ok(respond(status, headers, Full::new(body).boxed())),
        Behaviour::Refuse(_) => Ok(respond(status.unwrap_or(200), HeaderMap::new(), Full::default().boxed())),
        Behaviour::Drip => Ok(respond(200, HeaderMap::new(), dripping())),
        Behaviour::Flood => Ok(respond(200, HeaderMap::new(), flooding())),
        Behaviour::Hang => pending().await,
        Behaviour::Reset => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

impl Behaviour {
    fn status(&self, headers: &HeaderMap) -> Option<u16> {
        match self {
            Self::Respond { status, .. } => Some(*status),
            Self::Refuse(id) => Some(if headers.get("webhook-id").is_some_and(|it| *it == **id) { 500 } else { 200 }),
            Self::Drip | Self::Flood => Some(200),
            Self::Hang | Self::Reset => None,
        }
    }
}

fn respond(status: u16, headers: HeaderMap, body: BoxBody<Bytes, Infallible>) -> ReceiverResponse {
    let mut handle = Response::new(body);
    *handle.status_mut() = StatusCode::from_u16(status).expect("a status");
    *handle.headers_mut() = headers;
    handle
}

fn dripping() -> BoxBody<Bytes, Infallible> {
    let drops = stream::unfold(interval(Duration::from_secs(1)), |mut second| async {
        second.tick().await;
        Some((Ok(Frame::data(Bytes::from_static(b"."))), second))
    });
    StreamBody::new(drops).boxed()
}

fn flooding() -> BoxBody<Bytes, Infallible> {
    static WATER: [u8; 64 * 1024] = [b'~'; 64 * 1024];
    let waves = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&WATER))));
    StreamBody::new(waves).boxed()
}
