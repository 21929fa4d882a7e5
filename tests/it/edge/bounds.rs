//! Every wait on a client has a bound, and each bound is counted.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::support::raw::{Raw, assert_problem, exchange, keys};
use crate::support::{LONG, Service};

/// A document of some hundred kilobytes, for which no keys are needed.
const LARGE: &str = "GET /secure-api/swagger/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Waits until the limit has ended this many connections.
async fn bounded(service: &Service, bound: &str, times: f64) {
    let series = format!("unificus_http_connections_bounded_total{{bound=\"{bound}\"}}");
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let reached = async {
        while service.gauge(&series).await < times {
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, reached).await.unwrap_or_else(|_| panic!("the bound {bound} is not reached"));
    assert!((service.gauge(&series).await - times).abs() < f64::EPSILON, "{bound}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let service = Service::configured(|config| config.http.write_timeout_s = 1).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Raw::connect_narrow(&service.client, 4_096).await;
        client.send(LARGE.repeat(8)).await;
        clients.push(client);
    }
    bounded(&service, "write_stalled", 5.0).await;
}

#[tokio::test]
async fn a_client_that_reads_a_response_too_slowly_loses_its_connection() {
    let service = Service::configured(|config| {
        config.http.write_timeout_s = 1;
        config.http.min_bytes_per_s = 100 << 20;
    })
    .await;
    let mut client = Raw::connect_narrow(&service.client, 32 << 10).await;
    client.send(LARGE.repeat(60)).await;
    let drip = async {
        let (mut pause, mut drop) = (tokio::time::interval(Duration::from_millis(5)), [0; 4_096]);
        while matches!(client.stream.read(&mut drop).await, Ok(1..)) {
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, drip).await.expect("the connection stays open");
    bounded(&service, "write_slow", 1.0).await;
}

#[tokio::test]
async fn a_slow_but_steady_client_gets_its_whole_responses() {
    let service = Service::configured(|config| config.http.write_timeout_s = 1).await;
    let mut client = Raw::connect_narrow(&service.client, 32 << 10).await;
    let last = LARGE.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    client.send(LARGE.repeat(4) + &last).await;
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let (mut drop, mut read) = ([0; 4_096], 0);
    loop {
        match client.stream.read(&mut drop).await.expect("the connection is reset") {
            0 => break,
            bytes => read += bytes,
        }
        pause.tick().await;
    }
    let one = service.client.get("/swagger/assets/swagger-ui-bundle.js").await;
    let length: usize = one.header("content-length").parse().unwrap();
    assert!(read > 5 * length, "{read} of five times {length}");
}

#[tokio::test]
async fn a_stream_that_is_quiet_for_longer_than_a_write_may_take_goes_on() {
    let service = Service::configured(|config| {
        config.http.write_timeout_s = 1;
        config.http.header_timeout_s = 1;
    })
    .await;
    let mut stream = Raw::connect(&service.client).await;
    let request =
        format!("GET /secure-api/changes/stream HTTP/1.1\r\nHost: localhost\r\n{}\r\n", keys(&service.client));
    stream.send(request).await;
    stream.reads("text/event-stream").await;
    // Each write takes the second that a write may take.
    for _ in 0..3 {
        Raw::connect(&service.client).await.ends().await;
    }
    service.client.contact("ann@example.org").await.expect(201);
    stream.reads("event: contact.created").await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_and_a_head_that_does_not_end_is_408() {
    let service = Service::configured(|config| config.http.header_timeout_s = 1).await;
    Raw::connect(&service.client).await.ends().await;
    bounded(&service, "idle", 1.0).await;

    let mut slow = Raw::connect(&service.client).await;
    slow.send("GET /secure-api/contacts HTTP/1.1\r\nHost: loc").await;
    let response = slow.response().await;
    assert_problem(&response, 408);
    assert_eq!(response.header("connection"), "close");
    slow.ends().await;
    bounded(&service, "head", 1.0).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_and_writes_nothing() {
    let service = Service::configured(|config| config.http.body_timeout_s = 1).await;
    let head = format!("POST /secure-api/contact HTTP/1.1\r\nHost: localhost\r\n{}", keys(&service.client));
    for framing in ["Content-Length: 100\r\n\r\n{\"role\":", "Transfer-Encoding: chunked\r\n\r\n8\r\n{\"role\":\r\n"] {
        let mut slow = Raw::connect(&service.client).await;
        slow.send(format!("{head}{framing}")).await;
        let response = slow.response().await;
        assert_problem(&response, 408);
        assert_eq!(response.header("connection"), "close");
        slow.ends().await;
    }
    bounded(&service, "body", 2.0).await;
    assert!(service.client.changes().await.is_empty());
}

#[tokio::test]
async fn the_sender_of_a_body_that_is_too_large_receives_the_refusal() {
    const LENGTH: usize = 10 << 20;
    let service = Service::start().await;
    let head = format!("POST /secure-api/contact HTTP/1.1\r\nHost: localhost\r\n{}", keys(&service.client));

    // A client that sends `Expect: 100-continue` gets the refusal at once, and sends no body.
    let mut expecting = Raw::connect(&service.client).await;
    expecting.send(format!("{head}Content-Length: {LENGTH}\r\nExpect: 100-continue\r\n\r\n")).await;
    assert_problem(&expecting.response().await, 413);
    expecting.ends().await;

    // Other clients send the whole body before they read.
    let mut sending = Raw::connect(&service.client).await;
    sending.send(format!("{head}Content-Length: {LENGTH}\r\n\r\n")).await;
    sending.send(vec![b'x'; LENGTH]).await;
    let response = sending.response().await;
    assert_problem(&response, 413);
    assert_eq!(response.header("connection"), "close");
    sending.ends().await;

    let mut chunked = Raw::connect(&service.client).await;
    chunked.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{LENGTH:x}\r\n")).await;
    chunked.send(vec![b'x'; LENGTH]).await;
    assert_problem(&chunked.response().await, 413);
}

#[tokio::test]
async fn a_short_body_that_nobody_reads_leaves_the_connection_as_it_was() {
    let service = Service::start().await;
    let mut client = Raw::connect(&service.client).await;
    for _ in 0..3 {
        client.send("POST /secure-api/contact HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n").await;
        client.send(vec![b'x'; 40_000]).await;
        let response = client.response().await;
        assert_problem(&response, 401);
        assert_eq!(response.header("connection"), "");
    }
}

#[tokio::test]
async fn connections_per_address_are_limited() {
    let service = Service::configured(|config| config.http.connections_per_address = 2).await;
    let one = Raw::connect(&service.client).await;
    let _other = Raw::connect(&service.client).await;
    let mut third = Raw::connect(&service.client).await;
    let refused = third.response().await;
    assert_problem(&refused, 503);
    assert_eq!(refused.header("retry-after"), "1");
    third.ends().await;
    bounded(&service, "address", 1.0).await;

    drop(one);
    let request = "GET /secure-api/swagger HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let again = async {
        while exchange(&service.client, request).await.status != 200 {
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, again).await.expect("a released connection slot is not available");
}

#[tokio::test]
async fn a_trusted_proxys_connections_are_not_counted() {
    let service = Service::configured(|config| {
        config.http.connections_per_address = 1;
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut client = Raw::connect(&service.client).await;
        client.send("GET /secure-api/swagger HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        open.push(client);
    }
}
