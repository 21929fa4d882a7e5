//! Calls that got no response: their cost, and replays of lost responses.

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use unificus::config::{self, Config};
use unificus::metrics::Metrics;
use unificus::quota::{Call, QuotaLimiter, ReservationWriter};
use unificus::store::Store;
use unificus::worker::Worker as _;

use crate::support::client::{Reply, lead};
use crate::support::process::kill;
use crate::support::proxy::Proxy;
use crate::support::service::account_on;
use crate::support::{Client, LONG, Service, until};

/// The number of calls per month of a free trial.
const LIMIT: u64 = 80;

fn enforced(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 100_000, ..config::Quota::default() };
}

async fn free_trial(service: &Service) -> Client {
    let (account, secret) = account_on(&service.store, "free-trial").await;
    service.client.as_caller(account, &secret)
}

/// The calls of this month in the database.
async fn used(sql: &tokio_postgres::Client, client: &Client) -> u64 {
    let used = "select coalesce((select used from quota_month where account_id = $1), 0)";
    let used: i64 = sql.query_one(used, &[&client.account.0]).await.unwrap().get(0);
    used.try_into().unwrap()
}

fn long_polls(client: &Client, polls: u64) -> Vec<JoinHandle<Result<Reply, String>>> {
    let poll = |client: Client| async move { client.try_send(Method::GET, "/changes?wait=30", &[], "").await };
    (0..polls).map(|_| tokio::spawn(poll(client.clone()))).collect()
}

async fn use_up(client: &Client, calls: u64) {
    for _ in 0..calls {
        client.get("/contacts").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_whose_client_disconnects_costs_no_call() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (free_trial(&service).await, service.env.sql().await);
    let polls = long_polls(&client, 20);
    until("the polls", async || used(&sql, &client).await == 20).await;

    for poll in polls {
        poll.abort();
    }

    until("their calls", async || used(&sql, &client).await == 0).await;
    client.get("/changes?wait=1").await.expect(200);
    assert_eq!(client.get("/usage").await.expect(200)["used"], json!(1), "one that is answered costs its call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_executed_stays_charged_though_its_client_disconnects() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (free_trial(&service).await, service.env.sql().await);
    let holder = service.env.sql().await;
    holder.batch_execute("begin; select from head for update").await.unwrap();
    let writer = client.clone();
    let write = tokio::spawn(async move { writer.contact("ann@example.org").await });
    until("the write", async || used(&sql, &client).await == 1).await;
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    until("the lock", async || sql.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0).await;

    write.abort();
    until("the end of its connection", async || service.gauge("unificus_http_connections").await < 2.0).await;
    holder.batch_execute("commit").await.unwrap();

    until("the contact", async || client.get("/contact/ann@example.org").await.status == 200).await;
    let after = client.get("/usage").await;
    let reads = after.expect(200)["used"].as_u64().unwrap() - 1;
    assert!(reads >= 1, "the write counts besides the reads: {}", after.text);
    let missing = client.get("/changes").await;
    assert_eq!(missing.expect(200).as_array().unwrap().len(), 1);
}

/// Near the limit a block of reserved calls has the size 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_costs_an_account_one_of_its_unanswered_calls() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (free_trial(&service).await, service.env.sql().await);
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut replica, base) = crate::support::program::serve(&service.env, &settings).await;
    let there = Client::new(&base, client.account, &client.secret);
    use_up(&there, 10).await;
    let polls = long_polls(&there, 40);
    until("the polls", async || used(&sql, &client).await == 50).await;

    replica.kill().await.unwrap();

    // The next reservation for the account refunds them once the lease has expired.
    until("the lease's end", async || client.get("/usage").await.expect(200)["used"].as_u64().unwrap() < 50).await;
    let used = client.get("/usage").await.expect(200)["used"].as_u64().unwrap();
    assert!((10..=11).contains(&used), "{used}: ten were answered");
    assert!(service.gauge("unificus_quota_expired_calls_total").await >= 39.0);
    for poll in polls {
        assert!(poll.await.unwrap().is_err(), "no response was sent");
    }
    use_up(&client, LIMIT - used).await;
    client.get("/contacts").await.expect(429);
}

/// Its calls have been granted to another replica by then. SIGSTOP simulates a machine that is suspended or starved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_paused_serves_no_call_that_was_refunded() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (free_trial(&service).await, service.env.sql().await);
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut replica, base) = crate::support::program::serve(&service.env, &settings).await;
    let there = Client::new(&base, client.account, &client.secret);
    use_up(&client, LIMIT - 20).await;
    let polls = long_polls(&there, 20);
    until("the polls", async || used(&sql, &client).await == LIMIT).await;
    client.get("/contacts").await.expect(429);

    let pid = replica.id().unwrap();
    kill(pid, Signal::SIGSTOP);
    until("the lease's end", async || client.get("/usage").await.expect(200)["used"].as_u64().unwrap() < LIMIT).await;
    let mut succeeded = LIMIT - 20;
    while client.get("/contacts").await.status == 200 {
        succeeded += 1;
    }
    kill(pid, Signal::SIGCONT);

    for poll in polls {
        let response = tokio::time::timeout(LONG + LONG, poll).await.expect("a poll does not end").unwrap().unwrap();
        succeeded += u64::from(response.status == 200);
    }
    assert!(succeeded <= LIMIT, "{succeeded} succeeded");
    assert!(succeeded >= LIMIT - 1, "{succeeded} succeeded");
    replica.kill().await.unwrap();
}

#[tokio::test]
async fn a_lost_response_is_replayed_beyond_the_limit_and_nothing_else_is_executed() {
    let service = Service::configured(enforced).await;
    let client = free_trial(&service).await;
    let send = async |method: Method, path: &str, key: &str, body: &str| {
        client.send(method, path, &[("idempotency-key", key)], body).await
    };
    let body = lead("ann@example.org").to_string();
    let list = json!([{"email": "bob@example.org"}, {"email": "nobody"}, {"email": "eve@example.org"}]).to_string();
    let made = send(Method::POST, "/contact", "once", &body).await;
    made.expect(201);
    let refused = send(Method::POST, "/contact", "refused", &body).await;
    refused.expect(422);
    let subscribed = send(Method::POST, "/marketing/subscribe", "many", &list).await;
    subscribed.expect(200);
    use_up(&client, LIMIT - 3).await;
    client.get("/contacts").await.expect(429);

    for (first, path, key, body) in [
        (&made, "/contact", "once", &body),
        (&refused, "/contact", "refused", &body),
        (&subscribed, "/marketing/subscribe", "many", &list),
    ] {
        let again = send(Method::POST, path, key, body).await;
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{key}");
        assert_eq!(again.header("idempotent-replayed"), "true", "{key}");
        assert!(again.header("ratelimit").contains("\"month\";r=0;"), "{}", again.header("ratelimit"));
    }
    for (method, path, key, body) in [
        (Method::POST, "/contact", "another", lead("new@example.org").to_string()),
        (Method::POST, "/contact", "once", lead("new@example.org").to_string()),
        (Method::GET, "/contacts", "once", String::new()),
        (Method::POST, "/marketing/subscribe", "once", list.clone()),
    ] {
        send(method.clone(), path, key, &body).await.expect(429);
    }
    client.contact("new@example.org").await.expect(429);
    let usage = client.get("/usage").await;
    assert_eq!(usage.expect(200)["used"], json!(LIMIT));
    let sql = service.env.sql().await;
    let contacts = sql.query_one("select count(*) from contact", &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(contacts, 3, "ann, bob and eve");
}

/// A process that ends while it executes a list has executed the first items.
async fn delete_all_but_the_first(sql: &tokio_postgres::Client) {
    let delete = "delete from idempotency_record where position(E'\\x01' in key) > 0";
    assert_eq!(sql.execute(delete, &[]).await.unwrap(), 2);
}

#[tokio::test]
async fn an_interrupted_list_is_continued_and_reports_the_result_of_each_item() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (free_trial(&service).await, service.env.sql().await);
    let list = json!([{"email": "a@example.org"}, {"email": "b@example.org"}, {"email": "c@example.org"}]).to_string();
    let send = async || client.send(Method::POST, "/marketing/subscribe", &[("idempotency-key", "k")], &list).await;
    let first = send().await;
    first.expect(200);
    delete_all_but_the_first(&sql).await;

    let rest = send().await;

    let replayed: Vec<&Value> = rest.expect(200).as_array().unwrap().iter().map(|item| &item["replayed"]).collect();
    assert_eq!(replayed, [&json!(true), &Value::Null, &Value::Null]);
    assert_eq!(rest.header("idempotent-replayed"), "", "it executed a new item");
    assert_eq!(client.get("/usage").await.expect(200)["used"], json!(2), "so that it counts");
    let whole = send().await;
    assert_eq!((whole.header("idempotent-replayed"), &whole.json), ("true", &first.json));

    // Beyond the limit no item of it may be executed.
    use_up(&client, LIMIT - 2).await;
    delete_all_but_the_first(&sql).await;
    send().await.expect(429);
}

/// A quota limiter whose connection to the database can lose responses.
struct Lossy {
    service: Service,
    proxy: Proxy,
    limiter: QuotaLimiter,
    writer: ReservationWriter,
    client: Client,
    sql: tokio_postgres::Client,
}

impl Lossy {
    async fn start() -> Self {
        let service = Service::configured(enforced).await;
        let client = free_trial(&service).await;
        let proxy = Proxy::before(&service.env.database).await;
        let database = config::Database { url: proxy.url(&service.env.database), ..config::Database::default() };
        let store = Store::new(&database, 1, Metrics::new().unwrap()).unwrap();
        let limiter = QuotaLimiter::new(config::Quota { burst_per_second: 100_000, ..config::Quota::default() });
        let writer = ReservationWriter::new(limiter.clone(), store);
        let sql = service.env.sql().await;
        Self { service, proxy, limiter, writer, client, sql }
    }

    async fn take(&mut self, calls: usize) -> Vec<Call> {
        let takes = (0..calls).map(|_| self.limiter.acquire(self.client.account));
        let (taken, stepped) = tokio::join!(biased; futures_util::future::join_all(takes), self.writer.step());
        stepped.unwrap();
        taken.into_iter().map(|checked| checked.outcome.expect("a call")).collect()
    }

    async fn used(&self) -> u64 {
        used(&self.sql, &self.client).await
    }

    /// Commits a reservation whose response is lost.
    async fn step_without_response(&mut self, committed: u64) {
        self.proxy.mute();
        let (proxy, sql, client) = (&self.proxy, &self.sql, &self.client);
        let (step, ()) = tokio::join!(self.writer.step(), async {
            until("the commit", async || used(sql, client).await == committed).await;
            proxy.cut();
        });
        step.unwrap_err();
    }

    /// Steps until a reservation succeeds: the pool reuses a broken connection until its end arrives.
    async fn step_until_committed(&mut self) {
        let writer = &mut self.writer;
        until("a reservation", async || writer.step().await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_refunded_once_though_the_commit_was_not_acknowledged() {
    let mut lossy = Lossy::start().await;
    let mut calls = lossy.take(5).await;
    assert_eq!(lossy.used().await, 5);
    for call in calls.drain(..2) {
        let _status = call.give_back();
    }

    lossy.step_without_response(3).await;
    lossy.step_until_committed().await;

    assert_eq!(lossy.used().await, 3, "two were refunded, once");
    drop(calls);
    lossy.step_until_committed().await;
    assert_eq!(lossy.used().await, 0);
    lossy.service.app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_call_whose_grant_was_never_received_is_refunded() {
    let mut lossy = Lossy::start().await;
    let _kept = lossy.take(1).await;
    let limiter = lossy.limiter.clone();

    let (checked, ()) = tokio::join!(biased; limiter.acquire(lossy.client.account), lossy.step_without_response(2));

    assert!(checked.outcome.is_err(), "whether it was granted is unknown");
    lossy.step_until_committed().await;
    assert_eq!(lossy.used().await, 1);
}
