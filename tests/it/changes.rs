//! The change feed and its stream.

use http_body_util::BodyExt as _;
use hyper::Method;
use serde_json::json;

use crate::support::{LONG, Service, stream};

#[tokio::test]
async fn the_feed_and_nats_give_the_same_bytes() {
    let service = Service::start().await;
    let api = &service.client;
    let uid = api.contact("ann@example.org").await.uid();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let phone = json!({"phone": "+31 6 12"}).to_string();
    api.send(Method::PUT, &format!("/contact/{uid}"), &[("traceparent", trace)], &phone).await.expect(200);
    api.delete(&format!("/contact/{uid}")).await.expect(200);

    let feed = api.get("/changes").await;
    let nats = stream::read(&service.env, api.account, 3).await;

    let bodies: Vec<&str> = nats.iter().map(|(_, body)| body.as_str()).collect();
    assert!(feed.text.contains(&format!("\"data\":[{}]", bodies.join(","))), "byte for byte");
    let events = feed.expect(200).as_array().unwrap();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["crm.contact.created", "crm.contact.updated", "crm.contact.deleted"]);
    assert_eq!(events[1]["data"]["changed"], json!({"phone": {"from": null, "to": "+31 6 12"}}));
    assert_eq!(events[1]["data"]["previous_version"], 1);
    assert_eq!(events[1]["origin"], "test");
    assert_eq!(events[1]["traceparent"], trace);
    assert_eq!(events[2]["data"]["record"]["deleted"], true);
}

#[tokio::test]
async fn a_page_covers_its_range_even_where_the_filter_leaves_holes() {
    let service = Service::start().await;
    let api = &service.client;
    api.contact("ann@example.org").await.expect(201);
    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    api.contact("bob@example.org").await.expect(201);

    let page = api.get("/changes?entity=company&limit=2").await;
    assert_eq!(page.expect(200).as_array().unwrap().len(), 1);
    assert_eq!((&page.json["meta"]["from_seq"], &page.json["meta"]["through_seq"]), (&json!(0), &json!(2)));
    assert_eq!(page.json["meta"]["has_more"], true);
    let cursor = page.json["meta"]["cursor"].as_str().unwrap();
    let rest = api.get(&format!("/changes?entity=company&limit=2&after={cursor}")).await;
    assert_eq!(rest.expect(200), &json!([]));
    assert_eq!(rest.json["meta"]["through_seq"], 3);
    assert_eq!(api.get("/changes?exclude_own=true").await.expect(200), &json!([]));

    api.get("/changes?after=nonsense").await.expect(422);
    api.get("/changes?entity=planet").await.expect(422);
    let ahead = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(99) };
    api.get(&format!("/changes?after={ahead}")).await.expect(410);
    let other_epoch = unificus::contract::Cursor { epoch: 2, seq: unificus::domain::Seq(1) };
    assert_eq!(api.get(&format!("/changes?after={other_epoch}")).await.json["type"], "/problems/resync-required");
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_a_write_here_and_on_another_replica() {
    let service = Service::start().await;
    let api = service.client.clone();
    let (_other, replica) = service.replica().await;

    for (writer, after) in [(&api, 0), (&replica, 1)] {
        let cursor = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(after) };
        let path = format!("/changes?wait=30&after={cursor}");
        let waiting = tokio::spawn({
            let api = api.clone();
            async move { api.get(&path).await }
        });
        writer.contact(&format!("p{after}@example.org")).await.expect(201);
        let page = tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
        assert_eq!(page.expect(200)[0]["data"]["seq"], after + 1);
    }
}

#[tokio::test]
async fn a_stream_resumes_at_its_last_event_id() {
    let service = Service::start().await;
    let api = &service.client;
    for number in 0..3 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let first = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(1) };
    let mut response = stream_from(&service, &first.to_string()).await;
    let mut text = String::new();
    while text.matches("data: ").count() < 2 {
        text.push_str(&chunk(&mut response).await);
    }
    api.contact("late@example.org").await.expect(201);
    while !text.contains("late@example.org") {
        text.push_str(&chunk(&mut response).await);
    }
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let expected: Vec<String> = (2..=4)
        .map(|seq| unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(seq) }.to_string())
        .collect();
    assert_eq!(ids, expected);
}

async fn stream_from(service: &Service, last_event_id: &str) -> hyper::Response<hyper::body::Incoming> {
    let api = &service.client;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = hyper::Request::get(format!("{}/changes/stream", api.base))
        .header("x-public-id", api.account.to_string())
        .header("x-secret-key", &*api.secret)
        .header("last-event-id", last_event_id)
        .body(http_body_util::Empty::<hyper::body::Bytes>::new())
        .unwrap();
    let response = http.request(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

async fn chunk(response: &mut hyper::Response<hyper::body::Incoming>) -> String {
    let frame = tokio::time::timeout(LONG, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}
