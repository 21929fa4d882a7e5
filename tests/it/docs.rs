//! The live documentation, as a visitor's browser shows it and as clients fetch it.

use serde_json::{Value, json};

use crate::support::browser::{Browser, with_browser};
use crate::support::{Client, Service};

/// The operation that a visitor tries first.
const FIRST_TRIED: &str = "/contact/meta";

#[tokio::test]
async fn a_visitor_authorizes_reads_downloads_and_creates() {
    let service = Service::start().await;
    let api = &service.client;
    api.contact("ann@example.org").await.expect(201);
    with_browser("live-docs", async |browser| {
        browser.open(&format!("{}/swagger", api.base)).await;
        let button = browser.find("//button[contains(@class, 'authorize')]").await;
        assert_eq!(button.style("background-color").await, "rgba(21, 128, 61, 1)", "green");
        authorize(browser, api, "Authorized. The documentation shows your account’s own fields.").await;

        let first = operation("get", FIRST_TRIED);
        try_out(browser, &first).await;
        browser.find(&format!("{first}//button[contains(@class, 'execute')]")).await.click().await;
        let download = browser.find(&format!("{first}//button[text() = 'Download']")).await;
        let response = browser.find(&format!("{first}//div[div/button[text() = 'Download']]")).await.rectangle().await;
        let [left, top, width, height] = download.rectangle().await;
        assert!(left + width > response[0] + response[2] - 60.0, "at the right");
        assert!(top + height > response[1] + response[3] - 60.0, "at the bottom");
        download.click().await;
        let (name, text) = browser.downloaded().await;
        assert!(name.starts_with("response_"), "{name}");
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, api.get(FIRST_TRIED).await.json);

        let create = operation("post", "/contact");
        try_out(browser, &create).await;
        let body = browser.find(&format!("{create}//textarea")).await;
        body.clear().await;
        body.type_in(
            &json!({"role": "Lead", "first_name": "Bob", "last_name": "Poe", "email": "bob@example.org"}).to_string(),
        )
        .await;
        browser.find(&format!("{create}//button[contains(@class, 'execute')]")).await.click().await;
        browser
            .find(&format!("{create}//table[contains(@class, 'live-responses-table')]//td[contains(., '201')]"))
            .await;
        assert_eq!(api.get("/contact/bob@example.org").await.expect(200)["first_name"], "Bob");

        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
        let storage = "return [localStorage.length, sessionStorage.length, document.cookie]";
        assert_eq!(browser.run(storage).await, json!([0, 0, ""]), "no secret is stored");
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_are_reported_and_leave_the_documentation_as_it_was() {
    let service = Service::start().await;
    let wrong = service.client.as_caller(service.client.account, "wrong");
    with_browser("wrong-key", async |browser| {
        browser.open(&format!("{}/swagger/", wrong.base)).await;
        authorize(browser, &wrong, "These credentials were not accepted. Check them under Authorize.").await;
        browser.find(&operation("get", FIRST_TRIED)).await;
    })
    .await;
}

/// Enters both headers in one form; the page then shows the status text.
async fn authorize(browser: &Browser, client: &Client, status_text: &str) {
    browser.find("//div[contains(@class, 'auth-wrapper')]/button[contains(@class, 'authorize')]").await.click().await;
    for (header, value) in [("X-Public-ID", client.account.to_string()), ("X-Secret-Key", client.secret.to_string())] {
        browser.find(&format!("//label[text() = '{header}']/following-sibling::input")).await.type_in(&value).await;
    }
    browser.find("//div[contains(@class, 'modal-ux')]//button[text() = 'Authorize']").await.click().await;
    browser.find(&format!("//p[@id = 'standing'][text() = '{status_text}']")).await;
    browser.find("//div[contains(@class, 'modal-ux')]//button[text() = 'Close']").await.click().await;
}

/// The block of an operation, as an `XPath`.
fn operation(method: &str, path: &str) -> String {
    format!("//div[contains(@class, 'opblock-{method}')][.//span[@data-path = '{path}']]")
}

async fn try_out(browser: &Browser, operation: &str) {
    browser.find(&format!("{operation}//button[contains(@class, 'opblock-summary-control')]")).await.click().await;
    browser.find(&format!("{operation}//button[text() = 'Try it out ']")).await.click().await;
}

#[tokio::test]
async fn the_page_needs_no_login_and_allows_itself_nothing_but_its_own_files() {
    let service = Service::start().await;
    let anonymous = service.client.as_caller(service.client.account, "");
    for path in ["/swagger", "/swagger/"] {
        let page = anonymous.get(path).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        for text in [
            "00000000-0000-0000-0000-000000000000",
            "DummySecretKey",
            "* dummy request allowed",
            "Treat as successful",
            "20,000",
            &format!("curl -sS '{}/contact/meta'", anonymous.base),
        ] {
            assert!(page.text.contains(text), "{text}");
        }
    }
    assert_eq!(anonymous.get("/swagger/nothing").await.status, 404);
    assert_eq!(anonymous.get("/swagger/assets/nothing").await.status, 404);
}

#[tokio::test]
async fn the_files_of_the_page_are_fetched_once() {
    let service = Service::start().await;
    let api = &service.client;
    let page = api.get("/swagger").await;
    let addresses = page.text.split('"').filter_map(|part| part.strip_prefix("/secure-api/swagger/assets/"));
    let mut addresses: Vec<&str> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 6, "{addresses:?}");
    for address in addresses {
        let path = format!("/swagger/assets/{address}");
        let file = api.get(&path).await;
        assert_eq!(file.status, 200, "{address}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable", "{address}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        let (bare, _) = path.split_once('?').unwrap();
        let anew = api.send(hyper::Method::GET, bare, &[("if-none-match", file.header("etag"))], "").await;
        assert_eq!((anew.status, anew.text.as_str(), anew.header("cache-control")), (304, "", "no-cache"), "{bare}");
    }
    let again = api.send(hyper::Method::GET, "/swagger", &[("if-none-match", page.header("etag"))], "").await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn the_events_are_documented_for_anybody() {
    let service = Service::start().await;
    let document = service.client.as_caller(service.client.account, "").get("/asyncapi.json").await;
    assert_eq!(document.status, 200);
    let document = document.json;
    assert_eq!(document["asyncapi"], "3.0.0");
    let subjects = format!("{}.{{account}}.evt.{{entity}}.{{verb}}", service.env.subject_root);
    assert_eq!(document["channels"]["nats"]["address"], subjects);

    // Every event type of the log is in the document, and every reference resolves.
    service.client.contact("ann@example.org").await.expect(201);
    service.client.delete("/contact/ann@example.org").await.expect(200);
    for event in service.client.changes().await {
        let kind = event["type"].as_str().unwrap();
        let described = &document["channels"]["webhook"]["messages"][kind.trim_start_matches("crm.")];
        assert_eq!(described["name"], kind);
        let schema = described["payload"]["$ref"].as_str().unwrap().trim_start_matches('#');
        assert_eq!(document.pointer(schema).unwrap()["allOf"][1]["properties"]["type"]["const"], kind);
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect<'a>(json: &'a Value, references: &mut Vec<&'a str>) {
    match json {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
