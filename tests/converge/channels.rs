//! The same events on all four channels.

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::connector::tests::{Failure, Service as _};
use crate::fleet::{Account, Fleet};
use crate::support::{LONG, stream, until};

/// Compares the stream of NATS, server-sent events and webhooks with the feed.
pub(crate) async fn are_equal(fleet: &Fleet, account: &Account<'_>) -> Result<(), Failure> {
    let log = account.log().await;
    let messages = stream::read(&fleet.env, account.id, log.len()).await;
    let published = messages.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    same("NATS", &log, &published)?;
    same("server-sent events", &log, &streamed(account, log.len()).await)?;
    // Webhooks come at least once, and in order per record: they are compared in the order of the log.
    let delivered = || -> BTreeMap<u64, Value> {
        let bodies = account.receiver.accepted().into_iter().map(|delivery| delivery.body);
        let events = bodies.map(|body| serde_json::from_slice::<Value>(&body).unwrap());
        events.map(|event| (event["data"]["seq"].as_u64().unwrap(), event)).collect()
    };
    until("every event is delivered", async || delivered().len() >= log.len()).await;
    same("webhooks", &log, &delivered().into_values().collect())
}

fn same(channel: &str, log: &[Value], events: &Vec<Value>) -> Result<(), Failure> {
    if log == events {
        return Ok(());
    }
    let differing = log.iter().zip(events).find(|(one, other)| one != other);
    Err(Failure::new("channels are equal", format!("{channel}: {} of {}: {differing:?}", events.len(), log.len())))
}

/// The events of the stream from the beginning of the log.
async fn streamed(account: &Account<'_>, count: usize) -> Vec<Value> {
    let client = account.client(0).await;
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let beginning = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(0) };
    let request = hyper::Request::get(format!("{}/changes/stream", client.base))
        .header("x-public-id", client.account.to_string())
        .header("x-secret-key", &*client.secret)
        .header("last-event-id", beginning.to_string())
        .body(http_body_util::Empty::<Bytes>::new())
        .unwrap();
    let mut response = http.request(request).await.unwrap();
    let (mut text, mut events) = (String::new(), Vec::new());
    let read = async {
        while events.len() < count {
            let Some(frame) = response.body_mut().frame().await else { break };
            text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
            events = text.lines().filter_map(|line| line.strip_prefix("data: ")).map(parse).collect();
            events.retain(|event| *event != json!(null));
        }
    };
    let _incomplete = tokio::time::timeout(LONG, read).await;
    events
}

/// A line that is not complete yet is `null`.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
