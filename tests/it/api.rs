//! Contacts and companies over HTTP.

use hyper::Method;
use serde_json::{Value, json};

use crate::support::Service;
use crate::support::client::lead;

#[tokio::test]
async fn a_contact_is_created_read_changed_and_deleted() {
    let api = Service::start().await.client;

    let created = api.contact("ann@example.org").await;
    created.expect(201);
    assert_eq!(created.header("etag"), "\"1\"");
    let uid = created.uid();

    for path in [format!("/contact/{uid}"), "/contact/ANN@example.org".to_owned(), format!("/contacts/{uid}")] {
        let read = api.get(&path).await;
        assert_eq!(read.expect(200), created.expect(201), "{path}");
        assert_eq!(read.header("etag"), "\"1\"");
    }

    let changed = api.put(&format!("/contact/{uid}"), json!({"title": "Dr", "tags": "b, a"})).await;
    assert_eq!(changed.expect(200)["title"], "Dr");
    assert_eq!(changed.expect(200)["tags"], json!(["a", "b"]));
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!(changed.expect(200)["field_seq"]["title"], 2);
    assert_eq!(changed.expect(200)["field_seq"]["email"], 1);

    let cleared = api.put(&format!("/contact/{uid}"), json!({"title": null})).await;
    assert_eq!(cleared.expect(200)["title"], Value::Null);

    api.delete(&format!("/contact/{uid}")).await.expect(200);
    let gone = api.get(&format!("/contact/{uid}")).await;
    gone.expect(410);
    assert_eq!(gone.json["deleted_seq"], 4);
    api.get("/contact/ann@example.org").await.expect(404);
    api.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(410);

    api.contact("ann@example.org").await.expect(201);
}

#[tokio::test]
async fn an_unchanged_write_makes_no_event() {
    let api = Service::start().await.client;
    let uid = api.contact("ann@example.org").await.uid();
    let same = json!({"first_name": " Ann ", "email": "ANN@example.org", "title": "", "tags": [], "role": "Client"});

    let response = api.put(&format!("/contact/{uid}"), same).await;

    response.expect(200);
    assert_eq!(response.header("etag"), "\"1\"");
    assert_eq!(api.changes().await.len(), 1);
}

#[tokio::test]
async fn every_bad_field_is_listed_and_nothing_is_written() {
    let api = Service::start().await.client;
    let body = json!({"role": "Boss", "last_name": null, "email": "ann", "website": "example.org", "phone": true,
        "address": "Utrecht", "company": {"name": [7]}, "send_welcome_email": "perhaps", "title": "a\u{0}b"});

    let response = api.post("/contact", body).await;

    response.expect(422);
    let mut pointers: Vec<&str> =
        response.json["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "#/address",
            "#/company/name",
            "#/email",
            "#/first_name",
            "#/last_name",
            "#/phone",
            "#/role",
            "#/send_welcome_email",
            "#/title",
            "#/website",
        ]
    );
    assert_eq!(response.json["success"], false);
    assert_eq!(response.header("content-type"), "application/problem+json");
    assert!(api.changes().await.is_empty());
}

#[tokio::test]
async fn a_duplicate_is_refused_as_already_existing() {
    let api = Service::start().await.client;
    api.contact("ann@example.org").await.expect(201);
    api.post("/company", json!({"name": "Acme & Co"})).await.expect(201);

    for (path, body) in [("/contact", lead("Ann@Example.org")), ("/company", json!({"name": "ACME & co"}))] {
        let response = api.post(path, body).await;
        response.expect(422);
        assert!(response.json["message"].as_str().unwrap().contains("already exists"), "{}", response.text);
    }
}

#[tokio::test]
async fn a_stale_if_match_writes_nothing() {
    let api = Service::start().await.client;
    let uid = api.contact("ann@example.org").await.uid();
    let path = format!("/contact/{uid}");
    let put = |tag: &'static str, title: &str| {
        let (api, path, body) = (api.clone(), path.clone(), json!({"title": title}).to_string());
        async move { api.send(Method::PUT, &path, &[("if-match", tag)], &body).await }
    };

    put("\"1\"", "Dr").await.expect(200);
    put("\"1\"", "Prof").await.expect(412);
    put("W/\"2\"", "Prof").await.expect(412);
    put("\"7\", \"2\"", "Prof").await.expect(200);
    put("*", "Sir").await.expect(200);
    assert_eq!(api.get(&path).await.expect(200)["title"], "Sir");

    let unchanged = api.send(Method::GET, &path, &[("if-none-match", "\"4\"")], "").await;
    assert_eq!((unchanged.status, unchanged.text.as_str(), unchanged.header("etag")), (304, "", "\"4\""));
}

#[tokio::test]
async fn an_idempotency_key_is_answered_once() {
    let api = Service::start().await.client;
    let send = |key: &'static str, body: Value| {
        let api = api.clone();
        async move { api.send(Method::POST, "/contact", &[("idempotency-key", key)], &body.to_string()).await }
    };

    let first = send("\"k1\"", lead("ann@example.org")).await;
    first.expect(201);
    api.put(&format!("/contact/{}", first.uid()), json!({"title": "Dr"})).await.expect(200);
    let again = send("k1", lead("ann@example.org")).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "as it was then");
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    send("k1", lead("bob@example.org")).await.expect(422);

    let refused = send("k2", lead("ann@example.org")).await;
    refused.expect(422);
    let again = send("k2", lead("ann@example.org")).await;
    assert_eq!((again.status, &again.text), (422, &refused.text));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(api.changes().await.len(), 2);
}

#[tokio::test]
async fn requests_with_one_key_at_once_have_one_effect() {
    let api = Service::start().await.client;
    let body = lead("ann@example.org").to_string();
    let send = || api.send(Method::POST, "/contact", &[("idempotency-key", "same")], &body);

    let responses = futures_util::future::join_all((0..32).map(|_| send())).await;

    for response in &responses {
        assert_eq!(response.expect(201)["uid"], responses[0].json["data"]["uid"]);
    }
    let replayed = responses.iter().filter(|response| response.header("idempotent-replayed") == "true").count();
    assert_eq!(replayed, 31);
    assert_eq!(api.changes().await.len(), 1);
}

#[tokio::test]
async fn contacts_and_companies_link() {
    let api = Service::start().await.client;
    let mut body = lead("ann@example.org");
    body["company"] = json!({"name": "Acme"});
    api.post("/contact", body.clone()).await.expect(422);
    body["company"]["create_company_if_not_exists"] = json!(true);

    let ann = api.post("/contact", body).await;
    assert_eq!(ann.expect(201)["companies"][0]["name"], "Acme");
    let company = ann.json["data"]["companies"][0]["uid"].as_str().unwrap().to_owned();

    api.put(&format!("/company/{company}"), json!({"name": "Acme Ltd"})).await.expect(200);
    let ann_path = format!("/contact/{}", ann.uid());
    assert_eq!(api.get(&ann_path).await.expect(200)["companies"], json!([{"uid": company, "name": "Acme Ltd"}]));

    let other = api
        .post(
            "/company",
            json!({"name": "Blue", "role": "Client", "primaryContact": {"first_name": "Bob", "last_name": "Ray",
                "email": "bob@example.org", "create_primary_contact_if_not_exists": true}}),
        )
        .await;
    assert_eq!(other.expect(201)["primaryContact"]["email"], "bob@example.org");
    let bob = api.get("/contact/bob@example.org").await;
    assert_eq!(bob.expect(200)["companies"][0]["name"], "Blue");
    assert_eq!(bob.expect(200)["role"], "Client");

    api.delete(&format!("/company/{company}")).await.expect(200);
    assert_eq!(api.get(&ann_path).await.expect(200)["companies"], json!([]));
    api.delete("/contact/bob@example.org").await.expect(200);
    assert_eq!(api.get(&format!("/company/{}", other.uid())).await.expect(200)["primaryContact"], Value::Null);
}

#[tokio::test]
async fn companies_that_nobody_belongs_to_are_not_listed() {
    let api = Service::start().await.client;
    api.post("/company", json!({"name": "Idle"})).await.expect(201);
    let mut body = lead("ann@example.org");
    body["company"] = json!({"name": "Busy", "create_company_if_not_exists": true});
    api.post("/contact", body).await.expect(201);

    let listed = api.get("/companies").await;

    let names: Vec<&Value> = listed.expect(200).as_array().unwrap().iter().map(|company| &company["name"]).collect();
    assert_eq!(names, ["Busy"]);
    api.put("/contact/ann@example.org", json!({"company": null})).await.expect(200);
    assert_eq!(api.get("/companies").await.expect(200), &json!([]));
}

#[tokio::test]
async fn pages_have_all_six_keys_and_the_page_past_the_end_is_empty() {
    let api = Service::start().await.client;
    for number in 0..15 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let host = api.base.strip_suffix("/secure-api").unwrap();
    let link = |page: u32| format!("{host}/secure-api/contacts?createdMin=2020-01-01T00%3A00%3A00+00%3A00&page={page}");
    let page = |page: &'static str| api.get(page);

    let first = page("/contacts?createdMin=2020-01-01T00:00:00+00:00&page=").await;
    assert_eq!(first.expect(200).as_array().unwrap().len(), 10);
    let next = first.json["meta"]["pagination"]["nextPage"].as_str().unwrap();
    // The link also says where the page begins, so that a walk that follows it is exact.
    let (numbered, cursor) = next.split_once("&after=").unwrap();
    assert_eq!(numbered, link(2));
    assert!(!cursor.is_empty() && !cursor.contains('&'), "{next}");
    let expected = json!({"pageSize": 10, "totalPages": 2, "totalItems": 15, "currentPageNumber": 1,
        "previousPage": null, "nextPage": next});
    assert_eq!(first.json["meta"]["pagination"], expected);

    let second = page("/contacts?createdMin=2020-01-01T00:00:00+00:00&page=2").await;
    assert_eq!(second.expect(200).as_array().unwrap().len(), 5);
    assert_eq!(second.json["meta"]["pagination"]["nextPage"], Value::Null);
    assert_eq!(second.json["meta"]["pagination"]["previousPage"], link(1));

    let past = page("/contacts?page=3").await;
    assert_eq!(past.expect(200), &json!([]));
    assert_eq!(past.json["meta"]["pagination"]["totalItems"], 15);

    assert_eq!(page("/contacts?createdMax=2020-01-01T00:00:00Z").await.expect(200), &json!([]));
    for bad in [
        "page=0",
        "page=x",
        "limit=501",
        "createdMin=2020-01-01",
        "createdMin=2021-01-01T00:00:00Z&createdMax=2020-01-01T00:00:00Z",
    ] {
        api.get(&format!("/contacts?{bad}")).await.expect(422);
    }
}

#[tokio::test]
async fn real_clients_habits_are_understood() {
    let service = Service::start().await;
    let api = &service.client;
    let body = lead("ann@example.org").to_string();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    api.send(Method::POST, "//contact", &form, &body).await.expect(201);
    api.send(Method::GET, "//contacts", &[("content-type", "application/json")], "").await.expect(200);

    api.post("/company", json!({"name": "Acme & Co"})).await.expect(201);
    api.post("/company", json!({"name": "A+B"})).await.expect(201);
    api.post("/company", json!({"name": "n/a"})).await.expect(201);
    for (path, name) in [
        ("/company/Acme+%26+Co", "Acme & Co"),
        ("/company/A%2BB", "A+B"),
        ("/company/A+B", "A+B"),
        ("/company/n%2Fa", "n/a"),
    ] {
        assert_eq!(api.get(path).await.expect(200)["name"], name, "{path}");
    }
    api.post("/company", json!({"name": "B C"})).await.expect(201);
    assert_eq!(api.get("/company/B+C").await.expect(200)["name"], "B C");
    api.delete("/company/B%2BC").await.expect(404);
    for (path, status) in
        [("/contact/%00", 404), ("/contact/%FF", 400), ("/contacts?createdMin=9999-12-31T23:59:59-01:00", 422)]
    {
        let response = api.get(path).await;
        assert_eq!((response.status, response.header("content-type")), (status, "application/problem+json"), "{path}");
    }
    api.put("/contact/%00", json!({"title": "Dr"})).await.expect(404);
    api.send(Method::POST, "/contact", &[], "{").await.expect(400);
    api.send(Method::POST, "/contact", &[], "").await.expect(400);
    api.send(Method::POST, "/contact", &[], "[]").await.expect(422);
    let large = format!("{{\"title\":\"{}\"}}", "x".repeat(1 << 20));
    api.send(Method::POST, "/contact", &[], &large).await.expect(413);
    let wrong = api.send(Method::PATCH, "/contact", &[], "").await;
    wrong.expect(405);
    assert_eq!(wrong.header("allow"), "POST");
    let nowhere = api.get("/nowhere").await;
    nowhere.expect(404);
    assert_eq!(nowhere.json["instance"], "/secure-api/nowhere");
}

#[tokio::test]
async fn an_account_may_choose_success_for_missing_records() {
    let service = Service::start().await;
    let sql = service.env.sql().await;
    sql.batch_execute("update account set on_missing = 'succeed'").await.unwrap();
    let api = &service.client;

    for response in [
        api.get("/contact/nobody@example.org").await,
        api.put("/contact/nobody@example.org", json!({"title": "Dr"})).await,
        api.delete("/company/nothing").await,
    ] {
        assert_eq!(response.expect(200), &Value::Null);
        assert_eq!(response.json["success"], true);
        assert!(response.json["message"].as_str().unwrap().starts_with("No matching"), "{}", response.text);
    }
    api.get("/nowhere").await.expect(404);
}
