//! The listener: connections within bounds, and a graceful end.
//!
//! Every wait on a client has a bound. A bound that is reached is counted in `http_connections_bounded_total`: see
//! [`Bound`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::closing;
use super::exchange::{BodyBounds, exchange};
use super::pace::{Pace, TooSlow};
use super::peers::{CountedConnection, Peers};
use super::socket::{Conversation, Socket};
use crate::clock;
use crate::config::Http;
use crate::http::request::peer::Peer;
use crate::http::response::problem::Problem;
use crate::metrics::{GaugeGuard, Metrics};

/// The largest head of a request, in bytes. A larger one is refused with 431.
const MAX_HEAD: usize = 64 << 10;

/// The part of a response, in bytes, that the system buffers until the client reads it. It bounds the memory of slow
/// clients, and makes their progress visible in pieces small enough to measure their pace by.
const SEND_BUFFER: u32 = 128 << 10;

/// The connections that the system completes before they are accepted.
const BACKLOG: u32 = 1_024;

/// A body has this much less time than its request, so that there is time to respond to one that is too slow.
const FOR_THE_ANSWER: Duration = Duration::from_secs(5);

/// The log repeats that a limit of connections is reached at most once in this time.
const REMINDED: Duration = Duration::from_mins(1);

/// A bound on a connection, and a label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// No request came on a new or kept-alive connection.
    Idle,
    /// A request's head began and did not end.
    Head,
    /// A request's body did not arrive.
    Body,
    /// A client read nothing of a response.
    WriteStalled,
    /// A client read a response too slowly.
    WriteSlow,
    /// A client went on sending after the last response.
    Linger,
    /// An address has `http.connections_per_address` connections: another one is refused.
    Address,
    /// `http.max_connections` are open: further ones wait.
    Connections,
}

impl Bound {
    const ALL: [Self; 8] = [
        Self::Idle,
        Self::Head,
        Self::Body,
        Self::WriteStalled,
        Self::WriteSlow,
        Self::Linger,
        Self::Address,
        Self::Connections,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Body => "body",
            Self::WriteStalled => "write_stalled",
            Self::WriteSlow => "write_slow",
            Self::Linger => "linger",
            Self::Address => "address",
            Self::Connections => "connections",
        }
    }
}

/// A socket that is bound and not served yet.
pub(crate) struct Server {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    peers: Arc<Peers>,
    terms: Arc<Terms>,
}

/// The settings that all connections of a listener share.
struct Terms {
    router: Router,
    head_timeout: Duration,
    write_pace: Pace,
    #[cfg(target_os = "linux")]
    write_timeout: Duration,
    body: BodyBounds,
    metrics: Metrics,
}

impl Server {
    /// Binds the address.
    pub(crate) fn bind(listen: SocketAddr, router: Router, config: &Http, metrics: Metrics) -> std::io::Result<Self> {
        for bound in Bound::ALL {
            // Created at 0, so that an alert on the rate sees the first one.
            metrics.http_connections_bounded_total.with_label_values(&[bound.name()]);
        }
        let write_timeout = Duration::from_secs(config.write_timeout_s);
        let body = BodyBounds {
            pace: Pace::new(Duration::from_secs(config.body_timeout_s), config.min_bytes_per_s),
            whole: Duration::from_secs(config.request_timeout_s).saturating_sub(FOR_THE_ANSWER),
        };
        let terms = Terms {
            router,
            head_timeout: Duration::from_secs(config.header_timeout_s),
            write_pace: Pace::new(write_timeout, config.min_bytes_per_s),
            #[cfg(target_os = "linux")]
            write_timeout,
            body,
            metrics,
        };
        Ok(Self {
            listener: listen_at(listen)?,
            connections: Arc::new(Semaphore::new(config.max_connections)),
            peers: Peers::new(config.connections_per_address, &config.trusted_proxies),
            terms: Arc::new(terms),
        })
    }

    /// The bound address: with the port that the system chose, where port 0 was requested.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`. Each connection is a task of `tasks`: after the stop it finishes the request that it is
    /// serving, and ends.
    pub(crate) async fn run(self, stop: CancellationToken, tasks: TaskTracker) {
        let (mut all, mut one_address) = (Reminder::default(), Reminder::default());
        loop {
            let permit = tokio::select! {
                permit = self.permit(&mut all) => permit,
                () = stop.cancelled() => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely out of file descriptors, which are freed as connections end.
                    tracing::warn!(error = %error, "accept connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(counted) = self.peers.admit(peer.ip()) else {
                self.terms.refuse(&stream, peer, &mut one_address);
                continue;
            };
            let connection = serve(stream, peer, Arc::clone(&self.terms), stop.clone());
            let open = OpenConnection {
                _gauge: GaugeGuard::new(&self.terms.metrics.http_connections),
                _counted: counted,
                _permit: permit,
            };
            tasks.spawn(async move {
                connection.await;
                drop(open);
            });
        }
    }

    /// Beyond the limit connections wait in the listener's queue.
    async fn permit(&self, reminder: &mut Reminder) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() {
            return Some(permit);
        }
        self.terms.count(Bound::Connections);
        if reminder.is_due() {
            tracing::warn!("http.max_connections reached; further connections wait");
        }
        Arc::clone(&self.connections).acquire_owned().await.ok()
    }
}

fn listen_at(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As Tokio's own bind does: a restart need not wait for connections of the previous process.
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The last time at which the log said that a limit is reached.
#[derive(Default)]
struct Reminder(Option<Instant>);

impl Reminder {
    fn is_due(&mut self) -> bool {
        let now = clock::instant();
        let is_due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= REMINDED);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// An open connection, counted until it is dropped.
struct OpenConnection {
    _gauge: GaugeGuard,
    _counted: CountedConnection,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Terms {
    fn count(&self, bound: Bound) {
        self.metrics.http_connections_bounded_total.with_label_values(&[bound.name()]).inc();
    }

    /// Refuses a connection without a task or a wait: the client gets the reason if the system takes the message at
    /// once.
    fn refuse(&self, stream: &TcpStream, peer: SocketAddr, reminder: &mut Reminder) {
        self.count(Bound::Address);
        let problem = Problem::too_many_connections();
        self.count_answer(&problem);
        let _unless_gone = stream.try_write(&problem.message("/"));
        if reminder.is_due() {
            tracing::warn!(address = %peer.ip(), "http.connections_per_address reached; further connections are refused");
        }
    }

    /// Counts a response that no route gave.
    fn count_answer(&self, problem: &Problem) {
        let labels = ["none", "other", problem.status_text()];
        self.metrics.http_requests_total.with_label_values(&labels).inc();
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, terms: Arc<Terms>, stop: CancellationToken) {
    // Responses are written whole; waiting to fill a packet would only delay them.
    let _best_effort = stream.set_nodelay(true);
    #[cfg(target_os = "linux")]
    // The system ends a connection whose client acknowledges nothing, even after it was closed here.
    let _best_effort = SockRef::from(&stream).set_tcp_user_timeout(Some(terms.write_timeout));
    let conversation = Arc::new(Conversation::default());
    let socket = Socket::new(stream, terms.write_pace, Arc::clone(&conversation));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (terms, conversation) = (Arc::clone(&terms), Arc::clone(&conversation));
        async move {
            let answer = |request| answer(&terms, request, peer);
            Ok::<_, Infallible>(exchange(request, terms.body, &conversation, answer).await)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(terms.head_timeout);
    builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    let mut connection = builder.serve_connection(TokioIo::new(socket), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let http1::Parts { io, read_buf, .. } = connection.into_parts();
    close(&terms, io.into_inner(), &conversation, ended, !read_buf.is_empty()).await;
}

/// The router's response.
async fn answer(terms: &Terms, mut request: Request, peer: SocketAddr) -> Response {
    if let Some(uri) = single_slashes(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(Peer(peer));
    let Ok(response) = terms.router.clone().oneshot(request).await;
    response
}

/// Closes a connection that hyper has finished with.
async fn close(
    terms: &Terms,
    socket: Socket,
    conversation: &Conversation,
    ended: hyper::Result<()>,
    has_begun_a_head: bool,
) {
    if let Err(error) = &ended {
        tracing::debug!(error = %error, "connection ended early");
    }
    if let Some(too_slow) = socket.too_slow() {
        terms.count(match too_slow {
            TooSlow::Stalled => Bound::WriteStalled,
            TooSlow::Trickled => Bound::WriteSlow,
        });
        // Discards the system's buffer too: the client would not read it.
        let _unless_gone = socket.into_stream().set_zero_linger();
        return;
    }
    if conversation.had_slow_body() {
        terms.count(Bound::Body);
    }
    let problem = match (socket.withheld(), ended) {
        (Some(status), _) => Some(Problem::unreadable_head(status)),
        (None, Err(error)) if error.is_timeout() => {
            terms.count(if has_begun_a_head { Bound::Head } else { Bound::Idle });
            has_begun_a_head.then(Problem::slow_head)
        }
        (None, Ok(()) | Err(_)) => None,
    };
    let (is_at_end, mut stream) = (socket.is_at_end(), socket.into_stream());
    if let Some(problem) = &problem {
        terms.count_answer(problem);
        closing::refuse(&mut stream, problem).await;
    }
    if (problem.is_some() || conversation.left_unread()) && !is_at_end && !closing::linger(stream).await {
        terms.count(Bound::Linger);
    }
}

/// `/secure-api//contacts/` is `/secure-api/contacts`: some clients join a base URL and a path with one slash each, others
/// end every path with one. An escaped slash (`%2F`) is part of a segment and stays. `None` where the path is as it should be.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return None;
    }
    let mut collapsed = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !collapsed.ends_with('/') {
            collapsed.push(character);
        }
    }
    if collapsed.len() > 1 && collapsed.ends_with('/') {
        collapsed.pop();
    }
    if let Some(query) = uri.query() {
        collapsed.push('?');
        collapsed.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(collapsed.parse().ok()?);
    Uri::from_parts(parts).ok()
}
