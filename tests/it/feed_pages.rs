//! Pages of the feed and chunks of its streams are bounded by bytes, whatever the size of the events.

use serde_json::json;
use unificus::contract::Cursor;
use unificus::domain::Seq;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use unificus::feed::PageLimit;
use unificus::metrics::Metrics;
use unificus::store::Store;

use crate::streams::wait_for_gauge;
use crate::support::client::lead;
use crate::support::servers::Servers;
use crate::support::service::account;
use crate::support::{Client, LONG, Replica, Service, until};

/// A page ends where it would be larger than this.
const PAGE: usize = 1 << 20;

/// Writes one contact and then updates of it, each an event of about 200 kB.
async fn heavy_events(api: &Client, count: usize) {
    api.contact("heavy@example.org").await.expect(201);
    for number in 1..count {
        let letter = if number % 2 == 0 { "\u{1f600}" } else { "\u{1f601}" };
        api.put("/contact/heavy@example.org", json!({"background_info": letter.repeat(16_384)})).await.expect(200);
    }
}

/// Walks the feed; returns the positions read and the length of the longest page.
async fn walk(api: &Client, query: &str) -> (Vec<i64>, usize) {
    let (mut seqs, mut longest) = (Vec::new(), 0);
    let mut after = Cursor { epoch: 1, seq: Seq::ZERO }.to_string();
    loop {
        let page = api.get(&format!("/changes?limit=500&after={after}{query}")).await;
        let events = page.expect(200).as_array().unwrap();
        let through = page.json["meta"]["through_seq"].as_i64().unwrap();
        assert_eq!(page.json["meta"]["from_seq"].as_i64().unwrap(), seqs.last().copied().unwrap_or(0));
        assert!(!events.is_empty(), "a page has at least one event: {}", page.json["meta"]);
        seqs.extend(events.iter().map(|event| event["data"]["seq"].as_i64().unwrap()));
        assert_eq!(seqs.last(), Some(&through));
        longest = longest.max(page.text.len());
        page.json["meta"]["cursor"].as_str().unwrap().clone_into(&mut after);
        if page.json["meta"]["has_more"] == json!(false) {
            return (seqs, longest);
        }
    }
}

#[tokio::test]
async fn a_page_of_the_feed_ends_by_bytes_and_the_walk_over_the_pages_is_whole() {
    const EVENTS: usize = 24;
    let service = Service::start().await;
    heavy_events(&service.client, EVENTS).await;
    // The replica that wrote has the events in memory; the other one reads them from the log.
    let (_other, replica) = service.replica().await;

    for api in [&service.client, &replica] {
        for query in ["", "&wait=1"] {
            let (seqs, longest) = walk(api, query).await;
            assert_eq!(seqs, (1..).take(EVENTS).collect::<Vec<i64>>());
            assert!(longest <= PAGE + 1_000, "{longest} bytes");
            assert!(longest > PAGE / 2, "{longest} bytes: it fits more");
        }
    }
}

/// Sends a request over a connection whose receive buffer has about this many bytes.
async fn send_request(address: SocketAddr, api: &Client, path: &str, buffer: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(buffer).unwrap();
    let mut connection = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /secure-api{path} HTTP/1.1\r\nHost: localhost\r\nX-Public-ID: {}\r\nX-Secret-Key: {}\r\n\r\n",
        api.account, api.secret
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// The sizes of the chunks of a response in chunked coding (RFC 9112, 7.1), as far as it was read.
fn chunk_sizes(response: &[u8]) -> Vec<usize> {
    let mut rest = &response[response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4..];
    let mut sizes = Vec::new();
    while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        sizes.push(size);
        rest = rest.get(end + 2 + size + 2..).unwrap_or_default();
    }
    sizes
}

#[tokio::test]
async fn a_stream_is_made_of_chunks_no_larger_than_a_single_event_requires() {
    const EVENTS: usize = 24;
    let service = Service::start().await;
    heavy_events(&service.client, EVENTS).await;
    let all = service.store.events_after(service.client.account, Seq::ZERO, LARGE).await.unwrap().events;
    let largest = all.iter().map(|event| event.body.len()).max().unwrap();
    let from = Cursor { epoch: 1, seq: Seq::ZERO };

    let mut stream =
        send_request(service.app.address(), &service.client, &format!("/changes/stream?after={from}"), 1 << 20).await;
    let mut response = Vec::new();
    let read = async {
        let mut seen = 0;
        while seen < EVENTS {
            // A marker may be split across two reads.
            let read = response.len().saturating_sub(MARK.len() - 1);
            assert!(stream.read_buf(&mut response).await.unwrap() > 0, "it ended after {seen} events");
            seen += response[read..].windows(MARK.len()).filter(|bytes| *bytes == MARK).count();
        }
    };
    tokio::time::timeout(LONG, read).await.expect("not all events came");

    let sizes = chunk_sizes(&response);
    assert!(sizes.iter().all(|size| *size <= largest), "{sizes:?} and an event of {largest}");
}

/// Begins an event's data in a stream.
const MARK: &[u8] = b"\ndata: ";

const LARGE: PageLimit = PageLimit { events: 500, bytes: usize::MAX >> 1 };

#[tokio::test]
async fn no_more_of_the_log_is_read_than_a_page_holds() {
    const EVENTS: usize = 12;
    let service = Service::start().await;
    heavy_events(&service.client, EVENTS).await;
    let account = service.client.account;
    let read = async |after, events, bytes| {
        let page = service.store.events_after(account, Seq(after), PageLimit { events, bytes }).await.unwrap();
        (page.events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), page.more)
    };
    let two: usize = service.store.events_after(account, Seq(4), LARGE).await.unwrap().events[..2]
        .iter()
        .map(|event| event.body.len())
        .sum();

    assert_eq!(read(4, 500, 1).await, (vec![5], true), "one event at least");
    assert_eq!(read(4, 500, two - 1).await, (vec![5], true));
    assert_eq!(read(4, 500, two).await, (vec![5, 6], true));
    assert_eq!(read(4, 1, two).await, (vec![5], true));
    assert_eq!(read(9, 3, usize::MAX >> 1).await, (vec![10, 11, 12], false), "no event follows");
    assert_eq!(read(9, 2, usize::MAX >> 1).await, (vec![10, 11], true));
    assert_eq!(read(11, 500, 1).await, (vec![12], false));
    assert_eq!(read(12, 500, 1).await, (vec![], false));
}

#[tokio::test]
async fn unread_pages_hold_bounded_memory_and_other_accounts_are_served() {
    // More bytes than the kernel buffers for a response that nobody reads.
    const LARGE_PAGE: usize = 4 * PAGE;
    let service = Service::configured(|config| {
        config.feed.page_bytes = LARGE_PAGE;
        config.feed.in_flight_bytes = 4 * LARGE_PAGE;
    })
    .await;
    heavy_events(&service.client, 24).await;
    let other_client = service.other_client().await;
    other_client.contact("other@example.org").await.expect(201);
    let in_flight = "unificus_feed_in_flight_bytes";

    let unread = send_request(service.app.address(), &service.client, "/changes?limit=500", 4_096).await;
    until("a page in flight", async || service.gauge(in_flight).await > LARGE_PAGE as f64 / 2.0).await;
    let refused = service.client.get("/changes?limit=500").await;
    other_client.get("/changes?limit=500").await.expect(200);

    refused.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert!(service.gauge(in_flight).await <= LARGE_PAGE as f64);
    drop(unread);
    wait_for_gauge(&service, in_flight, 0.0).await;
    service.client.get("/changes?limit=500").await.expect(200);
}

/// The pages of a list have as many records as requested, whatever their size.
#[tokio::test]
async fn unread_lists_hold_bounded_memory_too() {
    let service = Service::configured(|config| config.feed.in_flight_bytes = 4 * PAGE).await;
    for number in 0..100 {
        let mut body = lead(&format!("p{number}@example.org"));
        body["background_info"] = json!("\u{1f600}".repeat(16_384));
        service.client.post("/contact", body).await.expect(201);
    }
    let other_client = service.other_client().await;
    let in_flight = "unificus_feed_in_flight_bytes";

    let unread = send_request(service.app.address(), &service.client, "/contacts?limit=500", 4_096).await;
    until("a list in flight", async || service.gauge(in_flight).await >= PAGE as f64).await;
    let refused = service.client.get("/contacts?limit=500").await;
    other_client.get("/contacts?limit=500").await.expect(200);

    refused.expect(503);
    assert!(service.gauge(in_flight).await <= PAGE as f64);
    drop(unread);
    wait_for_gauge(&service, in_flight, 0.0).await;
    let all = service.client.get("/contacts?limit=500").await;
    assert_eq!(all.expect(200).as_array().unwrap().len(), 100);
}

/// The program's allocator keeps freed memory unless it is told to return it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_of_a_peak_is_released() {
    const EVENTS: usize = 60;
    const UNREAD: usize = 20;
    let env = Servers::get().env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let (account, secret) = account(&store).await;
    // Bounds that are wide enough for the peak.
    let settings = [("UNIFICUS_FEED__PAGE_BYTES", "67108864"), ("UNIFICUS_FEED__IN_FLIGHT_BYTES", "5368709120")];
    let replica = Replica::start(&env, &settings).await;
    let api = replica.client(account, &secret);
    heavy_events(&api, EVENTS).await;
    let before = replica.memory("RssAnon");

    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(send_request(replica.address(), &api, "/changes?limit=500", 4_096).await);
    }
    let peak = before + (100 << 20);
    until("the peak", async || replica.memory("RssAnon") > peak).await;
    drop(unread);

    until("the peak's end", async || replica.memory("RssAnon") < before.midpoint(peak)).await;
}
