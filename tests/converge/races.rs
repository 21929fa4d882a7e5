//! Upserts of one reference that race: half of them by HTTP, half by NATS, over two replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{Either, join_all};
use hyper::Method;
use serde_json::{Value, json};

use crate::connector::tests::Service as _;
use crate::fleet::{Account, Fleet};
use crate::support::client::lead;

const RACERS: u64 = 64;
const CONNECTIONS: u64 = 4;

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) rounds: u64,
    /// Records that all races made together.
    pub(crate) records: usize,
    pub(crate) created_by_http: u64,
    pub(crate) created_by_nats: u64,
}

/// Lets upserts race for one reference in each round. Panics where they make more than one record, or where one of them
/// fails.
pub(crate) async fn run(fleet: &Arc<Fleet>, rounds: u64) -> Figures {
    let account = fleet.account(1).await;
    let nats = join_all((0..CONNECTIONS).map(|_| fleet.log_in(&account))).await;
    let mut figures = Figures { rounds, ..Figures::default() };
    for round in 0..rounds {
        let race = |racer: u64| {
            let upsert = json!({"op_id": format!("{round}.{racer}"), "op": "upsert", "entity": "contact",
                "ref": {"id": round.to_string()}, "set": lead(&format!("{racer}.{round}@example.org"))});
            let connection = usize::try_from(racer / 2 % CONNECTIONS).expect("a few connections");
            let connection = &nats[connection];
            if racer.is_multiple_of(2) {
                Either::Left(by_http(&account, upsert))
            } else {
                Either::Right(by_nats(&account, connection, upsert))
            }
        };
        let results = join_all((0..RACERS).map(race)).await;
        let uids: BTreeSet<&str> = results.iter().map(|result| result["uid"].as_str().unwrap_or_default()).collect();
        let statuses: Vec<u64> = results.iter().map(|result| result["status"].as_u64().unwrap_or_default()).collect();
        assert_eq!(uids.len(), 1, "round {round}: {results:#?}");
        assert!(statuses.iter().all(|status| [200, 201].contains(status)), "round {round}: {results:#?}");
        let created: Vec<usize> = (0..statuses.len()).filter(|racer| statuses[*racer] == 201).collect();
        let [creator] = created[..] else { panic!("round {round}: {} creations", created.len()) };
        if creator.is_multiple_of(2) { figures.created_by_http += 1 } else { figures.created_by_nats += 1 }
    }
    figures.records = records(&account).await;
    assert_eq!(u64::try_from(figures.records).ok(), Some(rounds), "records");
    figures
}

async fn by_http(account: &Account, upsert: Value) -> Value {
    let body = json!({"ops": [upsert]}).to_string();
    let reply = account.client(0).send(Method::POST, "/sync/batch", &[], &body).await;
    reply.expect(200)[0].clone()
}

async fn by_nats(account: &Account, connection: &async_nats::Client, upsert: Value) -> Value {
    let subject = format!("crm.v1.{}.cmd.contact.upsert", account.id);
    let reply = connection.request(subject, upsert.to_string().into()).await.expect("every command gets a reply");
    serde_json::from_slice(&reply.payload).expect("a reply is JSON")
}

/// The records that the log made, each with one reference of its own.
async fn records(account: &Account) -> usize {
    let mut references = BTreeSet::new();
    let log = account.log().await;
    let created: Vec<&Value> = log.iter().filter(|event| event["type"] == "crm.contact.created").collect();
    for event in &created {
        let reference = event["data"]["record"]["refs"][0]["id"].to_string();
        assert!(references.insert(reference.clone()), "two records of {reference}");
    }
    for (seq, event) in (1_u64..).zip(&log) {
        assert_eq!(event["data"]["seq"], seq, "the log has a gap");
    }
    created.len()
}
