//! The limit of NATS: one client that publishes into its own stream and awaits every acknowledgement.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};
use unificus::broker::connect_options;

const STREAM: &str = "LIMIT";
const SUBJECT: &str = "limit.load";
const WINDOW: usize = 256;
const MESSAGE: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(5);

/// Acknowledged messages per second, with 256 of 1,000 bytes in flight.
pub(crate) async fn publishes_per_second(nats_url: &str, length: Duration) -> Result<f64> {
    let client = connect_options(nats_url).connect(nats_url).await.context("connecting to NATS")?;
    let context = jetstream::new(client);
    context
        .get_or_create_stream(stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: stream::StorageType::File,
            ..stream::Config::default()
        })
        .await
        .context("creating stream LIMIT")?;
    let measured = publish(&context, length).await;
    context.delete_stream(STREAM).await.context("deleting stream LIMIT")?;
    measured
}

async fn publish(context: &jetstream::Context, length: Duration) -> Result<f64> {
    let payload = bytes::Bytes::from(vec![b'x'; MESSAGE]);
    let start = Instant::now();
    let mut acknowledged = 0_u64;
    let mut in_flight = FuturesUnordered::new();
    while start.elapsed() < length {
        while in_flight.len() < WINDOW {
            let ack = context.publish(SUBJECT, payload.clone()).await.context("publishing")?;
            in_flight.push(async move { ack.await });
        }
        let ack = timeout(TIMEOUT, in_flight.next()).await.context("JetStream did not acknowledge")?;
        ack.transpose().context("JetStream refused a message")?;
        acknowledged += 1;
    }
    Ok(acknowledged as f64 / start.elapsed().as_secs_f64())
}
