//! The load: connections that create or read contacts at a fixed rate or as fast as they can.
//!
//! At a fixed rate (open loop) the arrivals are scheduled beforehand, and a latency counts from the time at which its
//! request was due, whether or not a connection was free by then: a service that stalls is charged for every request
//! that had to wait. Timers tick once a millisecond, and that delay is charged to the service too. As fast as they can
//! (closed loop), every connection sends as soon as it has its response.
//!
//! One thread runs all connections. A broken connection is opened again until the load ends. A request without a
//! response is counted and never repeated, because its outcome is unknown.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::connection::{Connection, Reply};
use crate::contact::{Creates, Target};
use crate::receipts::Receipts;
use crate::tally::Tally;

/// The timeout of a response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An arrival that is overdue by this much is given up: after an outage the load continues at its rate, without
/// catching up.
const OVERDUE: Duration = Duration::from_secs(5);
/// The delay before the next attempt to connect, and after a response that refused a request.
const PAUSE: Duration = Duration::from_millis(50);
/// The maximum number of requests of a load.
const MAX_REQUESTS: u64 = 3_000_000;

/// The shared parts of a load.
pub(crate) struct Generator {
    pub(crate) target: Target,
    pub(crate) requests: Requests,
    pub(crate) receipts: Option<Receipts>,
}

/// The requests to send.
pub(crate) enum Requests {
    /// New contacts, for the account at an index.
    Creates(Creates),
    /// Prepared requests, chosen by index.
    Reads(Vec<Vec<u8>>),
}

impl Requests {
    fn write(&self, index: usize, request: &mut Vec<u8>) {
        match self {
            Self::Creates(creates) => creates.write(index, request),
            Self::Reads(reads) => {
                request.clear();
                request.extend_from_slice(reads.get(index).map_or(b"".as_slice(), Vec::as_slice));
            }
        }
    }

    /// The status of a successful response.
    fn expected(&self) -> u16 {
        match self {
            Self::Creates(_) => 201,
            Self::Reads(_) => 200,
        }
    }
}

/// One load.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    /// The indices of the accounts, or of the reads, to send in turn.
    pub(crate) accounts: Range<usize>,
    /// Arrivals per second; `None` is as fast as possible.
    pub(crate) rate: Option<f64>,
    /// The warm-up: sent and answered, but counted neither in the rate nor in the latencies.
    pub(crate) warm_up: Duration,
    /// The measured time, after the warm-up.
    pub(crate) length: Duration,
    /// Ends the load early when this many requests have been sent.
    pub(crate) max_requests: u64,
}

impl Load {
    /// A load that ends by its time.
    pub(crate) fn new(connections: usize, accounts: Range<usize>, length: Duration) -> Self {
        Self { connections, accounts, rate: None, warm_up: Duration::ZERO, length, max_requests: MAX_REQUESTS }
    }
}

/// Runs one load to its end.
pub(crate) async fn run(generator: &Arc<Generator>, load: &Load) -> Result<Tally> {
    let schedule = Arc::new(Schedule::new(load));
    let mut tasks = JoinSet::new();
    for _ in 0..load.connections {
        let worker = Worker {
            generator: Arc::clone(generator),
            schedule: Arc::clone(&schedule),
            tally: Tally::default(),
            connection: None,
        };
        tasks.spawn(worker.run());
    }
    let mut tally = Tally { expected: generator.requests.expected(), length: load.length, ..Tally::default() };
    while let Some(worker) = tasks.join_next().await {
        tally.merge(worker.context("a connection's task ended in a panic")?);
    }
    if schedule.exhausted() {
        tally.length = Instant::now().saturating_duration_since(schedule.counted_from);
    }
    Ok(tally)
}

/// When each request is due, and for which account or read.
struct Schedule {
    start: Instant,
    counted_from: Instant,
    end: Instant,
    rate: Option<f64>,
    accounts: Range<usize>,
    max_requests: u64,
    next: AtomicU64,
}

struct DueRequest {
    account: usize,
    due: Instant,
}

impl Schedule {
    fn new(load: &Load) -> Self {
        let start = Instant::now();
        let counted_from = start + load.warm_up;
        Self {
            start,
            counted_from,
            end: counted_from + load.length,
            rate: load.rate,
            accounts: load.accounts.clone(),
            max_requests: load.max_requests.min(MAX_REQUESTS),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for the next request that is due; `None` when the load is over.
    async fn turn(&self, shed: &mut u64) -> Option<DueRequest> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let now = Instant::now();
            let due = match self.rate {
                Some(rate) => self.start + Duration::from_secs_f64(number as f64 / rate),
                None => now,
            };
            if due >= self.end || now >= self.end + OVERDUE || number >= self.max_requests {
                return None;
            }
            if due > now {
                sleep_until(due).await;
            } else if now - due > OVERDUE {
                *shed += 1;
                continue;
            }
            let account = self.accounts.start + number as usize % self.accounts.len().max(1);
            return Some(DueRequest { account, due });
        }
    }

    fn counts(&self, at: Instant) -> bool {
        self.counted_from <= at && at < self.end
    }

    /// Whether the load ended by its number of requests before its time.
    fn exhausted(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.max_requests && Instant::now() < self.end
    }

    fn over(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// One connection and its tally.
struct Worker {
    generator: Arc<Generator>,
    schedule: Arc<Schedule>,
    tally: Tally,
    connection: Option<Connection>,
}

impl Worker {
    async fn run(mut self) -> Tally {
        let mut request = Vec::with_capacity(2_048);
        let expected = self.generator.requests.expected();
        while let Some(turn) = self.next_request().await {
            self.generator.requests.write(turn.account, &mut request);
            let Some(mut connection) = self.connection.take() else { break };
            match timeout(TIMEOUT, connection.exchange(&request)).await {
                Ok(Ok(response)) => {
                    let (status, closes) = (response.status, response.closes);
                    self.record(&turn, &response);
                    self.connection = (!closes).then_some(connection);
                    if status != expected {
                        sleep(PAUSE).await;
                    }
                }
                Ok(Err(_)) => self.tally.cut += 1,
                Err(_) => self.tally.timed_out += 1,
            }
        }
        self.tally
    }

    /// A request is taken only by a connection that is open.
    async fn next_request(&mut self) -> Option<DueRequest> {
        while self.connection.is_none() {
            match timeout(TIMEOUT, Connection::open(self.generator.target.address)).await {
                Ok(Ok(connection)) => self.connection = Some(connection),
                Ok(Err(_)) | Err(_) if self.schedule.over() => return None,
                Ok(Err(_)) | Err(_) => {
                    self.tally.unreachable += 1;
                    sleep(PAUSE).await;
                }
            }
        }
        self.schedule.turn(&mut self.tally.shed).await
    }

    fn record(&mut self, turn: &DueRequest, response: &Reply<'_>) {
        let now = Instant::now();
        *self.tally.statuses.entry(response.status).or_default() += 1;
        if response.status != self.generator.requests.expected() {
            return;
        }
        if let Some(receipts) = &self.generator.receipts {
            receipts.append(turn.account, response.body);
        }
        let at = if self.schedule.rate.is_some() { turn.due } else { now };
        if self.schedule.counts(at) {
            self.tally.measured += 1;
            let waited = now.saturating_duration_since(turn.due).as_micros();
            self.tally.latencies.add(i64::try_from(waited).unwrap_or(i64::MAX));
        }
    }
}
