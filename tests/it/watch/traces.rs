//! Traces: one trace from the request through batch, relay and webhook, received by a decoder that is not the service's own.

use std::process::Stdio;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use unificus::config::program_path;

use super::repository;
use crate::push_delivery::endpoint_at;
use crate::support::client::lead;
use crate::support::servers::Servers;
use crate::support::service::account_on;
use crate::support::{LONG, Receiver, Replica, Service, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";

/// A collector, killed when it is dropped.
struct Collector {
    _child: Child,
    spans: Lines<BufReader<ChildStdout>>,
    endpoint: String,
}

impl Collector {
    async fn start() -> Self {
        let (_, data_home) = program_path();
        let mut python = Command::new(data_home.join("unificus/python/bin/python"));
        python.arg(repository("tests/otlp_receiver.py")).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = python.spawn().expect("run deploy/setup.sh tests");
        let mut spans = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = spans.next_line().await.unwrap().expect("opentelemetry-proto is of tests/requirements.txt");
        Self { _child: child, spans, endpoint: format!("http://127.0.0.1:{port}/v1/traces") }
    }

    /// The next span.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(LONG, self.spans.next_line()).await.expect("no span arrives");
        serde_json::from_str(&line.unwrap().expect("the collector ended")).unwrap()
    }

    /// The next span of this name.
    async fn named(&mut self, name: &str, seen: &mut Vec<Value>) -> Value {
        loop {
            if let Some(index) = seen.iter().position(|span| span["name"] == name) {
                return seen.remove(index);
            }
            seen.push(self.next().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_the_request_through_batch_relay_and_webhook() {
    let (mut collector, receiver) = (Collector::start().await, Receiver::start().await);
    let env = Servers::get().env().await;
    let more = [("UNIFICUS_TRACES__ENDPOINT", collector.endpoint.as_str()), ("UNIFICUS_TRACES__RATIO", "0.0")];
    // Each owns half of the shards, so that the relay and the webhook may be another replica's.
    let replicas = [Replica::start(&env, &more).await, Replica::start(&env, &more).await];
    let metrics = unificus::metrics::Metrics::new().unwrap();
    let store = unificus::store::Store::new(&env.config().database, 1, metrics).unwrap();
    let (account, secret) = account_on(&store, "pinnacle").await;
    let client = replicas[0].client(account, &secret);
    endpoint_at(&client, &receiver.url(), json!({})).await;

    let parent = format!("00-{TRACE}-{CLIENT_SPAN}-01");
    let headers = [("traceparent", parent.as_str())];
    // Not traced, because it brings no trace context and the ratio is 0.
    client.contact("bob@example.org").await.expect(201);
    client.send(Method::POST, "/contact", &headers, &lead("ann@example.org").to_string()).await.expect(201);

    let mut seen = Vec::new();
    let request = collector.named("POST /secure-api/contact", &mut seen).await;
    assert_eq!((&request["trace"], &request["parent"]), (&json!(TRACE), &json!(CLIENT_SPAN)), "{request}");
    assert_eq!(
        (&request["kind"], &request["service"]["service.name"]),
        (&json!("SPAN_KIND_SERVER"), &json!("unificus"))
    );
    assert_eq!(request["attributes"]["http.response.status_code"], 201);
    let mut last_start = request["start"].as_u64().unwrap();
    for (name, kind) in
        [("batch", "SPAN_KIND_INTERNAL"), ("relay", "SPAN_KIND_PRODUCER"), ("webhook", "SPAN_KIND_CLIENT")]
    {
        let span = collector.named(name, &mut seen).await;
        assert_eq!((&span["trace"], &span["parent"]), (&json!(TRACE), &request["span"]), "{span}");
        assert_eq!((&span["kind"], &span["status"]), (&json!(kind), &json!("STATUS_CODE_UNSET")), "{span}");
        assert_eq!(span["attributes"]["unificus.account"], account.to_string());
        let (start, end) = (span["start"].as_u64().unwrap(), span["end"].as_u64().unwrap());
        assert!(start <= end, "{span}");
        if name == "batch" {
            assert!(last_start <= start, "it begins within its request: {span}");
            last_start = start;
        }
    }
    assert_eq!(seen, [json!(null); 0], "no other span is sent");

    let delivered = receiver.wait_for(2, LONG).await;
    let traced: Vec<&str> = delivered.iter().map(|delivery| delivery.header("traceparent")).collect();
    let expected = format!("00-{TRACE}-{}-01", request["span"].as_str().unwrap());
    assert!(traced.contains(&expected.as_str()) && traced.contains(&""), "{traced:?}");
    let text = replicas[0].metrics().await;
    assert!(text.contains("unificus_trace_spans_lost_total 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_delays_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = Service::configured(|config| {
        config.traces.endpoint = format!("http://{closed}/v1/traces");
        config.traces.ratio = 1.0;
    })
    .await;
    let created = service.client.contact("ann@example.org").await;
    created.expect(201);
    let event = service.client.changes().await.remove(0);
    assert!(
        event["traceparent"].as_str().is_some_and(|parent| parent.ends_with("-01")),
        "a trace begins here: {event}"
    );
    let failures = r#"unificus_worker_steps_failed_total{worker="trace-exporter"}"#;
    until("the exporter reports its failure", async || service.gauge(failures).await > 0.0).await;
    service.client.contact("bob@example.org").await.expect(201);
    service.app.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_collector_an_event_has_the_context_of_its_request_alone() {
    let service = Service::start().await;
    service.client.contact("ann@example.org").await.expect(201);
    let parent = format!("00-{TRACE}-{CLIENT_SPAN}-01");
    let headers = [("traceparent", parent.as_str())];
    let body = lead("bob@example.org").to_string();
    service.client.send(Method::POST, "/contact", &headers, &body).await.expect(201);
    let parents: Vec<Value> = service.client.changes().await.iter().map(|event| event["traceparent"].clone()).collect();
    assert_eq!(parents, [Value::Null, json!(parent)]);
}
