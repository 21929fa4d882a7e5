//! Two replicas as processes, their database and their NATS, and the faults that they suffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use unificus::clock::Clock;
use unificus::dev::services::Services;
use unificus::domain::AccountId;
use unificus::keys::{self, SecretKey, Terms};
use unificus::metrics::Metrics;
use unificus::secrets::MasterKeys;
use unificus::store::Store;
use unificus::store::audit::By;

use crate::connector::tests::{Delivery, Random, Service};
use crate::connector::{ListPage, Lookup, Op, OpResult, Page};
use crate::support::client::Reply;
use crate::support::servers::{Servers, TestEnv, binaries, directory};
use crate::support::service::account;
use crate::support::{Client, LONG, Receiver, Replica, until};

/// The subjects that the NATS servers let clients use.
const SUBJECT_ROOT: &str = "crm.v1";

/// The partners and the automation.
const ORIGINS: usize = 4;

pub(crate) struct Fleet {
    pub(crate) env: TestEnv,
    parts: Mutex<Parts>,
    /// A client of each replica that was started last, without an account.
    clients: std::sync::Mutex<Vec<Client>>,
    store: Store,
    /// Requests for a fault.
    fault_requests: AtomicU64,
}

/// Locked while one of them suffers a fault: faults come one after the other, and requests go on meanwhile.
struct Parts {
    services: Services,
    replicas: Vec<Replica>,
}

/// An account with a key per origin, and a webhook that gets every event.
pub(crate) struct Account {
    fleet: Arc<Fleet>,
    pub(crate) id: AccountId,
    secrets: Vec<String>,
    pub(crate) receiver: Receiver,
    calls: AtomicUsize,
    /// One of so many faults that are asked for happens.
    fault_share: u64,
    known: Mutex<Known>,
}

/// The part of an account's log that was read.
#[derive(Default)]
struct Known {
    events: Vec<Value>,
    cursor: Option<String>,
}

impl Fleet {
    pub(crate) async fn start() -> Arc<Self> {
        let services = Services::start(&directory("converge"), &binaries()).await.unwrap();
        let mut env = Servers::of(&services).await.env().await;
        // The names in the server's configuration.
        (env.stream, env.subject_root) = ("EVENTS".to_owned(), SUBJECT_ROOT.to_owned());
        let mut config = unificus::config::Config::default();
        env.database.clone_into(&mut config.database.url);
        let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
        let replicas = vec![start(&env, &services).await, start(&env, &services).await];
        let clients = replicas.iter().map(client).collect();
        let parts = Mutex::new(Parts { services, replicas });
        Arc::new(Self { env, parts, clients: std::sync::Mutex::new(clients), store, fault_requests: AtomicU64::new(0) })
    }

    pub(crate) async fn stop(self: Arc<Self>) {
        let Parts { services, replicas } = Arc::into_inner(self).expect("all accounts are done").parts.into_inner();
        drop(replicas);
        services.stop().await.unwrap();
    }

    /// A connection to NATS with the account's first key, once every replica executes commands.
    pub(crate) async fn log_in(&self, account: &Account) -> async_nats::Client {
        let parts = self.parts.lock().await;
        for replica in &parts.replicas {
            let is_on = async || replica.metrics().await.contains("unificus_nats_gateway_on 1");
            until("the gateway is on", is_on).await;
        }
        let (id, url) = (account.id, parts.services.nats.client_url());
        async_nats::ConnectOptions::with_token(format!("{id}:{}", account.secrets[0]))
            .custom_inbox_prefix(format!("_INBOX_{id}"))
            .connect(url)
            .await
            .expect("a key logs in")
    }

    /// Kills a replica or NATS and starts it again, or cuts the connections to the database.
    async fn disturb(&self, random: &mut Random) {
        let mut parts = self.parts.lock().await;
        match random.below(100) {
            0..25 => {
                let number = random.below(parts.replicas.len());
                parts.replicas[number].kill().await;
                parts.replicas[number] = start(&self.env, &parts.services).await;
                self.clients.lock().unwrap()[number] = client(&parts.replicas[number]);
            }
            25..50 => {
                parts.services.nats.kill().await.unwrap();
                parts.services.nats.restart().await.unwrap();
            }
            _ => {
                self.env.disconnect_database().await;
                self.env.reconnect_database().await;
            }
        }
    }

    /// A new account whose policies differ from field to field. One in `fault_share` faults that it asks for happens.
    pub(crate) async fn account(self: &Arc<Self>, fault_share: u64) -> Account {
        let (id, _) = account(&self.store).await;
        let mut secrets = Vec::new();
        for number in 0..ORIGINS {
            let secret = SecretKey::make("unificus");
            let key = keys::prepare(id, &secret, Terms::named(&format!("partner-{number}")), &MasterKeys::new(&[]));
            let by = By { actor: "test", at: Clock::system().now() };
            self.store.add_key(id, &key, by).await.unwrap();
            secrets.push(secret.text().to_owned());
        }
        let receiver = Receiver::start().await;
        let (fleet, calls, known) = (Arc::clone(self), AtomicUsize::new(0), Mutex::default());
        let account = Account { fleet, id, secrets, receiver, calls, fault_share, known };
        let policy = json!({"default": "incoming_wins",
            "fields": {"contact.home_phone": "existing_wins", "contact.shop_phone": "reject"}});
        account.until_done(Method::PUT, "/sync/policy", &policy.to_string()).await.expect(200);
        let endpoint = json!({"url": account.receiver.url(), "from": "start"});
        account.until_done(Method::POST, "/push/endpoints", &endpoint.to_string()).await.expect(201);
        account
    }
}

impl Account {
    /// A client of one of the replicas, in turn.
    pub(crate) fn client(&self, origin: usize) -> Client {
        let clients = self.fleet.clients.lock().unwrap();
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        clients[call % clients.len()].as_caller(self.id, &self.secrets[origin])
    }

    /// Repeats a request until it has a response that is no failure of the service.
    async fn until_done(&self, method: Method, path: &str, body: &str) -> Reply {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        let repeated = async {
            loop {
                match self.client(0).try_send(method.clone(), path, &[], body).await {
                    Ok(reply) if reply.status < 500 => return reply,
                    Ok(_) | Err(_) => pause.tick().await,
                };
            }
        };
        tokio::time::timeout(LONG, repeated).await.unwrap_or_else(|_| panic!("{method} {path} is not done"))
    }

    async fn get(&self, path: &str) -> Reply {
        self.until_done(Method::GET, path, "").await
    }

    /// Reads the log on from what is known.
    async fn read_on(&self, known: &mut Known) {
        loop {
            let after = known.cursor.as_ref().map(|cursor| format!("&after={cursor}")).unwrap_or_default();
            let page = self.get(&format!("/changes?limit=500{after}")).await;
            known.events.extend(page.expect(200).as_array().unwrap().iter().cloned());
            known.cursor = page.json["meta"]["cursor"].as_str().map(str::to_owned);
            if page.json["meta"]["has_more"] == json!(false) {
                return;
            }
        }
    }
}

impl Service for Account {
    async fn batch(&self, origin: usize, ops: &[Op], delivery: Delivery) -> Option<Vec<OpResult>> {
        if delivery == Delivery::LostRequest {
            return None;
        }
        let body = json!({"ops": ops}).to_string();
        let reply = self.client(origin).try_send(Method::POST, "/sync/batch", &[], &body).await.ok()?;
        if delivery == Delivery::LostResponse || reply.status >= 500 {
            return None;
        }
        Some(serde_json::from_value(reply.expect(200).clone()).unwrap())
    }

    async fn changes(&self, _: usize, after: Option<&str>, limit: usize) -> Page {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let reply = self.get(&format!("/changes?limit={limit}{after}")).await;
        let seqs = reply.expect(200).as_array().unwrap().iter().map(|event| event["data"]["seq"].as_u64());
        let (from, through) = (&reply.json["meta"]["from_seq"], &reply.json["meta"]["through_seq"]);
        let range = from.as_u64().unwrap() + 1..=through.as_u64().unwrap();
        assert!(seqs.eq(range.map(Some)), "a page without filters has every event of its range: {}", reply.text);
        serde_json::from_value(reply.json).unwrap()
    }

    async fn list(&self, _: usize, after: Option<String>) -> (ListPage, Option<String>) {
        let reply = self.get(&format!("/contacts?{}", after.as_deref().unwrap_or("limit=3"))).await;
        let records = reply.expect(200).as_array().unwrap().clone();
        let link = reply.json["meta"]["pagination"]["nextPage"].as_str();
        let next = link.map(|link| link.split_once('?').unwrap().1.to_owned());
        let as_of = reply.json["meta"]["as_of"].as_str().unwrap().to_owned();
        (ListPage { records, as_of, is_last: next.is_none() }, next)
    }

    async fn lookup(&self, _: usize, uid: &str) -> Lookup {
        let reply = self.get(&format!("/contact/{uid}")).await;
        match reply.status {
            410 => Lookup::Gone,
            404 => Lookup::Unknown,
            _ => Lookup::Live(reply.expect(200).clone()),
        }
    }

    async fn log(&self) -> Vec<Value> {
        let mut known = Known::default();
        self.read_on(&mut known).await;
        known.events
    }

    async fn newest(&self, count: usize) -> (usize, Vec<Value>) {
        let mut known = self.known.lock().await;
        self.read_on(&mut known).await;
        let events = &known.events;
        (events.len(), events[events.len().saturating_sub(count)..].to_vec())
    }

    async fn disturb(&self, random: &mut Random) -> u64 {
        if !self.fleet.fault_requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.fault_share) {
            return 0;
        }
        self.fleet.disturb(random).await;
        1
    }
}

/// A replica that lets clients log in to NATS.
async fn start(env: &TestEnv, services: &Services) -> Replica {
    let seed = services.nats.issuer_seed().reveal().expect("the private servers have a seed");
    let system_url = services.nats.system_url();
    let gateway = [("UNIFICUS_NATS__ISSUER_SEED", seed), ("UNIFICUS_NATS__SYSTEM_URL", &system_url)];
    Replica::start(env, &gateway).await
}

/// A client of a replica, without an account.
fn client(replica: &Replica) -> Client {
    replica.client(AccountId(uuid::Uuid::nil()), "")
}
