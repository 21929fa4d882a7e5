//! The HTTP client that deliveries go out by: one POST, one answer, one deadline.
//!
//! Guarantees: no connection to an address that the policy refuses; an attempt ends by its deadline, whatever
//! the receiver does; an answer costs at most 64 KiB of reading and a few KiB of memory; redirects are not
//! followed. Knows nothing of endpoints, retries and storage.

mod attempt;
mod connect;
mod connection;
mod deadline;
mod failure;
mod lookups;
mod pool;
mod retry_after;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, InvalidHeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{ClientConfig, RootCertStore};
use time::OffsetDateTime;

pub(crate) use self::attempt::{Attempt, KEEP_LIMIT};
use self::connect::Connector;
use self::connection::{Connection, Handshake};
use self::deadline::Deadline;
use self::failure::AttemptFailure;
use self::lookups::system_lookup;
use self::pool::{ConnectionPool, IdleConnections, MAX_AGE};
use super::address::{AddressPolicy, EndpointUrl};
use crate::clock::instant;
use crate::domain::endpoint::is_reserved_header;

/// The part of that time for connecting: name, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections that a client keeps that was not told how many.
const MAX_IDLE: usize = 1_024;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The client: one per process, shared, with its pool of connections.
pub struct Client {
    connector: Connector,
    pool: Arc<ConnectionPool>,
    handshake: Handshake,
    policy: Arc<AddressPolicy>,
    user_agent: HeaderValue,
    /// An attempt at a name without a usable address ends after this time, whatever was found out when.
    no_address_after: Duration,
}

/// Reasons why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The brand's name holds a control character.
    #[error("the user agent is not a header value")]
    UserAgent(#[source] InvalidHeaderValue),
    /// The system trusts nobody (package `ca-certificates`), and only https is permitted.
    #[error("loading the system's root certificates")]
    Roots(#[source] io::Error),
    /// rustls refuses its own defaults.
    #[error("setting TLS up")]
    Tls(#[source] rustls::Error),
}

/// A request of one attempt.
#[derive(Debug)]
pub struct DeliveryRequest<'a> {
    /// The target.
    pub url: &'a EndpointUrl,
    /// `user-agent` of an account with a brand of its own; the client's where there is none.
    pub user_agent: Option<&'a HeaderValue>,
    /// The endpoint's own headers and `traceparent`. Reserved ones are left out, which settings of an earlier version may
    /// still hold.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// `webhook-id`: the same for every attempt.
    pub webhook_id: &'a str,
    /// `webhook-timestamp`: this attempt's time in unix seconds, as it was signed.
    pub timestamp: i64,
    /// `webhook-signature`, from [`super::signature::sign`].
    pub signature: &'a str,
    /// `content-type`.
    pub content_type: &'static str,
    /// The body as it was signed.
    pub body: Bytes,
    /// The time for everything: name, connection, request, whole answer.
    pub timeout: Duration,
    /// The time that a date in `Retry-After` is relative to.
    pub now: OffsetDateTime,
}

impl Client {
    /// A client that trusts the system's root certificates (or those that `SSL_CERT_FILE` names), and keeps `max_idle`
    /// connections between attempts.
    ///
    /// # Errors
    /// [`ClientError`]. A system without root certificates is an error only where https alone is permitted.
    pub fn new(policy: Arc<AddressPolicy>, user_agent: &str, max_idle: usize) -> Result<Self, ClientError> {
        let tls = match tls_builder()?.with_native_roots() {
            Ok(tls) => tls,
            Err(error) if policy.allow_http => {
                tracing::warn!(%error, "no root certificates on this system: every delivery by https will fail");
                tls_builder()?.with_root_certificates(RootCertStore::empty())
            }
            Err(error) => return Err(ClientError::Roots(error)),
        };
        Ok(Self::trusting(tls.with_no_client_auth(), policy, user_agent)?.with_connections(MAX_AGE, max_idle))
    }

    /// A client that trusts these root certificates and no others.
    ///
    /// # Errors
    /// [`ClientError`], but never for the system's root certificates.
    pub fn with_roots(policy: Arc<AddressPolicy>, user_agent: &str, roots: RootCertStore) -> Result<Self, ClientError> {
        let tls = tls_builder()?.with_root_certificates(roots).with_no_client_auth();
        Self::trusting(tls, policy, user_agent)
    }

    fn trusting(tls: ClientConfig, policy: Arc<AddressPolicy>, user_agent: &str) -> Result<Self, ClientError> {
        let connector = Connector::new(Arc::clone(&policy), system_lookup(), tls, CONNECT_TIMEOUT);
        Self::connecting(connector, policy, user_agent, CONNECT_TIMEOUT)
    }

    fn connecting(
        connector: Connector,
        policy: Arc<AddressPolicy>,
        user_agent: &str,
        no_address_after: Duration,
    ) -> Result<Self, ClientError> {
        let user_agent = HeaderValue::from_str(user_agent).map_err(ClientError::UserAgent)?;
        let pool = Arc::new(ConnectionPool::new(MAX_AGE, MAX_IDLE));
        Ok(Self { connector, handshake: Handshake::new(), pool, policy, user_agent, no_address_after })
    }

    /// Uses connections until they have `max_age`, and keeps `max_idle` of them.
    fn with_connections(self, max_age: Duration, max_idle: usize) -> Self {
        Self { pool: Arc::new(ConnectionPool::new(max_age, max_idle)), ..self }
    }

    /// The work of closing connections that are idle.
    #[must_use]
    pub(crate) fn idle_connections(&self) -> IdleConnections {
        IdleConnections(Arc::clone(&self.pool))
    }

    /// Makes one attempt. Whatever happens is in the [`Attempt`]; it never takes longer than the delivery's
    /// timeout. Dropping the future gives the attempt up and closes its connection, or its stream of HTTP/2.
    pub async fn send(&self, delivery: DeliveryRequest<'_>) -> Attempt {
        let started = instant();
        let deadline = Deadline::after(started, delivery.timeout);
        let mut attempt = match deadline.hold(self.head(&delivery)).await {
            Ok((response, mut connection)) => {
                let (attempt, is_whole) = Attempt::reading(response, &mut connection, delivery.now, deadline).await;
                if is_whole {
                    self.pool.put(delivery.url.origin(), connection);
                }
                attempt
            }
            Err(failure) => {
                if failure.no_address.is_some() {
                    // The time that it took would tell a name that there is from one that there is not.
                    let until = self.no_address_after.min(delivery.timeout);
                    tokio::time::sleep(until.saturating_sub(started.elapsed())).await;
                }
                Attempt::without_answer(failure)
            }
        };
        attempt.elapsed = instant().duration_since(started);
        attempt
    }

    /// The head of the response, and the connection on which its body follows. A request of which an idle connection sent
    /// nothing, because the receiver has closed it, is sent on another one.
    async fn head(&self, delivery: &DeliveryRequest<'_>) -> Result<(Response<Incoming>, Connection), AttemptFailure> {
        let url = delivery.url;
        self.policy.check_endpoint(url).map_err(AttemptFailure::refused)?;
        let mut request = self.request(delivery).map_err(|error| AttemptFailure::bad_request(&error))?;
        loop {
            let kept = self.pool.take(url.origin());
            let was_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                // Boxed, because it is large and most attempts find an idle connection.
                None => Box::pin(self.connect(url)).await?,
            };
            match connection.send(url, request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message().filter(|_| was_kept) {
                    Some(unsent) => {
                        request = unsent;
                        self.pool.discard(url.origin(), connection);
                    }
                    None => return Err(AttemptFailure::of_request(error.error())),
                },
            }
        }
    }

    /// Opens a connection. Dropping the future gives it up.
    async fn connect(&self, url: &EndpointUrl) -> Result<Connection, AttemptFailure> {
        let io = self.connector.connect(url.uri()).await;
        let io = io.map_err(|error| AttemptFailure::of_connecting(&*error))?;
        let connection = self.handshake.over(io).await.map_err(|error| AttemptFailure::of_request(&error))?;
        Ok(self.pool.share(url.origin(), connection))
    }

    fn request(&self, delivery: &DeliveryRequest<'_>) -> Result<Request<Full<Bytes>>, InvalidHeaderValue> {
        let mut request = Request::new(Full::new(delivery.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = delivery.url.uri().clone();
        let headers = request.headers_mut();
        for (name, value) in delivery.headers.iter().filter(|(name, _)| !is_reserved_header(name.as_str())) {
            headers.append(name, value.clone());
        }
        headers.insert(USER_AGENT, delivery.user_agent.unwrap_or(&self.user_agent).clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(delivery.content_type)?);
        headers.insert(WEBHOOK_ID, HeaderValue::from_str(delivery.webhook_id)?);
        headers.insert(WEBHOOK_TIMESTAMP, delivery.timestamp.into());
        headers.insert(WEBHOOK_SIGNATURE, HeaderValue::from_str(delivery.signature)?);
        Ok(request)
    }
}

/// Names its provider: a process default exists only if somebody installed one.
fn tls_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(ClientError::Tls)
}

#[cfg(test)]
mod tests;
