//! A receiver with configurable behaviour that records its requests: events, latencies, repetitions, order.
//!
//! Endpoint `n` of a run sends to `/hook/n`. Requests that the sink answers 200 have arrived; the first arrival counts.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::book::{Book, Event};
use crate::arrivals::wall_clock_micros;

/// The behaviour of the sink.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// 200.
    Accept,
    /// 200 after this delay.
    Late(Duration),
    /// Not listening.
    Down,
    /// 503 to all.
    Unavailable,
    /// 500 to every fifth event, so that others are accepted in between and the endpoint does not count as failing.
    FailFifths,
    /// This share of the requests fails, drawn from the seed: by 500, by 503 or by a broken connection.
    Flaky { seed: u64, share: f64 },
    /// No response.
    Hang,
    /// 200, and a body of one byte a second.
    Drip,
    /// 200, and a body without end.
    Flood,
}

/// A running sink; it stops with its last handle.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    book: Arc<Mutex<Book>>,
    seen: Arc<Seen>,
}

/// Facts about the requests besides their events.
#[derive(Default)]
struct Seen {
    /// Connections that were accepted.
    connections: AtomicU64,
    /// The first delivery.
    sample: OnceLock<Sample>,
}

/// A delivery's request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The state that connections share.
#[derive(Clone)]
struct Shared {
    mode: watch::Receiver<Mode>,
    book: Arc<Mutex<Book>>,
    seen: Arc<Seen>,
}

impl Sink {
    /// Starts a sink on its own thread, for this many endpoints.
    pub(crate) async fn start(endpoints: usize, mode: Mode) -> Result<Self> {
        let book = Arc::new(Mutex::new(Book::new(endpoints)));
        let (mode, watched) = watch::channel(mode);
        let (ready, is_ready) = oneshot::channel();
        let seen = Arc::<Seen>::default();
        let shared = Shared { mode: watched, book: Arc::clone(&book), seen: Arc::clone(&seen) };
        let body = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("creating the sink's runtime")?.block_on(listen(shared, ready))
        };
        Builder::new().name("sink".to_owned()).spawn(body).context("starting the sink's thread")?;
        let address = is_ready.await.context("the sink ended before it listened")?;
        Ok(Self { address, mode, book, seen })
    }

    pub(crate) fn behave(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of connections that were opened to it.
    pub(crate) fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The first delivery.
    pub(crate) fn sample(&self) -> Option<Sample> {
        self.seen.sample.get().cloned()
    }

    /// Waits until `holds` is true, or nothing has arrived for `idle_timeout`. Returns whether it is true.
    pub(crate) async fn wait(&self, idle_timeout: Duration, holds: impl Fn(&Book) -> bool) -> bool {
        let mut quiet = Duration::ZERO;
        let pause = Duration::from_millis(20);
        let mut last = 0;
        while quiet < idle_timeout {
            {
                let book = self.book();
                if holds(&book) {
                    return true;
                }
                if book.arrived() > last {
                    (last, quiet) = (book.arrived(), Duration::ZERO);
                }
            }
            sleep(pause).await;
            quiet += pause;
        }
        false
    }
}

/// Runs until the last handle is dropped. While absent, it neither listens nor has connections.
async fn listen(mut shared: Shared, ready: oneshot::Sender<SocketAddr>) -> Result<()> {
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("binding the sink")?;
    let address = listener.local_addr().context("reading the sink's address")?;
    let _ = ready.send(address);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                shared.seen.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(accepted.context("accepting a delivery")?.0, shared.clone()));
                while connections.try_join_next().is_some() {}
            }
            changed = shared.mode.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                if *shared.mode.borrow_and_update() == Mode::Down {
                    drop(listener);
                    connections.shutdown().await;
                    if shared.mode.wait_for(|mode| *mode != Mode::Down).await.is_err() {
                        return Ok(());
                    }
                    listener = TcpListener::bind(address).await.context("binding the sink again")?;
                }
            }
        }
    }
}

type SinkResponse = Response<BoxBody<Bytes, Infallible>>;

async fn serve(stream: TcpStream, shared: Shared) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| handle(request, &shared));
    // A sender may disconnect at any time.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

/// An error breaks the connection.
async fn handle(request: Request<Incoming>, shared: &Shared) -> std::io::Result<SinkResponse> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let endpoint = path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or_default();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    shared.seen.sample.get_or_init(|| Sample {
        path: path.to_owned(),
        headers: head.headers.clone(),
        body: body.clone(),
    });
    let mode = *shared.mode.borrow();
    let (at, events) = (wall_clock_micros(), Event::of(&body));
    let lock = || shared.book.lock().unwrap_or_else(PoisonError::into_inner);
    match mode {
        Mode::Accept | Mode::Down => {}
        Mode::Late(latency) => sleep(latency).await,
        Mode::Unavailable => return status(503),
        Mode::FailFifths if events.iter().any(|event| event.seq % 5 == 0) => return status(500),
        Mode::FailFifths => {}
        Mode::Flaky { seed, share } => {
            let drawn = draw(seed, lock().count_request());
            if drawn < share {
                return match (drawn / share * 3.0) as u32 {
                    0 => status(500),
                    1 => status(503),
                    _ => Err(std::io::ErrorKind::ConnectionReset.into()),
                };
            }
        }
        Mode::Hang => return std::future::pending().await,
        Mode::Drip => return Ok(Response::new(dripping())),
        Mode::Flood => return Ok(Response::new(flooding())),
    }
    lock().take(endpoint, at, &events);
    Ok(Response::new(Empty::new().boxed()))
}

fn status(status: u16) -> std::io::Result<SinkResponse> {
    let mut handle = Response::new(Empty::new().boxed());
    *handle.status_mut() = hyper::StatusCode::from_u16(status).map_err(std::io::Error::other)?;
    Ok(handle)
}

/// The number at an index of the seed's sequence, in 0..1 (`SplitMix64`).
pub(crate) fn draw(seed: u64, index: u64) -> f64 {
    let mut x = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
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
    StreamBody::new(stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&WATER))))).boxed()
}
