//! Undoing what an origin wrote.

use serde_json::json;

use super::*;
use crate::support::client::lead;

fn update(uid: &Value, set: Value) -> Value {
    json!({"op": "update", "entity": "contact", "uid": uid, "set": set})
}

async fn head(service: &Service) -> usize {
    service.client.changes().await.len()
}

#[tokio::test]
async fn a_bad_sync_is_undone_in_one_call_and_what_others_changed_since_is_kept() {
    const RECORDS: usize = 1_000;
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let mut uids = Vec::new();
    for chunk in 0..RECORDS / 100 {
        let create = |id: usize| upsert(&id.to_string(), lead(&format!("{id}@x.org")));
        let ids = chunk * 100..(chunk + 1) * 100;
        let created = execute(&shop, ids.map(create).collect()).await;
        uids.extend(created.iter().map(|result| result["uid"].clone()));
    }
    let before = head(&service).await;
    for chunk in uids.chunks(100) {
        let bad = |uid: &Value| update(uid, json!({"first_name": "Mixed", "last_name": "Up", "phone": "0"}));
        execute(&erp, chunk.iter().map(bad).collect()).await;
    }
    let created = contact(&erp, "new", "new@x.org").await;
    execute_one(&erp, json!({"op": "delete", "entity": "contact", "uid": uids[5]})).await;
    // Somebody mended one field of one record meanwhile, and deleted another one.
    execute_one(&shop, update(&uids[7], json!({"phone": "7"}))).await;
    execute_one(&shop, json!({"op": "delete", "entity": "contact", "uid": uids[8]})).await;
    let bad = head(&service).await;

    let request = json!({"origin": "erp", "from": before, "dry_run": true});
    let planned = service.client.post("/sync/revert", request).await;
    assert_eq!(planned.expect(200)["records"], RECORDS + 1);
    assert_eq!(planned.expect(200)["planned"].as_array().unwrap().len(), 1_000);
    assert_eq!(head(&service).await, bad);

    let request = json!({"origin": "erp", "from": before});
    let undone = service.client.post("/sync/revert", request.clone()).await;
    let report = undone.expect(200);
    for (member, value) in [
        ("complete", json!(true)),
        ("updated", json!(RECORDS - 2)),
        ("restored", json!(1)),
        ("deleted", json!(1)),
        ("skipped_total", json!(2)),
        ("remaining", json!(0)),
    ] {
        assert_eq!(report[member], value, "{member}: {report}");
    }
    let skipped = report["skipped"].as_array().unwrap();
    let of = |uid: &Value| skipped.iter().find(|skipped| skipped["uid"] == *uid).unwrap();
    let field = &of(&uids[7])["fields"][0];
    assert_eq!(
        (&field["field"], &field["theirs"], &field["theirs_origin"]),
        (&json!("phone"), &json!("7"), &json!("shop"))
    );
    assert_eq!(of(&uids[8])["problem"]["status"], 410);
    for (index, uid) in uids.iter().enumerate().filter(|(index, _)| *index != 8) {
        if index % 97 != 0 && index != 5 && index != 7 {
            continue;
        }
        let contact = service.client.get(&format!("/contact/{}", uid.as_str().unwrap())).await;
        let phone = if index == 7 { json!("7") } else { Value::Null };
        let record = contact.expect(200);
        assert_eq!(
            (&record["first_name"], &record["last_name"], &record["phone"]),
            (&json!("Ann"), &json!("Lee"), &phone)
        );
    }
    service.client.get(&format!("/contact/{}", created["uid"].as_str().unwrap())).await.expect(410);
    // Once more: nothing is left to undo.
    let head_after = head(&service).await;
    let again = service.client.post("/sync/revert", request).await;
    assert_eq!((&again.expect(200)["updated"], head(&service).await), (&json!(0), head_after), "{}", again.text);
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_range_is_of_one_account_and_one_origin_and_within_the_log() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    contact(&erp, "1", "a@x.org").await;
    contact(&shop, "1", "b@x.org").await;
    for bad in [
        json!([]),
        json!({"origin": "erp"}),
        json!({"from": 0}),
        json!({"origin": "erp", "from": 3}),
        json!({"origin": "erp", "from": 2, "to": 1}),
        json!({"origin": "erp", "from": 0, "to": "tomorrow"}),
        json!({"origin": "erp", "from": 0, "dry_run": 1}),
    ] {
        service.client.post("/sync/revert", bad.clone()).await.expect(422);
    }
    let stranger = service.other_client().await;
    let none = stranger.post("/sync/revert", json!({"origin": "erp", "from": 0})).await;
    assert_eq!(none.expect(200)["records"], 0);
    let after = service.client.post("/sync/revert", json!({"origin": "erp", "from": 1})).await;
    assert_eq!(after.expect(200)["records"], 0);
    let undone = service.client.post("/sync/revert", json!({"origin": "erp", "from": 0})).await;
    assert_eq!((&undone.expect(200)["records"], &undone.expect(200)["deleted"]), (&json!(1), &json!(1)));
    service.client.get("/contact/b@x.org").await.expect(200);
}
