//! Public documents are built once; a client that has the current one gets 304.

use hyper::Method;
use serde_json::json;

use crate::support::{Client, Service};

const DOCUMENTS: [&str; 3] = ["/swagger/json-file", "/asyncapi.json", "/swagger"];

/// The entity tag and the text of a document at a host.
async fn read(client: &Client, path: &str, host: &str) -> (String, String) {
    let response = client.send(Method::GET, path, &[("host", host)], "").await;
    assert_eq!(response.status, 200, "{path}: {}", response.text);
    (response.header("etag").to_owned(), response.text)
}

#[tokio::test]
async fn a_document_has_a_strong_tag_that_names_it_on_every_replica() {
    let service = Service::start().await;
    let (replica, there) = service.replica().await;
    let nobody = service.client.as_caller(service.client.account, "");
    for path in DOCUMENTS {
        let (tag, text) = read(&nobody, path, "a.example").await;
        assert!(tag.starts_with('"') && tag.len() > 10, "{path}: a strong tag, not {tag:?}");
        assert_eq!(read(&there, path, "a.example").await, (tag.clone(), text.clone()), "{path}");
        let known = nobody.send(Method::GET, path, &[("host", "a.example"), ("if-none-match", &tag)], "").await;
        assert_eq!((known.status, known.text.as_str(), known.header("etag")), (304, "", &*tag), "{path}");
        let listed = format!("\"x\", W/{tag}");
        let known = nobody.send(Method::GET, path, &[("host", "a.example"), ("if-none-match", &listed)], "").await;
        assert_eq!(known.status, 304, "{path}");
        let (other_tag, other_text) = read(&nobody, path, "b.example:8443").await;
        assert_ne!(other_tag, tag, "{path} shows the host");
        assert_eq!(other_text, text.replace("a.example", "b.example:8443"), "{path}");
    }
    replica.stop().await.unwrap();
}

#[tokio::test]
async fn an_accounts_document_has_another_tag_with_each_change_of_its_fields() {
    let service = Service::start().await;
    let (client, path) = (&service.client, DOCUMENTS[0]);
    let (nobodys, _) = read(&client.as_caller(client.account, ""), path, "a.example").await;
    assert_eq!(read(client, path, "a.example").await.0, nobodys, "an account without fields of its own");
    let field = json!({"entity": "contact", "type": "number", "name": "Shoe size"});
    let uid = client.post("/fields", field).await.uid();
    let (own, text) = read(client, path, "a.example").await;
    assert!(own != nobodys && text.contains("Shoe size"));
    client.put(&format!("/fields/{uid}"), json!({"name": "Hat size"})).await.expect(200);
    let (changed, text) = read(client, path, "a.example").await;
    assert!(changed != own && text.contains("Hat size") && !text.contains("Shoe size"));
    let other_client = service.other_client().await;
    let (other_clients, text) = read(&other_client, path, "a.example").await;
    assert!(other_clients == nobodys && !text.contains("Hat size"));
    let response = client.get(path).await;
    assert_eq!((response.header("cache-control"), response.header("vary")), ("no-cache", "x-public-id, x-secret-key"));
}
