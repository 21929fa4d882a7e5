//! Commands of clients, by request and reply.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::{Broker, BrokerError, unavailable};

/// One replica executes each command.
const QUEUE: &str = "unificus-commands";

/// The header in which the server itself describes the client of a request that comes from another of its accounts. It
/// replaces whatever the client wrote there. Names of headers are compared with their case.
const CLIENT: &str = "Nats-Request-Info";

/// Commands of all accounts.
pub struct CommandInbox {
    subscriber: Subscriber,
    /// The number of tokens before the account's in a subject.
    root_tokens: usize,
}

/// A command of a client.
#[derive(Debug)]
pub struct IncomingCommand {
    /// The account in the subject.
    pub account: String,
    /// The entity in the subject.
    pub entity: String,
    /// The operation in the subject.
    pub operation: String,
    /// The client that the server names; `None` where the message did not come from another account of the server.
    pub client: Option<ClientIdentity>,
    /// The W3C trace context of the client.
    pub traceparent: Option<String>,
    /// The operation itself.
    pub body: Bytes,
    /// The subject of its reply, which the server made. A client that waits for no reply gets none.
    reply: Option<async_nats::Subject>,
}

/// A client as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClientIdentity {
    /// The account of the server that it is logged in to.
    #[serde(rename = "acc", default)]
    pub server_account: String,
    /// The user name that its login was given.
    #[serde(default)]
    pub user: String,
}

impl Broker {
    /// Subscribes to commands, together with the other replicas.
    pub async fn commands(&self) -> Result<CommandInbox, BrokerError> {
        let root = &self.config.subject_root;
        let subscriber = self.client.queue_subscribe(format!("{root}.*.cmd.*.*"), QUEUE.to_owned()).await;
        let subscriber = subscriber.map_err(|error| unavailable("subscribing to commands", error))?;
        Ok(CommandInbox { subscriber, root_tokens: root.split('.').count() })
    }

    /// Sends the reply to a command.
    pub async fn reply(&self, command: &IncomingCommand, body: Bytes) -> Result<(), BrokerError> {
        let Some(reply) = command.reply.clone() else { return Ok(()) };
        self.client.publish(reply, body).await.map_err(|error| unavailable("replying to a command", error))
    }
}

impl CommandInbox {
    /// The next command; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<IncomingCommand> {
        let message = self.subscriber.next().await?;
        let mut tokens = message.subject.split('.').skip(self.root_tokens);
        let mut token = |index: usize| tokens.nth(index).unwrap_or_default().to_owned();
        let (account, entity, operation) = (token(0), token(1), token(0));
        let header = |name: &str| {
            let headers = message.headers.as_ref()?;
            Some(headers.get(name)?.as_str().to_owned())
        };
        let client = header(CLIENT).and_then(|text| serde_json::from_str(&text).ok());
        let traceparent = header("traceparent");
        Some(IncomingCommand {
            account,
            entity,
            operation,
            client,
            traceparent,
            body: message.payload,
            reply: message.reply,
        })
    }
}
