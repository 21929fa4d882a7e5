//! Two-way synchronization over HTTP: operations in batches, references, concurrent changes and their policies.

mod batches;
mod conflicts;
mod lifecycle;
mod revert;

use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;

use crate::support::{Client, Service};

/// A client whose key has this origin.
pub(crate) async fn partner(service: &Service, origin: &str) -> Client {
    another_key(service, &service.client, origin).await
}

/// The same account's client, with a key of this origin.
pub(crate) async fn another_key(service: &Service, client: &Client, origin: &str) -> Client {
    let secret = SecretKey::make("unificus");
    let key = keys::prepare(client.account, &secret, Terms::named(origin), &MasterKeys::new(&[]));
    let by = By::new("test", Clock::system().now());
    service.store.add_key(client.account, &key, by).await.unwrap();
    client.as_caller(client.account, secret.text())
}

/// Executes operations; returns their results.
pub(crate) async fn execute(client: &Client, operations: Value) -> Vec<Value> {
    let reply = client.post("/sync/batch", json!({ "ops": operations })).await;
    reply.expect(200).as_array().unwrap().clone()
}

/// Executes one operation; returns its result.
pub(crate) async fn execute_one(client: &Client, operation: Value) -> Value {
    execute(client, json!([operation])).await.remove(0)
}

/// An operation that creates or changes the contact that the caller calls `id`.
pub(crate) fn upsert(id: &str, set: Value) -> Value {
    json!({"op": "upsert", "entity": "contact", "ref": {"id": id}, "set": set})
}

/// A contact that the caller calls `id`; returns the result of its creation.
pub(crate) async fn contact(client: &Client, id: &str, email: &str) -> Value {
    let set = json!({"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": email, "phone": "1"});
    let created = execute_one(client, upsert(id, set)).await;
    assert_eq!(created["status"], 201, "{created}");
    created
}

/// Asserts that the log has no gap and that the read models equal it.
pub(crate) async fn assert_sound(service: &Service) {
    let log = service.client.changes().await;
    let seqs: Vec<i64> = log.iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=i64::try_from(log.len()).unwrap()).collect::<Vec<_>>());
    crate::rebuild::equal(&service.env, "after the test").await;
}
