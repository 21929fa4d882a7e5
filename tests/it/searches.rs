//! Searches: the cost of one account's slow searches for others, and the end of an abandoned search.

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client as Sql;

use crate::support::client::Reply;
use crate::support::{Client, LONG, Service};

/// Searches of contacts and of attempts that PostgreSQL executes.
async fn running(sql: &Sql) -> i64 {
    let active = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
        and (query like '-- contact.page%' or query like '-- push_attempt.list%')";
    sql.query_one(active, &[]).await.unwrap().get(0)
}

async fn until(sql: &Sql, label: &str, condition: impl Fn(i64) -> bool) {
    let met = async {
        while !condition(running(sql).await) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(LONG, met).await.is_ok(), "{label}: {} run", running(sql).await);
}

/// Replaces a table by a view, so that its reads wait from now on until [`resume`]. They do not wait for a lock, because
/// a lock has its own timeout.
async fn hold(service: &Service, table: &str) -> Sql {
    let sql = service.env.sql().await;
    let hold = format!(
        "create function hold() returns boolean volatile language plpgsql as $$ begin
            while not pg_try_advisory_xact_lock_shared(1) loop perform pg_sleep(0.01); end loop;
            return true;
        end $$;
        select pg_advisory_lock(1);
        alter table {table} rename to {table}_rows;
        create view {table} as with held as materialized (select hold() as held)
            select * from {table}_rows where (select held from held)"
    );
    sql.batch_execute(&hold).await.unwrap();
    sql
}

async fn resume(held: &Sql) {
    held.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
}

fn search(api: &Client) -> JoinHandle<Reply> {
    let api = api.clone();
    tokio::spawn(async move { api.get("/contacts?q=ann&orderBy=title").await })
}

fn is_refused(response: &Reply) -> bool {
    response.status == 503 && response.json["type"] == "/problems/too-many-searches"
}

#[tokio::test]
async fn an_abandoned_search_is_cancelled_in_postgres() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    api.contact("ann@example.org").await.expect(201);
    let slow = hold(&service, "contact").await;

    let abandoned = search(api);
    until(&sql, "the search begins", |running| running == 1).await;
    abandoned.abort();
    until(&sql, "the search ends", |running| running == 0).await;

    resume(&slow).await;
    assert!(service.gauge("unificus_statements_ended_total{reason=\"abandoned\"}").await > 0.0);
    // The cancellation of one statement ends no other.
    for _ in 0..50 {
        api.get("/contacts?q=ann").await.expect(200);
    }
    assert!((service.gauge("unificus_searches_running").await).abs() < 0.5);
}

#[tokio::test]
async fn a_search_beyond_the_deadline_is_cancelled_in_postgres() {
    let service = Service::configured(|config| config.http.request_timeout_s = 1).await;
    let (api, sql) = (&service.client, service.env.sql().await);
    let _slow = hold(&service, "contact").await;

    let late = search(api);
    until(&sql, "the search begins", |running| running == 1).await;
    late.await.unwrap().expect(503);
    until(&sql, "the search ends", |running| running == 0).await;
}

#[tokio::test]
async fn a_search_beyond_the_statement_timeout_gets_a_problem() {
    let service = Service::configured(|config| config.database.statement_timeout_s = 1).await;
    let api = &service.client;
    let slow = hold(&service, "contact").await;

    let refused = search(api).await.unwrap();
    refused.expect(503);
    assert_eq!(refused.json["type"], "/problems/search-too-slow");
    assert_ne!(refused.header("retry-after"), "");
    assert!(service.gauge("unificus_statements_ended_total{reason=\"timeout\"}").await > 0.0);

    resume(&slow).await;
    search(api).await.unwrap().expect(200);
}

/// Every read that needs a connection and no contact.
async fn everything_else_works(api: &Client, name: &str) {
    api.post("/company", json!({"name": name, "tags": ["big"]})).await.expect(201);
    api.get(&format!("/company/{name}")).await.expect(200);
    api.get("/companies").await.expect(200);
    api.get("/changes?limit=1").await.expect(200);
    api.get("/company/meta").await.expect(200);
    api.get("/projects?q=house&orderBy=-status").await.expect(200);
    api.get("/project/contains_the_following/house").await.expect(404);
    let endpoint =
        api.post("/push/endpoints", json!({"url": format!("http://127.0.0.1:9/{name}"), "enabled": false})).await;
    assert!(endpoint.status < 300, "{}", endpoint.text);
    api.get("/push/endpoints").await.expect(200);
}

#[tokio::test]
async fn one_accounts_searches_take_no_more_than_their_share_of_the_readers() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    let other = service.other_client().await;
    let slow = hold(&service, "contact").await;

    let searches: Vec<_> = (0..60).map(|_| search(api)).collect();
    until(&sql, "its share runs", |running| running >= 2).await;
    everything_else_works(&other, "acme").await;
    // The account's other reads and its writes succeed; its further searches wait.
    api.post("/company", json!({"name": "acme"})).await.expect(201);
    api.get("/company/acme").await.expect(200);
    api.get("/companies").await.expect(200);
    // Of those that were sent at once, two run and sixteen wait.
    let refused = async {
        while service.gauge("unificus_searches_refused_total").await < 42.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("all beyond the queue are refused");
    assert_eq!(running(&sql).await, 2);

    resume(&slow).await;
    let responses = futures_util::future::join_all(searches).await;
    let (refused, answered): (Vec<Reply>, Vec<Reply>) = responses.into_iter().map(Result::unwrap).partition(is_refused);
    assert!(refused.iter().all(|response| !response.header("retry-after").is_empty()));
    assert!(answered.len() >= 2 && answered.iter().all(|response| response.status == 200), "{answered:?}");
    assert!((service.gauge("unificus_searches_running").await).abs() < 0.5);
}

#[tokio::test]
async fn looking_for_attempts_takes_no_more_than_the_accounts_share_of_the_readers() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    let other = service.other_client().await;
    let made = api.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/", "enabled": false})).await;
    let path = format!("/push/endpoints/{}/attempts?status=failed", made.expect(201)["id"].as_str().unwrap());
    let slow = hold(&service, "push_attempt").await;

    let look = async |api: Client, path: String| api.get(&path).await;
    let looks: Vec<_> = (0..12).map(|_| tokio::spawn(look(api.clone(), path.clone()))).collect();
    until(&sql, "its share runs", |running| running >= 2).await;
    everything_else_works(&other, "acme").await;
    assert_eq!(running(&sql).await, 2);

    resume(&slow).await;
    for response in futures_util::future::join_all(looks).await {
        assert!(matches!(response.unwrap().status, 200 | 503));
    }
}

#[tokio::test]
async fn searches_of_many_accounts_leave_readers_to_everything_else() {
    let service = Service::start().await;
    let sql = service.env.sql().await;
    let other = service.other_client().await;
    let slow = hold(&service, "contact").await;

    let mut searches = Vec::new();
    for _ in 0..5 {
        let api = service.other_client().await;
        searches.extend([search(&api), search(&api)]);
    }
    until(&sql, "three quarters of the pool run", |running| running >= 6).await;
    assert_eq!(running(&sql).await, 6);
    let settings = [
        other.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/a"})),
        other.post("/company", json!({"name": "acme"})),
    ];
    // Only searches wait here: every other request is answered.
    for response in tokio::time::timeout(LONG, futures_util::future::join_all(settings)).await.unwrap() {
        assert!(response.status < 300, "{}", response.text);
    }
    other.get("/company/acme").await.expect(200);

    resume(&slow).await;
    for response in futures_util::future::join_all(searches).await {
        assert!(matches!(response.unwrap().status, 200 | 503));
    }
}
