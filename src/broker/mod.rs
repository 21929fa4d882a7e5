//! NATS: the stream that subscribers read, and hints between replicas. The only module that names its client.
//!
//! JetStream is a cache of the log: what it loses, the relay puts back. Guarantees: of a list of an account's events
//! either all are stored, in order, or the caller hears of an error and the stream holds a beginning of the list. It
//! knows nothing of PostgreSQL or of why an event is published.

mod hints;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use serde::Deserialize;

pub use hints::Hints;

use crate::config::Nats;
use crate::contract::Wire;
use crate::contract::event::CONTENT_TYPE;
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;

/// How long an answer of the server is awaited.
const ANSWER: Duration = Duration::from_secs(5);

/// The server takes so many messages in one atomic batch (ADR-50).
pub const BATCH: usize = 500;

/// NATS did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No connection, or no answer in time.
    #[error("NATS cannot be reached while {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// JetStream refused.
    #[error("JetStream refused a publish: {0}")]
    Refused(String),
}

/// A connection to NATS. Cloning shares it.
#[derive(Clone)]
pub struct Broker {
    client: Client,
    context: Context,
    config: Nats,
    connections: Arc<AtomicU64>,
}

/// Whether the stream was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StreamWas {
    There,
    Missing,
}

#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    description: String,
}

impl Broker {
    /// Connects in the background and keeps connecting; a server that is away is no error here.
    pub async fn connect(config: &Nats, metrics: &Metrics) -> Result<Self, BrokerError> {
        let connections = Arc::new(AtomicU64::new(0));
        let (counter, connected) = (Arc::clone(&connections), metrics.nats_connected.clone());
        let on_event = move |event| {
            let (counter, connected) = (Arc::clone(&counter), connected.clone());
            async move {
                match event {
                    Event::Connected => {
                        counter.fetch_add(1, Ordering::SeqCst);
                        connected.set(1);
                        tracing::info!("NATS connected");
                    }
                    Event::Disconnected => {
                        connected.set(0);
                        tracing::warn!("NATS disconnected");
                    }
                    other => tracing::info!(event = %other, "NATS connection"),
                }
            }
        };
        let client = ConnectOptions::new()
            .name("unificus")
            .no_echo()
            .retry_on_initial_connect()
            .request_timeout(Some(ANSWER))
            .reconnect_delay_callback(|attempts| Duration::from_millis(100 * u64::try_from(attempts.min(10)).unwrap_or(10)))
            .event_callback(on_event)
            .connect(&config.url)
            .await
            .map_err(|error| unavailable("connecting", error))?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        Ok(Self { client, context, config: config.clone(), connections })
    }

    /// Whether the server is there at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How many times the connection was made. After a new one the stream may not be what it was.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Makes the stream where it is missing, and gives it the configured limits.
    pub async fn ensure_stream(&self) -> Result<StreamWas, BrokerError> {
        let was = match self.context.get_stream(&self.config.stream).await {
            Ok(_) => StreamWas::There,
            Err(error) => match error.kind() {
                jetstream::context::GetStreamErrorKind::JetStream(_) => StreamWas::Missing,
                _ => return Err(unavailable("looking for the stream", error)),
            },
        };
        let config = stream::Config {
            name: self.config.stream.clone(),
            subjects: vec![format!("{}.*.evt.>", self.config.subject_root)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: self.config.replicas,
            max_age: Duration::from_secs(self.config.max_age_s),
            allow_direct: true,
            allow_atomic_publish: self.has_atomic_batches(),
            ..stream::Config::default()
        };
        self.context
            .create_or_update_stream(config)
            .await
            .map_err(|error| unavailable("making the stream", error))?;
        Ok(was)
    }

    /// The position of the last event of an account that the stream holds.
    pub async fn last_of(&self, account: AccountId) -> Result<Option<Seq>, BrokerError> {
        let stream = self
            .context
            .get_stream_no_info(&self.config.stream)
            .await
            .map_err(|error| unavailable("asking for the last message", error))?;
        let subject = format!("{}.{account}.evt.>", self.config.subject_root);
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
                let seq = id.and_then(|id| id.as_str().rsplit_once(':')?.1.parse().ok());
                Ok(seq.map(Seq))
            }
            Err(error) => match error.kind() {
                stream::LastRawMessageErrorKind::NoMessageFound => Ok(None),
                _ => Err(unavailable("asking for the last message", error)),
            },
        }
    }

    /// Stores events of one account, in order. At most [`BATCH`] of them.
    ///
    /// With a free window the server could store the second and refuse the first. So a list goes as one atomic batch
    /// where the server has that (2.12), else each event awaits its predecessor's acknowledgement.
    pub async fn publish(&self, events: &[Wire]) -> Result<(), BrokerError> {
        let Some((last, before)) = events.split_last() else { return Ok(()) };
        if before.is_empty() || !self.has_atomic_batches() {
            for event in events {
                self.store(event, self.headers(event)).await?;
            }
            return Ok(());
        }
        // Unique among the batches of this connection, and of all before it: the seq of the account never returns.
        let id = format!("{}:{}:{}", last.account, last.seq, self.connections());
        for (place, event) in before.iter().enumerate() {
            let headers = self.batch_headers(event, &id, place + 1);
            self.client
                .publish_with_headers(self.subject(event), headers, event.body.clone())
                .await
                .map_err(|error| unavailable("publishing", error))?;
        }
        let mut headers = self.batch_headers(last, &id, events.len());
        headers.insert("Nats-Batch-Commit", "1");
        self.store(last, headers).await
    }

    /// Tells other replicas and hears from them.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints::over(self.client.clone(), &self.config.subject_root)
    }

    async fn store(&self, event: &Wire, headers: HeaderMap) -> Result<(), BrokerError> {
        let answer = self
            .client
            .request_with_headers(self.subject(event), headers, event.body.clone())
            .await
            .map_err(|error| unavailable("publishing", error))?;
        let acknowledgement: Acknowledgement = serde_json::from_slice(&answer.payload)
            .map_err(|error| BrokerError::Refused(format!("its answer cannot be read: {error}")))?;
        match acknowledgement.error {
            None => Ok(()),
            Some(refusal) => Err(BrokerError::Refused(refusal.description)),
        }
    }

    fn has_atomic_batches(&self) -> bool {
        self.client.is_server_compatible(2, 12, 0)
    }

    fn subject(&self, event: &Wire) -> String {
        format!("{}.{}.evt.{}", self.config.subject_root, event.account, event.kind())
    }

    fn headers(&self, event: &Wire) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, event.id());
        headers.insert("Content-Type", CONTENT_TYPE);
        headers
    }

    fn batch_headers(&self, event: &Wire, id: &str, place: usize) -> HeaderMap {
        let mut headers = self.headers(event);
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", place.to_string());
        headers
    }
}

fn unavailable(doing: &'static str, source: impl Into<async_nats::Error>) -> BrokerError {
    BrokerError::Unavailable { doing, source: source.into() }
}
