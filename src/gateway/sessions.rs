//! The connections of clients, and the end of those whose keys no longer work.
//!
//! Every replica follows all connections of all servers, so that it does not matter which of them answered a login, and
//! whether that one still runs. It knows them from its own responses to logins, from the servers' events, and from their
//! lists, which are read at the start, after a lost connection and every half minute: an event may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::permit::client_of;
use crate::broker::{BrokerError, ClientConnection, ConnectionEvent, SystemLink};
use crate::clock;
use crate::domain::AccountId;
use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::worker::{Step, Worker};

/// The keys that one statement checks; more take several statements.
const AT_ONCE: usize = 1_000;

/// Connections that are ended at once.
const ENDED_AT_ONCE: usize = 64;

/// The interval of reading the servers' lists.
const LIST_INTERVAL: Duration = Duration::from_secs(30);

/// A server that did not list its connections for this time is taken for stopped.
const SERVER_TIMEOUT: Duration = Duration::from_mins(10);

type Key = (AccountId, Uuid);

/// The connections of clients to all servers. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct ClientSessions {
    sessions: Arc<Mutex<Sessions>>,
    is_watched: Arc<AtomicBool>,
}

/// Sessions by server and number.
#[derive(Default)]
struct Sessions(BTreeMap<String, BTreeMap<u64, Session>>);

#[derive(Debug, Clone, Copy)]
struct Session {
    key: Key,
    seen_at: Instant,
}

impl ClientSessions {
    /// Records a connection that is about to be opened.
    pub(super) fn opened(&self, server: &str, connection: u64, key: Key) {
        self.lock().insert(server, connection, Session { key, seen_at: clock::instant() });
    }

    /// Whether connections of deleted keys are ended: the lists of the servers could be read.
    pub(super) fn are_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the servers' events until `stop`.
    pub(crate) async fn follow(self, link: SystemLink, stop: CancellationToken) -> Result<(), BrokerError> {
        let mut events = link.events().await?;
        let follow = async {
            while let Some(event) = events.next().await {
                match event {
                    ConnectionEvent::Opened(ClientConnection { server, connection, user }) => {
                        if let Some(key) = client_of(&user) {
                            self.opened(&server, connection, key);
                        }
                    }
                    ConnectionEvent::Closed(ClientConnection { server, connection, user: _ }) => {
                        self.lock().remove(&server, connection);
                    }
                }
            }
        };
        tokio::select! {
            () = follow => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }
}

impl Sessions {
    fn insert(&mut self, server: &str, connection: u64, session: Session) {
        match self.0.get_mut(server) {
            Some(sessions) => sessions.insert(connection, session),
            None => self.0.entry(server.to_owned()).or_default().insert(connection, session),
        };
    }

    fn remove(&mut self, server: &str, connection: u64) {
        if let Some(sessions) = self.0.get_mut(server) {
            sessions.remove(&connection);
            if sessions.is_empty() {
                self.0.remove(server);
            }
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    fn keys(&self) -> Vec<Key> {
        let keys: BTreeSet<Key> = self.0.values().flat_map(BTreeMap::values).map(|session| session.key).collect();
        keys.into_iter().collect()
    }

    fn connections_of(&self, keys: &BTreeSet<Key>) -> Vec<ClientConnection> {
        let of_server = |(server, sessions): (&String, &BTreeMap<u64, Session>)| {
            let ended = sessions.iter().filter(|(_, session)| keys.contains(&session.key));
            let connection = |(connection, session): (&u64, &Session)| ClientConnection {
                server: server.clone(),
                connection: *connection,
                user: super::client_name(session.key.0, session.key.1),
            };
            ended.map(connection).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_server).collect()
    }

    /// Takes over the lists of servers that were asked at `asked_at`: connections that were seen before and are not listed
    /// have ended.
    fn listed(&mut self, lists: BTreeMap<String, Vec<ClientConnection>>, asked_at: Instant) {
        for (server, list) in lists {
            let keys = list.iter().filter_map(|listed| Some((listed.connection, client_of(&listed.user)?)));
            for (connection, key) in keys {
                self.insert(&server, connection, Session { key, seen_at: asked_at.max(clock::instant()) });
            }
            if let Some(sessions) = self.0.get_mut(&server) {
                sessions.retain(|_, session| session.seen_at >= asked_at);
            }
        }
        for sessions in self.0.values_mut() {
            sessions.retain(|_, session| asked_at.saturating_duration_since(session.seen_at) < SERVER_TIMEOUT);
        }
        self.0.retain(|_, sessions| !sessions.is_empty());
    }
}

/// Ends the connections of keys that were deleted or have expired.
pub(crate) struct SessionCheck {
    sessions: ClientSessions,
    link: SystemLink,
    store: Store,
    metrics: Metrics,
    /// When the lists were read, and at which connection to the system account.
    listed: Option<(Instant, u64)>,
}

impl SessionCheck {
    pub(crate) fn new(sessions: ClientSessions, link: SystemLink, store: Store, metrics: Metrics) -> Self {
        Self { sessions, link, store, metrics, listed: None }
    }

    /// Returns whether it was so before.
    fn set_watched(&self, is_watched: bool) -> bool {
        self.metrics.nats_clients_followed.set(i64::from(is_watched));
        self.sessions.is_watched.swap(is_watched, Ordering::Relaxed)
    }

    /// Reads the servers' lists, when that is due.
    async fn list(&mut self) -> anyhow::Result<()> {
        let (now, connections) = (clock::instant(), self.link.connections_so_far());
        let is_due = self.listed.is_none_or(|(at, at_connection)| {
            at_connection != connections || now.saturating_duration_since(at) >= LIST_INTERVAL
        });
        if !is_due {
            return Ok(());
        }
        let lists = self.link.connections().await;
        let is_watched = lists.as_ref().is_ok_and(|lists| !lists.is_empty());
        let was_watched = self.set_watched(is_watched);
        self.listed = Some((now, connections));
        if is_watched != was_watched {
            tracing::info!(is_watched, "following the connections of clients to NATS");
        }
        let lists = lists?;
        anyhow::ensure!(
            !lists.is_empty(),
            "no NATS server lists its connections; nats.system_url must name a user of the system account"
        );
        self.sessions.lock().listed(lists, now);
        Ok(())
    }

    /// Ends one connection. A server that does not respond delays no other, and is asked again by the next step.
    async fn end(&self, connection: ClientConnection) {
        if let Err(error) = self.link.end(&connection).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(client = connection.user, error, "end connection to NATS failed; will retry");
            return;
        }
        self.sessions.lock().remove(&connection.server, connection.connection);
        self.metrics.nats_clients_ended_total.inc();
        tracing::info!(client = connection.user, "key no longer works; its connection to NATS was ended");
    }

    /// The keys of connections that do not work any more.
    async fn gone(&self) -> anyhow::Result<BTreeSet<Key>> {
        let keys = self.sessions.lock().keys();
        let mut gone = BTreeSet::new();
        for keys in keys.chunks(AT_ONCE) {
            let working = self.store.working_keys(keys).await?;
            gone.extend(keys.iter().filter(|key| !working.contains(*key)).copied());
        }
        Ok(gone)
    }
}

impl Worker for SessionCheck {
    const NAME: &'static str = "nats-sessions";
    /// Less than two seconds by more than a check and the end of the connections take.
    const SWEEP: Duration = Duration::from_millis(500);

    async fn step(&mut self) -> anyhow::Result<Step> {
        if !self.link.is_connected() {
            self.set_watched(false);
            self.listed = None;
            return Ok(Step::Idle);
        }
        self.list().await?;
        self.metrics.nats_clients.set(gauge_value(self.sessions.lock().len()));
        let gone = self.gone().await?;
        if gone.is_empty() {
            return Ok(Step::Idle);
        }
        let ended = self.sessions.lock().connections_of(&gone);
        stream::iter(ended).for_each_concurrent(ENDED_AT_ONCE, |connection| self.end(connection)).await;
        Ok(Step::Idle)
    }

    /// Never notified: the interval alone runs the check.
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(server: &str, connections: &[u64], key: Key) -> (String, Vec<ClientConnection>) {
        let user = super::super::client_name(key.0, key.1);
        let connection = |connection: &u64| ClientConnection {
            server: server.to_owned(),
            connection: *connection,
            user: user.clone(),
        };
        (server.to_owned(), connections.iter().map(connection).collect())
    }

    #[test]
    fn a_list_adds_what_events_missed_and_removes_what_was_there_before_and_is_not_listed() {
        let (key, other) =
            ((AccountId(Uuid::from_u128(1)), Uuid::from_u128(2)), (AccountId(Uuid::from_u128(3)), Uuid::nil()));
        let asked_at = clock::instant();
        let before = asked_at.checked_sub(Duration::from_secs(1)).unwrap();
        let mut sessions = Sessions::default();
        for (server, connection) in [("a", 1), ("a", 2), ("b", 1)] {
            sessions.insert(server, connection, Session { key, seen_at: before });
        }
        sessions.insert("a", 3, Session { key: other, seen_at: asked_at });
        sessions.listed([listed("a", &[1, 9], key)].into(), asked_at);
        let numbers =
            |server: &str| sessions.0.get(server).map(|sessions| sessions.keys().copied().collect::<Vec<_>>());
        assert_eq!(numbers("a"), Some(vec![1, 3, 9]), "3 was opened after the question");
        assert_eq!(numbers("b"), Some(vec![1]), "a server that does not answer keeps its connections");
        assert_eq!(sessions.keys(), [key, other]);
        assert_eq!(sessions.connections_of(&[other].into()).len(), 1);
        sessions.listed([listed("a", &[], key)].into(), asked_at + SERVER_TIMEOUT);
        assert_eq!(sessions.len(), 0, "a server that does not answer for minutes has stopped");
    }
}
