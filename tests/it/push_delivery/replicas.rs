//! Two replicas, each a process, and the end of one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use unificus::clock::instant;
use unificus::domain::AccountId;
use unificus::metrics::Metrics;
use unificus::store::Store;

use super::{body, endpoint_at, seq, until};
use crate::support::receiver::Received;
use crate::support::servers::Servers;
use crate::support::service::account;
use crate::support::{Client, LONG, Receiver, Replica};

/// The deadline of the contract.
const TAKEN_OVER: Duration = Duration::from_secs(5);

/// Enough accounts for both replicas to have some.
const ACCOUNTS: usize = 20;

/// The name of the sending replica: each has its own user agent.
fn sender(received: &Received) -> String {
    received.header("user-agent").to_owned()
}

fn of(received: &[Received], account: AccountId) -> impl Iterator<Item = &Received> {
    let prefix = format!("{account}:");
    received.iter().filter(move |one| one.header("webhook-id").starts_with(&prefix))
}

/// Creates a contact in each account and changes it twice.
async fn write(clients: &[Client], round: &str) {
    for client in clients {
        let uid = client.contact(&format!("{round}@example.org")).await.uid();
        for title in ["one", "two"] {
            client.put(&format!("/contact/{uid}"), json!({"title": title})).await.expect(200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_endpoint_is_delivered_by_one_replica_and_when_that_dies_the_other_continues_within_five_seconds() {
    let env = Servers::get().env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let receiver = Receiver::start().await;
    let mut one = Replica::start(&env, &[("UNIFICUS_PUSH__USER_AGENT", "one")]).await;
    let other = Replica::start(&env, &[("UNIFICUS_PUSH__USER_AGENT", "other")]).await;
    let mut clients = Vec::new();
    for _ in 0..ACCOUNTS {
        let (account, secret) = account(&store).await;
        clients.push(other.client(account, &secret));
    }
    for client in &clients {
        endpoint_at(client, &receiver.url(), json!({})).await;
    }
    for replica in [&one, &other] {
        until("an even share", async || replica.metrics().await.contains("unificus_shards_owned 32")).await;
    }

    write(&clients, "before").await;
    let before = receiver.wait_for(3 * ACCOUNTS, LONG).await;
    let senders = |account| of(&before, account).map(sender).collect::<BTreeSet<_>>();
    let theirs: BTreeMap<AccountId, BTreeSet<String>> =
        clients.iter().map(|client| (client.account, senders(client.account))).collect();
    assert!(theirs.values().all(|senders| senders.len() == 1), "each by one: {theirs:?}");
    let died_with: Vec<AccountId> =
        theirs.iter().filter(|(_, senders)| senders.contains("one")).map(|(account, _)| *account).collect();
    assert!(!died_with.is_empty() && died_with.len() < ACCOUNTS, "both have some: {theirs:?}");

    one.kill().await;
    let killed = instant();
    write(&clients, "after").await;
    until("all", async || receiver.counts().len() == 6 * ACCOUNTS).await;

    let all = receiver.received();
    for client in &clients {
        let theirs: Vec<&Received> = of(&all, client.account).collect();
        first_arrivals_are_complete_and_in_order(&theirs);
        let first = theirs.iter().find(|one| seq(one) > 3).unwrap();
        assert_eq!(sender(first), "other");
        let taken_over = first.at.saturating_duration_since(killed);
        assert!(taken_over < TAKEN_OVER, "{taken_over:?}");
        // Deliveries that are acknowledged and saved are not repeated; a cursor is saved within a second.
        let again = theirs.len() - 6;
        assert!(again <= 3, "{again} again");
    }
    assert!(all.iter().filter(|one| one.at > killed).all(|one| sender(one) == "other"), "the dead send nothing");
}

/// Checks each of an account's six events, and the order of those of one record.
fn first_arrivals_are_complete_and_in_order(theirs: &[&Received]) {
    let (mut seen, mut records) = (BTreeSet::new(), BTreeMap::<String, Vec<i64>>::new());
    for received in theirs {
        if seen.insert(seq(received)) {
            records.entry(body(received)["subject"].as_str().unwrap().to_owned()).or_default().push(seq(received));
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(records.values().all(|seqs| seqs.is_sorted()), "{records:?}");
}
