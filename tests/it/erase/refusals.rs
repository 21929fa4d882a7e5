//! Contacts that cannot be erased, and those that were erased before.

use super::*;

async fn erasing(client: &Client, id: &str) -> crate::support::client::Reply {
    client.post(&format!("/contact/{id}/erase"), Value::Null).await
}

#[tokio::test]
async fn a_contact_is_erased_once_and_only_by_its_own_account() {
    let service = Service::start().await;
    let stranger = service.other_client().await;
    let uid = service.client.contact(EMAIL).await.uid();
    let before = json!(service.client.changes().await);
    erasing(&stranger, &uid).await.expect(404);
    erasing(&stranger, EMAIL).await.expect(404);
    erasing(&service.client, "0193a5b0-7c1e-7000-8000-000000000001").await.expect(404);
    erasing(&service.client, "nobody@example.org").await.expect(404);
    service.client.get(&format!("/contact/{uid}/erase")).await.expect(404);
    assert_eq!(json!(service.client.changes().await), before);

    let erased = erasing(&service.client, EMAIL).await;
    assert_eq!(erased.expect(200)["uid"], json!(uid));
    let again = erase(&service.client, &uid).await;
    assert_eq!((&again["seq"], &again), (&erased.expect(200)["seq"], erased.expect(200)));
    assert_eq!(service.client.changes().await.len(), 2);
    stranger.get(&format!("/contact/{uid}/erase")).await.expect(404);
    service.client.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(410);
    assert_clean("the database", &dump(&service.env).await);
}

#[tokio::test]
async fn an_erasure_leaves_the_same_person_of_another_account() {
    let service = Service::start().await;
    let stranger = service.other_client().await;
    let (uid, _) = known_person(&service).await;
    let theirs = stranger.contact(EMAIL).await.uid();
    let before = stranger.changes().await;
    erase(&service.client, &uid).await;
    assert_eq!(stranger.changes().await, before);
    assert_eq!(stranger.get(&format!("/contact/{theirs}")).await.expect(200)["email"], EMAIL);
    assert_clean("the feed", &json!(service.client.changes().await).to_string());
}

#[tokio::test]
async fn a_deleted_contact_is_erased_and_a_merged_one_with_the_one_that_continues_it() {
    let service = Service::start().await;
    let (uid, double) = known_person(&service).await;
    let merged = erasing(&service.client, &double).await;
    merged.expect(410);
    assert_eq!(merged.json["merged_into"], json!(uid), "{}", merged.text);
    service.client.delete(&format!("/contact/{uid}")).await.expect(200);
    assert!(dump(&service.env).await.contains(EMAIL), "a tombstone keeps its fields");
    erase(&service.client, &uid).await;
    assert_clean("the database", &dump(&service.env).await);
    assert_sound(&service).await;
    let erp = partner(&service, "erp").await;
    let restore = json!({"op": "restore", "entity": "contact", "uid": uid});
    assert_eq!(execute_one(&erp, restore).await["status"], 410);
}

#[tokio::test]
async fn an_operation_of_a_batch_begins_an_erasure_whose_progress_can_be_read() {
    let service = Service::start().await;
    let erp = partner(&service, "erp").await;
    let (uid, _) = known_person(&service).await;
    let company = json!({"op": "erase", "entity": "company", "uid": uid});
    assert_eq!(execute_one(&erp, company).await["status"], 422);
    let begun = execute_one(&erp, json!({"op": "erase", "entity": "contact", "ref": {"id": EMAIL}})).await;
    assert_eq!((&begun["status"], &begun["record"]["erased"]), (&json!(200), &json!(true)), "{begun}");
    until("it is done", async || {
        let progress = erp.get(&format!("/contact/{uid}/erase")).await;
        progress.json["data"]["stage"] == "done"
    })
    .await;
    assert_clean("the database", &dump(&service.env).await);
    assert_sound(&service).await;
}

#[tokio::test]
async fn writes_during_an_erasure_leave_nothing_of_the_person() {
    let service = Service::start().await;
    let (app, other) = service.replica().await;
    let (uid, _) = known_person(&service).await;
    let company = |number: usize| json!({"tags": [format!("t{number}")]});
    let shop = partner(&service, "shop").await;
    let writes = async |client: &Client| {
        for number in 0..60 {
            client.put("/companies/Bolt", company(number)).await.expect(200);
            let update =
                json!({"op": "update", "entity": "contact", "uid": uid, "base": 1, "set": {"phone": LOST_PHONE}});
            execute_one(&shop, update).await;
        }
    };
    let ((), (), erasure) = tokio::join!(writes(&service.client), writes(&other), erase(&other, &uid));
    assert_eq!(erasure["stage"], "done");
    assert_clean("the database", &dump(&service.env).await);
    for client in [&service.client, &other] {
        assert_clean("the feed", &json!(client.changes().await).to_string());
    }
    assert_eq!(stream_files_with(&service.env, EMAIL), 0);
    assert_sound(&service).await;
    app.stop().await.unwrap();
}
