//! The load itself: so many connections that create or read contacts at a fixed rate or as fast as they can.
//!
//! At a fixed rate (open loop) the arrivals are set beforehand, and a latency counts from the moment at which its
//! request was due, whether or not a connection was free by then: a service that stalls is charged for everything that
//! had to wait. Timers tick once a millisecond, and that wait is charged to the service too. As fast as they can
//! (closed loop), every connection sends as soon as it has its answer.
//!
//! One thread runs all connections. A broken connection is opened again until the load ends, and a request without an
//! answer is counted and never repeated: what became of it is unknown.

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

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// An arrival that is overdue by so much is given up: after an outage the load goes on, it does not catch up.
const OVERDUE: Duration = Duration::from_secs(5);
/// Before the next attempt to connect, and after an answer that refused a request.
const PAUSE: Duration = Duration::from_millis(50);
/// No load sends more than this.
const MOST: u64 = 3_000_000;

/// What a load is made with.
pub(crate) struct Generator {
    pub(crate) target: Target,
    pub(crate) requests: Requests,
    pub(crate) receipts: Option<Receipts>,
}

/// What is sent.
pub(crate) enum Requests {
    /// Contacts, each a new one, of the account at an index.
    Creates(Creates),
    /// Any of these, as they stand.
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

    /// The status of the answer that counts.
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
    /// The indices of the accounts, or of the reads, that take turns.
    pub(crate) accounts: Range<usize>,
    /// Arrivals per second; none for as fast as can be.
    pub(crate) rate: Option<f64>,
    /// Sent and answered, but neither counted in the rate nor in the latencies.
    pub(crate) warm_up: Duration,
    /// What is counted, after the warm-up.
    pub(crate) length: Duration,
    /// Ends the load early when so many requests have been sent.
    pub(crate) at_most: u64,
}

impl Load {
    /// A load that ends when its time is over.
    pub(crate) fn new(connections: usize, accounts: Range<usize>, length: Duration) -> Self {
        Self { connections, accounts, rate: None, warm_up: Duration::ZERO, length, at_most: MOST }
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

/// When each request is due, and whose it is.
struct Schedule {
    start: Instant,
    counted_from: Instant,
    end: Instant,
    rate: Option<f64>,
    accounts: Range<usize>,
    at_most: u64,
    next: AtomicU64,
}

struct PageRequest {
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
            at_most: load.at_most.min(MOST),
            next: AtomicU64::new(0),
        }
    }

    /// Waits for the next request that is due; none when the load is over.
    async fn turn(&self, shed: &mut u64) -> Option<PageRequest> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let now = Instant::now();
            let due = match self.rate {
                Some(rate) => self.start + Duration::from_secs_f64(number as f64 / rate),
                None => now,
            };
            if due >= self.end || now >= self.end + OVERDUE || number >= self.at_most {
                return None;
            }
            if due > now {
                sleep_until(due).await;
            } else if now - due > OVERDUE {
                *shed += 1;
                continue;
            }
            let account = self.accounts.start + number as usize % self.accounts.len().max(1);
            return Some(PageRequest { account, due });
        }
    }

    fn counts(&self, at: Instant) -> bool {
        self.counted_from <= at && at < self.end
    }

    /// Whether it ended by its number before its time.
    fn exhausted(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.at_most && Instant::now() < self.end
    }

    fn over(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// One connection and what it saw.
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
        while let Some(turn) = self.next_turn().await {
            self.generator.requests.write(turn.account, &mut request);
            let Some(mut connection) = self.connection.take() else { break };
            match timeout(PATIENCE, connection.exchange(&request)).await {
                Ok(Ok(answer)) => {
                    let (status, closes) = (answer.status, answer.closes);
                    self.record(&turn, &answer);
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

    /// A turn is taken only by a lane that has a connection to take it on.
    async fn next_turn(&mut self) -> Option<PageRequest> {
        while self.connection.is_none() {
            match timeout(PATIENCE, Connection::open(self.generator.target.address)).await {
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

    fn record(&mut self, turn: &PageRequest, answer: &Reply<'_>) {
        let now = Instant::now();
        *self.tally.statuses.entry(answer.status).or_default() += 1;
        if answer.status != self.generator.requests.expected() {
            return;
        }
        if let Some(receipts) = &self.generator.receipts {
            receipts.append(turn.account, answer.body);
        }
        let at = if self.schedule.rate.is_some() { turn.due } else { now };
        if self.schedule.counts(at) {
            self.tally.measured += 1;
            let waited = now.saturating_duration_since(turn.due).as_micros();
            self.tally.latencies.add(i64::try_from(waited).unwrap_or(i64::MAX));
        }
    }
}
