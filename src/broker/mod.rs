//! NATS: the stream that subscribers read, and hints between replicas. The only module that names its client.
//!
//! JetStream is a cache of the log: what it loses, the relay puts back. Guarantees: a list of an account's events is
//! stored in order, or the caller hears how far it came. It knows nothing of PostgreSQL or of why an event is
//! published.

mod hints;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{Client, ConnectOptions, Event, HeaderMap};

pub use hints::Hints;

use crate::config::Nats;
use crate::contract::Wire;
use crate::contract::event::CONTENT_TYPE;
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;

/// How long an answer of the server is awaited.
const ANSWER: Duration = Duration::from_secs(5);

/// Events of one account that are published at once.
pub const BATCH: usize = 200;

/// Messages that may wait for their acknowledgement, over all accounts. A server drops what comes when 10,000 wait to
/// be stored.
const IN_FLIGHT: usize = 4_096;

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
}

/// A list that was not stored whole.
#[derive(Debug, thiserror::Error)]
#[error("JetStream did not store an event")]
pub struct NotPublished {
    /// The last event that is stored together with all before it.
    pub through: Option<Seq>,
    /// Whether the server answered at all: if not, it may hold more than that.
    pub answered: bool,
    #[source]
    source: async_nats::Error,
}

/// A connection to NATS. Cloning shares it.
#[derive(Clone)]
pub struct Broker {
    client: Client,
    context: Context,
    config: Nats,
    connections: Arc<AtomicU64>,
    hints: Hints,
}

/// Whether the stream was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StreamWas {
    There,
    Missing,
}

impl Broker {
    /// Connects in the background and keeps connecting; a server that is away is no error here.
    pub async fn connect(config: &Nats, metrics: &Metrics) -> Result<Self, BrokerError> {
        let connections = Arc::new(AtomicU64::new(0));
        let (counter, connected) = (Arc::clone(&connections), metrics.nats_connected.clone());
        let on_event = move |event: Event| {
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
                    Event::LameDuckMode
                    | Event::Draining
                    | Event::Closed
                    | Event::SlowConsumer(_)
                    | Event::ServerError(_)
                    | Event::ClientError(_) => tracing::info!(%event, "NATS connection"),
                }
            }
        };
        let client = ConnectOptions::new()
            .name("unificus")
            .no_echo()
            .retry_on_initial_connect()
            .request_timeout(Some(ANSWER))
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100 * u64::try_from(attempts.min(10)).unwrap_or(10))
            })
            .event_callback(on_event)
            .connect(&config.url)
            .await
            .map_err(|error| unavailable("connecting", error))?;
        let context = ContextBuilder::new()
            .timeout(ANSWER)
            .ack_timeout(ANSWER)
            .max_ack_inflight(IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let hints = Hints::over(client.clone(), &config.subject_root);
        Ok(Self { client, context, config: config.clone(), connections, hints })
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
            Err(error) if is_not_found(&error.kind()) => StreamWas::Missing,
            Err(error) => return Err(unavailable("looking for the stream", error)),
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
            ..stream::Config::default()
        };
        self.context.create_or_update_stream(config).await.map_err(|error| unavailable("making the stream", error))?;
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
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable("asking for the last message", error)),
        }
    }

    /// Stores events of one account, in order.
    ///
    /// A single server stores what comes over one connection in the order in which it came, so a list goes out whole
    /// before its acknowledgements are awaited. In a cluster a message can be dropped while there is no leader, and
    /// its successor be stored by the next one: there each event awaits its predecessor's acknowledgement.
    pub async fn publish(&self, events: &[Wire]) -> Result<(), NotPublished> {
        let window = if self.config.replicas > 1 { 1 } else { events.len().max(1) };
        let mut through = None;
        for window in events.chunks(window) {
            let mut sent = Vec::with_capacity(window.len());
            for event in window {
                sent.push(self.context.send_publish(self.subject(event), message(event)).await);
            }
            let mut trouble = None;
            let mut answered = false;
            for (event, sent) in window.iter().zip(sent) {
                let stored = match sent {
                    Ok(acknowledgement) => acknowledgement.await,
                    Err(error) => Err(error),
                };
                answered |= stored.is_ok();
                match stored {
                    Ok(_) if trouble.is_none() => through = Some(event.seq),
                    Ok(_) => {}
                    Err(error) => trouble = trouble.or(Some(error)),
                }
            }
            if let Some(error) = trouble {
                return Err(NotPublished { through, answered, source: error.into() });
            }
        }
        Ok(())
    }

    /// Tells other replicas and hears from them.
    #[must_use]
    pub fn hints(&self) -> Hints {
        self.hints.clone()
    }

    fn subject(&self, event: &Wire) -> String {
        format!("{}.{}.evt.{}", self.config.subject_root, event.account, event.kind())
    }
}

fn message(event: &Wire) -> PublishMessage {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, event.id());
    headers.insert("Content-Type", CONTENT_TYPE);
    PublishMessage::build().headers(headers).payload(event.body.clone())
}

fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn unavailable(doing: &'static str, source: impl Into<async_nats::Error>) -> BrokerError {
    BrokerError::Unavailable { doing, source: source.into() }
}
