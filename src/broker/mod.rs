//! NATS: the stream that subscribers read, and hints between replicas. The only module that names its client.
//!
//! JetStream is a cache of the log: what it loses, the relay puts back. Guarantees: of a list of an account's events
//! the stream holds a beginning, in order, whatever breaks meanwhile; so its last one says how far it is. It knows
//! nothing of PostgreSQL or of why an event is published.

mod hints;
mod publish;

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::{Client, ConnectOptions, Event};

use percent_encoding::percent_decode_str;

pub use hints::Hints;
pub use publish::BATCH;

use crate::config::Nats;
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;

/// How long an answer of the server is awaited.
const ANSWER: Duration = Duration::from_secs(5);

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
        let connected = metrics.nats_connected.clone();
        let on_event = move |event: Event| {
            let connected = connected.clone();
            async move {
                match event {
                    Event::Connected => {
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
        let client = connect_options(&config.url)
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
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let hints = Hints::over(client.clone(), &config.subject_root);
        Ok(Self { client, context, config: config.clone(), hints })
    }

    /// Whether the server is there at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How many times the connection was made. After a new one the stream may not be what it was.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Whether the stream is there.
    pub async fn look_for_stream(&self) -> Result<StreamWas, BrokerError> {
        match self.context.get_stream(&self.config.stream).await {
            Ok(_) => Ok(StreamWas::There),
            Err(error) if is_not_found(&error.kind()) => Ok(StreamWas::Missing),
            Err(error) => Err(unavailable("looking for the stream", error)),
        }
    }

    /// Makes the stream where it is missing, and gives it the configured limits.
    pub async fn ensure_stream(&self) -> Result<(), BrokerError> {
        let config = stream::Config {
            name: self.config.stream.clone(),
            subjects: vec![format!("{}.*.evt.>", self.config.subject_root)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: self.config.replicas,
            max_age: Duration::from_secs(self.config.max_age_s),
            allow_direct: true,
            allow_atomic_publish: self.client.is_server_compatible(2, 12, 0),
            ..stream::Config::default()
        };
        self.context.create_or_update_stream(config).await.map_err(|error| unavailable("making the stream", error))?;
        Ok(())
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

    /// Tells other replicas and hears from them.
    #[must_use]
    pub fn hints(&self) -> Hints {
        self.hints.clone()
    }
}

/// The options of a connection to this URL, with its user and password, which the client itself does not read there. They
/// are taken as they are written once percent-encoding is undone (RFC 3986, section 2.1).
#[must_use]
pub fn connect_options(url: &str) -> ConnectOptions {
    let credentials = url::Url::parse(url).ok().and_then(|url| {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).ok();
        Some((decoded(url.username())?, decoded(url.password()?)?))
    });
    match credentials {
        Some((user, password)) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::new(),
    }
}

fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn unavailable(doing: &'static str, source: impl Into<async_nats::Error>) -> BrokerError {
    BrokerError::Unavailable { doing, source: source.into() }
}
