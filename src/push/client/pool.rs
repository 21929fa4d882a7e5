//! Connections that are kept open between attempts.
//!
//! An attempt takes the connection to its host that became idle last, opens one only where none is idle, and puts it back
//! before it gives back its permit. So a host has no more connections than attempts were in flight to it at once, and a
//! backlog opens no connection twice. A pool that connects while it waits for an idle connection opens more of them, and a
//! limit per host on idle ones closes those that the next attempts open again.
//!
//! HTTP/2 has one connection per host, which all attempts share.
//!
//! No connection is kept beyond [`MAX_AGE`], because a name may have got other addresses, which only a new connection finds.
//! All hosts together have a limit of idle connections, beyond which those that are idle the longest are closed.

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

/// A connection that is older is not kept for another attempt. A busy connection costs one handshake in this time.
pub(super) const MAX_AGE: Duration = Duration::from_mins(10);

/// The connections of all hosts that are not in use.
pub(super) struct ConnectionPool {
    max_age: Duration,
    max_idle: usize,
    hosts: Mutex<Hosts>,
}

#[derive(Default)]
struct Hosts {
    by_origin: HashMap<Origin, Host>,
    /// The connections of HTTP/1 that are idle, and those of HTTP/2, in use or not.
    kept: usize,
}

#[derive(Default)]
struct Host {
    /// Connections of HTTP/1, each with the time since which it is idle, the longest first.
    idle: Vec<(Box<Http1>, Instant)>,
    /// The connection of HTTP/2, and when it was taken last.
    shared: Option<(Http2, Instant)>,
}

impl ConnectionPool {
    /// A pool that uses connections until they have `max_age`, and keeps `max_idle` of them.
    pub(super) fn new(max_age: Duration, max_idle: usize) -> Self {
        Self { max_age, max_idle, hosts: Mutex::default() }
    }

    /// Takes an idle connection to a host out, or a share in its connection of HTTP/2.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut hosts = self.lock();
                let Hosts { by_origin, kept } = &mut *hosts;
                let host = by_origin.get_mut(origin)?;
                // A connection that is not shared any longer ends with the attempts on it.
                *kept -= host.stop_sharing(|sender| sender.is_closed() || self.is_old(sender.opened_at()));
                if let Some((sender, taken_at)) = &mut host.shared {
                    *taken_at = instant();
                    return Some(Connection::Http2(sender.clone()));
                }
                let (idle, _) = host.idle.pop()?;
                *kept -= 1;
                idle
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
        if !connection.is_usable() || self.is_old(connection.opened_at()) {
            return;
        }
        let mut hosts = self.lock();
        if let Some(host) = hosts.by_origin.get_mut(origin) {
            host.idle.push((connection, instant()));
        } else {
            let host = Host { idle: vec![(connection, instant())], shared: None };
            hosts.by_origin.insert(origin.clone(), host);
        }
        let closed = hosts.count_one_more(self.max_idle);
        drop(hosts);
        drop(closed);
    }

    /// Shares a new connection of HTTP/2, unless another one was opened meanwhile. Returns the one to be used.
    pub(super) fn share(&self, origin: &Origin, connection: Connection) -> Connection {
        let Connection::Http2(sender) = connection else { return connection };
        let mut hosts = self.lock();
        let Hosts { by_origin, kept } = &mut *hosts;
        let host = by_origin.entry(origin.clone()).or_default();
        *kept -= host.stop_sharing(Http2::is_closed);
        if let Some((before, taken_at)) = &mut host.shared {
            *taken_at = instant();
            return Connection::Http2(before.clone());
        }
        host.shared = Some((sender.clone(), instant()));
        let closed = hosts.count_one_more(self.max_idle);
        drop(hosts);
        drop(closed);
        Connection::Http2(sender)
    }

    /// Drops a connection that sends nothing. One of HTTP/2 is not shared any longer, unless a newer one is shared already.
    pub(super) fn discard(&self, origin: &Origin, connection: Connection) {
        let Connection::Http2(sender) = connection else { return };
        let mut hosts = self.lock();
        let Hosts { by_origin, kept } = &mut *hosts;
        if let Some(host) = by_origin.get_mut(origin) {
            *kept -= host.stop_sharing(|shared| shared.is_same(&sender));
        }
    }

    /// Closes connections that are idle for `timeout`, and those that their receivers closed.
    pub(super) fn close_idle(&self, timeout: Duration) {
        let is_recent = |since: &Instant| since.elapsed() < timeout;
        let mut hosts = self.lock();
        hosts.by_origin.retain(|_, host| {
            host.idle.retain_mut(|(connection, since)| is_recent(since) && connection.is_usable());
            host.shared.take_if(|(sender, taken_at)| sender.is_closed() || !is_recent(taken_at));
            host.idle.shrink_to_fit();
            !host.idle.is_empty() || host.shared.is_some()
        });
        hosts.kept = hosts.by_origin.values().map(Host::kept).sum();
    }

    fn is_old(&self, opened_at: Instant) -> bool {
        opened_at.elapsed() >= self.max_age
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    /// Counts a connection that was added. Returns the hosts' connections to be closed where there are more than `max`.
    fn count_one_more(&mut self, max: usize) -> Vec<Host> {
        self.kept += 1;
        if self.kept > max { self.take_longest_idle(max) } else { Vec::new() }
    }

    /// Takes the connections out that are idle the longest: one, and an eighth of `max` more, so that the next ones are put
    /// without another look at all of them.
    fn take_longest_idle(&mut self, max: usize) -> Vec<Host> {
        let mut since: Vec<Instant> = self.by_origin.values().flat_map(Host::idle_since).collect();
        let last = (max / 8).min(since.len().saturating_sub(1));
        if since.is_empty() {
            return Vec::new();
        }
        let (_, until, _) = since.select_nth_unstable(last);
        let until = *until;
        let closed: Vec<Host> = self.by_origin.values_mut().map(|host| host.take_idle_until(until)).collect();
        self.kept -= closed.iter().map(Host::kept).sum::<usize>();
        self.by_origin.retain(|_, host| host.kept() > 0);
        closed
    }
}

impl Host {
    fn kept(&self) -> usize {
        self.idle.len() + usize::from(self.shared.is_some())
    }

    /// The times since which connections are idle.
    fn idle_since(&self) -> impl Iterator<Item = Instant> {
        let shared = self.shared.as_ref().filter(|(sender, _)| sender.is_idle());
        self.idle.iter().map(|(_, since)| *since).chain(shared.map(|(_, taken_at)| *taken_at))
    }

    /// Takes the connections out that are idle since this time or longer.
    fn take_idle_until(&mut self, until: Instant) -> Self {
        let longer = self.idle.partition_point(|(_, since)| *since <= until);
        let shared = self.shared.take_if(|(sender, taken_at)| sender.is_idle() && *taken_at <= until);
        Self { idle: self.idle.drain(..longer).collect(), shared }
    }

    /// Stops sharing the connection of HTTP/2 where it satisfies a condition. Returns how many that were.
    fn stop_sharing(&mut self, condition: impl Fn(&Http2) -> bool) -> usize {
        usize::from(self.shared.take_if(|(sender, _)| condition(sender)).is_some())
    }
}

/// Closes connections that are idle.
pub(crate) struct IdleConnections(pub(super) Arc<ConnectionPool>);

impl Worker for IdleConnections {
    const NAME: &'static str = "idle-connections";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        self.0.close_idle(IDLE_TIMEOUT);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
