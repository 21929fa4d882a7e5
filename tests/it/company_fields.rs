//! Values of custom fields: a company shows them in groups, and no value is accepted and lost.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::program::{lines, unificus};
use crate::support::{Client, Service};

const GROUPS: [&str; 3] = ["public_custom_fields", "private_custom_fields", "target_custom_fields"];
const KEYS: [&str; 4] = ["public_custom_fields", "private_custom_fields", "target_custom_fields", "custom_fields"];

/// Defines a custom field for texts and returns its uid.
async fn field(api: &Client, entity: &str, name: &str, visibility: &str) -> String {
    let added =
        api.post("/fields", json!({"entity": entity, "type": "text", "name": name, "visibility": visibility})).await;
    added.expect(201);
    added.uid()
}

/// A public field, a private field and a target field.
async fn three_fields(api: &Client) -> [String; 3] {
    [
        field(api, "company", "Open", "public").await,
        field(api, "company", "Hidden", "private").await,
        field(api, "target", "Aim", "public").await,
    ]
}

fn groups(company: &Value) -> [&Value; 3] {
    GROUPS.map(|group| &company[group])
}

#[tokio::test]
async fn a_company_shows_each_value_in_the_group_of_its_field_and_among_all() {
    let service = Service::start().await;
    let api = &service.client;
    let [open, hidden, aim] = three_fields(api).await;
    let body = json!({"name": "Acme", "public_custom_fields": {&open: "a"}, "private_custom_fields": {&hidden: "b"},
        "target_custom_fields": {&aim: "c"}});
    let created = api.post("/company", body).await;
    let all = json!({&open: "a", &hidden: "b", &aim: "c"});
    let expected = [json!({&open: "a"}), json!({&hidden: "b"}), json!({&aim: "c"})];
    assert_eq!(groups(created.expect(201)), expected.each_ref());
    assert_eq!(created.json["data"]["custom_fields"], all);
    let read = api.get("/company/Acme").await;
    assert_eq!(read.expect(200), created.expect(201));
    lines(&unificus(&format!("company keep {} Acme --json", api.account), &settings(&service)).await);
    assert_eq!(&api.get("/companies").await.expect(200)[0], read.expect(200));
    let changed = api.put("/company/Acme", json!({"phone": "1"})).await;
    assert_eq!(groups(changed.expect(200)), expected.each_ref());

    // Every key takes a value of each field: the groups are where it is read.
    for (number, key) in KEYS.into_iter().enumerate() {
        let value = |letter: char| format!("{letter}{number}");
        let body = json!({key: {&open: value('a'), &hidden: value('b'), &aim: value('c')}});
        let changed = api.put("/company/Acme", body).await;
        let expected = [json!({&open: value('a')}), json!({&hidden: value('b')}), json!({&aim: value('c')})];
        assert_eq!(groups(changed.expect(200)), expected.each_ref(), "{key}");
        assert_eq!(groups(api.get("/company/Acme").await.expect(200)), expected.each_ref(), "{key}");
    }
    // The log has all values together, so that an event needs no definition.
    let log = api.changes().await;
    let record = &log.last().unwrap()["data"]["record"];
    assert_eq!(record["custom_fields"], json!({&open: "a3", &hidden: "b3", &aim: "c3"}));
    assert_eq!(groups(record), [&Value::Null; 3]);
    let empty = api.post("/company", json!({"name": "Beta"})).await;
    assert_eq!(groups(empty.expect(201)), [&json!({}); 3]);
    assert_eq!(empty.json["data"]["custom_fields"], json!({}));
}

fn settings(service: &Service) -> [(&'static str, &str); 1] {
    [("UNIFICUS_DATABASE__URL", service.env.database.as_str())]
}

#[tokio::test]
async fn a_changed_visibility_moves_the_values_of_every_company_at_once() {
    let service = Service::start().await;
    let api = &service.client;
    let [open, _, _] = three_fields(api).await;
    let created = api.post("/company", json!({"name": "Acme", "custom_fields": {&open: "a"}})).await;
    let tag = created.header("etag").to_owned();
    let known = async || api.send(Method::GET, "/company/Acme", &[("if-none-match", &tag)], "").await;
    assert_eq!(known().await.status, 304);
    let events = api.changes().await.len();
    api.put(&format!("/fields/{open}"), json!({"visibility": "public"})).await.expect(200);
    assert_eq!(api.changes().await.len(), events, "a field without a visibility is public");

    let run = async |command: &str| {
        lines(&unificus(&format!("field {command} {} {open} private --json", api.account), &settings(&service)).await)
    };
    assert_eq!(run("visibility").await[0]["visibility"], "private");

    let now = known().await;
    assert_eq!(groups(now.expect(200)), [&json!({}), &json!({&open: "a"}), &json!({})]);
    assert_eq!(now.header("etag"), tag, "the company itself has not changed");
    let log = api.changes().await;
    let change = &log.last().unwrap()["data"];
    assert_eq!(change["changed"], json!({"visibility": {"from": "public", "to": "private"}}));
    assert_eq!(change["record"]["visibility"], "private");
    api.delete(&format!("/fields/{open}")).await.expect(200);
    let archived = api.get("/company/Acme").await;
    assert_eq!(groups(archived.expect(200)), [&json!({}), &json!({&open: "a"}), &json!({})]);
}

#[tokio::test]
async fn only_fields_of_companies_can_be_private() {
    let api = Service::start().await.client;
    for entity in ["contact", "project", "target"] {
        let body = json!({"entity": entity, "type": "text", "name": "Size", "visibility": "private"});
        let refused = api.post("/fields", body).await;
        refused.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], "#/visibility", "{}", refused.text);
        let uid = field(&api, entity, "Size", "public").await;
        api.put(&format!("/fields/{uid}"), json!({"visibility": "private"})).await.expect(422);
        assert_eq!(api.get(&format!("/fields/{uid}")).await.expect(200)["visibility"], "public");
    }
    let body = json!({"entity": "company", "type": "text", "name": "Size", "visibility": "secret"});
    let refused = api.post("/fields", body).await;
    refused.expect(422);
    assert_eq!(refused.json["errors"][0]["detail"], "Must be one of public, private.");
}

/// The writes of one kind of record, and fields that its records do not have.
struct Refused<'a> {
    create: (&'a str, Value),
    update: &'a str,
    keys: &'a [&'a str],
    fields: Vec<&'a String>,
}

/// No value of a custom field is accepted and lost: where a record has no such field, the write is refused, and names it.
#[tokio::test]
async fn a_value_of_no_field_of_the_record_is_refused_and_named() {
    let service = Service::start().await;
    let api = &service.client;
    let [contact, company, target, project] = [
        field(api, "contact", "Size", "public").await,
        field(api, "company", "Size", "public").await,
        field(api, "target", "Size", "public").await,
        field(api, "project", "Size", "public").await,
    ];
    let archived = field(api, "company", "Old", "public").await;
    api.delete(&format!("/fields/{archived}")).await.expect(200);
    let elsewhere = field(&service.other_client().await, "company", "Size", "public").await;
    let unknown = "350f36de-0000-4000-8000-000000000001".to_owned();
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    api.contact("ann@example.org").await.expect(201);
    api.post("/project", json!({"name": "Roof"})).await.expect(201);
    let events = api.changes().await.len();
    for Refused { create: (path, body), update, keys, fields } in [
        Refused {
            create: ("/company", json!({"name": "Beta"})),
            update: "/company/Acme",
            keys: &KEYS,
            fields: vec![&unknown, &elsewhere, &contact, &project, &archived],
        },
        Refused {
            create: ("/contact", crate::support::client::lead("bob@example.org")),
            update: "/contact/ann@example.org",
            keys: &["custom_fields", "target_custom_fields"],
            fields: vec![&unknown, &elsewhere, &company, &project],
        },
        Refused {
            create: ("/project", json!({"name": "Cellar"})),
            update: "/project/name/Roof",
            keys: &["project_custom_fields"],
            fields: vec![&unknown, &elsewhere, &contact, &company, &target],
        },
    ] {
        for (key, uid) in keys.iter().flat_map(|key| fields.iter().map(move |uid| (*key, uid.as_str()))) {
            let mut created = body.clone();
            created[key] = json!({uid: "a"});
            for refused in [api.post(path, created).await, api.put(update, json!({key: {uid: "a"}})).await] {
                refused.expect(422);
                assert_eq!(refused.json["errors"][0]["pointer"], format!("#/{key}/{uid}"), "{}", refused.text);
                let detail = refused.json["errors"][0]["detail"].as_str().unwrap();
                assert!(detail.contains(uid), "{detail}");
            }
        }
    }
    assert_eq!(api.changes().await.len(), events, "nothing was written");
}

/// The keys of other kinds of records are no unknown keys, because values under them would be lost.
#[tokio::test]
async fn values_under_another_records_key_are_refused() {
    let api = Service::start().await.client;
    let project = field(&api, "project", "Size", "public").await;
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    api.contact("ann@example.org").await.expect(201);
    api.post("/project", json!({"name": "Roof"})).await.expect(201);
    let events = api.changes().await.len();
    for (path, key, own) in [
        ("/contact/ann@example.org", "public_custom_fields", "custom_fields"),
        ("/contact/ann@example.org", "project_custom_fields", "custom_fields"),
        ("/company/Acme", "company_custom_fields", "custom_fields"),
        ("/project/name/Roof", "custom_fields", "project_custom_fields"),
        ("/project/name/Roof", "target_custom_fields", "project_custom_fields"),
    ] {
        let refused = api.put(path, json!({key: {&project: "a"}})).await;
        refused.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], format!("#/{key}"), "{}", refused.text);
        assert!(refused.json["message"].as_str().unwrap().contains(own), "{}", refused.text);
        for nothing in [json!(null), json!({}), json!([])] {
            api.put(path, json!({key: nothing})).await.expect(200);
        }
    }
    assert_eq!(api.changes().await.len(), events, "nothing was written");
}

#[tokio::test]
async fn one_field_has_one_value_in_a_body() {
    let api = Service::start().await.client;
    let number = json!({"entity": "company", "type": "number", "name": "Size"});
    let size = api.post("/fields", number).await.uid();
    let equal = json!({"name": "Acme", "custom_fields": {&size: 7}, "private_custom_fields": {&size: "7"}});
    assert_eq!(api.post("/company", equal).await.expect(201)["public_custom_fields"], json!({&size: 7}));
    for other in [json!(8), json!(null)] {
        let refused = api
            .put("/company/Acme", json!({"custom_fields": {&size: 9}, "public_custom_fields": {&size: other}}))
            .await;
        refused.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], format!("#/public_custom_fields/{size}"), "{}", refused.text);
        let message = refused.json["message"].as_str().unwrap();
        assert!(message.contains("Size") && message.contains(&size), "{message}");
    }
    assert_eq!(api.get("/company/Acme").await.expect(200)["custom_fields"], json!({&size: 7}));
}

#[tokio::test]
async fn a_company_can_be_sent_back_as_it_was_read() {
    let api = Service::start().await.client;
    let [open, hidden, aim] = three_fields(&api).await;
    let body = json!({"name": "Acme", "custom_fields": {&open: "a", &hidden: "b", &aim: "c"}});
    let key = [("idempotency-key", "k")];
    let created = api.send(Method::POST, "/company", &key, &body.to_string()).await;
    let replayed = api.send(Method::POST, "/company", &key, &body.to_string()).await;
    assert_eq!((replayed.header("idempotent-replayed"), &replayed.text), ("true", &created.text));
    let events = api.changes().await.len();
    let read = api.get("/company/Acme").await.expect(200).clone();
    let unchanged = api.put("/company/Acme", read.clone()).await;
    assert_eq!(unchanged.expect(200), &read);
    assert_eq!(api.changes().await.len(), events, "nothing changed");
}

#[tokio::test]
async fn null_clears_a_group_and_keeps_the_others() {
    let api = Service::start().await.client;
    let [open, hidden, aim] = three_fields(&api).await;
    let all = json!({&open: "a", &hidden: "b", &aim: "c"});
    api.post("/company", json!({"name": "Acme", "custom_fields": all, "private_custom_fields": null}))
        .await
        .expect(201);
    for (cleared, left) in [
        ("public_custom_fields", json!({&hidden: "b", &aim: "c"})),
        ("private_custom_fields", json!({&open: "a", &aim: "c"})),
        ("target_custom_fields", json!({&open: "a", &hidden: "b"})),
        ("custom_fields", json!({})),
    ] {
        let changed = api.put("/company/Acme", json!({cleared: null})).await;
        assert_eq!(changed.expect(200)["custom_fields"], left, "{cleared}");
        assert_eq!(api.get("/company/Acme").await.expect(200)["custom_fields"], left, "{cleared}");
        api.put("/company/Acme", json!({"custom_fields": all})).await.expect(200);
    }
    // A cleared group may get new values in the same body.
    let refilled = json!({"custom_fields": null, "public_custom_fields": {&open: "z"}});
    assert_eq!(api.put("/company/Acme", refilled).await.expect(200)["custom_fields"], json!({&open: "z"}));
}

#[tokio::test]
async fn a_primary_contact_is_shown_with_its_prefix_and_role() {
    let api = Service::start().await.client;
    let person = json!({"first_name": "Ann", "last_name": "Lee", "email": "ann@example.org", "name_prefix": "Dr",
        "create_primary_contact_if_not_exists": true});
    // The vendor's attributes require a role; a company without one is created nevertheless.
    let created = api.post("/company", json!({"name": "Acme", "primaryContact": person})).await;
    assert_eq!(created.expect(201)["role"], Value::Null);
    let mut expected = json!({"first_name": "Ann", "last_name": "Lee", "name_prefix": "Dr", "email": "ann@example.org",
        "role": "Lead", "uid": api.get("/contact/ann@example.org").await.uid()});
    assert_eq!(created.expect(201)["primaryContact"], expected);
    assert_eq!(api.get("/company/Acme").await.expect(200)["primaryContact"], expected);
    api.put("/contact/ann@example.org", json!({"name_prefix": "Prof"})).await.expect(200);
    expected["name_prefix"] = json!("Prof");
    assert_eq!(api.get("/company/Acme").await.expect(200)["primaryContact"], expected);
    assert_eq!(api.get("/companies").await.expect(200)[0]["primaryContact"], expected);
}

/// The data of a first contact that exists is ignored, but no value that no contact could have is accepted.
#[tokio::test]
async fn values_of_a_first_contact_that_exists_are_checked() {
    let api = Service::start().await.client;
    let (size, open) = (field(&api, "contact", "Size", "public").await, field(&api, "company", "Open", "public").await);
    let ann = api.contact("ann@example.org").await;
    let unknown = "350f36de-0000-4000-8000-000000000001".to_owned();
    let company = |values: Value| {
        let first = json!({"email": "ann@example.org", "first_name": "Eve", "create_primary_contact_if_not_exists": true,
            "custom_fields": values});
        json!({"name": "Acme", "primaryContact": first})
    };
    let events = api.changes().await.len();
    for uid in [&unknown, &open] {
        let refused = api.post("/company", company(json!({uid: "a"}))).await;
        refused.expect(422);
        let pointer = format!("#/primaryContact/custom_fields/{uid}");
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{}", refused.text);
    }
    assert_eq!(api.changes().await.len(), events, "nothing was written");
    let created = api.post("/company", company(json!({&size: "a"}))).await;
    assert_eq!(created.expect(201)["primaryContact"]["uid"], ann.uid());
    let linked = api.get("/contact/ann@example.org").await;
    let before = ann.expect(201);
    for key in ["first_name", "custom_fields"] {
        assert_eq!(linked.expect(200)[key], before[key], "{key}");
    }
    assert_eq!(linked.expect(200)["companies"][0]["uid"], created.uid());
}

#[tokio::test]
async fn a_leads_first_contact_may_hold_only_the_create_flag() {
    let api = Service::start().await.client;
    for (name, flag) in [("Acme", json!(true)), ("Beta", json!("1"))] {
        let first = json!({"create_primary_contact_if_not_exists": flag});
        let created = api.post("/company", json!({"name": name, "role": "Lead", "primaryContact": first})).await;
        let shown = &created.expect(201)["primaryContact"];
        assert_eq!((&shown["first_name"], &shown["email"], &shown["role"]), (&json!(""), &json!(null), &json!("Lead")));
        let contact = api.get(&format!("/contact/{}", shown["uid"].as_str().unwrap())).await;
        let contact = contact.expect(200);
        assert_eq!((&contact["role"], &contact["email"]), (&json!("Lead"), &json!(null)));
        assert_eq!(contact["companies"], json!([{"uid": created.uid(), "name": name}]));
    }
    // The two contacts without an email address are two records.
    assert_eq!(api.get("/contacts").await.expect(200).as_array().map(Vec::len), Some(2));
    let first = json!({"create_primary_contact_if_not_exists": true});
    let refused = api.post("/company", json!({"name": "Gamma", "role": "Prospect", "primaryContact": first})).await;
    refused.expect(422);
    assert_eq!(refused.json["errors"][0]["pointer"], "#/primaryContact/email", "{}", refused.text);
    api.get("/company/Gamma").await.expect(404);
}

/// Sets the value of a company through a contact: refused, because it would be lost.
#[tokio::test]
async fn the_company_of_a_contact_takes_no_values() {
    let api = Service::start().await.client;
    let open = field(&api, "company", "Open", "public").await;
    let mut contact = crate::support::client::lead("ann@example.org");
    contact["company"] = json!({"name": "Acme", "create_company_if_not_exists": true, "custom_fields": {&open: "a"}});
    let refused = api.post("/contact", contact.clone()).await;
    refused.expect(422);
    assert_eq!(refused.json["errors"][0]["pointer"], "#/company/custom_fields", "{}", refused.text);
    api.get("/company/Acme").await.expect(404);
    contact["company"]["custom_fields"] = json!({});
    api.post("/contact", contact).await.expect(201);
    api.get("/company/Acme").await.expect(200);
}
