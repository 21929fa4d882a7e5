//! The same events on all four channels.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use serde_json::Value;

use crate::connector::tests::{Failure, Service as _};
use crate::fleet::{Account, Fleet};
use crate::support::{LONG, stream};

/// Compares the stream of NATS, server-sent events and webhooks with the feed.
pub(crate) async fn are_equal(fleet: &Fleet, account: &Account) -> Result<(), Failure> {
    let log = account.log().await;
    let messages = stream::read(&fleet.env, account.id, log.len()).boxed().await;
    let published = messages.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    same("NATS", &log, &published)?;
    same("server-sent events", &log, &streamed(account, log.len()).await)?;
    same("webhooks", &log, &delivered(account, log.len()).await)
}

/// The events that the webhook got. They come at least once, and in order per record: here they are in the order of the
/// log.
async fn delivered(account: &Account, count: usize) -> Vec<Value> {
    let mut arrived = account.receiver.wait_for(count, LONG).await.len();
    while account.receiver.counts().len() < count {
        arrived = account.receiver.wait_for(arrived + 1, LONG).await.len();
    }
    let bodies = account.receiver.accepted().into_iter().map(|delivery| delivery.body);
    let events = bodies.map(|body| serde_json::from_slice::<Value>(&body).unwrap());
    let by_seq: BTreeMap<u64, Value> = events.map(|event| (event["data"]["seq"].as_u64().unwrap(), event)).collect();
    by_seq.into_values().collect()
}

fn same(channel: &str, log: &[Value], events: &Vec<Value>) -> Result<(), Failure> {
    if log == events {
        return Ok(());
    }
    let differing = log.iter().zip(events).find(|(one, other)| one != other);
    Err(Failure::new("channels are equal", format!("{channel}: {} of {}: {differing:?}", events.len(), log.len())))
}

/// The events of the stream from the beginning of the log.
async fn streamed(account: &Account, count: usize) -> Vec<Value> {
    let client = account.client(0);
    let http = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let beginning = unificus::contract::Cursor { epoch: 1, seq: unificus::domain::Seq(0) };
    let request = hyper::Request::get(format!("{}/changes/stream", client.base))
        .header("x-public-id", client.account.to_string())
        .header("x-secret-key", &*client.secret)
        .header("last-event-id", beginning.to_string())
        .body(http_body_util::Empty::<Bytes>::new())
        .unwrap();
    let mut response = http.request(request).await.unwrap();
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    let read = async {
        while events.len() < count {
            let Some(frame) = response.body_mut().frame().await else { break };
            bytes.extend_from_slice(frame.unwrap().data_ref().unwrap());
            // The last line is complete later.
            let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = bytes.drain(..complete).collect();
            let lines = std::str::from_utf8(&lines).unwrap().lines();
            events.extend(
                lines
                    .filter_map(|line| line.strip_prefix("data: "))
                    .map(|text| serde_json::from_str::<Value>(text).unwrap()),
            );
        }
    };
    let _incomplete = tokio::time::timeout(LONG, read).await;
    events
}
