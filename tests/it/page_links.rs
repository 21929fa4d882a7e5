//! Walks over lists by their `nextPage` links, on any replica, by any number of walkers.

use serde_json::{Value, json};
use time::macros::datetime;
use unificus::clock::Clock;

use crate::support::client::{Reply, lead};
use crate::support::{Client, Service};

fn pagination(response: &Reply) -> &Value {
    &response.json["meta"]["pagination"]
}

/// The path of the next page, which any replica may serve.
fn next(page: &Reply) -> Option<String> {
    let link = pagination(page)["nextPage"].as_str()?;
    Some(link.split_once("/secure-api").unwrap().1.to_owned())
}

fn emails(page: &Reply) -> Vec<String> {
    let rows = page.expect(200).as_array().unwrap();
    rows.iter().map(|row| row["email"].as_str().unwrap().split('@').next().unwrap().to_owned()).collect()
}

fn person(email: &str, last_name: &str) -> Value {
    let mut body = lead(&format!("{email}@example.org"));
    body["last_name"] = json!(last_name);
    body["background_info"] = json!(format!("{}{email}", "long ".repeat(200)));
    body
}

/// One of several clients that walk the same list with the same key.
struct Walker {
    path: Option<String>,
    seen: Vec<String>,
}

impl Walker {
    async fn step(&mut self, replica: &Client) {
        let Some(path) = self.path.take() else { return };
        let page = replica.get(&path).await;
        self.seen.extend(emails(&page));
        self.path = next(&page);
        assert!(self.path.as_ref().is_none_or(|path| path.len() < 1_000), "{:?}", self.path);
    }
}

/// Walkers that begin one after the other alternate between replicas, while records before, among and behind those that
/// they have seen are created, deleted and changed.
async fn walk_during_changes(order: &str, replicas: [&Client; 2]) {
    let writer = replicas[0];
    let stay: Vec<String> = (10..34).map(|number| format!("m{number}")).collect();
    for email in &stay {
        writer.post("/contact", person(email, "M")).await.expect(201);
        writer.post("/contact", person(&format!("{email}x"), "M")).await.expect(201);
    }
    let first = || Walker { path: Some(format!("/contacts?limit=5&orderBy={order}&tag=")), seen: Vec::new() };
    let mut walkers: Vec<Walker> = Vec::new();
    for round in 0_usize.. {
        if round < 4 {
            walkers.push(first());
        } else if walkers.iter().all(|walker| walker.path.is_none()) {
            break;
        }
        for (number, walker) in walkers.iter_mut().enumerate() {
            walker.step(replicas[(round + number) % 2]).await;
        }
        // Deletes two records that a walker may or may not have passed, creates one at either end, and changes one that
        // stays.
        for gone in stay.iter().skip(round * 2).take(2) {
            writer.delete(&format!("/contact/{gone}x@example.org")).await.expect(200);
        }
        if round < 12 {
            writer.post("/contact", person(&format!("a{round}"), "A")).await.expect(201);
            writer.post("/contact", person(&format!("z{round}"), "Z")).await.expect(201);
        }
        let changed = format!("/contact/{}@example.org", stay[round % stay.len()]);
        writer.put(&changed, json!({"title": format!("Dr {round}")})).await.expect(200);
    }
    for (number, walker) in walkers.iter().enumerate() {
        let mut seen: Vec<&String> = walker.seen.iter().filter(|email| stay.contains(email)).collect();
        seen.sort();
        assert_eq!(seen, stay.iter().collect::<Vec<_>>(), "by {order:?}, walker {number}");
    }
}

#[tokio::test]
async fn every_walk_by_links_is_exact_on_any_replica_with_any_number_of_walkers() {
    let service = Service::start().await;
    let (_app, second) = service.replica().await;
    for order in ["", "email", "-email", "last_name", "-background_info"] {
        let other_client = service.other_client().await;
        let there = second.as_caller(other_client.account, &other_client.secret);
        walk_during_changes(order, [&other_client, &there]).await;
    }
}

#[tokio::test]
async fn a_link_overrides_the_page_number_beside_it() {
    let service = Service::start().await;
    let (_app, second) = service.replica().await;
    let api = &service.client;
    for number in 0..7 {
        api.contact(&format!("a{number}@example.org")).await.expect(201);
    }
    let first = api.get("/contacts?limit=2&role=lead").await;
    let link = next(&first).unwrap();
    assert!(link.contains("page=2"));
    for path in [link.clone(), link.replace("page=2", "page=3"), link.replace("page=2&", "")] {
        for replica in [api, &second] {
            let page = replica.get(&path).await;
            assert_eq!(emails(&page), ["a2", "a3"], "{path}");
            let shown = |name: &str| pagination(&page)[name].clone();
            assert_eq!((shown("currentPageNumber"), shown("totalItems")), (json!(2), json!(7)), "{path}");
        }
    }
    // All remaining records, whatever page size the link was made for; the total is counted again after a write.
    api.delete("/contact/a0@example.org").await.expect(200);
    let rest = second.get(&link.replace("limit=2", "limit=500")).await;
    assert_eq!(emails(&rest), ["a2", "a3", "a4", "a5", "a6"]);
    assert_eq!((&pagination(&rest)["totalItems"], &pagination(&rest)["nextPage"]), (&json!(6), &Value::Null));
}

#[tokio::test]
async fn a_link_of_another_list_is_refused() {
    let service = Service::start().await;
    let (api, other_client) = (&service.client, service.other_client().await);
    for number in 0..3 {
        api.contact(&format!("a{number}@example.org")).await.expect(201);
        other_client.contact(&format!("a{number}@example.org")).await.expect(201);
    }
    let link = next(&api.get("/contacts?limit=1&role=lead").await).unwrap();
    api.get(&link).await.expect(200);
    let refused = async |api: &Client, path: &str| {
        let response = api.get(path).await;
        response.expect(422);
        assert_eq!(response.json["errors"][0]["pointer"], "#/after", "{path}");
    };
    refused(&other_client, &link).await;
    refused(api, &link.replace("role=lead", "role=client")).await;
    refused(api, &format!("{link}&orderBy=email")).await;
    refused(api, &link.replace("/contacts", "/companies")).await;
    refused(api, "/contacts?after=x").await;
    refused(api, &format!("/contacts?after={}", "A".repeat(4_000))).await;
    assert_eq!(emails(&api.get("/contacts?after=&limit=1").await), ["a0"], "an empty one is none");
}

#[tokio::test]
async fn records_changed_in_the_second_of_updated_min_are_listed() {
    let clock = Clock::manual(datetime!(2026-11-24 10:00:00.2 UTC));
    let service = Service::timed(clock.clone(), |_| {}).await;
    let api = &service.client;
    api.contact("ann@example.org").await.expect(201);
    clock.set(datetime!(2026-11-24 10:00:00.7 UTC));
    let bob = api.contact("bob@example.org").await;
    let shown = bob.expect(201)["updated"].as_str().unwrap().to_owned();
    assert_eq!(shown, "2026-11-24T10:00:00+00:00");

    for (query, expected) in [
        (format!("updatedMin={}", shown.replace('+', "%2B")), "ann bob"),
        ("updatedMin=2026-11-24T09:59:59.9Z".to_owned(), "ann bob"),
        ("updatedMin=2026-11-24T10:00:00.2Z".to_owned(), "ann bob"),
        ("updatedMin=2026-11-24T10:00:00.200001Z".to_owned(), "bob"),
        ("updatedMin=2026-11-24T10:00:00.7Z".to_owned(), "bob"),
        ("updatedMin=2026-11-24T10:00:00.700001Z".to_owned(), ""),
        ("updatedMin=2026-11-24T10:00:01Z".to_owned(), ""),
        // Exclusive at the shown precision of one second; no record that changed after the bound is left out.
        ("createdMin=2026-11-24T10:00:00Z".to_owned(), ""),
        ("createdMin=2026-11-24T10:00:00.5Z".to_owned(), "ann bob"),
        ("createdMin=2026-11-24T10:00:01.5Z".to_owned(), ""),
        ("createdMax=2026-11-24T10:00:00Z".to_owned(), ""),
        ("createdMax=2026-11-24T10:00:00.5Z".to_owned(), "ann bob"),
    ] {
        let listed = api.get(&format!("/contacts?{query}")).await;
        assert_eq!(emails(&listed).join(" "), expected, "{query}");
        assert_eq!(pagination(&listed)["totalItems"], emails(&listed).len(), "{query}");
    }
}
