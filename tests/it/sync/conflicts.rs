//! Concurrent changes: each policy, the conflict log, its resolution.

use serde_json::json;

use super::*;

/// Two partners that know one contact, whose phone the shop changed after the erp read it. Returns the erp's base.
async fn concurrent(service: &Service) -> (Client, Client, Value) {
    let (erp, shop) = (partner(service, "erp").await, partner(service, "shop").await);
    let created = contact(&erp, "17", "ann@x.org").await;
    let uid = created["uid"].clone();
    let changed =
        execute_one(&shop, json!({"op": "update", "entity": "contact", "uid": uid, "set": {"phone": "2"}})).await;
    assert_eq!(changed["changed"], true);
    (erp, shop, created["seq"].clone())
}

fn update(base: &Value, set: Value) -> Value {
    json!({"op": "update", "entity": "contact", "ref": {"id": "17"}, "base": base, "set": set})
}

async fn policy(service: &Service, rules: Value) {
    service.client.put("/sync/policy", rules).await.expect(200);
}

async fn open_conflicts(service: &Service) -> Vec<Value> {
    service.client.get("/sync/conflicts?status=open").await.expect(200).as_array().unwrap().clone()
}

#[tokio::test]
async fn the_incoming_value_wins_by_default_and_the_other_one_is_logged() {
    let service = Service::start().await;
    let (erp, _, base) = concurrent(&service).await;
    let result = execute_one(&erp, update(&base, json!({"phone": "3", "title": "Dr"}))).await;
    assert_eq!((&result["status"], &result["record"]["phone"]), (&json!(200), &json!("3")), "{result}");
    assert_eq!(result["rejected"], json!([]));
    let expected = json!([{"field": "phone", "applied": true, "base": base, "yours": "3", "theirs": "2",
        "theirs_origin": "shop", "seq": 2, "policy": "incoming_wins"}]);
    assert_eq!(result["conflicts"], expected);
    let conflicts = open_conflicts(&service).await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    let conflict = &conflicts[0];
    for (member, value) in [
        ("entity", json!("contact")),
        ("record", result["uid"].clone()),
        ("field", json!("phone")),
        ("reason", json!("concurrent")),
        ("policy", json!("incoming_wins")),
        ("kept", json!({"phone": "3"})),
        ("kept_origin", json!("erp")),
        ("lost", json!({"phone": "2"})),
        ("lost_origin", json!("shop")),
    ] {
        assert_eq!(conflict[member], value, "{member}");
    }
    let log = service.client.changes().await;
    assert_eq!(log.last().unwrap()["type"], "crm.conflict.opened");
    assert_sound(&service).await;
}

#[tokio::test]
async fn without_another_origins_change_there_is_no_conflict() {
    let service = Service::start().await;
    let (erp, shop, base) = concurrent(&service).await;
    // Another field than the one that changed; a value that is equal already; a base after the change; no base.
    for (client, operation) in [
        (&erp, update(&base, json!({"title": "Dr"}))),
        (&erp, update(&base, json!({"phone": "2"}))),
        (&erp, update(&json!(2), json!({"phone": "3"}))),
        (&erp, update(&Value::Null, json!({"phone": "4"}))),
        (&erp, update(&base, json!({"phone": "5"}))),
    ] {
        let result = execute_one(client, operation).await;
        assert_eq!((&result["status"], &result["conflicts"]), (&json!(200), &json!([])), "{result}");
    }
    drop(shop);
    assert_eq!(open_conflicts(&service).await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_existing_value_wins_where_the_policy_says_so() {
    let service = Service::start().await;
    policy(&service, json!({"default": "existing_wins"})).await;
    let (erp, _, base) = concurrent(&service).await;
    let operation = update(&base, json!({"phone": "3", "title": "Dr"}));
    let result = execute_one(&erp, operation.clone()).await;
    assert_eq!((&result["status"], &result["rejected"]), (&json!(200), &json!(["phone"])), "{result}");
    assert_eq!((&result["record"]["phone"], &result["record"]["title"]), (&json!("2"), &json!("Dr")));
    let before = service.client.changes().await.len();
    // Sent again, the value that lost opens no second conflict.
    execute_one(&erp, operation).await;
    assert_eq!(service.client.changes().await.len(), before);
    let conflicts = open_conflicts(&service).await;
    assert_eq!((&conflicts[0]["lost"], &conflicts[0]["lost_origin"]), (&json!({"phone": "3"}), &json!("erp")));
    // A further value of the same origin is the same conflict.
    execute_one(&erp, update(&base, json!({"phone": "4"}))).await;
    let conflicts = open_conflicts(&service).await;
    assert_eq!((conflicts.len(), &conflicts[0]["lost"]), (1, &json!({"phone": "4"})));
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_rejected_field_is_a_409_and_the_other_fields_apply() {
    let service = Service::start().await;
    policy(&service, json!({"fields": {"contact.phone": "reject"}})).await;
    let (erp, _, base) = concurrent(&service).await;
    let mut operation = update(&base, json!({"phone": "3", "title": "Dr"}));
    operation["op_id"] = json!("1");
    let result = execute_one(&erp, operation.clone()).await;
    assert_eq!((&result["status"], &result["rejected"]), (&json!(409), &json!(["phone"])), "{result}");
    assert_eq!(result["problem"]["type"], "/problems/concurrent-change");
    assert_eq!((&result["record"]["phone"], &result["record"]["title"]), (&json!("2"), &json!("Dr")));
    let again = execute_one(&erp, operation).await;
    for member in ["status", "rejected", "problem", "record", "seq"] {
        assert_eq!(again[member], result[member], "{member}");
    }
    // In an atomic batch nothing applies.
    let head = service.client.changes().await.len();
    let batch = json!({"atomic": true, "ops": [update(&base, json!({"phone": "9", "title": "Prof"}))]});
    let reply = erp.post("/sync/batch", batch).await;
    assert_eq!(reply.expect(200)[0]["status"], 409, "{}", reply.text);
    assert_eq!(service.client.changes().await.len(), head);
    assert_sound(&service).await;
}

#[tokio::test]
async fn only_the_system_of_record_changes_its_field() {
    let service = Service::start().await;
    policy(&service, json!({"fields": {"contact.phone": {"system_of_record": "shop"}}})).await;
    let (erp, shop, _) = concurrent(&service).await;
    let result = execute_one(&erp, update(&Value::Null, json!({"phone": "3"}))).await;
    assert_eq!((&result["status"], &result["rejected"]), (&json!(200), &json!(["phone"])), "{result}");
    assert_eq!(result["record"]["phone"], "2");
    assert_eq!(open_conflicts(&service).await[0]["reason"], "system-of-record");
    let uid = result["uid"].clone();
    let own = execute_one(&shop, json!({"op": "update", "entity": "contact", "uid": uid, "set": {"phone": "4"}})).await;
    assert_eq!(own["record"]["phone"], "4");
}

#[tokio::test]
async fn a_conflict_is_resolved_by_any_of_its_values() {
    let service = Service::start().await;
    let (erp, _, base) = concurrent(&service).await;
    let uid = execute_one(&erp, update(&base, json!({"phone": "3"}))).await["uid"].as_str().unwrap().to_owned();
    let phone = async || service.client.get(&format!("/contact/{uid}")).await.expect(200)["phone"].clone();
    let conflict = open_conflicts(&service).await[0]["uid"].as_str().unwrap().to_owned();
    let path = format!("/sync/conflicts/{conflict}/resolve");
    service.client.post(&path, json!({"take": "nothing"})).await.expect(422);
    service.client.post(&path, json!({"take": "value", "value": {"phone": "1", "title": "x"}})).await.expect(422);
    let resolved = service.client.post(&path, json!({"take": "lost"})).await;
    assert_eq!(resolved.expect(200)["status"], "resolved");
    assert_eq!(phone().await, "2");
    assert_eq!(open_conflicts(&service).await, Vec::<Value>::new());
    let head = service.client.changes().await.len();
    service.client.post(&path, json!({"take": "lost"})).await.expect(200);
    assert_eq!(service.client.changes().await.len(), head);

    // The value that the resolution wrote is of the origin that resolved.
    execute_one(&erp, update(&base, json!({"phone": "5"}))).await;
    let conflict = open_conflicts(&service).await[0]["uid"].as_str().unwrap().to_owned();
    let path = format!("/sync/conflicts/{conflict}/resolve");
    service.client.post(&path, json!({"take": "value", "value": {"phone": "6"}})).await.expect(200);
    assert_eq!(phone().await, "6");
    execute_one(&erp, update(&base, json!({"phone": "7"}))).await;
    let stranger = service.other_client().await;
    stranger.post(&path, json!({"take": "kept"})).await.expect(404);
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_refused_and_leaves_the_old_one() {
    let service = Service::start().await;
    let api = &service.client;
    let rules = json!({"default": "reject", "fields": {"company.name": {"system_of_record": "erp"}}});
    assert_eq!(api.put("/sync/policy", rules.clone()).await.expect(200), &rules);
    for bad in [
        json!([]),
        json!({"default": "first_wins"}),
        json!({"default": {"system_of_record": "erp"}}),
        json!({"fields": {"phone": "reject"}}),
        json!({"fields": {"note.title": "reject"}}),
        json!({"fields": {"contact.phone": {"system_of_record": ""}}}),
        json!({"field": {}}),
    ] {
        api.put("/sync/policy", bad.clone()).await.expect(422);
    }
    assert_eq!(api.get("/sync/policy").await.expect(200), &rules);
}

#[tokio::test]
async fn a_loop_between_two_systems_is_broken_until_somebody_resolves_it() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let uid = contact(&erp, "17", "ann@x.org").await["uid"].as_str().unwrap().to_owned();
    let path = format!("/contact/{uid}");
    // One of them is a plain client, which knows nothing of bases.
    let shop_says = async |phone: &str| {
        shop.put(&path, json!({"phone": phone})).await.expect(200)["phone"].as_str().unwrap().to_owned()
    };
    let erp_says = async |phone: &str| execute_one(&erp, update(&Value::Null, json!({"phone": phone}))).await;
    for _ in 0..3 {
        assert_eq!(shop_says("2").await, "2");
        assert_eq!(erp_says("3").await["record"]["phone"], "3");
    }
    // The sixth flip was the last one: the value stays, whoever writes another one.
    assert_eq!(shop_says("2").await, "3");
    let conflicts = open_conflicts(&service).await;
    assert_eq!((conflicts.len(), &conflicts[0]["reason"]), (1, &json!("loop-suspected")), "{conflicts:#?}");
    assert_eq!((&conflicts[0]["kept"], &conflicts[0]["lost"]), (&json!({"phone": "3"}), &json!({"phone": "2"})));
    let head = service.client.changes().await.len();
    for _ in 0..3 {
        assert_eq!(shop_says("2").await, "3");
    }
    assert_eq!(service.client.changes().await.len(), head, "a loop adds no events");
    // Other fields, and the origin of the value, are free.
    assert_eq!(shop.put(&path, json!({"title": "Dr"})).await.expect(200)["title"], "Dr");
    assert_eq!(erp_says("4").await["record"]["phone"], "4");
    assert_eq!(shop_says("2").await, "4");
    assert!(service.gauge("unificus_loops_suspected_total").await >= 1.0);

    let conflict = conflicts[0]["uid"].as_str().unwrap();
    service.client.post(&format!("/sync/conflicts/{conflict}/resolve"), json!({"take": "kept"})).await.expect(200);
    assert_eq!(shop_says("2").await, "2");
    assert_eq!(erp_says("3").await["record"]["phone"], "3");
    assert_sound(&service).await;
}

#[tokio::test]
async fn spellings_of_one_number_are_no_change() {
    let service = Service::start().await;
    let api = &service.client;
    let uid = api.contact("ann@x.org").await.uid();
    let path = format!("/contact/{uid}");
    api.put(&path, json!({"phone": "+31 20 123 4567"})).await.expect(200);
    let head = api.changes().await.len();
    for spelling in ["+31201234567", "0031 20 1234567", " +31 (0)20 123-4567 "] {
        assert_eq!(api.put(&path, json!({"phone": spelling})).await.expect(200)["phone"], "+31 20 123 4567");
    }
    assert_eq!(api.changes().await.len(), head);
    api.put(&path, json!({"phone": "+31201234568"})).await.expect(200);
    assert_eq!(api.changes().await.len(), head + 1);
}
