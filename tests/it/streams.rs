//! Streams and long polls: a revoked key ends them, and their number is limited.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use time::macros::datetime;
use unificus::clock::{self, Clock};
use unificus::contract::Cursor;
use unificus::domain::Seq;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;
use unificus::store::keys::Added;
use uuid::Uuid;

use crate::support::{Client, LONG, Service, until};

/// Adds a key to the account of the service's client; returns its id, and a client that has it.
pub(crate) async fn add_key(service: &Service, terms: Terms) -> (Uuid, Client) {
    let account = service.client.account;
    let secret = SecretKey::make("unificus");
    let key = keys::prepare(account, &secret, terms, &MasterKeys::new(&[]));
    let by = By::new("test", Clock::system().now());
    assert_eq!(service.store.add_key(account, &key, by).await.unwrap(), Added::Done);
    (key.key_id, service.client.as_caller(account, secret.text()))
}

/// As an operator's mistake or an older replica would: no notification is sent, and the account's revision stays.
async fn delete_key_unannounced(service: &Service, key: Uuid) {
    let sql = service.env.sql().await;
    assert_eq!(sql.execute("delete from account_key where key_id = $1", &[&key]).await.unwrap(), 1);
}

/// A stream of the account's changes from a position on.
pub(crate) async fn open(api: &Client, after: i64) -> hyper::Response<Incoming> {
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = hyper::Request::get(format!("{}/changes/stream", api.base))
        .header("x-public-id", api.account.to_string())
        .header("x-secret-key", &*api.secret)
        .header("last-event-id", Cursor { epoch: 1, seq: Seq(after) }.to_string())
        .body(http_body_util::Empty::<hyper::body::Bytes>::new())
        .unwrap();
    http.request(request).await.unwrap()
}

/// Reads a stream to its end.
async fn read_to_end(mut stream: hyper::Response<Incoming>) {
    while let Some(frame) = stream.body_mut().frame().await {
        frame.unwrap();
    }
}

/// Writes contacts one after the other until the work is done, so that the followed streams are never idle.
async fn during_writes<T>(api: &Client, work: impl Future<Output = T>) -> T {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let writes = async {
        loop {
            pause.tick().await;
            api.contact(&format!("{}@example.org", clock::fresh_uid())).await.expect(201);
        }
    };
    tokio::select! {
        done = tokio::time::timeout(LONG, work) => done.expect("it does not end while events flow"),
        () = writes => unreachable!(),
    }
}

#[tokio::test]
async fn a_deleted_key_loses_its_streams_on_every_replica_while_events_flow() {
    let service = Service::start().await;
    let (_other, there) = service.replica().await;
    let (id, here) = add_key(&service, Terms::named("partner")).await;
    let there = there.as_caller(here.account, &here.secret);
    let streams = [open(&here, 0).await, open(&there, 0).await];
    let mut own = open(&service.client, 0).await;

    delete_key_unannounced(&service, id).await;

    during_writes(&service.client, futures_util::future::join_all(streams.map(read_to_end))).await;
    assert!(own.body_mut().frame().await.unwrap().is_ok(), "another key's stream goes on");
}

#[tokio::test]
async fn an_expired_key_loses_its_stream_while_events_flow() {
    let expires = datetime!(2026-11-24 12:00 UTC);
    let service = Service::start().await;
    service.env.set_stored_now(expires - time::Duration::HOUR).await;
    let (_, client) = add_key(&service, Terms { expires_at: Some(expires), ..Terms::named("short") }).await;
    let stream = open(&client, 0).await;

    service.env.set_stored_now(expires).await;

    during_writes(&service.client, read_to_end(stream)).await;
}

#[tokio::test]
async fn a_deleted_key_loses_its_long_poll() {
    let service = Service::start().await;
    let (id, client) = add_key(&service, Terms::named("partner")).await;
    let poll = tokio::spawn(async move { client.get("/changes?wait=30").await });
    wait_for_gauge(&service, "unificus_feed_long_polls", 1.0).await;

    delete_key_unannounced(&service, id).await;

    poll.await.unwrap().expect(401);
    wait_for_gauge(&service, "unificus_feed_long_polls", 0.0).await;
}

/// Waits until a gauge has a value.
pub(crate) async fn wait_for_gauge(service: &Service, series: &str, value: f64) {
    until(&format!("{series} {value}"), async || (service.gauge(series).await - value).abs() < f64::EPSILON).await;
}

#[tokio::test]
async fn a_stream_sends_heartbeats_while_events_flow() {
    let service = Service::start().await;
    let mut stream = open(&service.client, 0).await;
    let beat = async {
        loop {
            let frame = stream.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            // Some client libraries join chunks that arrive together.
            if String::from_utf8(frame.to_vec()).unwrap().lines().any(|line| line == ":") {
                return;
            }
        }
    };

    during_writes(&service.client, beat).await;
}

#[tokio::test]
async fn a_stream_survives_a_database_outage() {
    let service = Service::start().await;
    let mut stream = open(&service.client, 0).await;

    service.env.disconnect_database().await;
    until("a refusal", async || service.client.get("/contacts").await.status == 503).await;
    service.env.reconnect_database().await;

    until("a write", async || service.client.contact("back@example.org").await.status == 201).await;
    let seen = async {
        loop {
            let frame = stream.body_mut().frame().await.expect("the stream ended").unwrap().into_data().unwrap();
            if String::from_utf8(frame.to_vec()).unwrap().contains("back@example.org") {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, seen).await.expect("the stream sends nothing");
}

#[tokio::test]
async fn a_key_and_an_account_have_a_bounded_number_of_streams() {
    let service = Service::configured(|config| {
        config.feed.streams_per_key = 2;
        config.feed.streams_per_account = 3;
    })
    .await;
    let (_, partner) = add_key(&service, Terms::named("partner")).await;
    let other_client = service.other_client().await;

    let first = open(&service.client, 0).await;
    let second = open(&service.client, 0).await;
    let refused_by_key = service.client.get("/changes/stream").await;
    let third = open(&partner, 0).await;
    let refused_by_account = partner.get("/changes/stream").await;

    for stream in [&first, &second, &third, &open(&other_client, 0).await] {
        assert_eq!(stream.status(), 200);
    }
    for (refused, limit) in [(refused_by_key, "streams_per_key"), (refused_by_account, "streams_per_account")] {
        refused.expect(429);
        assert_eq!(refused.json["type"], "/problems/too-many-sessions");
        assert_eq!(refused.header("retry-after"), "5");
        let series = format!("unificus_feed_refused_total{{limit=\"{limit}\"}}");
        assert!((service.gauge(&series).await - 1.0).abs() < f64::EPSILON, "{limit}");
    }
    drop(first);
    // The other account's stream is closed too, because it was a temporary value.
    wait_for_gauge(&service, "unificus_feed_streams", 2.0).await;
    assert_eq!(open(&service.client, 0).await.status(), 200, "a stream that ended makes room");
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_long_polls() {
    let service = Service::configured(|config| config.feed.long_polls_per_account = 1).await;
    let api = service.client.clone();
    let waiting = tokio::spawn(async move { api.get("/changes?wait=30").await });
    wait_for_gauge(&service, "unificus_feed_long_polls", 1.0).await;

    let refused = service.client.get("/changes?wait=30").await;
    let other_client = service.other_client().await;
    other_client.contact("other@example.org").await.expect(201);

    refused.expect(429);
    assert_eq!(refused.header("retry-after"), "5");
    other_client.get("/changes?wait=30").await.expect(200);
    service.client.contact("ann@example.org").await.expect(201);
    assert_eq!(waiting.await.unwrap().expect(200).as_array().unwrap().len(), 1);
    service.client.get("/changes?wait=30").await.expect(200);
}

/// Followers share the known end of the log, and read events from memory where this replica wrote them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_load_of_streams_does_not_grow_with_their_number() {
    const STREAMS: usize = 100;
    const EVENTS: usize = 20;
    let service = Service::start().await;
    wait_for_gauge(&service, "unificus_feed_memory_used", 1.0).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(open(&service.client, 0).await);
    }
    let metric = "unificus_pool_wait_seconds_count";
    let before = service.sum(metric).await;

    for number in 0..EVENTS {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let last = format!("p{}@example.org", EVENTS - 1);
    let read = streams.into_iter().map(async |mut stream| {
        let mut text = String::new();
        while !text.contains(&last) {
            let frame = stream.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&frame).unwrap());
        }
        assert_eq!(text.matches("\ndata: ").count(), EVENTS);
    });
    tokio::time::timeout(LONG, futures_util::future::join_all(read)).await.expect("not all streams have all events");

    let statements = service.sum(metric).await - before;
    assert!(statements < 500.0, "{statements} requests for a connection");
}
