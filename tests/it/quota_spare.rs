//! Calls that a replica was granted in advance. They cost no reservation, and none of them outlives a change of the account,
//! its month, a stop or a crash.

use hyper::Method;
use serde_json::json;
use time::macros::datetime;
use tokio::task::JoinSet;
use unificus::clock::Clock;
use unificus::config::{self, Config};
use unificus::domain::tier::Tier;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;

use crate::support::service::{account_on, base};
use crate::support::{Client, Service, until};

/// The calls per month of the tier `pinnacle`, of which a block is 64.
const LIMIT: u64 = 20_000;

fn enforced(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 0, ..config::Quota::default() };
}

fn by() -> By<'static> {
    By::new("test", Clock::system().now())
}

async fn on_tier(service: &Service, tier: &str) -> Client {
    let (account, secret) = account_on(&service.store, tier).await;
    service.client.as_caller(account, &secret)
}

/// The calls in the database, over all months.
async fn used(sql: &tokio_postgres::Client, client: &Client) -> u64 {
    let used = "select coalesce(sum(used), 0)::bigint from quota_month where account_id = $1";
    sql.query_one(used, &[&client.account.0]).await.unwrap().get::<_, i64>(0).try_into().unwrap()
}

fn remaining(client: &Client, field: &str) -> u64 {
    let (_, month) = field.split_once("\"month\";r=").unwrap_or_else(|| panic!("{}: {field:?}", client.base));
    month.split(';').next().unwrap().parse().unwrap()
}

/// Calls in turn until a replica has spare calls of the account, and each replica had many calls; returns the number of calls.
/// The database has no spare call before.
async fn make_busy(sql: &tokio_postgres::Client, clients: &[&Client]) -> u64 {
    let (first, mut calls) = (clients[0], 0);
    let before = used(sql, first).await;
    until("calls in advance", async || {
        for client in clients {
            client.get("/contacts").await.expect(200);
            calls += 1;
        }
        calls >= 8 && used(sql, first).await > before + calls
    })
    .await;
    calls
}

/// The number of calls that succeed, of this many at once.
async fn succeed_at_once(calls: usize, clients: &[&Client]) -> u64 {
    let call = |client: &Client| {
        let client = client.clone();
        async move { client.send(Method::GET, "/contacts", &[], "").await.status }
    };
    let calls: JoinSet<_> = clients.iter().cycle().take(calls).map(|client| call(client)).collect();
    let statuses = calls.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    statuses.into_iter().filter(|status| *status == 200).count() as u64
}

#[tokio::test]
async fn calls_in_advance_are_neither_shown_as_used_nor_kept() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let calls = make_busy(&sql, &[&client]).await;

    let next = client.get("/contacts").await;
    next.expect(200);
    assert_eq!(remaining(&client, next.header("ratelimit")), LIMIT - calls - 1);
    let usage = client.get("/usage").await;
    assert_eq!(usage.expect(200)["used"], json!(calls + 1));
    assert_eq!(remaining(&client, usage.header("ratelimit")), LIMIT - calls - 1);

    let more = make_busy(&sql, &[&client]).await;
    until("the idle account's calls", async || used(&sql, &client).await == calls + 1 + more).await;
}

#[tokio::test]
async fn a_deleted_key_fails_on_its_next_call_at_a_replica_with_calls_in_advance() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let secret = SecretKey::make("unificus");
    let key = keys::prepare(client.account, &secret, Terms::named("partner"), &MasterKeys::new(&[]));
    service.store.add_key(client.account, &key, by()).await.unwrap();
    let there = Client::new(&base(&replica), client.account, secret.text());
    let calls = make_busy(&sql, &[&there]).await;

    assert!(service.store.delete_key(client.account, key.key_id, by()).await.unwrap());

    there.get("/contacts").await.expect(401);
    there.contact("late@example.org").await.expect(401);
    let contacts = Client::new(&base(&replica), client.account, &client.secret).get("/contacts").await;
    assert_eq!(contacts.expect(200), &json!([]));
    replica.stop().await.unwrap();
    assert_eq!(used(&sql, &client).await, calls + 1, "refused calls are not counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tier_counts_from_the_next_call_on_in_spite_of_calls_in_advance() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let there = Client::new(&base(&replica), client.account, &client.secret);
    let calls = make_busy(&sql, &[&client, &there]).await;
    assert!(calls < 80, "{calls}");

    assert!(service.store.set_tier(client.account, &Tier::parse("free-trial").unwrap(), by()).await.unwrap());

    assert_eq!(calls + succeed_at_once(200, &[&client, &there]).await, 80);
    replica.stop().await.unwrap();
    assert_eq!(used(&sql, &client).await, 80);
}

#[tokio::test]
async fn calls_in_advance_end_with_their_month() {
    let service = Service::configured(enforced).await;
    service.env.set_stored_now(datetime!(2026-11-30 23:59:50 UTC)).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let calls = make_busy(&sql, &[&client]).await;

    service.env.set_stored_now(datetime!(2026-12-01 00:00 UTC)).await;

    let first = client.get("/contacts").await;
    first.expect(200);
    assert_eq!(remaining(&client, first.header("ratelimit")), LIMIT - 1);
    let months = "select month::text, used from quota_month where account_id = $1 order by month";
    let months = async || {
        let rows = sql.query(months, &[&client.account.0]).await.unwrap();
        rows.iter().map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1).unsigned_abs())).collect::<Vec<_>>()
    };
    let expected = [("2026-11-01".to_owned(), calls), ("2026-12-01".to_owned(), 1)];
    until("November's spare calls", async || months().await == expected).await;
}

#[tokio::test]
async fn a_stop_gives_all_calls_in_advance_back() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let there = Client::new(&base(&replica), client.account, &client.secret);
    let calls = make_busy(&sql, &[&there]).await;

    replica.stop().await.unwrap();

    assert_eq!(used(&sql, &client).await, calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_costs_at_most_a_block() {
    let service = Service::configured(enforced).await;
    let (client, sql) = (on_tier(&service, "pinnacle").await, service.env.sql().await);
    let (mut replica, base) =
        crate::support::program::serve(&service.env, &[("UNIFICUS_QUOTA__BURST_PER_SECOND", "0")]).await;
    let there = Client::new(&base, client.account, &client.secret);
    let calls = make_busy(&sql, &[&there]).await;

    replica.kill().await.unwrap();
    service.env.set_stored_now(Clock::system().now() + time::Duration::seconds(11)).await;

    let usage = client.get("/usage").await;
    let charged = usage.expect(200)["used"].as_u64().unwrap();
    assert!((calls..=calls + 64).contains(&charged), "{calls} were answered, {charged} are charged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_a_month_succeeds_and_no_other_over_two_replicas() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let (client, sql) = (on_tier(&service, "start").await, service.env.sql().await);
    let there = Client::new(&base(&replica), client.account, &client.secret);

    let mut succeeded = make_busy(&sql, &[&client, &there]).await;
    succeeded += succeed_at_once(600, &[&client, &there]).await;

    // A replica may hold up to 1 % of the calls for less than a second.
    assert!((392..=400).contains(&succeeded), "{succeeded}");
    until("calls in advance", async || used(&sql, &client).await == succeeded).await;
    succeeded += succeed_at_once(20, &[&client, &there]).await;
    assert_eq!(succeeded, 400);
    replica.stop().await.unwrap();
}
