//! Heads of requests: an ambiguous head is refused, and every refusal is a problem.

use hyper::Method;
use serde_json::json;

use crate::support::raw::{Raw, assert_problem, exchange, keys};
use crate::support::{Client, Service};

const OPEN: &str = "GET /secure-api/asyncapi.json HTTP/1.1\r\n";

#[tokio::test]
async fn a_request_names_one_host() {
    let client = Service::start().await.client;
    for lines in [
        "",
        "Host: a.example\r\nHost: a.example\r\n",
        "Host: a.example\r\nHost: b.example\r\n",
        "Host:\r\n",
        "Host: a:b@c\r\n",
        "Host: user@a.example\r\n",
        "Host: a.example:99999\r\n",
        "Host: a.example/x\r\n",
        "Host: a.example, b.example\r\n",
        "Host: \u{e4}.example\r\n",
        "Host: [::1\r\n",
        "Host: \"><script>\r\n",
    ] {
        assert_problem(&exchange(&client, format!("{OPEN}{lines}\r\n")).await, 400);
    }
    for lines in
        ["Host: a.example\r\n", "Host: A_b-c.example:8443\r\n", "Host: [2001:db8::1]:80\r\n", "Host: a.example:\r\n"]
    {
        assert_eq!(exchange(&client, format!("{OPEN}{lines}\r\n")).await.status, 200, "{lines}");
    }
    let old = exchange(&client, "GET /secure-api/asyncapi.json HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200, "HTTP/1.0 needs no Host");
    assert_problem(
        &exchange(&client, "GET /secure-api/asyncapi.json HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").await,
        400,
    );
    assert_problem(
        &exchange(&client, "GET http://user@a.example/secure-api/asyncapi.json HTTP/1.1\r\nHost: a\r\n\r\n").await,
        400,
    );
}

async fn next_page(client: &Client, target: &str, lines: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\n{lines}{}\r\n", keys(client));
    let response = exchange(client, request).await;
    response.expect(200);
    response.json["meta"]["pagination"]["nextPage"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn links_use_the_requested_host() {
    let service = Service::start().await;
    let client = &service.client;
    client.contact("ann@example.org").await.expect(201);
    client.contact("bob@example.org").await.expect(201);
    let path = "/secure-api/contacts?limit=1";
    let next = next_page(client, path, "Host: api.example.org:8443\r\n").await;
    assert!(next.starts_with("http://api.example.org:8443/secure-api/contacts?"), "{next}");
    // In an absolute target the host of the target counts (RFC 9112, 3.2.2).
    let next = next_page(client, &format!("http://b.example{path}"), "Host: a.example\r\n").await;
    assert!(next.starts_with("http://b.example/secure-api/contacts?"), "{next}");
    let next = next_page(client, "http://b.example//secure-api//contacts?limit=1", "Host: a.example\r\n").await;
    assert!(next.starts_with("http://b.example/secure-api/contacts?"), "{next}");
}

#[tokio::test]
async fn forwarded_headers_of_a_trusted_proxy_are_parsed_as_strictly() {
    let service =
        Service::configured(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let client = &service.client;
    for lines in [
        "X-Forwarded-Host: a:b@c\r\n",
        "X-Forwarded-Host: \u{e4}\r\n",
        "X-Forwarded-Host:\r\n",
        "X-Forwarded-Host: , b.example\r\n",
        "X-Forwarded-Proto: gopher\r\n",
        "X-Forwarded-Proto: https://\r\n",
        "Host: a.example\r\nX-Forwarded-Host: b.example\r\n",
    ] {
        assert_problem(&exchange(client, format!("{OPEN}Host: localhost\r\n{lines}\r\n")).await, 400);
    }
    let lines = "X-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: b.example:8443, c.example\r\n";
    let document = exchange(client, format!("{OPEN}Host: localhost\r\n{lines}\r\n")).await;
    let server = &document.json["servers"]["api"];
    assert_eq!((&server["host"], &server["protocol"]), (&json!("b.example:8443"), &json!("https")));
}

#[tokio::test]
async fn malformed_requests_get_a_problem() {
    let client = Service::start().await.client;
    let long = "x".repeat(70_000);
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("G\u{e4}T / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("{OPEN}Host localhost\r\n\r\n"), 400),
        (format!("{OPEN}Host: localhost\r\nX: \0\r\n\r\n"), 400),
        (format!("{OPEN}Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400),
        (format!("{OPEN}Host: localhost\r\nContent-Length: -1\r\n\r\n"), 400),
        (format!("{OPEN}Host: localhost\r\nTransfer-Encoding: identity\r\n\r\n"), 400),
        (format!("{OPEN}Host: localhost\r\n{}\r\n", "X: 1\r\n".repeat(101)), 431),
        (format!("{OPEN}Host: localhost\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 431),
    ] {
        let mut raw = Raw::connect(&client).await;
        raw.send(&request).await;
        let response = raw.response().await;
        let shown: String = request.chars().take(60).collect();
        assert_eq!(response.status, status, "{shown:?}");
        assert_problem(&response, status);
        assert_eq!(response.header("connection"), "close", "{shown:?}");
        raw.ends().await;
    }
    let target = "x".repeat(40_000);
    assert_problem(&exchange(&client, format!("GET /{target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await, 414);
}

#[tokio::test]
async fn the_response_before_a_malformed_request_is_complete() {
    let client = Service::start().await.client;
    let mut raw = Raw::connect(&client).await;
    raw.send(format!("{OPEN}Host: localhost\r\n\r\n{OPEN}Host: localhost\r\n\r\nGARBAGE\r\n\r\n")).await;
    for _ in 0..2 {
        let document = raw.response().await;
        assert_eq!((document.status, &document.json["asyncapi"]), (200, &json!("3.0.0")));
    }
    assert_problem(&raw.response().await, 400);
    raw.ends().await;
}

#[tokio::test]
async fn identity_headers_may_appear_only_once() {
    let service = Service::start().await;
    let (client, keys) = (&service.client, keys(&service.client));
    let host = "Host: localhost\r\n";
    let body = r#"{"role":"Lead","first_name":"Ann","last_name":"Lee"}"#;
    let length = body.len();
    for (request, status) in [
        (format!("GET /secure-api/contacts HTTP/1.1\r\n{host}{keys}{keys}\r\n"), 401),
        (format!("GET /secure-api/contacts HTTP/1.1\r\n{host}{keys}X-Secret-Key: other\r\n\r\n"), 401),
        (format!("GET /secure-api/changes/stream HTTP/1.1\r\n{host}{keys}Last-Event-ID: \u{e4}\r\n\r\n"), 400),
        (
            format!(
                "GET /secure-api/changes/stream HTTP/1.1\r\n{host}{keys}Last-Event-ID: a\r\nLast-Event-ID: b\r\n\r\n"
            ),
            400,
        ),
        (
            format!(
                "POST /secure-api/contact HTTP/1.1\r\n{host}{keys}Idempotency-Key: a\r\nIdempotency-Key: b\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ),
            400,
        ),
        (
            format!(
                "POST /secure-api/contact HTTP/1.1\r\n{host}{keys}Idempotency-Key: \u{e4}\r\nContent-Length: \
                 {length}\r\n\r\n{body}"
            ),
            400,
        ),
        (
            format!(
                "POST /secure-api/contact HTTP/1.1\r\n{host}{keys}Transfer-Encoding: gzip, chunked\r\n\r\n\
                 {length:x}\r\n{body}\r\n0\r\n\r\n"
            ),
            501,
        ),
    ] {
        assert_problem(&exchange(client, request).await, status);
    }
    assert!(client.changes().await.is_empty(), "none of them wrote");
}

#[tokio::test]
async fn options_lists_the_methods_without_keys_and_is_no_call() {
    let service = Service::start().await;
    let client = &service.client;
    for (path, allow) in [
        ("/contact/{id}", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/contacts", "GET, HEAD, OPTIONS, POST"),
        ("/marketing/subscribe", "OPTIONS, POST"),
        ("/usage", "GET, HEAD, OPTIONS"),
        ("/swagger/json-file", "GET, HEAD, OPTIONS"),
    ] {
        for headers in [&[][..], &[("origin", "https://other.example"), ("access-control-request-method", "PUT")]] {
            let response = client.try_send_bare(Method::OPTIONS, path, headers, "").await.unwrap();
            assert_eq!((response.status, response.header("allow"), response.text.as_str()), (204, allow, ""), "{path}");
            let cors = response.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
            assert!(!cors, "nothing is promised to other origins");
        }
        client.send(Method::OPTIONS, path, &[], "").await;
    }
    let all = exchange(client, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((all.status, all.header("allow")), (204, "DELETE, GET, HEAD, OPTIONS, POST, PUT"));
    assert_problem(&client.try_send_bare(Method::OPTIONS, "/nowhere", &[], "").await.unwrap(), 404);
    assert_eq!(client.get("/usage").await.expect(200)["used"], 0);
}

#[tokio::test]
async fn every_response_forbids_content_sniffing() {
    let service = Service::start().await;
    let client = &service.client;
    client.contact("ann@example.org").await.expect(201);
    for path in [
        "/contacts",
        "/contact/ann@example.org",
        "/contact/nobody",
        "/nowhere",
        "/contact/meta",
        "/usage",
        "/changes",
        "/swagger",
        "/swagger/json-file",
        "/asyncapi.json",
        "/swagger/assets/logo",
        "/contact/%FF",
    ] {
        assert_eq!(client.get(path).await.header("x-content-type-options"), "nosniff", "{path}");
    }
    for method in [Method::PATCH, Method::OPTIONS, Method::HEAD] {
        let response = client.send(method.clone(), "/contacts", &[], "").await;
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{method}");
    }
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), client.account, "");
    assert_eq!(ops.get("/metrics").await.header("x-content-type-options"), "nosniff");
}
