//! A partner that copies the contacts of an account, on any channel.

use std::collections::BTreeMap;

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{Client, LONG, until};

/// A partner's copy of the account's contacts: email by uid.
pub(super) type Copied = BTreeMap<String, String>;

/// A partner: its copy, the epoch that it knows, and how often it began anew.
#[derive(Default)]
pub(super) struct Partner {
    pub(super) copied: Copied,
    epoch: u64,
    pub(super) synchronised: usize,
}

impl Partner {
    /// Applies an event of any channel. An id of another epoch says that the log was restored: then the copy is made anew
    /// of the lists, as docs/events.md says.
    pub(super) async fn apply(&mut self, api: &Client, event: &Value) {
        let id: Vec<&str> = event["id"].as_str().unwrap().split(':').collect();
        let epoch = if let [_, epoch, _] = id[..] { epoch.parse().unwrap() } else { 1 };
        if epoch > self.epoch {
            self.synchronise(api).await;
            self.epoch = epoch;
        } else {
            let record = &event["data"]["record"];
            self.copied.insert(text(&record["uid"]), text(&record["email"]));
        }
    }

    pub(super) async fn synchronise(&mut self, api: &Client) {
        self.copied = listed(api).await;
        self.synchronised += 1;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The contacts as the service lists them.
pub(super) async fn listed(api: &Client) -> Copied {
    let page = api.get("/contacts?limit=500").await;
    let contacts = page.expect(200).as_array().unwrap().iter();
    contacts.map(|contact| (text(&contact["uid"]), text(&contact["email"]))).collect()
}

pub(super) async fn create(api: &Client, names: &[&str]) {
    for name in names {
        api.contact(&format!("{name}@example.org")).await.expect(201);
    }
}

/// The next events of a NATS consumer.
pub(super) async fn fetched(consumer: &PullConsumer, many: usize) -> Vec<Value> {
    let fetch = async {
        let mut messages = consumer.messages().await.unwrap();
        let mut events = Vec::new();
        while events.len() < many {
            let message = messages.next().await.unwrap().unwrap();
            message.ack().await.unwrap();
            events.push(serde_json::from_slice(&message.payload).unwrap());
        }
        events
    };
    tokio::time::timeout(LONG, fetch).await.expect("the consumer gets its events")
}

/// Makes a durable consumer, once the replica is connected to NATS; returns its name on the stream.
pub(super) async fn consumer_from_the_start(api: &Client, name: &str) -> String {
    let mut durable = Value::Null;
    until("the consumer is made", async || {
        let made = api.post("/sync/consumers", json!({"name": name, "from": "start"})).await;
        durable = made.json["data"]["durable"].clone();
        made.status == 201
    })
    .await;
    durable.as_str().unwrap().to_owned()
}
