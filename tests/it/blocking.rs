//! Another transaction holds the lock of one account: its own writers get a response, and no other account waits.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::Value;
use tokio_postgres::Client as Sql;
use unificus::clock;
use unificus::command::{CommandEnvelope, IDEMPOTENCY_TTL};
use unificus::contract::input::{self, InputKind};
use unificus::store::batch::{Append, HeadLock, LoadRequest};

use crate::push_delivery::until;
use crate::support::client::{Reply, lead};
use crate::support::{Client, LONG, Service};

/// The service's connections that wait for a lock.
const LOCK_WAITERS: &str = "select exists(select from pg_stat_activity where datname = current_database() \
                       and application_name = 'unificus' and wait_event_type = 'Lock')";

/// A service whose accounts share one lane.
async fn one_lane() -> Service {
    Service::configured(|config| config.commands.lanes = 1).await
}

/// Holds the lock of an account, as a replica does that is paused in the middle of a transaction.
async fn hold(service: &Service, client: &Client) -> Sql {
    let sql = service.env.sql().await;
    sql.batch_execute("begin").await.unwrap();
    sql.query_one("select from head where account_id = $1 for update", &[&client.account.0]).await.unwrap();
    sql
}

async fn until_a_lock_is_waited_for(service: &Service) {
    let sql = service.env.sql().await;
    until("a wait for the lock", async || sql.query_one(LOCK_WAITERS, &[]).await.unwrap().get(0)).await;
}

fn create(client: &Client, name: impl std::fmt::Display) -> tokio::task::JoinHandle<Reply> {
    let (client, email) = (client.clone(), format!("{name}@example.org"));
    tokio::spawn(async move { client.contact(&email).await })
}

fn subjects(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["subject"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_head_blocks_no_other_account_of_its_lane() {
    let service = one_lane().await;
    let (locked, others) = (&service.client, [service.other_client().await, service.other_client().await]);
    let holder = hold(&service, locked).await;
    let waiting = create(locked, "waits");
    until_a_lock_is_waited_for(&service).await;

    // Each write is sent after the one before, while the lock is held.
    let writes = others.iter().map(|client| async move {
        for number in 0..20 {
            client.contact(&format!("p{number}@example.org")).await.expect(201);
        }
    });
    let written = tokio::time::timeout(LONG, join_all(writes)).await;

    assert!(written.is_ok(), "they wait for the other account's lock");
    assert!(!waiting.is_finished());
    assert!(service.gauge("unificus_lane_blocked_accounts{lane=\"0\"}").await > 0.0);
    holder.batch_execute("commit").await.unwrap();
    let response = waiting.await.unwrap();
    response.expect(201);
    assert_eq!(subjects(&locked.changes().await), [response.uid()]);
    for client in others {
        assert_eq!(client.changes().await.len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_a_locked_account_are_made_once_and_in_their_order_when_the_lock_is_free() {
    const WRITES: usize = 40;
    let service = one_lane().await;
    let account = service.client.account;
    let holder = hold(&service, &service.client).await;
    let emails: Vec<String> = (0..WRITES).map(|number| format!("p{number}@example.org")).collect();

    let mut writes = Vec::new();
    for email in &emails {
        let command = input::create(InputKind::Contact, lead(email), &mut clock::fresh_uid).unwrap();
        let order = CommandEnvelope { bytes: 100, ..CommandEnvelope::new(account, "test".into(), command) };
        let mut write = Box::pin(service.app.lanes().submit(order));
        // The first poll puts the command into the lane.
        assert!(futures_util::poll!(write.as_mut()).is_pending());
        writes.push(write);
    }
    until_a_lock_is_waited_for(&service).await;
    holder.batch_execute("commit").await.unwrap();
    for write in join_all(writes).await {
        write.unwrap();
    }

    let events = service.client.changes().await;
    let made: Vec<&str> = events.iter().map(|event| event["data"]["record"]["email"].as_str().unwrap()).collect();
    assert_eq!(made, emails);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_waits_too_long_for_a_lock_is_refused_with_retry_after_and_never_executed() {
    let service = one_lane().await;
    let holder = hold(&service, &service.client).await;

    let responses = join_all((0..30).map(|number| create(&service.client, number))).await;
    for response in responses {
        let response = response.unwrap();
        response.expect(503);
        assert!(
            response.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0),
            "{:?}",
            response.headers
        );
    }
    holder.batch_execute("commit").await.unwrap();

    let after = service.client.contact("after@example.org").await;
    after.expect(201);
    assert_eq!(subjects(&service.client.changes().await), [after.uid()]);
    assert!(service.gauge("unificus_lane_blocked_accounts{lane=\"0\"}").await < 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_two_replicas_write_at_once_starves_on_neither() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let service = one_lane().await;
    let (other, elsewhere) = service.replica_configured(|config| config.commands.lanes = 1).await;
    let clients = [&service.client, &elsewhere];

    let writers =
        (0..WRITERS).flat_map(|writer| clients.iter().enumerate().map(move |(at, client)| (writer, at, *client)));
    let writers = writers.map(|(writer, at, client)| async move {
        for write in 0..WRITES {
            client.contact(&format!("r{at}w{writer}-{write}@example.org")).await.expect(201);
        }
    });
    assert!(tokio::time::timeout(LONG, join_all(writers)).await.is_ok());

    let events = service.client.changes().await;
    let seqs: Vec<i64> = events.iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..).take(2 * WRITERS * WRITES).collect::<Vec<i64>>());
    other.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_paused_with_the_account_locked_is_ended() {
    let service = one_lane().await;
    // A process that is paused in the middle of a transaction is a client that sends nothing more.
    let opened = service.store.change_account(service.client.account, &[], IDEMPOTENCY_TTL).await.unwrap();
    let paused = opened.expect("there is the account");

    let written = tokio::time::timeout(LONG, async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            pause.tick().await;
            let headers = [("idempotency-key", "again")];
            let body = lead("ann@example.org").to_string();
            let response = service.client.send(Method::POST, "/contact", &headers, &body).await;
            if response.status == 201 {
                return;
            }
            response.expect(503);
        }
    });
    assert!(written.await.is_ok(), "the lock is held for ever");
    assert!(paused.change.endpoint_count().await.is_err(), "and the change cannot go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lock_mode_loads_the_same_heads() {
    let service = Service::start().await;
    service.client.contact("ann@example.org").await.expect(201);
    let request = LoadRequest { accounts: vec![service.client.account], ..LoadRequest::default() };
    let mut loaded = Vec::new();
    for lock in [HeadLock::Brief, HeadLock::Skip, HeadLock::Patient] {
        let (batch, state) = service.store.open_batch(&request, lock).await.unwrap();
        batch.commit(&Append::default()).await.unwrap();
        loaded.push(format!("{:?}", state.heads));
    }

    assert!(loaded[0].contains("seq: Seq(1)"), "{}", loaded[0]);
    assert_eq!(loaded[1], loaded[0]);
    assert_eq!(loaded[2], loaded[0]);
}
