//! `If-Match` and `Idempotency-Key`: conditions and identity of a write.

use hyper::Method;
use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::keys::{self as secret_keys, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;
use unificus::store::keys::Added;

use crate::support::client::{Reply, lead};
use crate::support::raw::{assert_problem, exchange, keys};
use crate::support::{Client, Receiver, Service};

async fn put(client: &Client, uid: &str, lines: &str) -> Reply {
    let body = r#"{"title":"Dr"}"#;
    let request = format!(
        "PUT /secure-api/contact/{uid} HTTP/1.1\r\nHost: localhost\r\n{}{lines}Content-Length: {}\r\n\r\n{body}",
        keys(client),
        body.len(),
    );
    exchange(client, request).await
}

#[tokio::test]
async fn a_malformed_condition_refuses_every_write() {
    let client = Service::start().await.client;
    let uid = client.contact("ann@example.org").await.uid();
    for lines in [
        "If-Match: \u{e4}\r\n",
        "If-Match: \u{e4}\"1\"\r\n",
        "If-Match:\r\n",
        "If-Match: 1\r\n",
        "If-Match: \"1\r\n",
        "If-Match: *, \"9\"\r\n",
        "If-Match: *\r\nIf-Match: \"9\"\r\n",
        "If-Match: \"9\"\r\nIf-Match: *\r\n",
        "If-None-Match: *\r\n",
    ] {
        assert_problem(&put(&client, &uid, lines).await, 400);
    }
    for lines in ["If-Match: \"9\"\r\n", "If-Match: \"\u{e4}\"\r\n", "If-Match: W/\"1\"\r\n", "If-Match: \"01\"\r\n"] {
        assert_problem(&put(&client, &uid, lines).await, 412);
    }
    assert_eq!(client.changes().await.len(), 1, "nothing was written");
    put(&client, &uid, "If-Match: \"9\"\r\nIf-Match: \"8\" , \"1\"\r\n").await.expect(200);
}

/// Another key of the client's account, with the same origin.
async fn key_of(service: &Service, origin: &str) -> Client {
    let account = service.client.account;
    let secret = SecretKey::make("unificus");
    let key = secret_keys::prepare(account, &secret, Terms::named(origin), &MasterKeys::new(&[]));
    let by = By::new("test", Clock::system().now());
    assert_eq!(service.store.add_key(account, &key, by).await.unwrap(), Added::Done);
    service.client.as_caller(account, secret.text())
}

async fn with_key(client: &Client, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let headers = [&[("idempotency-key", "k1")], headers].concat();
    client.send(method, path, &headers, &body.to_string()).await
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_origin() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let (shop, forms) = (key_of(&service, "shop").await, key_of(&service, "forms").await);
    let other_of_shop = key_of(&service, "shop").await;
    let endpoint = json!({"url": receiver.url()});
    for (path, one, another) in [
        ("/contact", lead("ann@example.org"), lead("bob@example.org")),
        (
            "/marketing/subscribe",
            json!([{"email": "cal@example.org"}]),
            json!([{"email": "dan@example.org"}, {"email": "eve@example.org"}]),
        ),
        ("/push/endpoints", endpoint.clone(), endpoint),
    ] {
        // Each path needs its own idempotency key; the origins share it.
        let call = async |client: &Client, body: &Value| {
            client.send(Method::POST, path, &[("idempotency-key", path)], &body.to_string()).await
        };
        let first = call(&shop, &one).await;
        assert!(first.status < 300, "{path}: {}", first.text);
        let second = call(&forms, &another).await;
        assert_eq!(
            (second.status, second.header("idempotent-replayed")),
            (first.status, ""),
            "{path}: {}",
            second.text
        );
        for (client, body, response) in
            [(&shop, &one, &first), (&other_of_shop, &one, &first), (&forms, &another, &second)]
        {
            let again = call(client, body).await;
            assert_eq!((&again.text, again.header("idempotent-replayed")), (&response.text, "true"), "{path}");
        }
        let mixed = call(&shop, &json!({"first_name": "X"})).await;
        assert_eq!(mixed.status, 422, "{path}: {}", mixed.text);
    }
}

#[tokio::test]
async fn the_condition_and_the_query_are_part_of_the_request_that_a_key_names() {
    let client = Service::start().await.client;
    let uid = client.contact("ann@example.org").await.uid();
    let (path, body) = (format!("/contact/{uid}"), json!({"title": "Dr"}));
    let matching = [("if-match", "\"1\"")];
    with_key(&client, Method::PUT, &path, &matching, &body).await.expect(200);
    let again = with_key(&client, Method::PUT, &path, &matching, &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    with_key(&client, Method::PUT, &path, &[("if-match", "\"2\"")], &body).await.expect(422);
    with_key(&client, Method::PUT, &path, &[], &body).await.expect(422);
    with_key(&client, Method::PUT, &format!("{path}?meta=1"), &matching, &body).await.expect(422);
    assert_eq!(client.changes().await.len(), 2);
}

/// A write that a client has sent to a replica of the previous release, and repeats at the new one.
#[tokio::test]
async fn requests_executed_by_the_previous_release_are_not_executed_again() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let sql = service.env.sql().await;
    for (path, body) in [
        ("/contact", lead("ann@example.org")),
        ("/marketing/subscribe", json!([{"email": "cal@example.org"}, {"email": "dan@example.org"}])),
        ("/push/endpoints", json!({"url": receiver.url()})),
    ] {
        let send = async |client: &Client, body: &Value| {
            client.send(Method::POST, path, &[("idempotency-key", path)], &body.to_string()).await
        };
        let first = send(&service.client, &body).await;
        assert!(first.status < 300, "{path}: {}", first.text);
        // As the previous release stored it. A sealed response stays with the key that it was sealed for.
        if path != "/push/endpoints" {
            let unscope =
                "update idempotency_record set key = split_part(key, chr(2), 2) where key like 'test' || chr(2) || '%'";
            assert!(sql.execute(unscope, &[]).await.unwrap() > 0);
        }
        let events = service.client.changes().await.len();
        let again = send(&service.client, &body).await;
        assert_eq!((&again.text, again.header("idempotent-replayed")), (&first.text, "true"), "{path}");
        assert_eq!(service.client.changes().await.len(), events, "{path}");
        // This release has no record of another origin's request under that key.
        let other = key_of(&service, path).await;
        let different = if path == "/contact" { lead("new@example.org") } else { continue };
        send(&other, &different).await.expect(201);
    }
}
