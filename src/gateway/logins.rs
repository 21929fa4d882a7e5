//! Answers logins: a server asks whether a client may connect, and with which rights.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use super::sessions::ClientSessions;
use super::{GatewayNames, client_name};
use crate::broker::{Broker, BrokerError, Issuer, Login, LoginRequest, Permit, durable_name};
use crate::clock::Clock;
use crate::domain::AccountId;
use crate::keys::{AuthError, Authenticator, LastUsed};
use crate::metrics::Metrics;
use crate::store::Store;

/// Logins that are checked at once. Others wait; a server waits for two seconds, after which a request is not checked any
/// more.
const AT_ONCE: usize = 32;

/// Checks the keys of logins. One per replica.
pub(crate) struct LoginDesk {
    pub(crate) broker: Broker,
    pub(crate) issuer: Issuer,
    pub(crate) authenticator: Authenticator,
    pub(crate) store: Store,
    pub(crate) sessions: ClientSessions,
    pub(crate) names: GatewayNames,
    pub(crate) last_used: LastUsed,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

/// The outcome of a login.
enum Decision {
    Permit(Box<Permit>),
    Refuse(&'static str),
    Fail(&'static str),
}

impl LoginDesk {
    /// Answers logins until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), BrokerError> {
        let logins = self.broker.logins().await?;
        let requests = stream::unfold(logins, |mut logins| async { logins.next().await.map(|next| (next, logins)) });
        let requests = requests.take_until(stop.cancelled_owned());
        requests
            .for_each_concurrent(AT_ONCE, |request| {
                let desk = Arc::clone(&self);
                async move { desk.answer(request).await }
            })
            .await;
        Ok(())
    }

    async fn answer(&self, request: LoginRequest) {
        let now = self.clock.now().unix_timestamp();
        let login = match Login::read(request.payload(), now) {
            Ok(login) => login,
            Err(error) => {
                self.count("unreadable");
                // Without its subject there is nobody to answer; the server refuses the client after its timeout.
                tracing::warn!(%error, "read login to NATS failed");
                return;
            }
        };
        let decision = self.decide(&login, now).await;
        let (outcome, decision) = match &decision {
            Decision::Permit(permit) => ("permitted", Ok(&**permit)),
            Decision::Refuse(reason) => ("refused", Err(*reason)),
            Decision::Fail(reason) => ("failed", Err(*reason)),
        };
        self.count(outcome);
        if let Err(error) = self.broker.answer_login(request, &login, &self.issuer, decision, now).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, "answer login to NATS failed; the client will retry");
        }
    }

    async fn decide(&self, login: &Login, now: i64) -> Decision {
        let claim = login.claimed.as_ref().and_then(|(id, key)| self.authenticator.claim(id, key));
        let Some(claim) = claim else {
            return Decision::Refuse("the token must be a public id, a colon and one of its secret keys");
        };
        let key = match self.authenticator.current_caller(&claim).await {
            Ok(key) => key,
            Err(AuthError::Unauthorized) => return Decision::Refuse("there is no such account or key"),
            Err(error @ (AuthError::NoDatabase | AuthError::Store(_))) => return failed(error),
        };
        let durables = match self.durables(key.account).await {
            Ok(durables) => durables,
            Err(error) => return failed(error),
        };
        self.last_used.note(key.account, key.key_id);
        // Before the connection exists, so that its key is checked from its first moment on.
        self.sessions.opened(&login.server, login.connection, (key.account, key.key_id));
        let permit = self.names.permit(&key, &durables, self.sessions.are_watched(), now);
        tracing::debug!(account = %key.account, key_id = %key.key_id, "login to NATS permitted");
        debug_assert_eq!(permit.name, client_name(key.account, key.key_id), "sessions are recognised by it");
        Decision::Permit(Box::new(permit))
    }

    /// The account's durable consumers.
    async fn durables(&self, account: AccountId) -> Result<Vec<String>, AuthError> {
        let consumers = self.store.consumers(account).await?;
        Ok(consumers.iter().map(|consumer| durable_name(account, &consumer.name)).collect())
    }

    fn count(&self, outcome: &str) {
        self.metrics.nats_logins_total.with_label_values(&[outcome]).inc();
    }
}

fn failed(error: AuthError) -> Decision {
    let error = format!("{:#}", anyhow::Error::new(error));
    tracing::warn!(error, "check key of a login to NATS failed; the client is refused");
    Decision::Fail("the key cannot be checked at the moment")
}
