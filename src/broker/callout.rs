//! Logins of clients that a NATS server asks about (auth callout), over the connection of the service.

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::jwt::{Issuer, Login, Permit};
use super::{Broker, BrokerError, REQUEST_TIMEOUT, unavailable};

/// The subject of the server's requests, in the account that `auth_callout.account` names.
const SUBJECT: &str = "$SYS.REQ.USER.AUTH";

/// One replica answers each request.
const QUEUE: &str = "unificus-auth";

/// Reports the connection's own account and permissions (server 2.10 and newer).
const OWN_INFO: &str = "$SYS.REQ.USER.INFO";

/// Login requests of servers.
pub struct Logins {
    subscriber: Subscriber,
}

/// A login request and the subject of its response.
pub struct LoginRequest {
    payload: bytes::Bytes,
    reply: Option<async_nats::Subject>,
}

/// The connection of the service itself, as its server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLogin {
    /// The server's version.
    pub version: String,
    /// Whether the server has auth callout and accounts (2.10).
    pub is_recent: bool,
    /// The account that the service is logged in to.
    pub server_account: String,
    /// Whether the server asks about logins in this account.
    pub answers_logins: bool,
}

impl Broker {
    /// Subscribes to login requests, together with the other replicas.
    pub async fn logins(&self) -> Result<Logins, BrokerError> {
        let subscriber = self.client.queue_subscribe(SUBJECT, QUEUE.to_owned()).await;
        Ok(Logins { subscriber: subscriber.map_err(|error| unavailable("subscribing to logins", error))? })
    }

    /// Answers a login: lets the client in, or refuses it.
    pub async fn answer_login(
        &self,
        request: LoginRequest,
        login: &Login,
        issuer: &Issuer,
        decision: Result<&Permit, &str>,
        now: i64,
    ) -> Result<(), BrokerError> {
        let token = match decision {
            Ok(permit) => issuer.permit(login, permit, now),
            Err(reason) => issuer.refuse(login, reason, now),
        };
        let token = token.ok_or_else(|| unavailable("signing a login", "the token cannot be signed"))?;
        let Some(reply) = request.reply else { return Ok(()) };
        self.client.publish(reply, token.into()).await.map_err(|error| unavailable("answering a login", error))
    }

    /// Asks the server for the account of the service's connection, and whether logins are asked about there.
    pub async fn own_login(&self) -> Result<OwnLogin, BrokerError> {
        #[derive(Deserialize)]
        struct Response {
            data: Data,
        }
        #[derive(Deserialize, Default)]
        struct Data {
            #[serde(default)]
            account: String,
            #[serde(default)]
            permissions: Option<Permissions>,
        }
        #[derive(Deserialize)]
        struct Permissions {
            #[serde(default)]
            publish: Option<Publish>,
        }
        #[derive(Deserialize)]
        struct Publish {
            #[serde(default)]
            deny: Option<Vec<String>>,
        }
        let failed = |error: async_nats::Error| unavailable("reading the server's account", error);
        let info = self.client.server_info();
        let (version, is_recent) = (info.version, self.client.is_server_compatible(2, 10, 0));
        if !is_recent {
            return Ok(OwnLogin { version, is_recent, server_account: String::new(), answers_logins: false });
        }
        let response = tokio::time::timeout(REQUEST_TIMEOUT, self.client.request(OWN_INFO, "".into())).await;
        let response = response.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))?;
        let Response { data } = serde_json::from_slice(&response.payload).map_err(|error| failed(error.into()))?;
        // The server itself denies its auth users to publish on the subject of its requests, so that this tells them apart.
        let denied = data.permissions.and_then(|permissions| permissions.publish).and_then(|publish| publish.deny);
        let answers_logins = denied.is_some_and(|subjects| subjects.iter().any(|subject| subject == SUBJECT));
        Ok(OwnLogin { version, is_recent, server_account: data.account, answers_logins })
    }
}

impl Logins {
    /// The next request; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<LoginRequest> {
        let message = self.subscriber.next().await?;
        Some(LoginRequest { payload: message.payload, reply: message.reply })
    }
}

impl LoginRequest {
    /// The request's bytes, for [`Login::read`].
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}
