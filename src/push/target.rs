//! The target of an endpoint's deliveries: URL, signing secrets and headers, opened and parsed once.

use hyper::header::{HeaderName, HeaderValue};

use super::address::EndpointUrl;
use super::client::{Attempt, Client, DeliveryRequest};
use super::context::DeliveryContext;
use super::filter::EventFilter;
use super::own_headers;
use super::secret_storage;
use super::signature::{SigningSecret, sign};
use crate::contract::delivery::DeliveryMessage;
use crate::domain::Timestamp;
use crate::domain::brand::{slug, user_agent};
use crate::domain::endpoint::Endpoint;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An endpoint that deliveries can be sent to.
pub(super) struct DeliveryTarget {
    pub(super) endpoint: Endpoint,
    pub(super) filter: EventFilter,
    url: EndpointUrl,
    /// The secrets that sign, and when each stops.
    secrets: Vec<(SigningSecret, Option<Timestamp>)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    user_agent: Option<HeaderValue>,
}

impl DeliveryTarget {
    /// Opens the endpoint's secrets and headers, and parses its URL. `brand` is the name of the account's own.
    pub(super) fn of(endpoint: Endpoint, brand: Option<String>, context: &DeliveryContext) -> anyhow::Result<Self> {
        let masters = &context.masters;
        let brand = brand.filter(|_| context.has_branded_agents);
        let secrets = secret_storage::open_all(masters, &endpoint);
        Ok(Self {
            filter: EventFilter::of(&endpoint.settings),
            url: EndpointUrl::parse(&endpoint.settings.url)?,
            secrets: secrets.ok_or_else(|| anyhow::anyhow!("none of secrets.master_keys opens its secret"))?,
            headers: own_headers::open_all(masters, &endpoint)?,
            user_agent: brand.map(|name| HeaderValue::try_from(user_agent(&slug(&name)))).transpose()?,
            endpoint,
        })
    }

    /// Makes one attempt to deliver a message.
    pub(super) async fn send(&self, client: &Client, message: &DeliveryMessage, now: Timestamp) -> Attempt {
        let DeliveryMessage { id, body, content_type, traceparent } = message;
        let timestamp = now.unix_timestamp();
        let traceparent = traceparent.as_deref().and_then(|text| self.trace_header(id, text));
        let headers: Vec<_> = self.headers.iter().cloned().chain(traceparent).collect();
        let request = DeliveryRequest {
            url: &self.url,
            user_agent: self.user_agent.as_ref(),
            headers: &headers,
            webhook_id: id,
            timestamp,
            signature: &sign(self.signing_secrets(now), id, timestamp, body),
            content_type,
            body: body.clone(),
            timeout: self.endpoint.settings.timeout,
            now,
        };
        let mut attempt = client.send(request).await;
        let cut = attempt.bytes_read > attempt.body.len();
        attempt.body = own_headers::masked(attempt.body, &self.headers, cut);
        attempt
    }

    /// The header of an event's trace context. Requests bring it in checked, so that only a damaged log has one that is no
    /// header value. Such an event is delivered without it, because the trace is no part of the event, and is logged.
    fn trace_header(&self, webhook_id: &str, traceparent: &str) -> Option<(HeaderName, HeaderValue)> {
        match HeaderValue::from_str(traceparent) {
            Ok(value) => Some((TRACEPARENT, value)),
            Err(error) => {
                let Endpoint { account, endpoint_id, .. } = &self.endpoint;
                tracing::warn!(%account, endpoint = %endpoint_id, webhook_id, %error, "parse traceparent failed");
                None
            }
        }
    }

    /// The secrets that sign now.
    fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        self.secrets.iter().filter(move |(_, until)| until.is_none_or(|until| now < until)).map(|(secret, _)| secret)
    }
}
