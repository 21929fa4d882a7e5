//! Where an endpoint's deliveries go, and what of a parcel goes over the wire.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use super::address::EndpointUrl;
use super::client::{Attempt, Client, DeliveryRequest};
use super::filter::EventFilter;
use super::own_headers;
use super::scheduler::Delivery;
use super::secret_storage;
use super::signature::{SigningSecret, sign};
use crate::contract::EncodedEvent;
use crate::contract::delivery::{BATCH_CONTENT_TYPE, batch, batch_id, newest};
use crate::contract::event::CONTENT_TYPE;
use crate::domain::Timestamp;
use crate::domain::endpoint::{Endpoint, Mode};
use crate::secrets::MasterKeys;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An endpoint, ready to be delivered to.
pub(super) struct DeliveryTarget {
    pub(super) endpoint: Endpoint,
    pub(super) filter: EventFilter,
    url: EndpointUrl,
    /// Those that sign, and until when.
    secrets: Vec<(SigningSecret, Option<Timestamp>)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl DeliveryTarget {
    pub(super) fn of(endpoint: Endpoint, masters: &MasterKeys) -> anyhow::Result<Self> {
        let secrets = secret_storage::open_all(masters, &endpoint);
        Ok(Self {
            filter: EventFilter::of(&endpoint.settings),
            url: EndpointUrl::parse(&endpoint.settings.url)?,
            secrets: secrets.ok_or_else(|| anyhow::anyhow!("none of secrets.master_keys opens its secret"))?,
            headers: own_headers::open_all(masters, &endpoint)?,
            endpoint,
        })
    }

    /// `webhook-id`: the same for every attempt of the same parcel.
    pub(super) fn webhook_id(&self, events: &[EncodedEvent]) -> String {
        match self.endpoint.settings.mode {
            Mode::Batch { .. } => batch_id(events),
            Mode::Single | Mode::Latest { .. } => events.first().map(EncodedEvent::id).unwrap_or_default(),
        }
    }

    /// Makes one attempt. `events` are the parcel's.
    pub(super) async fn send(
        &self,
        client: &Client,
        delivery: &Delivery,
        events: &[EncodedEvent],
        now: Timestamp,
    ) -> Attempt {
        let (body, content_type, traceparent) = match (self.endpoint.settings.mode, events, delivery.after) {
            (Mode::Batch { .. }, events, _) => (batch(events), BATCH_CONTENT_TYPE, None),
            (Mode::Single | Mode::Latest { .. }, [event, ..], Some(after)) => {
                (newest(event, after), CONTENT_TYPE, event.traceparent())
            }
            (Mode::Single | Mode::Latest { .. }, [event, ..], None) => {
                (event.body.clone(), CONTENT_TYPE, event.traceparent())
            }
            (Mode::Single | Mode::Latest { .. }, [], _) => (Bytes::new(), CONTENT_TYPE, None),
        };
        self.post(client, &self.webhook_id(events), (body, content_type), traceparent, now).await
    }

    /// Makes one attempt with this body.
    pub(super) async fn post(
        &self,
        client: &Client,
        webhook_id: &str,
        (body, content_type): (Bytes, &'static str),
        traceparent: Option<&str>,
        now: Timestamp,
    ) -> Attempt {
        let timestamp = now.unix_timestamp();
        let traceparent = traceparent.and_then(|text| Some((TRACEPARENT, HeaderValue::from_str(text).ok()?)));
        let headers: Vec<_> = self.headers.iter().cloned().chain(traceparent).collect();
        let request = DeliveryRequest {
            url: &self.url,
            headers: &headers,
            webhook_id,
            timestamp,
            signature: &sign(self.live(now), webhook_id, timestamp, &body),
            content_type,
            body,
            timeout: self.endpoint.settings.timeout,
            now,
        };
        let mut attempt = client.send(request).await;
        let cut = attempt.bytes_read > attempt.body.len();
        attempt.body = own_headers::masked(attempt.body, &self.headers, cut);
        attempt
    }

    /// Those of its secrets that sign now.
    fn live(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until)).map(|(secret, _)| secret)
    }
}
