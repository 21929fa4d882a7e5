//! The state of NATS, for `unificus doctor`.

use std::time::Duration;

use async_nats::jetstream::stream::{self, RetentionPolicy, StorageType};

use super::{Broker, BrokerError, REQUEST_TIMEOUT, connect_options, is_not_found, trusting, unavailable};
use crate::config::server_urls;

/// The state of the server that the service is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsDiagnosis {
    /// As the server writes it.
    pub version: String,
    /// The features that the version has.
    pub features: NatsFeatures,
    /// Whether the server belongs to a cluster.
    pub is_clustered: bool,
    /// The largest message that it accepts, in bytes.
    pub max_payload: usize,
}

/// The features of a server that the service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatsFeatures {
    /// It has no auth callout, or ignores the filters of consumers (before 2.10).
    TooFew,
    /// It does not compare a subject's last message before it stores one (before 2.11).
    WithoutFence,
    /// All.
    All,
}

/// JetStream in the service's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JetStreamDiagnosis {
    /// Bytes of file storage in use.
    pub used: u64,
    /// The largest number of bytes that the account may use; nothing where it has no limit.
    pub limit: Option<u64>,
}

/// The stream of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDiagnosis {
    /// Its subjects.
    pub subjects: Vec<String>,
    /// The subjects that the service would give it.
    pub expected_subjects: Vec<String>,
    /// How long it keeps a message.
    pub max_age: Duration,
    /// Copies of the stream.
    pub replicas: usize,
    /// Settings by which it loses messages before their age, or refuses the service's repairs.
    pub faults: Vec<&'static str>,
    /// Whether one of its servers leads; nothing where the server is alone.
    pub has_leader: Option<bool>,
    /// Servers whose copies are behind or away.
    pub stale_peers: Vec<String>,
}

impl Broker {
    /// Returns the state of the server.
    #[must_use]
    pub fn diagnose(&self) -> NatsDiagnosis {
        let info = self.client.server_info();
        let features = match (self.client.is_server_compatible(2, 10, 0), self.publish_features().has_fence) {
            (false, _) => NatsFeatures::TooFew,
            (true, false) => NatsFeatures::WithoutFence,
            (true, true) => NatsFeatures::All,
        };
        NatsDiagnosis {
            version: info.version,
            features,
            is_clustered: info.cluster.is_some(),
            max_payload: info.max_payload,
        }
    }

    /// Returns the state of JetStream; an error where the account has none.
    pub async fn diagnose_jetstream(&self) -> Result<JetStreamDiagnosis, BrokerError> {
        let account = self.context.query_account().await;
        let account = account.map_err(|error| unavailable("reading the account's JetStream", error))?;
        let limit = account.limits.max_storage.and_then(|limit| u64::try_from(limit).ok());
        Ok(JetStreamDiagnosis { used: account.storage, limit })
    }

    /// Returns the state of the stream; `None` where there is none yet.
    pub async fn diagnose_stream(&self) -> Result<Option<StreamDiagnosis>, BrokerError> {
        let stream = match self.context.get_stream(&self.config.stream).await {
            Ok(stream) => stream,
            Err(error) if is_not_found(&error.kind()) => return Ok(None),
            Err(error) => return Err(unavailable("looking for the stream", error)),
        };
        let info = stream.cached_info();
        let cluster = info.cluster.as_ref().filter(|cluster| cluster.name.is_some());
        let peers = cluster.map(|cluster| cluster.replicas.as_slice()).unwrap_or_default();
        Ok(Some(StreamDiagnosis {
            subjects: info.config.subjects.clone(),
            expected_subjects: self.subjects(),
            max_age: info.config.max_age,
            replicas: info.config.num_replicas,
            faults: faults(&info.config),
            has_leader: cluster.map(|cluster| cluster.leader.as_ref().is_some_and(|leader| !leader.is_empty())),
            stale_peers: peers
                .iter()
                .filter(|peer| !peer.current || peer.offline)
                .map(|peer| peer.name.clone())
                .collect(),
        }))
    }
}

fn faults(config: &stream::Config) -> Vec<&'static str> {
    [
        (config.retention != RetentionPolicy::Limits, "its retention is not `limits`"),
        (config.storage != StorageType::File, "its storage is not `file`"),
        (config.max_messages > 0, "it has a largest number of messages"),
        (config.max_messages_per_subject > 0, "it has a largest number of messages per subject"),
        (config.max_bytes > 0, "it has a largest size"),
        (config.deny_purge, "it denies purges"),
        (config.sealed, "it is sealed"),
    ]
    .into_iter()
    .filter_map(|(is_wrong, fault)| is_wrong.then_some(fault))
    .collect()
}

/// Connects one time, for the error that the repeated attempts of a [`Broker`] hide.
pub async fn connect_once(urls: &str, ca_file: &str) -> Result<(), BrokerError> {
    let options = trusting(connect_options(urls), ca_file).name("unificus-doctor");
    let connected = tokio::time::timeout(REQUEST_TIMEOUT, options.connect(server_urls(urls).as_slice())).await;
    let connected = connected.map_err(|late| unavailable("connecting", late))?;
    // Its text has its causes already.
    connected.map(drop).map_err(|error| unavailable("connecting", error.to_string()))
}
