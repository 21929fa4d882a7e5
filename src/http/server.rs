//! Listening: connections with a cap, time limits and a graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::IntGauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::config::Http;
use crate::metrics::Metrics;

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A socket that is bound and not yet served.
pub struct Server {
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    head_timeout: Duration,
    metrics: Metrics,
}

impl Server {
    /// Takes the address, or says why it cannot be had.
    pub async fn bind(listen: SocketAddr, router: Router, config: &Http, metrics: Metrics) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(listen).await?,
            router,
            connections: Arc::new(Semaphore::new(config.max_connections)),
            head_timeout: Duration::from_secs(config.header_timeout_s),
            metrics,
        })
    }

    /// Where it listens: the port that the system chose, where port 0 was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`. Each connection is a task of `tasks`: after the stop it answers the request that it is at,
    /// and ends.
    pub async fn run(self, stop: CancellationToken, tasks: TaskTracker) {
        loop {
            // Beyond the cap connections wait in the listener's queue.
            let permit = tokio::select! {
                permit = Arc::clone(&self.connections).acquire_owned() => permit,
                () = stop.cancelled() => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: some will be given back.
                    tracing::warn!(error = %error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let connection = serve(stream, peer, self.router.clone(), self.head_timeout, stop.clone());
            let open = Open::new(self.metrics.http_connections.clone());
            tasks.spawn(async move {
                connection.await;
                drop((open, permit));
            });
        }
    }
}

/// Counts an open connection for as long as it lives, however it ends.
struct Open(IntGauge);

impl Open {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, head_timeout: Duration, stop: CancellationToken) {
    // An answer is written at once and whole; waiting to fill a packet would only delay it.
    let _best_effort = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(router.oneshot(accept(request, peer)).await.unwrap_or_default()) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(64 * 1024);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

fn accept(request: hyper::Request<Incoming>, peer: SocketAddr) -> Request {
    let mut request = request.map(Body::new);
    if let Some(uri) = single_slashes(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(Peer(peer));
    request
}

/// `/secure-api//contacts` is `/secure-api/contacts`: some clients join a base URL and a path with one slash each.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") {
        return None;
    }
    let mut collapsed = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !collapsed.ends_with('/') {
            collapsed.push(character);
        }
    }
    if let Some(query) = uri.query() {
        collapsed.push('?');
        collapsed.push_str(query);
    }
    collapsed.parse().ok()
}
