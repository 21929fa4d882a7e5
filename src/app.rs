//! Assembles the service: every long-lived task is started and stopped here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::audited::AuditedChanges;
use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::command::{LaneGauges, Lanes, Writer};
use crate::config::Config;
use crate::console::{self, Console, ConsoleParts};
use crate::domain::tier::Tiers;
use crate::erasure::{ErasureService, ErasureWorker, MemoryCleaner};
use crate::feed::{Expiry, Feed, Heads};
use crate::gateway::consumers::{ConsumerService, ConsumerUpkeep};
use crate::gateway::{Gateway, GatewayParts, Operations};
use crate::http::server::Server;
use crate::http::{self, Api, Dependencies};
use crate::keys::{Authenticator, KeyService, LastUsed};
use crate::lifecycle::Lifecycle;
use crate::memory::Trim;
use crate::metrics::Metrics;
use crate::push::address::AddressPolicy;
use crate::push::client::Client;
use crate::push::service::{EndpointLimits, EndpointService};
use crate::push::{
    AttemptDays, AttemptLog, ConcurrencyLimiter, CursorFlusher, DeliveryContext, EndpointGauges, EndpointSupervisor,
};
use crate::quota::{QuotaGauges, QuotaLimiter, ReservationWriter, RevisionReader};
use crate::relay::Relay;
use crate::search::SearchIndex;
use crate::secrets::MasterKeys;
use crate::shard::{Balance, Shards, Wakes};
use crate::store::Store;
use crate::sweep::{IdempotencyCleanup, Sweep};
use crate::traces::{Exporter, Tracer};
use crate::users::{MailQueue, Mailer, PasswordHasher, Users};
use crate::worker::{self, Worker};

/// The size of the latest events that are kept in memory, over all accounts.
const TAIL_BYTES: usize = 16 << 20;

/// The time that writers have for their last writes after the drain.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// A running service.
pub struct App {
    config: Config,
    address: SocketAddr,
    metrics_address: SocketAddr,
    lanes: Lanes,
    store: Store,
    limiter: QuotaLimiter,
    lifecycle: Lifecycle,
}

/// The parts that the tasks share.
struct Shared {
    config: Config,
    store: Store,
    feed: Feed,
    broker: Broker,
    shards: Shards,
    clock: Clock,
    metrics: Metrics,
    limiter: QuotaLimiter,
    last_used: LastUsed,
    authenticator: Authenticator,
    gateway: Gateway,
    erasures: ErasureService,
    lifecycle: Lifecycle,
    tracer: Tracer,
}

/// The services by which the API and the console change an account's endpoints and consumers.
struct AccountServices {
    endpoints: Arc<EndpointService>,
    consumers: Arc<ConsumerService>,
}

impl App {
    /// Checks the schema and the accounts' tiers, takes the ports, and starts.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let metrics = Metrics::new().context("cannot register the metrics")?;
        let store = Store::new(&config.database, config.commands.lane_count(), metrics.clone())?;
        store.check_schema().await?;
        check_tiers(&store, &config.quota.tiers).await?;
        set_clock(&store, &clock, &metrics).await?;
        let broker = Broker::connect(&config.nats, &metrics).await?;
        let (limiter, last_used) = (QuotaLimiter::new(config.quota.clone()), LastUsed::new(store.clone()));
        let authenticator = Authenticator::new(store.clone(), limiter.clone(), &config.brand.slug);
        let gateway = Gateway::new(GatewayParts {
            config: &config,
            broker: &broker,
            store: &store,
            clock: &clock,
            metrics: &metrics,
            authenticator: &authenticator,
            limiter: &limiter,
            last_used: &last_used,
        });
        let gateway = Box::pin(gateway).await?;
        let tracer = Tracer::new(&config.traces, &clock, &metrics);
        let shared = Shared {
            feed: Feed::new(store.clone(), TAIL_BYTES),
            shards: Shards::default(),
            erasures: ErasureService::new(store.clone()),
            limiter,
            last_used,
            authenticator,
            gateway,
            lifecycle: Lifecycle::default(),
            tracer,
            config,
            store,
            broker,
            clock,
            metrics,
        };
        let lanes = Lanes::new(&shared.config.commands, shared.tracer.clone());
        let (context, policy) = shared.delivery(&lanes)?;
        let services = AccountServices {
            endpoints: Arc::new(shared.endpoints(Arc::clone(&context), policy)),
            consumers: Arc::new(shared.consumers()),
        };
        let api = shared.api(&lanes, &services);
        let (console, mail_queue) = shared.console(&lanes, services, &api)?;
        let (http, metrics) = (&shared.config.http, &shared.metrics);
        let listen = |address, router| Server::bind(address, router, http, metrics.clone());
        let server = listen(http.listen, http::api_router(&api, console::router(&console)));
        let server = server.with_context(|| format!("cannot listen on http.listen {}", http.listen))?;
        let ops_address = shared.config.metrics.listen;
        let ops = listen(ops_address, http::ops_router(&api));
        let ops = ops.with_context(|| format!("cannot listen on metrics.listen {ops_address}"))?;
        let (address, metrics_address) = (server.address()?, ops.address()?);
        if let Some(exporter) = Exporter::new(&shared.tracer, &shared.config, metrics_address.to_string())? {
            // Ends last, because deliveries and lanes record spans until the hard stop.
            let run = worker::run(exporter, shared.lifecycle.hard.clone(), shared.metrics.clone());
            shared.lifecycle.spawn(Exporter::NAME, run);
        }

        shared.start_writers(&lanes);
        shared.start_workers(context);
        shared.run(api.key_check());
        shared.run(api.idle_credentials());
        shared.start_gateway(api.operations());
        let lifecycle = &shared.lifecycle;
        if let Some(queue) = mail_queue {
            lifecycle.spawn("mail", queue.run(lifecycle.soft.clone()));
        }
        for server in [server, ops] {
            lifecycle.connections.spawn(server.run(lifecycle.soft.clone(), lifecycle.connections.clone()));
        }
        tracing::info!(%address, %metrics_address, "serving");
        print_set_up_link(&console.users, &shared.config, address).await?;
        let Shared { config, store, limiter, lifecycle, .. } = shared;
        Ok(Self { config, address, metrics_address, lanes, store, limiter, lifecycle })
    }

    /// The API's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of metrics and health.
    #[must_use]
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// The service's tasks and its stop.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The lanes, for commands that do not come over HTTP.
    #[must_use]
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Stops in order: accepts no new connections, answers requests, executes commands and writes the last quota
    /// reservations. Tasks that do not end by the deadline are cut off; everything that was answered is in the log.
    pub async fn stop(self) -> anyhow::Result<()> {
        let deadline = Duration::from_secs(self.config.http.drain_timeout_s);
        let lifecycle = self.lifecycle;
        lifecycle.soft.cancel();
        let (answered, delivered) = tokio::join!(
            Lifecycle::drained(&lifecycle.connections, deadline),
            Lifecycle::drained(&lifecycle.deliveries, deadline),
        );
        if !(answered && delivered) {
            let (connections, endpoints) = (lifecycle.connections.len(), lifecycle.deliveries.len());
            tracing::warn!(connections, endpoints, "drain failed: connections and endpoints cut off at the deadline");
        }
        // No command can be submitted and no webhook delivered any more.
        lifecycle.hard.cancel();
        if !Lifecycle::drained(&lifecycle.tasks, LAST_WRITES).await {
            tracing::warn!(tasks = lifecycle.tasks.len(), "drain failed: tasks cut off at the deadline");
        }
        self.limiter.close();
        while self.limiter.reserve(&self.store).await.context("cannot reserve the last calls")? {}
        tracing::info!("stopped");
        Ok(())
    }
}

impl Shared {
    /// The parts that deliveries share, and the addresses that they may go to.
    fn delivery(&self, lanes: &Lanes) -> anyhow::Result<(Arc<DeliveryContext>, Arc<AddressPolicy>)> {
        let policy =
            AddressPolicy { allow_http: self.config.push.allow_http, allow: self.config.push.allow_networks.clone() };
        let policy = Arc::new(policy);
        // Enough for every delivery in flight to find the connection of the one before it.
        let max_idle = self.config.push.in_flight;
        let client = Arc::new(Client::new(Arc::clone(&policy), &self.config.user_agent(), max_idle)?);
        let limiter = ConcurrencyLimiter::new(self.config.push.in_flight);
        let attempts = AttemptLog::new(self.store.clone(), self.metrics.clone());
        let context = Arc::new(DeliveryContext {
            client,
            has_branded_agents: self.config.push.user_agent.is_empty(),
            store: self.store.clone(),
            feed: self.feed.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            flusher: CursorFlusher::new(self.metrics.clone()),
            attempts,
            limiter,
            masters: MasterKeys::new(&self.config.secrets.master_keys),
            lanes: lanes.clone(),
            tracer: self.tracer.clone(),
        });
        Ok((context, policy))
    }

    fn endpoints(&self, context: Arc<DeliveryContext>, policy: Arc<AddressPolicy>) -> EndpointService {
        let push = &self.config.push;
        let limits = EndpointLimits { per_account: push.endpoints_per_account, default_window: push.window };
        EndpointService::new(context, policy, self.broker.hints(), limits)
    }

    /// The parts that deliveries share.
    fn consumers(&self) -> ConsumerService {
        let changes = AuditedChanges {
            store: self.store.clone(),
            masters: MasterKeys::new(&self.config.secrets.master_keys),
            clock: self.clock.clone(),
        };
        ConsumerService::new(changes, self.broker.clone(), &self.config.nats.stream)
    }

    fn console(
        &self,
        lanes: &Lanes,
        services: AccountServices,
        api: &Api,
    ) -> anyhow::Result<(Arc<Console>, Option<MailQueue>)> {
        let masters = MasterKeys::new(&self.config.secrets.master_keys);
        let (mailer, mail_queue) = Mailer::new(&self.config.mail)?;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let console = Console::new(ConsoleParts {
            config: self.config.clone(),
            lanes: lanes.clone(),
            endpoints: services.endpoints,
            consumers: services.consumers,
            brands: api.brands(),
            users: Users::new(store.clone(), PasswordHasher::new()?, masters.clone(), clock.clone(), mailer),
            keys: KeyService::new(store.clone(), masters, &self.config.brand.slug),
            stop: self.lifecycle.soft.clone(),
            store,
            clock,
        });
        Ok((Arc::new(console), mail_queue))
    }

    fn api(&self, lanes: &Lanes, services: &AccountServices) -> Api {
        Api::new(Dependencies {
            config: self.config.clone(),
            lanes: lanes.clone(),
            store: self.store.clone(),
            feed: self.feed.clone(),
            broker: self.broker.clone(),
            limiter: self.limiter.clone(),
            last_used: self.last_used.clone(),
            clock: self.clock.clone(),
            tracer: self.tracer.clone(),
            metrics: self.metrics.clone(),
            authenticator: self.authenticator.clone(),
            gateway: self.gateway.status.clone(),
            endpoints: Arc::clone(&services.endpoints),
            consumers: Arc::clone(&services.consumers),
            erasures: self.erasures.clone(),
            stop: self.lifecycle.soft.clone(),
            failed: self.lifecycle.failed.clone(),
        })
    }

    fn start_writers(&self, lanes: &Lanes) {
        let hints = self.broker.hints();
        let writers =
            Writer::all(lanes, &self.config.commands, &self.store, &self.clock, &self.feed, &hints, &self.metrics);
        for writer in writers {
            self.lifecycle.spawn("lane", writer.run(self.lifecycle.hard.clone()));
        }
        self.run(LaneGauges::new(lanes.clone(), self.metrics.clone()));
    }

    fn start_workers(&self, context: Arc<DeliveryContext>) {
        let (taken, lost) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (store, metrics, clock) = (self.store.clone(), self.metrics.clone(), self.clock.clone());
        let (lifecycle, hard) = (&self.lifecycle, &self.lifecycle.hard);
        // These four end with the hard stop: until then others may ask them to write something.
        lifecycle.spawn("cursor-flusher", context.flusher.clone().run(hard.clone()));
        let reservations = ReservationWriter::new(self.limiter.clone(), store.clone());
        lifecycle.spawn(ReservationWriter::NAME, worker::run(reservations, hard.clone(), metrics.clone()));
        let revisions = self.limiter.revision_reader(store.clone());
        lifecycle.spawn(RevisionReader::NAME, worker::run(revisions, hard.clone(), metrics.clone()));
        lifecycle.spawn("attempt-log", context.attempts.clone().run(hard.clone()));
        let days = self.config.push.attempts_days;
        self.run(AttemptDays::new(store.clone(), days));
        self.run(context.client.idle_connections());
        self.run(Balance::new(
            store.clone(),
            self.shards.clone(),
            lifecycle.tasks.clone(),
            Wakes {
                taken: Arc::clone(&taken),
                lost: vec![self.feed.relay().wake(), self.feed.push().wake(), Arc::clone(&lost)],
            },
            self.broker.hints(),
            clock.clone(),
            metrics.clone(),
        ));
        self.run(Sweep::new(store.clone(), self.feed.clone(), clock.clone(), taken, metrics.clone()));
        let attempts = context.attempts.clone();
        self.run(MemoryCleaner::new(self.feed.clone(), attempts, self.shards.clone(), metrics.clone(), lost));
        self.run(ErasureWorker::new(store.clone(), self.broker.clone(), self.erasures.wake()));
        self.run(Heads::new(self.feed.clone()));
        self.run(Expiry::new(self.feed.clone()));
        self.run(Trim);
        self.run(IdempotencyCleanup::new(store.clone()));
        self.run(SearchIndex::new(store.clone()));
        self.run(self.last_used.clone());
        self.run(Relay::new(
            store.clone(),
            self.feed.clone(),
            self.broker.clone(),
            self.shards.clone(),
            clock,
            metrics.clone(),
            self.tracer.clone(),
        ));
        self.run(ConsumerUpkeep::new(self.store.clone(), self.broker.clone(), self.shards.clone()));
        self.run(EndpointSupervisor::new(
            context,
            self.shards.clone(),
            self.lifecycle.deliveries.clone(),
            self.lifecycle.soft.clone(),
        ));
        let tiers = self.config.quota.tiers.clone();
        self.run(EndpointGauges::new(store.clone(), metrics.clone()));
        self.run(QuotaGauges::new(store, metrics, tiers, self.config.metrics.top_accounts));
        lifecycle.spawn("hints", receive_hints(self.broker.clone(), self.feed.clone(), lifecycle.clone()));
    }

    /// Starts the gateway, where it is configured. Its tasks end with the soft stop; logins that are being checked are
    /// answered before.
    fn start_gateway(&self, operations: Operations) {
        let (lifecycle, gateway) = (&self.lifecycle, &self.gateway);
        let Some(desk) = &gateway.desk else {
            tracing::warn!("{}; everything else works", gateway.status);
            return;
        };
        let failed = |task: &'static str| {
            move |ended: Result<(), BrokerError>| {
                if let Err(error) = ended {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::error!(task, error, "subscribe to NATS failed; restart the service");
                }
            }
        };
        lifecycle.spawn("nats-logins", Arc::clone(desk).run(lifecycle.soft.clone()).map(failed("nats-logins")));
        // Commands are executed by the lanes, which end with the hard stop; deliveries have ended before.
        let ingress = Arc::clone(&gateway.ingress).run(operations, lifecycle.soft.clone());
        lifecycle.deliveries.spawn(ingress.map(failed("nats-commands")));
        self.run(gateway.status_check());
        if let Some(link) = &gateway.link {
            let follow = gateway.sessions.clone().follow(link.clone(), lifecycle.soft.clone());
            lifecycle.spawn("nats-connections", follow.map(failed("nats-connections")));
            self.run(gateway.session_check(link));
        }
    }

    fn run<W: Worker + 'static>(&self, worker: W) {
        self.lifecycle.spawn(W::NAME, worker::run(worker, self.lifecycle.soft.clone(), self.metrics.clone()));
    }
}

/// Logs the link of the first start, where the installation has neither an account nor a user. It is a secret of the log for
/// a day, and works once.
async fn print_set_up_link(users: &Users, config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    if !config.console.enabled {
        return Ok(());
    }
    let link = users.set_up_link().await.context("cannot make the link of the first start")?;
    if let Some(token) = link {
        // The configured address may leave the choice of the port to the system.
        let base = if config.console.url.is_empty() { format!("http://{address}") } else { config.console_url() };
        let link = format!("{base}{}/link/{}", console::PATH, token.text());
        tracing::info!(link, "first start: open the link to set up the console; it works once, for a day");
    }
    Ok(())
}

/// Sets the clock to the database's.
async fn set_clock(store: &Store, clock: &Clock, metrics: &Metrics) -> anyhow::Result<()> {
    let ahead = store.set_clock(clock).await?;
    metrics.clock_ahead_seconds.set(clock.system_ahead().as_seconds_f64());
    if ahead.abs() > time::Duration::SECOND {
        tracing::warn!(seconds_ahead = ahead.as_seconds_f64(), "system clock is wrong; the database's is used");
    }
    Ok(())
}

/// Refuses to start where accounts have tiers that the configuration lacks: their limits are not known.
async fn check_tiers(store: &Store, tiers: &Tiers) -> anyhow::Result<()> {
    let in_use = store.tiers_in_use().await?;
    let unknown = in_use.iter().filter(|(tier, _)| tiers.named(tier).is_none());
    let unknown: Vec<_> = unknown.map(|(tier, accounts)| format!("{tier} (accounts: {accounts})")).collect();
    ensure!(
        unknown.is_empty(),
        "accounts have tiers that quota.tiers lacks: {}; add these tiers, or move the accounts with `unificus account tier` \
         to one of {}",
        unknown.join(", "),
        tiers.names()
    );
    Ok(())
}

/// Wakes readers of accounts that other replicas wrote to.
async fn receive_hints(broker: Broker, feed: Feed, lifecycle: Lifecycle) {
    let hints = broker.hints();
    let listen = async {
        let mut subscription = hints.subscribe().await?;
        while let Some(accounts) = subscription.next().await {
            feed.written_elsewhere(&accounts);
        }
        Ok::<_, BrokerError>(())
    };
    tokio::select! {
        // The client subscribes again with each connection, so its end is an error even where it names none.
        ended = listen => {
            let error = ended.err().map(|error| format!("{:#}", anyhow::Error::new(error)));
            tracing::error!(error, "receive hints failed; readers see events of other replicas up to two seconds late");
        }
        () = lifecycle.soft.cancelled() => {}
    }
}
