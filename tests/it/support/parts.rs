//! The parts of the service, each stepped by hand, for tests that end the process between two steps.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use unificus::broker::Broker;
use unificus::clock::{self, Clock};
use unificus::command::{CommandEnvelope, Lanes, Writer};
use unificus::contract::input::{self, InputKind};
use unificus::domain::AccountId;
use unificus::feed::Feed;
use unificus::metrics::Metrics;
use unificus::relay::Relay;
use unificus::shard::{Balance, Shards, Wakes};
use unificus::store::Store;
use unificus::sweep::Sweep;
use unificus::traces::Tracer;
use unificus::worker::{Step, Worker};

use super::client::lead;
use super::servers::TestEnv;

/// A replica whose workers run only when stepped. Dropping it is the end of the process.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) feed: Feed,
    pub(crate) shards: Shards,
    pub(crate) balance: Balance,
    pub(crate) relay: Relay,
    lanes: Lanes,
    sweep: Sweep,
    tasks: TaskTracker,
    killed: CancellationToken,
}

impl Parts {
    pub(crate) async fn start(env: &TestEnv) -> Self {
        let (config, clock, metrics) = (env.config(), Clock::system(), Metrics::new().unwrap());
        let store = Store::new(&config.database, config.commands.lane_count(), metrics.clone()).unwrap();
        let feed = Feed::new(store.clone(), 1 << 20);
        let broker = Broker::connect(&config.nats, &metrics).await.unwrap();
        while !broker.is_connected() || broker.connections() == 0 {
            tokio::task::yield_now().await;
        }
        let (shards, tasks, killed) = (Shards::default(), TaskTracker::new(), CancellationToken::new());
        let lanes = Lanes::new(&config.commands, Tracer::off());
        for writer in Writer::all(&lanes, &config.commands, &store, &clock, &feed, &broker.hints(), &metrics) {
            tasks.spawn(writer.run(killed.clone()));
        }
        let taken = Arc::new(Notify::new());
        let balance = Balance::new(
            store.clone(),
            shards.clone(),
            tasks.clone(),
            Wakes { taken: Arc::clone(&taken), lost: Vec::new() },
            broker.hints(),
            clock.clone(),
            metrics.clone(),
        );
        let sweep = Sweep::new(store.clone(), feed.clone(), clock.clone(), taken, metrics.clone());
        let relay = Relay::new(store.clone(), feed.clone(), broker, shards.clone(), clock, metrics, Tracer::off());
        Self { store, feed, shards, balance, relay, lanes, sweep, tasks, killed }
    }

    /// Appends a contact's creation to the log.
    pub(crate) async fn write(&self, account: AccountId, email: &str) {
        let command = input::create(InputKind::Contact, lead(email), &mut clock::fresh_uid).unwrap();
        let envelope = CommandEnvelope { bytes: 100, ..CommandEnvelope::new(account, "test".into(), command) };
        self.lanes.submit(envelope).await.unwrap();
    }

    /// Takes the shards and finds the accounts that are behind.
    pub(crate) async fn wake_up(&mut self) {
        Box::pin(until_idle(&mut self.balance)).await;
        Box::pin(until_idle(&mut self.sweep)).await;
    }

    pub(crate) async fn relay_all(&mut self) {
        // A lease that nobody renews ends after six seconds, and without one nothing is published.
        Box::pin(until_idle(&mut self.balance)).await;
        Box::pin(until_idle(&mut self.relay)).await;
        self.relay.finish().await.unwrap();
    }

    /// Ends the process, as seen from outside: its connections are closed, and it writes nothing more.
    pub(crate) async fn kill(self) {
        let Self { store, feed, shards, balance, relay, lanes, sweep, tasks, killed } = self;
        killed.cancel();
        drop((store, feed, shards, balance, relay, lanes, sweep));
        tasks.close();
        tasks.wait().await;
    }
}

pub(crate) async fn until_idle(worker: &mut impl Worker) {
    while worker.step().await.unwrap() == Step::Advanced {}
}
