//! Requests of real clients that a strict reading would refuse: the ten leniencies of the contract, and habits of
//! existing clients.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::Service;
use crate::support::client::lead;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn leniency_1_a_body_is_json_whatever_its_content_type_says() {
    let api = Service::start().await.client;
    for (number, kind) in
        ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""].iter().enumerate()
    {
        let body = lead(&format!("ann{number}@example.org")).to_string();
        api.send(Method::POST, "/contact", &[("content-type", kind)], &body).await.expect(201);
    }
    api.send(Method::POST, "/contact", &[], &lead("bob@example.org").to_string()).await.expect(201);
    api.send(Method::POST, "/contact", &[FORM], "email=ann%40example.org").await.expect(400);
}

#[tokio::test]
async fn leniency_2_a_get_may_claim_a_json_body_that_it_has_not() {
    let api = Service::start().await.client;
    api.send(Method::GET, "/contacts", &[("content-type", "application/json")], "").await.expect(200);
}

#[tokio::test]
async fn leniency_3_double_slashes_in_the_path_collapse() {
    let api = Service::start().await.client;
    let uid = api.contact("ann@example.org").await.uid();
    api.get("//contacts").await.expect(200);
    assert_eq!(api.get(&format!("//contact//{uid}")).await.uid(), uid);
}

#[tokio::test]
async fn leniency_4_an_identifier_is_tried_literally_and_then_with_spaces_for_its_pluses() {
    let api = Service::start().await.client;
    for name in ["Acme & Co", "A+B", "A B", "North/South", "C++ Labs"] {
        api.post("/company", json!({"name": name})).await.expect(201);
    }
    for (path, name) in [
        ("Acme+%26+Co", "Acme & Co"),
        ("acme%20%26%20co", "Acme & Co"),
        ("A+B", "A+B"),
        ("A%2BB", "A+B"),
        ("A%20B", "A B"),
        ("North%2FSouth", "North/South"),
        ("C%2B%2B+Labs", "C++ Labs"),
    ] {
        assert_eq!(api.get(&format!("/company/{path}")).await.expect(200)["name"], name, "{path}");
    }
    api.get("/company/Acme%2B%26%2BCo").await.expect(404);
}

#[tokio::test]
async fn leniency_5_unknown_and_create_only_keys_are_ignored() {
    let api = Service::start().await.client;
    let mut body = lead("ann@example.org");
    body["favourite_planet"] = json!({"name": "Saturn"});
    let uid = api.post("/contact", body).await.uid();
    let changed = api.put(&format!("/contact/{uid}"), json!({"role": "Client", "planet": 6, "title": "Dr"})).await;
    assert_eq!((&changed.expect(200)["role"], &changed.expect(200)["title"]), (&json!("Lead"), &json!("Dr")));
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    let first = json!({"email": "bob@example.org", "create_primary_contact_if_not_exists": true});
    let company = api.put("/company/Acme", json!({"primaryContact": first, "phone": "1"})).await;
    assert_eq!(company.expect(200)["primaryContact"], Value::Null);
    api.get("/contact/bob@example.org").await.expect(404);
}

#[tokio::test]
async fn leniency_6_tags_as_one_text_notes_as_texts_and_a_role_in_any_case() {
    let api = Service::start().await.client;
    let body =
        json!({"role": "lEAD", "first_name": "Ann", "last_name": "", "tags": "vip, news,,vip", "notes": ["Met"]});
    let contact = api.post("/contact", body).await;
    assert_eq!(contact.expect(201)["tags"], json!(["news", "vip"]));
    assert_eq!(contact.json["data"]["role"], "Lead");
    assert_eq!(api.changes().await[1]["data"]["record"]["note"], "Met");
}

#[tokio::test]
async fn leniency_7_a_put_merges_null_clears_and_tags_replace() {
    let api = Service::start().await.client;
    let mut body = lead("ann@example.org");
    body["title"] = json!("Dr");
    body["phone"] = json!("1");
    body["tags"] = json!(["a", "b"]);
    let uid = api.post("/contact", body).await.uid();
    let merged = api.put(&format!("/contact/{uid}"), json!({"title": null, "tags": ["c"]})).await;
    let data = merged.expect(200);
    assert_eq!((&data["title"], &data["tags"], &data["phone"]), (&Value::Null, &json!(["c"]), &json!("1")));
}

#[tokio::test]
async fn leniency_8_a_duplicate_is_reported_as_already_existing() {
    let api = Service::start().await.client;
    api.contact("ann@example.org").await.expect(201);
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    for (path, body) in [("/contact", lead("ANN@example.org")), ("/company", json!({"name": "ACME"}))] {
        let again = api.post(path, body).await;
        again.expect(422);
        assert!(again.json["message"].as_str().unwrap().contains("already exists"), "{}", again.text);
    }
}

#[tokio::test]
async fn leniency_9_an_idempotency_key_is_honoured_on_every_write_quoted_or_not() {
    let api = Service::start().await.client;
    api.contact("ann@example.org").await.expect(201);
    let writes = [
        (Method::POST, "/contact", lead("bob@example.org").to_string()),
        (Method::PUT, "/contact/ann@example.org", r#"{"title":"Dr"}"#.to_owned()),
        (Method::POST, "/company", r#"{"name":"Acme"}"#.to_owned()),
        (Method::PUT, "/company/Acme", r#"{"phone":"1"}"#.to_owned()),
        (Method::POST, "/project", r#"{"name":"Roof"}"#.to_owned()),
        (Method::PUT, "/project/name/Roof", r#"{"status":"Done"}"#.to_owned()),
        (Method::POST, "/fields", r#"{"entity":"contact","type":"text","name":"Colour"}"#.to_owned()),
        (Method::POST, "/marketing/subscribe", r#"[{"email":"eve@example.org"}]"#.to_owned()),
        (Method::DELETE, "/contact/ann@example.org", String::new()),
    ];
    for (number, (method, path, body)) in writes.into_iter().enumerate() {
        let (bare, quoted) = (format!("k-{number}"), format!("\"k-{number}\""));
        let first = api.send(method.clone(), path, &[("idempotency-key", &bare)], &body).await;
        assert!(first.status < 300, "{method} {path}: {}", first.text);
        let events = api.changes().await.len();
        let again = api.send(method.clone(), path, &[("idempotency-key", &quoted)], &body).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (first.status, "true"), "{method} {path}");
        assert_eq!(again.json, first.json, "{method} {path}");
        assert_eq!(api.changes().await.len(), events, "{method} {path} has one effect");
    }
}

#[tokio::test]
async fn leniency_10_a_space_in_a_timestamp_is_an_unescaped_plus() {
    let api = Service::start().await.client;
    api.contact("ann@example.org").await.expect(201);
    for path in [
        "/contacts?createdMin=2020-01-01T00:00:00+00:00",
        "/contacts?createdMin=2020-01-01T00:00:00%20%30%30:00",
        "/contacts?createdMin=2020-01-01T00:00:00%2B00:00",
    ] {
        assert_eq!(api.get(path).await.expect(200).as_array().unwrap().len(), 1, "{path}");
    }
    api.get("/contacts?createdMin=2020-01-01T00:00:00").await.expect(422);
}

/// Pages of companies and of contacts, and the links between contacts and companies.
#[tokio::test]
async fn a_warehouse_connector_pages_through_both_and_builds_a_junction_table() {
    let api = Service::start().await.client;
    let mut expected = BTreeSet::new();
    for number in 0..23 {
        let company = format!("Company {}", number % 12);
        let body = json!({"role": "Client", "first_name": "P", "last_name": "", "email": format!("p{number}@example.org"),
            "company": {"name": company, "create_company_if_not_exists": true}});
        api.post("/contact", body).await.expect(201);
        expected.insert((company, format!("p{number}@example.org")));
    }
    let mut tables = Vec::new();
    for path in ["/companies", "/contacts"] {
        let (mut rows, mut page) = (Vec::new(), 1);
        loop {
            let response = api.get(&format!("{path}?page={page}")).await;
            rows.extend(response.expect(200).as_array().unwrap().clone());
            let pagination = &response.json["meta"]["pagination"];
            if pagination["currentPageNumber"] == pagination["totalPages"] {
                break;
            }
            page += 1;
        }
        tables.push(rows);
    }
    let name =
        |uid: &Value| tables[0].iter().find(|company| &company["uid"] == uid).map(|company| company["name"].clone());
    let mut junction = BTreeSet::new();
    for contact in &tables[1] {
        for company in contact["companies"].as_array().unwrap() {
            let name = name(&company["uid"]).unwrap();
            assert_eq!(name, company["name"]);
            junction.insert((name.as_str().unwrap().to_owned(), contact["email"].as_str().unwrap().to_owned()));
        }
    }
    assert_eq!(junction, expected);
}

#[tokio::test]
async fn an_integration_platforms_list_helper_requests_the_page_after_the_last() {
    let api = Service::start().await.client;
    for number in 0..10 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let full = api.get("/contacts?page=1").await;
    assert_eq!(
        (full.expect(200).as_array().unwrap().len(), &full.json["meta"]["pagination"]["nextPage"]),
        (10, &Value::Null)
    );
    let after = api.get("/contacts?page=2").await;
    assert_eq!(after.expect(200), &json!([]));
    let pagination = after.json["meta"]["pagination"].as_object().unwrap();
    let keys: Vec<&String> = pagination.keys().collect();
    assert_eq!(keys, ["currentPageNumber", "nextPage", "pageSize", "previousPage", "totalItems", "totalPages"]);
    api.get("/contacts?page=").await.expect(200);
}

#[tokio::test]
async fn a_wordpress_plugin_sends_json_as_a_form_with_its_tags_as_one_string() {
    let api = Service::start().await.client;
    let body = json!({"role": "lead", "first_name": "Ann", "last_name": "Lee", "email": "ann+wp@example.org",
        "tags": "site,newsletter", "custom_fields": [], "send_welcome_email": true});
    let created = api.send(Method::POST, "/contact", &[FORM], &body.to_string()).await;
    assert_eq!(created.expect(201)["tags"], json!(["newsletter", "site"]));
    // PHP's urlencode(), once of an address and once of a company.
    api.send(Method::PUT, "/contact/ann%2Bwp%40example.org", &[FORM], r#"{"title":"Dr"}"#).await.expect(200);
    api.send(Method::POST, "/company", &[FORM], r#"{"name":"Acme & Co"}"#).await.expect(201);
    api.send(Method::PUT, "/company/Acme+%26+Co", &[FORM], r#"{"phone":"1"}"#).await.expect(200);
}

#[tokio::test]
async fn a_wordpress_plugin_iterates_the_meta_and_reads_field_name_and_required_of_each() {
    let api = Service::start().await.client;
    let meta = api.send(Method::GET, "/contact/meta", &[("content-type", "application/json")], "").await;
    assert_eq!(meta.status, 200);
    let required: Vec<&str> = meta
        .json
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, attribute)| {
            // The vendor's API has no label for some attributes; a plugin shows those by their key.
            assert!(attribute.get("field_name").is_none_or(Value::is_string), "{attribute}");
            attribute["required"].as_bool().unwrap()
        })
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(required, ["email", "first_name", "last_name", "role"]);
}

/// The retry of such a client after a 408, a 429, a 5xx or a broken connection.
#[tokio::test]
async fn a_typescript_client_retries_with_its_idempotency_key_and_makes_one_contact() {
    let api = Service::start().await.client;
    let body = lead("ann@example.org").to_string();
    let send = || {
        api.send(Method::POST, "/contact", &[("idempotency-key", "4f2c"), ("content-type", "application/json")], &body)
    };
    let responses = [send().await, send().await, send().await];
    for response in &responses {
        assert_eq!(response.expect(201), responses[0].expect(201));
    }
    assert_eq!(api.changes().await.len(), 1);
}
