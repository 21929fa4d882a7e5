//! A load of everything that metrics count: writes, reads, refusals, searches, streams, webhooks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio::task::JoinSet;
use unificus::store::Store;

use crate::push_delivery::endpoint_at;
use crate::support::service::account_on;
use crate::support::{Client, Receiver, Replica};

/// Pause between two rounds of one caller, so that the test's machine stays usable.
const PAUSE: Duration = Duration::from_millis(15);

/// Callers of two replicas, who go on until this is dropped.
pub(crate) struct Load {
    _tasks: JoinSet<()>,
    _receivers: [Receiver; 2],
}

impl Load {
    /// Starts callers of each tier, followers, a receiver that works and one that does not.
    pub(crate) async fn start(store: &Store, replicas: &[Replica]) -> Self {
        let receivers = [Receiver::start().await, Receiver::start().await];
        receivers[1].respond_with(500);
        let mut tasks = JoinSet::new();
        for tier in ["free-trial", "start", "thrive", "pinnacle", "pinnacle", "pinnacle"] {
            let (account, secret) = account_on(store, tier).await;
            for (index, replica) in replicas.iter().enumerate() {
                let client = replica.client(account, &secret);
                if tier == "pinnacle" && index == 0 {
                    for receiver in &receivers {
                        endpoint_at(&client, &receiver.url(), json!({"from": "start"})).await;
                    }
                }
                tasks.spawn(call(client.clone()));
                if tier == "pinnacle" {
                    tasks.spawn(follow(client));
                }
            }
        }
        let (quiet, secret) = account_on(store, "thrive").await;
        for replica in replicas {
            tasks.spawn(poll(replica.client(quiet, &secret)));
        }
        Self { _tasks: tasks, _receivers: receivers }
    }
}

/// A caller who does everything in turns, refused calls included.
async fn call(client: Client) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let stranger = client.as_caller(client.account, "wrong");
    let mut pause = tokio::time::interval(PAUSE);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let email = format!("load{number}@example.org");
        client.contact(&email).await;
        client.get(&format!("/contact/{email}")).await;
        client.put(&format!("/contact/{email}"), json!({"first_name": "Bob"})).await;
        if number.is_multiple_of(4) {
            client.contact(&email).await;
            client.get("/contacts?q=load").await;
            client.get("/contact/nobody@example.org").await;
            stranger.get("/contacts").await;
            client.delete(&format!("/contact/{email}")).await;
        }
        client.get("/changes?limit=5").await;
        pause.tick().await;
    }
}

/// A follower whose stream is never read to its end.
async fn follow(client: Client) {
    let _ended = client.try_send(Method::GET, "/changes/stream", &[], "").await;
}

/// A reader of an account that nobody writes to, who waits for its next event.
async fn poll(client: Client) {
    loop {
        client.get("/changes?wait=5").await;
    }
}
