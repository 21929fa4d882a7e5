//! Sends recorded spans to the collector.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use tokio::sync::Notify;

use super::{EndedSpan, MAX_QUEUED, Recorder, Tracer, otlp};
use crate::config::Config;
use crate::worker::{Step, Worker};

/// Spans of one request to the collector.
const MAX_SENT: usize = 512;

/// The time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The time for the last spans, because the end of the process waits for them.
const LAST_SENT: Duration = Duration::from_secs(1);

/// The bytes of a response that are read.
const MAX_RESPONSE: usize = 64 << 10;

/// Sends spans every second, or as soon as there are many.
pub(crate) struct Exporter {
    recorder: Arc<Recorder>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: String,
    service: String,
    /// Tells the replicas of one service apart.
    instance: String,
}

impl Exporter {
    /// `None` where the tracer records nothing.
    pub(crate) fn new(tracer: &Tracer, config: &Config, instance: String) -> anyhow::Result<Option<Self>> {
        let Some(recorder) = &tracer.0 else { return Ok(None) };
        let tls =
            HttpsConnectorBuilder::new().with_native_roots().context("cannot read the system's root certificates")?;
        let connector = tls.https_or_http().enable_http1().build();
        Ok(Some(Self {
            recorder: Arc::clone(recorder),
            client: Client::builder(TokioExecutor::new()).build(connector),
            endpoint: config.traces.endpoint.clone(),
            service: config.brand.slug.clone(),
            instance,
        }))
    }

    async fn send(&self, spans: Vec<EndedSpan>) -> anyhow::Result<()> {
        let body = otlp::request(&self.service, &self.instance, spans).encode_to_vec();
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, concat!("unificus/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let response = self.client.request(request).await.context("the collector does not respond")?;
            let status = response.status();
            // Read to its end, so that the connection is used again.
            let _ignored = Limited::new(response.into_body(), MAX_RESPONSE).collect().await;
            ensure!(status.is_success(), "the collector responded {status}");
            Ok(())
        };
        tokio::time::timeout(TIMEOUT, exchange).await.context("the collector does not respond in time")?
    }

    fn put_back(&self, spans: Vec<EndedSpan>) {
        let mut queue = self.recorder.lock();
        let room = MAX_QUEUED.saturating_sub(queue.len());
        let lost = u64::try_from(spans.len().saturating_sub(room)).unwrap_or(u64::MAX);
        self.recorder.metrics.trace_spans_lost_total.inc_by(lost);
        queue.extend(spans.into_iter().take(room));
    }
}

impl Worker for Exporter {
    const NAME: &'static str = "trace-exporter";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let spans: Vec<EndedSpan> = {
            let mut queue = self.recorder.lock();
            let count = queue.len().min(MAX_SENT);
            queue.drain(..count).collect()
        };
        if spans.is_empty() {
            return Ok(Step::Idle);
        }
        let (kept, count) = (spans.clone(), spans.len());
        if let Err(error) = self.send(spans).await {
            self.put_back(kept);
            return Err(error.context("cannot send spans"));
        }
        self.recorder.metrics.trace_spans_sent_total.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(Step::Advanced)
    }

    /// Sends the spans of the last requests, where the collector accepts them at once.
    async fn finish(&mut self) -> anyhow::Result<()> {
        let rest = async {
            while self.step().await? == Step::Advanced {}
            Ok(())
        };
        tokio::time::timeout(LAST_SENT, rest).await.context("the collector does not respond in time")?
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.recorder.wake)
    }
}
