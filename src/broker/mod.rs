//! NATS: the stream that subscribers read, hints between replicas, and the protocols of the gateway: logins, commands and
//! connections of clients. The only module that names its client.
//!
//! JetStream is a cache of the log: the relay puts back messages that it loses. Guarantees: a message is stored only
//! directly after the one that its publisher takes for the account's last. After a failure, the stream holds the first
//! events of a list, in order and without a gap. This module does not know whether a message is in the log, nor why an
//! event is published, and knows nothing of PostgreSQL.

mod callout;
mod consumers;
mod diagnosis;
mod hints;
mod ingress;
mod jwt;
mod publish;
mod scan;
mod survey;
mod system;

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{Client, ConnectOptions, Event};

use percent_encoding::percent_decode_str;
use prometheus::IntGauge;

pub use callout::{LoginRequest, Logins, OwnLogin};
pub use consumers::{Durable, DurableState, MAX_ACK_PENDING, durable_name};
pub use diagnosis::{JetStreamDiagnosis, NatsDiagnosis, NatsFeatures, StreamDiagnosis, connect_once};
pub use hints::Hints;
pub use ingress::{ClientIdentity, CommandInbox, IncomingCommand};
pub use jwt::{Issuer, Login, NotASeed, Permit};
pub use publish::{BATCH, PublishFeatures};
pub use scan::{Scan, StoredBody};
pub use survey::{StoredMessage, StreamInfo, Survey};
pub use system::{ClientConnection, ConnectionEvent, ConnectionEvents, SystemLink};

use crate::config::{NatsConfig, server_urls};
use crate::metrics::Metrics;

/// The shortest duplicate window that a server accepts; it cannot be switched off.
const MIN_DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// The time within which the server must respond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A request to NATS failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or no answer in time.
    #[error("{doing} failed: NATS is not available")]
    Unavailable {
        /// The request.
        doing: &'static str,
        /// The client's error.
        #[source]
        source: async_nats::Error,
    },
    /// JetStream refused.
    #[error("JetStream refused a publish: {0}")]
    Refused(String),
    /// Another message than the expected one is the account's last in the stream: nothing was stored.
    #[error("the account's last message in the stream is another one than the relay knows")]
    WrongLastMessage,
}

/// A connection to NATS. Cloning shares it.
#[derive(Clone)]
pub struct Broker {
    client: Client,
    context: Context,
    config: NatsConfig,
    hints: Hints,
    /// 1 while the last request about the stream succeeded.
    is_jetstream_up: IntGauge,
}

impl Broker {
    /// Connects in the background, again and again; a server that cannot be reached is no error here.
    pub async fn connect(config: &NatsConfig, metrics: &Metrics) -> Result<Self, BrokerError> {
        let connected = metrics.nats_connected.clone();
        let is_jetstream_up = metrics.jetstream_up.clone();
        let up = is_jetstream_up.clone();
        let on_event = move |event: Event| {
            let (connected, up) = (connected.clone(), up.clone());
            async move {
                match event {
                    Event::Connected => {
                        connected.set(1);
                        tracing::info!("NATS connected");
                    }
                    Event::Disconnected => {
                        connected.set(0);
                        up.set(0);
                        tracing::warn!("NATS disconnected");
                    }
                    Event::LameDuckMode
                    | Event::Draining
                    | Event::Closed
                    | Event::SlowConsumer(_)
                    | Event::ServerError(_)
                    | Event::ClientError(_) => tracing::info!(%event, "NATS connection"),
                }
            }
        };
        let client = trusting(connect_options(&config.url), &config.ca_file)
            .name("unificus")
            .no_echo()
            .retry_on_initial_connect()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(|attempts| Duration::from_millis(100 * attempts.min(10) as u64))
            .event_callback(on_event)
            .connect(server_urls(&config.url).as_slice())
            .await
            .map_err(|error| unavailable("connecting", error))?;
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(REQUEST_TIMEOUT);
        let hints = Hints::over(client.clone(), &config.subject_root);
        Ok(Self { client, context, config: config.clone(), hints, is_jetstream_up })
    }

    /// Whether the server is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits up to 5 s for the first connection.
    pub async fn connected(&self) -> Result<(), BrokerError> {
        let connected = tokio::time::timeout(REQUEST_TIMEOUT, self.client.flush()).await;
        connected.map_err(|late| unavailable("connecting", late))?.map_err(|error| unavailable("connecting", error))
    }

    /// The number of connections so far. After a new one the stream may have lost messages.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Creates the stream where it is missing, and gives it the configured limits.
    pub async fn ensure_stream(&self) -> Result<StreamInfo, BrokerError> {
        let features = self.publish_features();
        let config = stream::Config {
            name: self.config.stream.clone(),
            subjects: self.subjects(),
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: self.config.replicas,
            max_age: Duration::from_secs(self.config.max_age_s),
            // A server that compares the last message before it stores needs no window against duplicates. A window would
            // drop an event that is published again as a duplicate of the message that was removed.
            duplicate_window: if features.has_fence { MIN_DUPLICATE_WINDOW } else { Duration::ZERO },
            allow_direct: true,
            allow_atomic_publish: features.has_batches,
            ..stream::Config::default()
        };
        let info = self.context.create_or_update_stream(config).await;
        self.is_jetstream_up.set(i64::from(info.is_ok()));
        stream_info_of(&info.map_err(|error| unavailable("creating the stream", error))?)
    }

    /// The subjects of the stream.
    fn subjects(&self) -> Vec<String> {
        vec![format!("{}.*.evt.>", self.config.subject_root)]
    }

    /// The stream as it is now; `None` where it is missing.
    pub async fn stream_info(&self) -> Result<Option<StreamInfo>, BrokerError> {
        let stream = self.context.get_stream(&self.config.stream).await;
        self.is_jetstream_up.set(i64::from(stream.is_ok()));
        match stream {
            Ok(stream) => stream_info_of(stream.cached_info()).map(Some),
            Err(error) if is_not_found(&error.kind()) => Ok(None),
            Err(error) => Err(unavailable("looking for the stream", error)),
        }
    }

    /// The configured time for which the stream keeps a message.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.config.max_age_s)
    }

    /// The hints of this replica and of others.
    #[must_use]
    pub fn hints(&self) -> Hints {
        self.hints.clone()
    }
}

fn stream_info_of(info: &stream::Info) -> Result<StreamInfo, BrokerError> {
    // In 64 bits until the year 2262.
    let created_at_ns = i64::try_from(info.created.unix_timestamp_nanos());
    let created_at_ns = created_at_ns.map_err(|error| unavailable("reading the stream's creation time", error))?;
    Ok(StreamInfo { created_at_ns, max_age: info.config.max_age })
}

/// The options of a connection to a server of these URLs, with the user and password of the first one, which the client
/// itself does not read there. Both are percent-decoded (RFC 3986, section 2.1).
#[must_use]
pub fn connect_options(urls: &str) -> ConnectOptions {
    let url = server_urls(urls).first().copied().unwrap_or_default();
    // A user or password that is not UTF-8 is left out; a server that requires one refuses the connection, which is logged.
    let credentials = url::Url::parse(url).ok().and_then(|url| {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        Some((decoded(url.username())?, decoded(url.password()?)?))
    });
    match credentials {
        Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::new(),
    }
}

/// The same, with the certificates of this file in place of the system's; with the system's where no file is named.
fn trusting(options: ConnectOptions, ca_file: &str) -> ConnectOptions {
    if ca_file.is_empty() { options } else { options.add_root_certificates(ca_file.into()) }
}

fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn unavailable(doing: &'static str, source: impl Into<async_nats::Error>) -> BrokerError {
    BrokerError::Unavailable { doing, source: source.into() }
}
