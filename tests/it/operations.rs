//! Every operation of the document, checked for the properties that all operations share.
//!
//! A new operation has a row in [`rows`], or these tests fail.

use std::collections::BTreeSet;

use http_body_util::{BodyExt as _, Empty};
use hyper::Method;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use unificus::app::App;
use unificus::clock::{self, Clock};
use unificus::dev::services::Services;
use unificus::metrics::Metrics;
use unificus::store::Store;

use crate::support::client::{Client, Reply, lead};
use crate::support::document::{Document, Operation};
use crate::support::servers::{Servers, binaries, directory};
use crate::support::service::{Service, account, base};
use crate::support::until;

/// A request. `{contact}`, `{company}` and other placeholders in its path stand for records of the account.
struct Call(&'static str, Value);

/// The requests of an operation.
struct Row {
    /// As the document names it: `PUT /contact/{id}`.
    name: &'static str,
    success: Call,
    /// A request that is refused with 422, for operations that document a 422.
    invalid: Option<Call>,
}

fn row(name: &'static str, success: Call, invalid: impl Into<Option<Call>>) -> Row {
    Row { name, success, invalid: invalid.into() }
}

fn bare(path: &'static str) -> Call {
    Call(path, Value::Null)
}

fn rows() -> Vec<Row> {
    let synchronization = synchronization().into_iter().chain(consumers());
    companies_and_contacts().into_iter().chain(synchronization).chain(others()).chain(endpoints()).collect()
}

fn companies_and_contacts() -> Vec<Row> {
    let new_contact = || json!({"role": "Lead", "first_name": "John", "last_name": "Doe", "email": "new@example.org"});
    vec![
        row("GET /companies", bare("/companies?limit=1"), bare("/companies?page=0")),
        row("POST /companies", Call("/companies", json!({"name": "New"})), Call("/companies", json!({"name": ""}))),
        row("GET /companies/{id}", bare("/companies/{company}"), bare("/companies/{company}?at=x")),
        row(
            "GET /companies/{id}/history",
            bare("/companies/{company}/history"),
            bare("/companies/{company}/history?limit=0"),
        ),
        row(
            "PUT /companies/{id}",
            Call("/companies/{company}", json!({"tags": ["a"]})),
            Call("/companies/{company}", json!({"name": null})),
        ),
        row("POST /company", Call("/company", json!({"name": "New"})), Call("/company", json!({"role": "Boss"}))),
        row("GET /company/{id}", bare("/company/{company}?at=4"), bare("/company/{company}?at=-1")),
        row(
            "GET /company/{id}/history",
            bare("/company/{company}/history?limit=1"),
            bare("/company/{company}/history?after=x"),
        ),
        row(
            "PUT /company/{id}",
            Call("/company/{company}", json!({"phone": "1"})),
            Call("/company/{company}", json!({"website": "example.org"})),
        ),
        row("DELETE /company/{id}", bare("/company/{company}"), None),
        row("GET /contacts", bare("/contacts?at=4"), bare("/contacts?createdMin=yesterday")),
        row("POST /contacts", Call("/contacts", new_contact()), Call("/contacts", json!({}))),
        row("GET /contacts/{id}", bare("/contacts/{contact}"), bare("/contacts/{contact}?at=x")),
        row(
            "GET /contacts/{id}/history",
            bare("/contacts/{contact}/history"),
            bare("/contacts/{contact}/history?limit=x"),
        ),
        row(
            "PUT /contacts/{id}",
            Call("/contacts/{contact}", json!({"title": "Dr"})),
            Call("/contacts/{contact}", json!({"email": "nobody"})),
        ),
        row("POST /contact", Call("/contact", new_contact()), Call("/contact", json!([]))),
        row("GET /contact/{id}", bare("/contact/{contact}?at=4&meta=1"), bare("/contact/{contact}?at=2026-11-24")),
        row(
            "GET /contact/{id}/history",
            bare("/contact/{contact}/history"),
            bare("/contact/{contact}/history?after=x"),
        ),
        row(
            "PUT /contact/{id}",
            Call("/contact/{contact}", json!({"address": {"city": "Utrecht"}})),
            Call("/contact/{contact}", json!({"tags": 1})),
        ),
        row("DELETE /contact/{id}", bare("/contact/{contact}"), None),
        row("POST /contact/{id}/erase", bare("/contact/{contact}/erase"), None),
        row("POST /contacts/{id}/erase", bare("/contacts/{contact}/erase"), None),
        row("GET /contact/{id}/erase", bare("/contact/{erased}/erase"), None),
        row("GET /contacts/{id}/erase", bare("/contacts/{erased}/erase"), None),
    ]
}

fn synchronization() -> Vec<Row> {
    vec![
        row(
            "POST /sync/batch",
            Call(
                "/sync/batch",
                json!({"ops": [{"op_id": "1", "op": "update", "entity": "contact", "uid": "{contact}",
                    "base": 1, "set": {"phone": "7"}}]}),
            ),
            Call("/sync/batch", json!({"ops": []})),
        ),
        row(
            "POST /sync/revert",
            Call("/sync/revert", json!({"origin": "shop", "from": 0, "dry_run": true})),
            Call("/sync/revert", json!({"origin": "shop"})),
        ),
        row("GET /sync/policy", bare("/sync/policy"), None),
        row(
            "PUT /sync/policy",
            Call("/sync/policy", json!({"default": "reject", "fields": {"contact.phone": "existing_wins"}})),
            Call("/sync/policy", json!({"default": "none"})),
        ),
        row("GET /sync/conflicts", bare("/sync/conflicts?status=open"), bare("/sync/conflicts?status=lost")),
        row("GET /sync/conflicts/{id}", bare("/sync/conflicts/{conflict}"), None),
        row(
            "POST /sync/conflicts/{id}/resolve",
            Call("/sync/conflicts/{conflict}/resolve", json!({"take": "lost"})),
            Call("/sync/conflicts/{conflict}/resolve", json!({"take": "none"})),
        ),
    ]
}

fn others() -> Vec<Row> {
    let hook = json!({"url": "http://127.0.0.1:9/hook", "events": ["contact.*"], "from": "start"});
    vec![
        row("GET /company/meta", bare("/company/meta"), None),
        row("GET /contact/meta", bare("/contact/meta"), None),
        row("GET /project/meta", bare("/project/meta"), None),
        row("GET /projects", bare("/projects?meta=1"), bare("/projects?limit=many")),
        row("POST /projects", Call("/projects", json!({"name": "New"})), Call("/projects", json!({}))),
        row("POST /project", Call("/project", json!({"name": "New"})), Call("/project", json!({"team": 1}))),
        row("GET /project/{type}", bare("/project/{project}"), bare("/project/{project}?at=x")),
        row(
            "PUT /project/{type}",
            Call("/project/{project}", json!({"status": "Done"})),
            Call("/project/{project}", json!({"due_time": "noon"})),
        ),
        row(
            "GET /project/{type}/{identifier}",
            bare("/project/uid/{project}?meta=1"),
            bare("/project/uid/{project}?at=x"),
        ),
        row(
            "GET /project/{type}/{identifier}/history",
            bare("/project/uid/{project}/history"),
            bare("/project/uid/{project}/history?after=x"),
        ),
        row(
            "PUT /project/{type}/{identifier}",
            Call("/project/uid/{project}", json!({"estimated_value": {"amount": 7, "currency": "EUR"}})),
            Call("/project/uid/{project}", json!({"start_date": "today"})),
        ),
        row(
            "POST /marketing/subscribe",
            Call("/marketing/subscribe", json!([{"email": "new@example.org", "audiences": []}, {"email": "x"}])),
            Call("/marketing/subscribe", json!({})),
        ),
        row("GET /audiences", bare("/audiences"), bare("/audiences?at=1&page=2")),
        row("GET /worlds", bare("/worlds"), bare("/worlds?page=-1")),
        row("GET /fields", bare("/fields"), bare("/fields?createdMax=x")),
        row(
            "POST /fields",
            Call("/fields", json!({"entity": "company", "type": "number", "name": "Size"})),
            Call("/fields", json!({"entity": "world", "type": "number", "name": "Size"})),
        ),
        row("GET /fields/{id}", bare("/fields/{field}"), bare("/fields/{field}?at=x")),
        row(
            "PUT /fields/{id}",
            Call("/fields/{field}", json!({"name": "Colour"})),
            Call("/fields/{field}", json!({"type": "number"})),
        ),
        row("DELETE /fields/{id}", bare("/fields/{field}"), None),
        row("GET /usage", bare("/usage"), None),
        row("GET /changes", bare("/changes?limit=2"), bare("/changes?after=x")),
        row("GET /changes/stream", bare("/changes/stream?entity=contact"), bare("/changes/stream?entity=x")),
        row("GET /push/endpoints", bare("/push/endpoints"), None),
        row("POST /push/endpoints", Call("/push/endpoints", hook), Call("/push/endpoints", json!({"url": "x"}))),
        row("DELETE /push/endpoints/{id}", bare("/push/endpoints/{endpoint}"), None),
    ]
}

fn consumers() -> Vec<Row> {
    vec![
        row("GET /sync/consumers", bare("/sync/consumers"), None),
        row(
            "POST /sync/consumers",
            Call("/sync/consumers", json!({"name": "new", "from": "start"})),
            Call("/sync/consumers", json!({"name": "New"})),
        ),
        row("GET /sync/consumers/{name}", bare("/sync/consumers/{consumer}"), None),
        row("DELETE /sync/consumers/{name}", bare("/sync/consumers/{consumer}"), None),
    ]
}

fn endpoints() -> Vec<Row> {
    let bare = |name, path| row(name, bare(path), None);
    let body = |name, path, good, bad| row(name, Call(path, good), Call(path, bad));
    vec![
        bare("GET /push/endpoints/{id}", "/push/endpoints/{endpoint}"),
        body("PUT /push/endpoints/{id}", "/push/endpoints/{endpoint}", json!({"window": 5}), json!({"mode": "double"})),
        body(
            "POST /push/endpoints/{id}/rotate",
            "/push/endpoints/{endpoint}/rotate",
            json!({"overlap_s": 60}),
            json!({"overlap_s": -1}),
        ),
        bare("POST /push/endpoints/{id}/test", "/push/endpoints/{endpoint}/test"),
        bare("POST /push/endpoints/{id}/pause", "/push/endpoints/{endpoint}/pause"),
        bare("POST /push/endpoints/{id}/resume", "/push/endpoints/{endpoint}/resume"),
        body(
            "POST /push/endpoints/{id}/replay",
            "/push/endpoints/{endpoint}/replay",
            json!({"from": "start", "to": 1}),
            json!({"from": 2, "to": 1}),
        ),
        body(
            "POST /push/endpoints/{id}/skip",
            "/push/endpoints/{endpoint}/skip",
            json!({"seq": 1}),
            json!({"seq": 5_000}),
        ),
        row(
            "GET /push/endpoints/{id}/attempts",
            Call("/push/endpoints/{endpoint}/attempts?status=failed", Value::Null),
            Call("/push/endpoints/{endpoint}/attempts?status=x", Value::Null),
        ),
        row(
            "GET /push/endpoints/{id}/parked",
            Call("/push/endpoints/{endpoint}/parked?after=1", Value::Null),
            Call("/push/endpoints/{endpoint}/parked?after=x", Value::Null),
        ),
        bare("POST /push/endpoints/{id}/parked/{seq}/retry", "/push/endpoints/{endpoint}/parked/1/retry"),
    ]
}

/// The events of a fresh [`FieldOwner`].
const EVENTS: usize = 7;

/// An account with one record of every kind, created for each row.
struct FieldOwner {
    client: Client,
    contact: String,
    company: String,
    project: String,
    field: String,
    endpoint: String,
    conflict: String,
    consumer: String,
    erased: String,
}

impl FieldOwner {
    async fn of(service: &Service) -> Self {
        let client = service.other_client().await;
        let mut body = lead("ann@example.org");
        body["company"] = json!({"name": "Acme", "create_company_if_not_exists": true});
        let contact = client.post("/contact", body).await;
        let company = contact.expect(201)["companies"][0]["uid"].as_str().unwrap().to_owned();
        let endpoint = client.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/"})).await;
        let endpoint = endpoint.expect(201)["id"].as_str().unwrap().to_owned();
        until("NATS is connected", async || client.get("/sync/consumers").await.status == 200).await;
        let consumer = client.post("/sync/consumers", json!({"name": "erp"})).await;
        let consumer = consumer.expect(201)["name"].as_str().unwrap().to_owned();
        // Paused, so that its parked event stays.
        client.post(&format!("/push/endpoints/{endpoint}/pause"), Value::Null).await.expect(200);
        park(service, &client, &endpoint).await;
        let project = client.post("/project", json!({"name": "Roof"})).await.uid();
        let field = client.post("/fields", json!({"entity": "contact", "type": "text", "name": "Color"})).await.uid();
        let conflict = conflict(service, &client, &contact.uid()).await;
        let erased = clock::fresh_uid().to_string();
        erase(service, &client, &erased).await;
        Self { contact: contact.uid(), client, company, project, field, endpoint, conflict, consumer, erased }
    }

    fn path(&self, path: &str) -> String {
        let known = [
            ("{contact}", &self.contact),
            ("{company}", &self.company),
            ("{project}", &self.project),
            ("{field}", &self.field),
            ("{endpoint}", &self.endpoint),
            ("{conflict}", &self.conflict),
            ("{consumer}", &self.consumer),
            ("{erased}", &self.erased),
        ];
        known.into_iter().fold(path.to_owned(), |path, (placeholder, id)| path.replace(placeholder, id))
    }

    async fn send(&self, caller: &Client, operation: &Operation<'_>, Call(path, body): &Call) -> Reply {
        caller.send(operation.method(), &self.path(path), &[], &self.path(&text(body))).await
    }
}

/// Makes a conflict about a contact's title; returns its uid.
async fn conflict(service: &Service, client: &Client, contact: &str) -> String {
    let other = crate::sync::another_key(service, client, "shop").await;
    let update = |title: &str| json!({"ops": [{"op": "update", "entity": "contact", "uid": contact, "base": 1, "set": {"title": title}}]});
    other.post("/sync/batch", update("Prof")).await.expect(200);
    client.post("/sync/batch", update("Dr")).await.expect(200);
    let conflicts = client.get("/sync/conflicts").await;
    conflicts.expect(200)[0]["uid"].as_str().unwrap_or_else(|| panic!("{}", conflicts.text)).to_owned()
}

/// Parks the endpoint's first event.
async fn park(service: &Service, client: &Client, endpoint: &str) {
    let statement = "insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
        values ($1, $2::text::uuid, 1, $1, 10, now(), true)";
    service.env.sql().await.execute(statement, &[&client.account.0, &endpoint]).await.unwrap();
}

/// Records an erasure that is done.
async fn erase(service: &Service, client: &Client, uid: &str) {
    let statement = "insert into erasure (account_id, uid, seq, stage, scanned, through, done_at)
        values ($1, $2::text::uuid, 1, 'done', 1, 1, now())";
    service.env.sql().await.execute(statement, &[&client.account.0, &uid]).await.unwrap();
}

fn text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

/// Each operation with its row.
fn table(document: &Document) -> Vec<(Operation<'_>, Row)> {
    let operations = document.operations();
    let documented: BTreeSet<String> = operations.iter().map(|operation| operation.name.clone()).collect();
    let tested: BTreeSet<String> = rows().iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(documented, tested, "every operation of the document, and no other, has a row");
    let mut rows = rows();
    let mut row = |name: &str| rows.swap_remove(rows.iter().position(|row| row.name == name).unwrap());
    let paired = operations.into_iter().map(|operation| {
        let row = row(&operation.name);
        (operation, row)
    });
    paired.collect()
}

#[tokio::test]
async fn every_operation_succeeds_as_it_is_documented() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    for (operation, row) in table(&document) {
        let owner = FieldOwner::of(&service).await;
        if operation.is_stream() {
            assert_eq!(first_bytes_of(&owner, &row.success).await, (200, "text/event-stream".to_owned()));
            continue;
        }
        let response = owner.send(&owner.client, &operation, &row.success).await;
        assert_eq!(response.status, operation.success(), "{}: {}", operation.name, response.text);
        document.assert_documented(&operation, &response);
    }
}

/// Status and content type of a response that does not end.
async fn first_bytes_of(owner: &FieldOwner, call: &Call) -> (u16, String) {
    let url: hyper::Uri = format!("{}{}", owner.client.base, owner.path(call.0)).parse().unwrap();
    let stream = TcpStream::connect(url.authority().unwrap().as_str()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(url.path_and_query().unwrap().as_str())
        .header("host", "localhost")
        .header("x-public-id", owner.client.account.to_string())
        .header("x-secret-key", &*owner.client.secret)
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    owner.client.contact("first@example.org").await.expect(201);
    let chunk = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&chunk).contains("event: contact.created\n"), "{chunk:?}");
    drop(sender);
    connection.abort();
    (status, kind)
}

#[tokio::test]
async fn every_operation_without_good_keys_is_401() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    let owner = FieldOwner::of(&service).await;
    let (id, secret) = (owner.client.account.to_string(), owner.client.secret.to_string());
    let nobody = clock::fresh_uid().to_string();
    let callers: [&[(&str, &str)]; 8] = [
        &[],
        &[("x-public-id", &id)],
        &[("x-secret-key", &secret)],
        &[("x-public-id", "Acme"), ("x-secret-key", &secret)],
        &[("x-public-id", &id), ("x-secret-key", "wrong")],
        &[("x-public-id", &id), ("x-secret-key", &service.client.secret)],
        &[("x-public-id", &nobody), ("x-secret-key", &secret)],
        &[("authorization", "Bearer x")],
    ];
    for (operation, row) in table(&document) {
        for headers in callers {
            let (path, body) = (owner.path(row.success.0), text(&row.success.1));
            let response = owner.client.try_send_bare(operation.method(), &path, headers, &body).await.unwrap();
            assert_eq!(response.status, 401, "{} with {headers:?}: {}", operation.name, response.text);
            document.assert_documented(&operation, &response);
        }
    }
    assert_eq!(owner.client.changes().await.len(), EVENTS, "nothing was changed");
}

#[tokio::test]
async fn every_operation_on_anothers_record_is_404() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    let owner = FieldOwner::of(&service).await;
    for (operation, row) in table(&document) {
        if !row.name.contains('{') {
            continue;
        }
        assert!(row.success.0.contains('{'), "{} is tried on a record of the account's", row.name);
        let response = owner.send(&service.client, &operation, &row.success).await;
        assert_eq!(response.status, 404, "{}: {}", operation.name, response.text);
        document.assert_documented(&operation, &response);
    }
    assert_eq!(owner.client.changes().await.len(), EVENTS, "nothing was changed");
}

#[tokio::test]
async fn every_operation_refuses_invalid_input() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    let owner = FieldOwner::of(&service).await;
    for (operation, row) in table(&document) {
        let has_body = document.body(&operation).is_some();
        assert!(!has_body || operation.documents_status(422), "{} documents 422", row.name);
        let refuses = has_body || operation.method() == Method::GET && operation.documents_status(422);
        assert_eq!(row.invalid.is_some(), refuses, "{} has an invalid request", row.name);
        let Some(invalid) = &row.invalid else { continue };
        let response = owner.send(&owner.client, &operation, invalid).await;
        assert_eq!(response.status, 422, "{}: {}", operation.name, response.text);
        assert!(!response.json["errors"].as_array().unwrap().is_empty(), "{}", response.text);
        document.assert_documented(&operation, &response);
    }
    assert_eq!(owner.client.changes().await.len(), EVENTS, "nothing was changed");
}

/// Every documented key of a body is read: a value of an undocumented type is refused by the name of the key.
#[tokio::test]
async fn every_documented_key_of_a_body_is_read() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    let owner = FieldOwner::of(&service).await;
    for (operation, row) in table(&document) {
        let Some((schema, example)) = document.body(&operation) else { continue };
        for (key, member) in schema["properties"].as_object().into_iter().flatten() {
            // No other type is read from a boolean, and a boolean is read from no object.
            let is_flag = member["type"].to_string().contains("boolean");
            let mut body = example.clone();
            body[key] = if is_flag { json!({}) } else { json!(true) };
            let response = owner.send(&owner.client, &operation, &Call(row.success.0, body)).await;
            assert_eq!(response.status, 422, "{} passes over {key}: {}", operation.name, response.text);
            let pointer = format!("#/{key}");
            let errors = response.json["errors"].as_array().unwrap();
            assert!(errors.iter().any(|error| error["pointer"] == *pointer), "{pointer}: {}", response.text);
        }
    }
    assert_eq!(owner.client.changes().await.len(), EVENTS, "nothing was changed");
}

/// The test credentials.
const TEST_CREDENTIALS: [(&str, &str); 2] =
    [("x-public-id", "00000000-0000-0000-0000-000000000000"), ("x-secret-key", "DummySecretKey")];

#[tokio::test]
async fn every_get_accepts_the_test_credentials_and_nothing_else_does() {
    let service = Service::start().await;
    let document = Document::of(&service.client).await;
    let owner = FieldOwner::of(&service).await;
    for (operation, row) in table(&document) {
        let (path, body) = (owner.path(row.success.0), text(&row.success.1));
        let send = || owner.client.try_send_bare(operation.method(), &path, &TEST_CREDENTIALS, &body);
        let response = send().await.unwrap();
        assert_eq!(operation.accepts_test_credentials(), operation.method() == Method::GET && !operation.is_stream());
        if operation.accepts_test_credentials() {
            assert_eq!(response.status, 200, "{}: {}", operation.name, response.text);
            assert_ne!(response.text, send().await.unwrap().text, "{} is random", operation.name);
            if let Some(invalid) = &row.invalid {
                let path = owner.path(invalid.0);
                let refused = owner.client.try_send_bare(Method::GET, &path, &TEST_CREDENTIALS, "").await.unwrap();
                assert_eq!(refused.status, 422, "{}: {}", operation.name, refused.text);
            }
        } else {
            assert_eq!(response.status, 401, "{}: {}", operation.name, response.text);
            assert!(response.json["message"].as_str().unwrap().contains("test credentials"), "{}", response.text);
        }
        assert!(!response.headers.contains_key("ratelimit"), "{} is charged to no account", operation.name);
        document.assert_documented(&operation, &response);
    }
    assert_eq!(owner.client.changes().await.len(), EVENTS, "nothing was changed");
}

#[tokio::test]
async fn samples_have_pages_and_the_requested_identifiers() {
    let api = Service::start().await.client;
    let get = async |path: &str| api.try_send_bare(Method::GET, path, &TEST_CREDENTIALS, "").await.unwrap();
    let (mut path, mut seen) = ("/contacts?limit=7&createdMin=2020-01-01T00:00:00Z".to_owned(), 0);
    loop {
        let page = get(&path).await;
        seen += page.expect(200).as_array().unwrap().len();
        let Some(next) = page.json["meta"]["pagination"]["nextPage"].as_str() else { break };
        path = next.strip_prefix(&*api.base).unwrap_or_else(|| panic!("{next} is on another host")).to_owned();
        assert!(path.contains("createdMin"), "{path}");
    }
    assert_eq!(json!(seen), get("/contacts").await.json["meta"]["pagination"]["totalItems"]);
    assert_eq!(get("/contacts?page=4000").await.expect(200), &json!([]));

    let uid = clock::fresh_uid().to_string();
    assert_eq!(get(&format!("/company/{uid}")).await.expect(200)["uid"], json!(uid));
    assert_eq!(get("/company/Acme%20%26%20Co").await.expect(200)["name"], "Acme & Co");
    assert_eq!(get("/contact/ann@example.org").await.expect(200)["email"], "ann@example.org");

    for path in ["/contacts?meta=1", "/contact/ann@example.org?meta=1"] {
        assert_eq!(get(path).await.json["meta"]["attributes"]["email"]["format"], "email", "{path}");
    }

    let events = get("/changes?limit=3&entity=company").await;
    let seqs: Vec<&Value> = events.expect(200).as_array().unwrap().iter().map(|event| &event["data"]["seq"]).collect();
    assert_eq!(seqs, [1, 2, 3]);
    let cursor = events.json["meta"]["cursor"].as_str().unwrap();
    assert_eq!(get(&format!("/changes?after={cursor}")).await.json["meta"]["from_seq"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_and_documentation_need_no_database() {
    let mut services = Services::start(&directory("samples"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let app = App::start(env.config(), Clock::system()).await.unwrap();
    let (account, secret) = account(&store).await;
    let api = Client::new(&base(&app), account, &secret);
    // Stopped gracefully, because the backends of a killed server go on answering for a while.
    services.postgres.stop().await.unwrap();

    let document = Document::of(&api).await;
    for (operation, row) in table(&document) {
        if operation.accepts_test_credentials() {
            let path = row.success.0.replace(['{', '}'], "");
            let sample = api.try_send_bare(Method::GET, &path, &TEST_CREDENTIALS, "").await.unwrap();
            assert_eq!(sample.status, 200, "{}: {}", operation.name, sample.text);
            document.assert_documented(&operation, &sample);
        }
    }
    let real = api.get("/contacts").await;
    assert_eq!(real.status, 503, "{}", real.text);
    app.stop().await.unwrap();
    services.stop().await.unwrap();
}
