//! An erasure whose process ends after any of its steps, and its wait for the memory of replicas.

use std::sync::Arc;

use unificus::broker::Broker;
use unificus::clock::{self, Clock};
use unificus::command::{self, CommandEnvelope};
use unificus::contract::sync_op;
use unificus::domain::{AccountId, Seq};
use unificus::erasure::{ErasureWorker, MemoryCleaner};
use unificus::feed::PageLimit;
use unificus::metrics::Metrics;
use unificus::push::AttemptLog;
use unificus::worker::{Step, Worker};

use super::*;
use crate::support::Parts;
use crate::support::parts::until_idle;
use crate::support::servers::Servers;
use crate::support::service::account;

const ALL: PageLimit = PageLimit { events: 1_000, bytes: 1 << 20 };

async fn execute(parts: &Parts, account: AccountId, operation: Value) -> Value {
    let read = sync_op::read(operation, &"erp".into(), &mut clock::fresh_uid);
    let envelope = CommandEnvelope::new(account, "erp".into(), read.command.unwrap());
    let result = Box::pin(command::execute(&parts.store, &Clock::system(), envelope)).await.unwrap();
    serde_json::from_str(&result.record).unwrap()
}

async fn worker(env: &TestEnv, parts: &Parts) -> ErasureWorker {
    let broker = Broker::connect(&env.config().nats, &Metrics::new().unwrap()).await.unwrap();
    broker.connected().await.unwrap();
    ErasureWorker::new(parts.store.clone(), broker, Arc::default())
}

fn cleaner(parts: &Parts) -> MemoryCleaner {
    let metrics = Metrics::new().unwrap();
    let attempts = AttemptLog::new(parts.store.clone(), metrics.clone());
    MemoryCleaner::new(parts.feed.clone(), attempts, parts.shards.clone(), metrics, Arc::default())
}

/// The stage of the account's only erasure.
async fn stage(env: &TestEnv) -> String {
    env.sql().await.query_one("select stage from erasure", &[]).await.unwrap().get(0)
}

/// The bodies that a replica reads from the beginning of the log.
async fn read(parts: &Parts, account: AccountId) -> String {
    let page = parts.feed.after(account, Seq::ZERO, ALL).await.unwrap();
    page.events.iter().map(|event| event.text().to_owned()).collect()
}

#[tokio::test]
async fn an_erasure_continues_after_any_step_and_waits_for_every_live_replica() {
    let env = Servers::get().env().await;
    let mut parts = Parts::start(&env).await;
    let (account, _) = account(&parts.store).await;
    parts.write(account, EMAIL).await;
    assert!(read(&parts, account).await.contains(EMAIL));
    parts.wake_up().await;
    parts.relay_all().await;
    let contact = json!({"op": "upsert", "entity": "contact", "match": ["email"], "set": {"email": EMAIL}});
    let uid = execute(&parts, account, contact).await["uid"].clone();
    execute(&parts, account, json!({"op": "erase", "entity": "contact", "uid": uid})).await;

    let mut reached = vec![stage(&env).await];
    // Each step is the last one of its process.
    while worker(&env, &parts).await.step().await.unwrap() == Step::Advanced {
        reached.push(stage(&env).await);
    }
    assert_eq!(reached, ["begun", "log", "memory"], "the replica has not confirmed");
    assert!(read(&parts, account).await.contains(EMAIL), "its memory has the event as it was");
    assert_clean(
        "the log",
        &json!(
            parts
                .store
                .events_after(account, Seq::ZERO, ALL)
                .await
                .unwrap()
                .events
                .iter()
                .map(|event| event.text().to_owned())
                .collect::<Vec<_>>()
        )
        .to_string(),
    );
    until_idle(&mut cleaner(&parts)).await;
    assert_clean("its memory", &read(&parts, account).await);
    assert_eq!(worker(&env, &parts).await.step().await.unwrap(), Step::Advanced);
    assert_eq!(worker(&env, &parts).await.step().await.unwrap(), Step::Advanced);
    assert_eq!(stage(&env).await, "stream");
    assert_eq!(worker(&env, &parts).await.step().await.unwrap(), Step::Idle, "the event `erased` is not published yet");
    parts.wake_up().await;
    parts.relay_all().await;
    assert_eq!(worker(&env, &parts).await.step().await.unwrap(), Step::Advanced);
    assert_eq!(stage(&env).await, "done");
    assert_eq!(stream_files_with(&env, EMAIL), 0);
    assert_clean("the database", &dump(&env).await);

    // The relay does not take the gap for a loss: a new owner goes on behind the last message.
    parts.kill().await;
    let mut parts = Parts::start(&env).await;
    parts.write(account, "bob@example.org").await;
    parts.wake_up().await;
    parts.relay_all().await;
    let ids = stream::ids(&env, account, 2).await;
    assert_eq!(ids, [format!("{account}:2"), format!("{account}:3")]);
    parts.kill().await;
}

#[tokio::test]
async fn a_replica_uses_nothing_that_it_keeps_once_it_cannot_learn_of_erasures() {
    let env = Servers::get().env().await;
    let mut parts = Parts::start(&env).await;
    let (account, _) = account(&parts.store).await;
    parts.wake_up().await;
    let mut cleaner = cleaner(&parts);
    until_idle(&mut cleaner).await;
    parts.feed.trust_memory(clock::instant() + LONG);
    parts.write(account, EMAIL).await;
    let changed = env.sql().await.execute("update event set body = replace(body, $1, 'x@x.org')", &[&EMAIL]).await;
    assert_eq!(changed.unwrap(), 1);
    assert!(read(&parts, account).await.contains(EMAIL), "it reads its memory");
    parts.feed.trust_memory(clock::instant());
    assert_clean("its memory", &read(&parts, account).await);
    parts.write(account, MERGED_EMAIL).await;
    assert!(!read(&parts, account).await.contains(EMAIL));
    // It holds the owner session, whose end the process waits for.
    drop(cleaner);
    parts.kill().await;
}
