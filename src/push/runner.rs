//! Runs one endpoint's lane until it has nothing more to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::address::EndpointUrl;
use super::client::{Attempt, Client, Delivery};
use super::filter::Filter;
use super::keeping;
use super::lane::{Lane, Offer, Verdict};
use super::outcome::Outcome;
use super::place::{self, Stretch};
use super::saver::Saver;
use super::signature::{Secret, sign};
use crate::clock::Clock;
use crate::contract::Wire;
use crate::contract::event::CONTENT_TYPE;
use crate::domain::{Seq, Timestamp};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::secrets::MasterKeys;
use crate::shard::Lease;
use crate::store::Store;
use crate::store::endpoints::{Endpoint, Placed};
use crate::store::owner::Owner;

/// Events that are read at once.
const READ: usize = 128;

/// Bodies of undelivered events that a runner keeps.
const KEPT: usize = 2 * READ;

/// A runner that has nothing to do stays for so long, so that a steady trickle does not start one per event.
const LINGER: Duration = Duration::from_secs(5);

/// What all runners share.
#[expect(missing_docs, reason = "the names say it")]
pub struct Deliverer {
    pub client: Arc<Client>,
    pub store: Store,
    pub feed: Feed,
    pub clock: Clock,
    pub metrics: Metrics,
    pub saver: Saver,
    /// Deliveries in flight over all endpoints.
    pub in_flight: Semaphore,
    pub masters: MasterKeys,
}

/// One endpoint's deliveries, while there are any.
pub(super) struct Runner {
    deliverer: Arc<Deliverer>,
    owner: Arc<Owner>,
    /// Held as long as this shard is worked on.
    lease: Lease,
    endpoint: Arc<Target>,
    lane: Lane,
    /// Stretches of the log that are not sent again.
    passed: Vec<Stretch>,
    /// The events that the lane knows and that did not end yet, where they came from memory or the log.
    events: HashMap<Seq, Wire>,
    woken: Arc<Notify>,
    stop: CancellationToken,
}

/// Where an endpoint's deliveries go and how they are made.
struct Target {
    endpoint: Endpoint,
    url: EndpointUrl,
    /// Those that sign, and until when.
    secrets: Vec<(Secret, Option<Timestamp>)>,
    filter: Filter,
}

/// A delivery that ended.
struct Ended {
    event: Wire,
    attempts_before: u32,
    attempt: Attempt,
}

impl Runner {
    /// A runner that goes on from where the endpoint stands.
    pub(super) async fn new(
        deliverer: Arc<Deliverer>,
        owner: Arc<Owner>,
        lease: Lease,
        placed: Placed,
        woken: Arc<Notify>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let Placed { endpoint, place, passed, .. } = placed;
        let waiting = deliverer.store.waiting(endpoint.account, endpoint.endpoint_id).await?;
        let lane = Lane::new(place, waiting, endpoint.settings.window);
        let endpoint = Arc::new(Target::of(endpoint, &deliverer.masters)?);
        Ok(Self { deliverer, owner, lease, endpoint, lane, passed, events: HashMap::new(), woken, stop })
    }

    /// Delivers until there was nothing to do for a while, or until it is told to stop; then what is in flight is
    /// awaited.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut in_flight = FuturesUnordered::new();
        loop {
            let stopping = self.stop.is_cancelled();
            let mut more = false;
            if !stopping {
                more = self.fill().await?;
                while let Some((seq, attempts)) = self.lane.next(self.deliverer.clock.now()) {
                    let event = self.event(seq).await?;
                    in_flight.push(deliver(Arc::clone(&self.deliverer), Arc::clone(&self.endpoint), event, attempts));
                }
            }
            if let Some(save) = self.lane.take_save() {
                self.deliverer.saver.put(save, &self.owner, &self.lease);
            }
            if stopping && in_flight.is_empty() {
                return Ok(());
            }
            let now = self.deliverer.clock.now();
            let due = self.lane.next_at().map(|at| Duration::try_from(at - now).unwrap_or_default());
            let idle = in_flight.is_empty() && self.lane.is_idle() && !more;
            tokio::select! {
                Some(ended) = in_flight.next() => {
                    if self.ended(ended).await? == Verdict::Disable {
                        self.stop.cancel();
                    }
                }
                () = std::future::ready(()), if more => {}
                () = self.woken.notified(), if !stopping => {}
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() && !stopping => {}
                () = tokio::time::sleep(LINGER), if idle => return Ok(()),
                () = self.stop.cancelled(), if !stopping => {}
            }
        }
    }

    /// Gives the lane the next events of the log where it has room; whether there may be more for it.
    async fn fill(&mut self) -> anyhow::Result<bool> {
        if self.lane.room() == 0 {
            return Ok(false);
        }
        let account = self.endpoint.endpoint.account;
        let from = place::go_on(&self.passed, self.lane.read());
        let events = self.deliverer.feed.after(account, from, READ).await?;
        let full = events.len() == READ;
        let filter = &self.endpoint.filter;
        let wants = |event: &Wire| !place::is_passed(&self.passed, event.seq) && filter.wants(event);
        self.lane.offer(events.iter().map(|e| Offer { seq: e.seq, uid: e.uid, wanted: wants(e) }));
        // Beyond this bound a body is read from the log again when it is its turn.
        let room = KEPT.saturating_sub(self.events.len());
        let wanted = events.into_iter().filter(|event| wants(event)).take(room);
        self.events.extend(wanted.map(|event| (event.seq, event)));
        Ok(full && self.lane.room() > 0)
    }

    /// An event that failed long ago, or before a restart, is read from the log again.
    async fn event(&mut self, seq: Seq) -> anyhow::Result<Wire> {
        if let Some(event) = self.events.remove(&seq) {
            return Ok(event);
        }
        let account = self.endpoint.endpoint.account;
        let event = self.deliverer.store.event_at(account, seq).await?;
        event.ok_or_else(|| anyhow::anyhow!("event {account}:{seq} is not in the log"))
    }

    async fn ended(&mut self, Ended { event, attempts_before, attempt }: Ended) -> anyhow::Result<Verdict> {
        let now = self.deliverer.clock.now();
        let metrics = &self.deliverer.metrics;
        metrics.push_attempts_total.with_label_values(&[attempt.outcome.label()]).inc();
        if attempt.outcome == Outcome::Delivered {
            if attempts_before == 0 {
                metrics.write_to_webhook_seconds.observe((now - event.at).as_seconds_f64());
            }
        } else {
            let endpoint = &self.endpoint.endpoint;
            tracing::debug!(account = %endpoint.account, endpoint = %endpoint.endpoint_id, seq = %event.seq,
                outcome = attempt.outcome.label(), error = attempt.error, "delivery failed");
        }
        let verdict = self.lane.ended(event.seq, attempt.outcome, now, rand::random());
        if attempt.outcome != Outcome::Delivered && self.events.len() < KEPT {
            self.events.insert(event.seq, event);
        }
        if verdict == Verdict::Disable {
            let Endpoint { account, endpoint_id, .. } = &self.endpoint.endpoint;
            tracing::warn!(%account, endpoint = %endpoint_id, outcome = attempt.outcome.label(), "endpoint disabled");
            self.owner.disable_endpoint(*account, *endpoint_id).await?;
        }
        Ok(verdict)
    }
}

impl Target {
    fn of(endpoint: Endpoint, masters: &MasterKeys) -> anyhow::Result<Self> {
        let secrets = keeping::open_all(masters, &endpoint);
        Ok(Self {
            url: EndpointUrl::parse(&endpoint.settings.url)?,
            secrets: secrets.ok_or_else(|| anyhow::anyhow!("none of secrets.master_keys opens its secret"))?,
            filter: Filter::new(endpoint.settings.events.clone(), endpoint.settings.exclude_own.clone()),
            endpoint,
        })
    }

    /// Those of its secrets that sign now.
    fn live(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until)).map(|(secret, _)| secret)
    }
}

fn traceparent(event: &Wire) -> Vec<(HeaderName, HeaderValue)> {
    let value = event.traceparent().and_then(|text| HeaderValue::from_str(text).ok());
    value.map(|value| (HeaderName::from_static("traceparent"), value)).into_iter().collect()
}

async fn deliver(deliverer: Arc<Deliverer>, target: Arc<Target>, event: Wire, attempts_before: u32) -> Ended {
    // The semaphore is never closed; should it be, the delivery goes out all the same.
    let _permit = deliverer.in_flight.acquire().await;
    deliverer.metrics.push_in_flight.inc();
    let now = deliverer.clock.now();
    let (id, timestamp) = (event.id(), now.unix_timestamp());
    let attempt = deliverer
        .client
        .send(Delivery {
            url: &target.url,
            headers: &traceparent(&event),
            webhook_id: &id,
            timestamp,
            signature: &sign(target.live(now), &id, timestamp, &event.body),
            content_type: CONTENT_TYPE,
            body: event.body.clone(),
            timeout: target.endpoint.settings.timeout,
            now,
        })
        .await;
    deliverer.metrics.push_in_flight.dec();
    Ended { event, attempts_before, attempt }
}
