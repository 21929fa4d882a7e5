//! A replica is paused (SIGSTOP) while its machine stays reachable: the other replica takes its work over.

use nix::sys::signal::Signal;
use unificus::metrics::Metrics;
use unificus::store::Store;

use crate::push_delivery::until;
use crate::support::servers::Servers;
use crate::support::service::account;
use crate::support::{Client, LONG, Replica, stream};

/// Enough accounts for both replicas to have some.
const ACCOUNTS: usize = 16;

async fn until_owned(replica: &Replica, shards: u8) {
    let series = format!("unificus_shards_owned {shards}\n");
    until(&format!("{shards} shards"), async || replica.metrics().await.contains(&series)).await;
}

async fn write(clients: &[Client], round: &str) {
    for client in clients {
        client.contact(&format!("{round}@example.org")).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_replica_loses_its_shards_and_takes_its_share_again_when_it_goes_on() {
    let env = Servers::get().env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let (paused, other) = (Replica::start(&env, &[]).await, Replica::start(&env, &[]).await);
    let mut clients = Vec::new();
    for _ in 0..ACCOUNTS {
        let (account, secret) = account(&store).await;
        clients.push(other.client(account, &secret));
    }
    until_owned(&paused, 32).await;
    until_owned(&other, 32).await;
    write(&clients, "before").await;

    paused.signal(Signal::SIGSTOP);
    write(&clients, "meanwhile").await;
    // All events are relayed before anything else happens.
    for client in &clients {
        assert_eq!(stream::ids(&env, client.account, 2).await, stream::unbroken(client.account, 2));
    }
    until_owned(&other, 64).await;

    paused.signal(Signal::SIGCONT);
    until_owned(&paused, 32).await;
    until_owned(&other, 32).await;
    write(&clients, "after").await;
    for client in &clients {
        assert_eq!(stream::ids(&env, client.account, 3).await, stream::unbroken(client.account, 3));
    }
    let sql = env.sql().await;
    let settled = "select not exists(select from head h left join relay_cursor c on c.account_id = h.account_id \
                   where h.seq <> coalesce(c.seq, 0))";
    until("the cursors", async || sql.query_one(settled, &[]).await.unwrap().get(0)).await;
    let leases: i64 = sql.query_one("select count(*) from owner_lease", &[]).await.unwrap().get(0);
    assert_eq!(leases, 2, "the lease of the ended session is removed");
}

/// The writer is paused after it has locked the heads of a batch. Its accounts, and others, are then written through
/// the other replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_when_the_replica_that_writes_the_same_accounts_is_paused() {
    let env = Servers::get().env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let (paused, other) = (Replica::start(&env, &[]).await, Replica::start(&env, &[]).await);
    let mut accounts = Vec::new();
    for _ in 0..4 {
        accounts.push(account(&store).await);
    }
    let sql = env.sql().await;
    let load: Vec<_> = accounts
        .iter()
        .map(|(account, secret)| {
            let client = paused.client(*account, secret);
            tokio::spawn(async move {
                for number in 0.. {
                    client.contact(&format!("load{number}@example.org")).await;
                }
            })
        })
        .collect();
    let written = "select count(*) > 40 from event";
    until("a load", async || sql.query_one(written, &[]).await.unwrap().get(0)).await;
    paused.signal(Signal::SIGSTOP);

    for (account, secret) in &accounts {
        let client = other.client(*account, secret);
        let create = async {
            while client.contact("meanwhile@example.org").await.status != 201 {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(LONG, create).await.is_ok(), "writes wait for the paused replica");
    }
    load.iter().for_each(tokio::task::JoinHandle::abort);
    paused.signal(Signal::SIGCONT);
}
