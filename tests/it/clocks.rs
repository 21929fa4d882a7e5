//! The clock of one replica is wrong: no stored time and no expiry follows it.

use hyper::Method;
use serde_json::json;
use unificus::app::App;
use unificus::clock::Clock;

use crate::push_delivery::{endpoint_at, until};
use crate::support::client::lead;
use crate::support::service::base;
use crate::support::{Client, Receiver, Service};

/// Every column that holds a time, of every table.
/// Links of the console end after a day or more; the time of their beginning is looked at.
const COLUMNS: &str = "select table_name::text, column_name::text from information_schema.columns
    where table_schema = 'public' and data_type = 'timestamp with time zone' and table_name not like 'push_attempt_%'
        and (table_name, column_name) <> ('console_link', 'expires_at')";

const REPLAYED: &str = "idempotent-replayed";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_whose_clock_is_a_day_ahead_deletes_no_idempotency_record() {
    let service = Service::start().await;
    let sql = service.env.sql().await;
    let headers = [("idempotency-key", "once")];
    let create = async |client: &Client, email: &str| {
        client.send(Method::POST, "/contact", &headers, &lead(email).to_string()).await
    };
    let uid = create(&service.client, "ann@example.org").await.uid();
    // A record older than a day: when it is gone, the other replica has deleted expired records.
    sql.batch_execute(
        "insert into idempotency_record (account_id, key, request_hash, outcome, at)
         select account_id, 'old', request_hash, outcome, at - interval '25 hours' from idempotency_record",
    )
    .await
    .unwrap();

    let clock = Clock::system_that_is_wrong_by(time::Duration::hours(25));
    let ahead = App::start(service.env.config(), clock).await.unwrap();
    let old = "select not exists(select from idempotency_record where key = 'old')";
    until("the deletion of the old record", async || sql.query_one(old, &[]).await.unwrap().get(0)).await;

    for client in [&service.client, &Client::new(&base(&ahead), service.client.account, &service.client.secret)] {
        let again = create(client, "ann@example.org").await;
        again.expect(201);
        assert_eq!((again.uid(), again.header(REPLAYED)), (uid.clone(), "true"));
    }
    assert_eq!(service.client.changes().await.len(), 1);
    ahead.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stored_time_follows_the_wrong_clock_of_a_replica() {
    for wrong_by in [time::Duration::hours(25), time::Duration::hours(-25)] {
        let receiver = Receiver::start().await;
        let service = Service::timed(Clock::system_that_is_wrong_by(wrong_by), |_| {}).await;
        let (api, sql) = (&service.client, service.env.sql().await);
        // The first event waits for its next attempt while the second is delivered.
        receiver.refuse(&format!("{}:1", api.account));
        endpoint_at(api, &receiver.url(), json!({"from": "start"})).await;
        let headers = [("idempotency-key", "once")];
        let created = api.send(Method::POST, "/contact", &headers, &lead("ann@example.org").to_string()).await;
        created.expect(201);
        api.contact("bob@example.org").await.expect(201);
        let stored = ["push_attempt", "push_retry", "idempotency_record", "audit", "event", "owner_lease"];
        for table in stored {
            let any = format!("select exists(select from {table})");
            until(table, async || sql.query_one(&any, &[]).await.unwrap().get(0)).await;
        }

        let mut looked_at = 0;
        for column in sql.query(COLUMNS, &[]).await.unwrap() {
            let (table, column): (String, String) = (column.get(0), column.get(1));
            // Some schedule is due within the next hour, and no account is older than the test.
            let wrong = format!(
                "select count(*), count(*) filter (where abs(extract(epoch from {column} - now())) > 3 * 3600)
                 from {table} where {column} > 'epoch'"
            );
            let row = sql.query_one(&wrong, &[]).await.unwrap();
            let (set, wrong): (i64, i64) = (row.get(0), row.get(1));
            assert_eq!(wrong, 0, "{table}.{column} of a replica that is wrong by {wrong_by}");
            looked_at += i64::from(set > 0);
        }
        assert!(looked_at >= 8, "{looked_at} columns hold a time");
        service.app.stop().await.unwrap();
    }
}
