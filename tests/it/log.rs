//! The invariants of the log.

use std::collections::BTreeMap;

use serde_json::json;
use unificus::contract::event;
use unificus::feed::PageLimit;
use unificus::projection;

use crate::support::client::lead;
use crate::support::{Client, Service, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_with_64_writers_each_leave_one_gapless_log_and_nats_has_it_in_order() {
    const WRITERS: usize = 64;
    const WRITES: usize = 5;
    let service = Service::start().await;
    let (_other, replica) = service.replica().await;

    let writers = (0..WRITERS * 2).map(|writer| {
        let client = if writer % 2 == 0 { service.client.clone() } else { replica.clone() };
        tokio::spawn(async move {
            for write in 0..WRITES {
                client.contact(&format!("w{writer}-{write}@example.org")).await.expect(201);
            }
        })
    });
    for writer in futures_util::future::join_all(writers).await {
        writer.unwrap();
    }

    let n = WRITERS * 2 * WRITES;
    let seqs: Vec<i64> =
        service.client.changes().await.iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..).take(n).collect::<Vec<i64>>(), "commit order is seq order");
    let account = service.client.account;
    assert_eq!(stream::ids(&service.env, account, n).await, stream::unbroken(account, n));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_creates_of_one_email_make_one_contact() {
    let service = Service::start().await;
    let (_other, replica) = service.replica().await;
    let clients = [service.client.clone(), replica];

    let race = (0..40).map(|racer: usize| {
        let client: Client = clients[racer % 2].clone();
        async move { client.post("/contact", lead("one@example.org")).await.status }
    });
    let statuses = futures_util::future::join_all(race).await;

    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 39, "{statuses:?}");
    assert_eq!(service.client.changes().await.len(), 1);
}

#[tokio::test]
async fn read_models_rebuilt_from_the_log_equal_the_live_ones() {
    let service = Service::start().await;
    let api = &service.client;
    for number in 0..20 {
        let mut body = lead(&format!("p{number}@example.org"));
        body["company"] = json!({"name": format!("Company {}", number % 3), "create_company_if_not_exists": true});
        api.post("/contact", body).await.expect(201);
    }
    api.put("/contact/p1@example.org", json!({"email": "new@example.org", "tags": ["x"], "company": null}))
        .await
        .expect(200);
    api.put("/company/Company+0", json!({"name": "Renamed", "address": {"city": "Leeds"}})).await.expect(200);
    api.delete("/contact/p2@example.org").await.expect(200);
    api.delete("/company/Company+1").await.expect(200);
    api.post("/company", json!({"name": "Blue", "primaryContact": {"email": "p3@example.org"}})).await.expect(201);

    let (mut rebuilt, mut belongs) = (BTreeMap::new(), BTreeMap::new());
    let mut after = unificus::domain::Seq::ZERO;
    loop {
        let limit = PageLimit { events: 7, bytes: 1 << 20 };
        let events = service.store.events_after(api.account, after, limit).await.unwrap().events;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for wire in &events {
            let event = wire.decode().unwrap();
            let text = serde_json::to_string(&unificus::contract::record::RecordJson(&event.record)).unwrap();
            let uid = event.record.uid;
            let companies = projection::companies_of(&event.record);
            let before = belongs.insert(uid, companies).unwrap_or_default();
            let row = projection::row(api.account, &event, &text, &before);
            let row = match rebuilt.remove(&row.uid.0) {
                Some(earlier) => projection::merge(earlier, row),
                None => row,
            };
            rebuilt.insert(row.uid.0, row);
            assert_eq!(
                event::EncodedEvent::encode(api.account, &event).unwrap().0.body,
                wire.body,
                "an event is what its bytes say"
            );
        }
    }

    let sql = service.env.sql().await;
    let mut live = 0;
    for table in ["contact", "company"] {
        let rows = sql
            .query(
                &format!("select uid, version, key, role, deleted, created_at, updated_at, record from {table}"),
                &[],
            )
            .await
            .unwrap();
        for row in rows {
            let expected = &rebuilt[&row.get::<_, uuid::Uuid>(0)];
            assert_eq!(expected.version.0, row.get::<_, i64>(1));
            assert_eq!(expected.key, row.get::<_, Option<String>>(2));
            assert_eq!(expected.role, row.get::<_, Option<&str>>(3));
            assert_eq!(expected.deleted, row.get::<_, bool>(4));
            assert_eq!((expected.created_at, expected.updated_at), (row.get(5), row.get(6)));
            assert_eq!(expected.record, row.get::<_, String>(7), "byte for byte");
            live += 1;
        }
    }
    assert_eq!(live, rebuilt.len());
    let mut links: Vec<(uuid::Uuid, uuid::Uuid)> =
        rebuilt.values().flat_map(|row| row.companies.iter().flatten().map(|company| (company.0, row.uid.0))).collect();
    links.sort_unstable();
    let stored = sql.query("select company_uid, contact_uid from contact_company order by 1, 2", &[]).await.unwrap();
    assert_eq!(stored.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<_>>(), links);
}

#[tokio::test]
async fn commands_of_one_batch_see_each_other_and_a_refused_one_harms_none() {
    let service = Service::start().await;
    let api = &service.client;
    // More commands than one batch takes of an account, all at once.
    let bodies = (0..60).map(|number| lead(&format!("p{}@example.org", number / 2)));
    let responses = futures_util::future::join_all(bodies.map(|body| api.post("/contact", body))).await;

    assert_eq!(responses.iter().filter(|response| response.status == 201).count(), 30);
    assert_eq!(responses.iter().filter(|response| response.status == 422).count(), 30);
    assert_eq!(api.changes().await.len(), 30);
    assert_eq!(api.get("/contacts").await.json["meta"]["pagination"]["totalItems"], 30);
}
