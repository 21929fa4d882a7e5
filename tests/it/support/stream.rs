//! Reads the JetStream stream as an external subscriber.

use async_nats::jetstream::{self, consumer};
use futures_util::StreamExt as _;

use super::LONG;
use super::servers::TestEnv;

/// The `Nats-Msg-Id`s of the first `n` messages of an account, in stream order. Panics if there are more.
pub(crate) async fn ids(env: &TestEnv, account: impl std::fmt::Display, n: usize) -> Vec<String> {
    let messages = read(env, account, n).await;
    messages.into_iter().map(|(id, _)| id).collect()
}

/// Id and body of each message.
pub(crate) async fn read(env: &TestEnv, account: impl std::fmt::Display, n: usize) -> Vec<(String, String)> {
    let context = jetstream::new(env.nats().await);
    let filter = format!("{}.{account}.evt.>", env.subject_root);
    let config = consumer::pull::OrderedConfig { filter_subject: filter.clone(), ..Default::default() };
    let read = async {
        // The relay may still have to create the stream.
        let stream = loop {
            match context.get_stream(&env.stream).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let mut messages = consumer.messages().await.unwrap();
        let mut read = Vec::new();
        while read.len() < n {
            let message = messages.next().await.unwrap().unwrap();
            let id = message.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().to_string();
            read.push((id, String::from_utf8(message.payload.to_vec()).unwrap()));
        }
        let mut stored = 0;
        let mut subjects = stream.info_with_subjects(filter).await.unwrap();
        while let Some(subject) = subjects.next().await {
            stored += subject.unwrap().1;
        }
        assert_eq!(stored, n, "messages of the account in the stream");
        read
    };
    tokio::time::timeout(LONG, read).await.expect("the stream does not get all events")
}

/// The ids of a log of `n` events without gaps.
pub(crate) fn unbroken(account: impl std::fmt::Display, n: usize) -> Vec<String> {
    (1..=n).map(|seq| format!("{account}:{seq}")).collect()
}

/// The current bodies of all messages of an account, in stream order.
pub(crate) async fn bodies(env: &TestEnv, account: impl std::fmt::Display) -> Vec<String> {
    let context = jetstream::new(env.nats().await);
    let stream = context.get_stream(&env.stream).await.unwrap();
    let filter = format!("{}.{account}.evt.>", env.subject_root);
    let (mut bodies, mut from) = (Vec::new(), 1);
    while let Ok(message) = stream.get_first_raw_message_by_subject(&filter, from).await {
        from = message.sequence + 1;
        bodies.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
    bodies
}

/// Whether the server still treats an event with a stored id as a duplicate. The probe stores nothing, because it
/// expects a last message id that does not exist.
pub(crate) async fn is_duplicate(env: &TestEnv, account: impl std::fmt::Display, seq: usize) -> bool {
    let client = env.nats().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("{account}:{seq}"));
    headers.insert("Nats-Expected-Last-Msg-Id", "none");
    let subject = format!("{}.{account}.evt.contact.created", env.subject_root);
    let response = client.request_with_headers(subject, headers, "{}".into()).await.unwrap();
    String::from_utf8_lossy(&response.payload).contains("duplicate")
}
