//! Batches: results in order, references, matching, idempotent operations, all or nothing.

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::support::client::lead;

#[tokio::test]
async fn results_have_the_order_of_the_operations_and_each_its_own_status() {
    let service = Service::start().await;
    let erp = partner(&service, "erp").await;
    let results = execute(
        &erp,
        json!([
            {"op_id": "a", "op": "upsert", "entity": "contact", "ref": {"id": "17"}, "set": lead("ann@x.org")},
            {"op_id": "b", "op": "update", "entity": "contact", "ref": {"id": "17"}, "set": {"phone": "+31201234567"}},
            {"op_id": "c", "op": "update", "entity": "contact", "ref": {"id": "18"}, "set": {"phone": "1"}},
            {"op_id": "d", "op": "upsert", "entity": "contact", "ref": {"id": "19"}, "set": {"phone": 5, "email": "no"}},
            {"op_id": "e", "op": "upsert", "entity": "company", "ref": {"id": "1"}, "set": {"name": "Acme"}},
            {"op_id": "f", "op": "update", "entity": "contact", "ref": {"id": "17"}, "set": {"phone": "+31201234567"}},
            {"op_id": "g", "op": "dance", "entity": "boat"},
            5,
        ]),
    )
    .await;
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 404, 422, 201, 200, 422, 422], "{results:#?}");
    let ids: Vec<_> = results.iter().map(|result| result["op_id"].as_str()).collect();
    assert_eq!(ids, [Some("a"), Some("b"), Some("c"), Some("d"), Some("e"), Some("f"), Some("g"), None]);
    let changed: Vec<_> = results.iter().map(|result| result["changed"] == json!(true)).collect();
    assert_eq!(changed, [true, true, false, false, true, false, false, false]);
    assert_eq!(results[1]["record"]["phone"], "+31201234567");
    assert_eq!(results[1]["record"]["refs"], json!([{"source": "erp", "id": "17"}]));
    assert_eq!(results[5]["record"], results[1]["record"]);
    let pointers: Vec<_> =
        results[3]["problem"]["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, [json!("#/set/email")]);
    let log = service.client.changes().await;
    let types: Vec<_> = log.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["crm.contact.created", "crm.contact.updated", "crm.company.created"]);
    assert_eq!((&log[1]["origin"], &log[1]["causationid"]), (&json!("erp"), &json!("b")));
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_batch_is_one_call_and_has_at_most_a_hundred_operations() {
    let service = Service::start().await;
    let api = &service.client;
    let operations =
        |count: usize| (0..count).map(|id| upsert(&id.to_string(), lead(&format!("{id}@x.org")))).collect::<Vec<_>>();
    api.post("/sync/batch", json!({"ops": operations(101)})).await.expect(422);
    api.post("/sync/batch", json!({"ops": []})).await.expect(422);
    api.post("/sync/batch", json!([])).await.expect(422);
    let used = api.get("/usage").await.expect(200)["used"].as_u64().unwrap();
    let batch = api.post("/sync/batch", json!({"ops": operations(100)})).await;
    assert!(batch.expect(200).as_array().unwrap().iter().all(|result| result["status"] == 201), "{}", batch.text);
    assert_eq!(api.get("/usage").await.expect(200)["used"].as_u64().unwrap(), used + 1);
    assert_eq!(service.client.changes().await.len(), 100);
    assert_sound(&service).await;
}

#[tokio::test]
async fn an_upsert_links_the_one_record_that_matches() {
    let service = Service::start().await;
    let erp = partner(&service, "erp").await;
    let ann = service.client.contact("Ann@x.org").await.uid();
    let bob = service.client.contact("bob@x.org").await.uid();
    let matched = |id: &str, keys: Value, set: Value| json!({"op": "upsert", "entity": "contact", "ref": {"id": id}, "match": keys, "set": set});
    let linked = execute_one(&erp, matched("17", json!(["email"]), json!({"email": "ann@X.org", "phone": "1"}))).await;
    assert_eq!((&linked["status"], &linked["uid"]), (&json!(200), &json!(ann)), "{linked}");
    assert_eq!(linked["record"]["refs"], json!([{"source": "erp", "id": "17"}]));

    let set = json!({"email": "ann@x.org", "work_email": "bob@x.org"});
    let ambiguous = execute_one(&erp, matched("18", json!(["email", "work_email"]), set)).await;
    assert_eq!(
        (&ambiguous["status"], &ambiguous["problem"]["type"]),
        (&json!(409), &json!("/problems/ambiguous-match"))
    );
    let mut uids = [ann.clone(), bob];
    uids.sort();
    assert_eq!(ambiguous["problem"]["uids"], json!(uids));

    let created = execute_one(&erp, matched("19", json!(["email"]), lead("cid@x.org"))).await;
    assert_eq!(created["status"], 201);
    // The reference leads to the record, whatever the email says now.
    let moved = execute_one(&erp, matched("17", json!(["email"]), json!({"email": "anna@x.org"}))).await;
    assert_eq!((&moved["status"], &moved["uid"]), (&json!(200), &json!(ann)));
    // Another origin's reference is another one.
    let other = partner(&service, "shop").await;
    let foreign = execute_one(&other, upsert("17", lead("dan@x.org"))).await;
    assert_eq!(foreign["status"], 201);
    assert_ne!(foreign["uid"], json!(ann));
    // Another account's references are not seen.
    let stranger = service.other_client().await;
    let update = json!({"op": "update", "entity": "contact", "uid": ann, "set": {"phone": "9"}});
    assert_eq!(execute_one(&stranger, update).await["status"], 404);
    assert_sound(&service).await;
}

#[tokio::test]
async fn racing_upserts_of_one_reference_make_one_record() {
    let service = Service::start().await;
    let (second, other) = service.replica().await;
    for round in 0..5 {
        let racers = (0..64).map(|racer| {
            let client = if racer % 2 == 0 { &service.client } else { &other };
            let operation = upsert(&format!("r{round}"), lead(&format!("{racer}.{round}@x.org")));
            async move { execute_one(client, operation).await }
        });
        let results = join_all(racers).await;
        let uids: std::collections::BTreeSet<_> = results.iter().map(|result| result["uid"].to_string()).collect();
        assert_eq!(uids.len(), 1, "{results:#?}");
        assert_eq!(results.iter().filter(|result| result["status"] == 201).count(), 1);
    }
    second.stop().await.unwrap();
    assert_sound(&service).await;
}

#[tokio::test]
async fn an_operation_is_executed_once_however_often_it_is_sent() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let operation =
        json!({"op_id": "1", "op": "upsert", "entity": "contact", "ref": {"id": "17"}, "set": lead("a@x.org")});
    let first = execute_one(&erp, operation.clone()).await;
    let change = json!({"op": "update", "entity": "contact", "ref": {"id": "17"}, "set": {"phone": "1"}});
    execute_one(&erp, change).await;
    let again = execute_one(&erp, operation.clone()).await;
    assert_eq!(again["replayed"], true);
    for member in ["status", "seq", "uid", "record", "changed"] {
        assert_eq!(again[member], first[member], "{member}");
    }
    let mut other = operation.clone();
    other["set"]["phone"] = json!("2");
    let reused = execute_one(&erp, other).await;
    assert_eq!(reused["status"], 422, "{reused}");
    // Another origin numbers its operations by itself.
    let foreign = execute_one(
        &shop,
        json!({"op_id": "1", "op": "upsert", "entity": "contact", "ref": {"id": "1"},
        "set": lead("b@x.org")}),
    )
    .await;
    assert_eq!(foreign["status"], 201, "{foreign}");
    assert_eq!(service.client.changes().await.len(), 3);
}

#[tokio::test]
async fn an_atomic_batch_is_executed_whole_or_not_at_all() {
    let service = Service::start().await;
    let erp = partner(&service, "erp").await;
    let create = |id: &str| {
        json!({"op_id": id, "op": "upsert", "entity": "contact", "ref": {"id": id},
        "set": lead(&format!("{id}@x.org"))})
    };
    let bad =
        json!({"op_id": "bad", "op": "update", "entity": "contact", "ref": {"id": "none"}, "set": {"phone": "1"}});
    let batch = |ops: Value| json!({"ops": ops, "atomic": true});
    let failed = erp.post("/sync/batch", batch(json!([create("1"), bad, create("2")]))).await;
    let statuses: Vec<_> = failed.expect(200).as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [424, 404, 424].map(|status| json!(status)), "{}", failed.text);
    assert_eq!(service.client.changes().await, Vec::<Value>::new());

    // A later operation sees an earlier one.
    let change = json!({"op_id": "3", "op": "update", "entity": "contact", "ref": {"id": "1"}, "set": {"phone": "7"}});
    let both = batch(json!([create("1"), change, create("2")]));
    let done = erp.post("/sync/batch", both.clone()).await;
    let statuses: Vec<_> = done.expect(200).as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [201, 200, 201].map(|status| json!(status)), "{}", done.text);
    let again = erp.post("/sync/batch", both).await;
    assert_eq!(again.header("idempotent-replayed"), "true", "{}", again.text);
    assert_eq!(service.client.changes().await.len(), 3);
    assert_sound(&service).await;
}
