//! Commands and reads that share a statement.

use futures_util::future::join_all;
use serde_json::json;
use unificus::clock;
use unificus::command::CommandEnvelope;
use unificus::contract::input::{self, InputKind};
use unificus::domain::{Command, Delete, Entity, Target, Uid};

use crate::support::Service;
use crate::support::client::lead;

fn uid(text: &str) -> Uid {
    Uid(text.parse().unwrap())
}

#[tokio::test]
async fn a_new_record_takes_the_key_that_another_gives_up_in_the_same_batch() {
    let service = Service::start().await;
    let (account, api) = (service.client.account, &service.client);
    let old = api.contact("ann@example.org").await.uid();
    let delete = Command::Delete(Delete { entity: Entity::Contact, target: Target::Uid(uid(&old)), if_match: None });
    let create = input::create(InputKind::Contact, lead("ann@example.org"), &mut clock::fresh_uid).unwrap();
    let company = input::create(InputKind::Company, json!({"name": "Acme"}), &mut clock::fresh_uid).unwrap();

    // On this single thread all are in the lane before its writer runs, so they share a batch.
    let writes = join_all([delete, create, company].map(|command| {
        service
            .app
            .lanes()
            .submit(CommandEnvelope { bytes: 100, ..CommandEnvelope::new(account, "test".into(), command) })
    }));
    let written = writes.await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();

    let events = api.changes().await;
    let times: Vec<_> = events.iter().skip(1).map(|event| &event["time"]).collect();
    assert_eq!(times, [times[0]; 3], "a batch that was refused would have been split");
    api.get(&format!("/contact/{old}")).await.expect(410);
    let holder = api.get("/contact/ann@example.org").await;
    assert_eq!(holder.expect(200)["uid"], json!(written[1].done.uid.to_string()));
    api.get(&format!("/company/{}", written[2].done.uid)).await.expect(200);
}

#[tokio::test]
async fn concurrent_reads_each_get_their_own_record_and_none_of_another_account() {
    const CONTACTS: usize = 30;
    let service = Service::start().await;
    let (own, other) = (&service.client, service.other_client().await);
    let mut uids = Vec::new();
    for number in 0..CONTACTS {
        let client = if number % 2 == 0 { own } else { &other };
        uids.push(client.contact(&format!("p{number}@example.org")).await.uid());
    }
    // On this single thread most of these reads wait for the two statements that the first ones send.
    let reads = (0..2 * CONTACTS).map(|number| {
        let (client, owner) = if number < CONTACTS { (own, 0) } else { (&other, 1) };
        let contact = number % CONTACTS;
        let path = format!("/contact/{}", uids[contact]);
        async move { (contact, contact % 2 == owner, client.get(&path).await) }
    });
    for (contact, is_own, response) in join_all(reads).await {
        if is_own {
            assert_eq!(response.expect(200)["email"], json!(format!("p{contact}@example.org")));
        } else {
            response.expect(404);
        }
    }
}
