//! `make soak`: faults under load, drawn from a seed, and then a check that every event arrived.
//!
//! Two replicas run on a private Postgres and NATS. Writers create contacts and change them; receivers fail at random;
//! and every few seconds a replica is killed, Postgres or NATS is killed and started again, or a receiver stops
//! listening. At the end all faults are over, and the log, which alone proves what was committed, is compared with the
//! events that every endpoint has received: each event at least once, and the first arrivals of a record's events in
//! order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::accounts::Account;
use crate::args::Args;
use crate::arrivals::wall_clock_micros;
use crate::contact::Target;
use crate::database;
use crate::figures::say;
use crate::push::endpoints;
use crate::push::sink::{Mode, Sink, draw};
use crate::push::stack::Stack;
use crate::push::writer::Writer;

const ACCOUNTS: usize = 10;
const REPLICAS: usize = 2;
/// Events per second of one account.
const RATE: f64 = 20.0;
/// The share of requests to which a receiver responds with a failure.
const FLAKY: f64 = 0.05;
/// The minimum and maximum time between two faults.
const CALM: (f64, f64) = (3.0, 9.0);
/// The time for which a receiver does not listen.
const DOWN: Duration = Duration::from_secs(4);
/// The remaining events count as lost when none has arrived for this long.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    ReplicaKilled(usize),
    PostgresKilled,
    PostgresRestarted,
    NatsKilled,
    ReceiverDown,
}

/// The result of the verification.
struct SoakResult {
    committed: u64,
    lost: u64,
}

struct Soak {
    stack: Stack,
    sink: Sink,
    accounts: Vec<Account>,
    flaky: Mode,
}

pub(crate) async fn run(args: &Args) -> Result<()> {
    let length = Duration::from_secs_f64(args.minutes * 60.0);
    let mut soak = Soak::start(args.seed).await?;
    let targets = (0..REPLICAS).map(|replica| soak.stack.target(replica)).collect::<Result<Vec<_>>>()?;
    let end = Instant::now() + length;
    let writing = soak.write(&targets, end);
    let faults = soak.cause_faults(args.seed, end).await?;
    let (mut answered, mut unanswered) = (0, 0);
    for writer in writing.join_all().await {
        answered += writer.answered;
        unanswered += writer.unanswered;
    }
    say(&format!("the load is over: {answered} writes answered, {unanswered} not; {} faults", faults.len()));
    let result = soak.verify(&targets).await?;
    let (duplicates, order_violations) = {
        let book = soak.sink.book();
        (book.duplicates, book.order_violations)
    };
    let count = |of: &[Fault]| faults.iter().filter(|fault| of.contains(fault)).count();
    let figures = json!({
        "minutes": args.minutes,
        "seed": args.seed,
        "replicas_killed": count(&[Fault::ReplicaKilled(0), Fault::ReplicaKilled(1)]),
        "postgres_killed": count(&[Fault::PostgresKilled]),
        "postgres_restarted": count(&[Fault::PostgresRestarted]),
        "nats_killed": count(&[Fault::NatsKilled]),
        "receiver_away": count(&[Fault::ReceiverDown]),
        "answered": answered,
        "unanswered": unanswered,
        "committed": result.committed,
        "lost": result.lost,
        "duplicates": duplicates,
        "order_violations": order_violations,
    });
    soak.stack.stop().await?;
    say(&figures.to_string());
    ensure!(result.committed >= answered, "{answered} writes were answered, {} are in the log", result.committed);
    ensure!(result.lost == 0, "{} events are lost", result.lost);
    ensure!(order_violations == 0, "{order_violations} events came before an earlier one of their record");
    Ok(())
}

impl Soak {
    async fn start(seed: u64) -> Result<Self> {
        let stack = Stack::start("soak", REPLICAS).await?;
        let accounts = stack.accounts("soak", ACCOUNTS).await?;
        let flaky = Mode::Flaky { seed, share: FLAKY };
        let sink = Sink::start(ACCOUNTS, flaky).await?;
        let target = stack.target(0)?;
        for (number, account) in accounts.iter().enumerate() {
            endpoints::make(&target, account, &sink, number, json!({})).await?;
        }
        Ok(Self { stack, sink, accounts, flaky })
    }

    fn write(&self, targets: &[Target], end: Instant) -> JoinSet<Writer> {
        let run = format!("{:x}", wall_clock_micros());
        let writer = |account: &Account| Writer::new(targets.to_vec(), account.clone(), run.clone());
        self.accounts.iter().map(|account| writer(account).run(RATE, end)).collect()
    }

    /// Causes one fault after the other until `end`, in the order of the seed.
    async fn cause_faults(&mut self, seed: u64, end: Instant) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for index in 0.. {
            let calm = CALM.0 + (CALM.1 - CALM.0) * draw(seed, 2 * index);
            let next = Instant::now() + Duration::from_secs_f64(calm);
            if next >= end {
                tokio::time::sleep_until(end).await;
                break;
            }
            tokio::time::sleep_until(next).await;
            let fault = Fault::of(draw(seed, 2 * index + 1));
            say(&format!("{fault:?} after {} events", self.sink.book().arrived()));
            self.cause(fault).await?;
            faults.push(fault);
        }
        Ok(faults)
    }

    async fn cause(&mut self, fault: Fault) -> Result<()> {
        let services = &mut self.stack.services;
        match fault {
            Fault::ReplicaKilled(number) => {
                self.stack.replicas.get_mut(number).context("there is no such replica")?.restart().await?;
            }
            Fault::PostgresKilled => {
                services.postgres.kill().await?;
                services.postgres.restart().await?;
            }
            Fault::PostgresRestarted => services.postgres.restart().await?,
            Fault::NatsKilled => {
                services.nats.kill().await?;
                services.nats.restart().await?;
            }
            Fault::ReceiverDown => {
                self.sink.behave(Mode::Down);
                sleep(DOWN).await;
                self.sink.behave(self.flaky);
            }
        }
        Ok(())
    }

    /// Waits for the remaining events, and compares them with the log. An event that failed several times on its own
    /// waits for minutes or hours. By the contract an outage ends that wait: the first success after it pulls every
    /// waiting retry forward. So each endpoint is refused once more, with one more event, and then served.
    async fn verify(&mut self, targets: &[Target]) -> Result<SoakResult> {
        self.sink.behave(Mode::Unavailable);
        let mut last = JoinSet::new();
        for account in &self.accounts {
            let writer = Writer::new(targets.to_vec(), account.clone(), format!("{:x}", wall_clock_micros()));
            last.spawn(writer.run(RATE, Instant::now()));
        }
        last.join_all().await;
        sleep(Duration::from_secs(2)).await;
        self.sink.behave(Mode::Accept);
        let heads = self.heads().await?;
        let committed = heads.iter().sum();
        let whole = self.sink.wait(IDLE_TIMEOUT, |book| {
            heads.iter().enumerate().all(|(endpoint, head)| book.missing(endpoint, *head) == 0)
        });
        whole.await;
        let book = self.sink.book();
        let lost = heads.iter().enumerate().map(|(endpoint, head)| book.missing(endpoint, *head)).sum();
        Ok(SoakResult { committed, lost })
    }

    /// The number of events in each account's log.
    async fn heads(&self) -> Result<Vec<u64>> {
        let client = database::connect(&self.stack.database_url()).await?;
        let mut heads = Vec::new();
        for account in &self.accounts {
            let sql = "select seq from head where account_id = $1::text::uuid";
            let row = client.query_one(sql, &[&account.public_id]).await?;
            heads.push(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default());
        }
        Ok(heads)
    }
}

impl Fault {
    fn of(drawn: f64) -> Self {
        match (drawn * 10.0) as u32 {
            0..=1 => Self::ReplicaKilled(0),
            2..=3 => Self::ReplicaKilled(1),
            4 => Self::PostgresKilled,
            5 => Self::PostgresRestarted,
            6..=7 => Self::NatsKilled,
            _ => Self::ReceiverDown,
        }
    }
}
