//! `make soak`: accidents under load, drawn from a seed, and then whether every event arrived.
//!
//! Two replicas on a private Postgres and NATS. Writers make contacts and change them; receivers fail at random, and
//! every few seconds a replica is killed, Postgres or NATS is killed and started again, or a receiver goes away. At the
//! end everything is well once more, and what is in the log, which alone says what was committed, is held against what
//! every endpoint has received: each event at least once, the first arrivals of a record's events in their order.

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
/// The share of requests that a receiver fails.
const FLAKY: f64 = 0.05;
/// From one accident to the next, at least and at most.
const CALM: (f64, f64) = (3.0, 9.0);
/// How long a receiver stays away.
const AWAY: Duration = Duration::from_secs(4);
/// What is left may take so long without one arrival.
const PATIENCE: Duration = Duration::from_mins(1);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Accident {
    ReplicaKilled(usize),
    PostgresKilled,
    PostgresRestarted,
    NatsKilled,
    ReceiverAway,
}

/// What the verification found.
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
    let until = Instant::now() + length;
    let writing = soak.write(&targets, until);
    let accidents = soak.suffer(args.seed, until).await?;
    let (mut answered, mut unanswered) = (0, 0);
    for writer in writing.join_all().await {
        answered += writer.answered;
        unanswered += writer.unanswered;
    }
    say(&format!("the load is over: {answered} writes answered, {unanswered} not; {} accidents", accidents.len()));
    let verdict = soak.verify(&targets).await?;
    let (duplicates, order_violations) = {
        let book = soak.sink.book();
        (book.duplicates, book.order_violations)
    };
    let count = |of: &[Accident]| accidents.iter().filter(|accident| of.contains(accident)).count();
    let figures = json!({
        "minutes": args.minutes,
        "seed": args.seed,
        "replicas_killed": count(&[Accident::ReplicaKilled(0), Accident::ReplicaKilled(1)]),
        "postgres_killed": count(&[Accident::PostgresKilled]),
        "postgres_restarted": count(&[Accident::PostgresRestarted]),
        "nats_killed": count(&[Accident::NatsKilled]),
        "receiver_away": count(&[Accident::ReceiverAway]),
        "answered": answered,
        "unanswered": unanswered,
        "committed": verdict.committed,
        "lost": verdict.lost,
        "duplicates": duplicates,
        "order_violations": order_violations,
    });
    soak.stack.stop().await?;
    say(&figures.to_string());
    ensure!(verdict.committed >= answered, "{answered} writes were answered, {} are in the log", verdict.committed);
    ensure!(verdict.lost == 0, "{} events are lost", verdict.lost);
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

    fn write(&self, targets: &[Target], until: Instant) -> JoinSet<Writer> {
        let run = format!("{:x}", wall_clock_micros());
        let writer = |account: &Account| Writer::new(targets.to_vec(), account.clone(), run.clone());
        self.accounts.iter().map(|account| writer(account).run(RATE, until)).collect()
    }

    /// One accident after the other until then, in the order that the seed gives.
    async fn suffer(&mut self, seed: u64, until: Instant) -> Result<Vec<Accident>> {
        let mut accidents = Vec::new();
        for place in 0.. {
            let calm = CALM.0 + (CALM.1 - CALM.0) * draw(seed, 2 * place);
            let next = Instant::now() + Duration::from_secs_f64(calm);
            if next >= until {
                tokio::time::sleep_until(until).await;
                break;
            }
            tokio::time::sleep_until(next).await;
            let accident = Accident::of(draw(seed, 2 * place + 1));
            say(&format!("{accident:?}, {} events so far", self.sink.book().arrived()));
            self.happen(accident).await?;
            accidents.push(accident);
        }
        Ok(accidents)
    }

    async fn happen(&mut self, accident: Accident) -> Result<()> {
        let services = &mut self.stack.services;
        match accident {
            Accident::ReplicaKilled(number) => {
                self.stack.replicas.get_mut(number).context("there is no such replica")?.restart().await?;
            }
            Accident::PostgresKilled => {
                services.postgres.kill().await?;
                services.postgres.restart().await?;
            }
            Accident::PostgresRestarted => services.postgres.restart().await?,
            Accident::NatsKilled => {
                services.nats.kill().await?;
                services.nats.restart().await?;
            }
            Accident::ReceiverAway => {
                self.sink.behave(Mode::Away);
                sleep(AWAY).await;
                self.sink.behave(self.flaky);
            }
        }
        Ok(())
    }

    /// Lets the rest arrive, and holds the log against it.
    ///
    /// An event that failed several times on its own waits for minutes or hours. An outage ends that by the contract:
    /// the first success after it pulls every waiting retry forward. So each endpoint is turned away once more, with
    /// one more event, and then served.
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
        let whole = self
            .sink
            .wait(PATIENCE, |book| heads.iter().enumerate().all(|(endpoint, head)| book.missing(endpoint, *head) == 0));
        whole.await;
        let book = self.sink.book();
        let lost = heads.iter().enumerate().map(|(endpoint, head)| book.missing(endpoint, *head)).sum();
        Ok(SoakResult { committed, lost })
    }

    /// How many events each account's log has.
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

impl Accident {
    fn of(chance: f64) -> Self {
        match (chance * 10.0) as u32 {
            0..=1 => Self::ReplicaKilled(0),
            2..=3 => Self::ReplicaKilled(1),
            4 => Self::PostgresKilled,
            5 => Self::PostgresRestarted,
            6..=7 => Self::NatsKilled,
            _ => Self::ReceiverAway,
        }
    }
}
