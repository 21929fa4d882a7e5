//! Connections that are kept open between attempts.
//!
//! An attempt takes the connection to its host that became idle last, opens one only where none is idle, and puts it back
//! before it gives back its permit. So a host has no more connections than attempts were in flight to it at once, and a
//! backlog opens no connection twice. A pool that connects while it waits for an idle connection opens more of them, and a
//! limit on idle ones closes those that the next attempts open again.
//!
//! HTTP/2 has one connection per host, which all attempts share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connection::{Connection, Http1, Http2};
use crate::clock::instant;
use crate::push::address::Origin;
use crate::worker::{Step, Worker};

/// A connection that was idle for this long is closed, at most [`IdleConnections::SWEEP`] later.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections of all hosts that are not in use.
#[derive(Default)]
pub(super) struct ConnectionPool {
    hosts: Mutex<HashMap<Origin, Host>>,
}

#[derive(Default)]
struct Host {
    /// Connections of HTTP/1, each with the time since which it is idle, the longest first.
    idle: Vec<(Box<Http1>, Instant)>,
    /// The connection of HTTP/2, and when it was taken last.
    shared: Option<(Http2, Instant)>,
}

impl ConnectionPool {
    /// Takes an idle connection to a host out, or a share in its connection of HTTP/2.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut hosts = self.lock();
                let host = hosts.get_mut(origin)?;
                if let Some((sender, taken_at)) = host.shared.as_mut().filter(|(sender, _)| !sender.is_closed()) {
                    *taken_at = instant();
                    return Some(Connection::Http2(sender.clone()));
                }
                host.idle.pop()?.0
            };
            // Closing is left to the drop, outside of the lock.
            if idle.is_usable() {
                return Some(Connection::Http1(idle));
            }
        }
    }

    /// Keeps a connection of HTTP/1, where another request can be sent on it.
    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        let Connection::Http1(mut connection) = connection else { return };
        if !connection.is_usable() {
            return;
        }
        let mut hosts = self.lock();
        match hosts.get_mut(origin) {
            Some(host) => host.idle.push((connection, instant())),
            None => drop(hosts.insert(origin.clone(), Host { idle: vec![(connection, instant())], shared: None })),
        }
    }

    /// Shares a new connection of HTTP/2, unless another one was opened meanwhile. Returns the one to be used.
    pub(super) fn share(&self, origin: &Origin, connection: Connection) -> Connection {
        let Connection::Http2(sender) = connection else { return connection };
        let mut hosts = self.lock();
        let host = hosts.entry(origin.clone()).or_default();
        let before = host.shared.take().filter(|(before, _)| !before.is_closed());
        let (sender, _) = host.shared.insert((before.map_or(sender, |(before, _)| before), instant()));
        Connection::Http2(sender.clone())
    }

    /// Drops a connection that sends nothing. One of HTTP/2 is not shared any longer.
    pub(super) fn discard(&self, origin: &Origin, connection: Connection) {
        if matches!(connection, Connection::Http2(_))
            && let Some(host) = self.lock().get_mut(origin)
        {
            host.shared = None;
        }
    }

    /// Closes connections that are idle for `timeout`, and those that their receivers closed.
    pub(super) fn close_idle(&self, timeout: Duration) {
        let is_recent = |since: &Instant| since.elapsed() < timeout;
        self.lock().retain(|_, host| {
            host.idle.retain_mut(|(connection, since)| is_recent(since) && connection.is_usable());
            host.shared.take_if(|(sender, taken_at)| sender.is_closed() || !is_recent(taken_at));
            host.idle.shrink_to_fit();
            !host.idle.is_empty() || host.shared.is_some()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that are idle.
pub(crate) struct IdleConnections(pub(super) Arc<ConnectionPool>);

impl Worker for IdleConnections {
    const NAME: &'static str = "idle connections";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        self.0.close_idle(IDLE_TIMEOUT);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
