//! The connections of clients to all NATS servers, over a connection to the servers' system account: who is connected, and
//! how to end a connection.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Event, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::{SelectAll, select_all};
use serde::Deserialize;
use serde_json::json;

use super::{BrokerError, REQUEST_TIMEOUT, connect_options, trusting, unavailable};
use crate::config::{NatsConfig, server_urls};
use crate::metrics::Metrics;

/// The connections that one response of a server lists.
const PAGE: usize = 1_024;

/// The time after the last response within which another server's may follow.
const LAST_RESPONSE: Duration = Duration::from_millis(500);

/// A connection with the rights of the servers' system account. Cloning shares it.
#[derive(Clone)]
pub struct SystemLink {
    client: Client,
    /// The account of the servers whose connections are followed.
    server_account: String,
}

/// A client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConnection {
    /// The server's id.
    pub server: String,
    /// The number of the connection at the server.
    pub connection: u64,
    /// The user name that its login was given.
    pub user: String,
}

/// The beginning or the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum ConnectionEvent {
    Opened(ClientConnection),
    Closed(ClientConnection),
}

/// The beginnings and ends of connections at all servers.
pub struct ConnectionEvents {
    subscribers: SelectAll<Subscriber>,
}

#[derive(Deserialize)]
struct Advisory {
    server: Server,
    client: AdvisoryClient,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct AdvisoryClient {
    id: u64,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct Listing {
    server: Server,
    #[serde(default)]
    data: Option<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    connections: Vec<ListedConnection>,
}

#[derive(Deserialize)]
struct ListedConnection {
    cid: u64,
    #[serde(default)]
    authorized_user: String,
}

impl SystemLink {
    /// Connects in the background, again and again; a server that cannot be reached is no error here.
    pub async fn connect(config: &NatsConfig, server_account: &str, metrics: &Metrics) -> Result<Self, BrokerError> {
        let connected = metrics.nats_system_connected.clone();
        let on_event = move |event: Event| {
            let connected = connected.clone();
            async move {
                match event {
                    Event::Connected => connected.set(1),
                    Event::Disconnected => connected.set(0),
                    Event::LameDuckMode
                    | Event::Draining
                    | Event::Closed
                    | Event::SlowConsumer(_)
                    | Event::ServerError(_)
                    | Event::ClientError(_) => {}
                }
                tracing::info!(%event, "NATS system connection");
            }
        };
        let client = trusting(connect_options(&config.system_url), &config.ca_file)
            .name("unificus-system")
            .retry_on_initial_connect()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .reconnect_delay_callback(|attempts| Duration::from_millis(100 * attempts.min(10) as u64))
            .event_callback(on_event)
            .connect(server_urls(&config.system_url).as_slice())
            .await
            .map_err(|error| unavailable("connecting to the system account", error))?;
        Ok(Self { client, server_account: server_account.to_owned() })
    }

    /// Whether it is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Checks that a server responds to a question that it takes from the system account alone. Lists of connections do not
    /// tell: every account may ask for its own.
    pub async fn ping(&self) -> Result<(), BrokerError> {
        let response = self.client.request("$SYS.REQ.SERVER.PING", "".into()).await;
        response.map(drop).map_err(|error| unavailable("asking as the system account", error))
    }

    /// The number of connections so far. Before a new one, events may have been lost.
    #[must_use]
    pub fn connections_so_far(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Subscribes to the beginnings and ends of connections.
    pub async fn events(&self) -> Result<ConnectionEvents, BrokerError> {
        let mut subscribers = Vec::new();
        for kind in ["CONNECT", "DISCONNECT"] {
            let subject = format!("$SYS.ACCOUNT.{}.{kind}", self.server_account);
            let subscriber = self.client.subscribe(subject).await;
            subscribers.push(subscriber.map_err(|error| unavailable("subscribing to connections", error))?);
        }
        Ok(ConnectionEvents { subscribers: select_all(subscribers) })
    }

    /// Lists the connections of every server that responds, by its id.
    pub async fn connections(&self) -> Result<BTreeMap<String, Vec<ClientConnection>>, BrokerError> {
        let failed = |error: async_nats::Error| unavailable("listing connections", error);
        let reply = self.client.new_inbox();
        let mut subscriber = self.client.subscribe(reply.clone()).await.map_err(|error| failed(error.into()))?;
        let question = self.question(0);
        let sent = self.client.publish_with_reply("$SYS.REQ.SERVER.PING.CONNZ", reply, question.into()).await;
        sent.map_err(|error| failed(error.into()))?;
        let mut servers = BTreeMap::new();
        let mut patience = REQUEST_TIMEOUT;
        while let Ok(Some(message)) = tokio::time::timeout(patience, subscriber.next()).await {
            patience = LAST_RESPONSE;
            let (server, first) = listed(&message.payload).map_err(|error| failed(error.into()))?;
            servers.insert(server, first);
        }
        for (server, listed_so_far) in &mut servers {
            while listed_so_far.len() % PAGE == 0 && !listed_so_far.is_empty() {
                let question = self.question(listed_so_far.len());
                let subject = format!("$SYS.REQ.SERVER.{server}.CONNZ");
                let response = self.client.request(subject, question.into()).await;
                let response = response.map_err(|error| failed(error.into()))?;
                let (_, more) = listed(&response.payload).map_err(|error| failed(error.into()))?;
                if more.is_empty() {
                    break;
                }
                listed_so_far.extend(more);
            }
        }
        Ok(servers)
    }

    fn question(&self, offset: usize) -> String {
        json!({"auth": true, "acc": self.server_account, "limit": PAGE, "offset": offset, "sort": "cid"}).to_string()
    }

    /// Ends a connection. One that has ended is no error.
    pub async fn end(&self, connection: &ClientConnection) -> Result<(), BrokerError> {
        let subject = format!("$SYS.REQ.SERVER.{}.KICK", connection.server);
        let body = json!({"cid": connection.connection}).to_string();
        let response = self.client.request(subject, body.into()).await;
        response.map(|_| ()).map_err(|error| unavailable("ending a connection", error))
    }
}

fn listed(payload: &[u8]) -> serde_json::Result<(String, Vec<ClientConnection>)> {
    let Listing { server: Server { id }, data } = serde_json::from_slice(payload)?;
    let connections = data.map(|data| data.connections).unwrap_or_default();
    let connection = |listed: ListedConnection| ClientConnection {
        server: id.clone(),
        connection: listed.cid,
        user: listed.authorized_user,
    };
    let connections = connections.into_iter().map(connection).collect();
    Ok((id, connections))
}

impl ConnectionEvents {
    /// The next event; `None` when the connection to the system account is closed for good.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        loop {
            let message = self.subscribers.next().await?;
            let Ok(Advisory { server, client }) = serde_json::from_slice(&message.payload) else {
                tracing::warn!(subject = %message.subject, "read connection event failed: it has another form");
                continue;
            };
            let AdvisoryClient { id, user } = client;
            let connection = ClientConnection { server: server.id, connection: id, user };
            return Some(if message.subject.ends_with(".CONNECT") {
                ConnectionEvent::Opened(connection)
            } else {
                ConnectionEvent::Closed(connection)
            });
        }
    }
}
