//! The quota: no call beyond a limit succeeds, and the account is told where it stands.

use std::collections::BTreeMap;

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use time::macros::datetime;
use tokio::task::JoinSet;
use unificus::clock::Clock;
use unificus::config::{self, Config};
use unificus::domain::account::Tier;
use unificus::metrics::Metrics;
use unificus::store::Store;
use unificus::store::accounts::By;

use crate::support::client::Answer;
use crate::support::process::Process;
use crate::support::service::account_on;
use crate::support::{Client, Service};

/// Limits are enforced, and a test's own pace is no burst.
fn enforced(config: &mut Config) {
    config.quota = config::Quota { enforced: true, burst_per_second: 100_000 };
}

async fn on_tier(service: &Service, tier: Tier) -> Client {
    let (account, secret) = account_on(&service.store, tier).await;
    service.client.as_caller(account, &secret)
}

/// The statuses of so many calls that are made at once; a connection that breaks has none.
async fn at_once(calls: usize, clients: &[&Client]) -> Vec<u16> {
    let call = |client: &Client| {
        let client = client.clone();
        async move { client.try_send(Method::GET, "/contacts", &[], "").await.map(|answer| answer.status).ok() }
    };
    let calls: JoinSet<_> = clients.iter().cycle().take(calls).map(|client| call(client)).collect();
    calls.join_all().await.into_iter().flatten().collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

/// How often each status came.
fn tally(statuses: &[u16]) -> BTreeMap<u16, usize> {
    statuses.iter().fold(BTreeMap::new(), |mut tally, status| {
        *tally.entry(*status).or_default() += 1;
        tally
    })
}

/// `r` of a policy, of the field `RateLimit`.
fn left(answer: &Answer, policy: &str) -> u64 {
    let field = answer.header("ratelimit");
    let item = field.split(", ").find_map(|item| item.strip_prefix(&format!("\"{policy}\";r=")));
    let item = item.unwrap_or_else(|| panic!("no {policy} in {field:?}"));
    item.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_parallel_calls_over_two_replicas_exactly_eighty_succeed() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let client = on_tier(&service, Tier::FreeTrial).await;
    let other = Client::new(&crate::support::service::base(&replica), client.account, &client.secret);

    let statuses = at_once(500, &[&client, &other]).await;

    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (80, 420), "{:?}", tally(&statuses));
    client.get("/contacts").await.expect(429);
    other.get("/contacts").await.expect(429);
    replica.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_never_lets_an_eighty_first_succeed() {
    let dir = crate::process::Dir::new("quota-killed");
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut process, environment) = Process::start_with(dir.path(), &settings).await;
    let database = config::Database { url: environment.database.clone(), ..config::Database::default() };
    let store = Store::new(&database, 1, Metrics::new().unwrap()).unwrap();
    let (account, secret) = account_on(&store, Tier::FreeTrial).await;
    let client = environment.client.as_caller(account, &secret);

    let mut succeeded = count(&at_once(30, &[&client]).await, 200);
    let clients = [&client];
    let (statuses, ()) = tokio::join!(at_once(40, &clients), async {
        // In the midst of them.
        client.get("/contacts").await.expect(200);
        process.signal(Signal::SIGKILL);
    });
    succeeded += 1 + count(&statuses, 200);
    process.ended().await;
    let (process, environment) = Process::start_with(dir.path(), &settings).await;
    let client = Client::new(&environment.client.base, account, &secret);
    let statuses = at_once(100, &[&client]).await;
    succeeded += count(&statuses, 200);

    assert!(succeeded <= 80, "{succeeded} succeeded");
    assert!(count(&statuses, 429) >= 51, "{statuses:?}");
    crate::process::stop(process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_is_killed_amid_five_hundred_calls_and_no_eighty_first_succeeds() {
    let service = Service::start().await;
    let client = on_tier(&service, Tier::FreeTrial).await;
    let settings = [("UNIFICUS_QUOTA__BURST_PER_SECOND", "100000")];
    let (mut killed, one) = crate::process::serve(&service.place, &settings).await;
    let (_replica, other) = crate::process::serve(&service.place, &settings).await;
    let clients = [&one, &other].map(|base| Client::new(base, client.account, &client.secret));

    let both = [&clients[0], &clients[1]];
    let (mut statuses, one_more) = tokio::join!(at_once(500, &both), async {
        // In the midst of them.
        let status = clients[0].get("/contacts").await.status;
        killed.kill().await.unwrap();
        status
    });
    statuses.push(one_more);
    let succeeded = count(&statuses, 200);
    let after = at_once(100, &[&clients[1]]).await;

    assert!(succeeded + count(&after, 200) <= 80, "{succeeded} and {} succeeded", count(&after, 200));
    assert!(count(&after, 429) > 0, "the limit is reached: {after:?}");
}

#[tokio::test]
async fn the_month_resets_at_midnight_utc_on_the_first() {
    let clock = Clock::manual(datetime!(2026-11-30 23:59:50 UTC));
    let service = Service::timed(clock.clone(), enforced).await;
    let client = on_tier(&service, Tier::FreeTrial).await;
    let first = client.get("/contacts").await;
    first.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"burst\";q=100000;w=1, \"month\";q=80;w=2592000");
    assert_eq!(first.header("ratelimit"), "\"burst\";r=99999;t=1, \"month\";r=79;t=10");
    assert_eq!(count(&at_once(79, &[&client]).await, 200), 79);

    let refused = client.get("/contacts").await;
    refused.expect(429);
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(left(&refused, "month"), 0);
    assert_eq!(refused.json["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(refused.json["violated-policies"], json!(["month"]));
    assert_eq!((&refused.json["success"], &refused.json["status"]), (&json!(false), &json!(429)));

    clock.set(datetime!(2026-12-01 00:00 UTC));
    let anew = client.get("/contacts").await;
    anew.expect(200);
    assert_eq!(left(&anew, "month"), 79);
}

#[tokio::test]
async fn a_tier_change_takes_effect_on_the_next_call() {
    let service = Service::configured(enforced).await;
    let client = on_tier(&service, Tier::FreeTrial).await;
    at_once(80, &[&client]).await;
    client.get("/contacts").await.expect(429);

    let by = By { actor: "test", at: Clock::system().now() };
    assert!(service.store.set_tier(client.account, Tier::Start, by).await.unwrap());

    let answer = client.get("/contacts").await;
    answer.expect(200);
    assert_eq!(left(&answer, "month"), 319);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tier_takes_effect_on_the_next_call_of_every_replica() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let client = on_tier(&service, Tier::Start).await;
    let other = Client::new(&crate::support::service::base(&replica), client.account, &client.secret);
    assert_eq!(count(&at_once(78, &[&client, &other]).await, 200), 78);

    let by = By { actor: "test", at: Clock::system().now() };
    assert!(service.store.set_tier(client.account, Tier::FreeTrial, by).await.unwrap());

    // Both still remember the larger one.
    let statuses = at_once(50, &[&client, &other]).await;
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (2, 48));
    assert_eq!(left(&other.get("/contacts").await, "month"), 0);
    replica.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_takes_no_more_than_the_burst_limit() {
    let clock = Clock::manual(datetime!(2026-11-24 12:00 UTC));
    let limited = |config: &mut Config| config.quota = config::Quota { enforced: true, burst_per_second: 2 };
    let service = Service::timed(clock.clone(), limited).await;
    let client = &service.client;
    assert_eq!(left(&client.get("/contacts").await, "burst"), 1);
    assert_eq!(left(&client.get("/contacts").await, "burst"), 0);

    let refused = client.get("/contacts").await;
    refused.expect(429);
    assert_eq!((refused.header("retry-after"), &refused.json["violated-policies"]), ("1", &json!(["burst"])));
    service.stranger().await.get("/contacts").await.expect(200);

    clock.set(datetime!(2026-11-24 12:00:01 UTC));
    let anew = client.get("/contacts").await;
    anew.expect(200);
    assert_eq!(left(&anew, "month"), 20_000 - 3, "the refused call was not counted");
}

#[tokio::test]
async fn what_does_not_count_is_given_back() {
    let service = Service::configured(enforced).await;
    let client = on_tier(&service, Tier::FreeTrial).await;
    let key = [("idempotency-key", "once")];
    let body = crate::support::client::lead("ann@example.org").to_string();
    let made = client.send(Method::POST, "/contact", &key, &body).await;
    made.expect(201);
    assert_eq!(left(&made, "month"), 79);
    let path = format!("/contact/{}", made.uid());

    let again = client.send(Method::POST, "/contact", &key, &body).await;
    again.expect(201);
    assert_eq!((again.header("idempotent-replayed"), left(&again, "month")), ("true", 79));
    let unchanged = client.send(Method::GET, &path, &[("if-none-match", made.header("etag"))], "").await;
    assert_eq!((unchanged.status, left(&unchanged, "month")), (304, 79));
    client.as_caller(client.account, "wrong").get(&path).await.expect(401);

    // A refused write counts; so does its field on an answer that is a problem.
    let refused = client.contact("ann@example.org").await;
    refused.expect(422);
    assert_eq!(left(&refused, "month"), 78);
    let missing = client.get("/contact/nobody@example.org").await;
    missing.expect(404);
    assert_eq!(left(&missing, "month"), 77);
}
