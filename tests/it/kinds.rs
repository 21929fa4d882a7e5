//! Projects, custom fields, circles, notes, categories, audiences and worlds over HTTP.

use serde_json::{Value, json};
use unificus::command::{CommandEnvelope, execute};
use unificus::domain::{Command, named};

use crate::support::program::{failure_text, lines, unificus};
use crate::support::{Client, Service};

impl Service {
    /// Records that only an operator creates.
    async fn make(&self, create: named::CreateNamed) {
        let order = CommandEnvelope {
            bytes: 100,
            ..CommandEnvelope::new(self.client.account, "operator".into(), Command::CreateNamed(create))
        };
        execute(&self.store, &unificus::clock::Clock::system(), order).await.unwrap();
    }

    pub(crate) async fn audience(&self, id: u32, name: &str) {
        self.make(named::CreateNamed::audience(unificus::clock::fresh_uid(), id, name).unwrap()).await;
    }
}

/// Defines a custom field and returns its uid.
async fn field(api: &Client, body: Value) -> String {
    let response = api.post("/fields", body).await;
    response.expect(201);
    response.uid()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_project_is_found_by_uid_name_part_and_age() {
    let api = Service::start().await.client;
    let client = api.post("/company", json!({"name": "Acme"})).await.uid();
    let body = json!({"name": "Roof & Sons", "status": "Open", "start_date": "2026-11-24", "due_time": "17:30",
        "estimated_value": {"amount": 12_000.5, "currency": "eur"}, "client": client, "team": ["Ann", "Bob"]});
    let created = api.post("/project", body).await;
    created.expect(201);
    let uid = created.uid();
    assert_eq!(created.json["data"]["estimated_value"], json!({"amount": 12_000.5, "currency": "EUR"}));
    api.post("/projects", json!({"name": "Cellar"})).await.expect(201);
    for path in [
        format!("/project/uid/{uid}"),
        format!("/project/{uid}"),
        "/project/name/roof+%26+sons".to_owned(),
        "/project/contains_the_following/OF+%26".to_owned(),
    ] {
        assert_eq!(api.get(&path).await.expect(200), created.expect(201), "{path}");
    }
    assert_eq!(api.get("/project/most_recent/true").await.expect(200)["name"], "Cellar");
    for path in
        ["/project/name/Roof", "/project/contains_the_following/attic", "/project/most_recent/false", "/project/uid/17"]
    {
        api.get(path).await.expect(404);
    }
    api.get("/project/colour/red").await.expect(404);

    let changed = api.put("/project/name/Roof+%26+Sons", json!({"status": "Done", "end_date": "2026-12-24"})).await;
    assert_eq!(changed.expect(200)["status"], "Done");
    assert_eq!(changed.header("etag"), "\"4\"");
    api.put(&format!("/project/uid/{uid}"), json!({"end_date": "2026-01-01"})).await.expect(422);
    api.put("/project/most_recent/true", json!({"status": "Open"})).await.expect(200);
    api.put("/project/name/attic", json!({"status": "Open"})).await.expect(404);
    api.put(&format!("/project/{uid}"), json!({"status": null})).await.expect(200);

    let listed = api.get("/projects").await;
    assert_eq!(listed.expect(200).as_array().unwrap().len(), 2);
    assert_eq!(listed.json["meta"]["pagination"]["totalItems"], 2);
    let log = api.changes().await;
    assert_eq!(kinds(&log)[1..3], ["crm.project.created", "crm.project.created"]);
}

#[tokio::test]
async fn a_custom_field_is_defined_filled_checked_and_archived() {
    let api = Service::start().await.client;
    let color = field(
        &api,
        json!({"entity": "contact", "type": "dropdown", "name": "Colour",
        "description": "Of the door", "allowed_values": ["Red", "Green"]}),
    )
    .await;
    let budget = field(&api, json!({"entity": "company", "type": "currency", "name": "Budget"})).await;
    let hours = field(&api, json!({"entity": "project", "type": "number", "name": "Hours"})).await;
    let aim = field(&api, json!({"entity": "target", "type": "date", "name": "Aim"})).await;
    let again = api.post("/fields", json!({"entity": "contact", "type": "text", "name": "colour"})).await;
    again.expect(422);
    assert!(again.json["message"].as_str().unwrap().contains("already exists"), "{}", again.text);

    let uid = api.contact("ann@example.org").await.uid();
    let path = format!("/contact/{uid}");
    let written =
        api.put(&path, json!({"custom_fields": {&color: "green"}, "target_custom_fields": {&aim: "2026-12-24"}})).await;
    assert_eq!(written.expect(200)["custom_fields"], json!({&color: "Green"}));
    assert_eq!(written.json["data"]["target_custom_fields"], json!({&aim: "2026-12-24"}));
    let bad = api.put(&path, json!({"custom_fields": {&color: "Blue", &budget: 1}})).await;
    bad.expect(422);
    let message = bad.json["message"].as_str().unwrap();
    assert!(message.contains(&color) && message.contains("Colour") && message.contains(&budget), "{message}");
    let company = json!({"name": "Acme", "custom_fields": {&budget: {"amount": 10, "currency": "EUR"}}});
    let company = api.post("/company", company).await;
    assert_eq!(company.expect(201)["custom_fields"], json!({&budget: {"amount": 10, "currency": "EUR"}}));
    let project = api.post("/project", json!({"name": "Roof", "project_custom_fields": {&hours: "7.5"}})).await;
    assert_eq!(project.expect(201)["project_custom_fields"], json!({&hours: 7.5}));

    api.put(&format!("/fields/{color}"), json!({"allowed_values": ["Red", "Green", "Blue"]})).await.expect(200);
    api.put(&path, json!({"custom_fields": {&color: "Blue"}})).await.expect(200);
    api.put(&format!("/fields/{color}"), json!({"type": "text"})).await.expect(422);
    api.delete(&format!("/fields/{color}")).await.expect(200);
    api.put(&path, json!({"custom_fields": {&color: "Red"}})).await.expect(422);
    let mut sent_back = api.get(&path).await.expect(200).clone();
    sent_back["title"] = json!("Dr");
    assert_eq!(api.put(&path, sent_back).await.expect(200)["title"], "Dr", "a contact can be sent back as it was read");
    assert_eq!(api.get(&path).await.expect(200)["custom_fields"], json!({&color: "Blue"}), "its value stays");
    api.get(&format!("/fields/{color}")).await.expect(410);
    assert_eq!(api.get("/fields").await.expect(200).as_array().unwrap().len(), 3);
    let log = api.changes().await;
    let of_fields = kinds(&log).into_iter().filter(|kind| kind.starts_with("crm.schema")).collect::<Vec<_>>();
    let added = "crm.schema.field_added";
    assert_eq!(of_fields, [added, added, added, added, "crm.schema.field_changed", "crm.schema.field_archived"]);
}

#[tokio::test]
async fn meta_is_the_whole_schema_and_every_value_of_it_is_an_object() {
    let service = Service::start().await;
    let api = &service.client;
    service.audience(40, "News").await;
    let color = json!({"entity": "contact", "type": "multi_select", "name": "Colour", "allowed_values": ["Red"]});
    let color = field(api, color).await;
    let budget = field(api, json!({"entity": "company", "type": "currency", "name": "Budget"})).await;
    let hours =
        field(api, json!({"entity": "project", "type": "number", "name": "Hours", "description": "Sold"})).await;

    let meta = api.get("/contact/meta").await;
    assert_eq!(meta.status, 200);
    assert!(meta.json.get("success").is_none(), "no envelope: {}", meta.text);
    for (name, attribute) in meta.json.as_object().unwrap() {
        assert!(attribute.is_object(), "{name}");
        assert!(attribute["required"].is_boolean(), "{name}: {attribute}");
        assert!(attribute["nullable"].is_boolean() && attribute["allowed_on_action"].is_array(), "{name}: {attribute}");
    }
    assert_eq!(meta.json["role"]["allowed_values"], json!(["Lead", "Prospect", "Client"]));
    assert_eq!(meta.json["role"]["allowed_on_action"], json!(["create"]));
    assert_eq!(meta.json["email"]["format"], "email");
    let own = &meta.json["custom_fields"]["properties"][&color];
    assert_eq!(
        (&own["field_name"], &own["allowed_values"], &own["type"]),
        (&json!("Colour"), &json!(["Red"]), &json!("array"))
    );
    assert_eq!(meta.json["company_custom_fields"]["properties"][&budget]["field_name"], "Budget");
    assert_eq!(meta.json["project_custom_fields"]["properties"][&hours]["field_description"], "Sold");
    assert_eq!(meta.json["marketing_audiences"]["properties"]["40"]["field_name"], "News");
    assert_eq!(meta.json["meta_attributes"]["allowed_on_action"], json!(["read"]));
    // Compares positions in the text, because a parsed object may have another order.
    let positions =
        ["\"uid\":", "\"first_name\":", "\"role\":", "\"address\":", "\"custom_fields\":", "\"meta_attributes\":"];
    let positions: Vec<_> = positions.iter().map(|name| meta.text.find(name).unwrap()).collect();
    assert!(positions.is_sorted(), "{positions:?}");

    assert_eq!(api.get("/company/meta").await.json["custom_fields"]["properties"][&budget]["type"], "object");
    let project = api.get("/project/meta").await;
    assert_eq!(project.json["project_custom_fields"]["properties"][&hours]["type"], "number");
    assert!(project.json.get("marketing_audiences").is_none());

    let uid = api.contact("ann@example.org").await.uid();
    let with_meta = api.get(&format!("/contact/{uid}?meta=1")).await;
    with_meta.expect(200);
    assert_eq!(with_meta.json["meta"]["attributes"], meta.json);
    assert_eq!(api.get("/contacts?meta=true").await.json["meta"]["attributes"], meta.json);
    assert!(api.get("/contacts?meta=").await.json["meta"].get("attributes").is_none());
}

#[tokio::test]
async fn circles_notes_and_a_category_are_written_with_their_record() {
    let api = Service::start().await.client;
    let body = json!({"role": "Lead", "first_name": "Ann", "last_name": "", "circles": {"add": ["VIP", "vip", "North"]},
        "notes": ["Met in Rome", {"title": "Call", "note": null, "date": "2026-11-24"}]});
    let contact = api.post("/contact", body).await;
    contact.expect(201);
    let circles = contact.json["data"]["circles"].clone();
    assert_eq!(circles.as_array().unwrap().iter().map(|circle| &circle["name"]).collect::<Vec<_>>(), ["VIP", "North"]);
    let path = format!("/contact/{}", contact.uid());
    let left = api.put(&path, json!({"circles": {"remove": [circles[0]["id"]]}})).await;
    assert_eq!(left.expect(200)["circles"], json!([circles[1]]));
    api.put(&path, json!({"circles": {"add": ["00000000-0000-0000-0000-000000000001"]}})).await.expect(422);

    let log = api.changes().await;
    let expected = [
        "crm.circle.created",
        "crm.circle.created",
        "crm.contact.created",
        "crm.note.created",
        "crm.note.created",
        "crm.contact.updated",
    ];
    assert_eq!(kinds(&log), expected);
    assert_eq!(log[3]["data"]["record"]["note"], "Met in Rome");
    assert_eq!(log[4]["data"]["record"]["contact"], contact.uid());

    let company = api.post("/company", json!({"name": "Acme", "category": {"name": "Wholesale"}})).await;
    company.expect(201);
    let category = &company.json["data"]["category"];
    assert_eq!((&category["name"], &category["isDefault"]), (&json!("Wholesale"), &json!(false)));
    assert!(category["color"].as_str().unwrap().starts_with('#'), "{category}");
    let cleared = api.put("/company/Acme", json!({"category": null})).await;
    assert_eq!(cleared.expect(200)["category"], Value::Null);
}

#[tokio::test]
async fn subscribing_handles_each_item_independently() {
    let service = Service::start().await;
    let api = &service.client;
    service.audience(1, "News").await;
    service.audience(40, "Offers").await;
    let audiences = api.get("/audiences").await;
    let shown = |audience: &Value| (audience["id"].clone(), audience["name"].clone());
    let shown: Vec<_> = audiences.expect(200).as_array().unwrap().iter().map(shown).collect();
    assert_eq!(shown, [(json!(1), json!("News")), (json!(40), json!("Offers"))]);

    let known = api.contact("ann@example.org").await.uid();
    let body = json!([
        {"email": "ANN@example.org", "audiences": [40]},
        {"email": "new@example.org", "first_name": "New", "last_name": "Person", "audiences": [1, 40]},
        {"email": "nobody"},
        {"email": "ann@example.org", "audiences": [7]},
    ]);
    let response = api.post("/marketing/subscribe", body.clone()).await;
    response.expect(200);
    let items = response.json["data"].as_array().unwrap();
    let outcomes: Vec<_> = items.iter().map(|item| item["success"].as_bool().unwrap()).collect();
    assert_eq!(outcomes, [true, true, false, false]);
    assert_eq!(items[0]["uid"], known);
    assert_eq!(items[2]["errors"][0]["pointer"], "#/email");
    let lead = api.get("/contact/new@example.org").await;
    assert_eq!((&lead.expect(200)["role"], &lead.expect(200)["audiences"]), (&json!("Lead"), &json!([1, 40])));
    let events = api.changes().await.len();

    let again = api.post("/marketing/subscribe", body).await;
    again.expect(200);
    assert_eq!(api.changes().await.len(), events, "nothing was new");
    let none = api.post("/marketing/subscribe", json!([{"email": "nobody"}])).await;
    none.expect(422);
    for wrong in [json!({}), json!([])] {
        api.post("/marketing/subscribe", wrong).await.expect(422);
    }
}

#[tokio::test]
async fn a_subscription_sets_custom_fields_of_new_and_existing_contacts() {
    let service = Service::start().await;
    let api = &service.client;
    let add = async |entity: &str, name: &str| {
        let added = api.post("/fields", json!({"entity": entity, "type": "text", "name": name})).await;
        added.expect(201);
        added.uid()
    };
    let [source, aim, open] =
        [add("contact", "Source").await, add("target", "Aim").await, add("company", "Open").await];
    let mut ann = crate::support::client::lead("ann@example.org");
    ann["custom_fields"] = json!({&source: "Fair"});
    api.post("/contact", ann).await.expect(201);
    let body = json!([
        {"email": "ann@example.org", "first_name": "Eve", "custom_fields": {&source: ""}, "target_custom_fields": {&aim: "x"}},
        {"email": "new@example.org", "custom_fields": {&source: "Web"}, "target_custom_fields": {&aim: "y"}},
        {"email": "bob@example.org", "custom_fields": {&open: "z"}},
        {"email": "bob@example.org", "public_custom_fields": {&open: "z"}},
    ]);
    let response = api.post("/marketing/subscribe", body.clone()).await;
    response.expect(200);
    let items = response.json["data"].as_array().unwrap();
    let outcomes: Vec<_> = items.iter().map(|item| item["success"].as_bool().unwrap()).collect();
    assert_eq!(outcomes, [true, true, false, false], "{}", response.text);
    assert_eq!(items[2]["errors"][0]["pointer"], format!("#/custom_fields/{open}"));
    assert_eq!(items[3]["errors"][0]["pointer"], "#/public_custom_fields");
    api.get("/contact/bob@example.org").await.expect(404);
    for (email, source_value, aim_value) in [("ann@example.org", "Fair", "x"), ("new@example.org", "Web", "y")] {
        let contact = api.get(&format!("/contact/{email}")).await;
        assert_eq!(contact.expect(200)["custom_fields"], json!({&source: source_value}), "{email}");
        assert_eq!(contact.expect(200)["target_custom_fields"], json!({&aim: aim_value}), "{email}");
        assert_ne!(contact.expect(200)["first_name"], "Eve", "an existing contact keeps its name");
    }
    let events = api.changes().await.len();
    api.post("/marketing/subscribe", body).await.expect(200);
    assert_eq!(api.changes().await.len(), events, "nothing was new");
}

#[tokio::test]
async fn a_subscription_under_a_known_key_is_not_repeated() {
    let service = Service::start().await;
    let api = &service.client;
    service.audience(1, "News").await;
    let body = r#"[{"email":"ann@example.org","audiences":[1]},{"email":"bob@example.org"}]"#;
    let send = || api.send(hyper::Method::POST, "/marketing/subscribe", &[("idempotency-key", "k")], body);
    let first = send().await;
    let second = send().await;
    assert_eq!(first.expect(200), second.expect(200));
    assert_eq!((first.header("idempotent-replayed"), second.header("idempotent-replayed")), ("", "true"));
    let other = api
        .send(hyper::Method::POST, "/marketing/subscribe", &[("idempotency-key", "k")], "[{\"email\":\"a@b\"}]")
        .await;
    other.expect(422);
    let longer = r#"[{"email":"eve@example.org"},{"email":"zoe@example.org"},{"email":"may@example.org"}]"#;
    api.send(hyper::Method::POST, "/marketing/subscribe", &[("idempotency-key", "k")], longer).await.expect(422);
    api.get("/contact/may@example.org").await.expect(404);
    let contact = crate::support::client::lead("zoe@example.org").to_string();
    api.send(hyper::Method::POST, "/contact", &[("idempotency-key", "k")], &contact).await.expect(422);
}

#[tokio::test]
async fn worlds_are_an_empty_list_until_there_are_some() {
    let service = Service::start().await;
    let empty = service.client.get("/worlds").await;
    assert_eq!(empty.expect(200), &json!([]));
    assert_eq!(empty.json["meta"]["pagination"]["totalItems"], 0);
    service.make(named::CreateNamed::world(unificus::clock::fresh_uid(), "Europe").unwrap()).await;
    let listed = service.client.get("/worlds").await;
    assert_eq!(listed.expect(200)[0]["name"], "Europe");
}

#[tokio::test]
async fn an_operator_defines_fields_audiences_and_worlds_on_the_command_line() {
    let service = Service::start().await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let account = service.client.account;
    let run = async |arguments: &str| unificus(&format!("{arguments} --json"), &settings).await;

    let field = lines(
        &run(&format!("field add {account} Colour --entity contact --type dropdown --allow Red --allow Green")).await,
    );
    assert_eq!((&field[0]["name"], &field[0]["allowed_values"]), (&json!("Colour"), &json!(["Red", "Green"])));
    let uid = field[0]["uid"].as_str().unwrap();
    let again = failure_text(&run(&format!("field add {account} colour --entity contact --type text")).await);
    assert!(again.contains("already exists"), "{again}");
    let wrong = failure_text(&run(&format!("field add {account} Size --entity planet --type text")).await);
    assert!(wrong.contains("entity: Must be one of contact, company, project, target."), "{wrong}");
    assert_eq!(lines(&run(&format!("field list {account}")).await)[0]["uid"], uid);
    lines(&run(&format!("field archive {account} {uid}")).await);
    assert_eq!(lines(&run(&format!("field list {account}")).await).len(), 0);

    assert_eq!(lines(&run(&format!("audience add {account} News")).await)[0]["id"], 1);
    assert_eq!(lines(&run(&format!("audience add {account} Offers --id 40")).await)[0]["id"], 40);
    assert_eq!(lines(&run(&format!("audience add {account} More")).await)[0]["id"], 41);
    assert_eq!(lines(&run(&format!("audience list {account}")).await).len(), 3);
    lines(&run(&format!("world add {account} Europe")).await);
    assert_eq!(lines(&run(&format!("world list {account}")).await)[0]["name"], "Europe");
    let nobody = failure_text(&run(&format!("world add {} Europe", uuid::Uuid::nil())).await);
    assert!(nobody.contains("there is no account"), "{nobody}");

    let log = service.client.changes().await;
    let (added, archived) = ("crm.schema.field_added", "crm.schema.field_archived");
    let audience = "crm.audience.created";
    assert_eq!(kinds(&log), [added, archived, audience, audience, audience, "crm.world.created"]);
    assert_eq!(log[0]["origin"], "operator");
}

/// An event holds the record and both sides of a change. One that exceeds a NATS message would block the relay.
#[tokio::test]
async fn a_record_never_grows_beyond_the_size_of_one_message() {
    let service = Service::start().await;
    let api = &service.client;
    let mut fields = Vec::new();
    for number in 0..24 {
        fields.push(field(api, json!({"entity": "contact", "type": "long_text", "name": format!("F{number}")})).await);
    }
    let path = format!("/contact/{}", api.contact("ann@example.org").await.uid());
    let values =
        |text: &str, fields: &[String]| -> Value { fields.iter().map(|field| (field.clone(), json!(text))).collect() };
    let half = "x".repeat(16_384);
    api.put(&path, json!({"custom_fields": values(&half, &fields[..19])})).await.expect(200);
    let refused = api.put(&path, json!({"custom_fields": values(&half, &fields[19..])})).await;
    refused.expect(422);
    assert!(refused.json["message"].as_str().unwrap().contains("too large"), "{}", refused.text);
    let other = "y".repeat(16_384);
    api.put(&path, json!({"custom_fields": values(&other, &fields[..19])})).await.expect(200);
    let heaviest = api.changes().await.iter().map(|event| event.to_string().len()).max().unwrap();
    assert!(heaviest < 1 << 20, "{heaviest} bytes");
    api.put(&path, json!({"custom_fields": null})).await.expect(200);
}

#[tokio::test]
async fn a_company_that_an_operator_keeps_is_listed_without_a_contact() {
    let service = Service::start().await;
    let (api, settings) = (&service.client, [("UNIFICUS_DATABASE__URL", service.env.database.as_str())]);
    let listed = async || api.get("/companies").await.json["meta"]["pagination"]["totalItems"].clone();
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    assert_eq!(listed().await, 0);
    let keep = format!("company keep {} acme --json", api.account);
    assert_eq!(lines(&unificus(&keep, &settings).await)[0]["kept"], true);
    assert_eq!((listed().await, &api.get("/companies").await.expect(200)[0]["name"]), (json!(1), &json!("Acme")));
    api.put("/company/Acme", json!({"phone": "1"})).await.expect(200);
    assert_eq!(listed().await, 1, "the setting stays");
    lines(&unificus(&format!("{keep} --off"), &settings).await);
    assert_eq!(listed().await, 0);
    let nothing = failure_text(&unificus(&format!("company keep {} nothing --json", api.account), &settings).await);
    assert!(nothing.contains("there is no such company"), "{nothing}");
}
