//! A branded host: the word of the product is nowhere on it, for people who are signed in, for visitors, for partners and in
//! what they are sent.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use unificus::domain::user::UserRole;

use super::crawl::{Crawled, values};
use super::support::{Console, Page, Web};
use crate::push_delivery::{endpoint_at, until};
use crate::support::receiver::Received;
use crate::support::{Client, LONG, Receiver, instant};
use crate::sync::{execute_one, upsert};

const WORD: &str = "unificus";

const HOST: &str = "console.acme.example";

#[track_caller]
fn assert_white(label: &str, text: &str) {
    let lower = text.to_lowercase();
    if let Some((before, after)) = lower.split_once(WORD) {
        let before: String = before.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{label}: {before}{WORD}{}", after.chars().take(200).collect::<String>());
    }
}

#[track_caller]
fn assert_white_page(label: &str, page: &Page) {
    assert_white(label, label);
    assert_white(label, &format!("{:?}", page.headers));
    assert_white(label, &page.text);
}

/// A branded account, its Super Admin on its host, and a client with a key that was made under the brand.
async fn branded(console: &Console) -> (Web, Client) {
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/branding").await;
    let fields =
        [("name", "Acme & Co"), ("color", "#7a1fa2"), ("hosts", HOST), ("support_url", "https://acme.example/help")];
    web.post("/console/branding", &fields).await.expect(303);
    let first = console.service.store.keys(console.account()).await.unwrap()[0].key_id;
    let path = "/console/integrations/secure-api/keys";
    let added = web.post(path, &[("name", "Shop"), ("origin", "shop")]).await;
    let secret = format!("acmeco_live_{}", added.expect(200).between("acmeco_live_", "<"));
    // It was made before the brand.
    web.post(&format!("{path}/{first}/delete"), &[]).await.expect(303);
    let client = console.service.client.as_caller(console.account(), &secret);
    client.get("/usage").await.expect(200);
    let own = console.visitor().with_header("host", HOST);
    own.sign_in("super_admin@example.org").await;
    (own, client)
}

/// Records, a conflict, a project, settings and an endpoint with attempts. Returns the requests that the endpoint got.
async fn fill(web: &Web, api: &Client) -> Vec<Received> {
    api.post("/company", json!({"name": "Shop", "role": "Lead"})).await.expect(201);
    let ann = json!({"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": "ann@x.org", "company": "Shop"});
    let made = execute_one(api, upsert("7", ann)).await;
    assert_eq!(made["status"], 201, "{made}");
    let (uid, base) = (made["uid"].clone(), made["seq"].clone());
    let update = |base: Option<&Value>, name: &str| json!({"op": "update", "entity": "contact", "uid": uid, "base": base, "set": {"first_name": name}});
    web.get("/console/profile").await;
    web.post("/console/integrations/sync/consumers", &[("name", "shop")]).await.expect(303);
    web.post("/console/audiences", &[("name", "News")]).await.expect(303);
    web.post(
        "/console/custom-fields",
        &[("name", "Hue"), ("entity", "contact"), ("type", "text"), ("visibility", "public")],
    )
    .await
    .expect(303);
    let other = web.post("/console/integrations/secure-api/keys", &[("name", "Till")]).await;
    let other = api.as_caller(api.account, &format!("acmeco_live_{}", other.expect(200).between("acmeco_live_", "<")));
    execute_one(&other, update(None, "Anna")).await;
    execute_one(api, update(Some(&base), "Annie")).await;
    api.post("/project", json!({"name": "Roof", "client": uid})).await.expect(201);
    let receiver = Receiver::start().await;
    endpoint_at(api, &receiver.url(), json!({"description": "Shop"})).await;
    api.contact("next@x.org").await.expect(201);
    let delivered = receiver.wait_for(1, LONG).await;
    until("the attempt is logged", async || {
        let list = web.get("/console/integrations/push").await;
        let paths =
            values(&list.text, "href").into_iter().filter(|path| path.starts_with("/console/integrations/push/"));
        let Some(path) =
            paths.into_iter().find(|path| path.len() > 60 && !path.contains('?') && !path.ends_with("/edit"))
        else {
            return false;
        };
        web.get(&path).await.text.contains("/attempts/")
    })
    .await;
    delivered
}

#[tokio::test]
async fn a_branded_host_says_the_brands_name_alone_in_every_page_dialog_file_and_document() {
    let console = Console::configured(|config| config.mail.from = "no-reply@acme.example".to_owned()).await;
    let (web, api) = branded(&console).await;
    let delivered = fill(&web, &api).await;

    // A webhook and its event.
    for request in &delivered {
        assert_white("a webhook's headers", &format!("{:?}", request.headers));
        assert_white("a webhook's body", &String::from_utf8_lossy(&request.body));
        assert_eq!(request.header("user-agent"), "acmeco-webhooks/1");
    }

    let starts = [
        "/console/dashboard",
        "/console/components",
        "/console/contacts?q=nobody",
        "/console/nowhere",
        "/console/forgot",
        "/console/integrations/sync/undo?origin=shop&by=event&from=1&dialog=confirm",
        "/console/link/nothing",
        "/console/sign-in",
    ];
    let crawled = Crawled::of(&web, &starts.map(str::to_owned)).await;
    for (path, page) in &crawled.pages {
        assert_white_page(path, page);
    }
    for (path, text) in [("/sync/conflicts", "Annie"), ("/console/audit", "Shop"), ("/attempts/", "next@x.org")] {
        let mut pages = crawled.pages.iter().filter(|(address, _)| address.contains(path));
        assert!(pages.any(|(_, page)| page.text.contains(text)), "no page of {path} has {text}");
    }
    let unreached: Vec<String> = crawled
        .missed()
        .into_iter()
        .filter(|route| !route.contains("/undo/") && !route.contains("/brand/logo/"))
        .collect();
    assert!(unreached.is_empty(), "no link leads to {unreached:?}");
    assert!(
        crawled.pages.contains_key("/secure-api/swagger"),
        "the live documentation is linked: {:?}",
        crawled.pages.keys()
    );
    // The forms with nothing typed: their errors, and what they confirm.
    for form in crawled
        .forms()
        .into_iter()
        .filter(|form| !form.action.contains("sign-out") && !form.action.contains("/branding/clear"))
    {
        let fields: Vec<(&str, &str)> = form
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or("")))
            .filter(|(name, _)| *name != "csrf")
            .collect();
        let page = web.post(&form.action, &fields).await;
        assert_white_page(&form.action, &page);
        if page.status == 303 {
            assert_white_page(&form.action, &web.get(page.header("location")).await);
        }
    }
    let names: Vec<String> = web.cookies.lock().unwrap().keys().cloned().collect();
    assert_white("cookies", &names.join(" "));
}

#[tokio::test]
async fn a_branded_host_says_the_brands_name_alone_to_visitors_and_partners() {
    let console = Console::start().await;
    let (web, api) = branded(&console).await;
    let visitor = console.visitor().with_header("host", HOST);
    let starts = [
        "/console",
        "/console/sign-in",
        "/console/forgot",
        "/console/link/nothing",
        "/secure-api/swagger",
        "/secure-api/asyncapi.json",
        "/secure-api/swagger/json-file",
        "/nowhere",
        "/",
        "/robots.txt",
        "/favicon.ico",
    ];
    let crawled = Crawled::of(&visitor, &starts.map(str::to_owned)).await;
    for (path, page) in &crawled.pages {
        assert_white_page(path, page);
    }
    assert!(
        crawled.pages.keys().any(|path| path.starts_with("/secure-api/swagger/assets/")),
        "{:?}",
        crawled.pages.keys()
    );
    let document: Value = serde_json::from_str(&crawled.pages["/secure-api/swagger/json-file"].text).unwrap();
    assert_eq!(document["info"]["title"], "Acme & Co Secure API");

    // Every operation: with the test_credentials credentials, without credentials, with wrong ones, with nothing that is there.
    let account = console.account().to_string();
    let (test_credentials, own) =
        (("00000000-0000-0000-0000-000000000000", "DummySecretKey"), (account.as_str(), &*api.secret));
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "0190a1b2-0000-7000-8000-000000000000" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let methods = operations.as_object().unwrap().keys().map(|name| name.to_uppercase());
        for method in methods.chain(["PATCH", "OPTIONS"].map(str::to_owned)) {
            for (id, secret) in [test_credentials, own, (account.as_str(), "wrong"), ("", "")] {
                for body in ["", "{\"first_name\": 7, \"unknown\": {}}", "{"] {
                    let headers = [("x-public-id", id), ("x-secret-key", secret), ("content-type", "application/json")];
                    let is_stream = path.ends_with("/stream");
                    if is_stream && (id == account && secret == &*api.secret) {
                        continue;
                    }
                    let method = Method::from_bytes(method.as_bytes()).unwrap();
                    let label = format!("{method} {path}");
                    let page = visitor.send(method, &format!("/secure-api{path}"), &headers, body.to_owned()).await;
                    assert_white_page(&label, &page);
                }
            }
        }
    }
    // Bounds of the server itself.
    let long = "x".repeat(40_000);
    assert_white_page("a long path", &visitor.send(Method::GET, &format!("/{long}"), &[], String::new()).await);
    let large = "x".repeat(2 << 20);
    let headers = [("x-public-id", own.0), ("x-secret-key", own.1)];
    assert_white_page("a large body", &visitor.send(Method::POST, "/secure-api/contact", &headers, large).await);
    // Without its database, also when the brand would be looked up again.
    console.service.env.disconnect_database().await;
    let away_since = instant();
    while away_since.elapsed() < Duration::from_secs(6) {
        for path in ["/console/sign-in", "/console/dashboard", "/secure-api/swagger", "/secure-api/contacts"] {
            let page = web.send(Method::GET, path, &headers, String::new()).await;
            assert_white_page(path, &page);
        }
    }
    console.service.env.reconnect_database().await;
}
