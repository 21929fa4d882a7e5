//! No account reaches another account's records.

use hyper::Method;
use serde_json::json;

use crate::support::{Service, until};

/// Every route that takes an identifier, and a valid body for it.
fn routes([contact, company, project, field, endpoint]: [&str; 5]) -> Vec<(Method, String, &'static str)> {
    let mut routes = vec![
        (Method::DELETE, format!("/push/endpoints/{endpoint}"), ""),
        (Method::GET, "/sync/consumers/erp".to_owned(), ""),
        (Method::DELETE, "/sync/consumers/erp".to_owned(), ""),
    ];
    for path in [
        format!("/project/{project}"),
        format!("/project/uid/{project}"),
        "/project/name/Roof".to_owned(),
        "/project/contains_the_following/oo".to_owned(),
        "/project/most_recent/true".to_owned(),
        format!("/fields/{field}"),
    ] {
        routes.push((Method::GET, path.clone(), ""));
        if path.split('/').count() == 4 {
            routes.push((Method::GET, format!("{path}/history"), ""));
        }
        routes.push((Method::GET, format!("{path}?at=0"), ""));
        routes.push((Method::PUT, path, "{}"));
    }
    routes.push((Method::GET, format!("/project/{project}/history"), ""));
    routes.push((Method::DELETE, format!("/fields/{field}"), ""));
    for (path, uid, key) in [("contact", contact, "ann@example.org"), ("company", company, "Acme")] {
        let plural = if path == "contact" { "contacts" } else { "companies" };
        for id in [uid, key] {
            for path in [path, plural] {
                routes.push((Method::GET, format!("/{path}/{id}"), ""));
                routes.push((Method::GET, format!("/{path}/{id}?at=0"), ""));
                routes.push((Method::GET, format!("/{path}/{id}/history"), ""));
                routes.push((Method::PUT, format!("/{path}/{id}"), r#"{"phone":"1"}"#));
            }
            routes.push((Method::DELETE, format!("/{path}/{id}"), ""));
        }
    }
    routes
}

#[tokio::test]
async fn every_route_with_another_accounts_key_finds_nothing() {
    let service = Service::start().await;
    let (own, other_client) = (&service.client, service.other_client().await);
    let contact = own.contact("ann@example.org").await.uid();
    let company = own.post("/company", json!({"name": "Acme"})).await.uid();
    let endpoint = own.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/"})).await;
    let endpoint = endpoint.expect(201)["id"].as_str().unwrap().to_owned();

    until("NATS is connected", async || own.get("/sync/consumers").await.status == 200).await;
    own.post("/sync/consumers", json!({"name": "erp"})).await.expect(201);
    let project = own.post("/project", json!({"name": "Roof"})).await.uid();
    let field = own.post("/fields", json!({"entity": "contact", "type": "text", "name": "Colour"})).await.uid();

    for (method, path, body) in routes([&contact, &company, &project, &field, &endpoint]) {
        let response = other_client.send(method.clone(), &path, &[], body).await;
        assert_eq!(response.status, 404, "{method} {path}: {}", response.text);
    }
    let lists = [
        "/contacts",
        "/companies",
        "/projects",
        "/fields",
        "/audiences",
        "/worlds",
        "/changes",
        "/push/endpoints",
        "/sync/consumers",
    ];
    for list in lists {
        assert_eq!(other_client.get(list).await.expect(200), &json!([]), "{list}");
    }
    for list in ["/contacts", "/companies", "/projects", "/fields", "/audiences", "/worlds"] {
        assert_eq!(other_client.get(&format!("{list}?at=0")).await.expect(200), &json!([]), "{list}");
    }
    // Positions of the own log, and cursors that lead there.
    let history = own.get(&format!("/contact/{contact}/history")).await;
    let first = history.expect(200)[0]["data"]["seq"].as_i64().unwrap();
    other_client.get(&format!("/contact/{contact}?at={first}")).await.expect(404);
    let uid = &contact;
    let theirs = other_client.contact("their@example.org").await.uid();
    let cursor = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(first) };
    let history = other_client.get(&format!("/contact/{theirs}/history?after={cursor}")).await;
    assert!(!history.text.contains(uid.as_str()), "{}", history.text);
    assert_eq!(other_client.get("/contacts?at=1").await.expect(200).as_array().unwrap().len(), 1);
    assert_eq!(own.get(&format!("/contact/{contact}")).await.header("etag"), "\"1\"", "nothing was changed");
    assert_eq!(own.changes().await.len(), 4);

    let foreign = other_client
        .post(
            "/contact",
            json!({"role": "Lead", "first_name": "", "last_name": "",
        "email": "bob@example.org", "company": {"name": "Acme"}}),
        )
        .await;
    foreign.expect(422);
    other_client.contact("ann@example.org").await.expect(201);
}
