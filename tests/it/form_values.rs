//! Requests of form plugins, PHP clients and scripts: the leniencies of the contract from the eleventh on.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::client::{Reply, lead};
use crate::support::{Client, Service};

const TRUE: [&str; 6] = ["1", "true", "on", "yes", "TRUE", " Yes "];
const FALSE: [&str; 7] = ["0", "false", "off", "no", "", "FALSE", "Off"];

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// The smallest body of a contact with one more member.
fn lead_with(email: &str, key: &str, value: Value) -> Value {
    let mut body = lead(email);
    body[key] = value;
    body
}

/// The pointers of a refusal.
#[track_caller]
fn pointers(refused: &Reply) -> Vec<&str> {
    refused.expect(422);
    refused.json["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// Defines a custom field and returns its uid.
async fn field(api: &Client, entity: &str, kind: &str) -> String {
    let allowed = if ["dropdown", "multi_select"].contains(&kind) { r#"[1.10, "2", 3]"# } else { "null" };
    let body = format!(r#"{{"entity": "{entity}", "type": "{kind}", "name": "{kind}", "allowed_values": {allowed}}}"#);
    api.send(Method::POST, "/fields", &[], &body).await.uid()
}

#[tokio::test]
async fn leniency_11_a_boolean_may_be_a_word() {
    let service = Service::start().await;
    let checkbox = field(&service.client, "contact", "checkbox").await;
    let words = TRUE.iter().map(|word| (json!(word), true)).chain(FALSE.iter().map(|word| (json!(word), false)));
    let words = words.chain([(json!(1), true), (json!(0), false), (json!(true), true), (json!(false), false)]);
    for (number, (word, expected)) in words.enumerate() {
        let email = format!("p{number}@example.org");
        let mut body = lead_with(&email, "send_welcome_email", word.clone());
        body["custom_fields"] = json!({&checkbox: word});
        body["company"] = json!({"name": format!("C{number}"), "create_company_if_not_exists": word});
        let before = service.client.changes().await.len();
        let created = service.client.post("/contact", body).await;
        if expected {
            assert_eq!(created.expect(201)["custom_fields"][&checkbox], true, "{word}");
            let events = service.client.changes().await;
            let expected = ["crm.company.created", "crm.contact.created", "crm.contact.welcome_requested"];
            assert_eq!(types(&events[before..]), expected, "{word}");
        } else {
            assert_eq!(pointers(&created), ["#/company/name"], "{word}: no company is created");
            let mut body = lead_with(&email, "send_welcome_email", word.clone());
            body["custom_fields"] = json!({&checkbox: word});
            let created = service.client.post("/contact", body).await;
            assert_eq!(created.expect(201)["custom_fields"][&checkbox], false, "{word}");
            assert_eq!(types(&service.client.changes().await[before..]), ["crm.contact.created"], "{word}");
        }
    }
    let first = json!({"email": "x@example.org", "create_primary_contact_if_not_exists": "On", "prevent_individual_mode": "no"});
    let company = service.client.post("/company", json!({"name": "Acme", "primaryContact": first})).await;
    assert_eq!(company.expect(201)["primaryContact"]["email"], "x@example.org");
    for wrong in [json!("perhaps"), json!("2"), json!(2), json!([1]), json!("truely")] {
        let refused = service.client.post("/contact", lead_with("q@example.org", "send_welcome_email", wrong)).await;
        assert_eq!(pointers(&refused), ["#/send_welcome_email"]);
    }
}

#[tokio::test]
async fn leniency_11_a_number_may_be_a_string() {
    let api = Service::start().await.client;
    let (number, currency) = (field(&api, "project", "number").await, field(&api, "project", "currency").await);
    for (sent, expected) in [("12", json!(12)), (" 1.50 ", json!(1.5)), ("-2e3", json!(-2000))] {
        let custom = json!({&number: sent, &currency: {"amount": sent, "currency": "eur"}});
        let body = json!({"name": "Roof", "estimated_value": {"amount": sent, "currency": "eur"}, "project_custom_fields": custom});
        let created = api.post("/project", body).await;
        let data = created.expect(201);
        assert_eq!(data["estimated_value"], json!({"amount": expected, "currency": "EUR"}));
        let shown = &data["project_custom_fields"];
        assert_eq!((&shown[&number], &shown[&currency]["amount"]), (&expected, &expected));
    }
    let refused = api.post("/project", json!({"name": "Roof", "project_custom_fields": {&number: "12 m"}})).await;
    assert_eq!(pointers(&refused), [format!("#/project_custom_fields/{number}")]);
}

/// A number becomes a string exactly as it stands in the body.
#[tokio::test]
async fn leniency_11_a_string_may_be_a_number() {
    let api = Service::start().await.client;
    let mut fields = Vec::new();
    for kind in ["text", "long_text", "phone", "dropdown", "multi_select"] {
        fields.push(field(&api, "contact", kind).await);
    }
    let numbers = [
        "7",
        "-12",
        "0",
        "-0",
        "1.10",
        "1e3",
        "1E+03",
        "0.1",
        "31205550100",
        "12345678901234567890123",
        "9007199254740993",
    ];
    for number in numbers {
        let body = format!(
            r#"{{"role": "Lead", "first_name": {number}, "last_name": {number}, "title": {number}, "phone": {number},
                "background_info": {number}, "tags": [{number}, "a"], "address": {{"zip": {number}}},
                "circles": [{number}], "notes": [{{"title": {number}}}],
                "company": {{"name": {number}, "create_company_if_not_exists": true}},
                "custom_fields": {{"{}": {number}, "{}": {number}, "{}": {number}, "{}": 1.10, "{}": [1.10, 2]}}}}"#,
            fields[0], fields[1], fields[2], fields[3], fields[4],
        );
        let created = api.send(Method::POST, "/contact", &[], &body).await;
        let data = created.expect(201);
        for key in ["first_name", "last_name", "title", "phone", "background_info", "full_address"] {
            assert_eq!(data[key], number, "{key}");
        }
        assert_eq!(data["address"]["zip"], number);
        assert!(data["tags"].as_array().unwrap().contains(&json!(number)), "{}", data["tags"]);
        assert_eq!((&data["circles"][0]["name"], &data["companies"][0]["name"]), (&json!(number), &json!(number)));
        let custom = &data["custom_fields"];
        for kind in &fields[..3] {
            assert_eq!(custom[kind], number);
        }
        assert_eq!((&custom[&fields[3]], &custom[&fields[4]]), (&json!("1.10"), &json!(["1.10", "2"])));
        assert_eq!(api.changes().await.last().unwrap()["data"]["record"]["title"], number, "the note");
    }
    assert_eq!(pointers(&api.post("/contact", lead_with("a@example.org", "title", json!(true))).await), ["#/title"]);
    api.send(Method::PUT, "/contact/a@example.org", &[], r#"{"title": 1.}"#).await.expect(400);
}

#[tokio::test]
async fn leniency_12_an_empty_array_or_text_is_an_empty_object() {
    let api = Service::start().await.client;
    let own = field(&api, "contact", "text").await;
    let mut body = lead_with("ann@example.org", "address", json!({"city": "Ulm", "zip": "1"}));
    body["custom_fields"] = json!({&own: "x"});
    body["circles"] = json!(["VIP"]);
    body["company"] = json!({"name": "Acme", "create_company_if_not_exists": true});
    let created = api.post("/contact", body).await.expect(201).clone();
    let objects = ["address", "custom_fields", "target_custom_fields", "circles", "company"];
    for empty in [json!([]), json!({}), json!("")] {
        for key in objects {
            let kept = api.put("/contact/ann@example.org", json!({key: empty})).await;
            assert_eq!(kept.expect(200), &created, "{key}: {empty}");
        }
        let mut body = lead("");
        for key in objects {
            body[key] = empty.clone();
        }
        body["notes"] = empty.clone();
        api.post("/contact", body).await.expect(201);
        let name = format!("Company {empty}");
        let body = json!({"name": name, "address": empty, "custom_fields": empty, "category": empty, "primaryContact": empty, "tags": []});
        let company = api.post("/company", body).await;
        let shown = company.expect(201);
        assert_eq!((&shown["category"], &shown["primaryContact"]), (&Value::Null, &Value::Null), "{empty}");
        let body = json!({"name": "Roof", "estimated_value": empty, "project_custom_fields": empty, "team": []});
        assert_eq!(api.post("/project", body).await.expect(201)["estimated_value"], Value::Null, "{empty}");
    }
    for path in ["/contact/ann@example.org", "/company/Acme", "/project/name/Roof"] {
        let before = api.get(path).await.expect(200).clone();
        assert_eq!(api.put(path, json!([])).await.expect(200), &before, "{path}");
    }
    assert_eq!(pointers(&api.post("/contact", json!([])).await), pointers(&api.post("/contact", json!({})).await),);
    for (key, wrong) in [("address", json!(["Ulm"])), ("custom_fields", json!([1])), ("company", json!(["Acme"]))] {
        assert_eq!(pointers(&api.put("/contact/ann@example.org", json!({key: wrong})).await), [format!("#/{key}")]);
    }
    api.put("/contact/ann@example.org", json!([{}])).await.expect(422);
}

#[tokio::test]
async fn leniency_13_null_in_a_create_is_an_absent_key() {
    let api = Service::start().await.client;
    let company =
        api.post("/company", json!({"name": "Acme", "role": null, "primaryContact": null, "category": null})).await;
    assert_eq!(company.expect(201)["role"], Value::Null);
    api.post("/company", json!({"name": "Empty role", "role": ""})).await.expect(201);
    let mut body = lead("ann@example.org");
    for key in
        ["title", "phone", "tags", "address", "company", "notes", "circles", "custom_fields", "send_welcome_email"]
    {
        body[key] = Value::Null;
    }
    api.post("/contact", body).await.expect(201);
    // A required one is still missing, and the refusal is the same as without the key.
    for key in ["role", "first_name", "last_name"] {
        let mut without = lead("bob@example.org");
        without.as_object_mut().unwrap().remove(key);
        let (null, without) = (lead_with("bob@example.org", key, Value::Null), api.post("/contact", without).await);
        let null = api.post("/contact", null).await;
        assert_eq!((pointers(&null), &null.json["errors"]), (vec![&*format!("#/{key}")], &without.json["errors"]));
    }
    let first = json!({"first_name": null, "last_name": null, "role": null, "email": "eve@example.org",
        "create_primary_contact_if_not_exists": true, "send_welcome_email": null, "prevent_individual_mode": null});
    let body = json!({"name": "With Eve", "primaryContact": first});
    assert_eq!(api.post("/company", body).await.expect(201)["primaryContact"]["first_name"], "");
    let body = json!({"name": null, "status": null});
    assert_eq!(pointers(&api.post("/project", body).await), ["#/name"]);
    let body =
        json!({"entity": "contact", "type": "text", "name": "Colour", "description": null, "allowed_values": null});
    api.post("/fields", body).await.expect(201);
    // In an update there is something to clear, and a name cannot be.
    api.post("/contact", lead("bob@example.org")).await.expect(201);
    assert_eq!(pointers(&api.put("/contact/bob@example.org", json!({"first_name": null})).await), ["#/first_name"]);
    api.put("/contact/bob@example.org", json!({"role": null})).await.expect(200);
}

#[tokio::test]
async fn leniency_14_a_primary_contact_without_content_is_absent() {
    let api = Service::start().await.client;
    let flags = |word: Value| json!({"send_welcome_email": word, "create_primary_contact_if_not_exists": word, "prevent_individual_mode": word});
    let form = json!({"first_name": "", "last_name": "", "email": "", "create_primary_contact_if_not_exists": "0"});
    let absent = [json!({}), json!([]), json!(null), json!({"send_welcome_email": false}), form];
    let words = [json!(false), json!("0"), json!("false"), json!("No"), json!("off"), json!(""), json!(null), json!(0)];
    for (number, absent) in absent.into_iter().chain(words.map(flags)).enumerate() {
        let body = json!({"name": format!("Company {number}"), "role": "Client", "primaryContact": absent});
        assert_eq!(api.post("/company", body).await.expect(201)["primaryContact"], Value::Null, "{absent}");
    }
    // Nothing that was sent is dropped.
    for (first, pointer) in [
        (flags(json!(true)), "#/primaryContact/email"),
        (json!({"first_name": "Ann", "send_welcome_email": false}), "#/primaryContact/email"),
        (json!({"send_welcome_email": "perhaps"}), "#/primaryContact/send_welcome_email"),
    ] {
        let refused = api.post("/company", json!({"name": "Acme", "role": "Client", "primaryContact": first})).await;
        assert!(pointers(&refused).contains(&pointer), "{}", refused.text);
    }
}

#[tokio::test]
async fn leniency_15_circles_to_add_and_a_companys_name_without_an_object() {
    let api = Service::start().await.client;
    let created = api.post("/contact", lead_with("ann@example.org", "circles", json!("VIP, gold"))).await;
    let circles = |reply: &Reply| -> Vec<String> {
        let circles = reply.json["data"]["circles"].as_array().unwrap().iter();
        circles.map(|circle| circle["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(circles(&created), ["VIP, gold"], "a name may have a comma");
    let id = created.expect(201)["circles"][0]["id"].clone();
    for (added, expected) in [
        (json!(["News", "vip, GOLD"]), vec!["VIP, gold", "News"]),
        (json!("Press"), vec!["VIP, gold", "News", "Press"]),
        (json!({"0": "News", "2": "Board"}), vec!["VIP, gold", "News", "Press", "Board"]),
        (json!(""), vec!["VIP, gold", "News", "Press", "Board"]),
        (json!({"add": "Friends", "remove": ["News"]}), vec!["VIP, gold", "Press", "Board", "Friends"]),
    ] {
        let changed = api.put("/contact/ann@example.org", json!({ "circles": added })).await;
        changed.expect(200);
        assert_eq!(circles(&changed), expected, "{added}");
    }
    for by_id in [id.clone(), json!([id]), json!([{"id": id}])] {
        let email = format!("p{}@example.org", by_id.to_string().len());
        let joined = api.post("/contact", lead_with(&email, "circles", by_id)).await;
        assert_eq!(joined.expect(201)["circles"][0]["id"], id);
    }

    let acme = api.post("/company", json!({"name": "Acme & Co"})).await.uid();
    let linked = api.put("/contact/ann@example.org", json!({"company": " ACME & co "})).await;
    assert_eq!(linked.expect(200)["companies"], json!([{"uid": acme, "name": "Acme & Co"}]));
    let created = api.post("/contact", lead_with("bob@example.org", "company", json!("Acme & Co"))).await;
    assert_eq!(created.expect(201)["companies"][0]["uid"], json!(acme));
    let events = api.changes().await.len();
    let refused = api.post("/contact", lead_with("eve@example.org", "company", json!("Nobody"))).await;
    assert!(!pointers(&refused).is_empty() && refused.text.contains("No company has this name"), "{}", refused.text);
    assert_eq!(api.changes().await.len(), events, "neither the contact nor a company is created");
}

#[tokio::test]
async fn leniency_16_a_trailing_slash_is_the_same_path() {
    let api = Service::start().await.client;
    let uid = api.contact("ann@example.org").await.uid();
    api.post("/company", json!({"name": "Name/"})).await.expect(201);
    api.post("/company", json!({"name": "Name"})).await.expect(201);
    api.post("/project", json!({"name": "Roof"})).await.expect(201);
    for path in [
        "/contacts",
        "/companies",
        "/projects",
        "/contact/meta",
        "/company/meta",
        "/project/meta",
        "/contact/ann@example.org",
        "/company/Name",
        "/company/Name%2F",
        "/project/name/Roof",
        "/project/most_recent/true",
        "/audiences",
        "/worlds",
        "/fields",
        "/changes",
        "/push/endpoints",
        "/swagger",
        "/swagger/json-file",
        "/asyncapi.json",
    ] {
        let same = api.get(path).await;
        assert_eq!(same.status, 200, "{path}: {}", same.text);
        for slashes in ["/", "//"] {
            let slashed = api.get(&format!("/{path}{slashes}?limit=5")).await;
            assert_eq!((slashed.status, slashed.header("etag")), (200, same.header("etag")), "{path}{slashes}");
            assert_eq!(slashed.json["data"], same.json["data"], "{path}{slashes}");
        }
    }
    assert_eq!(api.get("/company/Name%2F/").await.expect(200)["name"], "Name/");
    assert_eq!(api.get("/company/Name/").await.expect(200)["name"], "Name");
    let key = [("idempotency-key", "k-1")];
    let first = api.send(Method::POST, "/contact/", &key, &lead("bob@example.org").to_string()).await;
    first.expect(201);
    let again = api.send(Method::POST, "/contact", &key, &lead("bob@example.org").to_string()).await;
    assert_eq!((again.json, again.headers.contains_key("idempotent-replayed")), (first.json, true));
    api.put(&format!("/contact/{uid}/"), json!({"title": "Dr"})).await.expect(200);
    api.send(Method::POST, "/marketing/subscribe/", &[], r#"[{"email":"eve@example.org"}]"#).await.expect(200);
    api.delete(&format!("/contact/{uid}/?")).await.expect(200);

    let refused = api.send(Method::DELETE, "/contacts/", &[], "").await;
    let same = api.send(Method::DELETE, "/contacts", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, same.header("allow")));
    let options = api.send(Method::OPTIONS, "/contacts//", &[], "").await;
    let same = api.send(Method::OPTIONS, "/contacts", &[], "").await;
    assert_eq!((options.status, options.header("allow")), (204, same.header("allow")));
    assert_eq!(api.get("/nothing/").await.status, 404);
    let next = api.get("/contacts/?limit=1").await;
    let next = next.json["meta"]["pagination"]["nextPage"].as_str().unwrap().to_owned();
    assert!(next.starts_with(&format!("{}/contacts?limit=1&page=2&after=", api.base)), "{next}");
}

#[tokio::test]
async fn leniency_16_tags_is_tag_and_unknown_filters_are_ignored() {
    let api = Service::start().await.client;
    api.post("/contact", lead_with("ann@example.org", "tags", json!(["red"]))).await.expect(201);
    api.contact("bob@example.org").await.expect(201);
    api.post("/company", json!({"name": "Acme", "tags": ["red"]})).await.expect(201);
    for (query, expected) in
        [("tags=red", 1), ("tag=red", 1), ("tags=blue", 0), ("tags=", 2), ("colour=red&tagged=red", 2)]
    {
        let listed = api.get(&format!("/contacts?{query}")).await;
        assert_eq!(listed.expect(200).as_array().unwrap().len(), expected, "{query}");
    }
    assert_eq!(pointers(&api.get("/contacts?tags=%00").await), ["#/tags"]);
    api.get("/projects?tags=%00&tag=%00").await.expect(200);
}

#[tokio::test]
async fn leniency_17_contacts_are_ordered_by_last_then_first_name() {
    let api = Service::start().await.client;
    let long = "x".repeat(200);
    let names = [
        ("Zed", "Lee"),
        ("ann", "lee"),
        ("Bob", "Leeds"),
        ("Ann", ""),
        ("", ""),
        ("Ann", "Lee"),
        ("", "Adams"),
        ("b\u{1f}c", "a\u{1f}"),
        ("c", "A"),
        (&long, &long),
        ("{a,\"b", "null"),
    ];
    for (first, last) in names {
        api.post("/contact", json!({"role": "Lead", "first_name": first, "last_name": last})).await.expect(201);
    }
    let mut expected: Vec<(String, String)> =
        names.iter().map(|(first, last)| ((*last).to_owned(), (*first).to_owned())).collect();
    let sorted_by = |name: &(String, String)| {
        let part = |text: &str| text.replace('\u{1f}', "").to_lowercase().chars().take(128).collect::<String>();
        (part(&name.0), part(&name.1))
    };
    // The sort is stable, so that equal names stay in the order of their creation.
    expected.sort_by_key(sorted_by);
    for (order, expected) in [("name", expected.clone()), ("-name", expected.into_iter().rev().collect())] {
        for limit in [1, 2, 3, 500] {
            let (mut seen, mut uids, mut pages) = (Vec::new(), BTreeSet::new(), 0);
            let mut path = format!("/contacts?orderBy={order}&limit={limit}");
            loop {
                let page = api.get(&path).await;
                pages += 1;
                assert!(pages <= names.len(), "the walk ends");
                for row in page.expect(200).as_array().unwrap() {
                    let text = |key: &str| row[key].as_str().unwrap().to_owned();
                    seen.push((text("last_name"), text("first_name")));
                    uids.insert(text("uid"));
                }
                let Some(next) = page.json["meta"]["pagination"]["nextPage"].as_str() else { break };
                path = next.strip_prefix(&*api.base).unwrap().to_owned();
            }
            assert_eq!((&seen, uids.len()), (&expected, names.len()), "{order}, {limit} on a page");
        }
    }
    assert_eq!(pointers(&api.get("/contacts?orderBy=Name").await), ["#/orderBy"]);
}

#[tokio::test]
async fn leniency_19_an_estimated_value_is_a_number_with_its_currency_beside_it() {
    let api = Service::start().await.client;
    let expected = json!({"amount": 12_500.5, "currency": "EUR"});
    for value in [json!(12_500.5), json!("12500.50"), json!({"amount": "12500.5"}), expected.clone()] {
        let body = json!({"name": "Roof", "estimated_value": value, "estimated_value_currency": "eur"});
        let created = api.post("/project", body.clone()).await;
        assert_eq!(created.expect(201)["estimated_value"], expected);
        let path = format!("/project/{}", created.uid());
        api.put(&path, json!({"estimated_value": ""})).await.expect(200);
        assert_eq!(api.put(&path, body).await.expect(200)["estimated_value"], expected);
    }
    for (body, pointer) in [
        (json!({"estimated_value": 5}), "#/estimated_value_currency"),
        (json!({"estimated_value_currency": "EUR"}), "#/estimated_value_currency"),
        (
            json!({"estimated_value": {"amount": 5, "currency": "USD"}, "estimated_value_currency": "EUR"}),
            "#/estimated_value_currency",
        ),
        (json!({"estimated_value": "much", "estimated_value_currency": "EUR"}), "#/estimated_value"),
        (json!({"estimated_value": 5, "estimated_value_currency": "euro"}), "#/estimated_value"),
    ] {
        assert_eq!(pointers(&api.put("/project/name/Roof", body).await), [pointer]);
    }
}

/// Forms that the contract does not list: blank values, lists that PHP writes as objects, single values for lists.
#[tokio::test]
async fn blank_values_and_phps_lists_are_read_as_they_are_meant() {
    let api = Service::start().await.client;
    let mut body = lead_with("ann@example.org", "tags", json!({"0": "red", "2": "blue"}));
    body["notes"] = json!({"1": "Second", "0": {"title": "First", "date": ""}});
    let ann = api.post("/contact", body).await;
    assert_eq!(ann.expect(201)["tags"], json!(["blue", "red"]));
    let notes: Vec<Value> = api.changes().await.iter().skip(1).map(|event| event["data"]["record"].clone()).collect();
    assert_eq!((notes.len(), &notes[0]["title"], &notes[1]["note"]), (2, &json!("First"), &json!("Second")));
    let before = api.changes().await.len();
    for (key, blank) in [("notes", json!("")), ("notes", json!([""])), ("circles", json!([""])), ("notes", json!(null))]
    {
        api.put("/contact/ann@example.org", json!({key: blank})).await.expect(200);
    }
    assert_eq!(api.changes().await.len(), before, "nothing was changed");
    for none in [json!(""), json!(null), json!([]), json!([""])] {
        api.put("/contact/ann@example.org", json!({"tags": "red"})).await.expect(200);
        assert_eq!(api.put("/contact/ann@example.org", json!({"tags": none})).await.expect(200)["tags"], json!([]));
    }
    let form = json!({"role": "Client", "first_name": "Bob", "last_name": "Lee", "email": "bob@example.org", "phone": "",
        "website": "", "address": {"city": "", "zip": ""}, "company": {"name": "", "create_company_if_not_exists": "0"},
        "send_welcome_email": "", "background_info": "", "title": ""});
    let bob = api.post("/contact", form).await;
    assert_eq!((&bob.expect(201)["phone"], &bob.expect(201)["companies"]), (&Value::Null, &json!([])));
    let call = json!({"title": "Call", "note": 7});
    api.put("/contact/bob@example.org", json!({ "notes": call })).await.expect(200);
    assert_eq!(api.changes().await.last().unwrap()["data"]["record"]["note"], "7");
}

/// A client may send back what it read, as strings too, even to a field that takes no values any more.
#[tokio::test]
async fn a_value_that_was_read_may_be_sent_back_as_a_string() {
    let api = Service::start().await.client;
    let mut stored = json!({});
    for (kind, value) in [
        ("number", json!(1.5)),
        ("checkbox", json!(true)),
        ("text", json!("17")),
        ("currency", json!({"amount": 2.5, "currency": "EUR"})),
    ] {
        let uid = field(&api, "contact", kind).await;
        stored[&uid] = value;
    }
    api.post("/contact", lead_with("ann@example.org", "custom_fields", stored.clone())).await.expect(201);
    for uid in stored.as_object().unwrap().keys() {
        api.delete(&format!("/fields/{uid}")).await.expect(200);
    }
    let before = api.changes().await.len();
    let uids: Vec<&String> = stored.as_object().unwrap().keys().collect();
    let mut as_strings = stored.clone();
    for uid in uids {
        as_strings[uid] = match &stored[uid] {
            Value::Number(_) => json!("1.50"),
            Value::Bool(_) => json!("1"),
            Value::String(_) => json!(17),
            other => json!({"amount": "2.50", "currency": other["currency"]}),
        };
    }
    for sent in [stored, as_strings] {
        api.put("/contact/ann@example.org", json!({"custom_fields": sent})).await.expect(200);
    }
    assert_eq!(api.changes().await.len(), before, "nothing was changed");
}
