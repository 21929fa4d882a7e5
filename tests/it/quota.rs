//! The quota: no request beyond a limit succeeds, and responses report the state of the limits.

use std::collections::BTreeMap;

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use time::macros::datetime;
use tokio::task::JoinSet;
use unificus::clock::Clock;
use unificus::config::{self, Config};
use unificus::domain::tier::Tier;
use unificus::metrics::Metrics;
use unificus::store::Store;
use unificus::store::audit::By;

use crate::support::client::Reply;
use crate::support::process::Process;
use crate::support::service::account_on;
use crate::support::{Client, LONG, Service, until};

/// Enforces the limits, with a burst limit that a test never reaches.
fn enforced(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 100_000, ..config::Quota::default() };
}

async fn on_tier(service: &Service, tier: &str) -> Client {
    let (account, secret) = account_on(&service.store, tier).await;
    service.client.as_caller(account, &secret)
}

/// The statuses of this many requests that are sent at once; a request whose connection breaks has none.
async fn send_at_once(calls: usize, clients: &[&Client]) -> Vec<u16> {
    let call = |client: &Client| {
        let client = client.clone();
        async move { client.try_send(Method::GET, "/contacts", &[], "").await.map(|response| response.status).ok() }
    };
    let calls: JoinSet<_> = clients.iter().cycle().take(calls).map(|client| call(client)).collect();
    calls.join_all().await.into_iter().flatten().collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

/// The number of responses by status.
fn tally(statuses: &[u16]) -> BTreeMap<u16, usize> {
    statuses.iter().fold(BTreeMap::new(), |mut tally, status| {
        *tally.entry(*status).or_default() += 1;
        tally
    })
}

/// The member `r` of a policy in the header field `RateLimit`.
fn remaining(response: &Reply, policy: &str) -> u64 {
    let field = response.header("ratelimit");
    let item = field.split(", ").find_map(|item| item.strip_prefix(&format!("\"{policy}\";r=")));
    let item = item.unwrap_or_else(|| panic!("no {policy} in {field:?}"));
    item.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_parallel_calls_over_two_replicas_exactly_eighty_succeed() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let client = on_tier(&service, "free-trial").await;
    let other = Client::new(&crate::support::service::base(&replica), client.account, &client.secret);

    let statuses = send_at_once(500, &[&client, &other]).await;

    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (80, 420), "{:?}", tally(&statuses));
    client.get("/contacts").await.expect(429);
    other.get("/contacts").await.expect(429);
    replica.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_never_lets_an_eighty_first_succeed() {
    let dir = crate::support::program::Dir::new("quota-killed");
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut process, environment) = Process::start_with(dir.path(), &settings).await;
    let database = config::Database { url: environment.database.clone(), ..config::Database::default() };
    let store = Store::new(&database, 1, Metrics::new().unwrap()).unwrap();
    let (account, secret) = account_on(&store, "free-trial").await;
    let client = environment.client.as_caller(account, &secret);

    let mut succeeded = count(&send_at_once(30, &[&client]).await, 200);
    let clients = [&client];
    let (statuses, ()) = tokio::join!(send_at_once(40, &clients), async {
        // Killed while requests are in flight.
        client.get("/contacts").await.expect(200);
        process.signal(Signal::SIGKILL);
    });
    succeeded += 1 + count(&statuses, 200);
    process.ended().await;
    let (process, environment) = Process::start_with(dir.path(), &settings).await;
    let client = Client::new(&environment.client.base, account, &secret);
    let statuses = send_at_once(100, &[&client]).await;
    succeeded += count(&statuses, 200);

    assert!(succeeded <= 80, "{succeeded} succeeded");
    assert!(count(&statuses, 429) >= 51, "{statuses:?}");
    crate::support::program::stop(process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_is_killed_amid_five_hundred_calls_and_no_eighty_first_succeeds() {
    let service = Service::start().await;
    let client = on_tier(&service, "free-trial").await;
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut killed, one) = crate::support::program::serve(&service.env, &settings).await;
    let (_replica, other) = crate::support::program::serve(&service.env, &settings).await;
    let clients = [&one, &other].map(|base| Client::new(base, client.account, &client.secret));

    let both = [&clients[0], &clients[1]];
    let (mut statuses, one_more) = tokio::join!(send_at_once(500, &both), async {
        // Killed while requests are in flight.
        let status = clients[0].get("/contacts").await.status;
        killed.kill().await.unwrap();
        status
    });
    statuses.push(one_more);
    let succeeded = count(&statuses, 200);
    let after = send_at_once(100, &[&clients[1]]).await;

    assert!(succeeded + count(&after, 200) <= 80, "{succeeded} and {} succeeded", count(&after, 200));
    assert!(count(&after, 429) > 0, "the limit is reached: {after:?}");
}

#[tokio::test]
async fn the_month_resets_at_midnight_utc_on_the_first() {
    let service = Service::configured(enforced).await;
    service.env.set_stored_now(datetime!(2026-11-30 23:59:50 UTC)).await;
    let client = on_tier(&service, "free-trial").await;
    let first = client.get("/contacts").await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"burst\";q=100000;w=1, \"month\";q=80;w=2592000");
    assert_eq!(first.header("ratelimit"), "\"burst\";r=99999;t=1, \"month\";r=79;t=10");
    assert_eq!(count(&send_at_once(79, &[&client]).await, 200), 79);

    let refused = client.get("/contacts").await;
    refused.expect(429);
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(remaining(&refused, "month"), 0);
    assert_eq!(refused.json["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(refused.json["violated-policies"], json!(["month"]));
    assert_eq!((&refused.json["success"], &refused.json["status"]), (&json!(false), &json!(429)));

    service.env.set_stored_now(datetime!(2026-12-01 00:00 UTC)).await;
    let anew = client.get("/contacts").await;
    anew.expect(200);
    assert_eq!(remaining(&anew, "month"), 79);
}

#[tokio::test]
async fn a_tier_change_takes_effect_on_the_next_call() {
    let service = Service::configured(enforced).await;
    let client = on_tier(&service, "free-trial").await;
    send_at_once(80, &[&client]).await;
    client.get("/contacts").await.expect(429);

    let by = By::new("test", Clock::system().now());
    assert!(service.store.set_tier(client.account, &Tier::parse("start").unwrap(), by).await.unwrap());

    let response = client.get("/contacts").await;
    response.expect(200);
    assert_eq!(remaining(&response, "month"), 319);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tier_takes_effect_on_the_next_call_of_every_replica() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let client = on_tier(&service, "start").await;
    let other = Client::new(&crate::support::service::base(&replica), client.account, &client.secret);
    assert_eq!(count(&send_at_once(78, &[&client, &other]).await, 200), 78);

    let by = By::new("test", Clock::system().now());
    assert!(service.store.set_tier(client.account, &Tier::parse("free-trial").unwrap(), by).await.unwrap());

    // Both replicas still have the larger tier cached.
    let statuses = send_at_once(50, &[&client, &other]).await;
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (2, 48));
    assert_eq!(remaining(&other.get("/contacts").await, "month"), 0);
    replica.stop().await.unwrap();
}

fn burst_of_two(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 2, ..config::Quota::default() };
}

/// Sends requests until one is refused. Returns the refusal, and the number of requests that succeeded before it.
async fn send_until_refused(client: &Client, path: &str) -> (Reply, u64) {
    let mut succeeded = 0;
    let refused = async {
        loop {
            let response = client.get(path).await;
            if response.status == 429 {
                return response;
            }
            response.expect(200);
            succeeded += 1;
        }
    };
    let refused = tokio::time::timeout(LONG, refused).await.expect("no second ever has three calls");
    (refused, succeeded)
}

#[tokio::test]
async fn a_second_allows_a_thousand_calls_by_default_and_any_number_with_0() {
    let policy = async |burst: Option<u64>| {
        let service = Service::configured(|config| {
            let default = config::Quota::default();
            config.quota = config::Quota { burst_per_second: burst.unwrap_or(default.burst_per_second), ..default };
        })
        .await;
        let answered = service.client.get("/contacts").await;
        answered.expect(200);
        answered.header("ratelimit-policy").to_owned()
    };
    assert!(policy(None).await.starts_with("\"burst\";q=1000;w=1, \"month\";q="));
    assert!(policy(Some(0)).await.starts_with("\"month\";q="));
}

#[tokio::test]
async fn a_second_allows_no_more_than_the_burst_limit() {
    let service = Service::configured(burst_of_two).await;
    let client = &service.client;
    let (refused, before) = send_until_refused(client, "/contacts").await;
    assert_eq!((refused.header("retry-after"), &refused.json["violated-policies"]), ("1", &json!(["burst"])));
    assert_eq!(remaining(&refused, "burst"), 0);
    service.other_client().await.get("/contacts").await.expect(200);

    let mut response = refused;
    until("the next second", async || {
        response = client.get("/contacts").await;
        response.status == 200
    })
    .await;
    assert_eq!(remaining(&response, "month"), 20_000 - before - 1, "the refused calls were not counted");
}

/// Windows are measured by the monotonic clock: a step of the wall clock neither lengthens nor ends one.
#[tokio::test]
async fn a_wall_clock_that_steps_back_closes_no_second() {
    let clock = Clock::manual(Clock::system().now());
    let service = Service::timed(clock.clone(), burst_of_two).await;
    send_until_refused(&service.client, "/contacts").await;

    clock.set(clock.now() - time::Duration::seconds(120));

    until("a second", async || service.client.get("/contacts").await.status == 200).await;
}

#[tokio::test]
async fn usage_obeys_the_limit_per_second_and_takes_no_call_of_the_month() {
    let service = Service::configured(burst_of_two).await;
    let (refused, _) = send_until_refused(&service.client, "/usage").await;
    assert_eq!(refused.json["violated-policies"], json!(["burst"]));
    until("the next second", async || {
        let usage = service.client.get("/usage").await;
        usage.status == 200 && usage.json["data"]["used"] == json!(0)
    })
    .await;
}

/// The database's clock decides which day and month it is, and when a key expires.
#[tokio::test]
async fn a_replica_whose_clock_is_a_day_ahead_counts_on_the_databases_day() {
    let wrong = Clock::manual(Clock::system().now() + time::Duration::hours(25));
    let service = Service::timed(wrong, enforced).await;
    service.client.get("/contacts").await.expect(200);

    let sql = service.env.sql().await;
    let today = "select count(*) from quota_month
        where month = date_trunc('month', now() at time zone 'UTC')::date
            and days[extract(day from now() at time zone 'UTC')::integer] = 1";
    assert_eq!(sql.query_one(today, &[]).await.unwrap().get::<_, i64>(0), 1);
    let usage = service.client.get("/usage").await;
    assert_eq!(usage.expect(200)["used"], json!(1));
    let days = usage.json["data"]["days"].as_array().unwrap();
    assert_eq!(days.last().unwrap()["calls"], json!(1), "the last day shown is the database's present one");
}

#[tokio::test]
async fn calls_that_do_not_count_are_refunded() {
    let service = Service::configured(enforced).await;
    let client = on_tier(&service, "free-trial").await;
    let key = [("idempotency-key", "once")];
    let body = crate::support::client::lead("ann@example.org").to_string();
    let made = client.send(Method::POST, "/contact", &key, &body).await;
    made.expect(201);
    assert_eq!(remaining(&made, "month"), 79);
    let path = format!("/contact/{}", made.uid());

    let again = client.send(Method::POST, "/contact", &key, &body).await;
    again.expect(201);
    assert_eq!((again.header("idempotent-replayed"), remaining(&again, "month")), ("true", 79));
    let unchanged = client.send(Method::GET, &path, &[("if-none-match", made.header("etag"))], "").await;
    assert_eq!((unchanged.status, remaining(&unchanged, "month")), (304, 79));
    client.as_caller(client.account, "wrong").get(&path).await.expect(401);

    // A refused write counts, and a problem has the header field too.
    let refused = client.contact("ann@example.org").await;
    refused.expect(422);
    assert_eq!(remaining(&refused, "month"), 78);
    let missing = client.get("/contact/nobody@example.org").await;
    missing.expect(404);
    assert_eq!(remaining(&missing, "month"), 77);
}

/// A statement is planned once, perhaps while its table has one row.
#[tokio::test]
async fn a_reservation_reads_the_rows_of_its_own_accounts_however_many_there_are() {
    const OTHERS: i64 = 20_000;
    let service = Service::configured(enforced).await;
    service.client.get("/contacts").await.expect(200);
    let sql = service.env.sql().await;
    let grow = "insert into account (account_id, name, tier, created_at)
            select gen_random_uuid(), 'other', tier, created_at from account, generate_series(1, 20000) limit 20000;
        insert into quota_month (account_id, month, used)
            select account_id, (select month from quota_month limit 1), 0 from account
            on conflict do nothing";
    sql.batch_execute(grow).await.unwrap();
    let statistics = async || {
        let of_index =
            "select idx_scan, idx_tup_read from pg_stat_user_indexes where indexrelname = 'quota_month_pkey'";
        let row = sql.query_one(of_index, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    let (scans, read) = statistics().await;

    until("twenty reservations", async || {
        service.client.get("/contacts").await.expect(200);
        statistics().await.0 >= scans + 20
    })
    .await;
    let rows = statistics().await.1 - read;
    assert!(rows < OTHERS, "{rows} rows were read");
}
