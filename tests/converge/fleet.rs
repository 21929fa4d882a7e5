//! Two replicas as processes, their database and their NATS, and the faults that they suffer.

use std::sync::atomic::{AtomicUsize, Ordering};

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
use crate::support::{Client, LONG, Receiver, Replica};

/// The partners and the automation.
const ORIGINS: usize = 4;

pub(crate) struct Fleet {
    pub(crate) env: TestEnv,
    services: Mutex<Services>,
    replicas: Mutex<Vec<Replica>>,
    store: Store,
}

/// An account with a key per origin, and a webhook that gets every event.
pub(crate) struct Account<'a> {
    fleet: &'a Fleet,
    pub(crate) id: AccountId,
    secrets: Vec<String>,
    pub(crate) receiver: Receiver,
    calls: AtomicUsize,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        let services = Services::start(&directory("converge"), &binaries()).await.unwrap();
        let env = Servers::of(&services).await.env().await;
        let mut config = unificus::config::Config::default();
        env.database.clone_into(&mut config.database.url);
        let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
        let replicas = vec![Replica::start(&env, &[]).await, Replica::start(&env, &[]).await];
        Self { env, services: Mutex::new(services), replicas: Mutex::new(replicas), store }
    }

    pub(crate) async fn stop(self) {
        drop(self.replicas);
        self.services.into_inner().stop().await.unwrap();
    }

    /// A new account whose policies differ from field to field.
    pub(crate) async fn account(&self) -> Account<'_> {
        let (id, _) = account(&self.store).await;
        let mut secrets = Vec::new();
        for number in 0..ORIGINS {
            let secret = SecretKey::make("unificus");
            let key = keys::prepare(id, &secret, Terms::named(&format!("partner-{number}")), &MasterKeys::new(&[]));
            let by = By::new("test", Clock::system().now());
            self.store.add_key(id, &key, by).await.unwrap();
            secrets.push(secret.text().to_owned());
        }
        let receiver = Receiver::start().await;
        let account = Account { fleet: self, id, secrets, receiver, calls: AtomicUsize::new(0) };
        let policy = json!({"default": "incoming_wins",
            "fields": {"contact.home_phone": "existing_wins", "contact.shop_phone": "reject"}});
        account.until_done(Method::PUT, "/sync/policy", &policy.to_string()).await.expect(200);
        let endpoint = json!({"url": account.receiver.url(), "from": "start"});
        account.until_done(Method::POST, "/push/endpoints", &endpoint.to_string()).await.expect(201);
        account
    }
}

impl Account<'_> {
    /// A client of one of the replicas, in turn.
    pub(crate) async fn client(&self, origin: usize) -> Client {
        let replicas = self.fleet.replicas.lock().await;
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        replicas[call % replicas.len()].client(self.id, &self.secrets[origin])
    }

    /// Repeats a request until it has a response that is no failure of the service.
    async fn until_done(&self, method: Method, path: &str, body: &str) -> Reply {
        let repeated = async {
            loop {
                let client = self.client(0).await;
                match client.try_send(method.clone(), path, &[], body).await {
                    Ok(reply) if reply.status < 500 => return reply,
                    Ok(_) | Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(LONG, repeated).await.unwrap_or_else(|_| panic!("{method} {path} is not done"))
    }

    async fn get(&self, path: &str) -> Reply {
        self.until_done(Method::GET, path, "").await
    }
}

impl Service for Account<'_> {
    async fn batch(&self, origin: usize, ops: &[Op], delivery: Delivery) -> Option<Vec<OpResult>> {
        if delivery == Delivery::LostRequest {
            return None;
        }
        let body = json!({"ops": ops}).to_string();
        let reply = self.client(origin).await.try_send(Method::POST, "/sync/batch", &[], &body).await.ok()?;
        if delivery == Delivery::LostResponse || reply.status >= 500 {
            return None;
        }
        Some(serde_json::from_value(reply.expect(200).clone()).unwrap())
    }

    async fn changes(&self, _: usize, after: Option<&str>, limit: usize) -> Page {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let reply = self.get(&format!("/changes?limit={limit}{after}")).await;
        reply.expect(200);
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
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/changes?limit=500{after}")).await;
            events.extend(page.expect(200).as_array().unwrap().iter().cloned());
            if page.json["meta"]["has_more"] == json!(false) {
                return events;
            }
            after = format!("&after={}", page.json["meta"]["cursor"].as_str().unwrap());
        }
    }

    async fn disturb(&self, random: &mut Random) -> u64 {
        match random.below(100) {
            0..25 => {
                let mut replicas = self.fleet.replicas.lock().await;
                let number = random.below(replicas.len());
                replicas[number].kill().await;
                replicas[number] = Replica::start(&self.fleet.env, &[]).await;
            }
            25..50 => {
                let mut services = self.fleet.services.lock().await;
                services.nats.kill().await.unwrap();
                services.nats.restart().await.unwrap();
            }
            _ => {
                self.fleet.env.disconnect_database().await;
                self.fleet.env.reconnect_database().await;
            }
        }
        1
    }
}
