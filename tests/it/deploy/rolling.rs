//! A rolling upgrade under load, in short: a migration, and then every replica is replaced. `tests/attacks/upgrade.py` does
//! the same with the binary of the release before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::push_delivery::endpoint_at;
use crate::support::client::lead;
use crate::support::servers::Servers;
use crate::support::service::account;
use crate::support::{Client, Receiver, Replica, Service, stream, until};
use crate::upgrades::{EXPAND, migrate};

const WRITERS: usize = 4;
/// Writes between two steps of the upgrade.
const WRITES: usize = 40;

/// The clients of the replicas that get new requests, as a balancer keeps them.
#[derive(Clone, Default)]
struct Balancer(Arc<Mutex<Vec<Client>>>);

impl Balancer {
    fn set(&self, clients: &[&Client]) {
        *self.0.lock().unwrap() = clients.iter().map(|client| (*client).clone()).collect();
    }

    fn pick(&self, turn: usize) -> Client {
        let clients = self.0.lock().unwrap();
        clients[turn % clients.len()].clone()
    }
}

/// The outcomes of writes.
#[derive(Default)]
struct Outcomes {
    /// The uid of each contact whose creation got a response.
    receipts: Mutex<Vec<String>>,
    /// Responses by status; errors of a connection count as 0.
    statuses: Mutex<BTreeMap<u16, usize>>,
    /// Responses 503 without Retry-After, and everything else that is no success.
    failed: Mutex<Vec<String>>,
    written: AtomicUsize,
}

/// Creates contacts until it is stopped; repeats a write that got 503, as it says.
async fn write(number: usize, balancer: Balancer, outcomes: Arc<Outcomes>, stop: CancellationToken) {
    for turn in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let key = format!("{number}-{turn}");
        let body = lead(&format!("{key}@example.org")).to_string();
        loop {
            let client = balancer.pick(number + turn);
            let headers = [("idempotency-key", key.as_str())];
            let reply = client.try_send(Method::POST, "/contact", &headers, &body).await;
            let status = reply.as_ref().map_or(0, |reply| reply.status);
            *outcomes.statuses.lock().unwrap().entry(status).or_default() += 1;
            match reply {
                Ok(reply) if reply.status == 201 => {
                    outcomes.receipts.lock().unwrap().push(reply.uid());
                    outcomes.written.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Ok(reply) if reply.status == 503 && !reply.header("retry-after").is_empty() => {}
                Ok(reply) => outcomes.failed.lock().unwrap().push(reply.text),
                Err(error) => outcomes.failed.lock().unwrap().push(error),
            }
        }
    }
}

async fn until_written(outcomes: &Outcomes, more: usize) {
    let before = outcomes.written.load(Ordering::SeqCst);
    until("writes go on", async || outcomes.written.load(Ordering::SeqCst) >= before + more).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_upgrade_with_a_migration_fails_no_write_and_loses_none() {
    let env = Servers::get().env().await;
    let (id, secret) = account(&Service::store_of(&env)).await;
    let [mut first, mut second] = [Replica::start(&env, &[]).await, Replica::start(&env, &[]).await];
    let clients = [first.client(id, &secret), second.client(id, &secret)];
    let receiver = Receiver::start().await;
    endpoint_at(&clients[0], &receiver.url(), json!({})).await;
    let (balancer, outcomes, stop) = (Balancer::default(), Arc::new(Outcomes::default()), CancellationToken::new());
    balancer.set(&[&clients[0], &clients[1]]);
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(write(number, balancer.clone(), Arc::clone(&outcomes), stop.clone())))
        .collect();
    until_written(&outcomes, WRITES).await;

    migrate(&env, 9_001, "more", EXPAND).await;
    until_written(&outcomes, WRITES).await;
    let third = Replica::start(&env, &[]).await;
    balancer.set(&[&clients[1], &third.client(id, &secret)]);
    until_written(&outcomes, WRITES).await;
    first.stop().await;
    until_written(&outcomes, WRITES).await;
    let fourth = Replica::start(&env, &[]).await;
    balancer.set(&[&third.client(id, &secret), &fourth.client(id, &secret)]);
    until_written(&outcomes, WRITES).await;
    second.stop().await;
    until_written(&outcomes, WRITES).await;
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }

    assert_eq!(*outcomes.failed.lock().unwrap(), Vec::<String>::new(), "{:?}", outcomes.statuses.lock().unwrap());
    let receipts: BTreeSet<String> = outcomes.receipts.lock().unwrap().iter().cloned().collect();
    let log = third.client(id, &secret).changes().await;
    let logged: BTreeSet<String> = log.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect();
    assert_eq!((logged, log.len()), (receipts.clone(), receipts.len()), "every receipt is one event of the log");
    assert_eq!(stream::ids(&env, id, log.len()).await, stream::unbroken(id, log.len()));
    until("every event is delivered", async || receiver.counts().len() == log.len()).await;
    for replica in [third, fourth] {
        replica.signal(Signal::SIGTERM);
    }
}
