//! Searches: what one account's slow ones cost others, and what is left of one that nobody waits for.

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::Client as Sql;

use crate::support::client::Answer;
use crate::support::{Client, LONG, Service};

/// Statements that read the contacts' list and wait, whoever sent them.
async fn running(sql: &Sql) -> i64 {
    let active = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'active' and query like '-- contact.page%'";
    sql.query_one(active, &[]).await.unwrap().get(0)
}

async fn until(sql: &Sql, what: &str, condition: impl Fn(i64) -> bool) {
    let met = async {
        while !condition(running(sql).await) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(LONG, met).await.is_ok(), "{what}: {} run", running(sql).await);
}

/// Every search of contacts takes for ever from now on, until the connection that is returned ends.
async fn contacts_are_slow(service: &Service) -> Sql {
    let sql = service.place.sql().await;
    sql.batch_execute("begin; lock table contact in access exclusive mode").await.unwrap();
    sql
}

fn search(api: &Client) -> JoinHandle<Answer> {
    let api = api.clone();
    tokio::spawn(async move { api.get("/contacts?q=ann&orderBy=title").await })
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 503 && answer.json["type"] == "/problems/too-many-searches"
}

#[tokio::test]
async fn a_search_that_nobody_waits_for_ends_in_postgres() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.place.sql().await);
    api.contact("ann@example.org").await.expect(201);
    let slow = contacts_are_slow(&service).await;

    let abandoned = search(api);
    until(&sql, "the search begins", |running| running == 1).await;
    abandoned.abort();
    until(&sql, "the search ends", |running| running == 0).await;

    slow.batch_execute("rollback").await.unwrap();
    assert!(service.gauge("unificus_statements_ended_total{reason=\"abandoned\"}").await > 0.0);
    // What was sent to end it ends nothing else.
    for _ in 0..50 {
        api.get("/contacts?q=ann").await.expect(200);
    }
    assert!((service.gauge("unificus_searches_running").await).abs() < 0.5);
}

#[tokio::test]
async fn a_search_that_the_deadline_ends_ends_in_postgres() {
    let service = Service::configured(|config| config.http.request_timeout_s = 1).await;
    let (api, sql) = (&service.client, service.place.sql().await);
    let _slow = contacts_are_slow(&service).await;

    let late = search(api);
    until(&sql, "the search begins", |running| running == 1).await;
    late.await.unwrap().expect(503);
    until(&sql, "the search ends", |running| running == 0).await;
}

#[tokio::test]
async fn a_search_beyond_the_statement_timeout_is_told_so() {
    let service = Service::configured(|config| config.database.statement_timeout_s = 1).await;
    let api = &service.client;
    let slow = contacts_are_slow(&service).await;

    let refused = search(api).await.unwrap();
    refused.expect(503);
    assert_eq!(refused.json["type"], "/problems/search-too-slow");
    assert_ne!(refused.header("retry-after"), "");
    assert!(service.gauge("unificus_statements_ended_total{reason=\"timeout\"}").await > 0.0);

    slow.batch_execute("rollback").await.unwrap();
    search(api).await.unwrap().expect(200);
}

/// Everything that needs a reader and no contact.
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
    let (api, sql) = (&service.client, service.place.sql().await);
    let other = service.stranger().await;
    let slow = contacts_are_slow(&service).await;

    let searches: Vec<_> = (0..60).map(|_| search(api)).collect();
    until(&sql, "its share runs", |running| running >= 2).await;
    everything_else_works(&other, "acme").await;
    // The account itself has its other reads and its writes; its further searches wait.
    api.post("/company", json!({"name": "acme"})).await.expect(201);
    api.get("/company/acme").await.expect(200);
    api.get("/companies").await.expect(200);
    // Of those that came at once, two run and sixteen wait.
    let refused = async {
        while service.gauge("unificus_searches_refused_total").await < 42.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, refused).await.expect("all beyond the queue are refused");
    assert_eq!(running(&sql).await, 2);

    slow.batch_execute("rollback").await.unwrap();
    let answers = futures_util::future::join_all(searches).await;
    let (refused, answered): (Vec<Answer>, Vec<Answer>) = answers.into_iter().map(Result::unwrap).partition(is_refused);
    assert!(refused.iter().all(|answer| !answer.header("retry-after").is_empty()));
    assert!(answered.len() >= 2 && answered.iter().all(|answer| answer.status == 200), "{answered:?}");
    assert!((service.gauge("unificus_searches_running").await).abs() < 0.5);
}

#[tokio::test]
async fn searches_of_many_accounts_leave_readers_to_everything_else() {
    let service = Service::start().await;
    let sql = service.place.sql().await;
    let other = service.stranger().await;
    let slow = contacts_are_slow(&service).await;

    let mut searches = Vec::new();
    for _ in 0..5 {
        let api = service.stranger().await;
        searches.extend([search(&api), search(&api)]);
    }
    until(&sql, "three quarters of the pool run", |running| running >= 6).await;
    assert_eq!(running(&sql).await, 6);
    let settings = [
        other.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/a"})),
        other.post("/company", json!({"name": "acme"})),
    ];
    // Searches alone wait here: whatever else is asked is answered.
    for answer in tokio::time::timeout(LONG, futures_util::future::join_all(settings)).await.unwrap() {
        assert!(answer.status < 300, "{}", answer.text);
    }
    other.get("/company/acme").await.expect(200);

    slow.batch_execute("rollback").await.unwrap();
    for answer in futures_util::future::join_all(searches).await {
        assert!(matches!(answer.unwrap().status, 200 | 503));
    }
}
