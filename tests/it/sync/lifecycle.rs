//! Deleting, restoring and merging records.

use serde_json::json;

use super::*;
use crate::support::client::lead;

fn of(op: &str, id: &str) -> Value {
    json!({"op": op, "entity": "contact", "ref": {"id": id}})
}

#[tokio::test]
async fn a_write_to_a_deleted_record_is_a_410_and_its_values_are_logged() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let created = contact(&erp, "17", "ann@x.org").await;
    let deleted = execute_one(&erp, of("delete", "17")).await;
    assert_eq!((&deleted["status"], &deleted["changed"]), (&json!(200), &json!(true)), "{deleted}");
    let again = execute_one(&erp, of("delete", "17")).await;
    assert_eq!((&again["status"], &again["changed"]), (&json!(200), &json!(false)), "{again}");
    let update = json!({"op": "update", "entity": "contact", "uid": created["uid"], "set": {"phone": "5"}});
    let lost = execute_one(&shop, update).await;
    assert_eq!((&lost["status"], &lost["problem"]["deleted_seq"]), (&json!(410), &deleted["seq"]), "{lost}");
    // The reference of a deleted record leads to the tombstone, not to a second record.
    assert_eq!(execute_one(&erp, upsert("17", lead("ann@x.org"))).await["status"], 410);
    let conflicts = service.client.get("/sync/conflicts").await;
    let conflict = &conflicts.expect(200)[0];
    assert_eq!((&conflict["reason"], &conflict["lost"]), (&json!("deleted"), &json!({"phone": "5"})), "{conflict}");
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_delete_with_a_stale_base_is_refused() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let created = contact(&erp, "17", "ann@x.org").await;
    let update = json!({"op": "update", "entity": "contact", "uid": created["uid"], "set": {"phone": "5"}});
    let changed = execute_one(&shop, update).await;
    let mut delete = of("delete", "17");
    delete["base"] = created["seq"].clone();
    let refused = execute_one(&erp, delete.clone()).await;
    assert_eq!((&refused["status"], &refused["problem"]["fields"]), (&json!(409), &json!(["phone"])), "{refused}");
    assert_eq!((&refused["uid"], &refused["record"]["phone"]), (&created["uid"], &json!("5")), "{refused}");
    delete["base"] = changed["seq"].clone();
    assert_eq!(execute_one(&erp, delete).await["status"], 200);
}

#[tokio::test]
async fn a_deleted_record_is_restored_with_everything_it_had() {
    let service = Service::start().await;
    let erp = partner(&service, "erp").await;
    let company = json!({"op": "upsert", "entity": "company", "ref": {"id": "c"}, "set": {"name": "Acme"}});
    execute_one(&erp, company).await;
    contact(&erp, "17", "ann@x.org").await;
    let linked =
        json!({"op": "update", "entity": "contact", "ref": {"id": "17"}, "set": {"company": {"name": "Acme"}}});
    let before = execute_one(&erp, linked).await["record"].clone();
    let listed = async || service.client.get("/companies").await.expect(200).as_array().unwrap().len();
    assert_eq!(listed().await, 1);
    execute_one(&erp, of("delete", "17")).await;
    assert_eq!(listed().await, 0);
    let restored = execute_one(&erp, of("restore", "17")).await;
    assert_eq!(restored["status"], 200, "{restored}");
    for member in ["uid", "email", "phone", "companies", "refs"] {
        assert_eq!(restored["record"][member], before[member], "{member}");
    }
    assert_eq!(listed().await, 1);
    assert_eq!(service.client.get("/contact/ann@x.org").await.expect(200)["uid"], before["uid"]);
    // An email that another contact has meanwhile keeps the record deleted.
    execute_one(&erp, of("delete", "17")).await;
    service.client.contact("ann@x.org").await.expect(201);
    let taken = execute_one(&erp, of("restore", "17")).await;
    assert_eq!(taken["status"], 422, "{taken}");
    assert_sound(&service).await;
}

#[tokio::test]
async fn a_merge_keeps_every_reference_and_fills_what_is_missing() {
    let service = Service::start().await;
    let (erp, shop) = (partner(&service, "erp").await, partner(&service, "shop").await);
    let set = json!({"role": "Lead", "first_name": "Ann", "last_name": "Lee", "tags": ["a"], "phone": "1"});
    let survivor = execute_one(&erp, upsert("17", set)).await["uid"].clone();
    let set = json!({"role": "Lead", "first_name": "Anna", "last_name": "Li", "email": "ann@x.org", "tags": ["b"],
        "phone": "2", "title": "Dr"});
    let merged = execute_one(&shop, upsert("9", set)).await["uid"].clone();
    let merge = json!({"op": "merge", "entity": "contact", "into": survivor, "from": [merged]});
    let result = execute_one(&erp, merge.clone()).await;
    assert_eq!((&result["status"], &result["uid"]), (&json!(200), &survivor), "{result}");
    let record = &result["record"];
    for (member, value) in [
        ("first_name", json!("Ann")),
        ("email", json!("ann@x.org")),
        ("phone", json!("1")),
        ("title", json!("Dr")),
        ("tags", json!(["a", "b"])),
        ("refs", json!([{"source": "erp", "id": "17"}, {"source": "shop", "id": "9"}])),
    ] {
        assert_eq!(record[member], value, "{member}");
    }
    let gone = service.client.get(&format!("/contact/{}", merged.as_str().unwrap())).await;
    gone.expect(410);
    assert_eq!(gone.json["merged_into"], survivor, "{}", gone.text);
    // The other system goes on under its own id.
    let update = json!({"op": "update", "entity": "contact", "ref": {"id": "9"}, "set": {"title": "Prof"}});
    assert_eq!(execute_one(&shop, update).await["uid"], survivor);
    let head = service.client.changes().await.len();
    assert_eq!(execute_one(&erp, merge).await["changed"], false);
    assert_eq!(service.client.changes().await.len(), head);
    let restore = json!({"op": "restore", "entity": "contact", "uid": merged});
    assert_eq!(execute_one(&erp, restore).await["status"], 410);
    for (into, from) in [(&survivor, json!([])), (&survivor, json!([survivor])), (&json!(null), json!([merged]))] {
        let bad = json!({"op": "merge", "entity": "contact", "into": into, "from": from});
        assert_eq!(execute_one(&erp, bad).await["status"], 422);
    }
    assert_sound(&service).await;
}
